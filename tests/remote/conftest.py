"""A project that sends its runs, and a server that takes them in."""

import signal

import pytest
from parties import Project, Server


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder)
    yield made
    made.end()


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path / "data")
    yield made
    made.stop(signal.SIGKILL)
