"""The executions channel: sparse updates merged per order, and the facts that they amount to.

Rules
    An update names its order and what changed, nothing else (K6), so each order has a record that only gains (`orders`).
    Quantity comes from executions; "filled" is a statement about the order, not a fill (K7).
    What belongs to nobody of ours is told as foreign, with symbol, side and quantity.
    A number that is none costs itself and no more: the rest of its entry is used, and what was wrong is told.
    Facts may repeat (a snapshot repeats every fill it lists); whoever books them looks at the execution id. An order's end
    is told once.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from events.errors import NotFinite
from events.facts import (
    AnyFact,
    ChildDiscovered,
    Fee,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderCompleted,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    StopReported,
)

from ..messages import AnyMessage, ForeignFill, ForeignOrder, FrameRefused, OpenOrder, ReferenceDiffers, RefusalCode, SnapshotTaken
from .codec import ODDITIES_KEPT, ExecEntry, Triggers, number
from .encode import REFERENCE
from .errors import refusal_from
from .orders import OrderRecord, Orders
from .times import ns_from_rfc3339

# What the venue says of an order that a user of the account has cancelled, by whatever means; a reason of its own reads otherwise.
BY_A_USER = "User requested"

Output = AnyFact | AnyMessage

_LIQUIDITY_SIDES = {"m": "maker", "t": "taker"}
_ENDED = {"filled", "canceled", "expired", "rejected"}
_QUIET = {"pending_new", "iceberg_refill"}
_KINDS = {"new", "trade", "amended", "restated", "status", *_ENDED, *_QUIET}
_KIND_FROM_STATUS = {kind: kind for kind in ("pending_new", "new", *_ENDED)} | {"partially_filled": "status"}


class Change(msgspec.Struct, frozen=True):
    """The numbers of one entry, checked: what it said, None where it said nothing (usable)."""

    order_qty: Decimal | None
    cum_qty: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None
    trail_offset_bps: int | None
    effective_stop: Decimal | None
    peak: Decimal | None
    has_moved_stop: bool


def update(orders: Orders, entries: Sequence[ExecEntry], ts_recv_ns: int, raw: str) -> list[Output]:
    """Return the facts and messages of one update frame, in its order."""
    reading = _Reading(orders, ts_recv_ns, raw)
    reading.identify(entries)
    for entry in entries:
        reading.take(entry)
    return reading.output


def told_by_rest(orders: Orders, entries: Sequence[ExecEntry], ts_recv_ns: int, raw: str) -> list[Output]:
    """Return the facts of executions that were read by REST: they fill a gap, and do not bridge one by themselves."""
    reading = _Reading(orders, ts_recv_ns, raw, by_rest=True)
    reading.identify(entries)
    for entry in entries:
        reading.take(entry)
    return reading.output


def snapshot(orders: Orders, entries: Sequence[ExecEntry], ts_recv_ns: int, raw: str) -> list[Output]:
    """Return the facts of a snapshot, executions first and in the order of their times, then `SnapshotTaken`.

    An entry of type "trade" is one of the last 50 executions; every other one is an open order. An open order is told as
    accepted, unless its stop has triggered, and is in `SnapshotTaken.open_orders`.
    """
    trades = [entry for entry in entries if entry.exec_type == "trade"]
    trades.sort(key=lambda entry: (ns_from_rfc3339(entry.timestamp), entry.exec_id or ""))
    # Back to one that is known, or none at all. A short list without a known one may be cut, at any number.
    is_overlapping = any(orders.is_anchor(entry.exec_id) for entry in trades)
    is_complete = is_overlapping or not (trades or orders.has_trades)
    reading = _Reading(orders, ts_recv_ns, raw)
    reading.identify(entries)
    orders.identify_parents(entry for entry in entries if entry.exec_type != "trade")
    # Taken for somebody else's, they would leave the order that they filled for absent: they wait until REST names it.
    are_nameless = [not orders.is_known_trade(entry.exec_id) and orders.may_be_ours(orders.record(entry.order_id)) for entry in trades]
    # What cannot be booked may be what an order of ours did before it left the list.
    are_untold = [is_nameless or not can_book(orders, entry) for entry, is_nameless in zip(trades, are_nameless, strict=True)]
    is_complete = is_complete and not any(are_untold) and not orders.has_stop_of_nothing(entries, ts_recv_ns)
    if is_complete:
        orders.close_gap()
    else:
        # The next snapshot overlaps with this one, and lacks what this one lacks.
        newest = max((place for place, is_untold in enumerate(are_untold) if is_untold), default=-1)
        outdated = [entry.exec_id for entry in trades[: max(newest, 0)] if entry.exec_id]
        orders.open_gap(outdated, (trades[newest].exec_id or "") if newest >= 0 else "")
    for entry, is_nameless in zip(trades, are_nameless, strict=True):
        if is_nameless:
            orders.hold(orders.record(entry.order_id), entry)
        else:
            reading.take(entry)
    open_orders = [listed for entry in entries if entry.exec_type != "trade" and (listed := reading.take_listed(entry)) is not None]
    if is_complete:
        orders.listed([orders.record(order.venue_order_id) for order in open_orders], ts_recv_ns)
    newest_ns = ns_from_rfc3339(trades[-1].timestamp) if trades else 0
    taken = SnapshotTaken(ts_recv_ns=ts_recv_ns, open_orders=tuple(open_orders), trades_complete=is_complete, newest_trade_ns=newest_ns)
    reading.output.append(taken)
    return reading.output


def release(orders: Orders, ts_recv_ns: int) -> list[Output]:
    """Return what was held back for orders whose owner is known by now, or can no longer be found out."""
    reading = _Reading(orders, ts_recv_ns, "")
    for record in orders.decided(ts_recv_ns):
        reading.tell_held(record)
    return reading.output


def can_book(orders: Orders, trade: ExecEntry) -> bool:
    """Tell whether an execution is known, or its entry says enough to book it: a list with one of which neither is true lacks it."""
    if orders.is_known_trade(trade.exec_id):
        return True
    try:
        qty = number(trade.last_qty, "executions.last_qty")
    except NotFinite:
        return False
    return bool(trade.order_id and trade.exec_id) and qty > 0 and orders.record(trade.order_id).side is not None


class _Reading:
    """One frame on its way to facts: collects output and what was wrong in it."""

    def __init__(self, orders: Orders, ts_recv_ns: int, raw: str, by_rest: bool = False) -> None:
        self._orders, self._ts_recv_ns, self._raw, self._by_rest = orders, ts_recv_ns, raw, by_rest
        self._refusal_count = 0
        self.output: list[Output] = []

    def identify(self, entries: Sequence[ExecEntry]) -> None:
        # Ids first, for the whole frame: a snapshot may list an execution before the order that it belongs to.
        for entry in entries:
            if entry.order_id:
                self._orders.identify(entry)

    def take(self, entry: ExecEntry) -> None:
        if not entry.order_id:
            self._refuse("bad_entry", "executions: an entry without order_id")
            return
        record = self._orders.identify(entry)
        if self._orders.is_undecided(record):
            self._orders.hold(record, entry)
        else:
            self.tell_held(record)
            self.tell(record, entry, self._by_rest)

    def tell_held(self, record: OrderRecord) -> None:
        for entry in self._orders.unhold(record):
            self.tell(record, entry)

    def take_listed(self, entry: ExecEntry) -> OpenOrder | None:
        kind = _kind_of(entry)
        if not entry.order_id or kind in _ENDED:
            self.take(entry)
            return None
        record = self._orders.identify(entry)
        is_ours = self._orders.is_owned(record)
        if is_ours:
            self.tell_held(record)
        # Listed as open after all: how it ends is news once more.
        record.ended = ""
        change = self._merge(record, entry)
        if is_ours:
            self._tell_child(record, entry)
            self._tell_reference(record, entry)
            if not self._tell_triggered(record, entry) and not record.is_triggered and kind != "pending_new":
                self._tell_accepted(record, entry)
        elif self._orders.is_undecided(record):
            self._orders.hold(record, entry)
        else:
            self._tell_foreign(record, entry, "new")
        return _open_order_from(record, is_ours, change)

    def tell(self, record: OrderRecord, entry: ExecEntry, is_from_rest: bool = False) -> None:
        kind = _kind_of(entry)
        if kind == "":
            self._refuse("unknown_exec_type", f"executions: exec_type {entry.exec_type[:40]!r} is not known, its numbers were merged")
        change = self._merge(record, entry)
        is_ours = self._orders.is_owned(record)
        if is_ours:
            self._tell_child(record, entry)
            self._tell_reference(record, entry)
            if not self._tell_triggered(record, entry) and kind in ("status", "") and change.has_moved_stop:
                self._tell(StopReported, record, entry, effective_stop=change.effective_stop, peak=change.peak)
        if kind == "trade":
            # Its order_status proves nothing: a completing trade may say partially_filled (K7), and past trades of a
            # partly filled order say filled (seen in captures of snapshots).
            self._tell_fill(record, entry, change, is_ours, is_from_rest)
        elif kind in _ENDED:
            self._end(record, kind, entry, change.cum_qty)
        elif kind == "new" and is_ours:
            # A late "new" behind the end of its order says nothing any more.
            if not record.ended and not record.is_triggered:
                self._tell_accepted(record, entry)
        elif kind in ("amended", "restated") and is_ours:
            self._tell_amended(record, entry, change, by_venue=kind == "restated")
        elif kind in ("new", "amended", "restated"):
            self._tell_foreign(record, entry, kind)

    # --- numbers ----------------------------------------------------------------------------------------------------

    def _merge(self, record: OrderRecord, entry: ExecEntry) -> Change:
        stop, price, trail_offset_bps, peak = self._stop_from(record, entry)
        change = Change(
            order_qty=self._above_zero(entry.order_qty, "executions.order_qty"),
            cum_qty=self._from_zero(entry.cum_qty, "executions.cum_qty"),
            limit_price=self._above_zero(entry.limit_price, "executions.limit_price"),
            trigger_price=price,
            trail_offset_bps=trail_offset_bps,
            effective_stop=stop,
            peak=peak,
            has_moved_stop=stop is not None and stop != record.effective_stop,
        )
        record.order_qty = change.order_qty or record.order_qty
        record.limit_price = change.limit_price or record.limit_price
        record.trail_offset_bps = change.trail_offset_bps or record.trail_offset_bps
        record.effective_stop = change.effective_stop or record.effective_stop
        if change.cum_qty is not None:
            record.cum_qty = max(change.cum_qty, record.cum_qty or Decimal(0))
        return change

    def _stop_from(self, record: OrderRecord, entry: ExecEntry) -> tuple[Decimal | None, Decimal | None, int | None, Decimal | None]:
        # (effective stop, configured static price, configured trail, peak)
        triggers = entry.triggers
        if triggers is None:
            stop = self._above_zero(entry.stop_price, "executions.stop_price")
            return stop, stop, None, None
        price = self._above_zero(triggers.price, "executions.triggers.price")
        actual = self._above_zero(triggers.actual_price, "executions.triggers.actual_price")
        peak = self._above_zero(triggers.peak_price, "executions.triggers.peak_price")
        if _is_static(triggers, record.order_type):
            return actual or price, price, None, peak
        return actual, None, _bps_from(triggers, record.order_type, price), peak

    def _number(self, value: Any, place: str) -> Decimal | None:
        if value is None:
            return None
        try:
            return number(value, place)
        except NotFinite as problem:
            # What else the entry says is still used: a fill must not be lost for a broken fee.
            self._refuse("bad_entry", str(problem))
            return None

    def _from_zero(self, value: Any, place: str) -> Decimal | None:
        result = self._number(value, place)
        return result if result is not None and result >= 0 else None

    def _above_zero(self, value: Any, place: str) -> Decimal | None:
        result = self._number(value, place)
        return result if result is not None and result > 0 else None

    # --- output -----------------------------------------------------------------------------------------------------

    def _tell(self, fact: type[Any], record: OrderRecord, entry: ExecEntry, **fields: Any) -> None:
        self.output.append(
            fact(
                client_order_id=record.client_order_id,
                venue_order_id=record.venue_order_id,
                ts_event_ns=ns_from_rfc3339(entry.timestamp),
                ts_recv_ns=self._ts_recv_ns,
                **fields,
            )
        )

    def _tell_child(self, record: OrderRecord, entry: ExecEntry) -> None:
        if not record.parent_venue_order_id or record.is_child_told or record.client_order_id or record.order_qty is None:
            return
        record.is_child_told = True
        self._orders.told_child(record)
        is_trailing = record.order_type.startswith("trailing")
        self._tell(
            ChildDiscovered,
            record,
            entry,
            parent_venue_order_id=record.parent_venue_order_id,
            qty=record.order_qty,
            order_type="trailing-stop" if is_trailing else "stop-loss",
            trigger_price=None if is_trailing else record.effective_stop,
            trail_offset_bps=record.trail_offset_bps,
        )

    def _tell_reference(self, record: OrderRecord, entry: ExecEntry) -> None:
        # The level is watched on the last trade. A venue that falls back to another price fires elsewhere (K11, X2).
        reference = entry.triggers.reference if entry.triggers is not None else None
        if reference in (None, REFERENCE) or record.is_reference_told:
            return
        record.is_reference_told = True
        self._tell(ReferenceDiffers, record, entry, symbol=record.symbol, reference=str(reference)[:40])

    def _tell_triggered(self, record: OrderRecord, entry: ExecEntry) -> bool:
        triggers = entry.triggers
        has_triggered = entry.order_status == "triggered" or (triggers is not None and triggers.status == "triggered")
        if not has_triggered or record.is_triggered:
            return False
        record.is_triggered = True
        px = self._above_zero(triggers.last_price, "executions.triggers.last_price") if triggers is not None else None
        self._tell(OrderTriggered, record, entry, px=px)
        return True

    def _tell_accepted(self, record: OrderRecord, entry: ExecEntry) -> None:
        # Together they give the order's total: what became of an amend whose answer was lost shows only here.
        executed = None if record.order_qty is None else record.executed_qty
        self._tell(OrderAccepted, record, entry, leaves_qty=record.leaves_qty, cum_qty=executed, effective_stop=record.effective_stop)

    def _tell_amended(self, record: OrderRecord, entry: ExecEntry, change: Change, by_venue: bool) -> None:
        self._tell(
            OrderAmended,
            record,
            entry,
            order_qty=change.order_qty,
            limit_price=change.limit_price,
            trigger_price=change.trigger_price,
            trail_offset_bps=change.trail_offset_bps,
            effective_stop=change.effective_stop,
            by_venue=by_venue,
        )

    def _tell_fill(self, record: OrderRecord, entry: ExecEntry, change: Change, is_ours: bool, is_from_rest: bool) -> None:
        last_qty = self._above_zero(entry.last_qty, "executions.last_qty")
        if not entry.exec_id or last_qty is None or record.side is None:
            self._refuse("bad_entry", f"executions: a trade of {entry.order_id[:40]!r} without exec_id, last_qty or side cannot be booked")
            return
        is_known = self._orders.is_known_trade(entry.exec_id)
        if not is_known:
            record.summed_qty += last_qty
        self._orders.remember_trade(entry.exec_id, self._by_rest)
        fields: dict[str, Any] = {
            "trade_id": entry.exec_id,
            "side": record.side,
            "last_qty": last_qty,
            # Zero, negative, absent or no number: quantity is known, the price is asked for (A16, X9).
            "last_px": self._above_zero(entry.last_price, "executions.last_price"),
            "fees": self._fees_from(entry),
        }
        if is_ours:
            cum_qty = change.cum_qty if change.cum_qty is not None and change.cum_qty >= last_qty else None
            liquidity_side = _LIQUIDITY_SIDES.get(entry.liquidity_ind or "", "")
            behind_gap = True if self._orders.is_behind_gap(entry.exec_id) else msgspec.UNSET
            is_open = is_from_rest and self._is_fee_open(record, entry.exec_id, is_known, fields["fees"])
            if fields["fees"] and not is_from_rest:
                if (told := self._orders.feeless.pop(entry.exec_id, None)) is not None:
                    fields["fee_worth"] = told[1].fee_worth
            elif is_open:
                fields |= {"fee_worth": fields["fees"][0].qty, "fees": ()}
            self._tell(OrderFilled, record, entry, cum_qty=cum_qty, liquidity_side=liquidity_side, behind_gap=behind_gap, **fields)
            if is_open:
                self._orders.feeless[entry.exec_id] = record.symbol, cast(OrderFilled, self.output[-1])
        else:
            fields["ts_event_ns"] = ns_from_rfc3339(entry.timestamp)
            self.output.append(
                ForeignFill(
                    client_order_id=record.wire_client_id,
                    venue_order_id=record.venue_order_id,
                    symbol=record.symbol,
                    margin=record.margin,
                    ts_recv_ns=self._ts_recv_ns,
                    **fields,
                )
            )

    def _is_fee_open(self, record: OrderRecord, trade_id: str, is_known: bool, fees: tuple[Fee, ...]) -> bool:
        """Whether REST tells a fee by its worth only: on spot it may have been taken in the base asset (`codec_rest`)."""
        return self._orders.asks_ledgers and not record.margin and bool(fees) and (not is_known or trade_id in self._orders.feeless)

    def _fees_from(self, entry: ExecEntry) -> tuple[Fee, ...]:
        fees = [(fee.asset, self._number(fee.qty, "executions.fees.qty")) for fee in entry.fees or ()]
        return tuple(Fee(asset=asset, qty=qty) for asset, qty in fees if qty is not None)

    def _end(self, record: OrderRecord, kind: str, entry: ExecEntry, cum_qty: Decimal | None) -> None:
        if not self._orders.end(record, kind):
            return
        reason = entry.reason or entry.cancel_reason or ""
        if not self._orders.is_owned(record):
            self._tell_foreign(record, entry, kind)
        elif kind == "filled":
            self._tell(OrderCompleted, record, entry, cum_qty=cum_qty)
        elif kind == "canceled":
            by_hand = True if reason.startswith(BY_A_USER) else msgspec.UNSET
            self._tell(OrderCanceled, record, entry, cum_qty=cum_qty, reason=reason, by_hand=by_hand)
        elif kind == "expired":
            self._tell(OrderExpired, record, entry, cum_qty=cum_qty, reason=reason)
        else:
            self._tell(OrderRejected, record, entry, reject_class=refusal_from(reason).reject_class, text=reason)

    def _tell_foreign(self, record: OrderRecord, entry: ExecEntry, status: str) -> None:
        self.output.append(
            ForeignOrder(
                client_order_id=record.wire_client_id,
                venue_order_id=record.venue_order_id,
                symbol=record.symbol,
                side=record.side,
                status=status,
                qty=record.order_qty,
                leaves_qty=Decimal(0) if status in _ENDED else record.leaves_qty,
                ts_event_ns=ns_from_rfc3339(entry.timestamp),
                ts_recv_ns=self._ts_recv_ns,
            )
        )

    def _refuse(self, code: RefusalCode, reason: str) -> None:
        self._refusal_count += 1
        if self._refusal_count > ODDITIES_KEPT:
            return
        self.output.append(FrameRefused(code=code, reason=reason, raw=self._raw, ts_recv_ns=self._ts_recv_ns))


def _kind_of(entry: ExecEntry) -> str:
    if entry.exec_type in _KINDS:
        return entry.exec_type
    # An event type of the future: the order's state is still readable.
    status = _KIND_FROM_STATUS.get(entry.order_status, "")
    return status if status in _ENDED or not entry.exec_type else ""


def _is_static(triggers: Triggers, order_type: str) -> bool:
    if triggers.price_type is not None or not order_type:
        return triggers.price_type == "static"
    return not order_type.startswith("trailing")


def _bps_from(triggers: Triggers, order_type: str, price: Decimal | None) -> int | None:
    # A stop-loss may also be given in percent, but of the price at its start: that is no trail.
    if price is None or triggers.price_type != "pct" or not order_type.startswith("trailing"):
        return None
    bps = price * 100
    return int(bps) if bps == int(bps) else None


def _open_order_from(record: OrderRecord, is_ours: bool, change: Change) -> OpenOrder:
    return OpenOrder(
        client_order_id=record.client_order_id or record.wire_client_id,
        venue_order_id=record.venue_order_id,
        is_ours=is_ours,
        symbol=record.symbol,
        side=record.side,
        order_type=record.order_type,
        order_qty=record.order_qty,
        cum_qty=change.cum_qty if change.cum_qty is not None else record.cum_qty,
        leaves_qty=record.leaves_qty,
        limit_price=record.limit_price,
        effective_stop=record.effective_stop,
        trail_offset_bps=record.trail_offset_bps,
        is_triggered=record.is_triggered,
        parent_venue_order_id=record.parent_venue_order_id,
    )
