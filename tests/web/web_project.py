"""A flow with hostile names and a failure, and the command to run it."""

import subprocess
import sys

FLOW = """
import os, sys
import scriptflow as sf

sf.init({"executors": {"local": {"maxsize": 4}}})
HOSTILE = "paper <script>alert(1)</script> \\"'&\\x1b[31m\\u202e"


async def flow_paper(tol: str = "1e-6"):
    raw = sf.Task("cp source.csv raw.csv", inputs="source.csv", outputs="raw.csv", name="fetch")
    await raw
    sims = []
    for i in range(8):
        command = f"cat raw.csv > sim_{i}.csv; echo tol {tol}"
        if i == 5:
            command = "printf 'reading\\\\n\\\\033[31mred\\\\033[0m <img src=x onerror=alert(1)>\\\\n'"
            command += "; echo ValueError: no such column: yield; exit 3"
        made = f"sim_{i}.csv"
        sims.append(sf.Task(["sh", "-c", command], inputs="raw.csv", outputs=made, name=f"simulate-{i}"))
    await sf.bag(*sims, return_exceptions=True, name="simulate")
    copy = ["sh", "-c", "cat sim_0.csv > 'out put.txt'"]
    await sf.Task(copy, inputs="sim_0.csv", outputs="out put.txt", name=HOSTILE)
    await sf.Task(["sh", "-c", "echo dots > dots.txt"], outputs="dots.txt", name="..")


async def flow_slow():
    await sf.Task(["sh", "-c", "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo done > slow.txt; echo ended"],
                  outputs="slow.txt", name="slow")
"""


def scriptflow(folder, *words, code=None):
    done = subprocess.run(
        [sys.executable, "-m", "scriptflow", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def make_project(folder):
    (folder / "sflow.py").write_text(FLOW)
    (folder / "source.csv").write_text("1,2,3\n")
    return folder
