"""The stored event: the fact, the state it led to, and the commands that left (contract 3).

`evolve` applies `to` and `order_to` as stored and never asks a table again: next year's table cannot rewrite last year's
history. `row` names the table row that fired, for `why` and `verify`.
"""

from typing import TypeVar

import msgspec

from .commands import AnyCommand
from .errors import BadInput
from .facts import AnyFact

SCHEMA = "holdfast-event.1"

T = TypeVar("T")


class PositionEvent(msgspec.Struct, frozen=True, kw_only=True, tag="position_event.1"):
    """One step of one position.

    `version` counts from 1 without gaps. `to` is the position's state after it. `order_to` is the new status of the order
    that the fact names, "" if it names none. `guards` are the classifiers' answers that chose the row, for audit.
    `exit_reason` is set on the event that decided to leave the position, "" on all others.
    """

    position_id: str
    version: int
    fact: AnyFact
    to: str
    commands: tuple[AnyCommand, ...] = ()
    order_to: str = ""
    row: str = ""
    guards: tuple[str, ...] = ()
    exit_reason: str = ""


_encoder = msgspec.json.Encoder(order="deterministic")
_event_decoder = msgspec.json.Decoder(PositionEvent)
_fact_decoder: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)
_command_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def bytes_from(value: PositionEvent | AnyFact | AnyCommand) -> bytes:
    """Return the canonical JSON bytes: the same value gives the same bytes on every machine."""
    return _encoder.encode(value)


def event_from(data: bytes) -> PositionEvent:
    """Decode a stored event. Raises BadInput if the bytes are not one of ours."""
    return _decoded(_event_decoder, data, "stored event")


def fact_from(data: bytes) -> AnyFact:
    """Decode a fact. Raises BadInput if the bytes are not one of ours."""
    return _decoded(_fact_decoder, data, "fact")


def command_from(data: bytes) -> AnyCommand:
    """Decode a command. Raises BadInput if the bytes are not one of ours."""
    return _decoded(_command_decoder, data, "command")


def _decoded(decoder: "msgspec.json.Decoder[T]", data: bytes, place: str) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadInput(place, str(problem), "read it with the version that wrote it") from None
