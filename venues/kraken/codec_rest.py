"""Answers of Kraken's REST interface, read into what the executions channel would have said. Pure.

Orders and trades become entries of that channel, so that one place knows what they mean (`executions`). Numbers are texts here
and times are seconds with a fraction. Trades are asked for unconsolidated: else the executions of one taker order come as one, under an
id that the stream never gives (docs, `TradesHistory`). A trade's fee is told as its worth in the quote currency, also where it was
taken in the base currency; what was taken of which asset stands in the account's ledger (Kraken's page on the fields of its trade exports).
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from events.errors import BadInput
from events.facts import Fee

from .codec import ExecEntry, FeeEntry, Unreadable, checked_size, number
from .names import asset_of
from .times import NS_PER_S, rfc3339_ns_from

_ENDS = {"closed": "filled", "canceled": "canceled", "expired": "expired"}


class Description(msgspec.Struct, frozen=True):
    """The `descr` of an order."""

    pair: str = ""
    type: str = ""
    ordertype: str = ""


class RestOrder(msgspec.Struct, frozen=True):
    """An order of OpenOrders, ClosedOrders or QueryOrders."""

    status: str
    descr: Description
    vol: Any = None
    vol_exec: Any = None
    refid: str | None = None
    userref: int | None = None
    cl_ord_id: str | None = None
    opentm: Any = None
    closetm: Any = None
    reason: str | None = None


class RestTrade(msgspec.Struct, frozen=True):
    """A trade of TradesHistory."""

    ordertxid: str
    pair: str
    type: str
    time: Any
    price: Any
    vol: Any
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


class _Orders(msgspec.Struct, frozen=True):
    open: dict[str, RestOrder] = {}
    closed: dict[str, RestOrder] = {}


class _Trades(msgspec.Struct, frozen=True):
    trades: dict[str, RestTrade] = {}
    count: int | None = None


class _Ledgers(msgspec.Struct, frozen=True):
    ledger: dict[str, LedgerLine] = {}
    count: int | None = None


class _Envelope(msgspec.Struct, frozen=True):
    error: list[str] = []
    result: msgspec.Raw = msgspec.Raw(b"null")


_envelope = msgspec.json.Decoder(_Envelope)
_listed = msgspec.json.Decoder(_Orders, float_hook=str)
_queried = msgspec.json.Decoder(dict[str, RestOrder], float_hook=str)
_trades = msgspec.json.Decoder(_Trades, float_hook=str)
_ledgers = msgspec.json.Decoder(_Ledgers, float_hook=str)
_positions = msgspec.json.Decoder(dict[str, RestPosition], float_hook=str)
_balances = msgspec.json.Decoder(dict[str, RestBalance], float_hook=str)


class Refused(BadInput):
    """The venue refused the question; `text` is its reason."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__("REST answer", f"refused: {text[:200]}", "ask again later")


def _result(text: str, decoder: "msgspec.json.Decoder[Any]") -> Any:
    checked_size(text)
    try:
        envelope = _envelope.decode(text)
        refused = next((error for error in envelope.error if error.startswith("E")), None)
        if refused is not None:
            raise Refused(refused)
        return decoder.decode(envelope.result)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
        raise Unreadable("bad_body", str(problem)[:200]) from None


def orders_from(text: str) -> dict[str, RestOrder]:
    """Return the orders of an OpenOrders or ClosedOrders answer by id. Raises Refused, Unreadable."""
    found: _Orders = _result(text, _listed)
    return {**found.open, **found.closed}


def queried_from(text: str) -> dict[str, RestOrder]:
    """Return the orders of a QueryOrders answer by id. Raises Refused, Unreadable."""
    found: dict[str, RestOrder] = _result(text, _queried)
    return found


def trades_from(text: str) -> tuple[dict[str, RestTrade], int | None]:
    """Return the trades of a page by execution id, and how many there are in all. Raises Refused, Unreadable."""
    found: _Trades = _result(text, _trades)
    return found.trades, found.count


def ledger_from(text: str) -> tuple[dict[str, LedgerLine], int | None]:
    """Return the lines of a page of the ledger by id, and how many there are in all. Raises Refused, Unreadable."""
    found: _Ledgers = _result(text, _ledgers)
    return found.ledger, found.count


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
    found: dict[str, RestBalance] = _result(text, _balances)
    for name, balance in found.items():
        if asset_of(name) == asset:
            return number(balance.balance, "balance"), number(balance.hold_trade, "hold_trade")
    return Decimal(0), Decimal(0)


def holdings_from(text: str, symbols: Mapping[str, str]) -> tuple[tuple[str, Decimal], ...]:
    """Return the net quantity of each pair of `symbols` in an OpenPositions answer, by symbol; those of none are left out.

    Raises:
        Refused, Unreadable, BadInput: the answer tells nothing, or one of its numbers is none.
    """
    found: dict[str, RestPosition] = _result(text, _positions)
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


def end_entry(order_id: str, order: RestOrder, symbols: Mapping[str, str]) -> ExecEntry | None:
    """Return what the executions channel says at the end of an order; None while it is open."""
    kind = _ENDS.get(order.status)
    if kind is None:
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
    """Return an entry that says whose order it is and how large, no more: REST may be a minute late, so "open" proves nothing (K9)."""
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
    return {
        "cl_ord_id": order.cl_ord_id,
        "order_userref": order.userref,
        "symbol": symbols.get(order.descr.pair),
        "side": order.descr.type or None,
        "order_type": order.descr.ordertype or None,
        "ord_ref_id": None if order.refid in (None, "", "None") else order.refid,
    }
