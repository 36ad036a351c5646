"""Fixtures: a folder with jobs on each batch system that is up, and on the scripted PBS."""

import os

import pytest
from beds import NO_SGE, NO_SLURM, Place, on_sge, on_slurm
from clusterflow import ClusterFlow

from scriptflow.hpc.pbs import PbsExecutor
from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor
from scriptflow.testing.batchtools import ScriptedPbs


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in (
            "test_hpc_contract.py",
            "test_hpc_ends.py",
            "test_hpc_once.py",
            "test_hpc_pbs_faults.py",
            "test_hpc_adoption.py",
            "test_hpc_told.py",
            "test_hpc_far.py",
            "test_hpc_transports.py",
        ):
            item.add_marker(pytest.mark.slow)  # they wait for schedulers: .ci/run has them


@pytest.fixture(autouse=True)
def no_heads_left_over():
    yield
    for head in ClusterFlow.heads:
        head.kill()
        head.wait()
        head.stdout.close()
    ClusterFlow.heads.clear()


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A scripted PBS whose commands come first on PATH."""
    made = ScriptedPbs(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{made.commands}:{os.environ['PATH']}")
    yield made
    made.close()


@pytest.fixture(
    params=[
        pytest.param(SlurmExecutor, marks=[pytest.mark.slurm, on_slurm], id="slurm"),
        pytest.param(SgeExecutor, marks=[pytest.mark.sge, on_sge], id="sge"),
        pytest.param(PbsExecutor, id="pbs"),
    ]
)
def place(request, tmp_path):
    """Any batch system: the real ones that are up, and the scripted one."""
    if request.param is PbsExecutor:
        request.getfixturevalue("tools")
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


@pytest.fixture
def pbs(tmp_path, tools):
    return Place(PbsExecutor, tmp_path)
