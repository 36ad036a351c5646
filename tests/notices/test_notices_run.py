"""What people are told of a run, and that telling them never changes it."""

import signal

import pytest
from sinks import until

ALL = ["first-failure", "failure", "end", "stalled", "head-lost"]


def webhook(sink, **more):
    return {"type": "webhook", "url": f"{sink.url}/hook", **more}


def test_first_failure_and_end_arrive_with_the_end_of_the_log_and_the_counts(project, sink):
    project.channels(webhook(sink))
    project("run", code=1)
    until(lambda: len(sink.requests) == 2)
    first, end = sink.notes()
    assert (first["event"], end["event"]) == ("first-failure", "end")
    assert first["failures"][0]["task"] == "part-0"
    assert first["failures"][0]["tail"] == ["part 0"]
    assert end["status"] == "failed"
    assert end["counts"] == {"ran": 2, "skipped": 0, "failed": 1, "cancelled": 0}
    assert first["thread"] == end["thread"]
    assert first["run"] == "demo-1"


def test_five_hundred_failures_are_a_few_messages(project, sink):
    project.channels(webhook(sink, on=ALL))
    project("run", "--n", "500", "--bad", "500", code=1)
    until(lambda: "end" in sink.events())
    assert sink.events() == ["first-failure", "end"]
    assert sink.notes()[-1]["counts"]["failed"] == 500


def test_failures_that_no_end_will_tell_are_told_at_the_end_in_one_message(project, sink):
    project.channels(webhook(sink, on=["failure"]))
    project("run", "--n", "20", "--bad", "20", code=1)
    until(lambda: len(sink.requests) == 2)
    assert sink.events() == ["first-failure", "failure"]
    assert "19 more tasks failed" in sink.notes()[1]["title"]


def test_run_with_nothing_to_do_says_nothing(project, sink):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n"
        "    await sf.Task(['sh', '-c', 'echo 1 > one.txt'], outputs='one.txt')\n"
    )
    project.channels(webhook(sink))
    project("run")
    until(lambda: sink.events() == ["end"])
    project("run")
    assert sink.events() == ["end"]


def test_channel_that_hangs_costs_less_than_half_a_second_and_holds_up_no_other(project, sink, hanging):
    plain = min(project("run", code=1).seconds for _ in range(3))
    project.channels(webhook(hanging), webhook(sink))
    assert min(project("run", code=1).seconds for _ in range(4)) < plain + 0.5
    until(lambda: sink.events().count("end") == 4)
    assert hanging.requests


def test_channel_that_answers_500_is_one_warning_and_a_line_in_the_log(project, angry):
    project.channels(webhook(angry, name="ops"))
    project.write(
        "import time\nimport scriptflow as sf\n\n\nasync def flow_demo():\n"
        "    await sf.notify('one')\n    await sf.notify('two')\n    await sf.Task(['sleep', '0.7'])\n"
    )
    done = project("run")
    assert done.stderr.count("warning[notify-failed]: channel ops") == 1
    assert "500" in done.stderr
    assert "channel ops: message" in project.log


def test_dead_address_changes_neither_time_nor_exit_code(project):
    plain = min(project("run", code=1).seconds for _ in range(3))
    project.channels({"type": "webhook", "url": "http://127.0.0.1:9/x"})
    assert min(project("run", code=1).seconds for _ in range(4)) < plain + 0.5


def test_program_that_is_not_there_is_a_warning(project):
    project.channels({"type": "command", "command": ["no-such-program"]})
    assert "no-such-program" in project("run", code=1).stderr + until(lambda: project.log)


def test_killed_head_is_told_at_once_and_not_again_by_the_next_run(project, sink):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.notify('begun')\n"
        "    await sf.Task(['sh', '-c', 'sleep 600'])\n"
    )
    project.channels(webhook(sink))
    head = project.start("run")
    until(lambda: sink.events() == ["message"])
    head.send_signal(signal.SIGKILL)
    head.wait()
    until(lambda: sink.events() == ["message", "head-lost"])
    assert sink.notes()[1]["run"] == "demo-1"
    project.write("import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['true'])\n")
    project("run")
    until(lambda: "end" in sink.events())
    assert sink.events() == ["message", "head-lost", "end"]


def test_run_after_a_machine_that_died_tells_of_it(project, sink):
    project.write("import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['sh', '-c', 'sleep 600'])\n")
    project.channels(webhook(sink))
    head = project.start("run")
    courier = until(lambda: _couriers(head.pid))[0]
    import os

    os.kill(courier, signal.SIGKILL)
    head.send_signal(signal.SIGKILL)
    head.wait()
    project.write("import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['true'])\n")
    project("run")
    until(lambda: "end" in sink.events())
    assert sorted(sink.events()) == ["end", "head-lost"]
    assert "demo-1 was cut short" in next(note for note in sink.notes() if note["event"] == "head-lost")["text"]


def _couriers(head):
    """Return the processes that send notes for a head."""
    import pathlib

    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes()
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"scriptflow.notices.sending" in words and parent == head:
                found.append(int(folder.name))
    return found


def test_stopped_run_is_told_as_stopped_and_not_as_lost(project, sink):
    project.write("import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['sh', '-c', 'sleep 600'])\n")
    project.channels(webhook(sink))
    head = project.start("run")
    until(lambda: _couriers(head.pid))
    head.send_signal(signal.SIGTERM)
    assert head.wait() == 143
    until(lambda: "end" in sink.events())
    assert sink.events() == ["end"]
    assert sink.notes()[0]["status"] == "cancelled"


def test_run_without_progress_is_told_once(project, sink):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['sleep', '3'], name='slow')\n"
    )
    project.channels(webhook(sink, stalled_after=1))
    project("run")
    until(lambda: "end" in sink.events())
    assert sink.events() == ["stalled", "end"]
    assert "slow" in sink.notes()[0]["text"]


@pytest.mark.parametrize("old", ["my-hash", True])
def test_word_of_the_old_version_is_taken_and_nothing_is_sent(project, old):
    project.channels(notify=old)
    project("run", code=1)
    assert "notify" not in project.log
