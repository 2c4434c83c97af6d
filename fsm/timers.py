"""Which clocks run in a position: the entry's, the position's, each state's own watch, and one per unanswered request.

Derived from the position, never stored beside it: after a restart the same events give the same deadlines.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Literal

import msgspec

from events.facts import Timing

from . import position as s
from .coverage import unprotected_lots
from .model import Position
from .order import END_STATUSES, ENDED, SUBMITTED

MS = 1_000_000
SECOND = 1_000_000_000
# A time stop of 0 is a misconfiguration; the mission (A6) uses a minute and says so.
MISCONFIGURED_TIME_STOP_SECS = 60
# How often the pause between two rungs of refused exits doubles: from 2 s to 32 s.
LONGEST_PAUSE = 4

WATCH: Mapping[str, str] = {
    s.ENTRY_PENDING: "ack_timeout_ms",
    s.PROTECTED_PENDING_FILL: "audit_interval_ms",
    s.ENTRY_CANCEL_PENDING: "cancel_timeout_ms",
    s.PROTECTION_PENDING: "protect_timeout_ms",
    s.PROTECTED: "audit_interval_ms",
    s.RESIZING: "protect_timeout_ms",
    s.TIGHTENING: "amend_timeout_ms",
    s.STOP_TRIGGERED: "trigger_timeout_ms",
    s.EMERGENCY_PROTECTING: "protect_timeout_ms",
    s.AWAITING_OWNER: "page_interval_ms",
    s.CANCEL_PENDING: "cancel_timeout_ms",
    s.TAKE_PROFIT_WORKING: "take_profit_timeout_ms",
    s.MAKER_EXITING: "maker_exit_timeout_ms",
    s.MARKET_EXITING: "market_fill_timeout_ms",
    s.FLATTENING: "market_fill_timeout_ms",
    s.RECONCILING: "reconcile_timeout_ms",
    s.HALTED: "page_interval_ms",
}


class Deadline(msgspec.Struct, frozen=True, order=True):
    """A clock that runs out at `at_ns`. `which` names it; for "ack" it is the request on `client_order_id`."""

    at_ns: int
    which: Literal["entry", "time_stop", "watch", "ack"]
    client_order_id: str = ""
    operation: Literal["submit", "amend", "cancel"] = "submit"


def deadlines(position: Position) -> tuple[Deadline, ...]:
    """Return every clock that runs in a position, earliest first. None runs in an end state."""
    return tuple(sorted(_running(position)))


def first_deadline(position: Position) -> Deadline | None:
    """Return the clock that runs out first, None in an end state."""
    running = _running(position)
    return running[0] if len(running) == 1 else min(running, default=None)


def _running(position: Position) -> list[Deadline]:
    if position.state not in WATCH:
        return []
    out = [Deadline(watch_at_ns(position), "watch")]
    for order in position.orders:
        if order.status in END_STATUSES:
            continue
        if order.role == "entry" and order.status != ENDED and order.pending != "cancel" and not order.cancel_refused:
            out.append(Deadline(_entry_at_ns(position), "entry"))
        if order.status == SUBMITTED:
            asked_ns = max(order.sent_ns, order.decided_ns)
            out.append(Deadline(asked_ns + position.plan.timing.ack_timeout_ms * MS, "ack", order.client_order_id))
        elif order.pending:
            out.append(Deadline(order.pending_ns + position.plan.timing.ack_timeout_ms * MS, "ack", order.client_order_id, order.pending))
    if position.plan.time_stop_secs is not None and position.opened_ns and not position.exit_reason and not position.time_stop_passed:
        secs = position.plan.time_stop_secs or MISCONFIGURED_TIME_STOP_SECS
        out.append(Deadline(position.opened_ns + secs * SECOND, "time_stop"))
    return out


def _entry_at_ns(position: Position) -> int:
    # A cancel whose answer was lost is asked for again; each deadline lies after the one that fired before it.
    if position.entry_expired_ns:
        return position.entry_expired_ns + position.plan.timing.cancel_timeout_ms * MS
    return position.requested_ns + position.plan.timing.entry_ttl_ms * MS


_LIMIT_OF = {state: attrgetter(name) for state, name in WATCH.items()}


def watch_at_ns(position: Position) -> int:
    """Return when the state's own clock runs out; sooner while the venue's stop is due, later after each refused tightening."""
    timing: Timing = position.plan.timing
    if position.shadow_ns and position.takes_exits and position.state in (s.PROTECTED, s.PROTECTED_PENDING_FILL, s.TIGHTENING):
        return max(position.shadow_ns, position.watch_ns) + timing.trigger_timeout_ms * MS
    if position.tighten_attempts and position.state in (s.PROTECTED, s.PROTECTED_PENDING_FILL):
        return position.watch_ns + (timing.amend_timeout_ms << min(position.tighten_attempts, 6)) * MS
    if position.state in (s.TAKE_PROFIT_WORKING, s.MAKER_EXITING):
        # A resting exit leaves the position uncovered: its time counts from its own sending, not from the last reconnect (A23).
        resting = [order.decided_ns for order in position.open_orders("take_profit")]
        return max(position.watch_ns if position.watch_count else 0, min(resting, default=position.watch_ns)) + int(
            _LIMIT_OF[position.state](timing)
        ) * MS
    if position.state == s.EMERGENCY_PROTECTING and position.exit_reason:
        # Exits were refused, a rung at a time: the venue is asked ever less often, but never not at all (I14).
        rungs = min(max(position.exit_attempts // s.EXIT_ATTEMPTS - 1, 0), LONGEST_PAUSE)
        return position.watch_ns + (timing.protect_timeout_ms << rungs) * MS
    if position.state == s.AWAITING_OWNER:
        # A hold counts from the owner's deed, not from the last reconnect or restart.
        return position.hold_ends_ns
    if position.state == s.HALTED and unprotected_lots(position):
        return position.watch_ns + timing.protect_timeout_ms * MS
    return position.watch_ns + int(_LIMIT_OF[position.state](timing)) * MS
