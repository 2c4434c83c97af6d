"""24 positions placed on a tape, longs and shorts (shorts on margin), so that every way out of a position happens.

The levels are set with knowledge of the tape's prices: this is a demonstration of exits, not of a strategy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import msgspec

from events.facts import Plan, TightenStep, Timing
from events.values import Instrument, PositionSide

from .tape import Move, Tape

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
HORIZON_S = 75.0
SOON_S = 25.0
NOTIONAL = Decimal(12_000)
# Wide enough that nothing of the window reaches it: for positions that are to leave by another way.
WIDE_BPS = 900

Action = Literal["exit", "exit_patient", "cancel_stop_by_hand", "halt"]


@dataclass(frozen=True)
class Step:
    """Something that a person does `after_s` market seconds after the position was asked for."""

    after_s: float
    action: Action


@dataclass(frozen=True)
class Act:
    """One position of the script: when it is asked for, its plan, what it is to show, and what is done to it.

    `faults` are armed at the venue just before: each strikes once at the next matching message, or as often as it says.
    """

    at_s: float
    title: str
    plan: Plan
    steps: tuple[Step, ...] = ()
    faults: tuple[dict[str, Any], ...] = field(default=())


def script_for(tape: Tape, end_s: float) -> list[Act]:
    """Return the acts in order of time. `end_s` is when what is still open is closed by hand."""
    return sorted(_Writer(tape, end_s).acts(), key=lambda act: act.at_s)


def plain_instead_of(act: Act) -> Act:
    """Return an act of the same side and size without levels that a moving price can make impossible."""
    plan = msgspec.structs.replace(
        act.plan, trail_offset_bps=WIDE_BPS, stop_price=None, take_profit_price=None, attach_stop=False, entry_type="market", entry_price=None,
        time_stop_secs=40,
    )  # fmt: skip
    return Act(act.at_s, f"{act.title}: refused, a plain one instead", plan)


class _Writer:
    def __init__(self, tape: Tape, end_s: float) -> None:
        self.tape = tape
        self.instrument: Instrument = tape.pair.instrument
        self.moves = tape.moves(HORIZON_S, min(end_s * 0.6, tape.duration_s * 0.6))
        # What is to rest and fill has half a minute: it needs a move that comes soon.
        self.soon = tape.moves(SOON_S, min(end_s * 0.6, tape.duration_s * 0.6))
        self.unit_bps = max(2, tape.range_bps // 6)
        self.end_s = end_s
        self._used: set[float] = set()

    def acts(self) -> list[Act]:
        trail, wide = self.unit_bps, WIDE_BPS
        return [
            self.act("trailing stop", LONG, self.falling, lambda m: {"trail_offset_bps": trail}),
            self.act("trailing stop", SHORT, self.rising, lambda m: {"trail_offset_bps": trail}),
            self.act(
                "stop cancelled by hand, put back once", LONG, self.falling, lambda m: {"trail_offset_bps": 2 * trail, "time_stop_secs": 90},
                steps=(Step(8, "cancel_stop_by_hand"),),
            ),
            self.act("trailing stop after partial fills", SHORT, self.rising, lambda m: {"trail_offset_bps": trail}, size=4),
            self.act("static stop loss", LONG, self.falling, lambda m: {"stop_price": self.level(m.px, m.low, "0.5"), "trail_offset_bps": None}),
            self.act("static stop loss", SHORT, self.rising, lambda m: {"stop_price": self.level(m.px, m.high, "0.5"), "trail_offset_bps": None}),
            self.act("tightened in profit, then stopped", LONG, self.rising, lambda m: self.tighten(m, m.high)),
            self.act("tightened in profit, then stopped", SHORT, self.falling, lambda m: self.tighten(m, m.low)),
            self.act("take profit inside the engine", LONG, self.rising, lambda m: self.profit(m, m.high, "0.5")),
            self.act("take profit inside the engine", SHORT, self.falling, lambda m: self.profit(m, m.low, "0.5")),
            self.act("halted by a person, then closed", LONG, self.any, lambda m: {"trail_offset_bps": wide}, steps=(Step(12, "halt"), Step(30, "exit"))),
            self.act("take profit as a resting order", LONG, self.rising, lambda m: self.resting(m, m.high), soon=True),
            self.act("take profit as a resting order", SHORT, self.falling, lambda m: self.resting(m, m.low), soon=True),
            self.act("resting take profit out of reach, then market", LONG, self.rising, self.out_of_reach),
            self.act("panic exit", LONG, self.falling, lambda m: {"trail_offset_bps": wide, "panic_pnl_bps": self.panic(m.px, m.low)}),
            self.act("panic exit", SHORT, self.rising, lambda m: {"trail_offset_bps": wide, "panic_pnl_bps": self.panic(m.px, m.high)}),
            self.act("trail kept by the engine, its stop moved in steps", LONG, self.rising, lambda m: {"trail_offset_bps": trail, "trail_style": "engine", "time_stop_secs": 150}),
            self.act("time stop, its trail left to the engine", SHORT, self.any, lambda m: {"trail_auto": True, "time_stop_secs": 55}),
            self.act("time stop of 0, corrected to 60 s", LONG, self.any, lambda m: {"trail_offset_bps": wide, "time_stop_secs": 0}),
            self.act("exit on a signal", LONG, self.any, lambda m: {"trail_offset_bps": wide}, steps=(Step(25, "exit"),)),
            self.act("patient exit", SHORT, self.falling, lambda m: {"trail_offset_bps": wide}, steps=(Step(3, "exit_patient"),), soon=True),
            self.act(
                "stop refused again and again, out at market", LONG, self.any, lambda m: {"trail_offset_bps": wide},
                faults=({"name": "reject", "count": 3, "on": "add_order:trailing-stop:sell", "text": "EOrder:Insufficient funds"},),
            ),
            self.act(
                "stop attached to the entry (one per fill)", LONG, self.falling,
                lambda m: {"stop_price": self.level(m.px, m.low, "0.4"), "trail_offset_bps": None, "attach_stop": True}, size=3,
            ),
            self.act(
                "entry that never fills", SHORT, self.any,
                lambda m: {
                    "trail_offset_bps": wide, "entry_type": "limit", "entry_price": self.on_grid(m.px * Decimal("1.08")),
                    "timing": Timing(entry_ttl_ms=20_000),
                },
            ),
        ]  # fmt: skip

    # --- one act ------------------------------------------------------------------------------------------------------

    def act(
        self,
        title: str,
        side: PositionSide,
        choose: Callable[[Move], Decimal],
        fields: Callable[[Move], dict[str, Any]],
        *,
        size: int = 1,
        soon: bool = False,
        steps: tuple[Step, ...] = (),
        faults: tuple[dict[str, Any], ...] = (),
    ) -> Act:
        move = self.pick(choose, self.soon if soon else self.moves)
        plan = Plan(symbol=self.instrument.symbol, side=side, qty=self.qty(move.px, size), margin=side is SHORT, **fields(move))
        return Act(max(0.5, move.at_s), title, plan, steps, faults)

    def pick(self, choose: Callable[[Move], Decimal], moves: list[Move]) -> Move:
        """Return the unused moment that suits best; two positions never begin within the same second."""
        free = [m for m in moves if not any(abs(m.at_s - used) < 1.0 for used in self._used)] or moves
        best = max(free, key=lambda m: (choose(m), -m.at_s))
        self._used.add(best.at_s)
        return best

    def rising(self, move: Move) -> Decimal:
        return move.high / move.px

    def falling(self, move: Move) -> Decimal:
        return move.px / move.low

    def any(self, move: Move) -> Decimal:
        # Spread over the tape: the further from what is used, the better.
        return Decimal(min((round(abs(move.at_s - used), 3) for used in self._used), default=0.0))

    # --- levels -------------------------------------------------------------------------------------------------------

    def qty(self, px: Decimal, size: int) -> Decimal:
        lots = max(self.instrument.min_lots, int(NOTIONAL * size / px / self.instrument.size_increment))
        return self.instrument.qty(lots)

    def on_grid(self, px: Decimal) -> Decimal:
        return self.instrument.price(self.instrument.floor_ticks(px))

    def level(self, px: Decimal, extreme: Decimal, share: str) -> Decimal:
        """Return the price that lies `share` of the way to the extreme, at least one tick away from `px`."""
        step = self.instrument.price_increment if extreme >= px else -self.instrument.price_increment
        level = self.on_grid(px + (extreme - px) * Decimal(share))
        return level if (level - px) * step > 0 else self.on_grid(px) + 2 * step

    def profit(self, move: Move, extreme: Decimal, share: str) -> dict[str, Any]:
        return {"trail_offset_bps": WIDE_BPS, "take_profit_price": self.level(move.px, extreme, share)}

    def resting(self, move: Move, extreme: Decimal) -> dict[str, Any]:
        """A level that is reached, armed well ahead of it, so that the order rests before the price is there."""
        level, armed = self.level(move.px, extreme, "0.6"), self.level(move.px, extreme, "0.15")
        arm_bps = max(1, int(abs(level / armed - 1) * 10_000))
        return {"trail_offset_bps": WIDE_BPS, "take_profit_price": level, "take_profit_style": "maker", "take_profit_arm_bps": arm_bps}

    def out_of_reach(self, move: Move) -> dict[str, Any]:
        """A level above everything to come, armed so far ahead of it that the order comes to rest and is never filled."""
        level = self.on_grid(move.high * Decimal("1.004"))
        armed = self.level(move.px, move.high, "0.4")
        arm_bps = int((level - armed) / level * 10_000) + 1
        return {"trail_offset_bps": WIDE_BPS, "take_profit_price": level, "take_profit_style": "maker", "take_profit_arm_bps": arm_bps}

    def tighten(self, move: Move, extreme: Decimal) -> dict[str, Any]:
        gain_bps = int(abs(extreme / move.px - 1) * 10_000)
        step = TightenStep(profit_bps=max(1, gain_bps // 3), trail_offset_bps=self.unit_bps)
        return {"trail_offset_bps": 4 * self.unit_bps, "tighten": (step,)}

    def panic(self, px: Decimal, extreme: Decimal) -> int:
        return -max(1, int(abs(extreme / px - 1) * 10_000) // 2)
