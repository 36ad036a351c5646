"""Pages and their JSON over a real store, through a real server."""

import json
import sqlite3
from urllib.parse import quote

import pytest
from serving import Server

from scriptflow.core.records import RunCounts, RunStart
from scriptflow.core.states import RunState
from scriptflow.store.sqlite import SqliteStore

PAGES = {
    "/": "/runs",
    "/r/paper-2": "/runs/paper-2",
    "/flows/paper": "/flows/paper",
    "/r/last~1": "/runs/last~1",
    "/r/paper-2/tasks?state=failed": "/runs/paper-2/tasks?state=failed",
    "/r/paper-2/t/simulate-5": "/runs/paper-2/tasks/simulate-5",
    "/r/paper-2/t/simulate-5/log": "/runs/paper-2/tasks/simulate-5/log",
    "/r/paper-2/t/simulate-5/log?q=column": "/runs/paper-2/tasks/simulate-5/log?q=column",
    "/r/paper-2/graph": "/runs/paper-2/graph",
    "/r/paper-2/timeline": "/runs/paper-2/timeline",
    "/files": "/files",
    "/files/out%20put.txt": "/files/out%20put.txt/lineage",
    "/settings": "/settings",
}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_json_twin_and_links_to_it(server, page):
    shown = server.ask(page)
    assert shown.status == 200
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    assert server.json(PAGES[page])["schema"] == 1
    assert "/api/v1/" + PAGES[page].strip("/").split("/")[0] in shown.text
    twin = shown.text.split('href="/api/v1/')[1].split('"')[0].replace("&amp;", "&")
    assert server.ask("/api/v1/" + twin).status == 200


def test_the_run_page_tells_failures_first_with_the_end_of_their_log(server):
    text = server.ask("/r/paper-2").text
    assert text.index("ValueError: no such column: yield") < text.index('id="groups"')
    document = server.json("/runs/paper-2")
    (failure,) = document["failures"]
    assert failure["task"]["task"] == "simulate-5"
    assert failure["cause"] == "ValueError: no such column: yield"
    assert failure["task"]["said"] == "exit 3"
    assert (document["status"], document["failed"], document["failures_total"]) == ("failed", 1, 1)
    assert document["ran"] + document["skipped"] + document["failed"] == document["total"]


def test_tasks_are_filtered_before_they_are_limited_and_totals_are_told(server):
    found = server.json("/runs/paper-1/tasks?q=simulate&limit=3&offset=3&sort=name")
    assert [row["task"] for row in found["tasks"]] == ["simulate-3", "simulate-4", "simulate-5"]
    assert found["matching"] == 8
    assert found["with_jobs"] == 11
    assert server.json("/runs/paper-1/tasks?state=failed")["matching"] == 1
    assert server.json("/runs/paper-1/tasks?group=simulate&q=simulate-[0-3]")["matching"] == 4
    names = [row["task"] for row in server.json("/runs/paper-1/tasks?q=simulate&sort=name&desc=1")["tasks"]]
    assert names == sorted(names, reverse=True)


def test_a_task_tells_old_and_new_of_each_reason_its_files_and_its_resources(server):
    task = server.json("/runs/paper-2/tasks/simulate-0")
    (changed,) = [reason for reason in task["reasons"] if reason["code"] == "command-changed"]
    assert "1e-6" in changed["old"]
    assert "1e-8" in changed["new"]
    assert [row["file"] for row in task["inputs"]] == ["raw.csv"]
    assert task["inputs"][0]["made_by"] == "fetch"
    assert [row["bytes"] for row in task["outputs"]] == [6]
    assert task["asked"]["cpus"] == 1
    assert task["max_rss_bytes"] > 0


def test_a_log_is_told_by_parts_and_searched(server):
    log = server.json("/runs/paper-2/tasks/simulate-5/log")
    assert log["lines"][-1] == "ValueError: no such column: yield"
    rest = server.json("/runs/paper-2/tasks/simulate-5/log?at=8")
    assert rest["from"] == 8
    assert rest["lines"] == log["lines"][1:]
    found = server.json("/runs/paper-2/tasks/simulate-5/log?q=COLUMN")
    assert (found["total"], found["found"][0]["line"]) == (1, "ValueError: no such column: yield")


def test_logs_and_names_with_html_and_escapes_are_shown_as_text(server):
    for page in (
        "/r/paper-2",
        "/r/paper-2/t/simulate-5",
        "/r/paper-2/t/simulate-5/log",
        "/r/paper-2/tasks",
        "/r/paper-1/graph",
    ):
        text = server.ask(page).text
        assert "<img src=x" not in text
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "␛[31mred␛[0m &lt;img src=x onerror=alert(1)&gt;" in server.ask("/r/paper-2/t/simulate-5").text


def test_tasks_whose_names_are_hostile_have_pages(server):
    rows = server.json("/runs/paper-1/tasks")["tasks"]
    hostile = [row for row in rows if row["task"].startswith("paper <script>") or row["task"] == ".."]
    assert len(hostile) == 2
    for row in hostile:
        assert server.ask(row["page"]).status == 200
        assert server.ask(row["page"] + "/log").status == 200


def test_the_graph_joins_tasks_by_files(server):
    graph = server.json("/runs/paper-1/graph")
    assert {"from": "fetch", "to": "simulate-0"} in graph["edges"]
    near = server.json("/runs/paper-1/graph?focus=simulate-3&depth=1")
    assert {node["id"] for node in near["nodes"]} == {"fetch", "simulate-3"}
    folded = server.json("/runs/paper-1/graph?level=group")
    assert "simulate" in {node["id"] for node in folded["nodes"]}


def test_the_timeline_adds_up_to_the_time_that_tasks_took(server):
    timeline = server.json("/runs/paper-1/timeline?bins=50")
    tasks = server.json("/runs/paper-1/tasks?limit=100")["tasks"]
    for group in timeline["groups"]:
        assert len(group["running"]) == 50
        spent = sum(group["running"]) * timeline["bin_s"]
        took = sum(row["seconds"] or 0 for row in tasks if row["group"] == group["group"])
        assert spent == pytest.approx(took, rel=0.1, abs=0.02)


def test_lineage_goes_from_the_file_to_its_sources_and_its_users(server):
    up = server.json("/files/sim_0.csv/lineage")
    assert up["made_by"]["task"] == "simulate-0"
    labels = [node["label"] for node in up["nodes"]]
    assert {"source.csv", "fetch", "simulate-0", "sim_0.csv"} <= set(labels)
    assert server.json("/files/source.csv/lineage")["made_by"] is None


def test_runs_are_found_by_flow_state_and_text(server):
    assert server.json("/runs?flow=paper")["total"] == 2
    assert server.json("/runs?state=succeeded")["total"] == 0
    assert server.json("/runs?q=paper-1")["total"] == 1
    grid = server.json("/runs")["grid"]
    assert [run["run"] for run in grid["runs"]] == ["paper-2", "paper-1"]
    assert grid["groups"][0]["cells"][0]["failed"] == 1


def test_a_flow_shows_how_long_its_runs_took_and_how_they_ended(server):
    document = server.json("/flows/paper")
    assert [run["run"] for run in document["runs"]] == ["paper-2", "paper-1"]
    assert max(run["share"] for run in document["runs"]) == 1
    assert (document["total"], document["ended"]) == (2, {"failed": 2})
    assert document["argv"][:2] == ["run", "paper"]
    assert server.ask("/api/v1/flows/none").status == 404


def test_the_grid_says_when_it_leaves_out_runs_that_have_too_many_tasks(tmp_path):
    folder = str(tmp_path / ".scriptflow")
    for number in range(30):
        store = SqliteStore.open(folder)
        store.begin_run(
            RunStart(
                flow="many", name=None, tags=(), params={}, argv=(), started=1e9 + number, host="here", user="ada",
                pid=1, git="", python="3.11", version="1.0",
            )
        )  # fmt: skip
        store.end_run(RunState.SUCCEEDED, RunCounts(), "")
        store.close()
    with Server(tmp_path) as server:
        grid = server.json("/flows/many")["grid"]
        assert (len(grid["runs"]), grid["left_out"]) == (25, 0)
    with sqlite3.connect(f"{folder}/runs.db") as connection:  # as if each had had many jobs
        connection.execute("UPDATE runs SET first_job = 1, last_job = 50000")
    with Server(tmp_path) as server:
        grid = server.json("/flows/many")["grid"]
        assert (len(grid["runs"]), grid["left_out"]) == (2, 23)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/r/nix-1", 404),
        ("/r/paper-2/t/nix", 404),
        ("/r/paper-2/t/simulate-5?attempt=9", 404),
        ("/files/nix", 404),
        ("/p/nix/", 404),
        ("/r/paper-2/tasks?state=nix", 400),
        ("/r/paper-2/tasks?limit=100000", 400),
        ("/r/paper-2/tasks?nix=1", 400),
        ("/r/paper-2/tasks?limit=1&limit=2", 400),
        ("/nix", 404),
    ],
)
def test_wrong_addresses_are_said_in_a_sentence_on_the_page_and_in_json(server, path, status):
    page = server.ask(path)
    assert page.status == status
    assert "<h1>" in page.text
    answer = server.ask("/api/v1" + path.replace("/r/", "/runs/").replace("/t/", "/tasks/"))
    assert answer.status in (status, 404)
    error = json.loads(answer.text)["error"]
    assert error["what"]


def test_the_openapi_document_names_every_route(server):
    document = json.loads(server.ask("/api/v1/openapi.json").text)
    assert document["openapi"].startswith("3.")
    for path in (
        "/runs",
        "/runs/{run}/tasks/{task}/log",
        "/files/{path}/lineage",
        "/runs/{run}/events",
        "/runs/{run}/cancel",
    ):
        assert f"/api/v1{path}" in document["paths"]


def test_a_project_can_be_named_in_the_address(server, project):
    name = quote(project.name)
    assert server.ask(f"/p/{name}/r/paper-2").status == 200
    assert f'href="/p/{name}/files"' in server.ask(f"/p/{name}/r/paper-2").text
    assert json.loads(server.ask("/api/v1/projects").text)["total"] == 1
