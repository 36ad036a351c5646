"""PBS's own faults, over scripted commands: none of them fails a job, doubles it or loses it without a word."""

import asyncio

import pytest
from beds import QUICK, until

from scriptflow.core.frozen import changed
from scriptflow.core.states import Cause, JobState

FLEETING = changed(QUICK, deadline_s=2.0, grace_s=2.0)


def waiting_job(place):
    return place.job("echo >> ran; until [ -e go ]; do sleep 0.1; done; exit 3")


@pytest.mark.parametrize("fault", ["down", "hang", "cut", "foreign"])
def test_queue_that_gives_no_answer_fails_no_job(pbs, tools, fault):
    async def body(executor):
        job_id = await executor.submit(waiting_job(pbs))
        await until((pbs.folder / "ran").exists)
        tools.fault(fault)
        waiter = asyncio.ensure_future(executor.wait(job_id))
        await until(lambda: any("does not answer" in note for note in pbs.notes))
        assert not waiter.done()
        tools.fault()
        (pbs.folder / "go").touch()
        return await waiter

    assert pbs.run(body, pace=FLEETING).exit_code == 3
    assert (pbs.folder / "ran").read_text() == "\n"


@pytest.mark.parametrize("fault", ["lost-answer", "late-answer"])
def test_lost_answer_is_settled_by_looking(pbs, tools, fault):
    (pbs.folder / "go").touch()
    tools.fault(fault)
    assert pbs.report(waiting_job(pbs), pace=FLEETING).exit_code == 3
    assert (pbs.folder / "ran").read_text() == "\n"


def test_greeting_of_a_login_shell_is_no_job_id(pbs, tools):
    (pbs.folder / "go").touch()
    tools.fault("banner")
    assert pbs.report(waiting_job(pbs), pace=FLEETING).exit_code == 3


def test_ended_job_without_history_is_told_by_its_record(pbs, tools):
    (pbs.folder / "go").touch()
    tools.fault("no-history")
    assert pbs.report(waiting_job(pbs), pace=FLEETING).exit_code == 3


def test_job_that_the_server_forgot_is_lost(pbs, tools):
    tools.fault("vanish")
    report = pbs.report(waiting_job(pbs), pace=FLEETING)
    assert (report.state, report.cause) == (JobState.LOST, Cause.LOST), report


def test_server_that_is_down_at_the_submission_is_waited_for(pbs, tools):
    (pbs.folder / "go").touch()
    tools.fault("down")

    async def body(executor):
        submission = asyncio.ensure_future(executor.submit(waiting_job(pbs)))
        await until(lambda: pbs.notes)
        tools.fault()
        return await executor.wait(await submission)

    assert pbs.run(body, pace=FLEETING).exit_code == 3
    assert (pbs.folder / "ran").read_text() == "\n"
