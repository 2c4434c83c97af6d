"""The REST interface of the simulated venue: signed questions about orders, trades and balances, and what a client needs to begin.

Pure: path, headers and body come in, the HTTP status and the answer's text go out. Numbers are texts, times are seconds with a
fraction, a list is an object by id, newest first, 50 to a page, as Kraken's are. An answer shows the account as it was
`rest_lag_ms` ago, because Kraken's REST may lag the streams (K9); what an amend changed shows at once. Nothing is ordered here:
an order can be validated, and the cancel of an unknown one refused.

A key whose secret the venue was given has its signatures checked; with no keys given any key is taken, and only the form of the
signature is looked at. Nonces of a key must rise either way.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs

from ..kraken.names import altname_of, asset_id, asset_of, code_of, pair_id
from .exchange import Exchange
from .executions import Fill, LedgerLine
from .faults import Faults
from .orders import Order
from .pairs import Pair, asset_precision
from .rates import RestCounter
from .requests import Refused
from .settings import VenueSettings
from .wire import encode_with_texts, time_text_seconds

PAGE = 50
MAX_BODY = 65_536
PRIVATE, PUBLIC = "/0/private/", "/0/public/"
TOKEN_PATH = PRIVATE + "GetWebSocketsToken"
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
# "ledgers, trades history 2" (docs, guide spot-rest-ratelimits); the other calls count 1.
# Orders count with the pair's points.
COSTS = {"TradesHistory": 2, "Ledgers": 2, "AddOrder": 0, "CancelOrder": 0}
# Which of these permissions of the key a question needs (docs, guide rest/api-keys): one is enough.
PERMISSIONS = {
    "GetWebSocketsToken": ("websockets",),
    "Balance": ("query_funds",),
    "BalanceEx": ("query_funds",),
    "OpenOrders": ("query_open",),
    "ClosedOrders": ("query_closed",),
    "QueryOrders": ("query_open", "query_closed"),
    "TradesHistory": ("query_open", "query_closed"),
    "OpenPositions": ("query_open",),
    "Ledgers": ("query_ledger",),
    "AddOrder": ("create_orders",),
    "CancelOrder": ("cancel_orders",),
}
_STATUS = {"filled": "closed", "canceled": "canceled", "expired": "expired"}

T = TypeVar("T")
Params = Mapping[str, str]
Headers = Mapping[str, str]


class Reply(NamedTuple):
    """An HTTP answer."""

    status: HTTPStatus
    text: str


class _AsOf(NamedTuple):
    """The account at one moment: its orders and fills by then."""

    exchange: Exchange
    at_ns: int

    def orders(self) -> list[Order]:
        return [order for order in self.exchange.orders.values() if order.created_ns <= self.at_ns]

    def is_open(self, order: Order) -> bool:
        return order.is_open or order.ended_ns > self.at_ns

    def fills(self) -> list[Fill]:
        return [fill for fill in self.exchange.account.fills if fill.ts_ns <= self.at_ns]

    def ledger(self) -> list[LedgerLine]:
        return [line for line in self.exchange.account.ledger if line.ts_ns <= self.at_ns]

    def fills_of(self, order: Order) -> list[Fill]:
        return [fill for fill in self.fills() if fill.order_id == order.order_id]


class RestDesk:
    """Answers by REST for one account. `issue_token` makes a WebSocket token at that time; `keys` are secrets by key."""

    def __init__(
        self, exchange: Exchange, settings: VenueSettings, faults: Faults, issue_token: Callable[[int], str], keys: Mapping[str, str]
    ) -> None:
        self._exchange, self._settings, self._faults, self._issue_token = exchange, settings, faults, issue_token
        self._keys = {key: base64.b64decode(secret) for key, secret in keys.items()}
        self._nonces: dict[str, int] = {}
        self._counter = RestCounter(settings.tier)

    def answer(self, path: str, query: str, headers: Headers, body: bytes, now_ns: int) -> Reply | None:
        """Answer one request; None if there is nothing at `path`. Never raises."""
        name = path.rpartition("/")[2]
        handlers = _PRIVATE if path == PRIVATE + name else _PUBLIC if path == PUBLIC + name else {}
        if name not in handlers:
            return None
        label, lacks = f"rest:{name}", set(self._settings.key_lacks.split(","))
        if self._faults.take("rest_429", label):
            return Reply(HTTPStatus.TOO_MANY_REQUESTS, "")
        try:
            params = _params_of(query if handlers is _PUBLIC else "", headers, body)
            if handlers is _PRIVATE:
                self._authorize(path, headers, body, params)
                if lacks.issuperset(PERMISSIONS[name]):
                    raise Refused("EGeneral:Permission denied")
                if not self._counter.charge(COSTS.get(name, 1), now_ns):
                    raise Refused("EAPI:Rate limit exceeded")
            if fault := self._faults.take("rest_refused", label):
                raise Refused(fault.text)
            result = handlers[name](self, params, now_ns)
        except Refused as error:
            return Reply(HTTPStatus.OK, encode_with_texts({"error": [str(error)]}))
        return Reply(HTTPStatus.OK, encode_with_texts({"error": [], "result": result}))

    def _authorize(self, path: str, headers: Headers, body: bytes, params: Params) -> None:
        key, signed = headers.get("API-Key", ""), headers.get("API-Sign", "")
        if not key or (self._keys and key not in self._keys):
            raise Refused("EAPI:Invalid key")
        nonce = params.get("nonce", "")
        try:
            signature = base64.b64decode(signed, validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        if key in self._keys:
            digest = hashlib.sha256(nonce.encode() + body).digest()
            wanted = hmac.new(self._keys[key], path.encode() + digest, hashlib.sha512).digest()
            is_signed = hmac.compare_digest(signature, wanted)
        else:
            is_signed = len(signature) == hashlib.sha512().digest_size
        if not is_signed:
            raise Refused("EAPI:Invalid signature")
        if not (nonce.isascii() and nonce.isdigit() and len(nonce) <= 20) or int(nonce) <= self._nonces.get(key, 0):
            raise Refused("EAPI:Invalid nonce")
        self._nonces[key] = int(nonce)

    # --- private --------------------------------------------------------------------------------------------------------

    def _view(self, name: str, now_ns: int) -> _AsOf:
        lag_ns = self._settings.rest_lag_ms * MS_NS
        if fault := self._faults.take("rest_stale", f"rest:{name}"):
            lag_ns = max(lag_ns, int(fault.seconds * SECOND_NS))
        return _AsOf(self._exchange, now_ns - lag_ns)

    def _cut(self, name: str, rows: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        if self._faults.take("rest_empty", f"rest:{name}"):
            return []
        if rows and self._faults.take("rest_partial", f"rest:{name}"):
            return rows[: len(rows) // 2]
        return rows

    def _token(self, params: Params, now_ns: int) -> Any:
        return {"token": self._issue_token(now_ns), "expires": self._settings.token_ttl_real_s}

    def _balance(self, params: Params, now_ns: int) -> Any:
        return {asset_id(asset): _digits(asset, amount) for asset, amount in sorted(self._exchange.account.balances.items())}

    def _balance_ex(self, params: Params, now_ns: int) -> Any:
        account = self._exchange.account
        held = account.books()["holds"]
        rows = [
            (asset_id(asset), {"balance": _digits(asset, amount), "hold_trade": _digits(asset, held.get(asset, Decimal(0)))})
            for asset, amount in sorted(account.balances.items())
        ]
        return dict(self._cut("BalanceEx", rows))

    def _open_orders(self, params: Params, now_ns: int) -> Any:
        view = self._view("OpenOrders", now_ns)
        found = [order for order in _filtered(view.orders(), params) if view.is_open(order)]
        return {"open": dict(self._cut("OpenOrders", [(o.order_id, _order(o, view, params)) for o in reversed(found)]))}

    def _closed_orders(self, params: Params, now_ns: int) -> Any:
        view = self._view("ClosedOrders", now_ns)
        found = [order for order in _filtered(view.orders(), params) if not view.is_open(order)]
        since_ns, until_ns = _window(params, self._exchange)
        found = [o for o in found if o.ended_ns > since_ns and (until_ns is None or o.ended_ns <= until_ns)]
        found.sort(key=lambda order: (order.ended_ns, order.rank), reverse=True)
        rows = self._cut("ClosedOrders", [(o.order_id, _order(o, view, params)) for o in _page(found, params)])
        return {"closed": dict(rows), "count": len(found)}

    def _query_orders(self, params: Params, now_ns: int) -> Any:
        view = self._view("QueryOrders", now_ns)
        asked = _ids(params)
        known = {order.order_id: order for order in view.orders()}
        rows = [(order_id, _order(known[order_id], view, params)) for order_id in asked if order_id in known]
        if not rows:
            raise Refused("EOrder:Invalid order")
        return dict(self._cut("QueryOrders", rows))

    def _trades_history(self, params: Params, now_ns: int) -> Any:
        since_ns, until_ns = _window(params, self._exchange)
        fills = [fill for fill in self._view("TradesHistory", now_ns).fills() if fill.ts_ns > since_ns]
        fills = [fill for fill in reversed(fills) if until_ns is None or fill.ts_ns <= until_ns]
        rows = self._cut("TradesHistory", [(fill.exec_id, _trade(fill)) for fill in _page(fills, params)])
        return {"trades": dict(rows), "count": len(fills)}

    def _ledgers(self, params: Params, now_ns: int) -> Any:
        since_ns, until_ns = _window(params, self._exchange)
        assets = {asset_of(name) for name in params.get("asset", "all").split(",")} - {"all"}
        kind = params.get("type", "all")
        lines = [line for line in reversed(self._view("Ledgers", now_ns).ledger()) if line.ts_ns > since_ns]
        lines = [line for line in lines if (until_ns is None or line.ts_ns <= until_ns) and kind in ("all", line.kind)]
        lines = [line for line in lines if not assets or line.asset in assets]
        rows = self._cut("Ledgers", [(line.ledger_id, _ledger_line(line)) for line in _page(lines, params)])
        return {"ledger": dict(rows), "count": len(lines)}

    def _open_positions(self, params: Params, now_ns: int) -> Any:
        open_parts = _margin_parts(self._view("OpenPositions", now_ns).fills())
        asked = [text for text in params.get("txid", "").split(",") if text]
        with_calcs = params.get("docalcs") == "true"
        rows = [
            (fill.exec_id, _position(fill, lots, self._px(fill.pair) if with_calcs else None))
            for fill, lots in open_parts
            if not asked or fill.exec_id in asked
        ]
        rows = self._cut("OpenPositions", rows)
        return _by_market(rows) if params.get("consolidation") == "market" else dict(rows)

    def _px(self, pair: Pair) -> Decimal:
        return pair.instrument.price(self._exchange.markets[pair.symbol].tape.last_ticks)

    def _add_order(self, params: Params, now_ns: int) -> Any:
        if params.get("validate") != "true":
            raise Refused("EGeneral:Invalid arguments:validate")
        raise Refused("EGeneral:Invalid arguments:volume minimum not met")

    def _cancel_order(self, params: Params, now_ns: int) -> Any:
        raise Refused("EOrder:Unknown order")

    # --- public ---------------------------------------------------------------------------------------------------------

    def _time(self, params: Params, now_ns: int) -> Any:
        return {"unixtime": now_ns // SECOND_NS}

    def _system_status(self, params: Params, now_ns: int) -> Any:
        return {"status": self._exchange.system, "timestamp": time_text_seconds(now_ns)}

    def _assets(self, params: Params, now_ns: int) -> Any:
        pairs = self._exchange.pairs.values()
        assets = sorted({asset for pair in pairs for asset in (pair.instrument.base, pair.instrument.quote)})
        return {
            asset_id(asset): {
                "aclass": "currency",
                "altname": code_of(asset),
                "decimals": asset_precision(asset),
                "display_decimals": min(5, asset_precision(asset)),
                "status": "enabled",
            }
            for asset in assets
        }

    def _asset_pairs(self, params: Params, now_ns: int) -> Any:
        return {pair_id(pair.symbol): _pair(pair, self._settings) for pair in self._exchange.pairs.values()}


_PRIVATE: dict[str, Callable[[RestDesk, Params, int], Any]] = {
    "GetWebSocketsToken": RestDesk._token,
    "Balance": RestDesk._balance,
    "BalanceEx": RestDesk._balance_ex,
    "OpenOrders": RestDesk._open_orders,
    "ClosedOrders": RestDesk._closed_orders,
    "QueryOrders": RestDesk._query_orders,
    "TradesHistory": RestDesk._trades_history,
    "OpenPositions": RestDesk._open_positions,
    "Ledgers": RestDesk._ledgers,
    "AddOrder": RestDesk._add_order,
    "CancelOrder": RestDesk._cancel_order,
}
_PUBLIC: dict[str, Callable[[RestDesk, Params, int], Any]] = {
    "Time": RestDesk._time,
    "SystemStatus": RestDesk._system_status,
    "Assets": RestDesk._assets,
    "AssetPairs": RestDesk._asset_pairs,
}
PATHS = (*(PRIVATE + name for name in _PRIVATE), *(PUBLIC + name for name in _PUBLIC))


def _params_of(query: str, headers: Headers, body: bytes) -> Params:
    """Return the parameters of a form or of a JSON body, as texts. Raises Refused."""
    try:
        text = body.decode()
        if "json" in headers.get("Content-Type", ""):
            given = json.loads(text)
            if not isinstance(given, dict):
                raise Refused("EGeneral:Invalid arguments")
            return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        pairs = parse_qs(text or query, max_num_fields=100)
    except (ValueError, RecursionError):
        raise Refused("EGeneral:Invalid arguments") from None
    return {name: values[0] for name, values in pairs.items()}


def _filtered(orders: Iterable[Order], params: Params) -> list[Order]:
    cl_ord_id, userref = params.get("cl_ord_id"), params.get("userref")
    return [o for o in orders if cl_ord_id in (None, o.cl_ord_id) and userref in (None, str(o.order_userref))]


def _ids(params: Params) -> list[str]:
    asked = [text for text in params.get("txid", "").split(",") if text]
    if not 1 <= len(asked) <= PAGE:
        raise Refused("EGeneral:Invalid arguments:txid")
    return asked


def _window(params: Params, exchange: Exchange) -> tuple[int, int | None]:
    """Return `start` (excluded, -1 if there is none) and `end` (included): Unix seconds, or the id of an order or a trade."""
    return _moment(params.get("start"), exchange, -1) or 0, _moment(params.get("end"), exchange, None)


def _moment(text: str | None, exchange: Exchange, usual: int | None) -> int | None:
    if not text:
        return usual
    if text in exchange.orders:
        return exchange.orders[text].created_ns
    for fill in exchange.account.fills:
        if fill.exec_id == text:
            return fill.ts_ns
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isascii() or not (whole + fraction).isdigit() or len(text) > 40:
        raise Refused("EGeneral:Invalid arguments:start")
    return int(whole or "0") * SECOND_NS + int(fraction[:9].ljust(9, "0"))


def _page(rows: list[T], params: Params) -> list[T]:
    text = params.get("ofs", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise Refused("EGeneral:Invalid arguments:ofs")
    return rows[int(text) : int(text) + PAGE]


def _order(order: Order, view: _AsOf, params: Params) -> dict[str, Any]:
    listed = order.pair.instrument
    fills = view.fills_of(order)
    lots = sum(fill.lots for fill in fills)
    cost = sum((fill.cost for fill in fills), Decimal(0))
    price = listed.price(order.limit_ticks) if order.limit_ticks is not None else Decimal(0)
    stop = listed.price(order.trigger.level_ticks) if order.trigger else Decimal(0)
    average = (cost / listed.qty(lots)).quantize(listed.price_increment) if lots else Decimal(0)
    is_open = view.is_open(order)
    row: dict[str, Any] = {
        "refid": order.parent_id or None,
        "userref": order.order_userref,
        "cl_ord_id": order.cl_ord_id or None,
        "status": "open" if is_open else _STATUS[order.state],
        "opentm": _seconds(order.created_ns),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": altname_of(order.pair.symbol),
            "type": order.side,
            "ordertype": order.order_type,
            "price": stop if order.trigger else price,
            "price2": price if order.trigger else Decimal(0),
            "leverage": "5:1" if order.margin else "none",
            "order": f"{order.side} {listed.qty(order.lots)} {altname_of(order.pair.symbol)} @ {order.order_type}",
            "close": "",
        },
        "vol": listed.qty(order.lots),
        "vol_exec": listed.qty(lots),
        "cost": order.pair.cost(cost),
        "fee": order.pair.cost(sum((fill.fee_quote for fill in fills), Decimal(0))),
        "price": average,
        "stopprice": stop,
        "limitprice": price,
        "misc": "",
        "oflags": "fcib" if order.fee_in_base else "fciq",
    }
    if not is_open:
        row |= {"reason": order.end_reason or None, "closetm": _seconds(order.ended_ns)}
    if params.get("trades") == "true" and fills:
        row["trades"] = [fill.exec_id for fill in fills]
    return row


def _trade(fill: Fill) -> dict[str, Any]:
    return {
        "ordertxid": fill.order_id,
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": pair_id(fill.pair.symbol),
        "time": _seconds(fill.ts_ns),
        "type": "buy" if fill.buying else "sell",
        "ordertype": fill.order_type,
        "price": fill.px,
        "cost": fill.pair.cost(fill.cost),
        "fee": fill.pair.cost(fill.fee_quote),
        "vol": fill.qty,
        "margin": fill.pair.cost(fill.cost * fill.pair.margin_initial) if fill.margin else Decimal(0),
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": fill.maker,
    }


def _ledger_line(line: LedgerLine) -> dict[str, Any]:
    return {
        "refid": line.ref_id,
        "time": _seconds(line.ts_ns),
        "type": line.kind,
        "subtype": "",
        "aclass": "currency",
        "asset": asset_id(line.asset),
        "amount": _digits(line.asset, line.amount),
        "fee": _digits(line.asset, line.fee),
        "balance": _digits(line.asset, line.balance),
    }


def _margin_parts(fills: Iterable[Fill]) -> list[tuple[Fill, int]]:
    """Return what is open on margin after `fills`: each opening execution and its lots that are not closed; first in, first out."""
    books: dict[str, list[tuple[Fill, int]]] = {}
    for fill in fills:
        if not fill.margin:
            continue
        lots, parts = fill.lots, books.setdefault(fill.pair.symbol, [])
        while lots and parts and parts[0][0].buying != fill.buying:
            opening, open_lots = parts[0]
            closed = min(lots, open_lots)
            lots -= closed
            parts[:1] = [(opening, open_lots - closed)] if open_lots > closed else []
        if lots:
            parts.append((fill, lots))
    return [part for symbol in sorted(books) for part in books[symbol]]


def _position(fill: Fill, lots: int, px: Decimal | None) -> dict[str, Any]:
    pair, qty = fill.pair, fill.pair.instrument.qty
    row: dict[str, Any] = {
        "ordertxid": fill.order_id,
        "posstatus": "open",
        "pair": pair_id(pair.symbol),
        "time": _seconds(fill.ts_ns),
        "type": "buy" if fill.buying else "sell",
        "ordertype": fill.order_type,
        "cost": pair.cost(fill.cost),
        "fee": pair.cost(fill.fee_quote),
        "vol": fill.qty,
        "vol_closed": qty(fill.lots - lots),
        "margin": pair.cost(fill.cost * pair.margin_initial),
        "terms": "0.0000% per 4 hours",
        "rollovertm": str(fill.ts_ns // SECOND_NS + 4 * 3600),
        "misc": "",
        "oflags": "",
    }
    if px is not None:
        gain = qty(lots) * (px - fill.px)
        row |= {"value": pair.cost(qty(lots) * px), "net": pair.cost(gain if fill.buying else -gain)}
    return row


def _by_market(rows: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a pair and side: a list, without the ids of its positions."""
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for _, row in rows:
        one = out.setdefault((row["pair"], row["type"]), {"pair": row["pair"], "positions": 0, "type": row["type"], "leverage": "5.00000"})
        one["positions"] += 1
        for name in ("cost", "fee", "vol", "vol_closed", "margin", "value", "net"):
            if name in row:
                one[name] = one.get(name, Decimal(0)) + row[name]
    return [{**one, "positions": str(one["positions"])} for one in out.values()]


def _pair(pair: Pair, settings: VenueSettings) -> dict[str, Any]:
    listed = pair.instrument
    leverage = [2, 3, 5] if listed.marginable else []
    return {
        "altname": altname_of(pair.symbol),
        "wsname": f"{code_of(listed.base)}/{code_of(listed.quote)}",
        "aclass_base": "currency",
        "base": asset_id(listed.base),
        "aclass_quote": "currency",
        "quote": asset_id(listed.quote),
        "lot": "unit",
        "cost_decimals": pair.cost_precision,
        "pair_decimals": pair.price_precision,
        "lot_decimals": pair.qty_precision,
        "lot_multiplier": 1,
        "leverage_buy": leverage,
        "leverage_sell": leverage,
        "fees": [[0, _percent(settings.taker_fee_bps)]],
        "fees_maker": [[0, _percent(settings.maker_fee_bps)]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": listed.min_qty,
        "costmin": listed.min_cost,
        "tick_size": listed.price_increment,
        "status": "online",
        "long_position_limit": int(pair.position_limit),
        "short_position_limit": int(pair.position_limit),
    }


def _percent(bps: Decimal) -> float:
    return float(bps / 100)


def _digits(asset: str, amount: Decimal) -> Decimal:
    exact = amount.quantize(Decimal(1).scaleb(-asset_precision(asset)))
    return exact if exact == amount else amount


def _seconds(ns: int) -> Any:
    """A time as REST writes it: a number of seconds with a fraction of a tenth of a millisecond."""
    return round(ns / SECOND_NS, 4)
