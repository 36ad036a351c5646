"""A lineage as an RO-Crate: a Workflow Run Crate, or a Process Run Crate where the flow file is not at hand.

Knows lineages, and the project's files when a folder is to be filled. Says only what is recorded.
Source: RO-Crate 1.1; Workflow Run RO-Crate profiles 0.5 (process and workflow), Workflow RO-Crate 1.0.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime
from mimetypes import guess_type
from urllib.parse import quote

from scriptflow.core.fingerprint import Manifest
from scriptflow.errors import UsageError
from scriptflow.papers.called import command_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.papers.traced import Target
    from scriptflow.store.lineage import Lineage, Part, Step

    Entity = dict[str, object]

METADATA = "ro-crate-metadata.json"
_PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
_WORKFLOW_RUN = "https://w3id.org/ro/wfrun/workflow/0.5"
_WORKFLOW = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_PYTHON = "https://w3id.org/workflowhub/workflow-ro-crate#python"
_LARGEST = 200_000_000
"""Larger files are named in a crate and not copied into it."""


class Crate:
    """The entities of one crate.

    Args:
        target: the file that was asked for.
        lineage: how it was made.
        folder: the project's folder.
        flow_file: the flow file, relative to the folder, "" when it is not known.
    """

    def __init__(self, target: Target, lineage: Lineage, folder: str, flow_file: str) -> None:
        self._target = target
        self._lineage = lineage
        self._folder = folder
        self._flow_file = flow_file
        self._entities: dict[str, Entity] = {}
        self.files: dict[str, str] = {}
        """Maps the id of each file that belongs into the crate to its path on the disk."""

    def metadata(self) -> Entity:
        """Return the content of the metadata file."""
        steps = sorted(self._lineage.steps.values(), key=lambda step: step.job.job)
        actions = [self._action(step) for step in steps]
        profiles = [_PROCESS]
        main: Entity = {}
        if self._flow_file:
            profiles += [_WORKFLOW_RUN, _WORKFLOW]
            main["mainEntity"] = self._workflow(steps)
            actions.insert(0, self._run(steps))
        for profile in profiles:
            name = "Workflow RO-Crate" if profile == _WORKFLOW else "Run Crate"
            self._add({"@id": profile, "@type": "CreativeWork", "name": name, "version": profile.rpartition("/")[2]})
        name = self._target.file or (steps[-1].job.task if steps else "lineage")
        root: Entity = {
            "@id": "./",
            "@type": "Dataset",
            "name": f"How {name} was made",
            "author": self._person(steps[-1].run.user if steps else ""),
            "description": f"The lineage of {name}: {len(steps)} recorded tasks, back to their sources.",
            "datePublished": datetime.now(UTC).date().isoformat(),
            "license": self._add({"@id": "#license", "@type": "CreativeWork", "name": "No licence is stated"}),
            "conformsTo": _unique([{"@id": profile} for profile in profiles]),
            **main,
            "mentions": _unique(actions),
            "hasPart": _unique([{"@id": entity["@id"]} for entity in self._entities.values() if _is_data(entity)]),
        }
        kinds: list[Entity] = [{"@id": "https://w3id.org/ro/crate/1.1"}]
        kinds += [{"@id": _WORKFLOW}] if main else []
        descriptor: Entity = {
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": _unique(kinds),
            "about": {"@id": "./"},
        }
        return {"@context": _CONTEXT, "@graph": [descriptor, root, *self._entities.values()]}

    def _add(self, entity: Entity) -> Entity:
        self._entities.setdefault(str(entity["@id"]), entity)
        return {"@id": entity["@id"]}

    # --- what happened ----------------------------------------------------------------------------

    def _run(self, steps: list[Step]) -> Entity:
        """Add the making of the file as a whole: the workflow on its sources."""
        sources = [part for step in steps for part in step.inputs if not part.makers]
        made = [part for step in steps if step.job.job == self._target.job for part in step.outputs]
        return self._add(
            {
                "@id": "#run",
                "@type": "CreateAction",
                "name": f"Making of {self._target.file or 'the result'}",
                "description": ", ".join(dict.fromkeys(step.job.run for step in steps)),
                "instrument": {"@id": _id_of(self._flow_file)},
                "startTime": _iso(min(step.job.began or step.job.started for step in steps)),
                "endTime": _iso(max(step.job.ended or step.job.started for step in steps)),
                "actionStatus": "http://schema.org/CompletedActionStatus",
                "agent": self._person(steps[-1].run.user),
                "object": _unique([self._file(part) for part in sources]),
                "result": _unique([self._file(part) for part in made]),
            }
        )

    def _action(self, step: Step) -> Entity:
        """Add one job: a command, by whom, when, of which files."""
        job = step.job
        manifest = Manifest(job.manifest)
        action: Entity = {
            "@id": f"#job-{job.job}",
            "@type": "CreateAction",
            "name": f"{job.task} ({job.run})",
            "description": command_of(job.manifest),
            "instrument": self._tool(manifest.command, job.executor),
            "startTime": _iso(job.began or job.started),
            "agent": self._person(step.run.user),
            "object": _unique([self._file(part) for part in step.inputs]),
            "result": _unique([self._file(part) for part in step.outputs]),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }
        if job.ended is not None:
            action["endTime"] = _iso(job.ended)
        if job.state != "succeeded":
            action["actionStatus"] = "http://schema.org/FailedActionStatus"
            action["error"] = f"{job.state} {job.detail}".strip()
        facts: dict[str, object] = {
            "host": job.host,
            "executor": job.executor,
            "git": step.run.git,
            "exit code": job.exit_code,
            "peak memory (bytes)": job.max_rss_bytes,
            "CPU time (s)": job.cpu_s,
            "cpus asked for": job.cpus,
        }
        action["additionalProperty"] = [
            self._add({"@id": f"#job-{job.job}-{quote(name)}", "@type": "PropertyValue", "name": name, "value": value})
            for name, value in facts.items()
            if value not in (None, "")
        ]
        return self._add(action)

    def _tool(self, command: str, executor: str) -> Entity:
        program = os.path.basename((command.split() or ["command"])[0].strip("'\""))  # noqa: PTH119 (plain strings all through)
        return self._add(
            {
                "@id": f"#program-{_quoted(program)}",
                "@type": "SoftwareApplication",
                "name": program,
                "description": f"as the command lines of the tasks call it (executor {executor})",
            }
        )

    def _person(self, user: str) -> Entity:
        return self._add({"@id": f"#user-{_quoted(user)}", "@type": "Person", "name": user or "unknown"})

    # --- files --------------------------------------------------------------------------------------

    def _workflow(self, steps: list[Step]) -> Entity:
        self._add({"@id": _PYTHON, "@type": "ComputerLanguage", "name": "Python", "url": "https://www.python.org/"})
        file = _id_of(self._flow_file)
        self.files[file] = self._on_disk(self._flow_file)
        commit = next((step.run.git for step in reversed(steps) if step.run.git), "")
        workflow: Entity = {
            "@id": file,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": f"{steps[-1].run.flow} ({self._flow_file})" if steps else self._flow_file,
            "programmingLanguage": {"@id": _PYTHON},
            "encodingFormat": "text/x-python",
        }
        return self._add(workflow | ({"version": commit} if commit else {}))

    def _file(self, part: Part) -> Entity:
        """Add a file; one that is still as it was, and not too large, belongs into the crate."""
        seen = part.seen
        folder = seen.ctime_ns < 0
        path = self._on_disk(seen.path)
        entity: Entity = {"@type": "Dataset" if folder else "File", "name": seen.path}
        if not folder and seen.size >= 0:
            entity["contentSize"] = str(seen.size)
        kind = None if folder else guess_type(seen.path)[0]
        if kind is not None:
            entity["encodingFormat"] = kind
        if seen.sha256 and seen.sha256.startswith("sha256:"):
            entity["sha256"] = seen.sha256[7:]
        if seen.mtime_ns and not folder:
            entity["dateModified"] = _iso(seen.mtime_ns / 1e9)
        name = _id_of(seen.path)
        if name and not folder and _is_as_seen(path, seen.size, seen.mtime_ns):
            self.files[name] = path
            return self._add({"@id": name, **entity})
        # What is not in the crate is named by where it was: an address of its own, which promises nothing.
        return self._add({"@id": f"file://{_quoted(path)}{'/' if folder else ''}", **entity})

    def _on_disk(self, path: str) -> str:
        return os.path.join(self._folder, path)  # noqa: PTH118 (as above)


def write_crate(crate: Crate, output: str) -> tuple[int, int]:
    """Write a crate into a new folder, whole or not at all; return how many files it holds and how many it only names.

    Raises:
        UsageError: there is something already, or it cannot be written.
    """
    metadata = crate.metadata()
    if os.path.lexists(output):
        raise UsageError(f"{output} is there already", do="-o NEW_FOLDER")
    beside = f"{output}.{os.getpid()}.part"
    try:
        os.makedirs(beside)  # noqa: PTH103 (as above)
        for name, path in crate.files.items():
            to = os.path.join(beside, *_parts(name))  # noqa: PTH118 (as above)
            os.makedirs(os.path.dirname(to), exist_ok=True)  # noqa: PTH103, PTH120 (as above)
            shutil.copy2(path, to)
        with open(os.path.join(beside, METADATA), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123 (as above)
            json.dump(metadata, file, indent=2)
        os.rename(beside, output)  # noqa: PTH104 (as above)
    except OSError as error:
        raise UsageError(f"cannot write {output}", why=error.strerror or str(error), do="-o NEW_FOLDER") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    graph = metadata["@graph"]
    data = sum(_is_data(entity) for entity in graph)  # type: ignore[attr-defined]  # the list that metadata() made
    return len(crate.files), data - len(crate.files)


def flow_file_of(lineage: Lineage, folder: str) -> str:
    """Return the flow file that the newest run was started with, relative to the project's folder, if it is there."""
    newest = max(lineage.steps.values(), key=lambda step: step.run.id, default=None)
    argv = list(newest.run.argv) if newest else []
    named = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == "--file"]
    named += [word[7:] for word in argv if word.startswith("--file=")]
    for name in (*named, "sflow.py"):
        path = os.path.relpath(os.path.join(folder, name), folder)  # noqa: PTH118 (as above)
        if not path.startswith("..") and os.path.isfile(os.path.join(folder, path)):  # noqa: PTH113, PTH118 (as above)
            return path
    return ""


def _is_data(entity: Entity) -> bool:
    kinds = entity["@type"]
    return "File" in kinds or (kinds == "Dataset" and entity["@id"] != "./")  # type: ignore[operator]  # a word or a list


def _is_as_seen(path: str, size: int, mtime_ns: int) -> bool:
    try:
        now = os.stat(path)  # noqa: PTH116 (as above)
    except (OSError, ValueError):
        return False
    return (now.st_size, now.st_mtime_ns) == (size, mtime_ns) and size <= _LARGEST


def _quoted(text: str) -> str:
    """Return a text for an address: stray bytes of a file's name as those bytes."""
    return quote(text.encode("utf-8", "surrogateescape"))


def _id_of(path: str) -> str:
    """Return a path below the project as an id within the crate, "" for one elsewhere."""
    if path.startswith(("/", "../")) or re.search(r"(^|/)\.\.?(/|$)", path) or path == METADATA:
        return ""
    return _quoted(path)


def _parts(name: str) -> list[str]:
    from urllib.parse import unquote

    return unquote(name, errors="surrogateescape").split("/")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _unique(entities: list[Entity]) -> Entity | list[Entity]:
    """Return each entity once, and where it is one alone, itself: that is how RO-Crate writes lists."""
    found = list({str(entity["@id"]): entity for entity in entities}.values())
    return found[0] if len(found) == 1 else found
