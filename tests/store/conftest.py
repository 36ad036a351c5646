"""A project's folder with its run store."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scriptflow.store.sqlite import SqliteStore


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".scriptflow"


@pytest.fixture
def store(folder):
    opened = SqliteStore.open(folder)
    yield opened
    opened.close()
