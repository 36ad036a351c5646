"""One project for each test; what it started and did not end is ended after it."""

import pytest
from projects import Project


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    yield project
    for child in project.started:
        if child.poll() is None:
            child.kill()
            child.communicate()
        child.stdout.close()
