"""The batch executors keep the contract: on real systems where they are up, PBS over scripted commands."""

import pytest
from beds import QUICK, on_sge, on_slurm

from scriptflow.hpc.pbs import PbsExecutor
from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor
from scriptflow.testing.contract import ExecutorContract


@pytest.mark.slurm
@on_slurm
class TestSlurmExecutor(ExecutorContract):
    def make_executor(self, tmp_path):
        return SlurmExecutor({}, folder=str(tmp_path / ".scriptflow"), pace=QUICK)


@pytest.mark.sge
@on_sge
class TestSgeExecutor(ExecutorContract):
    def make_executor(self, tmp_path):
        return SgeExecutor({}, folder=str(tmp_path / ".scriptflow"), pace=QUICK)


@pytest.mark.usefixtures("tools")
class TestPbsExecutor(ExecutorContract):
    def make_executor(self, tmp_path):
        return PbsExecutor({}, folder=str(tmp_path / ".scriptflow"), pace=QUICK)
