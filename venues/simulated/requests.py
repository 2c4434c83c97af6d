"""Requests of a client, checked field by field as Kraken checks them, with Kraken's words for what is wrong.

Pure. A request that passes here is well formed and on the pair's grid; whether it finds its funds, its order or its
market is the exchange's question. Strings that are ours because no capture shows Kraken's are listed in
`docs/simulated-venue.md`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .orders import LIMITED_TYPES, ORDER_TYPES, TRAILING, TRIGGERED_TYPES, Conditional, PriceType, Trigger
from .pairs import Pair
from .wire import ns_from_time

Params = Mapping[str, Any]
SECOND_NS = 1_000_000_000
# Beyond this no price or quantity is meant, and a quotient by the grid would not fit the 28 digits of exact arithmetic.
MAX_NUMBER = 10**15
_CL_ORD_ID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[!-~]{1,18}")

_ADD = {
    "order_type": str, "side": str, "symbol": str, "order_qty": Decimal, "limit_price": Decimal, "limit_price_type": str,
    "triggers": dict, "time_in_force": str, "post_only": bool, "reduce_only": bool, "margin": bool, "effective_time": str,
    "expire_time": str, "deadline": str, "cl_ord_id": str, "order_userref": int, "conditional": dict, "display_qty": Decimal,
    "fee_preference": str, "cash_order_qty": Decimal, "stp_type": str, "validate": bool, "no_mpp": bool, "sender_sub_id": str,
    "token": str,
}  # fmt: skip
_TRIGGERS = {"reference": str, "price": Decimal, "price_type": str}
_CONDITIONAL = {
    "order_type": str, "limit_price": Decimal, "limit_price_type": str, "trigger_price": Decimal, "trigger_price_type": str,
    "stop_price": Decimal,
}  # fmt: skip
_AMEND = {
    "order_id": str, "cl_ord_id": str, "order_qty": Decimal, "display_qty": Decimal, "limit_price": Decimal, "limit_price_type": str,
    "post_only": bool, "trigger_price": Decimal, "trigger_price_type": str, "deadline": str, "symbol": str, "token": str,
}  # fmt: skip
FIELDS: dict[str, dict[str, type]] = {
    "add_order": _ADD,
    "amend_order": _AMEND,
    "cancel_order": {"order_id": list, "cl_ord_id": list, "order_userref": list, "token": str},
    "cancel_all": {"token": str},
    "cancel_all_orders_after": {"timeout": int, "token": str},
    "batch_add": {"symbol": str, "orders": list, "deadline": str, "validate": bool, "token": str},
    "batch_cancel": {"orders": list, "cl_ord_id": list, "token": str},
}
_KINDS = {str: "a string", Decimal: "a number_float", bool: "a boolean", int: "a number_integer", dict: "an object", list: "an array"}


class Refused(Exception):
    """The request is refused; the text is what the client is told."""


def invalid(detail: str) -> Refused:
    return Refused(f"EGeneral:Invalid arguments:{detail}")


def check_fields(params: Params, fields: Mapping[str, type], message: str) -> None:
    """Refuse an unknown field, or one of another JSON type. `message` is the request's name as Kraken writes it."""
    for name, value in params.items():
        if name not in fields:
            raise Refused(f"Unsupported field: '{name}' for the given msg type: {message}")
        kind = fields[name]
        fits = isinstance(value, (int, Decimal) if kind is Decimal else kind) and (kind is bool or not isinstance(value, bool))
        if not fits:
            raise Refused(f"{name.capitalize()} field must be {_KINDS[kind]}")
        if kind is Decimal and abs(value) > MAX_NUMBER:
            raise invalid(name)


@dataclass(frozen=True, slots=True)
class AddOrder:
    """A checked add_order. `trigger` is not armed yet."""

    pair: Pair
    buying: bool
    order_type: str
    lots: int
    limit_ticks: int | None
    time_in_force: str
    post_only: bool
    reduce_only: bool
    margin: bool
    fee_in_base: bool
    cl_ord_id: str
    order_userref: int
    trigger: Trigger | None
    conditional: Conditional | None
    deadline_ns: int
    expire_ns: int | None
    validate: bool


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """A checked amend_order; prices and quantity are checked against the order's pair by `ticks_of` and `lots_of`."""

    order_id: str
    cl_ord_id: str
    order_qty: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None
    trigger_price_type: PriceType
    post_only: bool
    deadline_ns: int


def add_order(params: Params, pairs: Mapping[str, Pair], now_ns: int, message: str = "add order") -> AddOrder:
    """Check an add_order received at `now_ns`. Raises Refused."""
    check_fields(params, _ADD, message)
    pair = _pair(params, pairs)
    order_type, side = _needed(params, "order_type"), _needed(params, "side")
    if order_type not in ORDER_TYPES:
        raise invalid(f"order_type {order_type} is not simulated")
    if side not in ("buy", "sell"):
        raise invalid("side")
    for name in ("effective_time", "display_qty", "cash_order_qty"):
        if name in params:
            raise invalid(f"{name} is not simulated")
    if "no_mpp" in params and order_type != "market":
        raise invalid("no_mpp order option is only available when ordertype = market")
    time_in_force = params.get("time_in_force", "gtc").lower()
    if time_in_force not in ("gtc", "gtd", "ioc", "fok") or (time_in_force == "fok" and order_type != "limit"):
        raise invalid("time_in_force")
    if params.get("post_only") and (order_type not in LIMITED_TYPES or time_in_force in ("ioc", "fok")):
        raise invalid("post_only")
    if params.get("reduce_only") and not params.get("margin"):
        raise invalid("reduce_only needs margin")
    if params.get("margin") and not pair.instrument.marginable:
        raise invalid("margin")
    lots = lots_of(_needed(params, "order_qty"), pair)
    limit_ticks = None
    if order_type in LIMITED_TYPES:
        if params.get("limit_price_type", "static") != "static":
            raise invalid("limit_price_type is not simulated")
        limit_ticks = ticks_of(_needed(params, "limit_price"), pair)
    elif "limit_price" in params:
        raise invalid("limit_price")
    return AddOrder(
        pair=pair,
        buying=side == "buy",
        order_type=order_type,
        lots=lots,
        limit_ticks=limit_ticks,
        time_in_force=time_in_force,
        post_only=params.get("post_only", False),
        reduce_only=params.get("reduce_only", False),
        margin=params.get("margin", False),
        fee_in_base=_fee_in_base(params),
        cl_ord_id=_cl_ord_id(params),
        order_userref=params.get("order_userref", 0),
        trigger=_trigger(params, pair, order_type, side == "buy"),
        conditional=_conditional(params, pair, order_type),
        deadline_ns=_deadline(params, now_ns),
        expire_ns=_expiry(params, time_in_force, now_ns),
        validate=params.get("validate", False),
    )


def amend_order(params: Params, now_ns: int) -> AmendOrder:
    """Check an amend_order received at `now_ns`. Raises Refused."""
    check_fields(params, _AMEND, "amend order")
    if ("order_id" in params) == ("cl_ord_id" in params):
        raise invalid("one of order_id and cl_ord_id is needed")
    if "display_qty" in params:
        raise invalid("display_qty is not simulated")
    if not {"order_qty", "limit_price", "trigger_price"} & params.keys():
        raise Refused("No amendable parameters")
    return AmendOrder(
        order_id=params.get("order_id", ""),
        cl_ord_id=params.get("cl_ord_id", ""),
        order_qty=params.get("order_qty"),
        limit_price=params.get("limit_price"),
        trigger_price=params.get("trigger_price"),
        trigger_price_type=_price_type(params.get("trigger_price_type", "static"), "trigger_price_type"),
        post_only=params.get("post_only", False),
        deadline_ns=_deadline(params, now_ns),
    )


def ids(params: Params, *names: str) -> Iterable[tuple[str, Any]]:
    """Yield (field, id) of every id in the named lists, in the order given. Raises Refused where there is none."""
    found = [(name, value) for name in names for value in params.get(name, [])]
    if not found:
        raise invalid("no order named")
    return found


def ticks_of(price: Decimal | int, pair: Pair) -> int:
    """Return a price in ticks. Raises Refused where it is not positive or off the grid."""
    if price <= 0:
        raise Refused("EOrder:Invalid price")
    ticks, rest = divmod(Decimal(price), pair.instrument.price_increment)
    if rest:
        raise Refused(f"EOrder:Invalid price:{pair.symbol} price can only be specified up to {pair.price_precision} decimals.")
    return int(ticks)


def lots_of(qty: Decimal | int, pair: Pair) -> int:
    """Return a quantity in lots. Raises Refused where it is not positive, off the grid or under the minimum."""
    lots, rest = divmod(Decimal(qty), pair.instrument.size_increment)
    if rest or qty <= 0:
        raise invalid("order_qty" if qty <= 0 else f"order_qty can only be specified up to {pair.qty_precision} decimals")
    if qty < pair.instrument.min_qty:
        raise Refused("EOrder:Order minimum not met")
    return int(lots)


def _needed(params: Params, name: str) -> Any:
    if name not in params:
        raise invalid(name)
    return params[name]


def _pair(params: Params, pairs: Mapping[str, Pair]) -> Pair:
    symbol = _needed(params, "symbol")
    if symbol not in pairs:
        raise Refused(f"Currency pair not supported {symbol}")
    return pairs[symbol]


def _price_type(text: str, name: str) -> PriceType:
    match text:
        case "static" | "pct" | "quote":
            return text
    raise invalid(name)


def _trigger(params: Params, pair: Pair, order_type: str, buying: bool) -> Trigger | None:
    if order_type not in TRIGGERED_TYPES:
        if "triggers" in params:
            raise invalid("triggers")
        return None
    triggers = _needed(params, "triggers")
    check_fields(triggers, _TRIGGERS, "add order")
    reference = triggers.get("reference", "last")
    if reference not in ("last", "index"):
        raise invalid("triggers.reference")
    if reference == "index" and not pair.has_index:
        raise invalid("Index unavailable")
    price_type = _price_type(triggers.get("price_type", "static"), "triggers.price_type")
    return make_trigger(order_type, buying, Decimal(_needed(triggers, "price")), price_type, pair, reference)


def make_trigger(order_type: str, buying: bool, price: Decimal, price_type: PriceType, pair: Pair, reference: str = "last") -> Trigger:
    """Build an unarmed trigger; a buy stop and a sell take-profit wait for a rise. Raises Refused for a price it cannot have."""
    trailing = order_type == TRAILING
    if trailing:
        if price_type == "static":
            raise invalid("trigger price_type of a trailing stop must be pct or quote")
        if price <= 0 or (price_type == "pct" and price >= 100):
            raise Refused("EOrder:Invalid price")
    if price_type == "static":
        ticks_of(price, pair)
    return Trigger(price, price_type, reference, rising=order_type.startswith("take-profit") != buying, trailing=trailing)


def _conditional(params: Params, pair: Pair, order_type: str) -> Conditional | None:
    if "conditional" not in params:
        return None
    if "cl_ord_id" in params:
        raise Refused("EOrder:cl_ord_id is not supported on conditional close")
    if order_type not in ("limit", "market"):
        raise invalid("conditional")
    close = params["conditional"]
    check_fields(close, _CONDITIONAL, "add order")
    kind = _needed(close, "order_type")
    if kind not in TRIGGERED_TYPES:
        raise invalid(f"conditional order_type {kind} is not simulated")
    price = Decimal(close["stop_price"] if "stop_price" in close else _needed(close, "trigger_price"))
    price_type = _price_type(close.get("trigger_price_type", "static"), "conditional.trigger_price_type")
    make_trigger(kind, params["side"] != "buy", price, price_type, pair)
    limit_ticks = ticks_of(_needed(close, "limit_price"), pair) if kind in LIMITED_TYPES else None
    return Conditional(kind, price, price_type, limit_ticks)


def _cl_ord_id(params: Params) -> str:
    if "cl_ord_id" not in params:
        return ""
    if "order_userref" in params:
        raise invalid("cl_ord_id and order_userref are exclusive")
    text: str = params["cl_ord_id"]
    if not _CL_ORD_ID.fullmatch(text):
        raise invalid("cl_ord_id")
    return text


def _fee_in_base(params: Params) -> bool:
    preference = params.get("fee_preference", "quote")
    if preference not in ("base", "quote"):
        raise invalid("fee_preference")
    return bool(preference == "base")


def _deadline(params: Params, now_ns: int) -> int:
    if "deadline" not in params:
        return now_ns + 5 * SECOND_NS
    deadline_ns = _time(params["deadline"], "deadline")
    if deadline_ns > now_ns + 60 * SECOND_NS:
        raise invalid("deadline")
    return deadline_ns


def _expiry(params: Params, time_in_force: str, now_ns: int) -> int | None:
    if time_in_force != "gtd":
        return None
    expire_ns = _time(_needed(params, "expire_time"), "expire_time")
    if not now_ns < expire_ns <= now_ns + 31 * 86_400 * SECOND_NS:
        raise invalid("expire_time")
    return expire_ns


def _time(text: str, name: str) -> int:
    try:
        return ns_from_time(text)
    except ValueError:
        raise invalid(name) from None
