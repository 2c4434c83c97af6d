"""Answers of Kraken's REST interface, read into what the executions channel would have said. Pure.

Orders and trades become entries of that channel, so that one place knows what they mean (`executions`). Numbers are texts here
and times are seconds with a fraction. Trades are asked for unconsolidated: else the executions of one taker order come as one, under an
id that the stream never gives (docs, `TradesHistory`). A trade's fee is told as its worth in the quote currency, also where it was
taken in the base currency; what was taken of which asset stands in the account's ledger (Kraken's page on the fields of its trade exports).

A value of another type than its field costs its field, and is told (`fitting`). Where that would say something else it costs more: an order
whose ids cannot be read is nobody's yet, and an entry that is none costs the answer, as does a list that is none, for what an answer does
not name counts as absent.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from events.errors import BadInput
from events.facts import Fee

from .codec import ExecEntry, FeeEntry, Unreadable, checked_size, number
from .fitting import scalar_from, value_from
from .names import asset_of
from .times import NS_PER_S, rfc3339_ns_from

T = TypeVar("T")

_ENDS = {"closed": "filled", "canceled": "canceled", "expired": "expired"}


class Description(msgspec.Struct, frozen=True):
    """The `descr` of an order."""

    pair: str = ""
    type: str = ""
    ordertype: str = ""


class RestOrder(msgspec.Struct, frozen=True):
    """An order of OpenOrders, ClosedOrders or QueryOrders."""

    status: str = ""
    descr: Description = Description()
    vol: Any = None
    vol_exec: Any = None
    refid: Any = None
    userref: Any = None
    cl_ord_id: Any = None
    opentm: Any = None
    closetm: Any = None
    reason: str | None = None


class RestTrade(msgspec.Struct, frozen=True):
    """A trade of TradesHistory."""

    ordertxid: str = ""
    pair: str = ""
    type: str = ""
    time: Any = None
    price: Any = None
    vol: Any = None
    fee: Any = None
    margin: Any = None
    maker: bool | None = None


class RestBalance(msgspec.Struct, frozen=True):
    """An asset of BalanceEx: the total, and what open orders hold of it."""

    balance: Any
    hold_trade: Any = "0"


class LedgerLine(msgspec.Struct, frozen=True):
    """A line of Ledgers: what one execution, `refid`, did to one asset."""

    refid: str
    type: str
    asset: str
    fee: Any


class RestPosition(msgspec.Struct, frozen=True):
    """A position of OpenPositions: one opening execution on margin, and what of it is closed by now."""

    pair: str
    type: Literal["buy", "sell"]
    vol: Any
    vol_closed: Any = "0"


# What an answer is about has no default: an answer that does not hold it, or in another form, says nothing of what there is.
class _Open(msgspec.Struct, frozen=True):
    open: dict[str, RestOrder]


class _Closed(msgspec.Struct, frozen=True):
    closed: dict[str, RestOrder]


class _Trades(msgspec.Struct, frozen=True):
    trades: dict[str, RestTrade]
    count: int | None = None


class _Ledgers(msgspec.Struct, frozen=True):
    ledger: dict[str, LedgerLine]
    count: int | None = None


class _Envelope(msgspec.Struct, frozen=True):
    error: list[str] = []
    result: msgspec.Raw = msgspec.Raw(b"null")


class Read(NamedTuple, Generic[T]):
    """What an answer says, and a sentence for each thing in it that could not be read."""

    value: T
    oddities: tuple[str, ...]


_envelope = msgspec.json.Decoder(_Envelope)
_anything = msgspec.json.Decoder(float_hook=str)


class _Shape(Generic[T]):
    def __init__(self, kind: Any, name: str) -> None:
        self.kind, self.name = kind, name
        self.decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind, float_hook=str)


_open: _Shape[_Open] = _Shape(_Open, "OpenOrders")
_closed: _Shape[_Closed] = _Shape(_Closed, "ClosedOrders")
_queried: _Shape[dict[str, RestOrder]] = _Shape(dict[str, RestOrder], "orders")
_trades: _Shape[_Trades] = _Shape(_Trades, "TradesHistory")
_ledgers: _Shape[_Ledgers] = _Shape(_Ledgers, "Ledgers")
_positions: _Shape[dict[str, RestPosition]] = _Shape(dict[str, RestPosition], "OpenPositions")
_balances: _Shape[dict[str, RestBalance]] = _Shape(dict[str, RestBalance], "BalanceEx")


class Refused(BadInput):
    """The venue refused the question; `text` is its reason."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__("REST answer", f"refused: {text[:200]}", "ask again later")


def _result(text: str, shape: _Shape[T]) -> Read[T]:
    checked_size(text)
    try:
        envelope = _envelope.decode(text)
        refused = next((error for error in envelope.error if error.startswith("E")), None)
        if refused is not None:
            raise Refused(refused)
        try:
            return Read(shape.decoder.decode(envelope.result), ())
        except msgspec.ValidationError as problem:
            value, oddities = value_from(shape.kind, _anything.decode(envelope.result), shape.name)
            if value is None:
                raise Unreadable("bad_body", str(problem)[:200]) from None
            return Read(value, oddities)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
        raise Unreadable("bad_body", str(problem)[:200]) from None


def open_orders_from(text: str) -> Read[dict[str, RestOrder]]:
    """Return the orders of an OpenOrders answer by id. Raises Refused, Unreadable."""
    found, oddities = _result(text, _open)
    return Read(found.open, oddities)


def closed_orders_from(text: str) -> Read[dict[str, RestOrder]]:
    """Return the orders of a ClosedOrders answer by id. Raises Refused, Unreadable."""
    found, oddities = _result(text, _closed)
    return Read(found.closed, oddities)


def queried_from(text: str) -> Read[dict[str, RestOrder]]:
    """Return the orders of a QueryOrders answer by id. Raises Refused, Unreadable."""
    return _result(text, _queried)


def trades_from(text: str) -> tuple[Read[dict[str, RestTrade]], int | None]:
    """Return the trades of a page by execution id, and how many there are in all. Raises Refused, Unreadable.

    One whose order cannot be read is of the order "".
    """
    found, oddities = _result(text, _trades)
    return Read(found.trades, oddities), found.count


def ledger_from(text: str) -> tuple[Read[dict[str, LedgerLine]], int | None]:
    """Return the lines of a page of the ledger by id, and how many there are in all. Raises Refused, Unreadable."""
    found, oddities = _result(text, _ledgers)
    return Read(found.ledger, oddities), found.count


def fees_from(lines: Iterable[LedgerLine], symbol: str) -> tuple[Fee, ...] | None:
    """Return what one execution cost by its lines of the ledger, None if some of them are missing. Raises BadInput.

    A spot trade has a line for each of both assets, one on margin a single one in the quote asset; where the fee is taken of a third
    asset (fee credits) that has a line too.
    """
    # What earns by itself has a suffix (`USD.F`), and trades as the asset itself (docs, `Ledgers`).
    known = [(asset_of(line.asset.partition(".")[0]), line) for line in lines]
    quote = symbol.partition("/")[2]
    is_whole = {asset for asset, _ in known}.issuperset(symbol.split("/")) or any(line.type == "margin" for _, line in known)
    if not is_whole:
        return None
    charged = sorted((asset, number(line.fee, "fee")) for asset, line in known)
    fees = tuple(Fee(asset=asset, qty=qty) for asset, qty in charged if qty)
    return fees or (Fee(asset=quote, qty=Decimal(0)),)


def balance_from(text: str, asset: str) -> tuple[Decimal, Decimal]:
    """Return the total of an asset in a BalanceEx answer and what open orders hold of it. Raises Refused, Unreadable, BadInput."""
    found = _result(text, _balances).value
    for name, balance in found.items():
        if asset_of(name) == asset:
            return number(balance.balance, "balance"), number(balance.hold_trade, "hold_trade")
    return Decimal(0), Decimal(0)


def holdings_from(text: str, symbols: Mapping[str, str]) -> tuple[tuple[str, Decimal], ...]:
    """Return the net quantity of each pair of `symbols` in an OpenPositions answer, by symbol; those of none are left out.

    Raises:
        Refused, Unreadable, BadInput: the answer tells nothing, or one of its numbers is none.
    """
    found = _result(text, _positions).value
    net: dict[str, Decimal] = {}
    for position in found.values():
        symbol = symbols.get(position.pair)
        if symbol is not None:
            left = number(position.vol, "vol") - number(position.vol_closed, "vol_closed")
            net[symbol] = net.get(symbol, Decimal(0)) + (left if position.type == "buy" else -left)
    return tuple(sorted(net.items()))


def ns_from_seconds(value: Any) -> int:
    """Return the nanoseconds of a REST time, 0 for what is none."""
    try:
        seconds = number(value, "time")
    except BadInput:
        return 0
    return int(seconds * NS_PER_S) if 0 <= seconds < 10**10 else 0


def executed_from(order: RestOrder) -> Decimal | None:
    """Return how much of an order has executed, None where that cannot be read."""
    try:
        qty = number(order.vol_exec, "vol_exec")
    except BadInput:
        return None
    return qty if qty >= 0 else None


def end_entry(order_id: str, order: RestOrder, symbols: Mapping[str, str]) -> ExecEntry | None:
    """Return what the executions channel says at the end of an order; None while it is open, or where it says not how much it executed.

    Raises:
        BadInput: one of its ids cannot be read.
    """
    kind = _ENDS.get(order.status)
    if kind is None or executed_from(order) is None:
        return None
    return ExecEntry(
        order_id=order_id,
        exec_type=kind,
        order_status=kind,
        cum_qty=order.vol_exec,
        order_qty=order.vol,
        reason=order.reason,
        timestamp=rfc3339_ns_from(ns_from_seconds(order.closetm)),
        **_ids(order, symbols),
    )


def names_entry(order_id: str, order: RestOrder, symbols: Mapping[str, str]) -> ExecEntry:
    """Return an entry that says whose order it is and how large, no more: REST may be a minute late, so "open" proves nothing (K9).

    Raises:
        BadInput: one of its ids cannot be read, so that it may be anybody's.
    """
    return ExecEntry(order_id=order_id, order_qty=order.vol, **_ids(order, symbols))


def trade_entry(trade_id: str, trade: RestTrade, symbols: Mapping[str, str]) -> ExecEntry:
    """Return the trade as the executions channel tells it."""
    symbol = symbols.get(trade.pair)
    quote = symbol.partition("/")[2] if symbol else ""
    return ExecEntry(
        order_id=trade.ordertxid,
        exec_type="trade",
        exec_id=trade_id,
        symbol=symbol,
        side=trade.type,
        last_qty=trade.vol,
        last_price=trade.price,
        liquidity_ind=None if trade.maker is None else "m" if trade.maker else "t",
        margin=_is_above_zero(trade.margin) or None,
        fees=[FeeEntry(asset=quote, qty=trade.fee)] if quote and trade.fee is not None else None,
        timestamp=rfc3339_ns_from(ns_from_seconds(trade.time)),
    )


def _is_above_zero(value: Any) -> bool:
    try:
        return number(value or "0", "margin") > 0
    except BadInput:
        return False


def _ids(order: RestOrder, symbols: Mapping[str, str]) -> dict[str, Any]:
    refid = _id(str, order.refid, "refid")
    return {
        "cl_ord_id": _id(str, order.cl_ord_id, "cl_ord_id"),
        "order_userref": _id(int, order.userref, "userref"),
        "symbol": symbols.get(order.descr.pair),
        "side": order.descr.type or None,
        "order_type": order.descr.ordertype or None,
        "ord_ref_id": None if refid in ("", "None") else refid,
    }


def _id(kind: type, value: Any, name: str) -> Any:
    told = scalar_from(kind, value)
    if told is None and value is not None:
        raise Unreadable("bad_entry", f"{name} of an order is a value of type {type(value).__name__}")
    return told
