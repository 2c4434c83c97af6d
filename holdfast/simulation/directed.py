"""Directed cases: what a seed draws, and on top of it plenty of one kind of trouble, for what drawn cases seldom come to.

A state such as `Halted` or `EmergencyProtecting` needs several things to go wrong in one position, one after another. A direction says
which: the wishes that follow each opening, and what happens again and again until faults end. An aim (`aimed`) is a direction too: what
it brings about waits for each position to come to a state.
"""

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

import msgspec

from events.errors import BadInput

from .aimed import IGNITION, aimed, is_aim
from .case import LEAD_S, Case, Happening, Opening, Wish, draw


class Direction(NamedTuple):
    """`wishes` of each position one after another, `happenings` (kind, and the fault or the mode) some `every_ms`.

    `plan` and `levels` are laid over each opening, `every_other` over each second one; `lead_s` as in `Case`, all openings just before
    the new minute behind it.
    """

    wishes: tuple[str, ...]
    happenings: tuple[tuple[str, str], ...]
    every_ms: int
    plan: Mapping[str, Any] = {}
    levels: Mapping[str, int] = {}
    lead_s: int = 0
    every_other: Mapping[str, Any] = {}


def _refused(text: str) -> str:
    return f"reject/text={text}/p=1/count=2"


_REFUSALS = (("fault", _refused("EOrder:Insufficient funds")), ("fault", _refused("EGeneral:Internal error")))
_DOUBT = tuple(
    ("fault", f"{name}/seconds=2.0/p=1/count=1")
    for name in ("ack_lost_applied", "ack_lost_not_applied", "late_request", "drop_frame", "close_before_reply", "truncated_snapshot")
)
_RACES = tuple(
    ("fault", f"{name}/n=3/p=1/count=1")
    for name in (
        "fill_during_cancel", "partial_fill_during_cancel", "fill_after_cancel_ack", "trigger_during_amend", "split_fill", "reorder_frames",
    )
)  # fmt: skip
_CANCELS = (("cancel_by_hand", ""),)
_HANDS = (*_CANCELS, ("trade_by_hand", ""))
_SALES = (("sell_by_hand", ""),)
_EXPIRIES = (("expire", ""),)
_FEES = tuple(
    ("fault", text)
    for text in (
        *("base_fee/p=1/count=3",) * 4,
        *("drop_frame/on=executions:trade/p=1/count=2", "close_mid_stream/on=executions:trade/p=1/count=1") * 2,
        *(f"{name}/seconds=20/p=0.5/count=3" for name in ("rest_empty", "rest_partial", "rest_stale", "rest_refused", "rest_429")),
    )
)
_SHUT = (("system", "cancel_only"), ("system", "post_only"))

DIRECTIONS: Mapping[str, Direction] = {
    "halted": Direction(("halt", "tighten", "exit"), (*_DOUBT, *_REFUSALS, *_HANDS), 900),
    "hands": Direction(("tighten", "exit"), (*_HANDS, *_HANDS, *_DOUBT), 500),
    "shut": Direction(("exit_patient", "tighten", "exit"), (*_SHUT, *_SHUT, *_RACES, ("cut", "")), 800),
    "refused": Direction(("tighten", "tighten", "exit"), (*_REFUSALS, *_REFUSALS, *_DOUBT), 500),
    "resting": Direction(
        ("exit_patient", "exit_patient", "exit"), (*_RACES, *_DOUBT, ("cut", "")), 800,
        {"take_profit_style": "maker", "take_profit_arm_bps": 3}, {"take_profit_bps": 8},
    ),
    "funds": Direction(
        ("tighten", "exit"), (("move_funds", ""), ("move_funds", ""), ("trade_by_hand", ""), *_REFUSALS, *_DOUBT), 400,
    ),
    "sold": Direction(("tighten", "exit_patient", "exit"), (*_SALES * 4, *_CANCELS, *_RACES, *_DOUBT, ("kill", ""), ("cut", "")), 500),
    "taken": Direction(("protect", "tighten", "protect", "protect", "exit"), (*_CANCELS, *_CANCELS, *_HANDS, *_DOUBT), 400),
    "races": Direction(("tighten", "exit_patient", "exit"), (*_RACES, *_RACES, ("kill", ""), ("cut", "")), 500),
    "expired": Direction(
        ("tighten", "exit_patient", "halt", "exit"), (*_EXPIRIES * 6, *_RACES, *_DOUBT), 300, {"entry_type": "limit"}, {"entry_bps": -2},
    ),
    # All of it around the new minute, with which the kind of market is looked at.
    "ranges": Direction(
        (), (*_DOUBT, *_RACES, *_CANCELS * 3, *_SALES, ("cut", "")), 900,
        {**IGNITION, "trail_activation_bps": 3},
        lead_s=LEAD_S, every_other={"trail_activation_bps": 60},
    ),
    "fees": Direction(("tighten", "exit"), (*_FEES, ("kill", ""), ("cut", ""), ("trade_by_hand", "")), 500),
}  # fmt: skip


def check(direction: str, level: str) -> None:
    """Raise BadInput for a direction that is none, and where it leads nothing."""
    if direction not in DIRECTIONS and not is_aim(direction):
        remedy = f"name one of {', '.join(DIRECTIONS)}, or a state of a position, or both it and a fact: Halted/OrderFilled"
        raise BadInput("--direction", f"there is no {direction!r}", remedy)
    if level != "engine":
        raise BadInput("--direction", f"it leads nothing at the level {level}", "leave --level out")


def drawn(seed: int, direction: str = "") -> Case:
    """Return the case of a seed, led in a direction of `DIRECTIONS` or to an aim if one is named."""
    if is_aim(direction):
        return aimed(seed, direction)
    case = draw(seed)
    if not direction:
        return case
    towards, rng = DIRECTIONS[direction], Random(f"{direction} {seed}")
    if towards.lead_s:
        openings = [msgspec.structs.replace(x, at_ms=rng.randint(5_000, 9_950)) for x in case.openings]
        end_ms = max(14_000, case.faults_end_ms)
        openings.sort(key=lambda o: o.at_ms)
        case = msgspec.structs.replace(case, openings=tuple(openings), lead_s=towards.lead_s, faults_end_ms=end_ms)
    happenings = list(case.happenings)
    for at_ms in range(rng.randint(300, 900), case.faults_end_ms, towards.every_ms):
        kind, text = rng.choice(towards.happenings)
        seconds = rng.choice((0.5, 2.0, 4.0))
        happenings.append(Happening(at_ms=at_ms, kind=kind, text=text, number=rng.randint(0, 9), seconds=seconds))  # type: ignore[arg-type]
    wishes = list(case.wishes)
    for number, opening in enumerate(case.openings):
        at_ms = opening.at_ms
        for kind in towards.wishes:
            at_ms += rng.choice((100, 400, 1_500, 4_000))
            wishes.append(Wish(at_ms=at_ms, number=number, kind=kind))  # type: ignore[arg-type]
    return msgspec.structs.replace(
        case,
        openings=tuple(_led(opening, towards, number % 2 == 1) for number, opening in enumerate(case.openings)),
        wishes=tuple(sorted(wishes, key=lambda w: w.at_ms)),
        happenings=tuple(sorted(happenings, key=lambda h: h.at_ms)),
    )


def _led(opening: Opening, towards: Direction, is_other: bool) -> Opening:
    fields = {**towards.plan, **(towards.every_other if is_other else {})}
    return msgspec.structs.replace(opening, plan=msgspec.structs.replace(opening.plan, **fields), **towards.levels)
