"""What a venue says that is not a fact of one position: prices, lists, link states, and what could not be read.

Facts about own orders are `events.facts`. These messages are venue-neutral: the pipeline takes them, turns some into facts
of positions (a print that crosses a level, a snapshot that lacks an order) and gives others to metrics. Immutable; times
are UTC nanoseconds, `ts_event_ns` by the venue's clock (0 if it gave none), `ts_recv_ns` by ours.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from events.facts import Fee, RejectClass
from events.values import Instrument, Side

Operation = Literal["submit", "amend", "cancel"]
Channel = Literal["private", "public"]


class VenueMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages."""

    ts_event_ns: int = 0
    ts_recv_ns: int


# --- market ---------------------------------------------------------------------------------------------------------


class TradePrinted(VenueMessage, frozen=True, kw_only=True, gc=False, tag="trade_printed"):
    """A public trade. `trade_id` rises per symbol; `taker_side` is None where the venue did not say."""

    symbol: str
    px: Decimal
    qty: Decimal
    taker_side: Side | None
    trade_id: str


class QuoteChanged(VenueMessage, frozen=True, kw_only=True, gc=False, tag="quote_changed"):
    """Best bid and ask, and the last traded price that came with them (all above zero)."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal


class InstrumentsListed(VenueMessage, frozen=True, kw_only=True, tag="instruments_listed"):
    """Symbols with their grid. `statuses[i]` is the trading status of `instruments[i]` (online, cancel_only, ...)."""

    instruments: tuple[Instrument, ...]
    statuses: tuple[str, ...]


class VenueStatus(VenueMessage, frozen=True, kw_only=True, tag="venue_status"):
    """State of the whole trading system: online, cancel_only, post_only, limit_only or maintenance."""

    system: str


# --- account --------------------------------------------------------------------------------------------------------


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a snapshot lists as open, ours or not. None and "" stand for what the venue did not say.

    `is_ours` is True for own client ids, for orders bound by a reply, and for children of such orders (which have
    `client_order_id` "" and `parent_venue_order_id` set). `effective_stop` is the venue's present trigger level.
    """

    client_order_id: str
    venue_order_id: str
    is_ours: bool
    symbol: str
    side: Side | None
    order_type: str
    order_qty: Decimal | None
    cum_qty: Decimal | None
    leaves_qty: Decimal | None
    limit_price: Decimal | None = None
    effective_stop: Decimal | None = None
    trail_offset_bps: int | None = None
    is_triggered: bool = False
    parent_venue_order_id: str = ""


class SnapshotTaken(VenueMessage, frozen=True, kw_only=True, tag="snapshot_taken"):
    """The whole truth of the account's open orders, as asked for; facts about each order and trade came before it.

    `trades_complete`: the snapshot's trades reach back to one that was known before, or are all there ever were, so no
    execution between the last known one and now is missing. Without it the absence of an order proves nothing (K8).
    `newest_trade_ns`: the venue's time of the newest execution in it, 0 if there is none.
    """

    open_orders: tuple[OpenOrder, ...]
    trades_complete: bool
    newest_trade_ns: int = 0


class BalanceChanged(VenueMessage, frozen=True, kw_only=True, tag="balance_changed"):
    """Total of one asset, in units of the asset. What open orders hold of it is not taken off.

    `of_trade` is the execution that changed it, None for a line of a whole list; such a list is at least as new as `ts_event_ns`.
    """

    asset: str
    balance: Decimal
    of_trade: str | None = None


class BalancesListed(VenueMessage, frozen=True, kw_only=True, tag="balances_listed"):
    """A whole list of balances names these assets, and is at least as new as `ts_event_ns`; it comes behind its lines."""

    assets: frozenset[str]


class BalanceHeld(VenueMessage, frozen=True, kw_only=True, tag="balance_held"):
    """Total of one asset and what open orders hold of it, ours and others', in units of the asset; by REST: a minute old at worst."""

    asset: str
    balance: Decimal
    held: Decimal


class MarginHeld(VenueMessage, frozen=True, kw_only=True, tag="margin_held"):
    """What the account holds of each pair on margin, in base units, below zero for a short; a pair that is not there is not held.

    By REST, asked for at `asked_ns`; what it lists may be as old as `as_of_ns`.
    """

    holdings: tuple[tuple[str, Decimal], ...]
    asked_ns: int
    as_of_ns: int


class FeeUnknown(VenueMessage, frozen=True, kw_only=True, tag="fee_unknown"):
    """In which asset the venue took the fee of an execution of ours could not be learnt; `text` says what is assumed, and why."""

    text: str


class TradesCompleted(VenueMessage, frozen=True, kw_only=True, tag="trades_completed"):
    """The gap in what is known of the executions is closed: a snapshot may prove absence again (K8)."""

    count: int


class TradesRead(VenueMessage, frozen=True, kw_only=True, tag="trades_read"):
    """Every execution until `as_of_ns` has been told, back to before the oldest position that lives; REST may be behind it."""

    as_of_ns: int


class ForeignOrder(VenueMessage, frozen=True, kw_only=True, tag="foreign_order"):
    """An order without a client id of ours changed. `status` is the venue's word (new, canceled, filled, ...)."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side | None
    status: str
    qty: Decimal | None
    leaves_qty: Decimal | None


class ForeignFill(VenueMessage, frozen=True, kw_only=True, tag="foreign_fill"):
    """An execution of an order without a client id of ours; `margin` if it opens or closes a margin position."""

    client_order_id: str
    venue_order_id: str
    trade_id: str
    symbol: str
    side: Side
    last_qty: Decimal
    last_px: Decimal | None
    fees: tuple[Fee, ...] = ()
    margin: bool = False


# --- link and protocol ----------------------------------------------------------------------------------------------


class SequenceGap(VenueMessage, frozen=True, kw_only=True, tag="sequence_gap"):
    """Messages `expected` to `got` - 1 of a numbered channel never came: fetch the truth again."""

    channel: str
    expected: int
    got: int


class SubscriptionAcked(VenueMessage, frozen=True, kw_only=True, tag="subscription_acked"):
    """A subscription (or its end, if `ended`) was confirmed; data follow on their own."""

    channel: str
    symbol: str
    ended: bool = False


class SubscriptionRefused(VenueMessage, frozen=True, kw_only=True, tag="subscription_refused"):
    """A subscription was refused; `symbol` is "" where the venue did not name one."""

    symbol: str
    reject_class: RejectClass
    text: str


class RequestAccepted(VenueMessage, frozen=True, kw_only=True, tag="request_accepted"):
    """The venue took a request of ours. Not state: what became of it comes in the private stream."""

    operation: Operation
    client_order_id: str
    venue_order_id: str


class UnmatchedReply(VenueMessage, frozen=True, kw_only=True, tag="unmatched_reply"):
    """A reply that belongs to no request that waits for one; `text` is its refusal, "" for success."""

    method: str
    req_id: int | None
    text: str


class DeadManAnswered(VenueMessage, frozen=True, kw_only=True, tag="dead_man_answered"):
    """The venue's reply to a dead-man switch of `timeout_secs` (0: off); `text` is its refusal, "" for success."""

    timeout_secs: int
    text: str


class ReferenceDiffers(VenueMessage, frozen=True, kw_only=True, tag="reference_differs"):
    """A stop of ours is triggered by another price than the last trade, which was asked for; told once for each stop."""

    symbol: str
    client_order_id: str
    venue_order_id: str
    reference: str


class TokenRefused(VenueMessage, frozen=True, kw_only=True, tag="token_refused"):
    """The private token or its session is no longer valid: a new one is needed."""

    text: str


class Heartbeat(VenueMessage, frozen=True, kw_only=True, tag="heartbeat"):
    """The venue lives and has nothing to say."""


class Ponged(VenueMessage, frozen=True, kw_only=True, tag="ponged"):
    """The answer to a ping; `ts_event_ns` is when the venue got it."""

    req_id: int | None


RefusalCode = Literal[
    "not_json",
    "not_an_object",
    "too_long",
    "too_deep",
    "no_envelope",
    "rest_reply",
    "request",
    "unknown_channel",
    "unknown_method",
    "bad_body",
    "bad_entry",
    "unknown_exec_type",
]


class FrameRefused(VenueMessage, frozen=True, kw_only=True, tag="frame_refused"):
    """A frame, or one entry of it, that was not understood: kept as it came, counted, and harmless (I11).

    Of a private channel it means that truth may be missing: the pipeline asks for a fresh snapshot.
    """

    code: RefusalCode
    reason: str
    raw: str


AnyMessage = (
    TradePrinted
    | QuoteChanged
    | InstrumentsListed
    | VenueStatus
    | SnapshotTaken
    | BalanceChanged
    | BalancesListed
    | BalanceHeld
    | MarginHeld
    | FeeUnknown
    | TradesCompleted
    | TradesRead
    | ForeignOrder
    | ForeignFill
    | SequenceGap
    | SubscriptionAcked
    | SubscriptionRefused
    | RequestAccepted
    | UnmatchedReply
    | DeadManAnswered
    | ReferenceDiffers
    | TokenRefused
    | Heartbeat
    | Ponged
    | FrameRefused
)

# --- what a session hands on ----------------------------------------------------------------------------------------


class FrameReceived(msgspec.Struct, frozen=True, kw_only=True, tag="frame"):
    """A frame as it came. Bytes that are no UTF-8 are written as `\\xNN`, so that the text can be stored anywhere."""

    channel: Channel
    text: str
    ts_recv_ns: int


LinkState = Literal["connecting", "open", "asked", "closed"]


class LinkChanged(msgspec.Struct, frozen=True, kw_only=True, tag="link"):
    """A socket's life, in order with its frames. `asked`: a fresh snapshot was asked for at `ts_recv_ns`.

    `closed`: nothing more comes from this socket; `code` is the WebSocket close code (1006 without a close frame, 0 if it
    never opened), `reason` one line for people.
    """

    channel: Channel
    state: LinkState
    ts_recv_ns: int
    code: int = 0
    reason: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question beside the stream: `path` and `params` of a request, its `cost` in the venue's count of calls.

    `number` names it for the answer; `asked_ns` is when it was wanted.
    """

    number: int
    path: str
    params: dict[str, str]
    cost: int
    asked_ns: int


class QuestionAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """The answer to question `number`, which left at `asked_ns`; `problem` is why there is none, "" if there is one."""

    number: int
    asked_ns: int
    ts_recv_ns: int
    text: str = ""
    problem: str = ""


SessionInput = FrameReceived | LinkChanged | QuestionAnswered
