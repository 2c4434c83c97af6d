"""What a person, a strategy or the process itself asks of the engine: the inputs that no venue sends. Recorded like frames."""

from decimal import Decimal
from typing import Literal

import msgspec

from events.errors import BadInput
from events.facts import ExitReason, Plan
from events.values import PositionSide
from fsm.bars import Bar


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Open a position. The id and the store's epoch come from the process; the plan is checked against the instrument."""

    position_id: str
    epoch: int
    plan: Plan


class AdoptExposure(msgspec.Struct, frozen=True, kw_only=True, tag="adopt"):
    """Take exposure over that came to life behind the end of position `of` (A8): `qty` on `side`, executed at `px`.

    `reverses`: it was closed twice, and what that opened is to be closed at once (P24).
    """

    position_id: str
    epoch: int
    of: str
    side: PositionSide
    qty: Decimal
    px: Decimal | None
    reverses: bool = False


class ExitPosition(msgspec.Struct, frozen=True, kw_only=True, tag="exit"):
    """Close a position; `patient` lets it rest first."""

    position_id: str
    reason: ExitReason
    patient: bool = False


class ExitAll(msgspec.Struct, frozen=True, kw_only=True, tag="exit_all"):
    """Close every position that lives, each at once and for itself; of one that must wait for something a person is told (X10)."""

    reason: ExitReason


class TightenPosition(msgspec.Struct, frozen=True, kw_only=True, tag="tighten"):
    """Bring a position's stop nearer: a trail by its distance, a static stop by its price."""

    position_id: str
    trail_offset_bps: int | None = None
    stop_price: Decimal | None = None


class HaltPosition(msgspec.Struct, frozen=True, kw_only=True, tag="halt"):
    """Stop automatic trading of a position; its protection goes on (I16)."""

    position_id: str
    reason: str


class ProtectPosition(msgspec.Struct, frozen=True, kw_only=True, tag="protect"):
    """Put the stop back at once that the account's owner has taken away again: the answer to `STOP_CANCELLED_AGAIN` (P19)."""

    position_id: str
    reason: str


class Restarted(msgspec.Struct, frozen=True, kw_only=True, tag="restarted"):
    """The process has begun with the store's `epoch`: what was in flight before is unknown."""

    epoch: int


class EntriesHalted(msgspec.Struct, frozen=True, kw_only=True, tag="entries_halted"):
    """No entry may leave (store failed, venue not online); protection and exits go on (I16)."""

    reason: str


class EntriesResumed(msgspec.Struct, frozen=True, kw_only=True, tag="entries_resumed"):
    """Entries may leave again."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag="sent"):
    """What the sender did with an order command: handed to the socket, or (`ok` false) never left."""

    client_order_id: str
    operation: Literal["submit", "amend", "cancel"]
    ok: bool


class Link(msgspec.Struct, frozen=True, kw_only=True, tag="link"):
    """A channel's link changed. `asked`: a fresh snapshot was asked for."""

    state: Literal["connecting", "open", "asked", "closed"]
    code: int = 0
    reason: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What came of a question beside the stream: the venue's text, or the `problem` that there is none."""

    number: int
    asked_ns: int
    text: str = ""
    problem: str = ""


class BarsRecalled(msgspec.Struct, frozen=True, kw_only=True, tag="bars"):
    """Whole bars of `interval_ns` that an earlier life of the process has made of the venue's trades, in ticks of `price_increment` (A12).

    `source` says in which session those trades are recorded.
    """

    symbol: str
    price_increment: Decimal
    interval_ns: int
    bars: tuple[Bar, ...]
    source: str


Wish = ExitPosition | TightenPosition | HaltPosition | ProtectPosition
Intent = OpenPosition | AdoptExposure | Wish | ExitAll | Restarted | BarsRecalled | EntriesHalted | EntriesResumed

_encoder = msgspec.json.Encoder(order="deterministic")
_intents: msgspec.json.Decoder[Intent] = msgspec.json.Decoder(Intent)
_sent = msgspec.json.Decoder(Sent)
_link = msgspec.json.Decoder(Link)
_answer = msgspec.json.Decoder(Answer)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def payload_from(value: Intent | Sent | Link | Answer) -> bytes:
    """Return the canonical JSON of an input."""
    return _encoder.encode(value)


def intent_from(data: bytes) -> Intent:
    """Decode an intent. Raises BadInput."""
    try:
        return _intents.decode(data)
    except _UNREADABLE as problem:
        raise BadInput("intent", str(problem), "see docs/session-format.md for its shape") from None


def sent_from(data: bytes) -> Sent:
    """Decode a sender's word. Raises BadInput."""
    try:
        return _sent.decode(data)
    except _UNREADABLE as problem:
        raise BadInput("sent record", str(problem), "read the session with the version that wrote it") from None


def link_from(data: bytes) -> Link:
    """Decode a link record. Raises BadInput."""
    try:
        return _link.decode(data)
    except _UNREADABLE as problem:
        raise BadInput("link record", str(problem), "read the session with the version that wrote it") from None


def answer_from(data: bytes) -> Answer:
    """Decode an answer. Raises BadInput."""
    try:
        return _answer.decode(data)
    except _UNREADABLE as problem:
        raise BadInput("answer record", str(problem), "read the session with the version that wrote it") from None
