"""What sf.init recorded in one test must not reach the next, nor the width of whoever runs the tests any of them."""

import os

import pytest

from scriptflow.core import config

os.environ.pop("COLUMNS", None)


@pytest.fixture(autouse=True)
def no_inits_left_over():
    before = list(config._inits)
    yield
    config._inits[:] = before
