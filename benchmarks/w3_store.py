"""W3: the event log. Durable appends one by one and in groups, through the whole path, and reading a long log back.

The events are those of one trip of `trips` (nine events), written for as many positions as are needed. The yardstick of a commit is
SQLite itself, called without anything of ours: the same row, the same pragmas, in the same file system, turn by turn with the
store. PostgreSQL is measured where `HOLDFAST_POSTGRES_URL` names a server; a schema is made there and dropped again.
"""

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from events.ids import position_id_from
from events.record import PositionEvent, bytes_from, event_from
from events.store import Spool, Store, Writer, open_store
from events.store.mapper import TOPIC, originator_id_from
from fsm.core import Core, evolve, verify
from fsm.desk import Desk
from fsm.model import Position

from . import Row, must_equal, wall_seconds
from .trips import NAMESPACE, Trips

COMMIT_GOAL = 1.2
GROUP_SIZES = (10, 100, 1_000)
_START_NS = 1_700_000_000_000_000_000


def trip() -> list[bytes]:
    """Return the events of one whole trip, encoded: entered, protected, stopped out."""
    trips = Trips(Desk(namespace=NAMESPACE), [50])
    trips.enter(0, Decimal("60000.0"), _START_NS)
    trips.price(Decimal("59000.0"), _START_NS + 1)
    first = position_id_from(NAMESPACE, 0)
    return [bytes_from(event) for event in trips.events if event.position_id == first]


def events_for(positions: int, first: int = 0) -> Iterator[PositionEvent]:
    """Yield the events of a trip for each of many positions, position by position."""
    template = trip()
    placeholder = position_id_from(NAMESPACE, 0).encode()
    for number in range(first, first + positions):
        position_id = position_id_from(NAMESPACE, number).encode()
        for data in template:
            yield event_from(data.replace(placeholder, position_id))


def run(quick: bool) -> list[Row]:
    """Measure the store on SQLite in the working folder's file system, and on PostgreSQL if one is named."""
    os.makedirs("var", exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="w3-", dir="var") as name:
        folder = Path(name)
        rows = [*_commits(folder, quick), *_groups(folder, quick), *_reading(folder, quick)]
    if url := os.environ.get("HOLDFAST_POSTGRES_URL"):
        rows += _postgres(url, quick)
    return rows


# --- commits ------------------------------------------------------------------------------------------------------------


def _commits(folder: Path, quick: bool) -> list[Row]:
    """One event a transaction, turn by turn with SQLite alone; then larger transactions."""
    count = 300 if quick else 3_000
    events = list(events_for(count // 9 + 1))[:count]
    with _leased(str(folder / "commits.db")) as store, contextlib.closing(_bare_sqlite(folder / "bare.db")) as bare:
        alone, ours, synced = [], [], []
        with open(folder / "presized", "w+b") as file:
            file.write(bytes(1 << 20))
            os.fsync(file.fileno())
            for event in events:
                state = bytes_from(event)
                key = (originator_id_from(event.position_id).hex, event.version, TOPIC, state)
                synced.append(_micros(lambda state=state: _write_and_sync(file.fileno(), state)))  # type: ignore[misc]
                alone.append(_micros(lambda key=key: _insert(bare, key)))  # type: ignore[misc]
                ours.append(_micros(lambda event=event: store.append([event])))  # type: ignore[misc]
        must_equal("commits", count, sum(1 for _ in store.all_events()))
        base = "SQLite alone, 1 row a commit"
        rows = [
            _row("write and fdatasync of a pre-sized file", "µs", synced, higher_is_better=False),
            _row(base, "µs", alone, higher_is_better=False, baseline="write and fdatasync of a pre-sized file"),
            _row("store, 1 event a commit", "µs", ours, higher_is_better=False, baseline=base, goal=COMMIT_GOAL * median(alone)),
        ]
        first = count // 9 + 1
        for size in GROUP_SIZES:
            samples = []
            for _ in range(5 if quick else 30):
                positions = size // 9 + 1
                group = list(events_for(positions, first))[:size]
                first += positions
                samples.append(_micros(lambda group=group: store.append(group)))  # type: ignore[misc]
            rows.append(_row(f"store, {size:,} events a commit", "µs", samples, higher_is_better=False, baseline=base))
    return rows


def _bare_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    columns = "originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB"
    connection.execute(f"CREATE TABLE stored_events ({columns}, PRIMARY KEY (originator_id, originator_version))")
    return connection


def _insert(connection: sqlite3.Connection, row: tuple[str, int, str, bytes]) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?)", row)
    connection.execute("COMMIT")


def _write_and_sync(fd: int, data: bytes) -> None:
    os.pwrite(fd, data, 0)
    os.fdatasync(fd)


# --- groups -------------------------------------------------------------------------------------------------------------


def _groups(folder: Path, quick: bool) -> list[Row]:
    """Flat out through the writer: first events that are there already, then facts that are decided on the way."""
    positions = 500 if quick else 5_000
    rows: list[Row] = []
    for case, work in (
        ("map + group commit", _submit_all),
        ("decide + evolve + map + group commit, flat tables", _decide_and_submit("flat")),
        ("decide + evolve + map + group commit, transitions", _decide_and_submit("machine")),
    ):
        samples: list[float] = []
        facts: dict[str, int | float | str] = {}
        for number in range(1 if quick else 3):
            events = list(events_for(positions))
            with _leased(str(folder / f"groups-{len(rows)}-{number}.db")) as store, _writer(store, folder) as writer:
                seconds = wall_seconds(lambda: work(writer, events))  # noqa: B023 - called at once
                must_equal(case, len(events), writer.stats().events)
                must_equal(case, store.events_of(events[0].position_id), events[:9])
                facts = {"events": len(events), "commits": writer.stats().groups}
            samples.append(len(events) / seconds)
        rows.append(Row(work="W3", case=case, unit="events/s", samples=tuple(samples), goal=30_000, facts=facts))
    return rows


def _submit_all(writer: Writer, events: Sequence[PositionEvent]) -> None:
    for event in events:
        writer.submit([event])
    assert writer.flush(600)


def _decide_and_submit(executor: str) -> Callable[[Writer, Sequence[PositionEvent]], None]:
    core = Core(executor)

    def work(writer: Writer, events: Sequence[PositionEvent]) -> None:
        positions: dict[str, Position] = {}
        for recorded in events:
            position = positions.get(recorded.position_id)
            event = core.decide(position, recorded.fact)
            positions[event.position_id] = evolve(position, event)
            writer.submit([event])
        assert writer.flush(600)

    return work


# --- reading ------------------------------------------------------------------------------------------------------------


def _reading(folder: Path, quick: bool) -> list[Row]:
    """A long log: read, folded into positions, and decided again."""
    positions = 5_000 if quick else 1_000_000 // 9 + 1
    count = 0
    with _leased(str(folder / "log.db")) as store:
        batch: list[PositionEvent] = []
        for event in events_for(positions):
            batch.append(event)
            count += 1
            if len(batch) == 1_000:
                store.append(batch)
                batch.clear()
        store.append(batch)
    rows = []
    with open_store(str(folder / "log.db"), create=False) as log:
        for case, work, goal in (
            ("read the log", lambda: must_equal("read", count, sum(1 for _ in log.all_events())), None),
            ("rebuild all positions", lambda: must_equal("rebuild", positions, len(rebuilt(log))), 400_000),
            ("verify: decide the log again", lambda: must_equal("verify", [], verify(log.all_events())), 200_000),
        ):
            rate = count / wall_seconds(work)
            rows.append(Row(work="W3", case=case, unit="events/s", samples=(rate,), goal=goal, facts={"events": count}))
    return rows


def rebuilt(store: Store) -> dict[str, Position]:
    """Return every position of a log as its last event left it."""
    positions: dict[str, Position] = {}
    for event in store.all_events():
        positions[event.position_id] = evolve(positions.get(event.position_id), event)
    return positions


# --- PostgreSQL -----------------------------------------------------------------------------------------------------------


def _postgres(url: str, quick: bool) -> list[Row]:
    import psycopg

    schema = f"w3_{os.getpid()}"
    try:
        with _leased(f"{url}{'&' if urlsplit(url).query else '?'}schema={schema}") as store:
            count = 100 if quick else 1_000
            events = list(events_for(count // 9 + 1))[:count]
            samples = [_micros(lambda event=event: store.append([event])) for event in events]  # type: ignore[misc]
            rows = [_row("PostgreSQL, 1 event a commit", "µs", samples, higher_is_better=False)]
            with tempfile.TemporaryDirectory() as folder, _writer(store, Path(folder)) as writer:
                events = list(events_for(500 if quick else 5_000, first=count))
                seconds = wall_seconds(lambda: _submit_all(writer, events))
                must_equal("PostgreSQL", len(events), writer.stats().events)
                facts: dict[str, int | float | str] = {"events": len(events), "commits": writer.stats().groups}
            samples = [len(events) / seconds]
            rows.append(Row(work="W3", case="PostgreSQL, map + group commit", unit="events/s", samples=tuple(samples), facts=facts))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
    return rows


# --- parts ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _leased(url: str) -> Iterator[Store]:
    with open_store(url) as store:
        store.acquire_lease()
        yield store


@contextlib.contextmanager
def _writer(store: Store, folder: Path) -> Iterator[Writer]:
    writer = Writer(store, Spool(folder / "spool", store), on_failure=_fail, on_page=lambda code, text: None)
    try:
        yield writer
    finally:
        writer.close()


def _fail(problem: Exception) -> None:
    raise problem


def _micros(work: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start_ns) / 1e3


def _row(case: str, unit: str, samples: Sequence[float], **rest: object) -> Row:
    return Row(work="W3", case=case, unit=unit, samples=tuple(samples), **rest)  # type: ignore[arg-type]
