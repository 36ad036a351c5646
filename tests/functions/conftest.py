"""One project for each test."""

import os
import signal

import pytest
from function_projects import Project


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    yield made
    for child in made.children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
