"""What is known of each order of the account: ids, merged numbers, whose it is. State of the translator, without meaning.

An order is ours if its client id is of our namespace, if a reply to a request of ours named it, if it carries the
`order_userref` of an entry with an attached stop (such an entry can have no client id), or if it is the child of one that
is ours. Whether past trades in a snapshot carry an `order_userref` is not verified (the captured ones had none set): such
an entry is also recognised by its child, a stop of just the kind that was attached. An order that nobody owns yet, while a
submit of ours has no venue id yet, may be that one: what is said of it is held back until a reply or `HOLD_NS` decides, so
that no fill of ours is taken for somebody else's.

Bounded: `ENDED_ORDERS_KEPT` ended orders and `ORDERS_KEPT` in all are remembered, `TRADE_IDS_KEPT` execution ids, and
`HELD_PER_ORDER` held updates an order.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from events.commands import SubmitOrder
from events.errors import BadInput
from events.facts import OrderFilled
from events.ids import position_id_of
from events.values import Side

from .attached import Attached
from .codec import ExecEntry, number

ENDED_ORDERS_KEPT = 4096
ORDERS_KEPT = 20_000
TRADE_IDS_KEPT = 10_000
HELD_PER_ORDER = 64
HOLD_NS = 5_000_000_000

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_NOTHING = Decimal(0)


class OrderRecord(msgspec.Struct):
    """All that was said of one order so far."""

    venue_order_id: str
    client_order_id: str = ""
    wire_client_id: str = ""
    is_ours: bool = False
    parent_venue_order_id: str = ""
    symbol: str = ""
    side: Side | None = None
    order_type: str = ""
    margin: bool = False
    order_qty: Decimal | None = None
    cum_qty: Decimal | None = None
    summed_qty: Decimal = Decimal(0)
    limit_price: Decimal | None = None
    trail_offset_bps: int | None = None
    effective_stop: Decimal | None = None
    is_named: bool = False
    is_child_told: bool = False
    is_triggered: bool = False
    is_reference_told: bool = False
    ended: str = ""
    held: list[ExecEntry] = []

    @property
    def executed_qty(self) -> Decimal:
        """Quantity executed by now: what the venue stated, or the sum of the executions if that is more."""
        return max(self.cum_qty or Decimal(0), self.summed_qty)

    @property
    def leaves_qty(self) -> Decimal | None:
        """Quantity still open, None if the venue never said how large the order is."""
        if self.order_qty is None:
            return None
        return max(self.order_qty - self.executed_qty, Decimal(0))


class Orders:
    """The orders of one account. `namespace` is the prefix of own client ids.

    `asks_ledgers`: of an execution that REST tells, the ledger is asked in which asset its fee was taken. `feeless` are those that were
    told without their fee for that, as (symbol, fact) by execution id.
    """

    def __init__(self, namespace: str, asks_ledgers: bool = False) -> None:
        self._namespace = namespace
        self.asks_ledgers = asks_ledgers
        self.feeless: dict[str, tuple[str, OrderFilled]] = {}
        self._records: OrderedDict[str, OrderRecord] = OrderedDict()
        self._ended: deque[str] = deque()
        self._venue_ids: dict[str, str] = {}
        self._userrefs: OrderedDict[int, SubmitOrder] = OrderedDict()
        self._unclaimed: OrderedDict[str, SubmitOrder] = OrderedDict()
        self._attached = Attached()
        self._trade_ids: OrderedDict[str, None] = OrderedDict()
        self._behind_gap: dict[str, bool] | None = None
        self._by_rest_alone: dict[str, None] = {}
        self._outdated: frozenset[str] = frozenset()
        self._awaiting: dict[str, int] = {}
        self._holding: dict[str, None] = {}

    # --- ids of ours ------------------------------------------------------------------------------------------------

    def client_order_id_of(self, venue_order_id: str) -> str:
        """Return our client id of a venue's order, "" if it is not ours or has none."""
        record = self._records.get(venue_order_id)
        return record.client_order_id if record is not None else ""

    def venue_order_id_of(self, client_order_id: str) -> str:
        """Return the venue's id of an order of ours, "" until it is known."""
        return self._venue_ids.get(client_order_id, "")

    def symbol_of(self, venue_order_id: str) -> str:
        """Return the symbol of an order, "" until it is known."""
        record = self._records.get(venue_order_id)
        return record.symbol if record is not None else ""

    def bind(self, client_order_id: str, venue_order_id: str) -> None:
        """Note that the order `venue_order_id` is ours, under `client_order_id`."""
        record = self.record(venue_order_id)
        record.client_order_id, record.is_ours = client_order_id, True
        self._venue_ids[client_order_id] = venue_order_id
        self._attached.claim(client_order_id)
        self._answered(client_order_id)

    def expect(self, client_order_id: str, now_ns: int) -> None:
        """Note that an order of ours was sent and has no venue id yet."""
        self._awaiting[client_order_id] = now_ns + HOLD_NS

    def tag(self, order_userref: int, entry: SubmitOrder, *, is_new: bool = True, is_over: bool = False) -> None:
        """Note that an entry with an attached stop is recognised by `order_userref`, or by its child.

        `is_new`: it is sent now, so that all that it does will be heard. `is_over`: it has ended, and all of its stops are known.
        """
        if not is_over:
            self._attached.expect(entry, is_new)
        self._userrefs[order_userref] = self._unclaimed[entry.client_order_id] = entry
        _keep_newest(self._userrefs, ENDED_ORDERS_KEPT)
        _keep_newest(self._unclaimed, ENDED_ORDERS_KEPT)

    def userref_of(self, client_order_id: str) -> int:
        """Return the number by which the venue knows an order of ours that has no client id there, else 0."""
        return next((number for number, entry in self._userrefs.items() if entry.client_order_id == client_order_id), 0)

    def tag_of(self, order_userref: int, client_order_id: str) -> int:
        """Return `order_userref` if the order `client_order_id` is known by it, else 0."""
        tagged = self._userrefs.get(order_userref)
        return order_userref if tagged is not None and tagged.client_order_id == client_order_id else 0

    def refuse(self, client_order_id: str) -> None:
        """Note that a sent order was refused."""
        self._attached.forget(client_order_id)
        self._answered(client_order_id)

    def _answered(self, client_order_id: str) -> None:
        self._awaiting.pop(client_order_id, None)
        self._unclaimed.pop(client_order_id, None)

    # --- executions that are known ----------------------------------------------------------------------------------

    @property
    def has_trades(self) -> bool:
        """True if any execution is known."""
        return bool(self._trade_ids)

    @property
    def has_gap(self) -> bool:
        """True while executions may be missing between what was known and what a snapshot told."""
        return self._behind_gap is not None

    def is_news(self, trade_id: str) -> bool:
        """Tell whether a list that has an execution is as new as the stream: the stream told it since the newest gap began.

        Not where the snapshot by which the gap was seen named a later one that could not be told: of that one such a list says nothing.
        """
        return self._behind_gap is not None and self._behind_gap.get(trade_id, False)

    def is_known_trade(self, trade_id: str | None) -> bool:
        """Tell whether an execution is known."""
        return trade_id in self._trade_ids

    def is_anchor(self, trade_id: str | None) -> bool:
        """Tell whether an execution was known before any that may be missing: a list that reaches back to it lacks nothing."""
        return trade_id in self._trade_ids and not self.is_behind_gap(trade_id)

    def is_behind_gap(self, trade_id: str | None) -> bool:
        """Tell whether executions before this known one may be missing."""
        return trade_id in self._by_rest_alone or (self._behind_gap is not None and trade_id in self._behind_gap)

    def restore_trades(self, trade_ids: Iterable[str], behind_gap: Iterable[str]) -> None:
        """Note the executions that a log knows, the oldest first; those `behind_gap` prove nothing about what came before them."""
        self._behind_gap = dict.fromkeys(behind_gap, False) or None
        for trade_id in trade_ids:
            self._trade_ids[trade_id] = None
        _keep_newest(self._trade_ids, TRADE_IDS_KEPT)

    def remember_trade(self, trade_id: str, by_rest: bool = False) -> None:
        """Note an execution as known: a snapshot must overlap with one to be complete."""
        is_new, is_behind = trade_id not in self._trade_ids, not self.is_anchor(trade_id)
        self._trade_ids[trade_id] = None
        if not by_rest:
            self._by_rest_alone.pop(trade_id, None)
        if self._behind_gap is not None:
            if is_behind:
                is_news = not by_rest and trade_id not in self._outdated
                self._behind_gap[trade_id] = is_news or self._behind_gap.get(trade_id, False)
        elif by_rest and is_new:
            # The stream may be stalled and nobody have noticed yet: what it has not told of before this one may be missing.
            self._by_rest_alone[trade_id] = None
        _keep_newest(self._trade_ids, TRADE_IDS_KEPT)

    def open_gap(self, outdated: Iterable[str] = (), untold: str = "") -> None:
        """Note that executions may be missing: what is learned from here on proves nothing about those before it.

        `untold`: the newest execution of the snapshot by which that is seen that could not be told, `outdated` those before it.
        """
        # Of several gaps in a row only what came behind the last one is as new as the stream.
        self._behind_gap = dict.fromkeys([*(self._behind_gap or ()), *self._by_rest_alone], False)
        self._by_rest_alone.clear()
        self._outdated = frozenset(outdated)
        if untold and not self.is_known_trade(untold):
            self._behind_gap[untold] = True

    def close_gap(self) -> None:
        """Note that every execution is known again: a list reached back to an anchor."""
        self._behind_gap = None
        self._by_rest_alone.clear()

    # --- records ----------------------------------------------------------------------------------------------------

    def record(self, venue_order_id: str) -> OrderRecord:
        """Return the record of an order, an empty one if it was never heard of."""
        record = self._records.get(venue_order_id)
        if record is None:
            if len(self._records) >= ORDERS_KEPT:
                # Somebody else's, or an ended one, before an open one of ours.
                others = (key for key, kept in self._records.items() if kept.ended or not kept.is_ours)
                self._forget(next(others, next(iter(self._records))))
            record = self._records[venue_order_id] = OrderRecord(venue_order_id)
        return record

    def identify(self, entry: ExecEntry) -> OrderRecord:
        """Return the record of an entry, with its ids, symbol and side merged in."""
        record = self.record(entry.order_id)
        if entry.cl_ord_id:
            record.wire_client_id = entry.cl_ord_id
            if not record.is_ours and position_id_of(entry.cl_ord_id, self._namespace) is not None:
                self.bind(entry.cl_ord_id, entry.order_id)
        record.symbol = entry.symbol or record.symbol
        record.side = _SIDES.get((entry.side or "").lower(), record.side)
        record.order_type = entry.order_type or record.order_type
        record.margin = record.margin or bool(entry.margin)
        record.parent_venue_order_id = entry.ord_ref_id or record.parent_venue_order_id
        if entry.order_userref and not record.is_ours and not record.parent_venue_order_id:
            self._identify_by_userref(record, entry.order_userref)
        return record

    def _identify_by_userref(self, record: OrderRecord, order_userref: int) -> None:
        tagged = self._userrefs.get(order_userref)
        if tagged is None:
            return
        bound = self._venue_ids.get(tagged.client_order_id)
        # Whether a child inherits its parent's tag is not verified; if it does, it is told apart by id and side.
        is_other_side = record.side is not None and record.side is not tagged.side
        if bound is None and not is_other_side:
            self.bind(tagged.client_order_id, record.venue_order_id)
        elif bound is not None and bound != record.venue_order_id:
            record.parent_venue_order_id = bound

    def identify_parents(self, entries: Iterable[ExecEntry]) -> None:
        """Recognise entries of ours by the open stops of a snapshot: where one child alone can be one entry's alone."""
        claims: set[tuple[str, str]] = set()
        for entry in entries:
            record = self._records.get(entry.order_id)
            if self._unclaimed and record is not None and record.parent_venue_order_id and not self.is_owned(record):
                parent = record.parent_venue_order_id
                claims |= {(sent.client_order_id, parent) for sent in self._unclaimed.values() if _is_child_of(sent, record, entry)}
        for client_order_id, parent in sorted(claims):
            if sum(client_order_id == one or parent == other for one, other in claims) == 1:
                self.bind(client_order_id, parent)

    def name(self, entry: ExecEntry) -> OrderRecord:
        """Identify an entry that holds all that the venue knows of an order: if it is not ours now, it never was."""
        record = self.identify(entry)
        record.is_named = True
        if record.order_qty is None:
            record.order_qty = _qty_of(entry.order_qty)
        return record

    def is_named(self, venue_order_id: str) -> bool:
        """Tell whether it is known whose order this is."""
        record = self._records.get(venue_order_id)
        return record is not None and (self.is_owned(record) or record.is_named or bool(record.wire_client_id))

    def may_be_ours(self, record: OrderRecord) -> bool:
        """Tell whether an order may be an entry that the venue knows by a number only, or its child: past executions name neither."""
        if self.is_named(record.venue_order_id):
            return False
        # An order that was never heard of has no symbol yet.
        if self._attached.unclaimed(record.symbol):
            return True
        while client_order_id := self._attached.claimed(record.symbol, record.side):
            entry = self._records.get(self._venue_ids.get(client_order_id, ""))
            if entry is None or not self._attached.is_covered(client_order_id, entry.executed_qty, bool(entry.ended)):
                return True
            self._attached.forget(client_order_id)
        return False

    def told_child(self, record: OrderRecord) -> None:
        """Note that a stop which the venue made of an entry of ours was told."""
        parent = self.client_order_id_of(record.parent_venue_order_id)
        if parent and record.order_qty is not None:
            self._attached.told(parent, record.order_qty)

    def has_stop_of_nothing(self, entries: Sequence[ExecEntry], now_ns: int) -> bool:
        """Tell whether a snapshot, identified and not told yet, leaves a stop that the venue made of an execution without that one."""
        stops = dict(self._attached.stops())
        if not stops:
            return False
        executed, untold = dict[str, Decimal](), dict[str, Decimal]()
        stated = {entry.order_id: _qty_of(entry.cum_qty) or _NOTHING for entry in entries if entry.exec_type != "trade"}
        for entry in entries:
            record = self.record(entry.order_id)
            if entry.exec_type == "trade":
                if not self.is_known_trade(entry.exec_id):
                    executed[entry.order_id] = executed.get(entry.order_id, _NOTHING) + (_qty_of(entry.last_qty) or _NOTHING)
            elif record.parent_venue_order_id and not record.client_order_id and not record.is_child_told and self.is_owned(record):
                parent = self.client_order_id_of(record.parent_venue_order_id)
                untold[parent] = untold.get(parent, _NOTHING) + (_qty_of(entry.order_qty) or _NOTHING)
        beyond = set()
        for client_order_id, stops_qty in stops.items():
            order_id = self._venue_ids.get(client_order_id, "")
            entered = self._records.get(order_id)
            summed = executed.get(order_id, _NOTHING) + (_NOTHING if entered is None else entered.summed_qty)
            known = max(summed, stated.get(order_id, _NOTHING), _NOTHING if entered is None else entered.executed_qty)
            if stops_qty + untold.get(client_order_id, _NOTHING) > known:
                beyond.add(client_order_id)
        return self._attached.doubt(beyond, now_ns)

    def listed(self, open_orders: Iterable[OrderRecord], now_ns: int) -> None:
        """Note what a list that lacks no execution names as open."""
        self._attached.listed(frozenset(record.client_order_id for record in open_orders if record.client_order_id), now_ns)

    def is_owned(self, record: OrderRecord) -> bool:
        """Tell whether an order is ours, by now."""
        if not record.is_ours and record.parent_venue_order_id:
            parent = self._records.get(record.parent_venue_order_id)
            record.is_ours = parent is not None and parent.is_ours
        return record.is_ours

    def end(self, record: OrderRecord, kind: str) -> bool:
        """Note that an order ended; return False if just this was said before."""
        if record.ended == kind:
            return False
        if not record.ended:
            self._ended.append(record.venue_order_id)
            if len(self._ended) > ENDED_ORDERS_KEPT:
                self._forget(self._ended.popleft())
        record.ended = kind
        return True

    def _forget(self, venue_order_id: str) -> None:
        record = self._records.pop(venue_order_id, None)
        if record is not None:
            self._holding.pop(venue_order_id, None)
            if self._venue_ids.get(record.client_order_id) == venue_order_id:
                del self._venue_ids[record.client_order_id]

    # --- holding back -----------------------------------------------------------------------------------------------

    def is_undecided(self, record: OrderRecord) -> bool:
        """Tell whether an order without an owner may turn out to be one that we just sent."""
        if record.wire_client_id or len(record.held) >= HELD_PER_ORDER or self.is_owned(record):
            return False
        # What a snapshot left nameless keeps the gap open until REST names it.
        return bool(self._awaiting) or (self.has_gap and bool(record.held) and not record.is_named)

    def hold(self, record: OrderRecord, entry: ExecEntry) -> None:
        """Keep an entry until it is known whose order it is."""
        # Each list names an open order anew: said once more it is no news, and must not use up what may be held.
        if entry not in record.held and (not entry.exec_id or all(entry.exec_id != held.exec_id for held in record.held)):
            record.held.append(entry)
        self._holding[record.venue_order_id] = None

    def unhold(self, record: OrderRecord) -> list[ExecEntry]:
        """Return what was held back for an order, oldest first, and hold it no longer."""
        entries, record.held = record.held, []
        self._holding.pop(record.venue_order_id, None)
        return entries

    @property
    def is_holding(self) -> bool:
        """True while anything is held back."""
        return bool(self._holding)

    def decided(self, ts_recv_ns: int) -> list[OrderRecord]:
        """Return the orders with held entries whose owner is known by now, or can no longer be found out."""
        for client_order_id in [key for key, until_ns in self._awaiting.items() if until_ns <= ts_recv_ns]:
            del self._awaiting[client_order_id]
        records = [self._records[venue_order_id] for venue_order_id in self._holding]
        return [record for record in records if not self.is_undecided(record)]


def _qty_of(value: Any) -> Decimal | None:
    try:
        return number(value, "quantity")
    except BadInput:
        return None


def _is_child_of(entry: SubmitOrder, child: OrderRecord, told: ExecEntry) -> bool:
    """Tell whether a stop is of the symbol, side, size and level that was attached to an entry."""
    stop, triggers = entry.attached, told.triggers
    if stop is None or triggers is None or child.symbol != entry.symbol or child.side in (None, entry.side):
        return False
    try:
        price, qty = number(triggers.price, "triggers.price"), number(told.order_qty, "order_qty")
    except BadInput:
        return False
    is_trail = child.order_type.startswith("trailing")
    level = price * 100 if is_trail else price
    return qty <= entry.qty and level == (stop.trail_offset_bps if is_trail else stop.trigger_price)


def _keep_newest(kept: "OrderedDict[Any, Any]", limit: int) -> None:
    while len(kept) > limit:
        kept.popitem(last=False)
