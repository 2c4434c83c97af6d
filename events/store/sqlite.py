"""The store in one SQLite file: write-ahead log, every commit synced, one writer by a lock of the operating system.

Beside `events.db` stand SQLite's own `events.db-wal` and `events.db-shm`, and two files of ours: `events.db.lock`, whose lock
is the writer lease (the kernel releases it when the process ends, however it ends), and `events.db.reserve`, space that is
given back when the disk is full.

eventsourcing opens connections without `synchronous` and with a statement cache of one, which prepares every statement of
every transaction again; its pool is used with connections of our own making.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteConnectionPool, SQLiteFactory

from ..errors import NotFound, StoreProblem, UnknownSchema
from ..record import SCHEMA
from .base import Fenced, Holder, Store, VersionConflict, locked, one_line
from .disk import Disk, Reserve, is_full
from .mapper import originator_id_from

LOCK_TIMEOUT_S = 10
SYNCHRONOUS_FULL = 2
_MAGIC = b"SQLite format 3\x00"

# One statement for many rows, not executemany: that takes the interpreter's lock again for every row, and beside an event loop that
# is never idle each time can last milliseconds. A group of 500 events took two seconds to become durable.
_ROWS_A_STATEMENT = (256, 64, 16, 4, 1)
_INSERTS = {size: "INSERT INTO stored_events VALUES " + ", ".join(["(?, ?, ?, ?)"] * size) for size in _ROWS_A_STATEMENT}

_CREATE_MARKER = (
    "CREATE TABLE IF NOT EXISTS holdfast_store (id INTEGER PRIMARY KEY CHECK (id = 1), schema TEXT NOT NULL, store_id TEXT NOT NULL, "
    "token INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL, since_ns INTEGER NOT NULL)"
)
_CREATE_INDEX = "CREATE INDEX IF NOT EXISTS stored_events_first ON stored_events (originator_version) WHERE originator_version = 1"


class _Connection(SQLiteConnection):
    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        super().__init__(connection, None)
        self._disk = disk

    def commit(self) -> None:
        try:
            self._disk.commit(self._sqlite_conn)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._sqlite_conn.rollback()
            raise


class _Pool(SQLiteConnectionPool):
    def __init__(self, db_name: str, disk: Disk) -> None:
        super().__init__(db_name=db_name, lock_timeout=LOCK_TIMEOUT_S)
        self._disk = disk

    def _create_connection(self) -> SQLiteConnection:
        try:
            connection = sqlite3.connect(self.db_name, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            (journal_mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        except sqlite3.Error as problem:
            raise PersistenceError(problem) from problem
        if (journal_mode, synchronous) != ("wal", SYNCHRONOUS_FULL):
            raise PersistenceError(f"SQLite keeps journal_mode {journal_mode} and synchronous {synchronous} instead of wal and 2")
        connection.row_factory = sqlite3.Row
        return _Connection(connection, self._disk)


class _Recorder(SQLiteApplicationRecorder):
    """eventsourcing's recorder with our marker table, and an insert on a connection of its own.

    The pool's bookkeeping and its nested contexts cost as much as the insert itself, on every commit.
    """

    store_name = ""
    _writer: SQLiteConnection | None = None

    def construct_create_table_statements(self) -> list[str]:
        marker = f"INSERT INTO holdfast_store VALUES (1, '{SCHEMA}', '{uuid4().hex}', 0, 0, '', 0) ON CONFLICT DO NOTHING"
        return [_CREATE_MARKER, *super().construct_create_table_statements(), _CREATE_INDEX, marker]

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        if self._writer is None or self.datastore.pool.closed:
            self._writer = self.datastore.pool.get_connection()
        connection = self._writer._sqlite_conn
        try:
            # With the write lock nothing that is read from here on can change before the commit.
            connection.execute("BEGIN IMMEDIATE")
            (current,) = connection.execute("SELECT token FROM holdfast_store").fetchone()
            if current != kwargs["token"]:
                raise Fenced(self.store_name, kwargs["token"], current)
            for position_id, version in kwargs["predecessors"]:
                self._check_predecessor(connection, position_id, version)
            self._insert_rows(connection, stored_events)
            self._writer.commit()
        except BaseException as problem:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            if isinstance(problem, sqlite3.IntegrityError):
                raise IntegrityError(problem) from problem
            raise

    def _insert_rows(self, connection: sqlite3.Connection, rows: Sequence[StoredEvent]) -> None:
        start = 0
        for size in _ROWS_A_STATEMENT:
            while len(rows) - start >= size:
                values: list[object] = []
                for row in rows[start : start + size]:
                    values += (row.originator_id.hex, row.originator_version, row.topic, row.state)  # type: ignore[union-attr]
                connection.execute(_INSERTS[size], values)
                start += size

    def _check_predecessor(self, connection: sqlite3.Connection, position_id: str, version: int) -> None:
        key = (originator_id_from(position_id).hex, version)
        found = connection.execute("SELECT 1 FROM stored_events WHERE originator_id = ? AND originator_version = ?", key)
        if found.fetchone() is None:
            raise VersionConflict(self.store_name, position_id, version + 1, f"does not follow version {version}, which is not there")


class _Factory(SQLiteFactory):
    application_recorder_class = _Recorder

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__({self.SQLITE_DBNAME: str(path), self.CREATE_TABLE: "no"})
        self.datastore.pool.close()
        self.datastore.pool = _Pool(str(path), disk)


class SQLiteStore(Store):
    """A store in a SQLite file."""

    def __init__(self, path: Path, factory: _Factory, recorder: _Recorder, store_id: str, disk: Disk) -> None:
        super().__init__(str(path), store_id, recorder)
        self._path = path
        self._factory = factory
        self._reserve = Reserve(reserve_path(path))
        self._disk = disk

    def _lock(self, wanted: Holder) -> tuple[Holder, Callable[[], None]]:
        lock_path = self._path.with_name(self._path.name + ".lock")
        try:
            fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            sentence = f"the lock file cannot be opened: {problem.strerror}"
            raise StoreProblem(self.name, sentence, "correct its permissions or make room") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise locked(self.name, self._holder()) from None
        try:
            holder = self._become_holder(wanted)
        except BaseException:
            os.close(fd)
            raise
        if not is_full(self._path.parent):
            self._reserve.take()
        return holder, lambda: os.close(fd)

    def _become_holder(self, wanted: Holder) -> Holder:
        try:
            with self._factory.datastore.transaction(commit=True) as c:
                c.execute(
                    "UPDATE holdfast_store SET token = token + 1, pid = ?, host = ?, since_ns = ?",
                    (wanted.pid, wanted.host, wanted.since_ns),
                )
                c.execute("SELECT token FROM holdfast_store")
                (token,) = c.fetchone()
        except EventSourcingError as problem:
            raise StoreProblem(self.name, f"the lease cannot be written: {one_line(problem)}", "see to the disk") from problem
        return Holder(token, wanted.pid, wanted.host, wanted.since_ns)

    def _holder(self) -> Holder | None:
        with contextlib.suppress(EventSourcingError), self._factory.datastore.transaction(commit=False) as c:
            c.execute("SELECT token, pid, host, since_ns FROM holdfast_store")
            return Holder(*c.fetchone())
        return None

    def _first_states(self) -> Iterator[bytes]:
        with self._factory.datastore.transaction(commit=False) as c:
            c.execute("SELECT state FROM stored_events WHERE originator_version = 1 ORDER BY rowid")
            for (state,) in c.sqlite_cursor:
                yield state

    def _rows_after(self, after: int, limit: int) -> Sequence[tuple[int, str, bytes]]:
        with self._factory.datastore.transaction(commit=False) as c:
            c.sqlite_cursor.row_factory = None  # plain tuples: a whole log comes this way
            c.execute("SELECT rowid, topic, state FROM stored_events WHERE rowid > ? ORDER BY rowid LIMIT ?", (after, limit))
            rows: Sequence[tuple[int, str, bytes]] = c.fetchall()
            return rows

    def give_back_reserve(self) -> bool:
        """Free the reserve file if the disk is full."""
        if not is_full(self._path.parent) or not self._reserve.is_held:
            return False
        self._reserve.give_back()
        return True

    def _close(self) -> None:
        self._factory.close()


def reserve_path(path: Path) -> Path:
    """Return the path of a store's reserve file."""
    return path.with_name(path.name + ".reserve")


def open_sqlite(path: Path, *, create: bool, disk: Disk) -> SQLiteStore:
    """Open, or with `create` make, the store at `path`.

    Raises:
        NotFound: it does not exist and `create` is not set.
        StoreProblem: it cannot be used; the sentence says why.
        UnknownSchema: it was written under another schema version.
    """
    path = Path(os.path.abspath(path))
    _check_path(path, create)
    try:
        return _open(path, create, disk)
    except (EventSourcingError, sqlite3.Error) as problem:
        reserve = Reserve(reserve_path(path))
        if is_full(path.parent) and reserve.is_held:
            reserve.give_back()
            with contextlib.suppress(EventSourcingError, sqlite3.Error):
                return _open(path, create, disk)
        raise _refusal(path, problem) from problem


def _open(path: Path, create: bool, disk: Disk) -> SQLiteStore:
    # Looked at before a connection of ours turns its write-ahead log on: a database of somebody else is left as it is.
    has_tables = _check_marker(path)
    if not has_tables and not create:
        raise StoreProblem(str(path), "is an empty file", "name the store of an engine")
    factory = _Factory(path, disk)
    try:
        recorder = _Recorder(factory.datastore)
        recorder.store_name = str(path)
        if not has_tables:
            recorder.create_table()
        with factory.datastore.transaction(commit=False) as c:
            c.execute("SELECT store_id FROM holdfast_store")
            (store_id,) = c.fetchone()
    except BaseException:
        factory.close()
        raise
    return SQLiteStore(path, factory, recorder, store_id, disk)


def _check_marker(path: Path) -> bool:
    """Tell whether there is a store of ours in a file, which may be missing or empty. Raises UnknownSchema or StoreProblem."""
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return False
        if not tables & {"holdfast_store", "stored_events"}:
            raise StoreProblem(str(path), "is a database of another program", "name another file")
        schema = None
        if "holdfast_store" in tables:
            (schema,) = connection.execute("SELECT schema FROM holdfast_store").fetchone()
    if schema != SCHEMA:
        raise UnknownSchema(str(path), schema, SCHEMA)
    return True


def _check_path(path: Path, create: bool) -> None:
    """Refuse what SQLite would take, or would refuse without saying why."""
    name = str(path)
    if ":memory:" in name or "mode=memory" in name:
        raise StoreProblem(name, "a store in memory is not durable", "name a file")
    if not path.parent.is_dir():
        if not create:
            raise NotFound("store", name, "check the path, or start an engine that writes it")
        raise StoreProblem(name, f"the folder {path.parent} does not exist", "create it or name another file")
    if path.is_dir():
        raise StoreProblem(name, "is a folder", "name a file in it")
    if not path.exists():
        if not create:
            raise NotFound("store", name, "check the path, or start an engine that writes it")
    else:
        try:
            with open(path, "rb") as file:
                head = file.read(len(_MAGIC))
        except OSError as problem:
            raise StoreProblem(name, f"cannot be read: {problem.strerror}", "give this user read and write permission") from None
        if head and head != _MAGIC:
            raise StoreProblem(name, "is not a SQLite database", "name another file, or move this one away")
        if not os.access(path, os.W_OK):
            raise StoreProblem(name, "no permission to write the file", "give this user write permission")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreProblem(name, f"no permission to write in the folder {path.parent}", "give this user write permission")


def _refusal(path: Path, problem: Exception) -> StoreProblem:
    if is_full(path.parent):
        return StoreProblem(str(path), "the disk is full", "make some megabytes free and start again")
    text = one_line(problem)
    if "malformed" in text or "not a database" in text:
        return StoreProblem(str(path), f"is damaged: {text}", "restore it from a copy")
    return StoreProblem(str(path), f"cannot be opened: {text}", "see to the disk and its permissions")
