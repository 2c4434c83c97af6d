"""What a position is: its plan, its quantities, its orders, and what was last decided. Immutable; `core.evolve` makes the next.

Quantities are integer lots, prices integer ticks where they are compared; costs and fees stay exact Decimals.
"""

from decimal import Decimal
from typing import Literal, NewType

import msgspec

from events.commands import OrderType, Role
from events.facts import MarketMode, Plan, VenueMode
from events.values import Capabilities, Instrument, Mark, PositionSide

from .order import END_STATUSES, FILLED, LIVE, SUBMITTED, TRIGGERED

# Snapshots in a row that must lack an attached stop before it is believed not to be there.
CHILD_LOOKS = 2
# How long nothing is sent into a venue's maintenance: what a request came to there is unknown, and costs a minute of proof. Beyond it the
# word may be stale, and no stop waits longer for that.
AWAY_NS = 60_000_000_000
# The longest time for which the owner is asked before a stop that he took away is put back (P19).
HOLD_MAX_MS = 60_000
# By how much the clocks of the venue and of this process may differ unnoticed, and the nearest deadline that Kraken takes.
_CLOCKS_MS = 250
_LEAST_DEADLINE_MS = 500


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a position, as far as evidence goes.

    `qty_lots` is the confirmed total, fills included. A change that is out but not confirmed stands in `pending*`; until
    it is confirmed the old values count; `ceiling_lots` is the largest total that an amend without a clear answer may have
    given it, `listed_lots` the total that a snapshot listed meanwhile. `cum_lots` is the total that the venue stated where
    it is more than we booked. `deadline_ns` is the venue's last moment to take it, 0 where the request named none.
    `effective_stop_ticks` is what the venue last reported, None if it never did, and `effective_trail_bps` its distance then;
    `stop_loosened` if that report was worse than the one before. `called_back`: a cancel of it was decided, whatever became of that.
    `unlisted_ns` is since when lists in a row lack it without proof of its end, 0 while it is listed; `given_up` if it is waited for
    no longer, because the venue lets no second order close what it closed; `is_gone` if the venue has said besides that it knows it
    no more: whatever it did, it does nothing else. `made_lots`: its quantity as it was first told, that of the
    execution of which the venue made it, 0 for an order of ours; what it was amended to since says nothing of other executions.
    """

    client_order_id: str
    venue_order_id: str = ""
    role: Role
    order_type: OrderType
    qty_lots: int
    filled_lots: int = 0
    cum_lots: int = 0
    ceiling_lots: int = 0
    listed_lots: int | None = None
    status: str = SUBMITTED
    limit_ticks: int | None = None
    trigger_ticks: int | None = None
    trail_offset_bps: int | None = None
    effective_stop_ticks: int | None = None
    effective_trail_bps: int | None = None
    stop_loosened: bool = False
    decided_ns: int
    deadline_ns: int = 0
    sent_ns: int = 0
    accepted_ns: int = 0
    ended_ns: int = 0
    pending: Literal["", "amend", "cancel"] = ""
    pending_ns: int = 0
    pending_qty_lots: int | None = None
    pending_trigger_ticks: int | None = None
    pending_trail_offset_bps: int | None = None
    called_back: bool = False
    cancel_refused: bool = False
    reject_class: str = ""
    unlisted_ns: int = 0
    given_up: bool = False
    is_gone: bool = False
    made_lots: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it may still fill, by evidence."""
        return self.status not in END_STATUSES

    def is_belied(self, leaves_lots: int, cum_lots: int) -> bool:
        """Whether a list that names it as open, with that executed, shows that it is larger than our books have it (I6).

        It was made larger by an amend that the log has lost, and then fired: the size of one that rests is told as it is accepted. A list
        that knows of fewer executions than we is older than they are.
        """
        is_larger = leaves_lots > 0 and leaves_lots + cum_lots > self.possible_lots
        return is_larger and cum_lots >= self.filled_lots and self.status in (FILLED, TRIGGERED)

    @property
    def is_listed_larger(self) -> bool:
        """Whether a snapshot listed it larger than the amend that is in flight makes it."""
        return self.listed_lots is not None and self.pending_qty_lots is not None and self.listed_lots > self.pending_qty_lots

    @property
    def is_attached(self) -> bool:
        """Whether the venue made it of an execution of the entry."""
        return self.made_lots > 0

    @property
    def is_past(self) -> bool:
        """Whether nothing is to be expected of it: it has ended, or is gone, and what it did is not waited for."""
        return not self.is_open or (self.given_up and self.is_gone)

    @property
    def possible_lots(self) -> int:
        """The largest total that it may have at the venue."""
        return max(self.qty_lots, self.cum_lots, self.ceiling_lots, self.pending_qty_lots or 0)

    @property
    def leaves_lots(self) -> int:
        """Quantity that may still fill, or may have without our knowledge."""
        return max(0, self.possible_lots - self.filled_lots) if self.is_open else 0

    @property
    def leased_lots(self) -> int:
        """Quantity for which nothing else is sent."""
        return 0 if self.given_up else self.leaves_lots

    @property
    def protects_lots(self) -> int:
        """Quantity that is protected by confirmed evidence: a live stop, at the smaller of old and wanted size."""
        if self.role != "stop" or self.status != LIVE or self.filled_lots:
            return 0
        size = self.qty_lots if self.pending_qty_lots is None else min(self.qty_lots, self.pending_qty_lots)
        return max(0, size - self.filled_lots)

    @property
    def is_triggered(self) -> bool:
        """Whether this is a stop that fired, by its status or by a fill."""
        return self.role == "stop" and self.is_open and (self.status == TRIGGERED or self.filled_lots > 0)


# What an amend may name: a trail is narrowed by its distance, a static stop moved by its price (A2).
TrailingStopId = NewType("TrailingStopId", str)
StaticStopId = NewType("StaticStopId", str)


def trailing_stop_id(order: Order) -> TrailingStopId | None:
    """Return the id of a trailing stop, None for any other order."""
    return TrailingStopId(order.client_order_id) if order.role == "stop" and order.order_type == "trailing-stop" else None


def static_stop_id(order: Order) -> StaticStopId | None:
    """Return the id of a static stop, None for any other order."""
    return StaticStopId(order.client_order_id) if order.role == "stop" and order.order_type == "stop-loss" else None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One position. `version` is the number of its last event; `state` a name of `fsm.position`.

    `filled_lots` counts executions on the entry side, `exited_lots` on the exit side; `fee_base` is what was charged in
    the base asset (it leaves the position, P23), `fee_lots` the whole lots that it took. `min_lots` is the venue's smallest
    order. `trade_ids` makes fills idempotent (I8); `strays` are executions, in lots, of own orders that the log does not know
    yet: they left in the last instant before a crash. `feeless` are executions of which it is not known yet in which asset the fee was
    taken, with the lots that it would have taken of the base asset.

    `heir_of` is the ended position behind whose end it was taken over, "" for any other, and for the reverse of one that was closed twice.

    `adjusted`: its quantity was once set to what the venue held, so that its executions do not add up to it (P30). `unheard_lots`: what
    an entry in question has bought beside `filled_lots`, as the account's balance says; its executions are not told yet.

    `wanted_*` is the protection that is desired, orders say what is confirmed; `smart_stop_ticks` is the stop that an
    engine-kept trail last asked for. `watch_ns` is where the state's own clock started; it starts again with each attempt.
    `shadow_ns` and `shadow_px` say when and at which last price the stop that the venue holds should have fired.
    `stops_lost` counts stops that somebody else cancelled, `stop_taken_ns` is when the owner last did so by hand, and `hold_ns` since when
    none is put back because he did so again, 0 for not at all (P19). `child_looks` the snapshots in a row that listed no stop for what an
    entry with an attached stop has filled. `lacks_ns` is since when lists may lack what such a stop has executed, where nothing at the
    venue stops a second order, 0 for not at all. `best_px` is the best price that a fact brought since the
    position opened, so that a restart does not begin the trail anew (P27). `mode` is the kind of market that it was last told of,
    `trail_activated_ns` when its profit reached the activation of an ignition plan, 0 before. `venue_mode` is what the venue takes,
    `venue_mode_ns` since when, 0 as long as it has said nothing.
    """

    position_id: str
    version: int = 0
    epoch: int = 0
    state: str = ""
    plan: Plan
    instrument: Instrument
    capabilities: Capabilities
    min_lots: int
    adopted: bool = False
    heir_of: str = ""
    requested_ns: int
    opened_ns: int = 0
    state_ns: int = 0
    filled_lots: int = 0
    exited_lots: int = 0
    fee_base: Decimal = Decimal(0)
    fee_lots: int = 0
    entry_cost: Decimal = Decimal(0)
    priced_lots: int = 0
    price_pending: bool = False
    adjusted: bool = False
    unheard_lots: int = 0
    orders: tuple[Order, ...] = ()
    trade_ids: frozenset[str] = frozenset()
    unpriced_ids: frozenset[str] = frozenset()
    feeless: tuple[tuple[str, int], ...] = ()
    strays: tuple[tuple[str, int], ...] = ()
    wanted_trail_offset_bps: int | None = None
    wanted_stop_ticks: int | None = None
    smart_stop_ticks: int | None = None
    tighten_done: int = 0
    exit_reason: str = ""
    patient: bool = False
    exit_attempts: int = 0
    protect_attempts: int = 0
    tighten_attempts: int = 0
    maker_attempts: int = 0
    watch_count: int = 0
    watch_ns: int = 0
    shadow_ns: int = 0
    shadow_px: Decimal | None = None
    stops_lost: int = 0
    stop_taken_ns: int = 0
    hold_ns: int = 0
    child_looks: int = 0
    lacks_ns: int = 0
    entry_expired_ns: int = 0
    time_stop_passed: bool = False
    mark: Mark | None = None
    best_px: Decimal | None = None
    mode: MarketMode | None = None
    trail_activated_ns: int = 0
    venue_mode: VenueMode = "online"
    venue_mode_ns: int = 0

    @property
    def side(self) -> PositionSide:
        return self.plan.side

    @property
    def open_lots(self) -> int:
        """Executed entries minus executed exits; below zero means that more was closed than was open."""
        return self.filled_lots + self.unheard_lots - self.exited_lots

    @property
    def held_lots(self) -> int:
        """Whole lots that exist and can be protected or sold: open quantity net of base fees."""
        held = self.filled_lots + self.unheard_lots - self.exited_lots - self.fee_lots
        return held if held > 0 else 0

    @property
    def sellable_lots(self) -> int:
        """What of `held_lots` is to be closed now: what is there whatever a fee was taken of. Beyond it may be the owner's (I12).

        But no exit is left out for that: what would be under the venue's smallest order without it leaves with it.
        """
        certain = max(0, self.held_lots - sum([lots for _, lots in self.feeless]))
        return certain if certain >= self.min_lots or self.exited_lots else self.held_lots

    @property
    def doubtful_lots(self) -> int:
        """What of `unheard_lots` is known by a balance alone: not what the venue has stated as executed of an entry, as its end does."""
        stated = sum([o.cum_lots - o.filled_lots for o in self.open_orders("entry") if o.cum_lots > o.filled_lots])
        return max(0, self.unheard_lots - stated)

    def awaits_fee_of(self, trade_id: str) -> bool:
        """Whether it is not known yet in which asset the fee of an execution was taken."""
        return any(trade_id == feeless for feeless, _ in self.feeless)

    @property
    def reverse_lots(self) -> int:
        """Whole lots that were closed beyond what was open, net of base fees. Less than a lot is nothing."""
        # What is open may all have gone in fees, and more: then the fee of a way back took it.
        if self.open_lots > max(0, self.fee_lots):
            return 0
        # Not by `fee_lots`, which a begun lot rounds up: a fee of a part of a lot is no reverse position.
        size = self.instrument.size_increment
        over = -self.open_lots * size + self.side.sign * self.fee_base
        return int(over / size) if over > 0 else 0

    @property
    def has_stop(self) -> bool:
        """Whether a stop has ever left, or goes with the entry: from then on its distance only narrows (I3)."""
        return self.plan.attach_stop or self.opened_ns > 0 or any(o.role == "stop" for o in self.orders)

    @property
    def is_trail_active(self) -> bool:
        """Whether profit has ever reached the trail's activation: it took off, or its engine-kept trail began."""
        return self.trail_activated_ns > 0 or self.smart_stop_ticks is not None

    @property
    def hold_ends_ns(self) -> int:
        """When a stop that the owner took away again is put back: he has `hold_ms` to answer."""
        return self.hold_ns + self.hold_ms * 1_000_000

    @property
    def hold_ms(self) -> int:
        """A page's time, but at most `HOLD_MAX_MS`: how seldom somebody wants to be woken must not leave a position bare for an hour."""
        return min(self.plan.timing.page_interval_ms, HOLD_MAX_MS)

    @property
    def is_tradable(self) -> bool:
        """Whether what is held is at least the venue's smallest order; below it is dust (P28)."""
        return self.held_lots >= self.min_lots

    @property
    def unseen_child_lots(self) -> int:
        """Lots of the entry whose attached stop must rest at the venue and has not shown itself yet (A18).

        The venue makes one with each execution. A list may be cut short: what two in a row do not name is not there.
        A stop of ours that was sent for want of one hides it, not one that took the place of one that was told and has ended; and none
        does where lists may lack what it did.
        """
        untold_lots = self.untold_child_lots
        if not untold_lots or self.lacks_ns:
            return untold_lots
        stops = [o for o in self.orders if o.role == "stop"]
        ours = sum([o.qty_lots for o in stops if not o.is_attached])
        return max(0, untold_lots - max(0, ours - sum([o.qty_lots for o in stops if o.is_attached and not o.is_open])))

    @property
    def untold_child_lots(self) -> int:
        """Lots of the entry for which the venue has made a stop of which nothing was told, whatever stops of ours there are (A18)."""
        if not (self.plan.attach_stop and self.capabilities.attached_stop) or self.child_looks >= CHILD_LOOKS:
            return 0
        entered = self.unheard_lots + sum([o.filled_lots for o in self.orders if o.role == "entry"])
        return max(0, entered - sum([o.made_lots for o in self.orders]))

    @property
    def takes_exits(self) -> bool:
        """Whether the venue takes an exit at all, as far as it has said."""
        return self.venue_mode in ("online", "limit_only")

    def is_away(self, now_ns: int) -> bool:
        """Whether the venue is in maintenance, and has said so within `AWAY_NS`: until then nothing is sent (X16)."""
        return self.venue_mode == "maintenance" and now_ns - self.venue_mode_ns < AWAY_NS

    def is_guarded(self, *, shared: bool) -> bool:
        """Whether the venue itself refuses or cuts an order that would close more than is held: it holds funds, or knows reduce-only.

        Both look at what the account holds. Where that is `shared` with other positions or with its owner they guard nothing: a second
        stop closes what is theirs.
        """
        return not shared and (self.capabilities.holds_funds or (self.plan.margin and self.capabilities.reduce_only))

    @property
    def resize_ns(self) -> int:
        """How long an amend of a stop's size may take until the venue has to refuse it: until we would ask what became of it.

        A little less, so that the answer is evidence by either clock.
        """
        return max(self.plan.timing.amend_timeout_ms - _CLOCKS_MS, _LEAST_DEADLINE_MS) * 1_000_000

    @property
    def avg_entry_px(self) -> Decimal | None:
        """Average entry price of the fills whose price is known, None before the first."""
        if not self.priced_lots:
            return None
        return self.entry_cost / self.instrument.qty(self.priced_lots)

    def is_fresh(self, mark: Mark | None) -> bool:
        """Whether a price is known, and young enough to decide anything (A14)."""
        return mark is not None and mark.age_ns <= self.plan.timing.max_price_age_ms * 1_000_000

    def order(self, client_order_id: str, venue_order_id: str = "") -> Order | None:
        """Return the order of that client id, else of that venue id, else None."""
        for order in self.orders:
            if client_order_id and order.client_order_id == client_order_id:
                return order
            if venue_order_id and order.venue_order_id == venue_order_id:
                return order
        return None

    def open_orders(self, *roles: Role) -> tuple[Order, ...]:
        """Return the orders that may still fill, of `roles` or of all roles."""
        return tuple([o for o in self.orders if o.status not in END_STATUSES and (not roles or o.role in roles)])


def fee_lots_of(instrument: Instrument, side: PositionSide, fee_base: Decimal) -> int:
    """Return the lots that base fees take from what is held, rounded up: what is left of the last lot is dust.

    They leave a long. A short owes them: what was borrowed is then more than what was sold.
    """
    # Not by `//`: on Decimals it cuts towards zero, whatever the sign.
    lots, rest = divmod(fee_base, instrument.size_increment)
    return int(lots) + (rest > 0) if side is PositionSide.LONG else -int(lots) + (rest < 0)
