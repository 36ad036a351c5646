"""What sf.init recorded in one test must not reach the next, nor the width of whoever runs the tests any of them."""

import os

import pytest
from hypothesis import HealthCheck, settings

from scriptflow.core import config

os.environ.pop("COLUMNS", None)
# A machine that is busy with other things is no fault of a test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_inits_left_over():
    before = list(config._inits)
    yield
    config._inits[:] = before
