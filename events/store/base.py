"""The store of position events, as everybody sees it: append under a lease, read one position, read all, follow.

Rules, the same for every database behind it:

- One engine writes. `append` needs the writer lease; the lease's fencing token is compared inside every append's transaction,
  so that an engine that was believed dead and was not cannot add to a log that another one has taken over.
- One append is one transaction: all its events are durable when it returns, or none is and the store is not written again.
- Versions of a position count from 1 without gaps. The recorders only refuse a version that is there already; that the one
  before it is there is checked here, when writing and when reading.
- Notification ids grow, in the order of the commits, and may have gaps. A reader that remembers the last one misses nothing.

Deliberately absent: snapshots (a position has tens of events), and any sum of money in SQL.
"""

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import msgspec
from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import ApplicationRecorder, IntegrityError

from ..errors import StoreFailed, StoreLocked, StoreProblem, Tampered
from ..record import PositionEvent
from .mapper import EventMapper, event_from_row, originator_id_from

# Versions that are remembered so that a following event needs no look into the database; then it is forgotten and read again.
MAX_KNOWN_VERSIONS = 65_536
READ_BATCH = 2_000


class VersionConflict(StoreProblem):
    """An event whose version is there already, or whose predecessor is not: somebody else wrote to this position."""

    def __init__(self, store: str, position_id: str, version: int, problem: str) -> None:
        self.position_id, self.version = position_id, version
        super().__init__(store, f"position {position_id} version {version} {problem}", "let one engine only write to a store")


class Fenced(StoreFailed):
    """Another engine has taken the lease over. This one must send nothing any more: its positions are in other hands."""

    def __init__(self, store: str, token: int, current: int) -> None:
        self.token, self.current = token, current
        super().__init__(store, f"the lease {token} of this engine was taken over by lease {current}", "end this engine")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds, or last held, the writer lease. `since_ns` is UTC nanoseconds."""

    token: int
    pid: int
    host: str
    since_ns: int

    @classmethod
    def this_process(cls) -> "Holder":
        """Return a holder that describes this process; the token is given by the store."""
        return cls(0, os.getpid(), socket.gethostname(), time.time_ns())

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since_ns // 1_000_000_000, UTC)
        return f"the engine with process id {self.pid} on {self.host} since {since:%Y-%m-%d %H:%M:%S} UTC"


class Lease:
    """The right to append to a store, held until `release` or the end of the process, however it ends.

    `token` is one higher than any lease before it.
    """

    def __init__(self, holder: Holder, release: Callable[[], None]) -> None:
        self.token = holder.token
        self.holder = holder
        self._release = release

    def release(self) -> None:
        """Give the lease back. Nothing happens if it was given back already."""
        release, self._release = self._release, _nothing
        release()


def _nothing() -> None:
    pass


def locked(store: str, holder: Holder | None) -> StoreLocked:
    """Return the error for a store whose lease is held by somebody else."""
    who = str(holder) if holder and holder.pid else "another engine"
    return StoreLocked(store, f"locked by {who}", "end that engine first, or give this one a store of its own")


class _Head(msgspec.Struct):
    position_id: str


_head_decoder = msgspec.json.Decoder(_Head)


class Store(ABC):
    """An open event store. Reading is safe from any thread; appending belongs to one (the `Writer`)."""

    def __init__(self, name: str, store_id: str, recorder: ApplicationRecorder) -> None:
        self.name = name
        self.store_id = store_id
        self._recorder = recorder
        self._mapper = EventMapper()
        self._lease: Lease | None = None
        self._failure: StoreFailed | None = None
        self._versions: dict[str, int] = {}

    # --- writing ----------------------------------------------------------------------------------------------------

    def acquire_lease(self) -> Lease:
        """Become the one writer of this store.

        Raises:
            StoreLocked: another engine holds it; the sentence names it.
            StoreProblem: the lease cannot be written.
        """
        if self._lease is not None:
            raise locked(self.name, self._lease.holder)
        holder, unlock = self._lock(Holder.this_process())

        def release() -> None:
            self._lease = None
            unlock()

        self._versions.clear()
        self._lease = Lease(holder, release)
        return self._lease

    def append(self, events: Sequence[PositionEvent]) -> None:
        """Make `events` durable in one transaction, in their order; return when they are.

        Raises:
            VersionConflict: a version is taken or its predecessor is missing; nothing is stored.
            Fenced: the lease was taken over; nothing is stored.
            StoreFailed: the write or the sync failed; what is stored is unknown and this store is not written again.
            StoreProblem: this store holds no lease.
        """
        if not events:
            return
        if self._failure is not None:
            raise self._failure
        if self._lease is None:
            raise StoreProblem(self.name, "append without the writer lease", "call acquire_lease() first")
        predecessors = self._check_versions(events)
        rows = [self._mapper.to_stored_event(event) for event in events]
        try:
            self._recorder.insert_events(rows, token=self._lease.token, predecessors=predecessors)
        except VersionConflict:
            raise
        except IntegrityError:
            first = events[0]
            raise VersionConflict(self.name, first.position_id, first.version, "or one after it is in the store already") from None
        except StoreFailed as problem:
            self._failure = problem
            raise
        except Exception as problem:
            self._failure = self._failed(problem)
            raise self._failure from problem
        if len(self._versions) + len(events) > MAX_KNOWN_VERSIONS:
            self._versions.clear()
        for event in events:
            self._versions[event.position_id] = event.version

    def _check_versions(self, events: Sequence[PositionEvent]) -> list[tuple[str, int]]:
        """Return the keys that must be stored already. Raises VersionConflict where the answer is known without a look."""
        known: dict[str, int] = {}
        predecessors = []
        for event in events:
            last = known.get(event.position_id, self._versions.get(event.position_id))
            if last is None:
                if event.version < 1:
                    raise VersionConflict(self.name, event.position_id, event.version, "is below 1")
                if event.version > 1:
                    predecessors.append((event.position_id, event.version - 1))
            elif event.version != last + 1:
                raise VersionConflict(self.name, event.position_id, event.version, f"does not follow version {last}")
            known[event.position_id] = event.version
        return predecessors

    def _failed(self, problem: Exception) -> StoreFailed:
        return StoreFailed(self.name, f"the write failed: {one_line(problem)}", "see to the disk or the database, then start again")

    @property
    def failure(self) -> StoreFailed | None:
        """The failed write after which nothing is written here any more, or None."""
        return self._failure

    # --- reading ----------------------------------------------------------------------------------------------------

    def position_ids(self) -> list[str]:
        """Return the ids of all positions, in the order in which they were opened."""
        with self._reading():
            return [_head_decoder.decode(state).position_id for state in self._first_states()]

    def events_of(self, position_id: str) -> list[PositionEvent]:
        """Return the events of one position, ordered by version, without gaps; empty if there are none.

        Raises:
            Tampered: a version is missing, or a row is another event than its key says.
            UnknownSchema: a row was written under another schema version.
        """
        with self._reading():
            rows = self._recorder.select_events(originator_id_from(position_id))
        events = [self._mapper.to_domain_event(row) for row in rows]
        for expected, event in enumerate(events, start=1):
            if event.version != expected:
                raise self._hole(position_id, expected, event.version)
        return events

    def all_events(self) -> Iterator[PositionEvent]:
        """Yield every event in the order of the log, in flat memory but for one number a position. Raises as `events_of`."""
        versions: dict[str, int] = {}
        after = 0
        while True:
            with self._reading():
                rows = self._rows_after(after, READ_BATCH)
            for _, topic, state in rows:
                event = event_from_row(topic, state)
                expected = versions.get(event.position_id, 0) + 1
                if event.version != expected:
                    raise self._hole(event.position_id, expected, event.version)
                versions[event.position_id] = expected
                yield event
            if len(rows) < READ_BATCH:
                return
            after = rows[-1][0]

    def follow(self, after_notification_id: int = 0, limit: int = 1_000) -> list[tuple[int, PositionEvent]]:
        """Return up to `limit` events that were committed after a notification id, each with its own; empty at the end."""
        with self._reading():
            rows = self._recorder.select_notifications(after_notification_id, limit, inclusive_of_start=False)
        return [(row.id, self._mapper.to_domain_event(row)) for row in rows]

    def last_notification_id(self) -> int:
        """Return the notification id of the newest event, 0 in an empty store."""
        with self._reading():
            return self._recorder.max_notification_id() or 0

    def _hole(self, position_id: str, expected: int, found: int) -> Tampered:
        return Tampered(f"{self.name}, position {position_id}", f"version {found} stands where version {expected} must be")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (EventSourcingError, msgspec.MsgspecError) as problem:
            raise StoreProblem(self.name, f"cannot be read: {one_line(problem)}", "see to the disk or the database") from problem

    # --- life -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the lease back and close. What was appended stays durable; nothing happens if it is closed already."""
        if self._lease is not None:
            self._lease.release()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def give_back_reserve(self) -> bool:
        """Free the space that is kept for a full disk; return False where this store keeps none."""
        return False

    @abstractmethod
    def _lock(self, wanted: Holder) -> tuple[Holder, Callable[[], None]]:
        """Return who holds the lease now, with its token, and what gives it back. Raises StoreLocked or StoreProblem."""

    @abstractmethod
    def _first_states(self) -> Iterator[bytes]: ...

    @abstractmethod
    def _rows_after(self, after: int, limit: int) -> Sequence[tuple[int, str, bytes]]: ...

    @abstractmethod
    def _close(self) -> None: ...


def one_line(problem: BaseException) -> str:
    """Return an error's text as one line without a final stop, for the middle of a sentence."""
    return " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
