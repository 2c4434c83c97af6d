"""Who is unprotected, for how long, and what of that is past the budget.

Rules
    1. The budget (`risk.unprotected_budget_ms`) is for a whole window: an unprotected quantity, from its first moment to its
       last, whatever the causes on the way (`projections/windows.py`).
    2. A resting exit is uncovered by choice, and its plan says for how long (`timing.take_profit_timeout_ms`,
       `timing.maker_exit_timeout_ms`): that much of such a segment does not count; what is longer does.
    3. A clock that runs counts up to the moment that is asked about, also when the engine that should end it is gone.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from events.facts import Timing
from events.record import PositionEvent
from fsm.core import evolve
from fsm.model import Position
from fsm.timers import WATCH, deadlines
from projections.windows import Window, Windows

_MS = 1_000_000


def counted_ns(window: Window, timing: Timing, now_ns: int) -> int:
    """Return how much of a window counts against the budget, up to `now_ns` while it runs."""
    by_choice_ms = _by_choice_ms(timing)
    total = 0
    for segment in window.segments:
        length_ns = max(0, (now_ns if segment.to_ns is None else segment.to_ns) - segment.from_ns)
        total += max(0, length_ns - by_choice_ms.get(segment.cause, 0) * _MS)
    return total


def budgets_ms(timing: Timing, budget_ms: int) -> dict[str, int]:
    """Return the budget of a single segment for each cause, as `projections.windows.over_budget` takes them."""
    return {"default": budget_ms, **{cause: budget_ms + choice_ms for cause, choice_ms in _by_choice_ms(timing).items()}}


def _by_choice_ms(timing: Timing) -> dict[str, int]:
    return {"take_profit_working": timing.take_profit_timeout_ms, "maker_exiting": timing.maker_exit_timeout_ms}


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """An unprotected quantity at a moment. `counted_ms` is what counts against the budget, `unprotected_ms` the whole time."""

    position_id: str
    symbol: str
    qty: str
    state: str
    causes: tuple[str, ...]
    since_ns: int
    unprotected_ms: int
    counted_ms: int
    is_over: bool


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """The exposure of a log at `at_ns`. `overdue` names positions with a clock that ran out so long ago that nobody looked."""

    at_ns: int
    last_ns: int
    open_positions: int
    exposed: tuple[Exposed, ...]
    overdue: tuple[str, ...]

    @property
    def over(self) -> tuple[Exposed, ...]:
        """What is past the budget."""
        return tuple(one for one in self.exposed if one.is_over)


class Watched(NamedTuple):
    """The open positions of a log, their unprotected windows, and when the last event was received."""

    positions: dict[str, Position]
    windows: Windows
    last_ns: int


def watched_from(events: Iterable[PositionEvent]) -> Watched:
    """Fold a log into its open positions and their windows; a position that ends is forgotten."""
    positions: dict[str, Position] = {}
    ended: set[str] = set()
    windows = Windows()
    last_ns = 0
    for event in events:
        key = event.position_id
        last_ns = max(last_ns, event.fact.ts_recv_ns)
        if key in ended:
            # Late evidence: what it brings belongs to the position that takes it over.
            continue
        before = positions.get(key)
        after = evolve(before, event)
        windows.apply(event, before, after)
        if after.state in WATCH:
            positions[key] = after
        else:
            positions.pop(key, None)
            ended.add(key)
    return Watched(positions, windows, last_ns)


def exposure_at(watched: Watched, at_ns: int, budget_ms: int, grace_ns: int) -> Exposure:
    """Return who is unprotected at `at_ns`.

    Args:
        budget_ms: how long that may be.
        grace_ns: for so long after it ran out a clock may be without the event that an engine makes of it.
    """
    exposed = [
        _exposed(window, watched.positions[window.position_id], at_ns, budget_ms)
        for window in watched.windows.running()
        if window.position_id in watched.positions
    ]
    late = (key for key in sorted(watched.positions) if deadlines(watched.positions[key])[0].at_ns + grace_ns < at_ns)
    return Exposure(
        at_ns=at_ns, last_ns=watched.last_ns, open_positions=len(watched.positions), exposed=tuple(exposed), overdue=tuple(late)
    )


def _exposed(window: Window, position: Position, at_ns: int, budget_ms: int) -> Exposed:
    counted = counted_ns(window, position.plan.timing, at_ns)
    return Exposed(
        position_id=window.position_id,
        symbol=position.plan.symbol,
        qty=format(window.qty, "f"),
        state=position.state,
        causes=tuple(segment.cause for segment in window.segments),
        since_ns=window.opened_ns,
        unprotected_ms=window.duration_ns(at_ns) // _MS,
        counted_ms=counted // _MS,
        is_over=counted > budget_ms * _MS,
    )
