"""One ground for each test, and a limit for all of them."""

import sys

import pytest
from ground import Ground


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/chaos/" in str(item.path):
            item.add_marker(pytest.mark.slow)  # they kill and wait: .ci/run has them, the default run does not
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="reads /proc: Linux only"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(60))


@pytest.fixture
def ground(tmp_path):
    folder = tmp_path / "ground"
    folder.mkdir()
    place = Ground(folder)
    yield place
    place.close()
