"""Every view there is, and its address as a page and as JSON: routes and the OpenAPI document are made of this."""

from __future__ import annotations

from scriptflow.store.pages import SORTS, STATES
from scriptflow.web import data, file_data, flow_data, graph_data, settings_data, task_data
from scriptflow.web.views import LIMIT, OFFSET, Parameter, View

_RUN_STATES = ("running", "succeeded", "failed", "cancelled", "interrupted")
_FLOW = Parameter(name="flow", text="Only runs of this flow.")
_ATTEMPT = Parameter(name="attempt", text="Which try; the newest by default.", kind="integer", low=1)
_NAME = Parameter(name="q", text="Only names with this text in them, or that match it as a pattern (* ? [).")

_AT = Parameter(name="at", text="The byte to begin with.", kind="integer")

LOG_STREAM = View(
    name="log events", page="", path="/runs/{run}/tasks/{task}/log/events", answer=task_data.log,
    text="Server-sent events: what a task prints, as it is written; the id of each is the byte it ends at.",
    parameters=(_ATTEMPT, _AT),
)  # fmt: skip
RAW_LOG = View(
    name="raw log", page="", path="/runs/{run}/tasks/{task}/log/raw", answer=task_data.log,
    text="The bytes of a task's log, to be saved.",
    parameters=(_ATTEMPT,),
)  # fmt: skip

PROJECTS_VIEW = View(
    name="projects", page="", path="/projects", answer=flow_data.runs,
    text="The projects that are shown, each with its newest run.",
)  # fmt: skip
"""The one view that is of no project."""

VIEWS = (
    View(
        name="runs", page="/", path="/runs", answer=flow_data.runs,
        text="Runs, the newest first, and the grid of one flow: its groups by its runs.",
        parameters=(
            _FLOW,
            Parameter(name="state", text="Only runs in this state.", words=_RUN_STATES),
            Parameter(name="q", text="Only runs with this text in their name, own name or tags."),
            LIMIT, OFFSET,
        ),
    ),
    View(
        name="run", page="/r/{run}", path="/runs/{run}", answer=data.run,
        text="One run: counts, failures with the ends of their logs, groups, what runs, the time left.",
    ),
    View(
        name="flow", page="/flows/{flow}", path="/flows/{flow}", answer=flow_data.flow,
        text="One flow: its runs and how long each took, how often they ended how, its groups by its runs.",
        parameters=(LIMIT, OFFSET),
    ),
    View(
        name="groups", page="", path="/runs/{run}/groups", answer=data.groups,
        text="The groups of a run: how many tasks of each are where.",
    ),
    View(
        name="tasks", page="/r/{run}/tasks", path="/runs/{run}/tasks", answer=data.tasks,
        text="The tasks of a run that had a job: filtered, sorted, a part at a time, with how many there are.",
        parameters=(
            Parameter(name="state", text="Only tasks whose newest job is in this state.", words=tuple(STATES)),
            Parameter(name="group", text="Only tasks of this group."),
            _NAME,
            Parameter(name="sort", text="By what to sort.", words=tuple(SORTS), default="started"),
            Parameter(name="desc", text="The last first.", kind="boolean", default=False),
            LIMIT, OFFSET,
        ),
    ),
    View(
        name="task", page="/r/{run}/t/{task}", path="/runs/{run}/tasks/{task}", answer=task_data.task,
        text="One task of a run: command, reasons, attempts, resources, files, the end of its log.",
        parameters=(_ATTEMPT,),
    ),
    View(
        name="log", page="/r/{run}/t/{task}/log", path="/runs/{run}/tasks/{task}/log", answer=task_data.log,
        text="A part of a task's log, 64 KiB from byte `at` or its end, or the lines that have a text in them.",
        parameters=(
            _ATTEMPT,
            Parameter(name="at", text="The byte to begin with; the end by default.", kind="integer"),
            Parameter(name="q", text="Only lines with this text in them."),
        ),
    ),
    View(
        name="graph", page="/r/{run}/graph", path="/runs/{run}/graph", answer=graph_data.graph,
        text="Which tasks use what others made, laid out; folded by group above 150 tasks.",
        parameters=(
            Parameter(name="level", text="Tasks or groups; by default what can be read.", words=("task", "group")),
            Parameter(name="focus", text="Only what is near this task."),
            Parameter(name="depth", text="How near.", kind="integer", low=1, high=20, default=2),
        ),
    ),
    View(
        name="timeline", page="/r/{run}/timeline", path="/runs/{run}/timeline", answer=graph_data.timeline,
        text="How many tasks of each group ran when, the run's time cut into equal parts.",
        parameters=(
            Parameter(name="bins", text="How many parts.", kind="integer", low=10, high=1000, default=240),
        ),
    ),
    View(
        name="files", page="/files", path="/files", answer=file_data.files,
        text="The files that tasks read and made, by path.",
        parameters=(
            Parameter(name="q", text="Only paths with this text in them, or that match it as a pattern (* ? [)."),
            Parameter(name="kind", text="Made by a task, or by none.", words=("made", "source")),
            LIMIT, OFFSET,
        ),
    ),
    View(
        name="file", page="/files/{path:.+}", path="/files/{path:.+}/lineage", answer=file_data.file,
        text="How a file was made, from what, and what it went into.",
    ),
    View(
        name="settings", page="/settings", path="/settings", answer=settings_data.settings,
        text="The project's settings and where each came from, without secrets.",
    ),
)  # fmt: skip
