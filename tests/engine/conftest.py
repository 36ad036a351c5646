"""One folder for each test, and a time limit for all of them."""

import pytest
from places import Place


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/engine/" in str(item.path) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(30))


@pytest.fixture
def here(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()
