"""Which prices matter to a position: the levels that are armed, and the trail that its own shadow of the stop follows.

A tick is not an event. The price index fires a level once; only then does a fact reach the machine.
"""

from typing import Literal, NamedTuple

import msgspec

from events.facts import Level

from . import position as s
from .model import Position

Direction = Literal["at_or_below", "at_or_above"]
_RESTING = (s.TAKE_PROFIT_WORKING, s.MAKER_EXITING)
_ARMED = frozenset({
    s.PROTECTED_PENDING_FILL, s.ENTRY_CANCEL_PENDING, s.PROTECTION_PENDING, s.PROTECTED, s.RESIZING, s.TIGHTENING, s.STOP_TRIGGERED,
    s.EMERGENCY_PROTECTING, s.AWAITING_OWNER, s.HALTED, *_RESTING,
})  # fmt: skip


class ArmedLevel(msgspec.Struct, frozen=True):
    """A price in ticks at which `level` fires, once."""

    level: Level
    step: int
    direction: Direction
    ticks: int


class ArmedTrail(NamedTuple):
    """A trailing stop to be shadowed; the index keeps its exact peak from `trail_start_ticks` on."""

    side: int
    trail_offset_bps: int


def needs_price(position: Position) -> bool:
    """Whether no stop can be placed before a price is known (A8)."""
    native = position.capabilities.native_trail and position.plan.trail_style == "native" and position.wanted_trail_offset_bps is not None
    return not native and position.wanted_stop_ticks is None and position.avg_entry_px is None


def is_decided(position: Position) -> bool:
    """Whether it is to leave already, and only its clocks or the venue say when: each tick anew would be a storm (I14)."""
    return bool(position.exit_reason) and position.state not in _RESTING


def armed_levels(position: Position, hard_take_profit_bps: int = 0) -> tuple[ArmedLevel, ...]:
    """Return the levels that are to be armed in the index, in a fixed order; none once the exit cannot be called back.

    `hard_take_profit_bps` is the monitor's own take-profit, over every position whatever its plan says (A9); 0 for none.
    """
    if position.state not in _ARMED or not position.is_tradable or is_decided(position):
        return ()
    sign, plan, instrument = position.side.sign, position.plan, position.instrument
    if position.mark is None and needs_price(position):
        return (ArmedLevel("first_price", 0, "at_or_above", 1),)
    worse: Direction = "at_or_below" if sign > 0 else "at_or_above"
    better: Direction = "at_or_above" if sign > 0 else "at_or_below"
    out: list[ArmedLevel] = []
    if position.wanted_stop_ticks is not None and not position.shadow_ns and position.state != s.STOP_TRIGGERED:
        out.append(ArmedLevel("stop", 0, worse, position.wanted_stop_ticks))
    entry = position.avg_entry_px
    if plan.panic_pnl_bps is not None and entry is not None:
        level = entry * (10_000 + sign * plan.panic_pnl_bps) / 10_000
        out.append(ArmedLevel("panic", 0, worse, instrument.floor_ticks(level) if sign > 0 else instrument.ceil_ticks(level)))
    if position.state in _RESTING:
        return tuple(out)
    if plan.take_profit_price is not None:
        level = plan.take_profit_price
        if plan.take_profit_style == "maker":
            level = level * (10_000 - sign * plan.take_profit_arm_bps) / 10_000
        out.append(ArmedLevel("take_profit", 0, better, instrument.ceil_ticks(level) if sign > 0 else instrument.floor_ticks(level)))
    if entry is not None and hard_take_profit_bps:
        level = entry * (10_000 + sign * hard_take_profit_bps) / 10_000
        ticks = instrument.ceil_ticks(level) if sign > 0 else instrument.floor_ticks(level)
        out.append(ArmedLevel("hard_take_profit", 0, better, ticks))
    if entry is not None and plan.strategy == "ignition" and plan.trail_activation_bps is not None and not position.is_trail_active:
        level = entry * (10_000 + sign * plan.trail_activation_bps) / 10_000
        out.append(ArmedLevel("activation", 0, better, instrument.ceil_ticks(level) if sign > 0 else instrument.floor_ticks(level)))
    if entry is not None and position.tighten_done < len(plan.tighten):
        level = entry * (10_000 + sign * plan.tighten[position.tighten_done].profit_bps) / 10_000
        ticks = instrument.ceil_ticks(level) if sign > 0 else instrument.floor_ticks(level)
        out.append(ArmedLevel("tighten", position.tighten_done, better, ticks))
    return tuple(out)


def armed_trail(position: Position) -> ArmedTrail | None:
    """Return the trail to be shadowed, None where the position has none or no price to start from."""
    if position.state not in _ARMED or not position.is_tradable or position.wanted_trail_offset_bps is None or is_decided(position):
        return None
    if position.plan.trail_style == "engine":
        return None
    # A stop that fired has a clock of its own; its shadow has nothing more to say.
    if position.shadow_ns or position.state == s.STOP_TRIGGERED:
        return None
    if not position.priced_lots and position.best_px is None:
        return None
    return ArmedTrail(position.side.sign, position.wanted_trail_offset_bps)


def trail_start_ticks(position: Position) -> int:
    """Return the first peak of an armed trail: the better of entry and best known price, rounded away from the market's favour."""
    known = [px for px in (position.avg_entry_px, position.best_px) if px is not None]
    if position.side.sign > 0:
        return position.instrument.floor_ticks(max(known))
    return position.instrument.ceil_ticks(min(known))
