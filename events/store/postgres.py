"""The store in a PostgreSQL schema: the same rows, the writer lease as an advisory lock of a session of its own.

Several engines share one database, each with a schema of its own (`?schema=engine_1`, `public` by default). The server releases
the lock when the session of the lease ends; who then takes it over gets a higher token, and waits for an append that is
under way (both take the table's lock). eventsourcing's insert is replaced by one without its ten retries: a commit whose answer
was lost may have happened, and is looked at again by `recover_spool`, not sent again. Its database functions stay
off: with them a reader that follows the log loses events.

Needs psycopg (`pip install holdfast[postgres]`), which is imported only here.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresFactory
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier, Literal

from ..errors import NotFound, StoreProblem, UnknownSchema, Usage
from ..record import SCHEMA
from .base import Fenced, Holder, Store, VersionConflict, locked, one_line
from .disk import Disk
from .mapper import originator_id_from

CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 10

_LOST = (psycopg.OperationalError, psycopg.InterfaceError)

# A commit is durable before the server says so, and a dead peer of the lease's idle session is noticed within 30 s.
_SESSION = {
    "options": "-c synchronous_commit=on",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}

_CREATE_MARKER = (
    "CREATE TABLE IF NOT EXISTS {schema}.holdfast_store (id integer PRIMARY KEY CHECK (id = 1), schema text NOT NULL, "
    "store_id text NOT NULL, token bigint NOT NULL, pid integer NOT NULL, host text NOT NULL, since_ns bigint NOT NULL)"
)
_CREATE_INDEX = "CREATE INDEX IF NOT EXISTS stored_events_first ON {schema}.stored_events (notification_id) WHERE originator_version = 1"


class _Recorder(PostgresApplicationRecorder):
    """eventsourcing's recorder with an insert of our own.

    Without retries, without the pipeline mode (it hung for ever on an insert of 1.5 MB, psycopg 3.3.9), and with the checks of an
    append inside its transaction. Three round trips: begin and lock, insert and look at the token, commit.
    """

    store_name = ""
    disk = Disk()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        token: int = kwargs["token"]
        predecessors: Sequence[tuple[str, int]] = kwargs["predecessors"]
        rows = [self.construct_pg_stored_event(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
        begin = SQL("; ").join([SQL("BEGIN"), *self.lock_table_statements])
        insert = SQL("WITH inserted AS ({}) SELECT token FROM {}.holdfast_store")
        with self.datastore.get_connection() as connection:
            try:
                # The table's lock makes an append and a take-over wait for each other, so that the token is the last word.
                connection.execute(begin)
                row = connection.execute(insert.format(self.insert_events_statement, Identifier(self.datastore.schema)), (rows,)).fetchone()
                current = int(row["token"]) if row else 0
                if current != token:
                    raise Fenced(self.store_name, token, current)
                for position_id, version in predecessors:
                    self._check_predecessor(connection, position_id, version)
                self.disk.commit(connection)
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    connection.rollback()
                raise

    def _check_predecessor(self, connection: psycopg.Connection[DictRow], position_id: str, version: int) -> None:
        found = connection.execute(
            _sql("SELECT 1 FROM {schema}.stored_events WHERE originator_id = %s AND originator_version = %s", self.datastore.schema),
            (originator_id_from(position_id), version),
        )
        if found.fetchone() is None:
            raise VersionConflict(self.store_name, position_id, version + 1, f"does not follow version {version}, which is not there")


class PostgresStore(Store):
    """A store in a schema of a PostgreSQL database."""

    def __init__(self, name: str, options: dict[str, Any], factory: PostgresFactory, recorder: _Recorder, store_id: str) -> None:
        super().__init__(name, store_id, recorder)
        self._options = options
        self._factory = factory
        self._schema = factory.datastore.schema

    def _lock(self, wanted: Holder) -> tuple[Holder, Callable[[], None]]:
        connection = _connect(self.name, self._options)
        try:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_lock_key(self._schema, "lease"),)).fetchone()
            if row is None or not row[0]:
                statement = "SELECT token, pid, host, since_ns FROM {schema}.holdfast_store"
                current = connection.execute(_sql(statement, self._schema)).fetchone()
                raise locked(self.name, Holder(*current) if current else None)
            with connection.transaction():
                connection.execute(SQL("SET LOCAL lock_timeout = {}").format(Literal(f"{LOCK_TIMEOUT_S}s")))
                connection.execute(_sql("LOCK TABLE {schema}.stored_events IN EXCLUSIVE MODE", self._schema))
                statement = "UPDATE {schema}.holdfast_store SET token = token + 1, pid = %s, host = %s, since_ns = %s RETURNING token"
                row = connection.execute(_sql(statement, self._schema), (wanted.pid, wanted.host, wanted.since_ns)).fetchone()
                assert row is not None
        except psycopg.Error as problem:
            connection.close()
            raise StoreProblem(self.name, f"the lease cannot be written: {one_line(problem)}", "see to the database") from problem
        except BaseException:
            connection.close()
            raise
        return Holder(row[0], wanted.pid, wanted.host, wanted.since_ns), lambda: self._unlock(connection)

    def _unlock(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        # The server ends a session, and with it the lock, a little after its client: the next to open the store would find it locked.
        with connection, contextlib.suppress(psycopg.Error):
            connection.execute("SELECT pg_advisory_unlock(%s)", (_lock_key(self._schema, "lease"),))

    def _first_states(self) -> Iterator[bytes]:
        statement = "SELECT state FROM {schema}.stored_events WHERE originator_version = 1 ORDER BY notification_id"
        with self._factory.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            for (state,) in cursor.stream(_sql(statement, self._schema), binary=True):
                yield state

    def _rows_after(self, after: int, limit: int) -> Sequence[tuple[int, str, bytes]]:
        statement = "SELECT notification_id, topic, state FROM {schema}.stored_events WHERE notification_id > %s ORDER BY 1 LIMIT %s"
        with self._factory.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_sql(statement, self._schema), (after, limit), binary=True)
            return cursor.fetchall()

    def _close(self) -> None:
        self._factory.close()


def open_postgres(url: str, *, create: bool, disk: Disk) -> PostgresStore:
    """Open, or with `create` make, the store in the schema that `url` names.

    Raises:
        Usage: the URL is not one of PostgreSQL.
        NotFound: the schema holds no store and `create` is not set.
        StoreProblem: the server cannot be reached or used; the sentence says why.
        UnknownSchema: the store was written under another schema version.
    """
    name, schema, options = _parts_of(url)
    try:
        return _open(name, schema, options, create, disk)
    except (*_LOST, EventSourcingError) as problem:
        # Between two of the questions that opening asks the server may end.
        sentence = f"the server was lost while the store was opened: {one_line(problem)}"
        raise StoreProblem(name, sentence, "see to the server and start again") from problem


def _open(name: str, schema: str, options: dict[str, Any], create: bool, disk: Disk) -> PostgresStore:
    with _connect(name, options) as connection:
        _check_server(name, connection)
        store_id = _store_id(name, schema, connection)
    if store_id is None and not create:
        raise NotFound("store", name, "check the address, or start an engine that writes it")
    factory = _factory(schema, options)
    try:
        with contextlib.ExitStack() as stack:
            if store_id is None:
                # CREATE ... IF NOT EXISTS of two sessions at once fails in one of them.
                creator = stack.enter_context(_connect(name, options))
                creator.execute("SELECT pg_advisory_lock(%s)", (_lock_key(schema, "create"),))
                creator.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
                _mark(schema, creator)
            recorder = _Recorder(factory.datastore)
            recorder.store_name, recorder.disk = name, disk
            if store_id is None:
                recorder.create_table()
                creator.execute(_sql(_CREATE_INDEX, schema))
                store_id = _store_id(name, schema, creator)
                assert store_id is not None
    except psycopg.Error as problem:
        factory.close()
        if isinstance(problem, _LOST):
            raise
        raise StoreProblem(name, f"the store cannot be made: {one_line(problem)}", "let this user create a schema and tables") from problem
    except BaseException:
        factory.close()
        raise
    return PostgresStore(name, options, factory, recorder, store_id)


def _parts_of(url: str) -> tuple[str, str, dict[str, Any]]:
    """Return a name without secrets, the schema, and the options of a connection."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = query.pop("schema", "public")
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,47}", schema) is None:
        raise Usage("store", f"{schema!r} cannot be a schema here", "name it with lower case letters, digits and _")
    try:
        options: dict[str, Any] = conninfo_to_dict(urlunsplit(parts._replace(query=urlencode(query))))
    except psycopg.Error as problem:
        # The driver's text is left out: it may quote the password.
        remedy = "write postgresql://user@host:5432/database?schema=name"
        raise Usage("store", f"not a PostgreSQL address ({type(problem).__name__})", remedy) from None
    where = options.get("host", "localhost")
    return f"postgresql://{where}/{options.get('dbname', '')}?schema={schema}", schema, {**_SESSION, **options}


def _connect(name: str, options: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        return psycopg.connect(autocommit=True, **options)
    except psycopg.Error as problem:
        raise StoreProblem(name, f"cannot be reached: {one_line(problem)}", "start the server, or correct the address") from None


def _check_server(name: str, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        row = connection.execute(SQL("SHOW {}").format(Identifier(setting))).fetchone()
        if row is None or row[0] in ("off", "local"):
            raise StoreProblem(name, f"the server runs with {setting} = {row and row[0]}", "turn it on: without it a commit is not durable")


def _store_id(name: str, schema: str, connection: psycopg.Connection[tuple[Any, ...]]) -> str | None:
    """Return the id of the store in a schema, None if there is none or only half of one. Raises UnknownSchema."""
    has_marker, has_events = (_exists(connection, schema, table) for table in ("holdfast_store", "stored_events"))
    if not has_marker:
        if has_events:
            raise UnknownSchema(name, None, SCHEMA)
        return None
    row = connection.execute(_sql("SELECT schema, store_id FROM {schema}.holdfast_store", schema)).fetchone()
    if row is not None and row[0] != SCHEMA:
        raise UnknownSchema(name, row[0], SCHEMA)
    return str(row[1]) if row is not None and has_events else None


def _exists(connection: psycopg.Connection[tuple[Any, ...]], schema: str, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.{table}",)).fetchone()
    return row is not None and bool(row[0])


def _mark(schema: str, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Write the marker before any event table exists: a table without a marker belongs to somebody else."""
    row = _sql("INSERT INTO {schema}.holdfast_store VALUES (1, %s, %s, 0, 0, '', 0) ON CONFLICT DO NOTHING", schema)
    with connection.transaction():
        connection.execute(_sql(_CREATE_MARKER, schema))
        connection.execute(row, (SCHEMA, uuid4().hex))


def _factory(schema: str, options: dict[str, Any]) -> PostgresFactory:
    environment = {
        "POSTGRES_DBNAME": str(options.get("dbname", "")),
        "POSTGRES_HOST": str(options.get("host", "")),
        "POSTGRES_PORT": str(options.get("port", 5432)),
        "POSTGRES_USER": str(options.get("user", "")),
        "POSTGRES_PASSWORD": str(options.get("password", "")),
        "POSTGRES_SCHEMA": schema,
        "POSTGRES_LOCK_TIMEOUT": str(LOCK_TIMEOUT_S),
        "POSTGRES_CONNECT_TIMEOUT": str(CONNECT_TIMEOUT_S),
        "POSTGRES_POOL_SIZE": "1",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "no",
    }
    factory = PostgresFactory(environment)
    # The factory knows five options of a connection; TLS and the rest are passed on here, before the pool opens.
    assert isinstance(factory.datastore.pool.kwargs, dict)
    factory.datastore.pool.kwargs.update(options)
    return factory


def _lock_key(schema: str, purpose: str) -> int:
    """Return the number of an advisory lock: the database is part of it already."""
    return int.from_bytes(hashlib.sha256(f"holdfast {purpose} {schema}".encode()).digest()[:8], "big", signed=True)


def _sql(statement: str, schema: str) -> Any:
    return SQL(statement).format(schema=Identifier(schema))
