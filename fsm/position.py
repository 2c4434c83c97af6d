"""The position machine: the only place where a position's state follows a state.

How to read it
    A fact is booked first (`booking.py`), then the *situation* is read off the booked position: what is held, what is
    confirmed at the venue, what is in flight. Most rows only say: go where the evidence is. `SETTLE` is that map for a
    position that stays, `LEAVE` the map for one that is to be closed. A state matters beyond the situation where
    something is being waited for: a snapshot (`Reconciling`), a person (`Halted`), another attempt (`EmergencyProtecting`,
    `MarketExiting`).

    Decisions are level-triggered: after every result what is wanted is compared with what the venue confirmed, and the
    next command follows from the difference. Nothing is remembered as "to be done later" but the wish itself.

Deliberately absent: a row that fabricates evidence (I6), a row that revives an end (I5), a row that waits without a
timer (`timers.py` gives every live state one, I13).
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from events import facts as f

from .means import is_better_anew, is_guaranteed, is_replacing, means_of, wanted_trail_of
from .model import Order, Position
from .order import LIVE
from .table import ANY, SAME, Classifier, Row, State, Table

NEW = "New"
ENTRY_PENDING, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING = "EntryPending", "ProtectedPendingFill", "EntryCancelPending"
PROTECTION_PENDING, PROTECTED, RESIZING, TIGHTENING = "ProtectionPending", "Protected", "Resizing", "Tightening"
TAKE_PROFIT_WORKING, EMERGENCY_PROTECTING, STOP_TRIGGERED = "TakeProfitWorking", "EmergencyProtecting", "StopTriggered"
AWAITING_OWNER = "AwaitingOwner"
CANCEL_PENDING, MAKER_EXITING, MARKET_EXITING, FLATTENING = "CancelPending", "MakerExiting", "MarketExiting", "Flattening"
RECONCILING, HALTED, CLOSED, ABANDONED = "Reconciling", "Halted", "Closed", "Abandoned"

STATES = (
    State(NEW, "entry", "nothing has happened yet"),
    State(ENTRY_PENDING, "entry", "entry sent, nothing known of it yet"),
    State(PROTECTED_PENDING_FILL, "entry", "entry works at the venue; what has filled is covered"),
    State(ENTRY_CANCEL_PENDING, "entry", "entry's time is up; waiting for cancelled or filled"),
    State(PROTECTION_PENDING, "open", "filled quantity without confirmed protection: the unprotected clock runs"),
    State(PROTECTED, "open", "confirmed live protection covers all that is held but dust"),
    State(RESIZING, "open", "coverage is being moved to another quantity; the old protection stands"),
    State(TIGHTENING, "open", "an amend is in flight; the old stop stands until the venue confirms"),
    State(STOP_TRIGGERED, "open", "the stop fired and is not filled yet: no longer protection; a deadline runs"),
    State(EMERGENCY_PROTECTING, "open", "exposure without protection, found or caused: bounded attempts, then out at market"),
    State(AWAITING_OWNER, "open", "the owner has taken the stop away again: he is asked, and it is put back when his time is up"),
    State(CANCEL_PENDING, "exit", "exit decided; waiting for cancelled-or-filled of the orders in the way"),
    State(TAKE_PROFIT_WORKING, "exit", "a resting take-profit holds what the stop cannot: uncovered by choice, clocked"),
    State(MAKER_EXITING, "exit", "a patient exit rests until its time is up"),
    State(MARKET_EXITING, "exit", "market order out, deadline running; retries, then re-protect and page, ever louder"),
    State(FLATTENING, "exit", "more was closed than was open: the reverse quantity is being closed"),
    State(RECONCILING, "any", "the link was down: evidence is being fetched; venue-side protection stands"),
    State(HALTED, "any", "needs a person; pages; protection of what exists continues"),
    State(CLOSED, "end", "flat, and nothing of ours is left at the venue", end=True),
    State(ABANDONED, "end", "never filled", end=True),
)

LIVE_STATES = tuple(s.name for s in STATES if not s.end and s.name != NEW)
_ENTRY = (ENTRY_PENDING, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING)
_OPEN = (PROTECTION_PENDING, PROTECTED, RESIZING, TIGHTENING, STOP_TRIGGERED, AWAITING_OWNER)
_STAY = _ENTRY + _OPEN
_RESTING = (TAKE_PROFIT_WORKING, MAKER_EXITING)
_LEAVING = (CANCEL_PENDING, *_RESTING, MARKET_EXITING)
_ENDS = (CLOSED, ABANDONED)

FACTS = tuple(t.__name__ for t in f.AnyFact.__args__)
# What changes quantities or orders: the situation is read anew after each.
EVIDENCE = (
    "OrderAccepted", "OrderFilled", "OrderCompleted", "OrderTriggered", "OrderAmended", "AmendRejected", "OrderCanceled", "CancelRejected",
    "OrderExpired", "ChildDiscovered", "OrderNotFound", "ManualFillSeen", "PositionAdjusted",
)  # fmt: skip
# Of these, what changes the quantity by no order of ours, and the others.
_BY_OTHERS = ("ManualFillSeen", "PositionAdjusted")
_BY_ORDERS = tuple(x for x in EVIDENCE if x not in _BY_OTHERS)
SNAPSHOT = ("SnapshotAgreed", "SnapshotDiffered")
_TOLD = tuple(x for x in EVIDENCE if x not in ("AmendRejected", "OrderCanceled"))

# --- questions ------------------------------------------------------------------------------------------------------

STAYING = (
    "SENT", "WORKING", "WITHDRAWING", "TRIGGERED", "COVERED", "COVERED_WORKING", "MISALIGNED", "SURPLUS", "AMENDING",
    "RESIZE_OUT", "SHORT", "BARE", "TAKEN",
)  # fmt: skip
OVER = ("FLIPPED", "NEVER", "DONE", "LEFTOVERS")
GOING = ("WAITING", "STOP_OUT", "TAKE_PROFIT_OUT", "PATIENT_OUT", "MARKET_OUT", "BLOCKED", "CLEAR_TAKE_PROFIT", "CLEAR_PATIENT", "CLEAR")

CLASSIFIERS = (
    Classifier("which", ("entry", "time_stop", "watch"), "which deadline passed"),
    Classifier("signal", ("STALE", "PRICED", "TIGHTEN", "SHADOW", "EXIT"), "what a crossed level asks for; SHADOW: a live native stop should fire"),
    Classifier("urgency", ("URGENT", "PATIENT"), "whether an exit may rest first"),
    Classifier("refusal", ("THROUGH_MARKET", "SPENT", "FUNDS", "OTHER"), "whether a stop was refused because its level is crossed, once too often, or for want of funds"),
    Classifier("ended", ("FIRED", "SPENT", "OTHER"), "whether the only stop had fired when the venue ended it, with nothing else in the way of the exit; SPENT: put back behind exits that were refused"),
    Classifier("ignition", ("OUT", "STAY"), "whether an ignition position is held, has never taken off, and the market is quiet (A7)"),
    Classifier("ladder", ("AGAIN", "SPENT"), "whether the attempts of this rung are used up"),
    Classifier("upkeep", ("WAITING", "SHADOW_FIRED", "MISALIGNED", "SURPLUS", "FINE"), "what a routine look at a covered position finds"),
    Classifier("adoption", ("KEPT", "REVERSE"), "whether what is taken over is the reverse of a position that was closed twice"),
    Classifier("market", ("OPEN", "SHUT"), "whether the venue takes exits now"),
    Classifier("tightenable", ("YES", "NO"), "a confirmed live stop differs from the wanted one and nothing is in flight on it"),
    Classifier("situation", (*OVER, *STAYING, *GOING), "where the evidence puts the position"),
    Classifier("way_out", (*OVER, *GOING), "where the evidence puts it once it is to be closed"),
)

# --- where the evidence is ------------------------------------------------------------------------------------------

SETTLE: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "FLIPPED": (FLATTENING, ("flatten", "cancel_rest"), "more was closed than was open: close the reverse at once (P24)"),
    "NEVER": (ABANDONED, (), "the entry ended without a fill"),
    "DONE": (CLOSED, (), "flat or dust, and every order of ours has ended by evidence"),
    "LEFTOVERS": (CANCEL_PENDING, ("cancel_rest",), "flat, but orders of ours still rest: nothing may outlive the position (P08)"),
    "SENT": (ENTRY_PENDING, (), "nothing known of the entry yet"),
    "WORKING": (PROTECTED_PENDING_FILL, (), "the entry works; covered equals filled"),
    "WITHDRAWING": (ENTRY_CANCEL_PENDING, (), "waiting for cancelled or filled of the entry"),
    "TRIGGERED": (STOP_TRIGGERED, ("cancel_entry",), "the stop fired: it protects nothing, and the entry must not go on filling (P02)"),
    "COVERED": (PROTECTED, (), "confirmed live protection covers what is held"),
    "COVERED_WORKING": (PROTECTED_PENDING_FILL, (), "what has filled is covered, the entry goes on"),
    "MISALIGNED": (TIGHTENING, ("converge",), "a tighter stop is wanted than the venue confirmed"),
    "SURPLUS": (RESIZING, ("converge",), "a stop is larger than what is held (base fee, manual sale): amend it down (P19, P23)"),
    "AMENDING": (TIGHTENING, (), "an amend is in flight; the old stop stands"),
    "RESIZE_OUT": (RESIZING, (), "a change of quantity is in flight; all that is held is covered meanwhile"),
    "SHORT": (RESIZING, ("cover",), "part is covered: move coverage to the whole by the venue's best means (A10)"),
    "BARE": (PROTECTION_PENDING, ("cover",), "held, with no confirmed protection"),
    "TAKEN": (AWAITING_OWNER, ("cancel_entry", "page_taken"), "the owner took its stop away again: he is asked before it is put back (P19)"),
    "WAITING": (PROTECTED, ("cancel_entry", "page_waiting"), "the venue takes no exit now, or only a balance tells of what is held: the stop stays until then (X16, P15)"),
    "STOP_OUT": (STOP_TRIGGERED, (), "the stop is executing: nothing else is sent for its quantity, and it is not called back (P14)"),
    "TAKE_PROFIT_OUT": (TAKE_PROFIT_WORKING, (), "the take-profit rests"),
    "PATIENT_OUT": (MAKER_EXITING, (), "the patient exit rests"),
    "MARKET_OUT": (MARKET_EXITING, (), "an exit is out; nothing else is sent for its quantity (I2)"),
    "BLOCKED": (CANCEL_PENDING, ("cancel_rest",), "orders in the way: wait for cancelled or filled of exactly those (A13)"),
    "CLEAR_TAKE_PROFIT": (TAKE_PROFIT_WORKING, ("exit_take_profit",), "nothing in the way: rest at the level (A3)"),
    "CLEAR_PATIENT": (MAKER_EXITING, ("exit_patient",), "nothing in the way: rest at the touch"),
    "CLEAR": (MARKET_EXITING, ("exit_market",), "nothing in the way: market for what is left, sized now (I7)"),
}  # fmt: skip

# The same for a position that is to be closed from here on; an urgent exit pre-empts a resting one (B8).
LEAVE: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    **{key: SETTLE[key] for key in (*OVER, *GOING)},
    "TAKE_PROFIT_OUT": SETTLE["BLOCKED"],
    "PATIENT_OUT": SETTLE["BLOCKED"],
}
# Nothing is in the way of an exit; part of what is held, or all of it, has no stop.
_FREE = ("CLEAR_TAKE_PROFIT", "CLEAR_PATIENT", "CLEAR")
_OPEN_LOTS = ("SHORT", "BARE")
_STUCK = tuple(name for name in SETTLE if name not in _FREE)
_NOT_WAITING = ("SHADOW_FIRED", "MISALIGNED", "SURPLUS", "FINE")


def settle(
    sources: tuple[str, ...],
    facts: tuple[str, ...],
    when: Mapping[str, str | tuple[str, ...]] | None = None,
    also: tuple[str, ...] = (),
    but: tuple[str, ...] = (),
    only: tuple[str, ...] = tuple(SETTLE),
) -> tuple[Row, ...]:
    """Return one row per situation, where `SETTLE` says; other rows say where for the situations in `but`, and not in `only`."""
    return tuple(
        Row(sources, facts, {**(when or {}), "situation": name}, target, (*commands, *also), doc)
        for name, (target, commands, doc) in SETTLE.items()
        if name in only and name not in but
    )


def leave(
    sources: tuple[str, ...],
    facts: tuple[str, ...],
    reason: str,
    when: Mapping[str, str | tuple[str, ...]] | None = None,
    also: tuple[str, ...] = (),
    **other: tuple[str, tuple[str, ...], str],
) -> tuple[Row, ...]:
    """Return one row for the ways out that are the same: where `LEAVE` says, or `other` for a way out of that name.

    With each goes the decision to leave for `reason` ("fact": as the fact says).
    """
    same: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for name, way in {**LEAVE, **other}.items():
        same.setdefault(way, []).append(name)
    return tuple(
        Row(sources, facts, {**(when or {}), "way_out": _one(names)}, target, (*commands, *also), doc, reason)
        for (target, commands, doc), names in same.items()
    )


def _one(names: list[str]) -> str | tuple[str, ...]:
    return names[0] if len(names) == 1 else tuple(names)


# A cancel of a resting exit whose time is up is asked for at once where the exit is still resting: behind a closed channel that would
# go round for ever, at the speed of the processor.
_NOT_AT_ONCE = tuple(name for name, row in SETTLE.items() if row[1] or row[0] in (TAKE_PROFIT_WORKING, MAKER_EXITING))
# What may prove after the end of a position that an order of ours is alive, or was.
_ALIVE = ("OrderAccepted", "ChildDiscovered", "OrderFilled")
_AFTER_THE_END = (*_ALIVE, "ManualFillSeen", "PositionAdjusted")
_WAIT = "wait for the snapshot: nothing is decided on half of the truth"

ROWS: tuple[Row, ...] = (
    # --- birth
    Row((NEW,), ("PositionRequested",), {}, ENTRY_PENDING, ("submit_entry", "alert_plan"), "the entry leaves once this event is durable"),
    Row((NEW,), ("PositionAdopted",), {"adoption": "KEPT"}, EMERGENCY_PROTECTING, ("cover", "alert_adopted"), "exposure found without protection (A8)"),
    Row((NEW,), ("PositionAdopted",), {"adoption": "REVERSE"}, MARKET_EXITING, ("exit_market", "alert_adopted"), "nobody wanted it: closed at once (P24)", "fact"),
    # --- evidence about orders, and the whole truth: go where it is
    *settle(_STAY, (*_TOLD, "AmendRejected", *SNAPSHOT), but=("SHORT",)),
    *settle(_STAY, (*_TOLD, *SNAPSHOT), only=("SHORT",)),
    *settle(_STAY, ("OrderCanceled",), {"ended": "OTHER"}, ("alert_lost",)),
    # Put back where its level is crossed it would fire and be ended again, as fast as the link allows (I14).
    Row(_STAY, ("OrderCanceled",), {"ended": "FIRED"}, MARKET_EXITING, ("exit_market", "page_triggered"), "the venue ended a stop that had fired: what is left goes at market", "stop_unfilled"),
    Row(_STAY, ("OrderCanceled",), {"ended": "SPENT"}, EMERGENCY_PROTECTING, (), "exits were refused, and the stop that was put back ended as it fired: the watch tries the exit anew"),
    *settle((*_LEAVING, FLATTENING), (*EVIDENCE, "OrderRejected", *SNAPSHOT), but=("FLIPPED", "SHORT", *_FREE)),
    *settle((CANCEL_PENDING, *_RESTING, FLATTENING), (*EVIDENCE, "OrderRejected", *SNAPSHOT), only=_FREE),
    *settle(_LEAVING, (*EVIDENCE, "OrderRejected", *SNAPSHOT), only=("FLIPPED",)),
    *settle((*_LEAVING, FLATTENING), (*_TOLD, "OrderCanceled", "OrderRejected", *SNAPSHOT), only=("SHORT",)),
    *settle((EMERGENCY_PROTECTING,), (*EVIDENCE, *SNAPSHOT), but=(*_OPEN_LOTS, "BLOCKED", *_FREE)),
    Row((*_STAY, *_LEAVING, FLATTENING), ("AmendRejected",), {"situation": "SHORT"}, RESIZING, (), "a failed resize leaves the old protection standing; the watch tries by another means (A10)"),
    Row((EMERGENCY_PROTECTING,), (*EVIDENCE, *SNAPSHOT), {"situation": "BLOCKED"}, SAME, (), "the exit was refused for good, so a stop rests again; the watch tries the exit anew"),
    Row((EMERGENCY_PROTECTING,), (*_BY_ORDERS, *SNAPSHOT), {"situation": _FREE}, SAME, (), "exit and stop were refused; the watch tries the exit anew"),
    Row((EMERGENCY_PROTECTING,), _BY_ORDERS, {"situation": _OPEN_LOTS}, SAME, (), "the watch makes the next attempt"),
    # What was refused may have been too much: with another quantity it is worth an attempt at once. Neither fact follows from an attempt.
    Row((EMERGENCY_PROTECTING,), _BY_OTHERS, {"situation": _OPEN_LOTS}, SAME, ("cover",), "another quantity: another attempt at once"),
    Row((EMERGENCY_PROTECTING,), _BY_OTHERS, {"situation": _FREE}, MARKET_EXITING, ("exit_market",), "another quantity: the exit at once"),
    Row((EMERGENCY_PROTECTING,), SNAPSHOT, {"situation": _OPEN_LOTS}, SAME, ("cover",), "looked: what is missing goes out anew"),
    Row((MARKET_EXITING,), EVIDENCE, {"situation": _FREE}, SAME, ("refresh",), "the exit ended short: look before the next attempt, never in the same event"),
    Row((MARKET_EXITING,), ("OrderRejected",), {"situation": _FREE}, SAME, ("refresh", "alert_exit_refused"), "a refused close is not a close (P29)"),
    Row((MARKET_EXITING,), SNAPSHOT, {"ladder": "AGAIN", "situation": _FREE}, SAME, ("exit_market",), "looked: what is left goes out again, sized now"),
    Row((MARKET_EXITING,), SNAPSHOT, {"ladder": "SPENT", "situation": _FREE}, EMERGENCY_PROTECTING, ("cover", "page_exposure"), "this rung is spent: put a stop back, page, and come again"),
    Row((FLATTENING,), (*EVIDENCE, "OrderRejected"), {"situation": "FLIPPED"}, SAME, (), "the watch makes the next attempt: at once again would be a storm (I14)"),
    Row((FLATTENING,), SNAPSHOT, {"situation": "FLIPPED"}, SAME, ("flatten",), "looked: the reverse is still open"),
    *settle((RECONCILING,), SNAPSHOT),
    # A hold begins with the owner's deed, and he is asked then: the snapshot only shows that nothing stands.
    Row((RECONCILING,), EVIDENCE, {}, SAME, ("page_taken",), _WAIT),
    # --- nothing left: the link is gone or going. Sending again at once would spin; the snapshot of the next link decides.
    *settle((*_STAY, *_LEAVING, EMERGENCY_PROTECTING, FLATTENING), ("OrderNotSent",), but=_NOT_AT_ONCE),
    Row((*_STAY, *_LEAVING, EMERGENCY_PROTECTING, FLATTENING), ("OrderNotSent",), {"situation": _NOT_AT_ONCE}, RECONCILING, ("refresh",), "it never left: look first, then what is missing goes out anew"),
    Row((RECONCILING, HALTED), ("OrderNotSent",), {}, SAME, (), _WAIT),
    # --- refusals
    *leave(_STAY, ("OrderRejected",), "stop_crossed", {"refusal": "THROUGH_MARKET"}),
    # The link was cut between the attempts, and the snapshot of the next one led here: they count on.
    *leave(_STAY, ("OrderRejected",), "protection_failed", {"refusal": "SPENT"}),
    *settle(_STAY, ("OrderRejected",), {"refusal": ("FUNDS", "OTHER")}, but=_OPEN_LOTS),
    Row(_STAY, ("OrderRejected",), {"refusal": "OTHER", "situation": "BARE"}, EMERGENCY_PROTECTING, ("cover", "alert_unprotected"), "the stop was refused: another attempt at once, then by the watch"),
    Row(_STAY, ("OrderRejected",), {"refusal": "OTHER", "situation": "SHORT"}, RESIZING, (), "a failed resize leaves the old protection standing (A10)"),
    Row(_STAY, ("OrderRejected",), {"refusal": "FUNDS", "situation": "BARE"}, EMERGENCY_PROTECTING, ("refresh", "alert_unprotected"), "something holds the balance: find it before another attempt (A25)"),
    Row(_STAY, ("OrderRejected",), {"refusal": "FUNDS", "situation": "SHORT"}, RESIZING, ("refresh",), "something holds the balance: find it; the old protection stands (A25)"),
    *leave((EMERGENCY_PROTECTING,), ("OrderRejected",), "protection_failed", {"ladder": "SPENT"}),
    *leave((EMERGENCY_PROTECTING,), ("OrderRejected",), "stop_crossed", {"ladder": "AGAIN", "refusal": "THROUGH_MARKET"}),
    Row((EMERGENCY_PROTECTING,), ("OrderRejected",), {"ladder": "AGAIN", "refusal": "FUNDS"}, SAME, ("refresh",), "find what holds the balance; what is missing goes out with the snapshot (A25)"),
    Row((EMERGENCY_PROTECTING,), ("OrderRejected",), {"ladder": "AGAIN", "refusal": ("SPENT", "OTHER")}, SAME, (), "the watch makes the next attempt"),
    Row((RECONCILING,), ("OrderRejected",), {}, SAME, (), _WAIT),
    # --- no proof either way: ask, send nothing for the same quantity (I4, I6)
    Row((*LIVE_STATES,), ("OutcomeUnknown",), {}, SAME, ("refresh",), "a timeout is not a rejection: ask the venue"),
    Row((*LIVE_STATES,), ("StopReported",), {}, SAME, ("check_stop",), "the venue's stop is compared with ours (I3)"),
    # --- wishes
    *leave((*_STAY, EMERGENCY_PROTECTING, HALTED), ("ExitRequested",), "fact"),
    *leave(_RESTING, ("ExitRequested",), "fact", {"urgency": "URGENT"}),
    Row(_RESTING, ("ExitRequested",), {"urgency": "PATIENT"}, SAME, (), "an equally patient second exit is suppressed (B8)"),
    Row((CANCEL_PENDING,), ("ExitRequested",), {"urgency": "URGENT"}, SAME, (), "an urgent reason takes the place of a patient one", "fact"),
    Row((CANCEL_PENDING,), ("ExitRequested",), {"urgency": "PATIENT"}, SAME, (), "it is leaving already"),
    Row((RECONCILING,), ("ExitRequested",), {}, SAME, (), "the exit follows as soon as the snapshot has come", "fact"),
    Row((*_STAY, EMERGENCY_PROTECTING, HALTED), ("PlanTightened", "TrailDistanceChanged"), {"tightenable": "NO"}, SAME, (), "kept as the wish"),
    Row(
        (PROTECTED_PENDING_FILL, PROTECTED, TIGHTENING, RESIZING), ("PlanTightened", "TrailDistanceChanged"), {"tightenable": "YES"},
        TIGHTENING, ("converge",), "amend in place; the old stop stands until the venue confirms (P01)",
    ),
    Row(
        (ENTRY_PENDING, ENTRY_CANCEL_PENDING, PROTECTION_PENDING, STOP_TRIGGERED, EMERGENCY_PROTECTING, AWAITING_OWNER, HALTED),
        ("PlanTightened", "TrailDistanceChanged"), {"tightenable": "YES"}, SAME, ("converge",), "amend in place, the state has its own matter",
    ),
    Row((*_STAY, EMERGENCY_PROTECTING, RECONCILING), ("HaltRequested",), {}, HALTED, ("cancel_entry", "page_halted"), "risk is blocked, protection is not (I16)"),
    Row((*_LEAVING, FLATTENING), ("HaltRequested",), {}, SAME, ("page_halted",), "an exit under way is never halted (I16)"),
    # --- what the owner took away: he wants it back, or his time is up (P19)
    Row((AWAITING_OWNER,), ("ProtectionRequested",), {}, PROTECTION_PENDING, ("cover",), "it is put back at his word"),
    Row((AWAITING_OWNER,), ("DeadlinePassed",), {"which": "watch"}, PROTECTION_PENDING, ("cover", "refresh", "alert_unprotected"), "no answer in his time: it is put back"),
    # --- crossed levels: a stale price decides nothing (A14)
    Row((*_OPEN, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING, EMERGENCY_PROTECTING, *_RESTING, HALTED), ("LevelCrossed",), {"signal": "STALE"}, SAME, ("alert_stale",), "the native stop stands"),
    Row((*_OPEN, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING, EMERGENCY_PROTECTING, *_RESTING, HALTED), ("LevelCrossed",), {"signal": "PRICED"}, SAME, ("cover",), "the first price: what waited for one is covered at once (A8)"),
    Row((*_RESTING,), ("LevelCrossed",), {"signal": "TIGHTEN"}, SAME, (), "kept as the wish"),
    Row((*_OPEN, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING, EMERGENCY_PROTECTING, HALTED), ("LevelCrossed",), {"signal": "TIGHTEN", "tightenable": "NO"}, SAME, (), "kept as the wish"),
    Row((PROTECTED_PENDING_FILL, PROTECTED, TIGHTENING, RESIZING), ("LevelCrossed",), {"signal": "TIGHTEN", "tightenable": "YES"}, TIGHTENING, ("converge",), "amend in place (P01)"),
    Row((ENTRY_CANCEL_PENDING, PROTECTION_PENDING, STOP_TRIGGERED, EMERGENCY_PROTECTING, AWAITING_OWNER, HALTED), ("LevelCrossed",), {"signal": "TIGHTEN", "tightenable": "YES"}, SAME, ("converge",), "amend in place, the state has its own matter"),
    Row((*_OPEN, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING, EMERGENCY_PROTECTING, *_RESTING, HALTED), ("LevelCrossed",), {"signal": "SHADOW"}, SAME, (), "the venue's own stop is due: a short clock runs until it reports"),
    *leave((*_OPEN, PROTECTED_PENDING_FILL, ENTRY_CANCEL_PENDING, EMERGENCY_PROTECTING, *_RESTING, HALTED), ("LevelCrossed",), "fact", {"signal": "EXIT"}),
    # --- the kind of market: it sets the distance of the trail, and ends an ignition that did not take off (A7)
    *leave((*_STAY, EMERGENCY_PROTECTING, HALTED), ("MarketModeChanged",), "ignition", {"ignition": "OUT"}),
    Row((RECONCILING,), ("MarketModeChanged",), {"ignition": "OUT"}, SAME, (), "the exit follows as soon as the snapshot has come", "ignition"),
    Row((*_STAY, EMERGENCY_PROTECTING, HALTED, RECONCILING), ("MarketModeChanged",), {"ignition": "STAY"}, SAME, (), "known from now on"),
    # --- which orders the venue takes (X16): a stop is not given up for an exit that cannot be sent
    *settle((*_STAY, CANCEL_PENDING, *_RESTING, MARKET_EXITING, EMERGENCY_PROTECTING, FLATTENING), ("VenueModeChanged",), {"market": "OPEN"}, but=_OPEN_LOTS),
    Row(
        (*_STAY, CANCEL_PENDING, *_RESTING, MARKET_EXITING, EMERGENCY_PROTECTING, FLATTENING), ("VenueModeChanged",), {"market": "OPEN", "situation": _OPEN_LOTS},
        SAME, ("cover",), "what is missing goes out anew",
    ),
    Row(
        (*_STAY, CANCEL_PENDING, *_RESTING, MARKET_EXITING, EMERGENCY_PROTECTING, FLATTENING), ("VenueModeChanged",), {"market": "SHUT"},
        SAME, (), "known from now on",
    ),
    Row((RECONCILING, HALTED), ("VenueModeChanged",), {}, SAME, (), "known from now on"),
    # --- deadlines: the entry's
    Row((ENTRY_PENDING, PROTECTED_PENDING_FILL), ("DeadlinePassed",), {"which": "entry"}, ENTRY_CANCEL_PENDING, ("cancel_entry",), "the entry's time is up"),
    Row((*_OPEN, EMERGENCY_PROTECTING, RECONCILING, HALTED), ("DeadlinePassed",), {"which": "entry"}, SAME, ("cancel_entry",), "the entry's time is up; what has filled has its own matter"),
    Row((ENTRY_CANCEL_PENDING, *_LEAVING, FLATTENING), ("DeadlinePassed",), {"which": "entry"}, SAME, (), "the cancel is out already"),
    # --- deadlines: the position's
    *leave((*_STAY, EMERGENCY_PROTECTING, HALTED), ("DeadlinePassed",), "time_stop", {"which": "time_stop"}),
    Row((RECONCILING,), ("DeadlinePassed",), {"which": "time_stop"}, SAME, (), "the exit follows as soon as the snapshot has come", "time_stop"),
    Row((*_LEAVING, FLATTENING), ("DeadlinePassed",), {"which": "time_stop"}, SAME, (), "it is leaving already"),
    # --- deadlines: each state's own watch (I13)
    Row((ENTRY_PENDING,), ("DeadlinePassed",), {"which": "watch"}, SAME, ("refresh", "page_long"), "no word of the entry: ask"),
    Row((ENTRY_CANCEL_PENDING,), ("DeadlinePassed",), {"which": "watch"}, SAME, ("cancel_again", "refresh", "page_long"), "no proof of the cancel: ask, and cancel again"),
    *settle((PROTECTION_PENDING, RESIZING), ("DeadlinePassed",), {"which": "watch"}, ("refresh",), but=_OPEN_LOTS),
    Row((PROTECTION_PENDING, RESIZING), ("DeadlinePassed",), {"which": "watch", "situation": _OPEN_LOTS}, EMERGENCY_PROTECTING, ("cover", "alert_unprotected", "refresh"), "still nothing confirmed for all of it"),
    Row((TIGHTENING,), ("DeadlinePassed",), {"which": "watch", "upkeep": ("FINE", "MISALIGNED", "SURPLUS", "WAITING")}, SAME, ("refresh",), "no word of the amend: ask; the old stop stands"),
    Row((PROTECTED, PROTECTED_PENDING_FILL), ("DeadlinePassed",), {"which": "watch", "upkeep": "FINE"}, SAME, ("refresh",), "a routine look"),
    Row((PROTECTED, PROTECTED_PENDING_FILL), ("DeadlinePassed",), {"which": "watch", "upkeep": "WAITING"}, SAME, ("cover", "refresh", "page_waiting"), "the exit still has to wait: the stop stays"),
    Row((PROTECTED, PROTECTED_PENDING_FILL), ("DeadlinePassed",), {"which": "watch", "upkeep": "MISALIGNED"}, TIGHTENING, ("converge",), "try the refused tightening again, ever less often"),
    Row((PROTECTED, PROTECTED_PENDING_FILL), ("DeadlinePassed",), {"which": "watch", "upkeep": "SURPLUS"}, RESIZING, ("converge",), "try the refused trimming again"),
    *leave((PROTECTED, PROTECTED_PENDING_FILL, TIGHTENING), ("DeadlinePassed",), "stop_crossed", {"which": "watch", "upkeep": "SHADOW_FIRED"}),
    Row((STOP_TRIGGERED,), ("DeadlinePassed",), {"which": "watch", "ladder": "AGAIN"}, SAME, ("cancel_entry", "refresh", "page_triggered"), "fired, not filled: ask, and call the entry back again"),
    *leave(
        (STOP_TRIGGERED,), ("DeadlinePassed",), "stop_unfilled", {"which": "watch", "ladder": "SPENT"},
        STOP_OUT=(CANCEL_PENDING, ("cancel_rest",), "fired and still not filled: cancel it, then market"),
    ),
    Row((EMERGENCY_PROTECTING,), ("DeadlinePassed",), {"which": "watch", "ladder": "AGAIN"}, SAME, ("cover", "refresh", "alert_unprotected"), "the next attempt"),
    *leave((EMERGENCY_PROTECTING,), ("DeadlinePassed",), "protection_failed", {"which": "watch", "ladder": "SPENT"}),
    *settle((CANCEL_PENDING,), ("DeadlinePassed",), {"which": "watch"}, ("cancel_again", "refresh"), only=_FREE),
    Row((CANCEL_PENDING,), ("DeadlinePassed",), {"which": "watch", "upkeep": _NOT_WAITING, "situation": _STUCK}, SAME, ("cancel_again", "refresh", "page_long"), "no proof of the cancel: ask louder, fabricate nothing (P11)"),
    Row((CANCEL_PENDING,), ("DeadlinePassed",), {"which": "watch", "upkeep": "WAITING", "situation": _STUCK}, SAME, ("cover", "cancel_again", "refresh", "page_long"), "the exit has to wait: what nothing stands for gets a stop meanwhile (P15)"),
    Row(_RESTING, ("DeadlinePassed",), {"which": "watch"}, CANCEL_PENDING, ("cancel_rest",), "its time is up: cancel it, then market (A3)"),
    *leave(
        (MARKET_EXITING,), ("DeadlinePassed",), "", {"which": "watch", "ladder": "AGAIN"}, ("alert_exposure",),
        MARKET_OUT=(SAME, ("cancel_again", "refresh", "page_long"), "no fill in time: look, and pull what still rests (A5, A17)"),
        **dict.fromkeys(_FREE, (SAME, ("exit_market",), "the next attempt")),
    ),
    *leave(
        (MARKET_EXITING,), ("DeadlinePassed",), "", {"which": "watch", "ladder": "SPENT"}, ("page_exposure",),
        MARKET_OUT=(SAME, ("cancel_again", "refresh"), "no fill in time: look, and pull what still rests"),
        **dict.fromkeys(_FREE, (EMERGENCY_PROTECTING, ("cover",), "this rung is spent: put a stop back, page, and come again")),
    ),
    Row((FLATTENING,), ("DeadlinePassed",), {"which": "watch"}, SAME, ("flatten", "refresh", "page_long"), "the reverse is still open"),
    Row((RECONCILING,), ("DeadlinePassed",), {"which": "watch", "ladder": "AGAIN"}, SAME, ("refresh", "page_link"), "still no truth from the venue"),
    Row(
        (RECONCILING,), ("DeadlinePassed",), {"which": "watch", "ladder": "SPENT", "situation": _OPEN_LOTS},
        EMERGENCY_PROTECTING, ("cover", "refresh", "page_link"), "no truth will come in time: what nothing at all stands for gets a stop (A24)",
    ),
    Row(
        (RECONCILING,), ("DeadlinePassed",), {"which": "watch", "ladder": "SPENT", "situation": tuple(x for x in SETTLE if x not in _OPEN_LOTS)},
        SAME, ("refresh", "page_link"), "still no truth from the venue",
    ),
    Row((HALTED,), ("DeadlinePassed",), {"which": "watch"}, SAME, ("cover", "refresh", "page_halted"), "still waiting for a person; what has no proof is asked for"),
    # --- the truth as a whole
    Row(tuple(s for s in LIVE_STATES if s not in (HALTED, RECONCILING)), ("ChannelClosed",), {}, RECONCILING, (), "what was in flight is unknown; venue-side protection stands"),
    Row((RECONCILING, HALTED), ("ChannelClosed",), {}, SAME, (), "known"),
    Row((*LIVE_STATES,), ("TruthStale",), {}, SAME, ("alert_degraded", "refresh"), "noticed, reported, asked for (A22)"),
    Row((*LIVE_STATES,), ("BalanceShort",), {}, SAME, ("alert_balance", "refresh"), "an own order may hold the balance (A25)"),
    Row((*LIVE_STATES,), ("ManualOrderSeen",), {}, SAME, ("alert_manual",), "not ours: never touched (I12)"),
    # --- halted: protection of what exists goes on
    *(
        Row((HALTED,), (*EVIDENCE, "OrderRejected", *SNAPSHOT), {"situation": name}, *SETTLE[name])
        for name in ("FLIPPED", "NEVER", "DONE", "TRIGGERED", *GOING)
        if name != "CLEAR"
    ),
    Row((HALTED,), SNAPSHOT, {"situation": "CLEAR"}, *SETTLE["CLEAR"]),
    Row((HALTED,), (*EVIDENCE, "OrderRejected"), {"situation": "CLEAR"}, MARKET_EXITING, ("refresh",), "what ended may be the exit: look before the next attempt, never in the same event (I14)"),
    Row((HALTED,), (*EVIDENCE, "OrderRejected", *SNAPSHOT), {"situation": "LEFTOVERS"}, SAME, ("cancel_rest",), "flat: nothing may outlive the position"),
    Row((HALTED,), (*EVIDENCE, "OrderRejected", *SNAPSHOT), {"situation": ("SURPLUS", "MISALIGNED")}, SAME, ("converge",), "a halt loosens nothing (X10)"),
    Row((HALTED,), (*_TOLD, "OrderCanceled", *SNAPSHOT), {"situation": _OPEN_LOTS}, SAME, ("cover",), "protection of what exists continues (I16)"),
    Row((HALTED,), ("OrderRejected", "AmendRejected"), {"situation": _OPEN_LOTS}, SAME, (), "the watch makes the next attempt"),
    Row(
        (HALTED,), (*EVIDENCE, "OrderRejected", *SNAPSHOT), {"situation": tuple(x for x in STAYING if x not in ("TRIGGERED", "SURPLUS", "MISALIGNED", *_OPEN_LOTS))},
        SAME, (), "waiting for a person",
    ),
    # --- over: an order of ours that shows itself alive must not outlive its position (P08, P24)
    Row(_ENDS, _ALIVE, {}, SAME, ("cancel_again", "alert_anomaly"), "cancelled each time it is seen; nothing revives the position (I5)"),
)  # fmt: skip

IGNORED: Mapping[str, tuple[str, ...]] = {
    # The sender's word that a frame left is booked (times), and decides nothing.
    # A wish for protection ends a hold and asks for nothing else: what is held is protected in every state.
    ANY: ("OrderSubmitted", "ChannelLive", "ProtectionRequested"),
    ENTRY_PENDING: ("LevelCrossed",),
    CANCEL_PENDING: ("PlanTightened", "TrailDistanceChanged", "MarketModeChanged", "LevelCrossed"),
    TAKE_PROFIT_WORKING: ("PlanTightened", "TrailDistanceChanged", "MarketModeChanged"),
    MAKER_EXITING: ("PlanTightened", "TrailDistanceChanged", "MarketModeChanged"),
    MARKET_EXITING: ("ExitRequested", "PlanTightened", "TrailDistanceChanged", "MarketModeChanged", "LevelCrossed"),
    FLATTENING: ("ExitRequested", "PlanTightened", "TrailDistanceChanged", "MarketModeChanged", "LevelCrossed"),
    RECONCILING: ("PlanTightened", "TrailDistanceChanged", "LevelCrossed"),
    HALTED: ("HaltRequested",),
    # Late words about orders that have ended by evidence change nothing (I5).
    **{
        end: tuple(x for x in FACTS if x not in (*_AFTER_THE_END, "PositionRequested", "PositionAdopted"))
        for end in _ENDS
    },
}  # fmt: skip

ANOMALY: Mapping[str, tuple[str, ...]] = {
    NEW: (ANY,),
    ANY: ("PositionRequested", "PositionAdopted"),
    CLOSED: ("ManualFillSeen", "PositionAdjusted"),
    ABANDONED: ("ManualFillSeen", "PositionAdjusted"),
}

POSITION = Table(
    name="position",
    states=STATES,
    facts=FACTS,
    classifiers=CLASSIFIERS,
    rows=ROWS,
    ignored=IGNORED,
    anomaly=ANOMALY,
    initial=NEW,
)

# --- answers --------------------------------------------------------------------------------------------------------

PROTECT_ATTEMPTS = 3
EXIT_ATTEMPTS = 3
TRIGGER_LOOKS = 2
TRUTH_LOOKS = 2

EXIT_REASON_OF_LEVEL = {"take_profit": "take_profit", "panic": "panic", "hard_take_profit": "hard_take_profit", "stop": "stop_crossed"}


def _situation(position: Position, exiting: bool, reason: str) -> str:
    if position.reverse_lots >= position.min_lots:
        return "FLIPPED"
    open_orders = position.open_orders()
    entries = [o for o in open_orders if o.role == "entry"]
    if not position.is_tradable:
        if entries and not exiting:
            # What the stop was for may have turned out not to be ours.
            return "SURPLUS" if position.tighten_attempts == 0 and trims(position) else _entry_situation(entries)
        if not all(o.is_past for o in open_orders):
            return "LEFTOVERS"
        return "DONE" if position.filled_lots or position.adopted else "NEVER"
    waited = tuple(o for o in open_orders if not o.given_up)
    return _way_out(position, waited, reason) if exiting else _cover_situation(position, waited, entries)


def _entry_situation(entries: list[Any]) -> str:
    if any(o.pending == "cancel" or o.cancel_refused for o in entries):
        return "WITHDRAWING"
    return "WORKING" if any(o.status == LIVE for o in entries) else "SENT"


def _way_out(position: Position, open_orders: tuple[Any, ...], reason: str) -> str:
    if any(o.role in ("exit", "flatten") for o in open_orders):
        return "MARKET_OUT"
    executing = [o for o in open_orders if o.is_triggered]
    if executing and reason != "stop_unfilled":
        return "STOP_OUT" if len(executing) == len(open_orders) else "BLOCKED"
    if is_to_wait(position) and any(o.protects_lots and o.pending != "cancel" for o in open_orders):
        return "WAITING"
    resting = [o for o in open_orders if o.role == "take_profit"]
    if resting:
        if any(o.pending == "cancel" or o.cancel_refused for o in resting):
            return "BLOCKED"
        return "TAKE_PROFIT_OUT" if reason == "take_profit" else "PATIENT_OUT"
    if any(not _is_waited_out(position, o) for o in open_orders) or position.unseen_child_lots >= position.min_lots:
        return "BLOCKED"
    if position.maker_attempts == 0 and position.capabilities.post_only:
        if reason == "take_profit" and position.plan.take_profit_style == "maker":
            return "CLEAR_TAKE_PROFIT"
        if position.patient and position.mark is not None:
            return "CLEAR_PATIENT"
    return "CLEAR"


def is_to_wait(position: Position) -> bool:
    """Return whether an exit has to wait, if a stop stands meanwhile; what may be one is not called back before.

    The venue takes none, or what is held is known by a balance alone: it may be what the owner has paid in, and the entry may
    have no end that can be proven for as long as lists are cut and REST is away. What the venue has stated as executed is no doubt.
    """
    return not position.takes_exits or position.doubtful_lots > 0


def _is_waited_out(position: Position, order: Order) -> bool:
    """Whether an order that is in the way was called back and waited for long enough: an entry.

    Its end may stay without proof for as long as lists are cut and REST is away, and what is held is bare meanwhile. If it fills
    after all, another exit follows; an order that closes could close once more.
    """
    is_late = position.state == CANCEL_PENDING and position.watch_count > 0
    return is_late and order.role == "entry" and not position.doubtful_lots


def _cover_situation(position: Position, open_orders: tuple[Any, ...], entries: list[Any]) -> str:
    stops = [o for o in open_orders if o.role == "stop"]
    if not stops and position.hold_ns:
        return "TAKEN"
    if any(o.is_triggered for o in stops):
        return "TRIGGERED"
    live = sum([o.protects_lots for o in stops])
    missing = position.held_lots - live
    if live <= 0:
        return "BARE"
    if missing >= position.min_lots or (missing > 0 and position.capabilities.amend_in_place and position.tighten_attempts == 0):
        return "SHORT"
    if any(o.pending == "amend" and o.pending_qty_lots is not None for o in stops):
        return "RESIZE_OUT"
    if any(o.pending for o in stops) or is_replacing(position):
        return "AMENDING"
    if position.tighten_attempts == 0:
        if missing < 0 and trims(position):
            return "SURPLUS"
        if misaligned(position):
            return "MISALIGNED"
    if entries:
        return "WITHDRAWING" if _entry_situation(entries) == "WITHDRAWING" else "COVERED_WORKING"
    return "COVERED"


def misaligned(position: Position) -> tuple[Order, ...]:
    """Return the confirmed live stops that are to come nearer, with nothing in flight on them."""
    loose, means, trail = looser(position), means_of(position), position.wanted_trail_offset_bps
    if not loose or means == "amend":
        return loose
    if means == "cancel_create" and not position.takes_exits:
        # What is cancelled now could not be placed again.
        return ()
    replaced = sum(o.protects_lots for o in position.orders) - sum(o.protects_lots for o in loose)
    if is_replacing(position) or (means == "place_then_cancel" and replaced >= position.held_lots):
        # The better stop is on its way, or rests already: then the old one is a surplus.
        return ()
    return tuple(o for o in loose if o.order_type != "trailing-stop" or is_better_anew(position, o, trail or 0))


def looser(position: Position) -> tuple[Order, ...]:
    """Return the confirmed live stops that are looser than what is wanted, with nothing in flight on them."""
    sign, stop = position.side.sign, position.wanted_stop_ticks
    out = []
    for order in position.orders:
        if order.role != "stop" or order.status != LIVE or order.pending:
            continue
        if order.order_type == "trailing-stop":
            trail = wanted_trail_of(position, order)
            is_loose = trail is not None and (order.trail_offset_bps or trail) > trail
        else:
            is_loose = stop is not None and order.trigger_ticks is not None and (stop - order.trigger_ticks) * sign > 0
        if is_loose:
            out.append(order)
    return tuple(out)


def trims(position: Position) -> tuple[tuple[Order, int], ...]:
    """Return what each stop beyond what is held is to become: its new total in lots, 0 for none."""
    surplus = sum(o.protects_lots for o in position.orders) - position.held_lots - _ahead_lots(position)
    if surplus <= 0:
        return ()
    loose = looser(position)
    # First what was replaced by a better one, then the newest.
    free = [o for o in (*loose, *(o for o in reversed(position.orders) if o not in loose)) if o.protects_lots and not o.pending]
    out: list[tuple[Order, int]] = []
    for order in free:
        lots = order.protects_lots
        if position.capabilities.amend_in_place and lots - surplus >= position.min_lots:
            out.append((order, order.qty_lots - surplus))
            break
        if lots <= surplus:
            out.append((order, 0))
            surplus -= lots
        if not surplus:
            break
    if not out and free and not is_guaranteed(position) and position.takes_exits:
        # None can be made smaller: the smallest goes, and what it leaves bare is covered anew.
        out.append((min(free, key=lambda o: o.protects_lots), 0))
    return tuple(out)


def _ahead_lots(position: Position) -> int:
    """Return the lots of attached stops that were told before the executions which they protect (A18): no surplus while those may come."""
    if not (position.plan.attach_stop and position.capabilities.attached_stop) or not position.open_orders("entry"):
        return 0
    entered = position.unheard_lots + sum(o.filled_lots for o in position.orders if o.role == "entry")
    return max(0, sum(o.qty_lots for o in position.orders if o.role == "stop") - entered)


def exit_reason_of(position: Position, fact: f.AnyFact) -> str:
    """Return the reason to leave that a fact gives by itself, "" if none."""
    if isinstance(fact, f.ExitRequested):
        return fact.reason
    if isinstance(fact, f.PositionAdopted):
        return "reversed" if fact.reverses is True else ""
    if isinstance(fact, f.LevelCrossed):
        return EXIT_REASON_OF_LEVEL.get(fact.level, "")
    return ""


def _which(position: Position, fact: Any) -> str:
    return str(fact.which)


def _signal(position: Position, fact: Any) -> str:
    if not position.is_fresh(fact.mark) or not fact.mark.px.is_finite() or fact.mark.px <= 0:
        return "STALE"
    if fact.level == "first_price":
        return "PRICED"
    if fact.level in ("tighten", "activation"):
        return "TIGHTEN"
    return "SHADOW" if fact.level == "stop" and _is_due_at_venue(position, fact.mark.px) else "EXIT"


def _is_due_at_venue(position: Position, px: Decimal) -> bool:
    """Whether a stop that rests at the venue should fire at a price at which ours is crossed.

    Not where its kind does not rest there (A2): the floor of a position whose trail protects it, the trail of one that was entered with
    a static stop. An engine-kept trail is exact, the stop at the venue follows it in steps: it is not waited for.
    """
    if position.plan.trail_style != "native":
        return False
    stops = [o for o in position.orders if o.protects_lots]
    sign, ticks, floor = position.side.sign, position.instrument.floor_ticks(px), position.wanted_stop_ticks
    crosses_floor = floor is not None and (ticks - floor) * sign <= 0
    if not crosses_floor:
        # A trail that the venue cannot keep is a static stop there, with its first level.
        return any(o.order_type == "trailing-stop" for o in stops)
    reached = [o.effective_stop_ticks for o in stops if o.order_type == "trailing-stop" and o.effective_stop_ticks is not None]
    return any(o.order_type == "stop-loss" for o in stops) or any((ticks - level) * sign <= 0 for level in reached)


def _urgency(position: Position, fact: Any) -> str:
    return "PATIENT" if fact.patient else "URGENT"


def _refusal(position: Position, fact: Any) -> str:
    order = position.order(fact.client_order_id, fact.venue_order_id)
    if order is None or order.role != "stop":
        return "OTHER"
    is_bare = position.is_tradable and not position.exit_reason and not any(o.protects_lots for o in position.orders)
    if is_bare and fact.reject_class == "through_market":
        return "THROUGH_MARKET"
    if is_bare and position.protect_attempts >= PROTECT_ATTEMPTS and position.state != EMERGENCY_PROTECTING:
        return "SPENT"
    return "FUNDS" if fact.reject_class == "funds" else "OTHER"


def _ended(position: Position, fact: Any) -> str:
    if position.state != STOP_TRIGGERED or _situation(position, False, "") != "BARE":
        return "OTHER"
    if position.exit_reason:
        is_refused = position.exit_attempts > 0 and position.exit_attempts % EXIT_ATTEMPTS == 0
        return "SPENT" if is_refused and _situation(position, True, position.exit_reason) in _FREE else "OTHER"
    return "FIRED" if _situation(position, True, "stop_unfilled") == "CLEAR" else "OTHER"


def _ignition(position: Position, fact: Any) -> str:
    waits = position.plan.strategy == "ignition" and position.is_tradable and not position.is_trail_active and not position.exit_reason
    return "OUT" if waits and position.mode in ("quiet", "compression") else "STAY"


def _ladder(position: Position, fact: Any) -> str:
    if position.state == RECONCILING:
        return "SPENT" if position.watch_count >= TRUTH_LOOKS else "AGAIN"
    if position.state == STOP_TRIGGERED:
        # Called back in a market that takes nothing, it would leave nothing at the venue: it fills when that opens (X16).
        return "SPENT" if position.watch_count >= TRIGGER_LOOKS and position.takes_exits else "AGAIN"
    if position.state == EMERGENCY_PROTECTING:
        if position.exit_reason and isinstance(fact, f.OrderRejected):
            # The exit was refused and the stop is too: at once again would be a storm of both (I14). The watch comes again.
            return "AGAIN"
        if position.is_away(fact.ts_recv_ns) and not position.exit_reason:
            return "AGAIN"
        spent = bool(position.exit_reason) or position.protect_attempts >= PROTECT_ATTEMPTS or position.watch_count > PROTECT_ATTEMPTS
        return "SPENT" if spent else "AGAIN"
    return "SPENT" if position.exit_attempts and position.exit_attempts % EXIT_ATTEMPTS == 0 else "AGAIN"


def _upkeep(position: Position, fact: Any) -> str:
    if position.exit_reason and is_to_wait(position):
        return "WAITING"
    if position.shadow_ns and fact.ts_recv_ns - position.shadow_ns >= position.plan.timing.trigger_timeout_ms * 1_000_000:
        return "SHADOW_FIRED"
    if misaligned(position):
        return "MISALIGNED"
    return "SURPLUS" if trims(position) else "FINE"


def _adoption(position: Position, fact: Any) -> str:
    return "REVERSE" if fact.reverses is True else "KEPT"


def _market(position: Position, fact: Any) -> str:
    return "OPEN" if position.takes_exits else "SHUT"


def _tightenable(position: Position, fact: Any) -> str:
    return "YES" if misaligned(position) else "NO"


def _situation_answer(position: Position, fact: Any) -> str:
    answer = _situation(position, bool(position.exit_reason), position.exit_reason)
    # The cancel of an urgent exit may be lost with its link: what still rests is in the way, and is cancelled again (P11).
    is_urgent = not position.patient or position.exit_reason in EXIT_REASON_OF_LEVEL.values()
    return "BLOCKED" if answer == "PATIENT_OUT" and is_urgent else answer


def _way_out_answer(position: Position, fact: Any) -> str:
    return _situation(position, True, exit_reason_of(position, fact) or position.exit_reason)


ANSWERS: Mapping[str, Callable[[Position, Any], str]] = {
    "which": _which,
    "signal": _signal,
    "urgency": _urgency,
    "refusal": _refusal,
    "ended": _ended,
    "ignition": _ignition,
    "ladder": _ladder,
    "upkeep": _upkeep,
    "adoption": _adoption,
    "market": _market,
    "tightenable": _tightenable,
    "situation": _situation_answer,
    "way_out": _way_out_answer,
}


def answers(position: Position, fact: f.AnyFact, dimensions: Iterable[str]) -> tuple[str, ...]:
    """Return the classifiers' answers for a booked position, in the order of `dimensions`."""
    return tuple([ANSWERS[name](position, fact) for name in dimensions])
