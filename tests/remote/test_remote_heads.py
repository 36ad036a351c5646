"""Heads that send: what arrives, what stays, and that no server ever slows or fails a run."""

import json
import signal
import socket
import threading
from pathlib import Path

import pytest
from parties import TOKEN, wait_until

from scriptflow.core.events import JobStarted, TaskEnded
from scriptflow.core.fingerprint import Manifest
from scriptflow.sending import spool as spooling
from scriptflow.sending.pack import Packer
from scriptflow.sending.spool import Spool


def ended(server, count=1):
    return wait_until(lambda: [run for run in server.runs() if str(run.status) != "running"][: count or None])


def test_run_arrives_with_its_tasks_and_the_end_of_failed_logs(project, server):
    server.start()
    project.sends(server.url, detail="tasks")
    project("run", code=1)
    (run,) = ended(server)
    assert (run.run, str(run.status), run.counts.ran, run.counts.failed) == ("demo-1", "failed", 3, 1)
    jobs = {job.task: job for job in server.jobs(run)}
    assert {name: str(job.state) for name, job in jobs.items()} == {
        "part-0": "failed", "part-1": "succeeded", "part-2": "succeeded", "part-3": "succeeded"
    }  # fmt: skip
    assert jobs["part-0"].exit_code == 1
    with open(jobs["part-0"].log) as log:
        assert log.read() == "part 0\n"


def test_only_counts_leave_the_machine_unless_more_is_asked_for(project, server):
    server.start()
    project.sends(server.url)
    project("run", code=1)
    (run,) = ended(server)
    assert run.counts.ran == 3
    assert server.jobs(run) == []
    kept = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
    assert b"part-1" not in kept
    assert b"echo" not in kept


def test_failures_send_the_failed_tasks_alone(project, server):
    server.start()
    project.sends(server.url, detail="failures")
    project("run", code=1)
    (run,) = ended(server)
    (job,) = server.jobs(run)
    assert job.task == "part-0"
    assert "echo part 0" in Manifest(job.manifest).command


def test_logs_are_sent_where_they_are_asked_for(project, server):
    server.start()
    project.sends(server.url, detail="logs")
    project("run", code=1)
    (run,) = ended(server)
    logs = {job.task: Path(job.log).read_text() for job in server.jobs(run)}
    assert logs["part-2"] == "part 2\n"


def test_what_a_server_that_is_away_misses_comes_with_the_next_run(project, server):
    project.sends(server.url, detail="tasks")
    said = project("run", code=1).stderr
    assert said.count("warning[server]") == 1
    assert project.waiting
    server.start()
    project("run", code=1)
    wait_until(lambda: not project.waiting)
    assert [run.run for run in ended(server, 2)] == ["demo-2", "demo-1"]
    assert [run.counts.failed for run in server.runs()] == [1, 1]


def test_server_that_comes_back_within_a_run_gets_all_of_it(project, server):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n    for i in range(3):\n"
        "        await sf.Task(['sh', '-c', f'echo {i}; sleep 1.2'], name=f'step-{i}')\n"
    )
    project.sends(server.url, detail="tasks")
    head = project.start("run")
    wait_until(lambda: project.waiting)
    server.start()
    assert head.wait(60) == 0
    run = wait_until(lambda: [run for run in server.runs() if str(run.status) == "succeeded"])[0]
    assert [job.task for job in server.jobs(run)] == ["step-0", "step-1", "step-2"]


def test_server_that_never_answers_costs_less_than_half_a_second(project):
    plain = min(project("run", code=1).seconds for _ in range(3))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        project.sends(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert min(project("run", code=1).seconds for _ in range(3)) < plain + 0.5
    assert project.waiting


@pytest.mark.parametrize("status", [b"500 Oops", b"401 No", b"302 Elsewhere\r\nLocation: http://127.0.0.1:9/"])
def test_server_that_answers_badly_is_one_warning(project, status):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def answer():
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(1 << 16)
                    peer.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        project.write(
            "import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['sh', '-c', 'sleep 2.5'])\n"
        )
        project.sends(f"http://127.0.0.1:{server.getsockname()[1]}")
        said = project("run").stderr
    assert said.count("warning[server]") == 1
    assert ("SCRIPTFLOW_SERVER_TOKEN" in said) == (b"401" in status)
    assert TOKEN not in said
    assert project.waiting


def test_spool_that_cannot_be_written_is_kept_in_memory(project, server):
    server.start()
    project("run", code=1)
    (project.folder / ".scriptflow" / "spool").write_text("a file stands here")
    project.sends(server.url, detail="tasks")
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n"
        "    await sf.Task(['sh', '-c', 'sleep 1.5'], name='one')\n"
        "    await sf.Task(['sh', '-c', 'sleep 1.5'], name='two')\n"
    )
    project("run")
    assert wait_until(lambda: [job.task for job in server.jobs(server.runs()[0])])[0] == "one"


def test_token_stands_in_no_file(project, server):
    project.sends(server.url, detail="logs")
    project("run", code=1)
    for path in (project.folder / ".scriptflow").rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes()


def test_head_that_is_not_heard_of_is_shown_as_interrupted_until_it_is_heard_again(project, server):
    server.start("1.0")
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n"
        "    await sf.Task(['sh', '-c', 'while test ! -e go; do sleep 0.1; done'])\n"
    )
    project.sends(server.url)
    head = project.start("run")
    wait_until(lambda: [run for run in server.runs() if str(run.status) == "interrupted"])
    assert "no word from" in server.runs()[0].message
    (project.folder / "go").touch()
    assert head.wait(30) == 0
    assert str(ended(server)[0].status) == "succeeded"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('server = "ftp://x"', "no web address"),
        ('server = "http://flows.example.org"', "in the clear"),
        ('server = "https://user:pw@flows.example.org"', "more than an address"),
        ('server = {url = "https://x", proj = "p"}', "server.project"),
        ('server = {url = "https://x", detail = "all"}', "one of counts"),
        ("server = 3", "setting `server`"),
    ],
)
def test_wrong_server_is_refused_before_anything_runs(project, setting, said):
    project.write(setting + "\n", "scriptflow.toml")
    assert said in project("run", code=2).stderr
    assert not (project.folder / ".scriptflow").exists()


# --- the spool ------------------------------------------------------------------------------------


def test_full_spool_drops_the_oldest_detail_and_keeps_the_newest_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(spooling, "MOST_BYTES", 1000)
    spool = Spool(str(tmp_path / "spool"), "a" * 32)
    for number in range(1, 21):
        spool.put(number, json.dumps({"batch": number, "rows": "x" * 100}).encode(), rows=True)
    assert spool.lost > 5
    left = Spool(str(tmp_path / "spool"), "b" * 32)
    numbers = []
    while (found := left.first()) is not None:
        numbers.append(json.loads(found[1])["batch"])
        left.sent(found[0])
    assert numbers == sorted(numbers)
    assert numbers[-1] == 20
    assert list((tmp_path / "spool").iterdir()) == []


def test_counts_that_were_not_sent_yet_are_replaced_by_newer_ones(tmp_path):
    spool = Spool(str(tmp_path / "spool"), "a" * 32)
    for number in range(1, 1000):
        spool.put(number, b"{}", rows=False)
    assert len(spool) == 1
    assert spool.first()[0].number == 999


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_while_the_server_is_killed_again_and_again(tmp_path, server):
    from parties import Project

    server.start()
    projects = []
    for number in range(4):
        folder = tmp_path / f"project-{number}"
        folder.mkdir()
        projects.append(Project(folder))
        projects[-1].sends(server.url, detail="tasks")
        projects[-1].write(
            "import scriptflow as sf\nsf.init({'executors': {'local': {'maxsize': 4}}})\n\n\n"
            "async def flow_demo():\n"
            "    await sf.bag(*[sf.Task(['sh', '-c', f'sleep 0.15; : {i}'], name=f't-{i}') for i in range(300)])\n"
        )
    heads = [project.start("run", "-q") for project in projects]
    kills = 0
    while any(head.poll() is None for head in heads):
        wait_until(lambda: server.folder.exists())
        threading.Event().wait(0.7)
        server.stop(signal.SIGKILL)
        server.start()
        kills += 1
    assert kills >= 3
    for project in projects:
        project.write("import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['true'])\n")
        project("run")  # takes with it whatever is left
        wait_until(lambda project=project: not project.waiting)
    for number in range(4):
        run = wait_until(lambda number=number: server.runs(f"project-{number}"))[-1]
        assert (str(run.status), run.counts.ran) == ("succeeded", 300)
        assert sorted(job.task for job in server.jobs(run, f"project-{number}")) == sorted(f"t-{i}" for i in range(300))


def test_names_of_stray_bytes_and_of_any_length_arrive(project, server):
    server.start()
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n"
        "    await sf.Task(['sh', '-c', 'echo \"\\udcff\"'], name='stray-\\udcff')\n"
        "    await sf.Task(['true'], name='x' * 3000)\n"
    )
    project.sends(server.url, detail="logs")
    project("run")
    (run,) = ended(server)
    assert [job.task[:6] for job in server.jobs(run)] == ["stray-", "xxxxxx"]


def test_batch_that_grows_too_long_when_it_is_written_is_sent_in_parts(tmp_path):
    packer = Packer({"schema": 1}, "logs")
    events = []
    for job in range(1, 13):
        log = tmp_path / f"{job}.log"
        log.write_bytes(b"\x1b" * (64 << 10))
        events += [
            JobStarted(
                at=1.0, task=f"t-{job}", group="", job=job, attempt=1, executor="local", command="true", log=str(log),
                reasons=(),
            ),
            TaskEnded(
                at=2.0, task=f"t-{job}", group="", state="succeeded", job=job, attempt=1, attempts=1, seconds=1.0,
                report=None, log=str(log), reasons=(),
            ),
        ]  # fmt: skip
    made = list(packer.batches(events))
    assert max(len(content) for _, content, _ in made) < 2 << 20
    assert [number for number, _, _ in made] == list(range(1, len(made) + 1))
    read = [json.loads(content) for _, content, _ in made]
    assert [row["job"] for batch in read for row in batch["started"]] == list(range(1, 13))
    assert [row["job"] for batch in read for row in batch["ended"]] == list(range(1, 13))
