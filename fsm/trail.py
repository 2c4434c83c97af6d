"""The smart trailing stop: INACTIVE -> ACTIVE -> TRIGGERED, for venues or plans without a native trail (C1-C8).

Two stops, so that a slow venue costs no protection and a fast market costs no flood of amends:

- the *exact* stop follows every peak: `peak * (1 - d)` for a long, mirrored for a short. A last price at or past it triggers;
- the *placed* stop is what the venue is asked to hold, against the day on which this process is not there. It follows
  the exact one in steps: at least 0.1 % better and at most one in 60 s, or at once if it is 1 % better or more.

Both only ever improve (C3). *Breakeven* lifts the exact stop to the entry once profit is large enough; *acceleration* narrows
the distance while the peak runs fast. Nothing here reads a clock or counts ticks: `watch` says at which prices and when the
next look is due, the price index fires it, and `step` decides. Prices are ticks, times UTC nanoseconds.
"""

from functools import cache
from typing import Literal, NamedTuple

import msgspec

from events.errors import BadInput

from .prices import BPS, trail_stop_ticks
from .table import SAME, Classifier, FlatRow, Row, Runner, State, Table

INACTIVE, ACTIVE, TRIGGERED = "INACTIVE", "ACTIVE", "TRIGGERED"
PRICE_SEEN, TIME_PASSED = "PriceSeen", "TimePassed"
_BOTH = (PRICE_SEEN, TIME_PASSED)
_MOVES, _STAYS = ("AT_ONCE", "DUE"), ("HELD", "SMALL")
SECOND_NS = 1_000_000_000
# A speed is measured over at least a minute: after an update, two ticks are no trend.
SPEED_NS = 60 * SECOND_NS

TRAIL = Table(
    name="trail",
    states=(
        State(INACTIVE, "trail", "waits for its activation; something else protects the position"),
        State(ACTIVE, "trail", "follows the peak"),
        State(TRIGGERED, "trail", "a last price reached the exact stop: the position is being closed", end=True),
    ),
    facts=_BOTH,
    classifiers=(
        Classifier("activation", ("REACHED", "WAITING"), "whether price, profit or time in position is enough, with a fresh price"),
        Classifier("stop", ("CROSSED", "CLEAR"), "whether a fresh last price is at or past the exact stop"),
        Classifier("gain", ("AT_ONCE", "DUE", "HELD", "SMALL"), "how much better the exact stop is than the placed one, and since when"),
    ),
    rows=(
        Row((INACTIVE,), _BOTH, {"activation": "WAITING"}, SAME),
        Row((INACTIVE,), _BOTH, {"activation": "REACHED"}, ACTIVE, ("place_stop",), "the peak begins at the price of activation"),
        Row((ACTIVE,), (PRICE_SEEN,), {"stop": "CROSSED"}, TRIGGERED, ("exit",), "first the exit: a better stop is of no use any more"),
        Row((ACTIVE,), (PRICE_SEEN,), {"stop": "CLEAR", "gain": _MOVES}, SAME, ("move_stop",), "in steps (C4), or at once (C5)"),
        Row((ACTIVE,), (PRICE_SEEN,), {"stop": "CLEAR", "gain": _STAYS}, SAME, (), "the exact stop moves, the placed one does not"),
        Row((ACTIVE,), (TIME_PASSED,), {"gain": _MOVES}, SAME, ("move_stop",), "the pause since the last step is over"),
        Row((ACTIVE,), (TIME_PASSED,), {"gain": _STAYS}, SAME),
    ),
    ignored={TRIGGERED: _BOTH},
    initial=INACTIVE,
)


class FasterThan(msgspec.Struct, frozen=True):
    """While the peak runs at `speed_bps_per_minute` or more, the distance is at most `trail_offset_bps`."""

    speed_bps_per_minute: int
    trail_offset_bps: int


class TrailSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What one smart trail is to do. The first activation that is reached counts; with none it is active at the first price.

    `breakeven_profit_bps` is the profit from which the stop is at least `breakeven_offset_bps` (fees) on the good side of
    the entry.
    """

    side: Literal[1, -1]
    entry_ticks: int
    opened_ns: int
    trail_offset_bps: int
    activation_ticks: int | None = None
    activation_profit_bps: int | None = None
    activation_secs: int | None = None
    breakeven_profit_bps: int | None = None
    breakeven_offset_bps: int = 0
    acceleration: tuple[FasterThan, ...] = ()
    update_interval_secs: int = 60
    update_gain_bps: int = 10
    at_once_gain_bps: int = 100


class SmartTrail(msgspec.Struct, frozen=True, kw_only=True):
    """One trail. Everything that a restart needs (C9): plain numbers, no handles."""

    spec: TrailSpec
    state: str = INACTIVE
    peak_ticks: int = 0
    exact_stop_ticks: int = 0
    placed_stop_ticks: int = 0
    activated_ns: int = 0
    placed_ns: int = 0
    placed_peak_ticks: int = 0
    update_count: int = 0


class Seen(NamedTuple):
    """A look at the market. `last_ticks` is None unless the last price is fresh (A14); `best_ticks` is the best since the last look."""

    ts_ns: int
    last_ticks: int | None
    best_ticks: int | None = None


class Watch(NamedTuple):
    """When the next look is due: at a last price at or past `stop_ticks` or the trail of the peak, at `better_ticks`, or at `at_ns`.

    `trail_offset_bps` is to be armed as a trail, from the trail's `peak_ticks`. None where there is nothing of a kind to wait for.
    """

    stop_ticks: int | None
    trail_offset_bps: int | None
    better_ticks: int | None
    at_ns: int | None


class TrailStep(NamedTuple):
    """What a look led to: the trail after it, the commands ("place_stop", "move_stop", "exit"), and the row that fired."""

    trail: SmartTrail
    commands: tuple[str, ...]
    row: FlatRow


def trail_from(spec: TrailSpec) -> SmartTrail:
    """Return the inactive trail of `spec`. Raises BadInput, naming the field, for numbers that cannot protect anything."""
    offsets = (("trail_offset_bps", spec.trail_offset_bps), *(("acceleration", step.trail_offset_bps) for step in spec.acceleration))
    for name, offset_bps in offsets:
        if not 0 < offset_bps < BPS:
            raise BadInput(f"trail: {name}", f"{offset_bps} is not within 1 to {BPS - 1}", "give basis points of the peak")
    for name in ("entry_ticks", "update_gain_bps", "at_once_gain_bps"):
        if getattr(spec, name) <= 0:
            raise BadInput(f"trail: {name}", f"{getattr(spec, name)} is not above zero", "give a number above 0")
    return SmartTrail(spec=spec)


@cache
def _runner(executor: str) -> Runner:
    # As in `core`: a runner keeps nothing between two looks, one of each kind serves the whole process.
    return TRAIL.machine() if executor == "machine" else TRAIL.flat()


class SmartTrails:
    """Decides looks. `executor` "machine" runs the table with `transitions`, "flat" as a dictionary: the same rows."""

    def __init__(self, executor: str = "machine") -> None:
        self._rows = _runner(executor)

    def step(self, trail: SmartTrail, seen: Seen) -> TrailStep:
        """Return what `seen` leads to. Changes nothing; a look that teaches nothing returns an equal trail."""
        fact = TIME_PASSED if seen.last_ticks is None else PRICE_SEEN
        looked = _looked(trail, seen) if trail.state == ACTIVE else trail
        row = self._rows.row(trail.state, fact, tuple(_ANSWERS[name](looked, seen) for name in _DIMENSIONS[trail.state, fact]))
        if row.target == ACTIVE and trail.state == INACTIVE:
            assert seen.last_ticks is not None
            looked = _activated(trail, seen.last_ticks, seen.ts_ns)
        elif "move_stop" in row.commands:
            looked = _placed(looked, seen.ts_ns)
        return TrailStep(msgspec.structs.replace(looked, state=row.target), row.commands, row)


def watch(trail: SmartTrail, now_ns: int) -> Watch:
    """Return what is to be armed for a trail at `now_ns`."""
    spec, side = trail.spec, trail.spec.side
    if trail.state == TRIGGERED:
        return Watch(None, None, None, None)
    if trail.state == INACTIVE:
        at_ns = None if spec.activation_secs is None else spec.opened_ns + spec.activation_secs * SECOND_NS
        levels = [level for level in (spec.activation_ticks, _profit_ticks(spec, spec.activation_profit_bps)) if level is not None]
        nearest = min((side * level for level in levels), default=None)
        return Watch(None, None, None if nearest is None else side * nearest, at_ns)
    pause_ends_ns = trail.placed_ns + spec.update_interval_secs * SECOND_NS
    paused = now_ns < pause_ends_ns
    offsets = [spec.trail_offset_bps, *(step.trail_offset_bps for step in spec.acceleration)]
    goal = _gained(trail.placed_stop_ticks, side, spec.at_once_gain_bps if paused else spec.update_gain_bps)
    looks = [_peak_for(goal, side, offset_bps) for offset_bps in offsets]
    breakeven = _profit_ticks(spec, spec.breakeven_profit_bps)
    if breakeven is not None and side * breakeven > side * trail.peak_ticks:
        looks.append(breakeven)
    # What the peak has passed already is looked at with the next peak, not with every tick.
    better = side * max(side * trail.peak_ticks + 1, min(side * level for level in looks))
    return Watch(trail.exact_stop_ticks, spec.trail_offset_bps, better, pause_ends_ns if paused else None)


# --- answers --------------------------------------------------------------------------------------------------------


def _activation(trail: SmartTrail, seen: Seen) -> str:
    spec = trail.spec
    if seen.last_ticks is None:
        return "WAITING"
    profit_ticks = _profit_ticks(spec, spec.activation_profit_bps)
    levels = [level for level in (spec.activation_ticks, profit_ticks) if level is not None]
    by_price = any(spec.side * seen.last_ticks >= spec.side * level for level in levels)
    by_time = spec.activation_secs is not None and seen.ts_ns >= spec.opened_ns + spec.activation_secs * SECOND_NS
    at_once = not levels and spec.activation_secs is None
    return "REACHED" if by_price or by_time or at_once else "WAITING"


def _stop(trail: SmartTrail, seen: Seen) -> str:
    crossed = seen.last_ticks is not None and trail.spec.side * seen.last_ticks <= trail.spec.side * trail.exact_stop_ticks
    return "CROSSED" if crossed else "CLEAR"


def _gain(trail: SmartTrail, seen: Seen) -> str:
    spec = trail.spec
    gained = spec.side * (trail.exact_stop_ticks - trail.placed_stop_ticks) * BPS
    if gained >= spec.at_once_gain_bps * trail.placed_stop_ticks:
        return "AT_ONCE"
    if gained < spec.update_gain_bps * trail.placed_stop_ticks:
        return "SMALL"
    return "DUE" if seen.ts_ns >= trail.placed_ns + spec.update_interval_secs * SECOND_NS else "HELD"


_ANSWERS = {"activation": _activation, "stop": _stop, "gain": _gain}
_DIMENSIONS = {key: cell.dimensions for key, cell in TRAIL.cells().items()}

# --- the trail after a look -----------------------------------------------------------------------------------------


def _activated(trail: SmartTrail, last_ticks: int, now_ns: int) -> SmartTrail:
    stop = trail_stop_ticks(trail.spec.side, trail.spec.trail_offset_bps, last_ticks)
    active = msgspec.structs.replace(trail, peak_ticks=last_ticks, exact_stop_ticks=stop, activated_ns=now_ns, placed_peak_ticks=last_ticks)
    # Breakeven may be reached by the price that activates.
    return _placed(_looked(active, Seen(now_ns, last_ticks)), now_ns)


def _looked(trail: SmartTrail, seen: Seen) -> SmartTrail:
    """Raise the peak by what was seen, and the exact stop with it."""
    spec, side = trail.spec, trail.spec.side
    peak = side * max(side * px for px in (trail.peak_ticks, seen.last_ticks, seen.best_ticks) if px is not None)
    stops = [trail.exact_stop_ticks, trail_stop_ticks(side, _distance_bps(trail, peak, seen.ts_ns), peak)]
    breakeven = _profit_ticks(spec, spec.breakeven_profit_bps)
    if breakeven is not None and side * peak >= side * breakeven:
        stops.append(_gained(spec.entry_ticks, side, spec.breakeven_offset_bps))
    return msgspec.structs.replace(trail, peak_ticks=peak, exact_stop_ticks=side * max(side * stop for stop in stops))


def _distance_bps(trail: SmartTrail, peak_ticks: int, now_ns: int) -> int:
    """Return the distance at this speed of the peak since the placed stop last moved."""
    run = trail.spec.side * (peak_ticks - trail.placed_peak_ticks) * BPS
    elapsed_ns = max(now_ns - trail.placed_ns, SPEED_NS)
    reached = [
        step.trail_offset_bps
        for step in trail.spec.acceleration
        if run * SPEED_NS >= step.speed_bps_per_minute * trail.placed_peak_ticks * elapsed_ns
    ]
    return min([trail.spec.trail_offset_bps, *reached])


def _placed(trail: SmartTrail, now_ns: int) -> SmartTrail:
    return msgspec.structs.replace(
        trail,
        placed_stop_ticks=trail.exact_stop_ticks,
        placed_ns=now_ns,
        placed_peak_ticks=trail.peak_ticks,
        update_count=trail.update_count + 1,
    )


# --- levels ---------------------------------------------------------------------------------------------------------


def _profit_ticks(spec: TrailSpec, profit_bps: int | None) -> int | None:
    return None if profit_bps is None else _gained(spec.entry_ticks, spec.side, profit_bps)


def _gained(ticks: int, side: int, gain_bps: int) -> int:
    """Return the first price that is `gain_bps` or more better than `ticks`: up for a long, down for a short."""
    return side * -(-(side * ticks * (BPS + side * gain_bps)) // BPS)


def _peak_for(stop_ticks: int, side: int, offset_bps: int) -> int:
    """Return the first peak whose stop is at `stop_ticks` or better."""
    return side * -(-(side * stop_ticks * BPS) // (BPS - side * offset_bps))
