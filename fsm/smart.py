"""The trails that the engine keeps itself, of many positions: between the price index and the trailing-stop machine (C1-C9).

For venues without a native trail, and for plans that ask for it (`trail_style = "engine"`). The venue holds a static stop;
this follows the peak exactly, asks for a better stop in steps, and says when the exact stop is crossed. What it asks for
becomes a fact of the position (`PlanTightened`), so that the log alone gives the trail back after a restart.
"""

from typing import NamedTuple

from .model import Position
from .position import CANCEL_PENDING, FLATTENING, MARKET_EXITING, NEW, POSITION, RECONCILING, STOP_TRIGGERED
from .prices import PriceIndex
from .trail import ACTIVE, Seen, SmartTrail, SmartTrails, TrailSpec, Watch, trail_from, watch

_ENDS = tuple(state.name for state in POSITION.states if state.end)
_WITHOUT = (NEW, CANCEL_PENDING, MARKET_EXITING, FLATTENING, STOP_TRIGGERED, *_ENDS)
LOOK, STOP = "smart_look", "smart_stop"


class Look(NamedTuple):
    """What a look asks for: a better stop in ticks, None for none, or the exit."""

    better_stop_ticks: int | None
    exits: bool


class Smart:
    """All engine-kept trails. Keys in the index are `<position>|smart_look|0`, `<position>|smart_stop|0` and the trail itself."""

    def __init__(self, executor: str) -> None:
        self._machine = SmartTrails(executor)
        self._trails: dict[str, SmartTrail] = {}
        self.due_ns: dict[str, int] = {}

    def follow(self, position: Position, index: PriceIndex, now_ns: int) -> bool:
        """Begin, keep or end the trail of a position whose plan has `trail_style` "engine"; True if it begins and wants a look."""
        key = position.position_id
        if not _is_wanted(position):
            if self._trails.pop(key, None) is not None:
                self._arm(key, index, 1, Watch(None, None, None, None), 0)
            return False
        if key in self._trails or position.avg_entry_px is None:
            return False
        self._trails[key] = _trail_of(position)
        self._watch(key, index, now_ns)
        return True

    def look(self, position: Position, index: PriceIndex, last_ticks: int | None, now_ns: int) -> Look:
        """Look at the market for one position: because an armed price was reached, or its pause is over."""
        key = position.position_id
        trail = self._trails.get(key)
        if trail is None:
            return Look(None, False)
        step = self._machine.step(trail, Seen(now_ns, last_ticks, index.peak_of(_trail_key(key))))
        self._trails[key] = step.trail
        self._watch(key, index, now_ns)
        moves = "place_stop" in step.commands or "move_stop" in step.commands
        return Look(step.trail.placed_stop_ticks if moves else None, "exit" in step.commands)

    def _watch(self, key: str, index: PriceIndex, now_ns: int) -> None:
        trail = self._trails[key]
        self._arm(key, index, trail.spec.side, watch(trail, now_ns), trail.peak_ticks)

    def _arm(self, key: str, index: PriceIndex, side: int, seen: Watch, peak_ticks: int) -> None:
        for name, ticks, worse in ((LOOK, seen.better_ticks, False), (STOP, seen.stop_ticks, True)):
            if ticks is None:
                index.disarm(f"{key}|{name}|0")
            else:
                index.arm(f"{key}|{name}|0", "at_or_below" if (side > 0) == worse else "at_or_above", ticks)
        if seen.trail_offset_bps is None:
            index.disarm(_trail_key(key))
        else:
            index.trail(_trail_key(key), side, seen.trail_offset_bps, peak_ticks)
        if seen.at_ns is None:
            self.due_ns.pop(key, None)
        else:
            self.due_ns[key] = seen.at_ns


def _trail_key(key: str) -> str:
    return f"{key}|{STOP}|1"


def _is_wanted(position: Position) -> bool:
    kept = position.plan.trail_offset_bps is not None
    # A truth that is being fetched changes nothing in what the market does: the trail goes on.
    return kept and position.is_tradable and position.state not in _WITHOUT and (not position.exit_reason or position.state == RECONCILING)


def _trail_of(position: Position) -> SmartTrail:
    """Return the trail of a position, with what its log says of it: the stop that was last asked for, the best known price."""
    plan, instrument = position.plan, position.instrument
    entry, offset = position.avg_entry_px, plan.trail_offset_bps
    assert entry is not None
    assert offset is not None
    sign = position.side.sign
    nearest = instrument.floor_ticks if sign > 0 else instrument.ceil_ticks
    trail = trail_from(
        TrailSpec(
            side=1 if sign > 0 else -1,
            entry_ticks=nearest(entry),
            opened_ns=position.opened_ns,
            trail_offset_bps=position.wanted_trail_offset_bps or offset,
            activation_profit_bps=plan.trail_activation_bps,
            breakeven_profit_bps=plan.breakeven_profit_bps,
        )
    )
    asked = position.smart_stop_ticks
    if asked is None:
        return trail
    best = nearest(position.best_px) if position.best_px is not None else trail.spec.entry_ticks
    fields = {"peak_ticks": best, "exact_stop_ticks": asked, "placed_stop_ticks": asked, "placed_peak_ticks": best}
    return type(trail)(spec=trail.spec, state=ACTIVE, activated_ns=position.opened_ns, placed_ns=position.state_ns, **fields)
