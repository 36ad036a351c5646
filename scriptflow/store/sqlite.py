"""The run store on SQLite, as the head writes it.

Knows what is written when. Knows nothing of how rows look, nor of what the head does with them.
"""

from __future__ import annotations

import os
import sqlite3
from time import time

from scriptflow import database
from scriptflow.errors import StoreError, StoreLost
from scriptflow.store import damage, runs
from scriptflow.store.folder import make_folder, make_private_file, remove_folder
from scriptflow.store.lock import StoreLock, leave_lease, read_owner, take_lease
from scriptflow.store.reading import OPEN_ELSEWHERE, read_job, read_jobs, read_latest
from scriptflow.store.text import DATABASE, Root
from scriptflow.store.writing import CALL, END, START, Writer
from scriptflow.writethread import WriteThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Self

    from scriptflow.core.records import JobEnd, JobRecord, JobStart, Latest, RunCounts, RunStart

_FIRST_WAIT_S = 0.5


class SqliteStore:
    """The run store of one project, opened for writing by its one head.

    Rows go through one write thread, begun by the first row; a run without jobs never begins it. What is read
    is read on the caller's thread.

    Attributes:
        on_failure: hears of a write that failed (disk full), on the write thread, at first only. What was not
            written is kept and tried again every second; ``close`` raises when it could not be written at all.
        on_lost: called once, on the write thread, when another head has taken the store: nothing is written any more.
        unfinished: recorded outputs beside which a killed head may have left its marker; known until ``begin_run``.
        resumed: after ``begin_run``, one sentence on the run that was cut short before, or nothing.
    """

    def __init__(
        self, folder: str, *, relative: bool, network: bool, heartbeat_s: float, busy_s: float,
        notice: Callable[[str], object], made: bool,
    ) -> None:  # fmt: skip
        self.on_failure: Callable[[StoreError], None] | None = None
        self.on_lost: Callable[[StoreError], None] | None = None
        self.resumed = ""
        self.unfinished: list[str] = []
        self._folder = folder
        self._path = f"{folder}/{DATABASE}"
        self._root = Root(folder, relative=relative)
        self._network = network
        self._heartbeat_s = heartbeat_s
        self._busy_s = busy_s
        self._notice = notice
        self._lock = StoreLock(folder)
        self._thread: WriteThread | None = None
        self._reader: sqlite3.Connection | None = None
        self._run = 0
        self._counts: RunCounts | None = None
        self._failed: StoreError | None = None
        self._closed = False
        self._made = made
        self._taken_back = False

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        relative: bool = False,
        network: bool | None = None,
        heartbeat_s: float = 10.0,
        busy_s: float = 30.0,
        notice: Callable[[str], object] = str,
    ) -> Self:
        """Open, or make, the run store in ``folder`` (``.scriptflow`` in the project's folder) and take its lock.

        Args:
            folder: the store's; made when it is not there.
            relative: give paths below the project's folder back relative to it.
            network: whether it lies on a network disk; None: look.
            heartbeat_s: how often a head on a network disk says that it lives; three missed ones are its death.
            busy_s: how long to wait for another program that has the file locked.
            notice: is told, in one sentence, of waits and of a damaged store.

        Raises:
            StoreBusy: a live head holds it, or another program has locked it.
            StoreNewer, StoreDamaged, StoreUnwritable: it cannot be used; nothing was changed.
        """
        path = os.path.abspath(folder)  # noqa: PTH100 (pathlib is slow to load)
        made = make_folder(path)
        network = database.is_network(path) if network is None else network
        store = cls(
            path, relative=relative, network=network, heartbeat_s=heartbeat_s, busy_s=busy_s, notice=notice, made=made
        )
        store._lock.acquire(store._path, network=store._network, heartbeat_s=heartbeat_s, notice=notice)
        try:
            store._open()
        except BaseException:
            store._lock.release()
            raise
        return store

    @property
    def folder(self) -> Path:
        """The store's folder."""
        from pathlib import Path

        return Path(self._folder)

    @property
    def lock_fd(self) -> int:
        """The lock file's descriptor, for the process that ends local jobs; to be closed in the jobs themselves."""
        return self._lock.fd

    # --- opening ------------------------------------------------------------------------------

    def _open(self) -> None:
        """Open the file, waiting for another program that has locked it."""
        wait_s = min(_FIRST_WAIT_S, self._busy_s)
        while True:
            try:
                self._prepare(wait_s)
            except sqlite3.Error as error:
                if not database.is_busy(error) or wait_s >= self._busy_s:
                    raise database.explain(error, self._path) from error
                self._notice(f"{self._path} is locked by another program; waiting up to {self._busy_s:.0f} s for it")
                wait_s = self._busy_s
            else:
                return

    def _prepare(self, wait_s: float) -> None:
        """Open the file; a damaged one is set aside and a fresh one begun with what can be saved of it."""
        try:
            self._begin(wait_s)
        except StoreError:
            raise
        except Exception as error:
            if not damage.is_unsound(error):
                raise
            aside = damage.set_aside(self._path)
            self._begin(wait_s, aside)
            self._notice(
                f"the run store was damaged ({error}); it is kept as {os.path.basename(aside)}, "  # noqa: PTH119
                f"{self._saved} of its jobs could be saved. Tasks without a record are judged by their files' times"
            )

    def _begin(self, wait_s: float, aside: str | None = None) -> None:
        damage.look(self._path)
        make_private_file(self._path)
        connection = database.connect(self._path, network=self._network, busy_s=wait_s)
        try:
            database.migrate(connection, self._path, damage.SCHEMA, application_id=damage.APPLICATION_ID)
            if aside is not None:
                self._saved = damage.salvage(aside, connection)
            self._read_in(connection)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            connection.close()
            raise damage.Unsound(f"a row is not as it was written: {error}") from error
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _read_in(self, connection: sqlite3.Connection) -> None:
        """Take the lease and read what a head needs, all of it now: damage must show before anything runs."""
        damage.check_shape(connection)
        if cut := read_owner(connection) is not None:  # not closed cleanly: it is looked over first
            damage.check(connection)
        self._epoch = take_lease(connection, self._lock.judged, network=self._network)
        self._writer = Writer(connection, self._path, self._root, epoch=self._epoch, counts_beats=self._network)
        self._writer.replay()
        self.unfinished = runs.outputs_of_last_ends(connection, self._root) if cut else []
        self._latest: dict[str, Latest] | None = read_latest(connection, self._root)
        self._first_job = self._next_job = (connection.execute("SELECT max(id) FROM jobs").fetchone()[0] or 0) + 1

    # --- runs -----------------------------------------------------------------------------------

    def begin_run(self, start: RunStart) -> tuple[int, str]:
        """Write the run's row; return its id and its name ``flow-n``."""
        begun: list[tuple[int, str]] = []

        def write(connection: sqlite3.Connection) -> None:
            self.resumed = runs.close_cut(connection, but=self._run)
            begun[:] = [runs.begin(connection, self._folder, start)]

        self._call(write)
        self._run = begun[0][0]
        return begun[0]

    def end_run(self, status: str, counts: RunCounts, message: str) -> None:
        """Close the run's row."""
        run, ended = self._run, time()
        self._counts = None

        def write(connection: sqlite3.Connection) -> None:
            runs.count(connection, run, counts)
            runs.end(connection, run, status=status, ended=ended, message=message)

        self._call(write, wait=False)

    def take_back_run(self) -> None:
        """Remove the run's row: nothing of it was begun. A store that was made for it goes when it is closed."""
        run, self._counts = self._run, None
        self._call(lambda connection: runs.take_back(connection, run))
        self._taken_back = True

    def progress(self, counts: RunCounts) -> None:
        """Write the run's counts with the next group commit."""
        before, self._counts = self._counts, counts
        if before is None and self._thread is not None:
            self._thread.put((CALL, self._write_progress))

    def _write_progress(self, connection: sqlite3.Connection) -> None:
        counts, self._counts = self._counts, None
        if counts is not None:
            runs.count(connection, self._run, counts)

    # --- jobs -------------------------------------------------------------------------------------

    def next_job(self) -> int:
        """Hand out a job number that was never used in this store."""
        number = self._next_job
        self._next_job = number + 1
        return number

    def latest(self) -> dict[str, Latest]:
        """Map each recorded output to what its last job left; a task without outputs is at NUL and its key."""
        found, self._latest = self._latest, None
        if found is None:
            self._settle()
            with database.explaining(self._path):
                found = read_latest(self._reading(), self._root)
        return found

    def job(self, number: int) -> JobRecord | None:
        """Read one job with its reasons and files."""
        if number >= self._first_job:
            self._settle()
        with database.explaining(self._path):
            return read_job(self._reading(), self._folder, self._root, number)

    def left_jobs(self) -> list[JobRecord]:
        """Return the jobs of earlier heads, those of this machine aside, that have no end, with their files."""
        self._settle()
        with database.explaining(self._path):
            found = read_jobs(self._reading(), self._folder, OPEN_ELSEWHERE, ())
        return [job for row in found if (job := self.job(row.job)) is not None]

    def started(self, starts: Sequence[JobStart], then: Callable[[BaseException | None], None]) -> None:
        """Commit these starts, all in one transaction, then call ``then`` on the write thread.

        From then on they outlive this process, and half a breath later the machine.
        """
        self._writing().put_now((START, starts), then)

    def ended(self, end: JobEnd, then: Callable[[], None] | None = None) -> None:
        """Write the end of a job with the next group commit; ``then`` follows once it is on the disk."""
        self._writing().put((END, end), then)

    def submitted(self, job: int, executor_id: str, state: str = "", reason: str = "") -> None:
        """Write the executor's own id of a job, and how it stands there and why, with the next group commit."""
        self._writing().put((CALL, lambda _: self._writer.submitted(job, executor_id, state, reason, time())))

    def hashed(self, files: Sequence[tuple[int, str, str, str]]) -> None:
        """Write hashes with the next group commit: each with its job, the file's path and its role."""
        self._writing().put((CALL, lambda _: self._writer.hashed(files)))

    def looked(self, job: int, outputs: Sequence[str], signature: int) -> None:
        """Write, with the next group commit, that a job's files were looked at one by one and are as it left them."""
        self._writing().put((CALL, lambda _: self._writer.looked(job, outputs, signature)))

    def values(self, job: int, rows: Sequence[tuple[str, str, str]]) -> None:
        """Write what a job gave, as (name, kind, body), with the next group commit."""
        self._writing().put((CALL, lambda connection: runs.write_values(connection, job, rows)))

    # --- ending -----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Return when all that was written so far is on the disk.

        Raises:
            StoreError: it could not be written; it is kept and tried again.
        """
        if self._thread is None:
            self._group([])
            return
        self._thread.flush()
        if self._thread.error is not None:
            raise self._in_our_words(self._thread.error)

    def close(self) -> None:
        """Flush, and give the store free.

        Raises:
            StoreError: some rows could not be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._thread is not None:
                self._thread.stop()
                if self._thread.error is not None:
                    raise self._in_our_words(self._thread.error)
            self._leave()
        except sqlite3.Error as error:
            raise database.explain(error, self._path) from error
        finally:
            if self._reader is not None:
                self._reader.close()
            self._connection.close()
            if self._made and self._taken_back:
                remove_folder(self._folder)  # while it is locked: no other head can have begun in it
            self._lock.release()

    def _leave(self) -> None:
        """Take our name off the lease: the mark of a clean end."""
        leave_lease(self._connection, self._epoch)
        if not self._network:
            # One file to copy, and nothing to read twice next time. A reader at work may stop it: no harm.
            self._connection.execute("PRAGMA busy_timeout=100")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # --- the write thread -------------------------------------------------------------------------

    def _writing(self) -> WriteThread:
        if self._thread is None:
            self._latest = None
            idle_s = self._heartbeat_s if self._network else None
            self._thread = WriteThread(self._now, self._group, self._note, at_once=not self._network, idle_s=idle_s)
            if self._counts is not None:
                self._thread.put((CALL, self._write_progress))
        return self._thread

    def _now(self, items: list[tuple[int, Sequence[JobStart]]]) -> bool:
        with database.explaining(self._path):
            return self._writer.intend([start for _, starts in items for start in starts])

    def _group(self, items: list[tuple[int, object]]) -> None:
        with database.explaining(self._path), database.on_disk(self._connection, always=self._network):
            self._writer.write(items)

    def _note(self, error: BaseException) -> None:
        if self._failed is not None and not isinstance(error, StoreLost):
            return
        known = self._in_our_words(error)
        first, self._failed = self._failed is None, known
        if isinstance(error, StoreLost):
            told, self.on_lost = self.on_lost, None
        else:
            told = self.on_failure if first else None
        if told is not None:
            told(known)

    def _in_our_words(self, error: BaseException) -> StoreError:
        if isinstance(error, StoreError):
            return error
        return StoreError(f"a record could not be written to {self._path}", why=repr(error))

    def _call(self, write: Callable[[sqlite3.Connection], None], *, wait: bool = True) -> None:
        """Let ``write`` run in a transaction: right here, or on the write thread once there is one."""
        if self._network:
            self._writing()  # it says that we live, however long nothing is written
        if self._thread is None:
            with database.explaining(self._path):
                self._writer.write([(CALL, write)])
            return
        self._thread.put((CALL, write))
        if wait:
            self.flush()

    def _settle(self) -> None:
        if self._thread is not None:
            self._thread.flush()

    def _reading(self) -> sqlite3.Connection:
        """Return what the caller's thread reads with: the write thread, once there is one, has the other."""
        if self._thread is None:
            return self._connection
        if self._reader is None:
            self._reader = database.connect_read_only(self._path, busy_s=self._busy_s)
        return self._reader
