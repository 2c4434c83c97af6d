"""Facts: what the venue, the market, the clock or a person did. Past tense, immutable, versioned by tag.

Every fact carries `ts_event_ns` (the source's clock, 0 if it gave none) and `ts_recv_ns` (ours), both UTC nanoseconds.
Prices and quantities are the Decimals that the source wrote. A stored fact never changes its meaning: another shape or
another default is another tag (`order_filled.2`), and `tests/events/golden` holds one sample of each.

Order facts name their order by `client_order_id` (ours; "" where the venue knows none, as for OTO children) and
`venue_order_id` ("" until known).
"""

from decimal import Decimal
from typing import Literal

import msgspec

from .values import Capabilities, Instrument, Mark, PositionSide, Side

# --- what a position is asked to be ---------------------------------------------------------------------------------


class TightenStep(msgspec.Struct, frozen=True, kw_only=True):
    """Once open profit reaches `profit_bps`, the trail is to be no wider than `trail_offset_bps`."""

    profit_bps: int
    trail_offset_bps: int


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Every time limit of the machine, in milliseconds. Part of the plan, so that a config change cannot rewrite a log."""

    ack_timeout_ms: int = 15_000
    entry_ttl_ms: int = 60_000
    cancel_timeout_ms: int = 5_000
    protect_timeout_ms: int = 2_000
    amend_timeout_ms: int = 5_000
    trigger_timeout_ms: int = 5_000
    take_profit_timeout_ms: int = 30_000
    maker_exit_timeout_ms: int = 5_000
    market_fill_timeout_ms: int = 5_000
    market_deadline_ms: int = 5_000
    reconcile_timeout_ms: int = 10_000
    audit_interval_ms: int = 60_000
    page_interval_ms: int = 60_000
    max_price_age_ms: int = 5_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one position is to be, whole: entry, protection, exits. Fixed at the request; only tightening changes it.

    `trail_offset_bps` asks for a trailing stop, `stop_price` for a static one; at least one is needed. With both the trail
    rests at the venue, or with `attach_stop` the static one; the other one is watched here, and left for at once when it is crossed (A2).
    `trail_auto` leaves the distance to the engine: it sets `trail_offset_bps` when the position is asked for, from fees and the range of
    the venue's own trades, and narrows it later (A12), not under the strategy's own `trail_floor_bps`.

    `trail_style` "engine" lets the engine keep the trail: the venue holds a static stop that is moved in steps (C1-C8), from the
    profit `trail_activation_bps` on if given, and not below the entry once profit was `breakeven_profit_bps`.

    `take_profit_style` "internal" exits at market when the level is crossed
    (A4); "maker" rests a post-only limit at the level once price is within `take_profit_arm_bps` of it (A3).
    `strategy` "ignition" leaves at once when the market turns quiet before profit has reached `trail_activation_bps`, which it needs
    with either style, and lets the mode of the market set the distance (A7). `panic_pnl_bps` is negative (A5).
    `time_stop_secs` None means no time stop, 0 is a misconfiguration (A6).
    """

    symbol: str
    side: PositionSide
    qty: Decimal
    margin: bool = False
    entry_type: Literal["market", "limit"] = "market"
    entry_price: Decimal | None = None
    attach_stop: bool = False
    trail_offset_bps: int | None = None
    trail_auto: bool = False
    trail_floor_bps: int = 0
    trail_style: Literal["native", "engine"] = "native"
    trail_activation_bps: int | None = None
    breakeven_profit_bps: int | None = None
    stop_price: Decimal | None = None
    tighten: tuple[TightenStep, ...] = ()
    take_profit_price: Decimal | None = None
    take_profit_style: Literal["internal", "maker"] = "internal"
    take_profit_arm_bps: int = 5
    panic_pnl_bps: int | None = None
    time_stop_secs: int | None = None
    strategy: Literal["standard", "ignition"] = "standard"
    timing: Timing = Timing()


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all facts: when it happened by its source, and when we got it (UTC ns)."""

    ts_event_ns: int = 0
    ts_recv_ns: int


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """What of an asset was the account owner's, as of the venue's time `ts_event_ns`."""

    qty: Decimal
    ts_event_ns: int


class PositionRequested(Fact, frozen=True, kw_only=True, tag="position_requested.1"):
    """A strategy or a person asks for a position. `epoch` is the store's fencing token, part of derived ids.

    `owned` is there where it was known what of the asset that its entry buys was the owner's then: after a restart nothing else tells it.
    """

    position_id: str
    plan: Plan
    instrument: Instrument
    capabilities: Capabilities
    epoch: int = 0
    owned: Owned | msgspec.UnsetType = msgspec.UNSET


class PositionAdopted(Fact, frozen=True, kw_only=True, tag="position_adopted.1"):
    """Exposure that exists without a position of ours is taken over (A8); `qty` at `px`, None if the cost is unknown.

    `reverses` is there, and true, where nobody ever wanted it: more was closed than was open. It is closed at once (P24).
    `of` names the ended position behind whose end it came to life.
    """

    position_id: str
    plan: Plan
    instrument: Instrument
    capabilities: Capabilities
    px: Decimal | None
    evidence: str
    mark: Mark | None = None
    epoch: int = 0
    reverses: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    of: str | msgspec.UnsetType = msgspec.UNSET


ExitReason = Literal[
    "take_profit",
    "panic",
    "time_stop",
    "signal",
    "operator",
    "stop_crossed",
    "stop_unfilled",
    "protection_failed",
    "ignition",
    "hard_take_profit",
    "reversed",
    "shutdown",
]


class ExitRequested(Fact, frozen=True, kw_only=True, tag="exit_requested.1"):
    """Somebody wants the position closed. `patient` asks for a resting exit first (MakerExiting), else market."""

    reason: ExitReason
    patient: bool = False
    mark: Mark | None = None


class PlanTightened(Fact, frozen=True, kw_only=True, tag="plan_tightened.1"):
    """A tighter trail or stop is wanted; what would loosen is ignored (I3). `by_trail`: the engine-kept trail asks for it."""

    trail_offset_bps: int | None = None
    stop_price: Decimal | None = None
    by_trail: bool = False


class HaltRequested(Fact, frozen=True, kw_only=True, tag="halt_requested.1"):
    """A person stops automatic trading of this position. Protection goes on (I16)."""

    reason: str


class ProtectionRequested(Fact, frozen=True, kw_only=True, tag="protection_requested.1"):
    """A person who has taken a stop away wants it back at once (P19): the hold is over."""

    reason: str


# --- what the venue said of an order --------------------------------------------------------------------------------

RejectClass = Literal[
    "caller_bug",
    "funds",
    "gone",
    "rate",
    "venue_state",
    "deadline",
    "auth",
    "reduce_only",
    "through_market",
    "post_only",
    "other",
]


class OrderFact(Fact, frozen=True, kw_only=True):
    """Base of the facts about one order."""

    client_order_id: str
    venue_order_id: str = ""


class OrderSubmitted(OrderFact, frozen=True, kw_only=True, tag="order_submitted.1"):
    """The order's frame was handed to the socket. No evidence of anything at the venue."""


class OrderNotSent(OrderFact, frozen=True, kw_only=True, tag="order_not_sent.1"):
    """The channel was closed before the frame left: positive evidence that the venue never saw this `operation`."""

    operation: Literal["submit", "amend", "cancel"]


class OrderAccepted(OrderFact, frozen=True, kw_only=True, tag="order_accepted.1"):
    """The order rests, or its stop is armed. From the private stream or a snapshot, never from the reply alone.

    A snapshot states what is left and what had filled by then; fills that we do not know yet may follow it.
    """

    leaves_qty: Decimal | None = None
    cum_qty: Decimal | None = None
    effective_stop: Decimal | None = None


class OrderRejected(OrderFact, frozen=True, kw_only=True, tag="order_rejected.1"):
    """The venue refused the order (positive evidence)."""

    reject_class: RejectClass
    text: str


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """One fee of a fill, as charged: `qty` of `asset`; negative is a rebate."""

    asset: str
    qty: Decimal


class OrderFilled(OrderFact, frozen=True, kw_only=True, tag="order_filled.1"):
    """One execution. `trade_id` is the venue's execution id: the same id again changes nothing (I8).

    `last_px` is None where the venue gave none or nonsense (A16): quantity is booked, the price is asked for.
    `cum_qty` is the venue's running total including this fill, None if it gave none. `behind_gap` is there, and true, where
    executions before it may be missing: after a restart a list that reaches back to it proves nothing. `fee_worth` is there where
    the venue said what the fee is worth, in the quote asset, and not in which asset it was taken: with no `fees` that is not
    known yet, with `fees` this tells it of an execution that was told before. `ahead_of_stop` is there, and true, where the list that
    told it names a stop of its position of which the log does not know: that one is told next.
    """

    trade_id: str
    side: Side
    last_qty: Decimal
    last_px: Decimal | None
    cum_qty: Decimal | None = None
    fees: tuple[Fee, ...] = ()
    liquidity_side: Literal["maker", "taker", ""] = ""
    behind_gap: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    fee_worth: Decimal | msgspec.UnsetType = msgspec.UNSET
    ahead_of_stop: Literal[True] | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_fee_open(self) -> bool:
        """Whether a fee was taken and it is not known in which asset."""
        return self.fee_worth is not msgspec.UNSET and not self.fees

    @property
    def tells_fee(self) -> bool:
        """Whether it tells no more than the fee of an execution that was told before."""
        return self.fee_worth is not msgspec.UNSET and bool(self.fees)


class OrderCompleted(OrderFact, frozen=True, kw_only=True, tag="order_completed.1"):
    """The venue says that the order is filled. Not a fill itself: quantity comes from executions only (K7)."""

    cum_qty: Decimal | None = None


class OrderTriggered(OrderFact, frozen=True, kw_only=True, tag="order_triggered.1"):
    """A stop fired and is now a market order: from here on it protects nothing."""

    px: Decimal | None = None


class OrderAmended(OrderFact, frozen=True, kw_only=True, tag="order_amended.1"):
    """The order was changed, by us or (`by_venue`) by the engine there. None fields did not change or were not said."""

    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    trail_offset_bps: int | None = None
    effective_stop: Decimal | None = None
    by_venue: bool = False


class AmendRejected(OrderFact, frozen=True, kw_only=True, tag="amend_rejected.1"):
    """The venue refused a change; the order stands as it was, if it still stands."""

    reject_class: RejectClass
    text: str


class OrderCanceled(OrderFact, frozen=True, kw_only=True, tag="order_canceled.1"):
    """The order ended without (further) fills. `cum_qty` is what had filled by then, `reason` the venue's words.

    `by_hand` is there, and true, where the venue says that a user of the account asked for it: we, or the owner by other means.
    """

    cum_qty: Decimal | None = None
    reason: str = ""
    by_hand: Literal[True] | msgspec.UnsetType = msgspec.UNSET


class CancelRejected(OrderFact, frozen=True, kw_only=True, tag="cancel_rejected.1"):
    """The venue refused a cancel. "gone" means: ended, reason unknown, perhaps filled (P05)."""

    reject_class: RejectClass
    text: str


class OrderExpired(OrderFact, frozen=True, kw_only=True, tag="order_expired.1"):
    """The order ended by its time limit or deadline."""

    cum_qty: Decimal | None = None
    reason: str = ""


class ChildDiscovered(OrderFact, frozen=True, kw_only=True, tag="child_discovered.1"):
    """An order of this position that its log does not know came to life at the venue, with `qty` left.

    `cum_qty` is what it had executed before, where the venue says so: executions that are told later count against it.

    Either an attached (OTO) stop, from a fill of the order `parent_venue_order_id`: the venue gives it no client id, and
    `client_order_id` is the local one that was derived for it. Or, with `parent_venue_order_id` "", an order that left in
    the last instant before a crash and is found again by its derived id (contract 4).
    """

    parent_venue_order_id: str
    qty: Decimal
    role: Literal["entry", "stop", "take_profit", "exit", "flatten"] = "stop"
    order_type: Literal["market", "limit", "stop-loss", "trailing-stop"] = "stop-loss"
    trigger_price: Decimal | None = None
    trail_offset_bps: int | None = None
    cum_qty: Decimal | None = None


class OrderNotFound(OrderFact, frozen=True, kw_only=True, tag="order_not_found.1"):
    """The order is absent from the freshest answer, asked for at `asked_ns`.

    `trades_complete`: the same answer holds every execution since our last known one, so fills cannot be missing.
    Without it absence proves nothing (K8, P15). `shared` as in `SnapshotAgreed`. `repeated` is there, and true, where lists in a row
    lack an order that rested, or one lacks a stop that nobody has confirmed: that it rests is then no more known than what it has executed.
    """

    asked_ns: int
    trades_complete: bool
    shared: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    repeated: Literal[True] | msgspec.UnsetType = msgspec.UNSET


class OutcomeUnknown(OrderFact, frozen=True, kw_only=True, tag="outcome_unknown.1"):
    """No proof either way of what became of an `operation` that was sent (I6)."""

    operation: Literal["submit", "amend", "cancel"]
    reason: str


class StopReported(OrderFact, frozen=True, kw_only=True, tag="stop_reported.1"):
    """The venue's effective stop of a live stop order, recorded where it moved the wrong way or differs from ours."""

    effective_stop: Decimal
    peak: Decimal | None = None


# --- the market, the clock, the truth -------------------------------------------------------------------------------

Level = Literal["take_profit", "panic", "stop", "tighten", "hard_take_profit", "activation", "first_price"]


class LevelCrossed(Fact, frozen=True, kw_only=True, tag="level_crossed.1"):
    """A last price reached an armed level. `step` is the index of a tighten step, 0 otherwise.

    "activation" is the profit from which an ignition position counts as having taken off (A7), "first_price" any price at all where none
    was known and a stop waits for one (A8).
    """

    level: Level
    mark: Mark
    step: int = 0


class TrailDistanceChanged(Fact, frozen=True, kw_only=True, tag="trail_distance_changed.1"):
    """The distance policy gives another trail (ATR known now, horizon shorter). Only a narrower one is used (A11)."""

    trail_offset_bps: int
    basis: str


DeadlineKind = Literal["entry", "time_stop", "watch"]


class DeadlinePassed(Fact, frozen=True, kw_only=True, tag="deadline_passed.1"):
    """A deadline of the position's state passed. `which` names it; `at_ns` is when it was due.

    `shared` as in `SnapshotAgreed`, where an attached stop has not shown itself.
    """

    which: DeadlineKind
    at_ns: int
    mark: Mark | None = None
    shared: Literal[True] | msgspec.UnsetType = msgspec.UNSET


MarketMode = Literal["compression", "quiet", "normal", "volatile"]


class MarketModeChanged(Fact, frozen=True, kw_only=True, tag="market_mode_changed.1"):
    """The venue's own trades show another kind of market (A7); told to positions whose exit strategy depends on it.

    `trail_offset_bps` is there where none of the position's stops has left yet: how far the plan's own trail is to stand in that market.
    """

    mode: MarketMode
    basis: str
    trail_offset_bps: int | msgspec.UnsetType = msgspec.UNSET


VenueMode = Literal["online", "limit_only", "post_only", "cancel_only", "maintenance"]


class VenueModeChanged(Fact, frozen=True, kw_only=True, tag="venue_mode_changed.1"):
    """The venue says which orders it takes for this symbol now (X16)."""

    mode: VenueMode


class ChannelClosed(Fact, frozen=True, kw_only=True, tag="channel_closed.1"):
    """The private channel is gone: what was in flight is unknown. A restart is such a gap too, with the new `epoch`."""

    reason: str
    epoch: int | None = None


class ChannelLive(Fact, frozen=True, kw_only=True, tag="channel_live.1"):
    """The private channel delivers again; its snapshot follows."""


class SnapshotAgreed(Fact, frozen=True, kw_only=True, tag="snapshot_agreed.1"):
    """A fresh snapshot of orders and trades was compared with this position and nothing differed.

    `shared` is there, and true, where the account holds more of what the position holds than the position, or where that is not known:
    then what the venue forbids the account does not stop a second order of this position. `lacking` is there, and true, where executions
    may be missing from it, among them those of a stop that was attached to the entry (A18).
    """

    asked_ns: int
    mark: Mark | None = None
    shared: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    lacking: Literal[True] | msgspec.UnsetType = msgspec.UNSET


class SnapshotDiffered(Fact, frozen=True, kw_only=True, tag="snapshot_differed.1"):
    """A fresh snapshot differed; the differences came before this fact as facts of their own.

    `shared` and `lacking` as in `SnapshotAgreed`.
    """

    asked_ns: int
    differences: int
    mark: Mark | None = None
    shared: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    lacking: Literal[True] | msgspec.UnsetType = msgspec.UNSET


class TruthStale(Fact, frozen=True, kw_only=True, tag="truth_stale.1"):
    """Private truth is older than allowed (A22, A24)."""

    age_ns: int


class BalanceShort(Fact, frozen=True, kw_only=True, tag="balance_short.1"):
    """The venue holds less of `asset` than the position needs (A25)."""

    asset: str
    needed: Decimal
    available: Decimal


class ManualOrderSeen(Fact, frozen=True, kw_only=True, tag="manual_order_seen.1"):
    """An order that is not ours appeared on the position's symbol. It is not touched (I12)."""

    venue_order_id: str
    side: Side
    qty: Decimal


class ManualFillSeen(Fact, frozen=True, kw_only=True, tag="manual_fill_seen.1"):
    """The account's owner traded `qty` of this position away, or into it, by hand (P19).

    `of` is there where it was no owner but a late order of the ended position of that name, of which this one has taken `qty` over (A8).
    """

    trade_id: str
    side: Side
    last_qty: Decimal
    last_px: Decimal | None
    fees: tuple[Fee, ...] = ()
    of: str | msgspec.UnsetType = msgspec.UNSET


class PositionAdjusted(Fact, frozen=True, kw_only=True, tag="position_adjusted.1"):
    """An operator or a bounded reconciliation sets the open quantity to what the venue holds (P30). PnL is then uncertain.

    `unheard` is there, and true, where no execution is in doubt but only what is told of them: a balance says that an entry in question
    has bought what `open_qty` holds beyond the known executions. Those come later and are booked then.
    """

    open_qty: Decimal
    reason: str
    evidence: str
    unheard: Literal[True] | msgspec.UnsetType = msgspec.UNSET


IntentFact = PositionRequested | PositionAdopted | ExitRequested | PlanTightened | HaltRequested | ProtectionRequested
VenueOrderFact = (
    OrderSubmitted
    | OrderNotSent
    | OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderCompleted
    | OrderTriggered
    | OrderAmended
    | AmendRejected
    | OrderCanceled
    | CancelRejected
    | OrderExpired
    | ChildDiscovered
    | OrderNotFound
    | OutcomeUnknown
    | StopReported
)
MarketFact = LevelCrossed | TrailDistanceChanged | DeadlinePassed | MarketModeChanged | VenueModeChanged
TruthFact = ChannelClosed | ChannelLive | SnapshotAgreed | SnapshotDiffered | TruthStale | BalanceShort
OperatorFact = ManualOrderSeen | ManualFillSeen | PositionAdjusted
AnyFact = IntentFact | VenueOrderFact | MarketFact | TruthFact | OperatorFact
