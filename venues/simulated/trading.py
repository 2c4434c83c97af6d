"""The trading requests of Kraken's WebSocket v2, each answered by what the exchange says.

Pure. A handler gives the answers to one request in order: a cancel_order has one per order named, all others one. What an
answer lacks (method, req_id, times) the gateway adds.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .admission import gate
from .exchange import Exchange
from .orders import Order
from .requests import FIELDS, Params, Refused, add_order, amend_order, check_fields, ids, invalid
from .wire import time_text_seconds

Answer = dict[str, Any]
VALIDATED = "Order validated but not placed"
DAY_S = 86_400


def refusal(error: str) -> Answer:
    return {"error": error, "success": False}


def label_of(exchange: Exchange, method: str, params: Params) -> str:
    """Name a request for the faults: `add_order:limit:buy`, and by the order it is about for an amend or a cancel."""
    if method == "add_order":
        return f"{method}:{params.get('order_type', '')}:{params.get('side', '')}"
    order = None
    for name in ("order_id", "cl_ord_id"):
        value = params.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str) and value:
            order = exchange.find(**{name: value})
    return f"{method}:{order.order_type}:{order.side}" if order else method


def answers(exchange: Exchange, method: str, params: Params, received_ns: int, now_ns: int) -> list[Answer]:
    """Carry out one request and return its answers. `received_ns` is when it came, which a default deadline counts from."""
    try:
        return list(_HANDLERS[method](exchange, params, received_ns, now_ns))
    except Refused as error:
        return [refusal(str(error))]


def _add_order(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    _charge(exchange, params.get("symbol"), 2, now_ns)
    order = exchange.add(add_order(params, exchange.pairs, received_ns), now_ns)
    yield _success(_placed(order, params))


def _placed(order: Order | None, params: Params) -> dict[str, Any]:
    result: dict[str, Any] = {"order_id": order.order_id if order else ""}
    result |= {name: params[name] for name in ("cl_ord_id", "order_userref") if name in params}
    return result if order else result | {"warnings": [VALIDATED]}


def _amend_order(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    amend_id, order = exchange.amend(amend_order(params, received_ns), now_ns)
    result = {"amend_id": amend_id, "order_id": order.order_id}
    yield _success(result | ({"cl_ord_id": order.cl_ord_id} if order.cl_ord_id else {}))


def _cancel_order(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    check_fields(params, FIELDS["cancel_order"], "cancel order")
    named = list(ids(params, "order_id", "cl_ord_id", "order_userref"))
    for order_id, cl_ord_id in [target for name, value in named for target in _named(exchange, name, value)]:
        try:
            order = exchange.cancel(order_id, cl_ord_id, now_ns)
        except Refused as error:
            yield refusal(str(error))
        else:
            yield _success({"cl_ord_id": cl_ord_id} if cl_ord_id else {"order_id": order.order_id})


def _named(exchange: Exchange, name: str, value: Any) -> list[tuple[str, str]]:
    if name == "order_userref":
        return [(order.order_id, "") for order in exchange.open_orders() if order.order_userref == value] or [("?", "")]
    if not isinstance(value, str):
        raise Refused(f"{name.capitalize()} field must be a string")
    return [(value or "?", "")] if name == "order_id" else [("", value)]


def _cancel_all(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    check_fields(params, FIELDS["cancel_all"], "cancel all")
    gate(exchange.system, "cancel")
    yield _success({"count": exchange.cancel_many(exchange.open_orders(), now_ns)})


def _batch_cancel(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    check_fields(params, FIELDS["batch_cancel"], "batch cancel")
    gate(exchange.system, "cancel")
    named = [str(value) for _, value in ids(params, "orders", "cl_ord_id")]
    if not 2 <= len(named) <= 50:
        raise invalid("orders")
    found = {id(order): order for text in named if (order := exchange.find(text) or exchange.find(cl_ord_id=text)) is not None}
    yield {"orders_cancelled": exchange.cancel_many(list(found.values()), now_ns), "success": True}


def _batch_add(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    """Validation is all or nothing; what the market or the funds refuse is refused order by order (K14)."""
    check_fields(params, FIELDS["batch_add"], "batch add")
    orders = params.get("orders", [])
    if not 2 <= len(orders) <= 15 or not all(isinstance(order, dict) for order in orders):
        raise invalid("orders")
    common = {name: params[name] for name in ("symbol", "deadline", "validate") if name in params}
    _charge(exchange, params.get("symbol"), len(orders), now_ns)
    requests = [add_order(order | common, exchange.pairs, received_ns, "batch add") for order in orders]
    results: list[dict[str, Any]] = []
    for order, request in zip(orders, requests, strict=True):
        try:
            results.append(_placed(exchange.add(request, now_ns), order))
        except Refused as error:
            results.append({"error": str(error)})
    yield {"result": results, "success": not any("error" in result for result in results)}


def _cancel_all_orders_after(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    check_fields(params, FIELDS["cancel_all_orders_after"], "cancel all orders after")
    timeout_s = params.get("timeout", -1)
    if not 0 <= timeout_s < DAY_S:
        raise invalid("timeout")
    due_ns = exchange.cancel_all_after(timeout_s, now_ns)
    yield _success({"currentTime": time_text_seconds(now_ns), "triggerTime": time_text_seconds(due_ns) if due_ns else "0"})


def _edit_order(exchange: Exchange, params: Params, received_ns: int, now_ns: int) -> Iterator[Answer]:
    raise invalid("edit_order is not simulated, use amend_order")


def _charge(exchange: Exchange, symbol: Any, points_twice: int, now_ns: int) -> None:
    """The fixed part of an add is charged before validation, so that refused requests count too."""
    if isinstance(symbol, str) and symbol in exchange.pairs:
        exchange.charge(symbol, points_twice, now_ns)


def _success(result: dict[str, Any]) -> Answer:
    return {"result": result, "success": True}


_HANDLERS: Mapping[str, Callable[[Exchange, Params, int, int], Iterator[Answer]]] = {
    "add_order": _add_order,
    "amend_order": _amend_order,
    "cancel_order": _cancel_order,
    "cancel_all": _cancel_all,
    "batch_cancel": _batch_cancel,
    "batch_add": _batch_add,
    "cancel_all_orders_after": _cancel_all_orders_after,
    "edit_order": _edit_order,
}
METHODS = frozenset(_HANDLERS)
