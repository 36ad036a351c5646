"""What doctor says of who is told: channels and the server, without telling them anything."""

import json
import socket
import threading

from parties import TOKEN


def found(project, code=0, **env):
    rows = json.loads(project("doctor", "--json", code=code, **env).stdout)["checks"]
    return {row["check"]: row for row in rows if row["check"].partition(" ")[0] in ("notify", "server")}


def test_server_that_knows_the_token_is_well_and_keeps_nothing(project, server):
    server.start()
    project.sends(server.url, detail="failures")
    row = found(project)["server"]
    assert row["state"] == "ok"
    assert "knows the token; failures of project are sent" in row["detail"]
    assert server.stores() == {}


def test_token_that_the_server_does_not_know_is_told_without_showing_it(project, server):
    server.start()
    project.sends(server.url)
    row = found(project, code=1, SCRIPTFLOW_SERVER_TOKEN="another-token")["server"]
    assert (row["state"], "does not know the token" in row["detail"]) == ("failed", True)
    assert "another-token" not in json.dumps(row)
    assert TOKEN not in json.dumps(row)


def test_server_that_is_away_is_a_warning_since_runs_go_on(project):
    project.sends("http://127.0.0.1:9")
    row = found(project)["server"]
    assert (row["state"], "cannot be reached" in row["detail"]) == ("warning", True)


def test_what_takes_no_runs_in_is_told(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(30)

        def answer():
            peer, _ = other.accept()
            with peer:
                peer.recv(1 << 16)
                peer.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        project.sends(f"http://127.0.0.1:{other.getsockname()[1]}")
        row = found(project, code=1)["server"]
    assert "takes no runs in" in row["detail"]
    assert "--ingest" in row["help"]


def test_channels_are_looked_at_and_nothing_is_sent(project):
    with socket.create_server(("127.0.0.1", 0)) as hook:
        project.write(
            f"""
[[notify]]
type = "command"
command = "true"
[[notify]]
type = "command"
name = "typo"
command = ["no-such-program-here"]
[[notify]]
type = "webhook"
url = "http://127.0.0.1:{hook.getsockname()[1]}/${{HOOK}}"
""",
            "scriptflow.toml",
        )
        rows = found(project, code=1)
        assert rows["notify command"]["state"] == "ok"
        assert "there is no program no-such-program-here" in rows["notify typo"]["detail"]
        assert "${HOOK}, which is not set" in rows["notify webhook"]["detail"]
        assert found(project, code=1, HOOK="s3cret-part")["notify webhook"]["state"] == "ok"
        hook.settimeout(0)
        try:
            hook.accept()
        except BlockingIOError:
            pass
        else:
            raise AssertionError("something was sent")
