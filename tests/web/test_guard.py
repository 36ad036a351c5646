"""Who is let in, what every answer carries, and what never leaves the store's folder."""

import json
import os
import socket
import stat
import time

import pytest
from serving import Server


def test_nothing_of_a_run_is_told_without_a_token(server):
    for path in (
        "/",
        "/r/last",
        "/files",
        "/settings",
        "/api/v1/runs",
        "/api/v1/openapi.json",
        "/api/v1/events",
        "/nix",
    ):
        answer = server.ask(path, token=None)
        assert answer.status == 401, path
        assert "paper" not in answer.text
    assert server.ask("/", token="x" * 43).status == 401
    assert server.ask("/api/v1/health", token=None).status == 200


def test_a_token_in_the_address_becomes_a_strict_cookie_and_leaves_the_address(server):
    answer = server.ask(f"/r/paper-2?token={server.token}&state=", token=None)
    assert answer.status == 303
    assert server.token not in answer.headers["Location"]
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    inside = server.ask("/r/paper-2", token=None, headers={"Cookie": cookie.split(";")[0]})
    assert inside.status == 200
    assert server.token not in inside.text


def test_a_visitor_from_another_site_is_sent_on_by_a_page_of_ours(server):
    answer = server.ask(f"/?token={server.token}", token=None, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200
    assert 'http-equiv="refresh"' in answer.text
    assert server.token not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "[", "localhost:x"])
def test_another_name_for_this_machine_is_refused(server, host):
    assert server.ask("/", headers={"Host": host}).status in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:8181", "127.0.0.1:1", "[::1]:8181", "LOCALHOST"])
def test_loopback_names_are_let_in(server, host):
    assert server.ask("/api/v1/runs", headers={"Host": host}).status == 200


def test_every_answer_has_the_headers_that_keep_a_browser_safe(server):
    for path, token in (
        ("/", True),
        ("/r/nix", True),
        ("/", None),
        ("/api/v1/runs", True),
        ("/static/x/app.css", None),
    ):
        answer = server.ask(path, token=token)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "aiohttp" not in answer.headers["Server"]
        assert "no-store" in answer.headers["Cache-Control"]


def test_pages_have_no_script_style_or_address_of_others_in_them(server):
    for path in (
        "/",
        "/r/paper-1",
        "/r/paper-1/tasks",
        "/r/paper-2/t/simulate-5",
        "/r/paper-1/graph",
        "/files/sim_0.csv",
    ):
        text = server.ask(path).text
        assert " style=" not in text
        assert "<style" not in text
        assert " onclick" not in text
        assert text.count("<script") == text.count("<script src=") + text.count('<script type="module" src=')
        assert not [
            part for part in text.split('"') if part.startswith(("http:", "https:")) and "www.w3.org" not in part
        ]


def test_who_may_look_may_not_act(server):
    wish, kind = json.dumps({"run": True}), {"Content-Type": "application/json"}

    def ask(**more):
        given = {"token": True, "body": wish, "headers": kind} | more
        return server.ask("/api/v1/runs/last/cancel", method="POST", **given)

    assert ask().status == 403
    assert ask(token=None).status == 401
    assert ask(token=server.action_token).status == 409  # it is not running
    assert ask(token=server.action_token, headers={**kind, "Origin": "http://evil.example"}).status == 403
    assert ask(token=server.action_token, headers={**kind, "Sec-Fetch-Site": "cross-site"}).status == 403
    assert ask(token=server.action_token, headers={"Content-Type": "text/plain"}).status == 400
    assert ask(token=server.action_token, body="{" * 5000).status == 400
    assert ask(token=server.action_token, body='{"run": 1, "x": 2}').status == 400
    assert ask(token=server.action_token, body=json.dumps({"tasks": ["x" * 3_000_000]})).status == 413


def test_without_leave_nobody_can_act(project):
    with Server(project) as server:
        assert server.action_token is None
        answer = server.ask("/api/v1/runs/last/cancel", method="POST", body="{}")
        assert answer.status in (404, 405)
        assert (
            server.ask("/api/v1/runs", token=(project / ".scriptflow/web.tokens").read_text().split()[3]).status == 401
        )


def test_wrong_tokens_are_slowed_down_and_a_good_one_is_not(project):
    with Server(project) as server:
        answers = [server.ask("/", token=f"{number:043d}").status for number in range(30)]
        assert answers.count(401) == 20
        assert answers[-1] == 429
        assert server.ask("/").status == 200


def test_the_file_of_tokens_is_for_its_owner_alone(project, server):
    path = project / ".scriptflow/web.tokens"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.token in path.read_text()
    assert server.token != server.action_token


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "elsewhere", "steps up", "pipe"])
def test_a_log_outside_the_store_is_not_shown(tmp_path, kind):
    from web_project import make_project, scriptflow

    from scriptflow.database import connect

    folder = make_project(tmp_path)
    scriptflow(folder, "run", "paper")
    (folder / "secret.txt").write_text("not for the web\n")
    log = folder / ".scriptflow/logs/paper-1/simulate-0.1.log"
    if kind == "link to a file":
        log.unlink()
        log.symlink_to(folder / "secret.txt")
    elif kind == "link to a folder":
        log.parent.rename(folder / "logs-elsewhere")
        (folder / "logs-elsewhere/simulate-0.1.log").write_text("not for the web\n")
        log.parent.symlink_to(folder / "logs-elsewhere")
    elif kind == "pipe":
        log.unlink()
        os.mkfifo(log)
    else:
        path = str(folder / "secret.txt") if kind == "elsewhere" else "logs/../../secret.txt"
        connection = connect(str(folder / ".scriptflow/runs.db"), network=False, busy_s=5)
        connection.execute("UPDATE jobs SET log = ?", (path,))
        connection.close()
    with Server(folder) as server:
        for path in ("/r/last/t/simulate-0", "/r/last/t/simulate-0/log", "/api/v1/runs/last/tasks/simulate-0/log"):
            answer = server.ask(path)
            assert answer.status == 200
            assert "not for the web" not in answer.text
        assert server.ask("/api/v1/runs/last/tasks/simulate-0/log/raw").status == 404
        assert server.ask("/api/v1/runs/last/tasks/simulate-0/log?q=web").status == 404
        assert server.ask("/api/v1/runs/last/tasks/simulate-0/log/events").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/..%2f..%2fapp.py",
        "/static/x/../guard.py",
        "/static/..%2f..%2f..%2fetc/passwd",
        "/files/..%2f..%2fsecret.txt",
        "/files/../secret.txt",
    ],
)
def test_no_address_opens_a_file_by_its_name(server, path):
    answer = server.ask(path)
    assert answer.status == 404
    assert "not for the web" not in answer.text


def test_ctrl_c_ends_it_at_once_even_while_many_listen(project):
    server = Server(project)
    listeners = []
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(
            f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode()
        )
        assert b"200" in sock.recv(4096)
        listeners.append(sock)
    code, seconds = server.stop()
    for sock in listeners:
        sock.close()
    assert code == 130
    assert seconds < 3
    assert "Traceback" not in server.said


def test_a_port_that_is_taken_is_said_plainly(project, server):
    from web_project import scriptflow

    done = scriptflow(project, "serve", "--port", str(server.port), code=2)
    assert f"cannot listen on 127.0.0.1:{server.port}" in done.stderr
    assert "--port 0" in done.stderr


def test_other_machines_are_not_let_in_without_tokens_of_ones_own(project):
    from web_project import scriptflow

    done = scriptflow(project, "serve", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "lets other machines in" in done.stderr


def test_where_nothing_ran_it_says_so(tmp_path):
    from web_project import scriptflow

    assert "nothing has been run here yet" in scriptflow(tmp_path, "serve", code=2).stderr


def test_a_request_that_dribbles_is_ended_and_costs_nobody_else_anything(server):
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    began = time.monotonic()
    assert server.ask("/api/v1/runs").status == 200
    assert time.monotonic() - began < 5
    slow.settimeout(40)
    assert slow.recv(100) == b""
    slow.close()
