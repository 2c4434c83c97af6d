"""Entries of the `executions` and `balances` channels, field by field as Kraken's captures show them.

Pure. The first entry of an order is whole, the later ones carry the order's id and what changed (`venues.md` §1.9), with
the deprecated twins (`cancel_reason`, `stop_price`, `trigger`, `triggered_price`) that the venue still sends.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .orders import TRAILING, Order
from .pairs import Pair, asset_precision
from .wire import time_text

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution as the venue booked it. `cost` is exact (quantity times price); `pnl` is what a margin close realized."""

    exec_id: str
    trade_id: int
    order_id: str
    cl_ord_id: str
    order_userref: int
    pair: Pair
    buying: bool
    lots: int
    px_ticks: int
    fee: Decimal
    fee_asset: str
    maker: bool
    margin: bool
    order_type: str
    ts_ns: int
    pnl: Decimal = Decimal(0)

    @property
    def qty(self) -> Decimal:
        return self.pair.instrument.qty(self.lots)

    @property
    def px(self) -> Decimal:
        return self.pair.instrument.price(self.px_ticks)

    @property
    def cost(self) -> Decimal:
        return self.qty * self.px

    @property
    def fee_quote(self) -> Decimal:
        """The fee in quote units."""
        return self.fee if self.fee_asset == self.pair.instrument.quote else self.pair.cost(self.fee * self.px)


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """What an execution, a deposit or a withdrawal, `ref_id`, did to the balance of one asset, and what it is after it."""

    ledger_id: str
    ref_id: str
    kind: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal
    ts_ns: int


def pending_new(order: Order, now_ns: int) -> Entry:
    """The gateway took the order: everything there is to know about it."""
    return {**_whole(order), "exec_type": "pending_new", "order_status": "pending_new", "timestamp": time_text(now_ns)}


def open_order(order: Order, now_ns: int) -> Entry:
    """An open order in the snapshot."""
    entry = {**_whole(order), "exec_type": "new", "order_status": order.order_status, "timestamp": time_text(now_ns)}
    entry |= {"cum_qty": _qty(order, order.cum_lots), "avg_price": _average(order)}
    if order.amended:
        entry["amended"] = True
    return entry


def new(order: Order, now_ns: int) -> Entry:
    return {**_sparse(order, "new", now_ns)}


def trade(order: Order, fill: Fill) -> Entry:
    """A fill. Its status stays `partially_filled` when it completes the order: `filled` follows (K7)."""
    return {
        **fill_entry(fill),
        "order_status": "partially_filled",
        "cum_qty": _qty(order, order.cum_lots),
        "cum_cost": order.pair.cost(order.cum_cost),
        "avg_price": _average(order),
    }


def past_trade(fill: Fill, has_userref: bool) -> Entry:
    """A fill as the snapshot of past trades has it."""
    return fill_entry(fill) if has_userref else {**fill_entry(fill), "order_userref": 0}


def fill_entry(fill: Fill) -> Entry:
    """What every telling of a fill has."""
    entry: Entry = {
        "order_id": fill.order_id,
        "order_userref": fill.order_userref,
        "exec_id": fill.exec_id,
        "exec_type": "trade",
        "trade_id": fill.trade_id,
        "symbol": fill.pair.symbol,
        "side": "buy" if fill.buying else "sell",
        "last_qty": fill.qty,
        "last_price": fill.px,
        "liquidity_ind": "m" if fill.maker else "t",
        "cost": fill.pair.cost(fill.cost),
        "order_status": "filled",
        "order_type": fill.order_type,
        "timestamp": time_text(fill.ts_ns),
        "fee_usd_equiv": fill.fee_quote,
        "fees": [{"asset": fill.fee_asset, "qty": fill.fee}],
    }
    if fill.cl_ord_id:
        entry["cl_ord_id"] = fill.cl_ord_id
    if fill.margin:
        entry["margin"] = True
    return entry


def ended(order: Order, exec_type: str, now_ns: int, reason: str = "") -> Entry:
    """`filled`, `canceled` or `expired`: no new fill in it, only totals."""
    entry = _sparse(order, exec_type, now_ns)
    entry |= {"cum_qty": _qty(order, order.cum_lots), "cum_cost": order.pair.cost(order.cum_cost)}
    entry |= {"fee_usd_equiv": order.pair.cost(order.fee_quote), "avg_price": _average(order)}
    if reason:
        entry |= {"cancel_reason": reason, "reason": reason}
    return entry


def amended(order: Order, now_ns: int) -> Entry:
    """A user's amend was applied."""
    entry = _sparse(order, "amended", now_ns)
    entry |= {"cum_qty": _qty(order, order.cum_lots), "reason": "User requested", "amended": True, "order_qty": _qty(order, order.lots)}
    if order.limit_ticks is not None:
        entry |= {"limit_price": _price(order, order.limit_ticks), "limit_price_type": "static"}
    return entry | _triggers(order)


def status(order: Order, now_ns: int) -> Entry:
    """The effective trigger price moved, or the trigger fired."""
    entry = {**_sparse(order, "status", now_ns), **_triggers(order)}
    if order.trigger is not None and order.trigger.fired_ticks is not None:
        entry["triggered_price"] = _price(order, order.trigger.fired_ticks)
    return entry


def ledger_line(line: LedgerLine) -> Entry:
    """One line of the account's ledger."""
    return {
        "ledger_id": line.ledger_id,
        "ref_id": line.ref_id,
        "timestamp": time_text(line.ts_ns),
        "type": line.kind,
        "asset": line.asset,
        "asset_class": "currency",
        "category": "trade" if line.kind == "margin" else line.kind,
        "wallet_type": "spot",
        "wallet_id": "main",
        "amount": _amount(line.asset, line.amount),
        "fee": _amount(line.asset, line.fee),
        "balance": _amount(line.asset, line.balance),
    }


def balance_row(asset: str, balance: Decimal) -> Entry:
    """One asset in the snapshot of the balances channel."""
    amount = _amount(asset, balance)
    wallets = [{"type": "spot", "id": "main", "balance": amount}] if balance else []
    return {"asset": asset, "asset_class": "currency", "balance": amount, "wallets": wallets}


def _whole(order: Order) -> Entry:
    entry: Entry = {
        "order_id": order.order_id,
        "symbol": order.pair.symbol,
        "order_qty": _qty(order, order.lots),
        "cum_cost": order.pair.cost(order.cum_cost),
        "time_in_force": order.time_in_force.upper(),
        "side": order.side,
        "order_type": order.order_type,
        "order_userref": order.order_userref,
        "fee_usd_equiv": order.pair.cost(order.fee_quote),
        "fee_ccy_pref": "fcib" if order.fee_in_base else "fciq",
    }
    if order.limit_ticks is not None:
        entry |= {"limit_price_type": "static", "limit_price": _price(order, order.limit_ticks)}
    entry["stop_price"] = _price(order, order.trigger.level_ticks if order.trigger else 0)
    entry |= _triggers(order)
    for flag in ("margin", "post_only", "reduce_only"):
        if getattr(order, flag):
            entry[flag] = True
    if order.cl_ord_id:
        entry["cl_ord_id"] = order.cl_ord_id
    if order.parent_id:
        entry["ord_ref_id"] = order.parent_id
    if order.expire_ns is not None:
        entry["expire_time"] = time_text(order.expire_ns)
    if order.conditional is not None:
        close = order.conditional
        entry["contingent"] = {
            "order_type": close.order_type,
            "trigger_price": close.trigger_price,
            "trigger_price_type": close.trigger_price_type,
        }
        if close.limit_ticks is not None:
            entry["contingent"] |= {"limit_price": _price(order, close.limit_ticks), "limit_price_type": "static"}
    return entry


def _sparse(order: Order, exec_type: str, now_ns: int) -> Entry:
    entry: Entry = {
        "timestamp": time_text(now_ns),
        "order_status": order.order_status,
        "exec_type": exec_type,
        "order_userref": order.order_userref,
        "order_id": order.order_id,
    }
    if order.cl_ord_id:
        entry["cl_ord_id"] = order.cl_ord_id
    return entry


def _triggers(order: Order) -> Entry:
    trigger = order.trigger
    if trigger is None:
        return {}
    block: Entry = {"price": trigger.price, "price_type": trigger.price_type, "reference": trigger.reference, "status": "untriggered"}
    if order.order_type == TRAILING or trigger.price_type != "static":
        block["actual_price"] = _price(order, trigger.level_ticks)
    if order.order_type == TRAILING:
        block["peak_price"] = _price(order, trigger.peak_ticks)
    if trigger.fired_ticks is not None:
        block |= {"status": "triggered", "last_price": _price(order, trigger.fired_ticks), "timestamp": time_text(trigger.fired_ns)}
    return {"triggers": block, "trigger": trigger.reference}


def _qty(order: Order, lots: int) -> Decimal:
    return order.pair.instrument.qty(lots)


def _price(order: Order, ticks: int) -> Decimal:
    return order.pair.instrument.price(ticks)


def _average(order: Order) -> Decimal:
    precision = order.pair.instrument.price_increment
    if not order.cum_lots:
        return precision * 0
    return (order.cum_cost / _qty(order, order.cum_lots)).quantize(precision)


def _amount(asset: str, amount: Decimal) -> Decimal:
    """At least the asset's digits, and all that the amount has: the venue's books are exact."""
    precision = asset_precision(asset)
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    return amount if -exponent >= precision else amount.quantize(Decimal(1).scaleb(-precision))
