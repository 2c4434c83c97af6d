"""The position monitor (A9, A26): what a look at every open position finds, longs and shorts alike, as typed mismatches.

A look compares, for each position, what is held with what protects it, and the stop that the venue reports with the one that
its own peak demands. What is under way is no finding: only what is found again `SETTLED_NS` later is told, once, until it is
gone. The monitor decides nothing: the machine has its own clocks for each of these (I1), and what it does about them is in its
log; the monitor is the second pair of eyes.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

from .coverage import coverage, protected_lots, unprotected_lots
from .model import Position
from .notice import Notice
from .position import MAKER_EXITING, TAKE_PROFIT_WORKING
from .prices import trail_stop_ticks

SETTLED_NS = 5_000_000_000
# No position is unprotected for longer without a person who knows; then again every minute. Longer than each ladder of the machine
# takes by itself (2 s to the first alarm, 8 s to the exit, 5 s for its fill), shorter than anybody would want to find out.
BOUND_NS, PAGE_AGAIN_NS = 30_000_000_000, 60_000_000_000
# A venue reports a moving stop now and then, and the desk keeps steps of 10 bps of it.
STOP_DRIFT_BPS = 25

MismatchKind = Literal["bare", "short", "surplus", "in_flight", "by_choice", "stop_drift"]
# What is told; the others are states of work that have clocks of their own.
TOLD: tuple[MismatchKind, ...] = ("bare", "short", "surplus", "stop_drift")


class Mismatch(NamedTuple):
    """One finding: `held` and `protected` in base units; for a stop that drifted, `venue_stop` and `own_stop` as prices."""

    position_id: str
    kind: MismatchKind
    held: Decimal
    protected: Decimal
    venue_stop: Decimal | None = None
    own_stop: Decimal | None = None

    @property
    def text(self) -> str:
        """The finding in one sentence."""
        if self.kind == "stop_drift":
            return f"{self.position_id}: the venue's stop is at {self.venue_stop:f}, its peak demands {self.own_stop:f}"
        return f"{self.position_id}: {self.kind}: {self.protected:f} of {self.held:f} is protected"


def quantity_mismatch(position: Position) -> Mismatch | None:
    """Return how what is held differs from what protects it, None where it does not (dust is no difference)."""
    leases = coverage(position)
    kind: MismatchKind | None = None
    if unprotected_lots(position):
        kind = "bare" if not leases.stopped_lots else "short"
        if leases.unknown_lots or leases.exiting_lots:
            kind = "by_choice" if position.open_orders("take_profit") else "in_flight"
    elif sum(o.protects_lots for o in position.orders) > leases.held_lots:
        kind = "surplus"
    if kind is None:
        return None
    qty = position.instrument.qty
    return Mismatch(position.position_id, kind, qty(leases.held_lots), qty(protected_lots(position)))


def stop_mismatch(position: Position, peak_ticks: int | None) -> Mismatch | None:
    """Return the stop that the venue reports looser than its peak demands, None where it does not or nothing is known."""
    if peak_ticks is None:
        return None
    sign, price = position.side.sign, position.instrument.price
    for order in position.open_orders("stop"):
        if order.trail_offset_bps is None or order.effective_stop_ticks is None or order.pending or not order.protects_lots:
            continue
        own = trail_stop_ticks(sign, order.trail_offset_bps, peak_ticks)
        if (own - order.effective_stop_ticks) * sign * 10_000 > peak_ticks * STOP_DRIFT_BPS:
            qty = position.instrument.qty
            held, protected = qty(position.held_lots), qty(protected_lots(position))
            return Mismatch(position.position_id, "stop_drift", held, protected, price(order.effective_stop_ticks), price(own))
    return None


class Monitor:
    """Findings over time: what was found first when, and what was told."""

    def __init__(self) -> None:
        self._since_ns: dict[tuple[str, MismatchKind], int] = {}
        self._told: set[tuple[str, MismatchKind]] = set()

    def look(self, findings: Iterable[Mismatch], now_ns: int) -> tuple[Mismatch, ...]:
        """Take all findings of a look; return those that are to be told now."""
        found = {(x.position_id, x.kind): x for x in findings if x.kind in TOLD}
        self._since_ns = {key: self._since_ns.get(key, now_ns) for key in found}
        self._told &= found.keys()
        due = sorted(key for key, since_ns in self._since_ns.items() if now_ns - since_ns >= SETTLED_NS and key not in self._told)
        self._told.update(due)
        return tuple(found[key] for key in due)


class Vigil:
    """The last word on time (A24): a person is told of every position that is unprotected for `BOUND_NS`, whatever its machine is doing.

    The machine and the link have ladders of their own, and each begins anew with a new connection: a link that comes and goes, with
    snapshots that prove nothing, could keep them on their first rungs. This clock knows only whether a position is covered.
    """

    def __init__(self) -> None:
        self._page_ns: dict[str, int] = {}
        self._since_ns: dict[str, int] = {}

    def watch(self, positions: Mapping[str, Position], bare: Iterable[str], now_ns: int) -> None:
        """Take the ids of all `positions` that are unprotected now; those that rest an exit by choice are left out."""
        known = {x for x in bare if positions[x].state not in (TAKE_PROFIT_WORKING, MAKER_EXITING)}
        for position_id in self._page_ns.keys() - known:
            del self._page_ns[position_id], self._since_ns[position_id]
        for position_id in known - self._page_ns.keys():
            self._since_ns[position_id], self._page_ns[position_id] = now_ns, now_ns + BOUND_NS

    @property
    def is_idle(self) -> bool:
        """Whether nothing is watched."""
        return not self._page_ns

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to say."""
        return min(self._page_ns.values()) if self._page_ns else None

    def due(self, positions: Mapping[str, Position], now_ns: int) -> list[Notice]:
        """Return what a person must know of now."""
        notices = []
        for position_id in sorted(key for key, at_ns in self._page_ns.items() if at_ns <= now_ns):
            self._page_ns[position_id] = now_ns + PAGE_AGAIN_NS
            bare_ns, state = now_ns - self._since_ns[position_id], positions[position_id].state
            text = f"{position_id}: unprotected for {bare_ns // 1_000_000_000} s in {state}; act by hand"
            notices.append(Notice(True, "UNPROTECTED_TOO_LONG", text))
        return notices
