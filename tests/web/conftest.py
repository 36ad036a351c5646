"""A real project, run for real, and a real server over it."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from serving import Server
from web_project import make_project, scriptflow


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A folder in which the flow `paper` ran twice: paper-1, and paper-2 with another tolerance."""
    folder = make_project(tmp_path_factory.mktemp("study"))
    scriptflow(folder, "run", "paper")
    scriptflow(folder, "run", "paper", "--tol", "1e-8")
    (folder / "secret.txt").write_text("not for the web")
    return folder


@pytest.fixture(scope="session")
def server(project):
    with Server(project, "--allow-actions") as running:
        yield running


@pytest.fixture
def live(tmp_path):
    """A run that goes on until ``finish`` is called, and a server beside it."""
    folder = make_project(tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-m", "scriptflow", "run", "slow"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            if any(folder.glob(".scriptflow/logs/slow-1/*.log")) or run.poll() is not None:
                break
            try:
                run.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        with Server(folder, "--allow-actions") as running:
            yield SimpleNamespace(folder=folder, server=running, run=run, finish=(folder / "go").touch)
    finally:
        (folder / "go").touch()
        try:
            run.wait(20)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
