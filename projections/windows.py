"""Unprotected windows: how long held quantity had no confirmed live protection at the venue, and why (E7).

Rules
    1. Each unprotected *quantity* has a clock of its own. Protection that arrives ends the oldest clocks first and leaves
       the others running: the ack of the first partial stop does not reset the clock of the second fill.
    2. Quantity is what `fsm.coverage.unprotected_lots` says after an event: held, tradable, and behind no live stop.
       Dust is not counted, nor is what fills after a position's end: the position that adopts it has a window for it.
       Windows are timed by our receive times.
    3. A window has a cause at every moment, and one segment per cause. Waiting for a stop keeps the cause with which it
       began; what makes the wait another one (a refusal, the link, an exit) begins a new segment.

The causes
    entry_fill             filled, the first stop is not confirmed yet      resize       more was filled, the old stop stands
    protection_lost        a stop ended that we had not asked to end        replacing    a stop was cancelled to be replaced
    protection_rejected    the venue refused the stop                       emergency    exposure found, or the ladder of A8
    stop_triggered         the stop fired and is not filled yet             link_down    the private channel is gone
    take_profit_working    a take-profit rests instead, by choice           maker_exiting  a patient exit rests, by choice
    cancel_first_exit      protection was cancelled for the exit            halted       a person is needed
    owner_hold             the owner took the stop away again, by hand      (P19)
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from events.facts import OrderCanceled, OrderExpired, OrderNotFound, OrderRejected, PositionAdopted
from events.record import PositionEvent
from fsm import position as s
from fsm.coverage import protected_lots, unprotected_lots
from fsm.model import Position
from fsm.order import LIVE

from .exact import multiply
from .fills import END_STATES

# What a state says about a window, whatever it began with.
_CAUSE_OF_STATE: Mapping[str, str] = {
    s.STOP_TRIGGERED: "stop_triggered",
    s.EMERGENCY_PROTECTING: "emergency",
    s.CANCEL_PENDING: "cancel_first_exit",
    s.MARKET_EXITING: "cancel_first_exit",
    s.TAKE_PROFIT_WORKING: "take_profit_working",
    s.MAKER_EXITING: "maker_exiting",
    s.RECONCILING: "link_down",
    s.HALTED: "halted",
    s.AWAITING_OWNER: "owner_hold",
}
CAUSES = (
    "entry_fill", "resize", "protection_lost", "replacing", "protection_rejected", "emergency", "stop_triggered", "link_down",
    "take_profit_working", "maker_exiting", "cancel_first_exit", "halted", "owner_hold",
)  # fmt: skip


class Segment(msgspec.Struct, frozen=True):
    """A part of a window under one cause. `to_ns` None: it still runs."""

    cause: str
    from_ns: int
    to_ns: int | None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One unprotected quantity from its first moment to its last; `closed_ns` None: it still runs.

    `ended_by` is "protected", "exited" (sold, or no longer tradable) or "" while it runs.
    """

    position_id: str
    number: int
    qty: Decimal
    opened_ns: int
    closed_ns: int | None
    segments: tuple[Segment, ...]
    ended_by: str

    @property
    def cause(self) -> str:
        """What it began with."""
        return self.segments[0].cause

    def duration_ns(self, now_ns: int) -> int:
        """Return its length, up to `now_ns` while it runs."""
        return max(0, (now_ns if self.closed_ns is None else self.closed_ns) - self.opened_ns)


class _Clock(msgspec.Struct):
    """Lots that are unprotected since the same moment for the same reason."""

    lots: int
    opened_ns: int
    cause: str
    cause_ns: int
    past: tuple[Segment, ...] = ()


class Windows:
    """Fold of events into windows. Running clocks belong to a position; closed windows are kept in the order of closing."""

    def __init__(self) -> None:
        self._clocks: dict[str, list[_Clock]] = {}
        self._closed: dict[str, list[Window]] = {}
        self._increments: dict[str, Decimal] = {}

    def apply(self, event: PositionEvent, before: Position | None, after: Position) -> None:
        """Take one event with the position before and after it."""
        bare = 0 if after.state in END_STATES else unprotected_lots(after)
        clocks = self._clocks.setdefault(event.position_id, [])
        if not bare and not clocks:
            return
        self._increments[event.position_id] = after.instrument.size_increment
        now_ns = event.fact.ts_recv_ns
        running = sum(clock.lots for clock in clocks)
        if bare < running:
            self._close(event.position_id, clocks, running - bare, now_ns, _ended_by(before, after))
        cause = _cause_of_state(event, after)
        if cause:
            _change_cause(clocks, cause, now_ns)
        if bare > running:
            clocks.append(_Clock(bare - running, now_ns, cause or _cause_of_waiting(event, before, after), now_ns))

    def _close(self, position_id: str, clocks: list[_Clock], lots: int, now_ns: int, ended_by: str) -> None:
        closed = self._closed.setdefault(position_id, [])
        while lots > 0:
            clock = clocks[0]
            part = min(lots, clock.lots)
            closed.append(self._window(position_id, len(closed) + 1, clock, part, now_ns, ended_by))
            clock.lots -= part
            lots -= part
            if not clock.lots:
                del clocks[0]

    def _window(self, position_id: str, number: int, clock: _Clock, lots: int, closed_ns: int | None, ended_by: str) -> Window:
        return Window(
            position_id=position_id,
            number=number,
            qty=multiply(self._increments[position_id], Decimal(lots)),
            opened_ns=clock.opened_ns,
            closed_ns=closed_ns,
            segments=(*clock.past, Segment(clock.cause, clock.cause_ns, closed_ns)),
            ended_by=ended_by,
        )

    def of(self, position_id: str) -> Iterator[Window]:
        """Return the windows of one position: closed ones in the order of closing, then running ones, oldest first."""
        closed = self._closed.get(position_id, [])
        yield from closed
        for number, clock in enumerate(self._clocks.get(position_id, []), len(closed) + 1):
            yield self._window(position_id, number, clock, clock.lots, None, "")

    def all(self) -> Iterator[Window]:
        """Return the windows of all positions, by position."""
        for position_id in sorted(self._clocks):
            yield from self.of(position_id)

    def running(self) -> Iterator[Window]:
        """Return the windows that are open now, by position."""
        return (window for window in self.all() if window.closed_ns is None)


def any_ns(windows: Iterable[Window], now_ns: int) -> int:
    """Return how long any quantity was unprotected, up to `now_ns`: windows that run side by side count once."""
    total, upto_ns = 0, 0
    for window in sorted(windows, key=lambda window: window.opened_ns):
        end_ns = window.opened_ns + window.duration_ns(now_ns)
        total += max(0, end_ns - max(upto_ns, window.opened_ns))
        upto_ns = max(upto_ns, end_ns)
    return total


def _ended_by(before: Position | None, after: Position) -> str:
    return "protected" if before is not None and protected_lots(after) > protected_lots(before) else "exited"


def _change_cause(clocks: list[_Clock], cause: str, now_ns: int) -> None:
    for clock in clocks:
        if clock.cause != cause:
            clock.past = (*clock.past, Segment(clock.cause, clock.cause_ns, now_ns))
            clock.cause, clock.cause_ns = cause, now_ns


def _cause_of_state(event: PositionEvent, after: Position) -> str:
    """Return the cause that a state or a refusal gives to all that is bare, "" if what it began with stands."""
    fact = event.fact
    if isinstance(fact, OrderRejected):
        order = after.order(fact.client_order_id, fact.venue_order_id)
        if order is not None and order.role == "stop":
            return "protection_rejected"
    if after.state == s.EMERGENCY_PROTECTING and after.protect_attempts:
        return "protection_rejected"
    return _CAUSE_OF_STATE.get(after.state, "")


def _cause_of_waiting(event: PositionEvent, before: Position | None, after: Position) -> str:
    """Return why quantity is bare from this event on, in a state that waits for a stop."""
    fact = event.fact
    if isinstance(fact, PositionAdopted):
        return "emergency"
    if isinstance(fact, OrderCanceled | OrderExpired | OrderNotFound) and before is not None:
        order = before.order(fact.client_order_id, fact.venue_order_id)
        if order is not None and order.role == "stop" and order.status == LIVE:
            return "replacing" if order.pending == "cancel" else "protection_lost"
    return "resize" if before is not None and protected_lots(before) else "entry_fill"


# --- the service level ----------------------------------------------------------------------------------------------


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Windows under one cause ("all": whole windows): how many, and their lengths by nearest rank, in nanoseconds."""

    cause: str
    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int


def levels(windows: Iterable[Window], now_ns: int) -> list[Level]:
    """Return one row for whole windows, then one for each cause that occurred; what still runs counts up to `now_ns`."""
    lengths: dict[str, list[int]] = {"all": []}
    for window in windows:
        lengths["all"].append(window.duration_ns(now_ns))
        for segment in window.segments:
            to_ns = now_ns if segment.to_ns is None else segment.to_ns
            lengths.setdefault(segment.cause, []).append(max(0, to_ns - segment.from_ns))
    return [_level(cause, sorted(lengths[cause])) for cause in ("all", *CAUSES) if cause in lengths]


def _level(cause: str, lengths: list[int]) -> Level:
    return Level(
        cause=cause,
        count=len(lengths),
        p50_ns=percentile(lengths, 50),
        p99_ns=percentile(lengths, 99),
        max_ns=lengths[-1] if lengths else 0,
    )


def percentile(ordered: list[int], percent: int) -> int:
    """Return the nearest-rank percentile of an ascending list, 0 if it is empty."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def over_budget(windows: Iterable[Window], budget_ms: Mapping[str, int], now_ns: int) -> list[tuple[Window, Segment]]:
    """Return every segment that lasted longer than its cause's budget, in the order of the windows.

    `budget_ms` is per cause; "default" is for the causes that it does not name, without it they have no budget.
    """
    over = []
    for window in windows:
        for segment in window.segments:
            budget = budget_ms.get(segment.cause, budget_ms.get("default"))
            to_ns = now_ns if segment.to_ns is None else segment.to_ns
            if budget is not None and to_ns - segment.from_ns > budget * 1_000_000:
                over.append((window, segment))
    return over


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of one window. `window_ns` is the length of the whole window; None while it runs."""

    position_id: str
    window: int
    segment: int
    cause: str
    qty: Decimal
    opened_ns: int
    from_ns: int
    to_ns: int | None
    duration_ns: int | None
    window_ns: int | None
    ended_by: str


def rows_from(windows: Iterable[Window]) -> Iterator[WindowRow]:
    """Return one row per segment."""
    for window in windows:
        for number, segment in enumerate(window.segments, 1):
            yield WindowRow(
                position_id=window.position_id,
                window=window.number,
                segment=number,
                cause=segment.cause,
                qty=window.qty,
                opened_ns=window.opened_ns,
                from_ns=segment.from_ns,
                to_ns=segment.to_ns,
                duration_ns=None if segment.to_ns is None else max(0, segment.to_ns - segment.from_ns),
                window_ns=None if window.closed_ns is None else max(0, window.closed_ns - window.opened_ns),
                ended_by=window.ended_by,
            )
