"""Fixtures: a folder with jobs on each batch system that is up."""

import pytest
from beds import NO_SGE, NO_SLURM, Place, on_sge, on_slurm

from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor


def pytest_configure(config):
    config.addinivalue_line("markers", "slurm: needs a real Slurm (tests/testbeds/slurm-up)")
    config.addinivalue_line("markers", "sge: needs a real Grid Engine (tests/testbeds/sge-up)")


@pytest.fixture(
    params=[
        pytest.param(SlurmExecutor, marks=[pytest.mark.slurm, on_slurm], id="slurm"),
        pytest.param(SgeExecutor, marks=[pytest.mark.sge, on_sge], id="sge"),
    ]
)
def place(request, tmp_path):
    """Any real batch system that is up."""
    return Place(request.param, tmp_path)


@pytest.fixture
def slurm(tmp_path):
    if NO_SLURM:
        pytest.skip(NO_SLURM)
    return Place(SlurmExecutor, tmp_path)


@pytest.fixture
def sge(tmp_path):
    if NO_SGE:
        pytest.skip(NO_SGE)
    return Place(SgeExecutor, tmp_path)
