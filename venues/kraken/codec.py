"""Frames of Kraken WebSocket v2, read. Pure; knows shapes, not meaning (`translate` knows meaning).

Size and depth are limited first, then a small header is decoded, then the body that it names, by msgspec Structs
that ignore unknown fields. Numbers come as the text that was sent (a JSON integer as int, anything else as its lexeme,
quoted or not), and `number` turns one into an exact Decimal when it is needed: nothing is converted that nobody asks for,
and a nonsense in a field that nobody uses harms nothing. What has another type than its field is left to `fitting`.
"""

import re
from array import array
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeVar, get_args

import msgspec

from events.errors import BadInput, NotFinite
from events.values import decimal_from

from ..messages import RefusalCode

# The largest frame is the instrument snapshot (about 1,400 pairs and 700 assets, 0.6 MB); the deepest has 6 levels.
MAX_FRAME_CHARS = 2 * 1024 * 1024
MAX_CONTAINERS = 20_000
MAX_DEPTH = 32
MAX_NUMBER_CHARS = 64
# What is odd in one frame is told this often; more of it adds nothing to the frame itself, which comes with it.
ODDITIES_KEPT = 16

T = TypeVar("T")


class Unreadable(BadInput):
    """A frame that does not decode. `code` sorts it, `problem` says what is wrong."""

    def __init__(self, code: RefusalCode, problem: str) -> None:
        self.code: RefusalCode = code
        super().__init__("frame", problem, "keep it as it came and fetch the truth again")


# --- shapes ---------------------------------------------------------------------------------------------------------


class Header(msgspec.Struct, frozen=True):
    """The fields that tell what a frame is. Any value is possible in each."""

    channel: Any = None
    method: Any = None
    success: Any = None
    error: Any = None
    params: Any = None


class Triggers(msgspec.Struct, frozen=True, gc=False):
    """Trigger block of a stop: configured `price` (of `price_type`), and what the venue makes of it now."""

    price: Any = None
    price_type: str | None = None
    actual_price: Any = None
    peak_price: Any = None
    last_price: Any = None
    status: str | None = None
    reference: str | None = None


class FeeEntry(msgspec.Struct, frozen=True, gc=False):
    asset: str
    qty: Any


class ExecEntry(msgspec.Struct, frozen=True, gc=False):
    """One element of an executions frame. Sparse: later ones carry the order id and what changed (K6)."""

    order_id: str = ""
    exec_type: str = ""
    order_status: str = ""
    cl_ord_id: str | None = None
    order_userref: int | None = None
    symbol: str | None = None
    side: str | None = None
    order_type: str | None = None
    order_qty: Any = None
    limit_price: Any = None
    stop_price: Any = None
    triggers: Triggers | None = None
    cum_qty: Any = None
    exec_id: str | None = None
    last_qty: Any = None
    last_price: Any = None
    liquidity_ind: str | None = None
    fees: list[FeeEntry] | None = None
    reason: str | None = None
    cancel_reason: str | None = None
    ord_ref_id: str | None = None
    margin: bool | None = None
    ratecount: Any = None
    timestamp: str | None = None


class TickerEntry(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    bid: Any
    ask: Any
    last: Any
    timestamp: str | None = None


class TradeEntry(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    price: Any
    qty: Any
    trade_id: int | str
    side: str | None = None
    timestamp: str | None = None


class PairEntry(msgspec.Struct, frozen=True):
    symbol: str
    base: str
    quote: str
    qty_increment: Any
    qty_min: Any
    price_increment: Any = None
    tick_size: Any = None
    cost_min: Any = None
    status: str = ""
    marginable: bool = False


class InstrumentData(msgspec.Struct, frozen=True):
    pairs: list[PairEntry] = []


class StatusEntry(msgspec.Struct, frozen=True):
    system: str


class BalanceEntry(msgspec.Struct, frozen=True):
    asset: str
    balance: Any
    timestamp: str | None = None
    ref_id: str | None = None


class ChannelFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel"):
    """Base of the frames of a channel, which is named in the frame."""


class ExecutionsFrame(ChannelFrame, frozen=True, gc=False, tag="executions"):
    type: str
    data: list[ExecEntry]
    sequence: int | None = None


class BalancesFrame(ChannelFrame, frozen=True, gc=False, tag="balances"):
    type: str
    data: list[BalanceEntry]
    sequence: int | None = None


class TickerFrame(ChannelFrame, frozen=True, gc=False, tag="ticker"):
    data: list[TickerEntry]


class TradeFrame(ChannelFrame, frozen=True, gc=False, tag="trade"):
    data: list[TradeEntry]


class InstrumentFrame(ChannelFrame, frozen=True, gc=False, tag="instrument"):
    data: InstrumentData


class StatusFrame(ChannelFrame, frozen=True, gc=False, tag="status"):
    data: list[StatusEntry]


class HeartbeatFrame(ChannelFrame, frozen=True, gc=False, tag="heartbeat"):
    pass


class Reply(msgspec.Struct, frozen=True):
    """Answer to a request. Only `req_id` ties it to the request; every field may be missing."""

    method: str = ""
    req_id: int | None = None
    success: bool | None = None
    result: Any = None
    error: str | None = None
    symbol: str | None = None
    time_in: str | None = None
    time_out: str | None = None

    def result_text(self, name: str) -> str:
        """Return a text field of `result`, "" if there is none."""
        value = self.result.get(name) if isinstance(self.result, dict) else None
        return value if isinstance(value, str) else ""


class _Answered(msgspec.Struct, frozen=True):
    method: str
    req_id: int | None = None


_answered_decoder = msgspec.json.Decoder(_Answered)


class OutlineEntry(msgspec.Struct, frozen=True):
    symbol: str | None = None
    price: Any = None
    system: str | None = None
    timestamp: str | None = None


class Outline(msgspec.Struct, frozen=True):
    """As much of a channel's frame as a session needs to put it in its queue."""

    channel: str
    type: str = ""
    data: list[OutlineEntry] = []

    @property
    def symbol(self) -> str:
        """The one symbol that all entries are of, "" if there is none."""
        symbols = {entry.symbol for entry in self.data}
        return (symbols.pop() or "") if len(symbols) == 1 else ""

    @property
    def timestamp(self) -> str | None:
        """The venue's time of the newest entry of an update; a snapshot tells nothing of the lag."""
        return self.data[-1].timestamp if self.data and self.type == "update" else None

    def trade_prices(self) -> tuple[Decimal, ...]:
        """Return the prices of a trade frame, () if it is another frame or one of them is no number."""
        if self.channel != "trade":
            return ()
        try:
            return tuple(number(entry.price, "trade.price") for entry in self.data)
        except NotFinite:
            return ()


_AnyChannelFrame = ExecutionsFrame | BalancesFrame | TickerFrame | TradeFrame | InstrumentFrame | StatusFrame | HeartbeatFrame
Frame = _AnyChannelFrame | Reply


def _decoder(shape: type[T]) -> "msgspec.json.Decoder[T]":
    return msgspec.json.Decoder(shape, float_hook=str)


_header_decoder = _decoder(Header)
_reply_decoder = _decoder(Reply)
_outline_decoder = _decoder(Outline)
_channel_decoder: msgspec.json.Decoder[_AnyChannelFrame] = _decoder(_AnyChannelFrame)  # type: ignore[arg-type]
# Each connection that is quiet says it each second.
HEARTBEAT_TEXT, _HEARTBEAT = '{"channel":"heartbeat"}', HeartbeatFrame()
CHANNEL_FRAMES: tuple[type[ChannelFrame], ...] = get_args(_AnyChannelFrame)
_CHANNELS = frozenset(kind.__struct_config__.tag for kind in CHANNEL_FRAMES)
_ORDER_METHODS = ("add_order", "amend_order", "edit_order", "cancel_order", "cancel_all", "cancel_all_orders_after")
_METHODS = frozenset((*_ORDER_METHODS, "batch_add", "batch_cancel", "subscribe", "unsubscribe", "ping", "pong"))


# --- reading --------------------------------------------------------------------------------------------------------


def frame_from(text: str) -> Frame:
    """Decode one frame.

    Raises:
        Unreadable: too long, too deep, not JSON, no frame of this protocol, or a known one with a body that does not fit.
    """
    if text == HEARTBEAT_TEXT:
        return _HEARTBEAT
    checked_size(text)
    # Nearly every frame is one of a channel, and needs no look at its header before. Without that name, however written, it is none.
    if '"channel"' in text or "\\" in text:
        try:
            return _channel_decoder.decode(text)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            pass
    header = _decoded(_header_decoder, text, "not_json")
    if isinstance(header.channel, str):
        if header.channel not in _CHANNELS:
            raise Unreadable("unknown_channel", f"channel {header.channel[:40]!r} is not subscribed to")
        return _decoded(_channel_decoder, text, "bad_body")
    if header.params is not None and header.success is None and header.error is None:
        raise Unreadable("request", "this is a request, not an answer")
    if isinstance(header.error, list):
        raise Unreadable("rest_reply", "this is an answer of the REST interface")
    if header.success is None and header.error is None and header.method != "pong":
        raise Unreadable("no_envelope", "neither a channel nor an answer to a request")
    if header.method is not None and (not isinstance(header.method, str) or header.method not in _METHODS):
        raise Unreadable("unknown_method", f"method {str(header.method)[:40]!r} is not known")
    return _decoded(_reply_decoder, text, "bad_body")


def checked_size(text: str) -> None:
    """Raise Unreadable for a text that is larger or deeper than anything the venue sends."""
    if len(text) > MAX_FRAME_CHARS:
        raise Unreadable("too_long", f"{len(text)} characters, more than {MAX_FRAME_CHARS}")
    containers = text.count("[") + text.count("{")
    if containers > MAX_CONTAINERS:
        raise Unreadable("too_long", f"more than {MAX_CONTAINERS} lists and objects")
    # Most frames have so few brackets that counting them is enough.
    if containers > MAX_DEPTH and _is_deeper_than(text, MAX_DEPTH):
        raise Unreadable("too_deep", f"nested deeper than {MAX_DEPTH} levels")


def outline_from(text: str) -> Outline | None:
    """Decode what tells the place of a frame in a queue; None for replies and for what does not decode."""
    try:
        return _decoded(_outline_decoder, text, "bad_body")
    except Unreadable:
        return None


def answered_req_id(text: str) -> int | None:
    """Return the number of the request that a reply answers, None for all else."""
    try:
        return _answered_decoder.decode(text).req_id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _decoded(decoder: "msgspec.json.Decoder[T]", text: str, code: RefusalCode) -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as problem:
        # The header takes any value in any field, so only a frame that is no object fails there.
        raise Unreadable("not_an_object" if code == "not_json" else code, str(problem)[:200]) from None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
        # ValueError: surrogates that UTF-8 cannot write (UnicodeError), integers too long for int().
        raise Unreadable("not_json", str(problem)[:200]) from None


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NOT_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


def _is_deeper_than(text: str, depth: int) -> bool:
    # msgspec recurses on the C stack, and how deep it comes before RecursionError depends on the caller: not the same in a
    # replay.
    raw = text.encode("utf-8", "surrogatepass")
    # Brackets inside texts may be what is counted: only then look again without the texts.
    return _depth(raw) > depth and _depth(_STRINGS.sub(b"", raw)) > depth


def _depth(raw: bytes) -> int:
    steps = array("b", raw.translate(None, _NOT_BRACKETS).translate(_STEPS))
    return max(accumulate(steps), default=0)


def number(value: object, place: str) -> Decimal:
    """Return the exact Decimal of a decoded number field; `place` names it.

    Raises:
        NotFinite: absent, not a number, not finite, or too long (see `events.values.decimal_from`).
    """
    if type(value) is str:
        known = _plain_number(value)
        return decimal_from(value, place) if known is None else known
    if type(value) is int and -(10**MAX_NUMBER_CHARS) < value < 10**MAX_NUMBER_CHARS:
        return decimal_from(value, place)
    raise NotFinite(place, type(value).__name__)


@lru_cache(maxsize=4096)
def _plain_number(text: str) -> Decimal | None:
    # What every number of a real frame looks like: within the limits of `decimal_from`, so that it need not look again. The same
    # few prices and quantities come again and again: a quote repeats the side of the touch that did not move.
    return Decimal(text) if len(text) < 20 and text.isascii() and text.replace(".", "", 1).isdigit() else None
