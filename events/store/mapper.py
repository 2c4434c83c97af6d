"""Turn a `PositionEvent` into a stored row and back: eventsourcing's mapper, with our bytes and our short topics.

A row is (uuid5 of the position id, version, `position_event.1`, canonical JSON). The topic is a name with a version, never an
import path, so that moving a class does not orphan a log. A row whose key and content disagree is refused: it was not
written by this mapper.
"""

from functools import lru_cache
from uuid import UUID, uuid5

import msgspec
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from ..errors import Tampered, UnknownSchema
from ..record import PositionEvent, bytes_from, event_from

TOPIC = "position_event.1"

# Fixed for ever: it is part of every stored row. uuid5(NAMESPACE_URL, "https://holdfast.example/position").
POSITION_NAMESPACE = UUID("906415ec-6404-52bc-8521-9d9a401226c8")


@lru_cache(maxsize=65_536)
def originator_id_from(position_id: str) -> UUID:
    """Return the aggregate id of a position: always the same UUID for the same id."""
    return uuid5(POSITION_NAMESPACE, position_id)


class EventMapper(Mapper[UUID]):
    """Maps `PositionEvent`s. No compressor and no cipher: a stored event stays readable with text tools."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    # A PositionEvent is a plain Struct and not one of eventsourcing's event classes, which is why this mapper exists.
    def to_stored_event(self, domain_event: PositionEvent) -> StoredEvent:  # type: ignore[override]
        """Return the row of an event."""
        return StoredEvent(originator_id_from(domain_event.position_id), domain_event.version, TOPIC, bytes_from(domain_event))

    def to_domain_event(self, stored_event: StoredEvent) -> PositionEvent:  # type: ignore[override]
        """Return the event of a row.

        Raises:
            UnknownSchema: the row's topic is not ours.
            BadInput: its bytes do not decode.
            Tampered: its bytes are another event than its key says.
        """
        event = event_from_row(stored_event.topic, stored_event.state)
        if event.version != stored_event.originator_version or originator_id_from(event.position_id) != stored_event.originator_id:
            raise Tampered(
                f"stored event {stored_event.originator_id} version {stored_event.originator_version}",
                f"holds position {event.position_id} version {event.version}",
            )
        return event


# Called once for each event of a log: the fewer calls below it, the better.
_decode = msgspec.json.Decoder(PositionEvent).decode


def event_from_row(topic: str, state: bytes) -> PositionEvent:
    """Return the event of a row's topic and bytes. Raises UnknownSchema or BadInput."""
    if topic != TOPIC:
        raise UnknownSchema("stored event", topic, TOPIC)
    try:
        return _decode(state)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return event_from(state)  # raises with the words of the record
