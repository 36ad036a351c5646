import pytest
from asking import Asked


@pytest.fixture
def asked(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Asked(folder)
