"""One thread that makes events durable: it commits what has come together since its last commit (group commit).

`submit` never blocks and never raises because of the disk. A callback `on_durable` runs in the writer's thread, after the commit
and in the order of submission; an event loop is entered from it with `call_soon_threadsafe`.

When the store fails (a write or sync that reports an error, or a commit that does not return within `stall_timeout_s`), then for
the rest of this writer's life:

- the store is not written again, and no `on_durable` is called: what it stands for did not happen;
- `on_failure` is called once, `on_page` with `STORE_FAILED`;
- every event that is not acknowledged goes, in order, to the emergency spool; so does every later one;
- when the spool fails too, `on_page` says `SPOOL_FAILED`, and the events stay in memory, the newest `MAX_UNRECORDED` of them.

A group whose commit failed or stalled may be in the store all the same; `recover_spool` knows such events again.

Memory is bounded: a queue of `max_backlog` counts as a stalled store, twice that as a stalled spool, behind which events go to the
bounded memory. What is held for the disk (see `outbox`) throttles entries long before.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..errors import StoreFailed, StoreProblem
from ..record import PositionEvent
from .base import Fenced, Store, one_line
from .spool import Spool

MAX_GROUP = 512
MAX_BACKLOG = 200_000
MAX_UNRECORDED = 50_000
STALL_TIMEOUT_S = 30.0

# Beside an event loop that is never idle, a thread that asks for the interpreter's lock waits for this long, and each time that the
# loop looks at its sockets the wait begins anew. With Python's 5 ms and a loop of 1 to 3 ms an event took one to two seconds to
# become durable; with 0.5 ms it takes 4 ms. The loop itself pays less than a per cent.
SWITCH_INTERVAL_S = 0.0005

PageCode = Literal["STORE_FAILED", "SPOOL_FAILED"]
State = Literal["running", "spooling", "unrecorded", "closed"]


@dataclass(frozen=True, slots=True)
class WriterStats:
    """Counts since the start, of events where nothing else is said.

    `last_commit_ns` is UTC, 0 before the first; `backlog` is submitted and neither on a disk nor given up; `unrecorded` is on no
    disk.
    """

    state: State
    groups: int
    events: int
    spooled: int
    unrecorded: int
    backlog: int
    last_commit_ns: int
    callback_errors: int


@dataclass(frozen=True, slots=True)
class _Submission:
    events: Sequence[PositionEvent]
    on_durable: Callable[[], None] | None


@dataclass(slots=True)
class _Batch:
    """What one commit takes from the queue. `flushed` are waited for, `is_last` ends the thread."""

    submissions: list[_Submission] = field(default_factory=list)
    flushed: list[threading.Event] = field(default_factory=list)
    is_last: bool = False

    @property
    def events(self) -> list[PositionEvent]:
        return [event for submission in self.submissions for event in submission.events]


class Writer:
    """Writes to a store whose lease is held. It owns the spool from now on, and neither the store nor the lease."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        *,
        on_failure: Callable[[StoreProblem], None],
        on_page: Callable[[PageCode, str], None],
        max_group: int = MAX_GROUP,
        max_backlog: int = MAX_BACKLOG,
        stall_timeout_s: float = STALL_TIMEOUT_S,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Start the thread. `on_failure` and `on_page` may be called from any thread.

        The interpreter's switch interval is lowered to `SWITCH_INTERVAL_S` for the whole process.
        """
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
        self._store, self._spool = store, spool
        self._on_failure, self._on_page = on_failure, on_page
        self._max_group, self._max_backlog = max_group, max_backlog
        self._stall_timeout_ns = int(stall_timeout_s * 1e9)
        self._monotonic_ns = monotonic_ns
        self._state: State = "running"
        self._failure: StoreProblem | None = None
        self._groups = self._events = self._spooled = self._unrecorded_count = self._callback_errors = self._last_commit_ns = 0
        self._unrecorded: deque[PositionEvent] = deque(maxlen=MAX_UNRECORDED)
        # Everything below is read and written under the condition's lock. `_worker` is the thread that owns the queue: one that
        # finds that it is not it any more was stuck in a commit and has been left behind.
        self._changed = threading.Condition()
        self._queue: deque[_Submission | threading.Event | None] = deque()
        self._in_flight: _Batch | None = None
        self._committing_since_ns = 0
        self._backlog = 0
        self._start(self._run, "holdfast-writer")

    # --- called by the engine ---------------------------------------------------------------------------------------

    def submit(self, events: Sequence[PositionEvent], on_durable: Callable[[], None] | None = None) -> None:
        """Hand over events that belong together; return at once. They are committed in one transaction, or spooled."""
        assert self._state != "closed"
        with self._changed:
            is_overfull = self._backlog >= self._max_backlog
            # A store that stalled leaves a full queue to the spool, which gets the same again before it counts as stalled.
            is_given_up = self._failure is not None and self._backlog >= 2 * self._max_backlog
            if is_given_up:
                self._keep(events)
            else:
                self._backlog += len(events)
                self._queue.append(_Submission(events, on_durable))
                self._changed.notify()
            since_ns = self._committing_since_ns
        if is_given_up:
            self._give_up(f"{2 * self._max_backlog} events wait for it")
        elif is_overfull:
            self._take_over(f"{self._max_backlog} events wait for the disk")
        elif since_ns and self._monotonic_ns() - since_ns > self._stall_timeout_ns:
            self._take_over(f"a commit has not returned for {self._stall_timeout_ns / 1e9:g} s")

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything submitted so far is in the store, the spool or the memory; return False after the timeout."""
        reached = threading.Event()
        self._put(reached)
        return reached.wait(timeout_s)

    def close(self, timeout_s: float = 10.0) -> WriterStats:
        """Write what is left and end the thread. A commit that does not return in time is left behind, and its events spooled.

        Returns the counts at the end; the state in them tells where the events are.
        """
        if self._state == "closed":
            return self.stats()
        self._put(None)
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            self._take_over(f"a commit has not returned for {timeout_s:g} s")
            self._worker.join(timeout_s)
        stats = self.stats()
        self._state = "closed"
        if not self._worker.is_alive():
            self._spool.close()
        return stats

    def stats(self) -> WriterStats:
        """Return the counts of now."""
        return WriterStats(
            self._state,
            self._groups,
            self._events,
            self._spooled,
            self._unrecorded_count,
            self._backlog,
            self._last_commit_ns,
            self._callback_errors,
        )

    @property
    def failure(self) -> StoreProblem | None:
        """Why the store is not written any more, None while it is."""
        return self._failure

    @property
    def unrecorded(self) -> list[PositionEvent]:
        """The newest events that are on no disk, oldest first."""
        return list(self._unrecorded)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _start(self, run: Callable[[], None], name: str) -> None:
        """Make a new thread the owner of the queue, and start it. A simulation lets its loop do what the thread would do."""
        self._worker = threading.Thread(target=run, name=name, daemon=True)
        self._worker.start()

    def _owns_queue(self) -> bool:
        return threading.current_thread() is self._worker

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            if self._failure is not None:
                self._rescue(batch)
            elif not self._commit(batch):
                return
            if self._finish(batch):
                return

    def _next_batch(self) -> _Batch | None:
        """Wait for a submission and take it with what has queued up behind it; None if another thread owns the queue now."""
        batch = _Batch()
        count = 0
        with self._changed:
            while not self._queue:
                if not self._owns_queue():
                    return None
                self._changed.wait()
            if not self._owns_queue():
                return None
            while self._queue and count < self._max_group and not batch.flushed and not batch.is_last:
                item = self._queue.popleft()
                if isinstance(item, _Submission):
                    batch.submissions.append(item)
                    count += len(item.events)
                elif item is None:
                    batch.is_last = True
                else:
                    batch.flushed.append(item)
            self._in_flight = batch
            if self._failure is None:
                self._committing_since_ns = self._monotonic_ns()
        return batch

    def _commit(self, batch: _Batch) -> bool:
        """Commit a batch, or rescue it if that fails; return False if another thread has taken it over in the meantime."""
        events = batch.events
        problem: StoreProblem | None = None
        try:
            self._store.append(events)
        except StoreProblem as failure:
            problem = failure
        except Exception as bug:
            problem = StoreFailed(self._store.name, f"{type(bug).__name__}: {one_line(bug)}", "report this: it is a fault of the program")
        with self._changed:
            if not self._owns_queue():
                return False
            self._in_flight, self._committing_since_ns = None, 0
            self._failure = problem
            if problem is None:
                self._backlog -= len(events)
        if problem is not None:
            self._announce(problem)
            self._rescue(batch)
        elif events:
            self._last_commit_ns = time.time_ns()
            self._groups += 1
            self._events += len(events)
            for submission in batch.submissions:
                if submission.on_durable is not None:
                    self._call(submission.on_durable)
        return True

    def _finish(self, batch: _Batch) -> bool:
        """Wake who waits for this batch; return True if it was the last."""
        for reached in batch.flushed:
            reached.set()
        return batch.is_last

    # --- after a failure --------------------------------------------------------------------------------------------

    def _take_over(self, reason: str) -> None:
        """Leave a stuck thread behind; a new one rescues its batch and goes on with the queue."""
        with self._changed:
            if self._failure is not None:
                return
            self._failure = problem = StoreFailed(self._store.name, reason, "see to the disk or the database, then start again")
            stuck, self._in_flight, self._committing_since_ns = self._in_flight or _Batch(), None, 0
            self._start(lambda: self._run_after(problem, stuck), "holdfast-rescue")
            self._changed.notify_all()

    def _run_after(self, problem: StoreProblem, stuck: _Batch) -> None:
        self._announce(problem)
        self._rescue(stuck)
        if not self._finish(stuck):
            self._run()

    def _announce(self, problem: StoreProblem) -> None:
        self._state = "spooling"
        self._store.give_back_reserve()
        self._call(lambda: self._on_failure(problem))
        goes_on = "nothing is sent any more" if isinstance(problem, Fenced) else "entries are stopped, protection and exits go on"
        self._page("STORE_FAILED", f"{problem}; {goes_on}, events go to {self._spool.path}")

    def _rescue(self, batch: _Batch) -> None:
        """Write a batch to the spool, or keep it in memory if that fails too."""
        events = batch.events
        is_spooled = False
        if self._state == "spooling" and events:
            try:
                self._spool.append(events)
                is_spooled = True
            except Exception as problem:
                # Not only OSError: this thread must outlive an event that cannot be encoded.
                self._give_up(one_line(problem))
        with self._changed:
            self._in_flight = None
            self._backlog -= len(events)
            if is_spooled:
                self._spooled += len(events)
            else:
                self._keep(events)

    def _give_up(self, reason: str) -> None:
        """Use the spool no more, and say so once."""
        with self._changed:
            is_first, self._state = self._state != "unrecorded", "unrecorded"
        if is_first:
            self._page("SPOOL_FAILED", f"emergency spool {self._spool.path}: {reason}; events are in memory only, keep this process alive")

    def _keep(self, events: Sequence[PositionEvent]) -> None:
        self._unrecorded.extend(events)
        self._unrecorded_count += len(events)

    def _put(self, item: threading.Event | None) -> None:
        with self._changed:
            self._queue.append(item)
            self._changed.notify()

    def _page(self, code: PageCode, text: str) -> None:
        self._call(lambda: self._on_page(code, text))

    def _call(self, callback: Callable[[], None]) -> None:
        """Call back; a callback that raises (a loop that is closed) is counted and must not end this thread."""
        try:
            callback()
        except Exception:
            self._callback_errors += 1
