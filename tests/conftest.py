"""What sf.init recorded in one test must not reach the next."""

import pytest

from scriptflow.core import config


@pytest.fixture(autouse=True)
def no_inits_left_over():
    before = list(config._inits)
    yield
    config._inits[:] = before
