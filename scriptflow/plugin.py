"""All that a plug-in imports: what jobs are, what an executor and a transport promise, and our errors.

A batch system of one's own is a subclass of ``scriptflow.hpc.batch.BatchExecutor`` besides; its tests come with
``scriptflow.testing.contract``.
"""

from __future__ import annotations

from scriptflow.core.frozen import changed, frozen
from scriptflow.core.interfaces import Capabilities, Completed, Executor, Transport
from scriptflow.core.job import Job, JobId, JobReport, Resources
from scriptflow.core.nearest import nearest
from scriptflow.core.states import Cause, JobState
from scriptflow.core.units import bytes_of, seconds_of, size_text, time_text
from scriptflow.errors import ExecutorError, PluginError, ScriptflowError, SettingsError, UnitError

__all__ = [
    "Capabilities",
    "Cause",
    "Completed",
    "Executor",
    "ExecutorError",
    "Job",
    "JobId",
    "JobReport",
    "JobState",
    "PluginError",
    "Resources",
    "ScriptflowError",
    "SettingsError",
    "Transport",
    "UnitError",
    "bytes_of",
    "changed",
    "frozen",
    "nearest",
    "seconds_of",
    "size_text",
    "time_text",
]
