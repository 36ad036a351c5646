"""The flows that the graphs do not cover, as text. Knows nothing of peers or measuring."""

from __future__ import annotations

DISPATCH = '''\
"""Touch N files; write down what CPU the jobs themselves used, for the head's own share is the rest."""

import os

import scriptflow as sf


def reaped():
    """Return the CPU seconds of everything buried by this process or by a living child of it: the jobs."""
    ticks = 0
    children = [os.getpid()]
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children") as file:
            children += file.read().split()
    for pid in children:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[13]) + int(fields[14])
    return ticks / os.sysconf("SC_CLK_TCK")


async def flow_work(n: int = $N):
    before = reaped()
    await sf.bag(*[sf.Task(["touch", f"out/{i}"], inputs=f"in/{i}", outputs=f"out/{i}") for i in range(n)])
    with open("jobs-cpu.txt", "w") as file:
        file.write(str(reaped() - before))
'''

AWAITING = """\
import scriptflow as sf


async def flow_work(n: int = $N):
    before = "in/0"
    for i in range(n):
        task = sf.Task(["$PROGRAM", f"out/{i}"], inputs=before, outputs=f"out/{i}")
        await task
        before = task.output_file
"""

PENDING = """\
import scriptflow as sf


async def flow_work(n: int = $N, form: str = "list"):
    gate = sf.Task("touch gate && exec sleep 1000", shell=True, outputs="never", name="gate", priority=1).start()
    tasks = (sf.Task(["touch", f"out/{i}"], inputs="in", outputs=f"out/{i}") for i in range(n))
    if form == "sent":
        tasks = [task.start() for task in tasks]
    await sf.bag(tasks) if form == "generator" else await sf.bag(*tasks)
    await gate
"""


def write(folder: str, text: str, n: int, **words: str) -> None:
    """Write a flow into a folder as sflow.py."""
    text = text.replace("$N", str(n))
    for word, value in words.items():
        text = text.replace(f"${word}", value)
    with open(f"{folder}/sflow.py", "w", encoding="utf-8") as file:
        file.write(text)
