"""What a page is told while a run goes on."""

import json
import time

from serving import Server
from web_project import scriptflow


def next_of(events, wanted, limit_s=15):
    """Return the next event of that kind."""
    end = time.monotonic() + limit_s
    for event in events:
        if event[0] == wanted:
            return event
        assert time.monotonic() < end, f"no {wanted}"
    raise AssertionError(f"the stream ended without {wanted}")


def test_a_change_in_the_store_is_told_within_a_second(live):
    events = live.server.events("/runs/last/events")
    assert next(events)[0] == "hello"
    time.sleep(0.6)  # the watcher has looked once; what matters is the time from the change on
    live.finish()
    _, _, data = next_of(events, "change")
    told = time.time()
    assert data["runs"][0]["run"] == "slow-1"
    while data["runs"] == [] or data["runs"][0]["status"] != "succeeded":
        _, _, data = next_of(events, "change")
        told = time.time()
    ended = live.server.json("/runs/slow-1/tasks/slow")
    from datetime import datetime

    assert told - datetime.fromisoformat(ended["ended"]).timestamp() < 1.6  # the end of the job, then of the run
    assert live.server.json("/runs/slow-1")["status"] == "succeeded"


def test_who_comes_back_is_told_what_was_missed_or_that_it_cannot_be_told(live):
    server = live.server
    keeps_watching = server.events("/events")
    assert next(keeps_watching)[0] == "hello"
    first = server.events("/events")
    _, here, _ = next(first)
    first.close()
    time.sleep(0.6)
    live.finish()
    next_of(keeps_watching, "change")
    again = server.events("/events", **{"Last-Event-ID": here})
    assert next(again)[0] == "hello"
    assert next(again)[0] == "change"
    again.close()
    keeps_watching.close()
    strange = server.events("/events", **{"Last-Event-ID": "00000000-7"})
    assert [next(strange)[0], next(strange)[0]] == ["hello", "gap"]
    strange.close()


def test_a_log_is_followed_to_its_end_and_from_where_one_left_off(live):
    log = live.server.events("/runs/last/tasks/slow/log/events")
    _, _, data = next_of(log, "log")
    assert data["lines"] == ["begun"]
    live.finish()
    _, at, data = next_of(log, "log")
    assert data["lines"] == ["ended"]
    assert next_of(log, "end")[2]["to"] == int(at)
    rest = live.server.events("/runs/last/tasks/slow/log/events", **{"Last-Event-ID": "6"})
    assert next_of(rest, "log")[2]["lines"] == ["ended"]


def test_a_run_whose_head_was_killed_is_shown_as_cut_short(live):
    events = live.server.events("/runs/last/events")
    assert next(events)[0] == "hello"
    live.run.kill()
    live.run.wait()
    _, _, data = next_of(events, "change")
    assert data["runs"][0]["status"] == "interrupted"
    assert live.server.json("/runs/last/tasks")["tasks"][0]["state"] == "interrupted"
    assert "goes on where it stopped" in live.server.ask("/r/last").text


def test_cancel_on_the_page_stops_the_live_run(live):
    answer = live.server.ask(
        "/api/v1/runs/last/cancel", method="POST", token=live.server.action_token,
        headers={"Content-Type": "application/json"}, body=json.dumps({"run": True}),
    )  # fmt: skip
    assert answer.status == 202, answer.text
    assert live.run.wait(30) != 0
    assert live.server.json("/runs/last")["status"] == "cancelled"


def test_a_project_that_was_never_run_shows_up_when_it_is(tmp_path):
    from web_project import make_project

    folder = make_project(tmp_path)
    scriptflow(folder, "run", "paper")
    with Server(folder) as server:
        assert server.json("/runs")["total"] == 1
        scriptflow(folder, "run", "paper", "--tol", "1")
        assert server.json("/runs")["total"] == 2


def test_listeners_cost_no_memory_and_leave_no_files_open(server):
    import socket

    head = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    server.json("/runs")
    files, memory = server.open_files, server.memory_bytes
    for _ in range(3):
        listeners = []
        for _ in range(100):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(head.encode())
            listeners.append(sock)
        for sock in listeners:
            assert b"200" in sock.recv(4096)
            sock.close()
    end = time.monotonic() + 25
    while server.open_files > files + 3 and time.monotonic() < end:
        server.json("/runs")
        time.sleep(0.2)
    assert server.open_files <= files + 3
    assert server.memory_bytes - memory < 30 * 2**20
