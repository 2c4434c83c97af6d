"""Which event of a position led to which: the chain behind a decision, from the record alone.

    a fact about an order       the command that the venue answers: its amend or cancel, else what sent the order
    a watch that ran out        the event that started it: the last change of state, attempt or watch before
    another clock, a level      the request (the entry's time), the first fill (time stop, levels), the order's last amend
    a snapshot                  what it lacked, else the event that asked for it or lost the channel; none for a routine look
    a wish, the link, the hand  nothing before it: somebody or something outside

A cause is an event before the one that it led to; so every chain ends.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from events import commands as c
from events import facts as f
from events.record import PositionEvent

from .find import makes

MOST = 12
Test = Callable[[PositionEvent], bool]


class Cause(NamedTuple):
    """At which index the event stands that led to another one, and how, as a half sentence."""

    at: int
    how: str


def chain_of(events: Sequence[PositionEvent], index: int) -> list[Cause]:
    """Return what led to event `index` of a position, nearest first, at most `MOST` steps."""
    chain: list[Cause] = []
    while len(chain) < MOST and (cause := cause_of(events, index)) is not None:
        chain.append(cause)
        index = cause.at
    return chain


def cause_of(events: Sequence[PositionEvent], index: int) -> Cause | None:
    """Return the event that led to event `index`, None where it came from outside."""
    fact = events[index].fact
    if isinstance(fact, f.OrderFact):
        return _of_order(events, index, fact)
    if isinstance(fact, f.DeadlinePassed):
        return _of_clock(events, index, fact.which)
    by_trail = isinstance(fact, f.PlanTightened) and fact.by_trail
    if by_trail or isinstance(fact, f.LevelCrossed | f.TrailDistanceChanged | f.MarketModeChanged):
        return _first(events, index, "opened the position", _opens) or _first(events, index, "asked for it", _is_birth)
    if isinstance(fact, f.SnapshotDiffered):
        missed = _last(events, index, "was what differed", lambda e: _is_missed(e, fact.asked_ns))
        return missed or _of_truth(events, index)
    if isinstance(fact, f.SnapshotAgreed | f.ChannelLive):
        return _of_truth(events, index)
    return None


def _of_order(events: Sequence[PositionEvent], index: int, fact: f.OrderFact) -> Cause | None:
    name = fact.client_order_id or _client_id(events, fact.venue_order_id)
    operation = _operation(fact)
    if operation == "amend":
        amended = _last(events, index, "sent the amend", lambda e: _mutates(e, name, c.AmendOrder))
        if amended is not None:
            return amended
    if operation == "cancel":
        cancelled = _last(events, index, "sent the cancel", lambda e: _mutates(e, name, c.CancelOrder))
        if cancelled is not None:
            return cancelled
    if isinstance(fact, f.ChildDiscovered) and fact.parent_venue_order_id:
        parent = fact.parent_venue_order_id
        return _last(events, index, "filled the order that it hangs on", lambda e: _fills(e, parent))
    if isinstance(fact, f.OrderTriggered | f.StopReported):
        last = _last(events, index, "moved the stop", lambda e: isinstance(e.fact, f.OrderAmended) and e.fact.client_order_id == name)
        if last is not None:
            return last
    return _last(events, index, "sent the order", lambda e: makes(e, name))


def _operation(fact: f.OrderFact) -> str:
    if isinstance(fact, f.OutcomeUnknown | f.OrderNotSent):
        return fact.operation
    if isinstance(fact, f.AmendRejected) or (isinstance(fact, f.OrderAmended) and not fact.by_venue):
        return "amend"
    return "cancel" if isinstance(fact, f.OrderCanceled | f.CancelRejected) else "submit"


def _of_clock(events: Sequence[PositionEvent], index: int, which: f.DeadlineKind) -> Cause | None:
    if which == "entry":
        return _first(events, index, "asked for the entry", _is_birth)
    if which == "time_stop":
        return _first(events, index, "opened the position", _opens)
    for before in range(index - 1, -1, -1):
        event = events[before]
        moved = before == 0 or event.to != events[before - 1].to
        watched = isinstance(event.fact, f.DeadlinePassed) and event.fact.which == "watch"
        if moved or watched or any(isinstance(x, c.SubmitOrder) for x in event.commands):
            return Cause(before, "started the watch")
    return None


def _of_truth(events: Sequence[PositionEvent], index: int) -> Cause | None:
    """Return what made the engine look; None for its routine look, which comes of no event."""
    for before in range(index - 1, -1, -1):
        event = events[before]
        if isinstance(event.fact, f.SnapshotAgreed | f.SnapshotDiffered):
            return None
        if isinstance(event.fact, f.ChannelClosed):
            return Cause(before, "lost the truth")
        if any(isinstance(x, c.RefreshTruth) for x in event.commands):
            return Cause(before, "asked for the truth")
    return None


def _first(events: Sequence[PositionEvent], index: int, how: str, test: Test) -> Cause | None:
    return next((Cause(i, how) for i in range(index) if test(events[i])), None)


def _last(events: Sequence[PositionEvent], index: int, how: str, test: Test) -> Cause | None:
    return next((Cause(i, how) for i in range(index - 1, -1, -1) if test(events[i])), None)


def _client_id(events: Sequence[PositionEvent], venue_order_id: str) -> str:
    known = (e.fact for e in events if isinstance(e.fact, f.OrderFact))
    return next((x.client_order_id for x in known if venue_order_id and x.venue_order_id == venue_order_id and x.client_order_id), "")


def _mutates(event: PositionEvent, name: str, kind: type[c.AmendOrder] | type[c.CancelOrder]) -> bool:
    return any(isinstance(x, kind) and x.client_order_id == name for x in event.commands)


def _fills(event: PositionEvent, venue_order_id: str) -> bool:
    return isinstance(event.fact, f.OrderFilled) and event.fact.venue_order_id == venue_order_id


def _is_missed(event: PositionEvent, asked_ns: int) -> bool:
    return isinstance(event.fact, f.OrderNotFound) and event.fact.asked_ns == asked_ns


def _is_birth(event: PositionEvent) -> bool:
    return isinstance(event.fact, f.PositionRequested | f.PositionAdopted)


def _opens(event: PositionEvent) -> bool:
    return isinstance(event.fact, f.OrderFilled | f.PositionAdopted)
