"""A run as one portable file: its store, logs, report, flow file, lineage, and if wanted its outputs.

Knows the store and the project's folder. The same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from time import gmtime

from scriptflow.errors import UsageError
from scriptflow.papers.called import is_value
from scriptflow.papers.crate import flow_file_of
from scriptflow.papers.document import document, iso
from scriptflow.papers.made import results_of
from scriptflow.papers.report import report
from scriptflow.papers.traced import Target, is_as_left
from scriptflow.store import lineage
from scriptflow.store.extract import extract, value_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.records import RunRecord
    from scriptflow.store.lineage import Lineage
    from scriptflow.store.reader import StoreReader

MANIFEST = "scriptflow-archive.json"
SCHEMA = 1
STORE = ".scriptflow"
_MOST_RESULTS = 200
_FIRST_YEAR = 1980
"""The first year that a zip file can tell."""


class Contents:
    """What goes into an archive: names within it, and the file or text behind each."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.texts: dict[str, bytes] = {}
        self.left_out: list[str] = []

    def names(self) -> list[str]:
        """Return all names in the order in which they are written."""
        return sorted({*self.files, *self.texts})


def archive(reader: StoreReader, run: RunRecord, folder: str, output: str, *, with_outputs: bool) -> Contents:
    """Write the archive of a run; return what is in it and what had to be left out.

    Args:
        reader: the store, with relative paths.
        run: the run; what it was built on in earlier runs goes with it.
        folder: the project's folder.
        output: the file to write: whole, or not at all.
        with_outputs: take the run's output files too.

    Raises:
        UsageError: the run still goes on, or the file cannot be written.
    """
    if run.ended is None and run.status == "running":
        raise UsageError(f"{run.run} is still running", do=f"scriptflow archive {run.run}  # when it has ended")
    own = [job.job for job in reader.jobs(run.id)]
    found = lineage.up(reader, own, limit=max(lineage.MOST_JOBS, 4 * len(own)))
    jobs = sorted({*own, *found.steps})
    contents = Contents()
    with tempfile.TemporaryDirectory(prefix="scriptflow-") as temporary:
        store = os.path.join(temporary, "runs.db")  # noqa: PTH118 (plain strings all through)
        extract(reader, jobs, store, at=run.started)
        contents.files[f"{STORE}/runs.db"] = store
        _add_logs(contents, reader, jobs, folder)
        _add_values(contents, found, folder)
        _add_papers(contents, reader, run, found, folder)
        if with_outputs:
            _add_outputs(contents, found, own, folder)
        _write(contents, run, output)
    return contents


def _add_logs(contents: Contents, reader: StoreReader, jobs: list[int], folder: str) -> None:
    """Add logs and plain values; a log that is gone is left out in silence, since it may have been cleaned away."""
    store = os.path.realpath(os.path.join(folder, STORE))  # noqa: PTH118 (as above)
    for job in lineage.of_numbers(reader, jobs):
        path = os.path.realpath(job.log) if job.log else ""
        if path.startswith(store + "/") and os.path.isfile(path):  # noqa: PTH113 (as above)
            contents.files[f"{STORE}/{path[len(store) + 1 :]}"] = path
    for body in value_files(reader, jobs):
        path = os.path.join(store, "values", body)  # noqa: PTH118 (as above)
        if os.path.isfile(path):  # noqa: PTH113 (as above)
            contents.files[f"{STORE}/values/{body}"] = path


def _add_values(contents: Contents, found: Lineage, folder: str) -> None:
    """Add the small values of calls that are still as their jobs left them."""
    for seen in [part.seen for step in found.steps.values() for part in step.outputs]:
        path = os.path.join(folder, seen.path)  # noqa: PTH118 (as above)
        if is_value(seen) and is_as_left(path, seen):
            contents.files[seen.path] = path


def _add_papers(contents: Contents, reader: StoreReader, run: RunRecord, found: Lineage, folder: str) -> None:
    own = [number for number, step in found.steps.items() if step.run.id == run.id and step.job.state == "succeeded"]
    results = results_of(found, sorted(own))
    documents = [
        document(Target(part.seen.path, job, part.seen.sha256), found) for job, part in results[:_MOST_RESULTS]
    ]
    whole = {"schema": 1, "run": run.run, "results": documents, "complete": len(results) <= _MOST_RESULTS}
    contents.texts["lineage.json"] = json.dumps(whole, indent=1).encode()
    contents.texts["report.html"] = report(reader, run).encode("utf-8", "backslashreplace")
    flow_file = flow_file_of(found, folder) if found.steps else ""
    if flow_file:
        contents.files[flow_file] = os.path.join(folder, flow_file)  # noqa: PTH118 (as above)


def _add_outputs(contents: Contents, found: Lineage, own: list[int], folder: str) -> None:
    top = os.path.realpath(folder)
    for number in own:
        step = found.steps.get(number)
        for part in step.outputs if step else ():
            path = os.path.realpath(os.path.join(folder, part.seen.path))  # noqa: PTH118 (as above)
            inside = path.startswith(top + "/") and not part.seen.path.startswith((STORE + "/", "/", "../"))
            if inside and is_as_left(path, part.seen) and _is_free(contents, part.seen.path):
                contents.files[part.seen.path] = path
            elif part.seen.size >= 0:
                contents.left_out.append(part.seen.path)


def _is_free(contents: Contents, name: str) -> bool:
    """Whether an output may have its own name in the archive: no paper of ours has it, and it can be written."""
    return name not in contents.texts and name != MANIFEST and name.isprintable()


def _write(contents: Contents, run: RunRecord, output: str) -> None:
    """Write the zip file beside its name, then rename it."""
    moment = max((_FIRST_YEAR, 1, 1, 0, 0, 0), tuple(gmtime(run.ended or run.started))[:6])
    beside = f"{output}.{os.getpid()}.part"
    rows = []
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
            for name in contents.names():
                rows.append({"path": name, **_add(file, name, contents, moment)})
            manifest = {"schema": SCHEMA, "run": run.run, "flow": run.flow, "started": iso(run.started), "files": rows}
            file.writestr(_entry(MANIFEST, moment), json.dumps(manifest, indent=1))
        os.replace(beside, output)  # noqa: PTH105 (as above)
    except OSError as error:
        raise UsageError(f"cannot write {output}", why=error.strerror or str(error), do="-o another file") from error
    finally:
        if os.path.exists(beside):  # noqa: PTH110 (as above)
            os.unlink(beside)  # noqa: PTH108 (as above)


def _add(file: zipfile.ZipFile, name: str, contents: Contents, moment: tuple[int, ...]) -> dict[str, object]:
    """Write one entry; return its size and hash."""
    digest, size = hashlib.sha256(), 0
    text = contents.texts.get(name)
    with file.open(_entry(name, moment), "w", force_zip64=text is None) as to:
        if text is not None:
            to.write(text)
            return {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        with open(contents.files[name], "rb") as source:  # noqa: PTH123 (as above)
            while chunk := source.read(1 << 20):
                to.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _entry(name: str, moment: tuple[int, ...]) -> zipfile.ZipInfo:
    """Return an entry that tells nothing of this machine: a time of the run's, one mode for all."""
    entry = zipfile.ZipInfo(name, moment)  # type: ignore[arg-type]  # six numbers
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = 0o600 << 16
    return entry
