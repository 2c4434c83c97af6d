"""Finds a position or an event by what a person types for it."""

from collections.abc import Sequence
from typing import NamedTuple

from events.commands import SubmitOrder
from events.errors import NotFound, Usage
from events.facts import ChildDiscovered
from events.ids import CLIENT_ORDER_ID_LENGTH, NAMESPACE_LENGTH, POSITION_ID_LENGTH
from events.record import PositionEvent
from events.store import Store

# Names that are listed where a short id fits more than one.
_LISTED = 4


def position_named(store: Store, text: str) -> list[PositionEvent]:
    """Return all events of the position that `text` names: its id, its number (leading zeros left out), or how its id ends.

    Raises:
        NotFound: there is none.
        Usage: several ids end so.
    """
    name = text.strip().lower()
    if len(name) == POSITION_ID_LENGTH and (events := store.events_of(name)):
        return events
    found = _matching(store.position_ids(), name) if name else []
    if not found:
        raise NotFound("position", text, f"`holdfast positions` lists those of {store.name}")
    if len(found) > 1:
        some = ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")
        raise Usage("position", f"{text!r} may be {some}", "write more of the id")
    return store.events_of(found[0])


def _matching(ids: Sequence[str], name: str) -> list[str]:
    number = name.lstrip("0")
    return [i for i in ids if i[NAMESPACE_LENGTH:].lstrip("0") == number] or [i for i in ids if i.endswith(name)]


class Found(NamedTuple):
    """All events of a position, and at which index the one stands that is meant."""

    events: list[PositionEvent]
    at: int


def event_named(store: Store, text: str) -> Found:
    """Return the event that `text` names.

    `POSITION:VERSION`; or a client order id, which means the event whose command made the order (or found it); or a position
    alone, which means the last event that changed its state.

    Raises:
        NotFound: there is no such position, version or order.
        Usage: it is none of the three, or a short position id fits several.
    """
    place, colon, version = text.strip().rpartition(":")
    if colon:
        if not (version.isascii() and version.isdigit()):
            raise Usage("event", f"{text!r} ends in no version", "write POSITION:VERSION, for example hf000001:4")
        events = position_named(store, place)
        if not 1 <= int(version) <= len(events):
            raise NotFound("event", text, f"{events[0].position_id} has the versions 1 to {len(events)}")
        return Found(events, int(version) - 1)
    name = text.strip().lower()
    if len(name) >= CLIENT_ORDER_ID_LENGTH:
        return _of_order(store, name, text)
    events = position_named(store, text)
    return Found(events, last_change(events))


def last_change(events: Sequence[PositionEvent]) -> int:
    """Return the index of the last event that changed the position's state, 0 for the first event."""
    return next((i for i in range(len(events) - 1, 0, -1) if events[i].to != events[i - 1].to), 0)


def _of_order(store: Store, name: str, text: str) -> Found:
    events = store.events_of(name[:POSITION_ID_LENGTH])
    for index, event in enumerate(events):
        if makes(event, name):
            return Found(events, index)
    remedy = f"`holdfast orders {name[:POSITION_ID_LENGTH]}` lists those of its position" if events else "`holdfast orders` lists them"
    raise NotFound("order", text, remedy)


def makes(event: PositionEvent, client_order_id: str) -> bool:
    """Whether an order begins with this event: by its command, or because it was found at the venue."""
    if isinstance(event.fact, ChildDiscovered) and event.fact.client_order_id == client_order_id:
        return True
    return any(isinstance(x, SubmitOrder) and x.client_order_id == client_order_id for x in event.commands)
