"""The flow itself goes wrong: what runs is awaited and recorded, and the user is told where, once."""

import os
import time

import pytest
from ground import until

TASKS = """
    import {imports}
    async def flow_wrong():
        words = "echo > up-%d; until [ -e go ]; do sleep 0.01; done; echo >> ran; echo > out-%d"
        going = [sf.Task(["sh", "-c", words % (n, n)], outputs="out-%d" % n, name="t%d" % n).start() for n in range(4)]
        late = sf.Task("touch late", outputs="late")
        while not all(__import__("os").path.exists("up-%d" % n) for n in range(4)):
            await asyncio.sleep(0.01)
        {wrong}
"""


def begin(ground, wrong, imports="asyncio"):
    ground.flow(TASKS.format(wrong=wrong, imports=imports))
    return ground.start("run", "-j", "4")


@pytest.mark.parametrize(("wrong", "code", "word"), [
    ("open('go', 'w').close(); raise ValueError('mine')", 1, "ValueError"),
    ("open('go', 'w').close(); 1 / 0", 1, "ZeroDivisionError"),
    ("open('go', 'w').close(); assert False, 'mine'", 1, "AssertionError"),
    ("open('go', 'w').close(); raise asyncio.CancelledError('mine')", 1, ""),
    ("open('go', 'w').close(); raise RecursionError('mine')", 1, "RecursionError"),
    ("open('go', 'w').close(); raise MemoryError('mine')", 1, "MemoryError"),
    ("open('go', 'w').close(); await sf.Task('false', outputs='never')", 1, "never"),
    ("open('go', 'w').close(); await asyncio.gather(sf.Task('false', outputs='never'), *going)", 1, "never"),
])  # fmt: skip
def test_a_flow_that_raises_lets_its_running_tasks_end_on_record(ground, wrong, code, word):
    told = begin(ground, wrong).end(code)
    assert word in told, told
    assert told.count("Traceback") <= 1, told
    assert "never retrieved" not in told
    assert "/scriptflow/engine" not in told, told
    ground.assert_no_process()
    assert all((ground / f"out-{n}").exists() for n in range(4)), told
    ground.flow(TASKS.format(wrong="await sf.bag(*going)", imports="asyncio"))
    (ground / "go").touch()
    assert ground.counts() == (0, 4, 0)


@pytest.mark.parametrize(("wrong", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('my reason')", 1)])
def test_a_flow_that_calls_exit_leaves_no_process_and_a_sound_store(ground, wrong, code):
    head = begin(ground, wrong, imports="asyncio, sys")
    told = head.end(limit=20)
    assert head.returncode in (code, 1), told
    assert "Traceback" not in told, told
    ground.assert_no_process(within=1.0)
    ground.assert_sound()
    assert ground.litter() == []
    ground.flow(TASKS.format(wrong="await sf.bag(*going)", imports="asyncio"))
    (ground / "go").touch()
    ground.run()


def test_a_flow_that_ends_its_process_the_hard_way_leaves_nothing_taken_for_done(ground):
    head = begin(ground, "__import__('os')._exit(7)")
    assert head.wait(20) == 7
    ground.assert_no_process(within=0.5)
    (ground / "go").touch()
    ground.flow(TASKS.format(wrong="await sf.bag(*going)", imports="asyncio"))
    assert ground.counts()[0] == 4


def test_tasks_never_awaited_are_warned_of_with_their_line(ground):
    ground.flow("""
        async def flow_forgets():
            for n in range(1000):
                sf.Task("touch out-%d" % n, outputs="out-%d" % n)
    """)
    told = ground.run()
    assert "995 more tasks were never awaited" in told, told
    assert "sflow.py:5" in told, told


def test_started_tasks_all_end_before_the_run_does(ground):
    ground.flow("""
        async def flow_starts():
            for n in range(200):
                sf.Task(["sh", "-c", "sleep 0.1; echo > out-%d" % n], outputs="out-%d" % n).start()
    """)
    ground.run("-q", "-j", "50")
    assert all((ground / f"out-{n}").exists() for n in range(200))
    ground.assert_no_process()


def test_a_flow_that_blocks_the_loop_is_warned_of_with_the_line(ground):
    ground.flow("""
        import time
        async def flow_blocks():
            task = sf.Task(["sleep", "0.2"]).start()
            time.sleep(4)
            await task
    """)
    told = ground.run()
    assert "sflow.py:6" in told or "line 6" in told, told
    assert "block" in told, told


def test_a_stop_reaches_a_flow_that_blocks_the_loop(ground):
    ground.flow("""
        import time
        async def flow_blocks():
            task = sf.Task(["sh", "-c", "echo > up; sleep 99"]).start()
            await sf.Task("true")
            end = time.monotonic() + 20
            while time.monotonic() < end:
                time.sleep(0.1)
    """)
    head = ground.start("run")
    until((ground / "up").exists, what="the task", head=head)
    head.send_signal(15)
    head.end(limit=15)
    ground.assert_no_process()


def test_a_flow_that_swallows_its_cancellation_cannot_keep_the_head(ground):
    ground.flow("""
        import asyncio
        async def flow_stubborn():
            sf.Task(["sh", "-c", "echo > up; sleep 99"]).start()
            while True:
                try:
                    await asyncio.sleep(60)
                except BaseException:
                    pass
    """)
    head = ground.start("run")
    until((ground / "up").exists, what="the task", head=head)
    head.send_signal(2)
    head.end(limit=15)
    ground.assert_no_process()


def test_a_stop_in_a_stream_of_a_million_tasks_is_answered_at_once(ground):
    ground.flow("""
        async def flow_stream():
            await sf.bag(sf.Task(["true", str(n)]) for n in range(1_000_000))
    """)
    head = ground.start("run", "-q", "-j", "4")
    logs = ground / ".scriptflow/logs/stream-1"
    until(lambda: logs.exists() and len(os.listdir(logs)) >= 1100, what="more tasks than fit the window", head=head)
    with open(f"/proc/{head.pid}/status") as file:
        peak_kb = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    assert peak_kb < 100_000
    began = time.monotonic()
    head.send_signal(2)
    head.end(130)
    assert time.monotonic() - began < 2
    ground.assert_no_process()
    ground.assert_sound()


def test_a_flow_that_deletes_its_own_folder_ends_with_an_error(ground):
    ground.flow("""
        import os, shutil
        async def flow_deletes():
            await sf.Task("touch a", outputs="a")
            shutil.rmtree(os.getcwd())
            await sf.Task("touch b", outputs="b")
    """)
    head = ground.start("run")
    told = head.end(limit=20)
    assert head.returncode == 1, told
    assert told.count("Traceback") <= 1, told
    assert "scriptflow/engine" not in told, told
    ground.assert_no_process()


def test_a_flow_with_threads_and_children_of_its_own_works(ground):
    ground.flow("""
        import asyncio, multiprocessing, subprocess, threading
        async def flow_threads():
            done = []
            work = lambda: done.append(subprocess.run(["true"]).returncode)
            threads = [threading.Thread(target=work) for _ in range(20)]
            for thread in threads:
                thread.start()
            await sf.bag(*(sf.Task(["sh", "-c", "echo > out-%d" % n], outputs="out-%d" % n) for n in range(50)))
            process = await asyncio.create_subprocess_exec("true")
            assert await process.wait() == 0
            for thread in threads:
                thread.join()
            assert done == [0] * 20, done
    """)
    ground.run("-q")
    ground.assert_no_process()


def test_a_thread_of_the_flow_that_never_ends_does_not_keep_the_head_for_ever(ground):
    ground.flow("""
        import threading, time
        async def flow_thread():
            threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
            await sf.Task("touch a", outputs="a")
    """)
    ground.run(limit=10)


def test_a_forked_child_of_the_flow_that_outlives_it_does_not_keep_the_store(ground):
    ground.flow("""
        import os, time
        async def flow_forks():
            await sf.Task("touch a", outputs="a")
            if os.fork() == 0:
                open("child", "w").close()
                time.sleep(8)
                os._exit(0)
    """)
    ground.run()
    until((ground / "child").exists, what="the child")
    assert ground.counts(limit=10)[1] == 1
