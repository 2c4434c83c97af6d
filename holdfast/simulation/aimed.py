"""Aimed cases: positions are led to a state, and a fact is brought about there, for what drawn cases seldom or never come to.

An aim is a state, or `STATE/FACT`. `WAYS` says how a position comes to a state and what keeps it there, `CAUSES` what brings a fact;
how long behind its coming to the state, how often, and what else goes wrong there is drawn from the seed.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

import msgspec

from events.facts import Timing
from events.values import PositionSide
from fsm.position import LIVE_STATES
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings

from .case import LEAD_S, Ambush, Case, Happening, Opening, draw

replace = msgspec.structs.replace
DELAYS_MS = (0, 0, 1, 3, 8, 15, 25, 40, 60, 100, 200, 400, 800, 1_600, 3_100, 3_700)


class Cause(NamedTuple):
    """One thing that is to happen: a kind of `Happening`, or a wish; its number is one of `numbers`."""

    kind: str
    text: str = ""
    numbers: tuple[int, ...] = (0, 1, 2)


class Kind(NamedTuple):
    """What kind of position: `plan` and `levels` are laid over each opening, `settings` over the venue's.

    `own`: the owner has coins beside, so that the venue lets them be sold twice.
    """

    plan: Mapping[str, Any] = {}
    levels: Mapping[str, int | None] = {}
    settings: Mapping[str, Any] = {}
    own: bool = False


Steps = tuple[tuple[str, Cause], ...]


class Way(NamedTuple):
    """How a position of some kind comes to a state: what happens to it in which state."""

    kind: Kind
    steps: Steps = ()


def at(state: str, *causes: Cause) -> Steps:
    """Return what happens in a state."""
    return tuple((state, cause) for cause in causes)


def fault(name: str, on: str = "", count: int = 1, **options: object) -> Cause:
    """Return a fault of the venue that strikes the next messages that it may strike."""
    given = {"p": 1, "count": count, **({"on": on} if on else {}), **options}
    return Cause("fault", "/".join([name, *(f"{key}={value}" for key, value in given.items())]))


def refused(on: str, count: int = 1, text: str = "EGeneral:Internal error") -> Cause:
    """Return a refusal of the next requests of that kind."""
    return fault("reject", on, count, text=text)


_NO_ATTACHED = {"attach_stop": False}
_NATIVE = {"trail_style": "native", "trail_activation_bps": None, "breakeven_profit_bps": None}
_SHORT_TTL = Timing(entry_ttl_ms=1_000, ack_timeout_ms=3_000, cancel_timeout_ms=1_500, protect_timeout_ms=1_500, amend_timeout_ms=1_500)
ANY = Kind()
BESIDE = Kind({"margin": False}, own=True)
MARGIN = Kind({"margin": True})
MARKET = Kind({"entry_type": "market", **_NO_ATTACHED}, {"entry_bps": None})
SPOT = Kind({**MARKET.plan, "margin": False}, MARKET.levels)
ATTACHED = Kind({"attach_stop": True, **_NATIVE})
# It rests away from the price, until `fill` or the market executes it; with a stop of the engine's, or one of the venue's for each part.
LIMIT = Kind({"entry_type": "limit", **_NO_ATTACHED}, {"entry_bps": -40})
LIMIT_ATTACHED = Kind({**ATTACHED.plan, "entry_type": "limit"}, {"entry_bps": -40})
LIMIT_ENGINE = Kind({**LIMIT.plan, "trail_style": "engine", "trail_offset_bps": 80, "trail_activation_bps": None}, LIMIT.levels)
SHORT_LIVED = Kind({**LIMIT.plan, "timing": _SHORT_TTL}, LIMIT.levels)
SHORT_LIVED_ATTACHED = Kind({**LIMIT_ATTACHED.plan, "timing": _SHORT_TTL}, LIMIT.levels)
ENGINE = Kind({"trail_style": "engine", "trail_offset_bps": 80, "trail_activation_bps": None, **_NO_ATTACHED})
MAKER = Kind({"take_profit_style": "maker", "take_profit_arm_bps": 40, "time_stop_secs": None}, {"take_profit_bps": 80})
MAKER_ATTACHED = Kind({**MAKER.plan, **ATTACHED.plan}, MAKER.levels)
TIMED = Kind({"time_stop_secs": 5})
# The kind of market decides when it leaves, as long as it has not taken off: how much profit that takes is to be said beside it.
IGNITION: Mapping[str, Any] = {
    "strategy": "ignition", "trail_auto": False, "attach_stop": False, "trail_style": "engine", "trail_offset_bps": 80,
    "time_stop_secs": None,
}  # fmt: skip
# From the touch of its level to its execution a stop takes three seconds.
_SLOW = {"trigger_latency_ms": 3_000}
SLOW = Kind({"trail_offset_bps": 80}, {}, _SLOW)
SLOW_LIMIT = Kind(LIMIT.plan, LIMIT.levels, _SLOW)
SLOW_ATTACHED = Kind(ATTACHED.plan, {}, _SLOW)
SLOW_MARGIN = Kind({"margin": True, "trail_offset_bps": 80}, {}, _SLOW)
SLOW_BESIDE = Kind({"margin": False, "trail_offset_bps": 80}, {}, _SLOW, own=True)

EXIT, PATIENT, TIGHTEN, HALT, PROTECT = (Cause(kind) for kind in ("exit", "exit_patient", "tighten", "halt", "protect"))
HALF, WHOLE = Cause("fill", "half rest"), Cause("fill", "rest")
STOP_HALF, STOP_WHOLE = Cause("fill", "half stop"), Cause("fill", "stop")
CANCEL_STOP, CANCEL = Cause("cancel_by_hand", "stop"), Cause("cancel_by_hand")
SELL, SELL_TOO = Cause("sell_by_hand", numbers=tuple(range(10))), Cause("sell_by_hand", numbers=(3, 5, 9, 9))
EXPIRE_STOP, EXPIRE = Cause("expire", "stop"), Cause("expire")
AGAINST, FOR = Cause("price", numbers=(-30, -100, -400, -1_300)), Cause("price", numbers=(5, 15, 40, 120, 400))
NEAR, TO_TARGET = Cause("price", numbers=(8, 12, -12, 25, -25)), Cause("price", numbers=(20, 60, 60, 90))
CUT, DARK, NET_DOWN = Cause("cut", numbers=(0, 1)), Cause("dark", numbers=(0, 1)), Cause("net_down")
NO_TOKEN = Cause("token", numbers=(1, 4))
STORE = (Cause("commit_stalls"), Cause("commit_fails"), Cause("commit_fails_after"))
LATE_ENTRY, LATE_AMEND, LATE_CANCEL = (fault("late_request", on, seconds=2) for on in ("add_order", "amend_order", "cancel_order"))
LATE_STOP, LATE_EXIT = fault("late_request", "add_order:trailing-stop", seconds=1.5), fault("late_request", "add_order:market", seconds=2)
LATE_LIMIT = fault("late_request", "add_order:limit", seconds=2)
LOST_STOP, LOST_AMEND = fault("ack_lost_not_applied", "add_order:trailing-stop"), fault("ack_lost_not_applied", "amend_order")
LOST_CANCEL, LOST_EXIT = fault("ack_lost_not_applied", "cancel_order", 2), fault("ack_lost_not_applied", "add_order:market", 2)
UNHEARD_CANCEL, UNHEARD_AMEND = fault("ack_lost_applied", "cancel_order"), fault("ack_lost_applied", "amend_order")
NO_STOP = (refused("add_order:trailing-stop", 3), refused("add_order:stop-loss", 3))
LATE_WORD, LATE_NEW = fault("delay_frame", "executions", seconds=3), fault("delay_frame", "executions:new", seconds=1.5)
LOST_WORD, LOST_WORDS = fault("drop_frame", "executions"), fault("drop_frame", "executions", 3)
SHUT = Cause("system", "cancel_only")
LOST_TRADE = fault("drop_frame", "executions:trade")
CUT_LISTS = fault("truncated_snapshot", count=2)
IN_PARTS = fault("split_fill", n=4)
IN_BASE = fault("base_fee", count=3)

WAYS: Mapping[str, tuple[Way, ...]] = {
    "EntryPending": (
        Way(ANY, at("EntryPending", LATE_ENTRY)),
        Way(LIMIT_ATTACHED, at("EntryPending", LATE_ENTRY)),
        Way(ATTACHED, at("EntryPending", LATE_WORD)),
        Way(ANY, at("EntryPending", fault("ack_lost_not_applied", "add_order"))),
        Way(LIMIT_ATTACHED, at("EntryPending", LOST_WORDS, HALF)),
        Way(LIMIT, at("EntryPending", LATE_WORD, HALF)),
        Way(MARGIN, at("EntryPending", LATE_WORD, SELL)),
    ),
    "ProtectedPendingFill": (
        Way(LIMIT),
        Way(LIMIT, at("ProtectedPendingFill", HALF)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF)),
        Way(LIMIT_ENGINE, at("ProtectedPendingFill", HALF, HALF, FOR)),
        Way(LIMIT, at("ProtectedPendingFill", HALF) + at("ProtectionPending", LATE_STOP)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, TIGHTEN, LATE_CANCEL)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, SHUT, EXIT)),
    ),
    "EntryCancelPending": (
        Way(SHORT_LIVED, at("EntryCancelPending", LATE_CANCEL)),
        Way(SHORT_LIVED, at("ProtectedPendingFill", LOST_CANCEL, HALF)),
        Way(SHORT_LIVED, at("ProtectedPendingFill", UNHEARD_CANCEL) + at("EntryCancelPending", LATE_WORD)),
        Way(SHORT_LIVED_ATTACHED, at("EntryPending", LATE_CANCEL) + at("ProtectedPendingFill", HALF)),
        Way(SHORT_LIVED, at("EntryPending", refused("cancel_order", 2))),
        Way(SHORT_LIVED, at("ProtectedPendingFill", HALF, TIGHTEN, LATE_AMEND) + at("EntryCancelPending", LATE_CANCEL)),
        Way(SHORT_LIVED, at("EntryPending", LATE_ENTRY)),
    ),
    "ProtectionPending": (
        Way(MARKET, at("EntryPending", LATE_STOP)),
        Way(MARKET, at("EntryPending", LOST_STOP)),
        Way(ANY, at("Protected", CANCEL_STOP) + at("ProtectionPending", LATE_STOP)),
        Way(ATTACHED, at("EntryPending", LATE_NEW)),
        Way(LIMIT, at("ProtectedPendingFill", WHOLE) + at("EntryPending", *NO_STOP)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, LATE_STOP) + at("ProtectionPending", HALF)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, CANCEL_STOP) + at("ProtectionPending", LATE_STOP)),
    ),
    "Protected": (
        Way(ANY), Way(MARKET), Way(ATTACHED), Way(LIMIT, at("ProtectedPendingFill", WHOLE)), Way(ENGINE),
        # The venue takes no exit, so that one that is wished for waits beside its stop.
        Way(ANY, at("Protected", SHUT, EXIT)),
        Way(ATTACHED, at("Protected", SHUT, PATIENT)),
    ),
    "Resizing": (
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALF) + at("Resizing", LATE_AMEND)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALF, LATE_AMEND)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALF, LATE_AMEND) + at("Resizing", HALF)),
        Way(ANY, at("Protected", SELL_TOO, LATE_AMEND)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALF, refused("amend_order", 2))),
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALF, LOST_AMEND)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, HALF, SELL_TOO)),
        Way(SPOT, at("EntryPending", IN_PARTS, IN_BASE, LATE_AMEND)),
        Way(SHORT_LIVED, at("ProtectedPendingFill", HALF, HALF, LATE_AMEND, LATE_CANCEL)),
        Way(LIMIT_ENGINE, at("ProtectedPendingFill", HALF, HALF, LATE_AMEND) + at("Resizing", FOR, TIGHTEN)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALF, LATE_AMEND) + at("Resizing", SHUT, EXIT)),
    ),
    "Tightening": (
        Way(ANY, at("Protected", TIGHTEN, LATE_AMEND)),
        Way(ANY, at("Protected", TIGHTEN, LOST_AMEND)),
        Way(ANY, at("Protected", TIGHTEN, UNHEARD_AMEND) + at("Tightening", LATE_WORD)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, TIGHTEN, LATE_AMEND)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, TIGHTEN, LATE_AMEND)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, TIGHTEN, LATE_AMEND) + at("Tightening", HALF)),
        Way(ANY, at("Protected", TIGHTEN, refused("amend_order", 2))),
        Way(ENGINE, at("Protected", FOR, LATE_AMEND)),
        Way(SHORT_LIVED, at("ProtectedPendingFill", HALF, TIGHTEN, LATE_AMEND, LATE_CANCEL)),
        Way(ATTACHED, at("Protected", TIGHTEN, LATE_AMEND)),
        Way(ANY, at("Protected", TIGHTEN, LATE_AMEND) + at("Tightening", SHUT, EXIT)),
    ),
    "StopTriggered": (
        Way(SLOW, at("Protected", AGAINST)),
        Way(SLOW_LIMIT, at("Protected", AGAINST) + at("ProtectedPendingFill", HALF, AGAINST)),
        Way(ANY, at("Protected", STOP_HALF)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, STOP_HALF)),
        Way(SLOW_ATTACHED, at("Protected", AGAINST, IN_PARTS)),
        Way(SLOW, at("Protected", AGAINST, TIGHTEN) + at("Tightening", AGAINST)),
        Way(SLOW, at("Protected", PATIENT, AGAINST)),
    ),
    "EmergencyProtecting": (
        Way(MARKET, at("EntryPending", *NO_STOP)),
        Way(ANY, at("Protected", CANCEL_STOP) + at("ProtectionPending", *NO_STOP)),
        Way(MARKET, at("EntryPending", fault("ack_lost_not_applied", "add_order:trailing-stop", 3))),
        Way(LIMIT, at("ProtectedPendingFill", HALF) + at("EntryPending", *NO_STOP)),
        Way(SHORT_LIVED, at("ProtectedPendingFill", HALF, LATE_CANCEL) + at("EntryPending", *NO_STOP)),
        Way(ANY, at("Protected", EXIT) + at("CancelPending", refused("add_order:market", 9))),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, CANCEL_STOP, *NO_STOP)),
        Way(MARKET, at("EntryPending", *NO_STOP) + at("EmergencyProtecting", SHUT, EXIT)),
    ),
    "AwaitingOwner": (
        Way(ANY, at("Protected", CANCEL_STOP, CANCEL_STOP)),
        Way(ATTACHED, at("Protected", CANCEL_STOP, CANCEL_STOP)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, CANCEL_STOP, CANCEL_STOP)),
        Way(MAKER, at("Protected", CANCEL_STOP, CANCEL_STOP) + at("AwaitingOwner", TO_TARGET)),
        Way(SHORT_LIVED, at("ProtectedPendingFill", HALF, CANCEL_STOP, CANCEL_STOP, LATE_CANCEL)),
    ),
    "CancelPending": (
        Way(ANY, at("Protected", EXIT, LATE_CANCEL)),
        Way(ANY, at("Protected", EXIT, LOST_CANCEL)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, EXIT, LATE_CANCEL, LATE_CANCEL)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, EXIT, LATE_CANCEL, LATE_CANCEL)),
        Way(LIMIT, at("ProtectedPendingFill", EXIT, LATE_CANCEL)),
        Way(ANY, at("Protected", EXIT, UNHEARD_CANCEL) + at("CancelPending", LATE_WORD)),
        Way(ANY, at("Protected", PATIENT, refused("cancel_order", 2))),
        Way(ATTACHED, at("EntryPending", LATE_WORD, EXIT) + at("Protected", EXIT, LATE_CANCEL)),
        Way(MAKER, at("Protected", TO_TARGET, LATE_CANCEL)),
        Way(SLOW_MARGIN, at("Protected", SELL_TOO, EXIT, AGAINST)),
        Way(ANY, at("Protected", EXIT, LATE_CANCEL) + at("CancelPending", SHUT)),
        Way(ATTACHED, at("Protected", SHUT, EXIT) + at("CancelPending", SHUT, LATE_CANCEL)),
    ),
    "TakeProfitWorking": (
        Way(MAKER, at("Protected", TO_TARGET)),
        Way(MAKER_ATTACHED, at("Protected", TO_TARGET)),
        Way(MAKER, at("Protected", TO_TARGET) + at("TakeProfitWorking", HALF)),
        Way(MAKER, at("Protected", TO_TARGET) + at("CancelPending", LATE_LIMIT)),
        Way(MAKER, at("Protected", TO_TARGET) + at("CancelPending", refused("add_order:limit", 1))),
    ),
    "MakerExiting": (
        Way(Kind({"time_stop_secs": None}), at("Protected", PATIENT)),
        Way(ANY, at("Protected", PATIENT) + at("MakerExiting", HALF)),
        Way(ANY, at("Protected", PATIENT) + at("CancelPending", LATE_LIMIT)),
        Way(ANY, at("Protected", PATIENT) + at("MakerExiting", LATE_CANCEL)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, PATIENT)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, PATIENT)),
        Way(MARGIN, at("Protected", PATIENT) + at("MakerExiting", SELL_TOO)),
    ),
    "MarketExiting": (
        Way(ANY, at("Protected", EXIT) + at("CancelPending", LATE_EXIT)),
        Way(ANY, at("Protected", EXIT) + at("CancelPending", refused("add_order:market", 2))),
        Way(ANY, at("Protected", EXIT) + at("CancelPending", LOST_EXIT)),
        Way(ANY, at("Protected", EXIT) + at("CancelPending", IN_PARTS) + at("MarketExiting", LATE_WORD)),
        Way(ATTACHED, at("Protected", EXIT) + at("EntryPending", LATE_WORD) + at("CancelPending", LATE_EXIT)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, EXIT) + at("CancelPending", LATE_EXIT)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, EXIT, LATE_CANCEL) + at("CancelPending", LATE_EXIT)),
        Way(ANY, at("Protected", EXIT) + at("CancelPending", refused("add_order:market", 9))),
        Way(MARGIN, at("Protected", EXIT) + at("CancelPending", LATE_EXIT) + at("MarketExiting", SELL_TOO)),
    ),
    "Flattening": (
        Way(SLOW_MARGIN, at("Protected", AGAINST) + at("StopTriggered", SELL_TOO) + at("Flattening", LATE_EXIT)),
        Way(SLOW_BESIDE, at("Protected", AGAINST) + at("StopTriggered", SELL_TOO) + at("Flattening", LATE_EXIT)),
        Way(MARGIN, at("Protected", SELL_TOO, STOP_WHOLE) + at("Flattening", LATE_EXIT)),
        Way(MARGIN, at("Protected", EXIT, LATE_CANCEL) + at("CancelPending", SELL_TOO, STOP_WHOLE) + at("Flattening", LATE_EXIT)),
        Way(MARGIN, at("Protected", EXIT) + at("CancelPending", LATE_EXIT) + at("MarketExiting", SELL_TOO) + at("Flattening", LATE_EXIT)),
        Way(MARGIN, at("Protected", PATIENT) + at("MakerExiting", SELL_TOO, WHOLE) + at("Flattening", LATE_EXIT)),
        Way(SLOW_MARGIN, at("Protected", AGAINST) + at("StopTriggered", SELL_TOO) + at("Flattening", refused("add_order:market", 3))),
        Way(SLOW_MARGIN, at("Protected", AGAINST) + at("StopTriggered", SELL_TOO) + at("Flattening", LATE_WORD)),
        Way(SLOW_MARGIN, at("Protected", AGAINST) + at("StopTriggered", SELL_TOO, CUT) + at("Flattening", LOST_EXIT)),
        Way(SLOW_MARGIN, at("Protected", AGAINST, HALT) + at("Halted", SELL_TOO) + at("Flattening", LATE_EXIT)),
    ),
    "Reconciling": (
        Way(ANY, at("Protected", CUT, NET_DOWN)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, CUT, NET_DOWN)),
        Way(LIMIT_ATTACHED, at("ProtectedPendingFill", HALF, CUT, NO_TOKEN)),
        Way(ANY, at("EntryPending", CUT)),
        Way(MARKET, at("ProtectionPending", CUT, NET_DOWN)),
        Way(ANY, at("Protected", EXIT) + at("CancelPending", CUT, NET_DOWN)),
        Way(ANY, at("Protected", CUT) + at("Reconciling", CUT_LISTS)),
        Way(ANY, at("Protected", EXIT) + at("MarketExiting", CUT)),
        Way(ANY, at("Protected", TIGHTEN, LATE_AMEND) + at("Tightening", CUT)),
        Way(TIMED, at("Protected", CUT, NO_TOKEN)),
    ),
    "Halted": (
        Way(ANY, at("Protected", HALT)),
        Way(ATTACHED, at("Protected", HALT)),
        Way(ANY, at("EntryPending", HALT)),
        Way(LIMIT_ATTACHED, at("EntryPending", HALT) + at("Halted", HALF)),
        Way(LIMIT, at("ProtectedPendingFill", HALF, HALT) + at("Halted", LATE_CANCEL)),
        Way(MARKET, at("ProtectionPending", HALT) + at("EntryPending", LATE_STOP)),
        Way(ANY, at("Protected", TIGHTEN, LATE_AMEND) + at("Tightening", HALT)),
        Way(SLOW, at("Protected", AGAINST) + at("StopTriggered", HALT)),
        Way(SLOW, at("Protected", HALT) + at("Halted", AGAINST, FOR)),
        Way(LIMIT, at("ProtectedPendingFill", HALT) + at("Halted", HALF)),
        Way(ANY, at("Protected", CANCEL_STOP, CANCEL_STOP) + at("AwaitingOwner", HALT)),
        Way(MARKET, at("EmergencyProtecting", HALT) + at("EntryPending", *NO_STOP)),
        # Its exit was wished for behind the closed link, so that what comes while it is halted leads out.
        *(
            Way(kind, at("Protected", CUT, NET_DOWN) + at("Reconciling", wish, HALT) + more)
            for kind, wish, more in (
                (ANY, EXIT, ()), (ANY, PATIENT, ()), (ATTACHED, EXIT, ()), (SLOW, EXIT, at("Halted", AGAINST)),
                (ANY, EXIT, at("Halted", LATE_CANCEL)), (MAKER, EXIT, at("Halted", TO_TARGET)),
            )
        ),
        *(
            Way(kind, at("ProtectedPendingFill", HALF, CUT, NO_TOKEN) + at("Reconciling", wish, HALT))
            for kind, wish in ((LIMIT, EXIT), (LIMIT_ATTACHED, EXIT), (LIMIT, PATIENT))
        ),
        # The same, and the list that would lead out is cut short, so that it does not.
        *(
            Way(kind, at("Protected", CUT) + at("Reconciling", wish, HALT, CUT_LISTS, CUT_LISTS) + more)
            for kind, wish, more in (
                (ANY, EXIT, ()), (ATTACHED, EXIT, ()), (ANY, EXIT, at("Halted", TIGHTEN)), (SLOW, EXIT, at("Halted", AGAINST)),
                (ATTACHED, PATIENT, at("Halted", STOP_WHOLE)), (ANY, PATIENT, at("Halted", CANCEL_STOP)),
            )
        ),
        Way(
            LIMIT_ATTACHED,
            at("ProtectedPendingFill", HALF, CUT) + at("Reconciling", EXIT, HALT, CUT_LISTS, CUT_LISTS) + at("Halted", HALF),
        ),
        Way(TIMED, at("Protected", CUT, NO_TOKEN) + at("Reconciling", HALT)),
        Way(LIMIT, at("EntryPending", LATE_ENTRY, CUT) + at("Reconciling", EXIT, HALT)),
    ),
    "Closed": (Way(ANY, at("Protected", EXIT)), Way(ATTACHED, at("Protected", EXIT)), Way(MARGIN, at("Protected", EXIT, LATE_CANCEL))),
    "Abandoned": (
        Way(LIMIT, at("ProtectedPendingFill", EXIT)),
        Way(ANY, at("EntryPending", refused("add_order"))),
        Way(ANY, at("EntryPending", EXIT, LATE_ENTRY)),
    ),
}  # fmt: skip

_DOUBT = tuple(
    fault(name, on)
    for name in (
        "ack_lost_applied", "ack_lost_not_applied", "close_before_reply", "close_before_apply", "close_after_reply", "late_request"
    )
    for on in ("add_order", "amend_order", "cancel_order")
)  # fmt: skip
_LOSSES = (LOST_WORD, LOST_WORDS, CUT_LISTS)
_RACES = tuple(
    fault(name, n=3)
    for name in ("fill_during_cancel", "partial_fill_during_cancel", "fill_after_cancel_ack", "trigger_during_amend", "split_fill")
)
_FUNDS = refused("add_order", 2, "EOrder:Insufficient funds")
_REFUSED = (
    _FUNDS,
    *(refused(on, 2) for on in ("add_order", "add_order:trailing-stop", "add_order:market", "add_order:limit")),
    refused("add_order", 2, "EService:Unavailable"),
    refused("add_order", 2, "EOrder:Rate limit exceeded"),
)
_DEATHS = (
    *(Cause(kind) for kind in ("kill", "restart", "power")),
    *(Cause(kind, numbers=(1, 2)) for kind in ("kill_after_commit", "kill_before_commit")),
)  # fmt: skip
_LIES = tuple(fault(name, seconds=30, count=3) for name in ("rest_empty", "rest_partial", "rest_stale", "rest_refused"))
_LATE_WORDS = tuple(
    fault("delay_frame", f"executions{part}", seconds=seconds)
    for part in ("", ":new", ":trade", ":canceled", ":filled", ":amended")
    for seconds in (0.4, 2)
)
_ASKS = (TIGHTEN, EXIT, PATIENT, PROTECT)

# What brings a fact. Of a market's kind and its range the venue's own trades tell, behind `LEAD_S`.
CAUSES: Mapping[str, tuple[Cause, ...]] = {
    "ExitRequested": (EXIT, PATIENT, EXIT, SHUT),
    "PlanTightened": (TIGHTEN,),
    "HaltRequested": (HALT,),
    "ProtectionRequested": (PROTECT,),
    "OrderSubmitted": (*_ASKS, CANCEL),
    "OrderNotSent": (*_ASKS, CANCEL, HALF, STOP_HALF, AGAINST, *STORE),
    "OrderAccepted": (*_LATE_WORDS, CANCEL, PROTECT, CUT, *_DOUBT),
    "OrderRejected": (*_REFUSED, CANCEL, EXIT, LATE_EXIT, LATE_STOP),
    "OrderFilled": (HALF, WHOLE, STOP_HALF, STOP_WHOLE, AGAINST, FOR, *_RACES, *_LATE_WORDS),
    "OrderCompleted": (LOST_TRADE, fault("drop_frame", "executions:trade", 2), WHOLE, HALF, STOP_WHOLE, AGAINST),
    "OrderTriggered": (AGAINST, STOP_HALF, STOP_WHOLE, fault("trigger_during_amend")),
    "OrderAmended": (TIGHTEN, FOR, HALF, fault("delay_frame", "executions:amended", seconds=1), LATE_AMEND),
    "AmendRejected": (refused("amend_order", 2), TIGHTEN, fault("trigger_during_amend"), HALF, LATE_AMEND),
    "OrderCanceled": (CANCEL, CANCEL_STOP, EXIT, *_LATE_WORDS, fault("partial_fill_during_cancel", n=2)),
    "CancelRejected": (
        refused("cancel_order", 2), refused("cancel_order", 2, "EOrder:Unknown order"), fault("fill_during_cancel"), EXIT, LATE_CANCEL,
    ),
    "OrderExpired": (EXPIRE, EXPIRE_STOP),
    "ChildDiscovered": (HALF, WHOLE, IN_PARTS, LATE_NEW, CUT, fault("drop_frame", "executions:new", 1), LATE_WORD),
    "OrderNotFound": (*_DOUBT, CUT, LOST_WORDS, *_DEATHS),
    "OutcomeUnknown": (*_DOUBT, TIGHTEN, EXIT),
    "StopReported": (TIGHTEN, FOR, AGAINST, CUT),
    "LevelCrossed": (FOR, AGAINST, NEAR, TO_TARGET),
    "TrailDistanceChanged": (),
    "MarketModeChanged": (),
    "DeadlinePassed": (*_DOUBT, *_LOSSES, TIGHTEN, CANCEL, EXIT, SHUT),
    "VenueModeChanged": tuple(Cause("system", mode) for mode in ("cancel_only", "post_only", "limit_only", "maintenance")),
    "ChannelClosed": (CUT,),
    "ChannelLive": (CUT,),
    "SnapshotAgreed": (CUT, *_DEATHS, *_LOSSES),
    "SnapshotDiffered": (CUT, *_DEATHS, *_LOSSES, HALF),
    "TruthStale": (fault("stall", "executions", seconds=30), DARK),
    "BalanceShort": (_FUNDS, SELL, Cause("move_funds", numbers=(1, 3)), Cause("trade_by_hand", numbers=(1, 3, 9)), CANCEL_STOP, EXIT),
    "ManualOrderSeen": (Cause("trade_by_hand", numbers=(0, 2, 4)),),
    "ManualFillSeen": (SELL, SELL_TOO),
    "PositionAdjusted": (SELL, LOST_WORDS, IN_BASE, *_LIES),
}  # fmt: skip
_EVERY = tuple(dict.fromkeys(cause for causes in CAUSES.values() for cause in causes))
OF_THE_MARKET = ("MarketModeChanged", "TrailDistanceChanged")


def is_aim(text: str) -> bool:
    """Whether a text names an aim: a state that a position comes to, or that and a fact."""
    state, slash, fact = text.partition("/")
    return state in WAYS and (fact in CAUSES if slash else True)


def aimed(seed: int, aim: str) -> Case:
    """Return the case of a seed that leads positions to an aim."""
    state, _, fact = aim.partition("/")
    rng = Random(f"aim {aim} {seed}")
    case = draw(seed)
    fact = fact or rng.choice(sorted(CAUSES))
    ways = [rng.choice(WAYS[state])]
    if fact in OF_THE_MARKET:
        # Such a life is dear, and its minute the same for all of its positions: several states at once.
        ways += [rng.choice(WAYS[rng.choice(sorted(WAYS))]) for _ in range(2)]
    ambushes = [_ambush(rng, at_state, cause) for way in ways for at_state, cause in way.steps]
    ambushes += _caused(rng, state, fact)
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        ambushes.append(_ambush(rng, rng.choice((state, rng.choice(LIVE_STATES))), rng.choice(_EVERY)))
    rng.shuffle(ambushes)
    sides = {symbol: rng.choice((PositionSide.LONG, PositionSide.SHORT)) for symbol in case.symbols}
    openings = [_laid(rng, opening, rng.choice(ways).kind, sides) for opening in case.openings]
    happenings = list(case.happenings if rng.random() < 0.3 else ())
    lead_s, faults_end_ms = case.lead_s, max(12_000, case.faults_end_ms)
    if fact in OF_THE_MARKET:
        openings = sorted((_watched(rng, opening) for opening in openings), key=lambda o: o.at_ms)
        lead_s, faults_end_ms = LEAD_S, 40_000
    if fact == "TruthStale":
        # What is silent for three seconds is old, for four it is closed: the state has to come between.
        happenings += [Happening(at_ms=at_ms, kind="dark", number=rng.randint(0, 1)) for at_ms in range(900, faults_end_ms, 6_000)]
    return replace(
        case,
        settings=_settings(case, [way.kind for way in ways]),
        latency_ms=rng.choice(((0, 1), (1, 20), (1, 20), case.latency_ms)),
        faults_end_ms=faults_end_ms,
        lead_s=lead_s,
        openings=tuple(openings),
        wishes=case.wishes if rng.random() < 0.3 else (),
        happenings=tuple(sorted(happenings, key=lambda h: h.at_ms)),
        ambushes=tuple(ambushes),
    )


def _caused(rng: Random, state: str, fact: str) -> list[Ambush]:
    """Draw what brings a fact to a state: there, and at times also elsewhere, because a word may be on its way for long."""
    causes = CAUSES[fact]
    if not causes:
        return []
    found = [_ambush(rng, state, rng.choice(causes)) for _ in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.3:
        found.append(_ambush(rng, rng.choice(LIVE_STATES), rng.choice(causes)))
    if fact == "OrderNotSent" and rng.random() < 0.8:
        # Cut in the moment in which something is to be sent.
        found += [replace(_ambush(rng, state, CUT), delay_ms=found[0].delay_ms, times=found[0].times) for _ in range(2)]
    return found


def _ambush(rng: Random, state: str, cause: Cause) -> Ambush:
    # A fault lies in wait, for the next message that it may strike.
    delay_ms = 0 if cause.kind == "fault" and rng.random() < 0.7 else rng.choice(DELAYS_MS)
    return Ambush(
        state=state,
        kind=cause.kind,  # type: ignore[arg-type]
        delay_ms=delay_ms,
        times=rng.choice((1, 2, 3, 6)),
        text=cause.text,
        number=rng.choice(cause.numbers),
        seconds=rng.choice((0.3, 1.0, 3.0)),
    )


def _settings(case: Case, kinds: Sequence[Kind]) -> VenueSettings:
    fields: dict[str, Any] = {}
    for kind in kinds:
        fields |= kind.settings
    if any(kind.own for kind in kinds):
        own = {pair_of(symbol).instrument.base: Decimal(5) for symbol in case.symbols}
        fields["balances"] = {**case.settings.balances, **own}
    return replace(case.settings, **fields)


def _laid(rng: Random, opening: Opening, kind: Kind, sides: Mapping[str, PositionSide]) -> Opening:
    """Lay a kind of position over an opening, so that its plan is one that a position can have."""
    plan, fields, levels = opening.plan, dict(kind.plan), dict(kind.levels)
    if fields.get("trail_style") == "engine":
        fields |= {"trail_auto": False, "trail_offset_bps": fields.get("trail_offset_bps") or plan.trail_offset_bps or 80}
    if fields.get("margin") is False:
        fields["side"] = PositionSide.LONG
    elif fields.get("margin", plan.margin):
        # Kraken nets the margin positions of a pair: long and short at once would close each other there.
        fields["side"] = sides[plan.symbol]
    if fields.get("entry_type", plan.entry_type) == "market":
        levels["entry_bps"] = None
    elif levels.get("entry_bps", opening.entry_bps) is None:
        levels["entry_bps"] = -10
    return replace(opening, plan=replace(plan, **fields), **levels)


def _watched(rng: Random, opening: Opening) -> Opening:
    """Let an opening be one that the kind of market, or its range, says something to, just before the new minute."""
    if rng.random() < 0.5:
        plan = replace(opening.plan, **IGNITION, trail_activation_bps=rng.choice((3, 60)))
        return replace(opening, plan=plan, at_ms=rng.randint(3_000, 9_950))
    plan = replace(opening.plan, **_NATIVE, **_NO_ATTACHED, trail_auto=True, trail_offset_bps=None, time_stop_secs=None)
    return replace(opening, plan=plan, stop_bps=None, at_ms=rng.randint(3_000, 9_950))
