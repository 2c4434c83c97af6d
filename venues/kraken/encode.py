"""Requests to Kraken WebSocket v2, written. Pure.

Numbers leave as bare lexemes without exponent: a quoted one is refused ("Limit_price field must be a number_float"), a
float would lose digits. The token is not known here: private requests carry `TOKEN_PLACEHOLDER`, and the session puts the
token in as the frame leaves, so that what is recorded never has it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from events.commands import AmendOrder, AttachedStop, CancelOrder, SubmitOrder
from events.errors import BadInput

from .times import rfc3339_ms_from

TOKEN_PLACEHOLDER = "@token@"
# Stops fire on the last trade: the price that the engine watches too, and shows beside it.
REFERENCE = "last"

# Kraken takes deadlines of 0.5 s to 60 s ahead. Nearer ones are moved out to the minimum rather than refused: an exit
# that may fill half a second late is better than one that the venue throws away.
MIN_DEADLINE_NS = 500_000_000
MAX_DEADLINE_NS = 60_000_000_000

_encoder = msgspec.json.Encoder()


def _lexeme(value: Decimal) -> msgspec.Raw:
    return msgspec.Raw(format(value, "f").encode())


def percent_from_bps(bps: int) -> Decimal:
    """Return basis points as percent, exactly: 125 -> 1.25."""
    return Decimal(bps).scaleb(-2)


def encode_request(method: str, req_id: int, params: dict[str, Any] | None = None, is_private: bool = False) -> str:
    """Return a request frame; a private one carries the token's placeholder."""
    request: dict[str, Any] = {"method": method}
    if is_private:
        params = {**(params or {}), "token": TOKEN_PLACEHOLDER}
    if params is not None:
        request["params"] = params
    request["req_id"] = req_id
    return _encoder.encode(request).decode()


def encode_submit(command: SubmitOrder, req_id: int, now_ns: int, order_userref: int = 0, venue_ahead_ns: int = 0) -> str:
    """Return the `add_order` frame. With an attached stop the order carries `order_userref` in place of the client id.

    `venue_ahead_ns` is what the venue's clock is ahead of ours: a deadline is written in the venue's time.
    """
    params: dict[str, Any] = {
        "order_type": command.order_type,
        "side": command.side.value,
        "order_qty": _lexeme(command.qty),
        "symbol": command.symbol,
    }
    if command.limit_price is not None:
        params["limit_price"] = _lexeme(command.limit_price)
    if command.trail_offset_bps is not None:
        params["triggers"] = {"reference": REFERENCE, "price": _lexeme(percent_from_bps(command.trail_offset_bps)), "price_type": "pct"}
    elif command.trigger_price is not None:
        params["triggers"] = {"reference": REFERENCE, "price": _lexeme(command.trigger_price), "price_type": "static"}
    if command.immediate_or_cancel:
        params["time_in_force"] = "ioc"
    for flag in ("post_only", "reduce_only", "margin"):
        if getattr(command, flag):
            params[flag] = True
    if command.deadline_ns:
        params["deadline"] = _deadline(command.deadline_ns, now_ns, venue_ahead_ns)
    if command.attached is None:
        params["cl_ord_id"] = command.client_order_id
    else:
        # "EOrder:cl_ord_id is not supported on conditional close" (venues.md §0.2)
        params["order_userref"] = order_userref
        params["conditional"] = _conditional(command.attached)
    return encode_request("add_order", req_id, params, is_private=True)


def _deadline(deadline_ns: int, now_ns: int, venue_ahead_ns: int) -> str:
    return rfc3339_ms_from(min(max(deadline_ns, now_ns + MIN_DEADLINE_NS), now_ns + MAX_DEADLINE_NS) + venue_ahead_ns)


def as_validation(frame_text: str) -> str:
    """Return an `add_order` frame that the venue checks and does not place."""
    return frame_text.replace('"params":{', '"params":{"validate":true,', 1)


def _conditional(stop: AttachedStop) -> dict[str, Any]:
    if stop.trail_offset_bps is not None:
        offset = _lexeme(percent_from_bps(stop.trail_offset_bps))
        return {"order_type": "trailing-stop", "trigger_price": offset, "trigger_price_type": "pct"}
    if stop.trigger_price is None:
        raise BadInput("attached stop", "neither a trigger price nor a trail offset is set", "set one of the two")
    return {"order_type": "stop-loss", "trigger_price": _lexeme(stop.trigger_price), "trigger_price_type": "static"}


def encode_amend(command: AmendOrder, req_id: int, venue_order_id: str, now_ns: int, venue_ahead_ns: int = 0) -> str:
    """Return the `amend_order` frame; `venue_order_id` names the order, the client id where it is "". Times as in `encode_submit`."""
    params: dict[str, Any] = {"order_id": venue_order_id} if venue_order_id else {"cl_ord_id": command.client_order_id}
    if command.order_qty is not None:
        params["order_qty"] = _lexeme(command.order_qty)
    if command.limit_price is not None:
        params["limit_price"] = _lexeme(command.limit_price)
    if command.trail_offset_bps is not None:
        params["trigger_price"] = _lexeme(percent_from_bps(command.trail_offset_bps))
        params["trigger_price_type"] = "pct"
    elif command.trigger_price is not None:
        params["trigger_price"] = _lexeme(command.trigger_price)
        params["trigger_price_type"] = "static"
    if command.deadline_ns is not msgspec.UNSET:
        params["deadline"] = _deadline(command.deadline_ns, now_ns, venue_ahead_ns)
    return encode_request("amend_order", req_id, params, is_private=True)


def encode_cancel(command: CancelOrder, req_id: int, venue_order_id: str, order_userref: int = 0) -> str:
    """Return the `cancel_order` frame, naming the order once: each id named is answered on its own."""
    if venue_order_id:
        params: dict[str, Any] = {"order_id": [venue_order_id]}
    elif order_userref:
        params = {"order_userref": [order_userref]}
    else:
        params = {"cl_ord_id": [command.client_order_id]}
    return encode_request("cancel_order", req_id, params, is_private=True)


def encode_cancel_all_after(timeout_secs: int, req_id: int) -> str:
    """Return the frame that arms (or, with 0, disarms) the dead-man switch of the whole account, protective stops included."""
    return encode_request("cancel_all_orders_after", req_id, {"timeout": timeout_secs}, is_private=True)


def encode_subscribe(channel: str, req_id: int, symbols: Sequence[str] = (), is_private: bool = False, **options: Any) -> str:
    """Return a subscription; `options` are the channel's own parameters."""
    params: dict[str, Any] = {"channel": channel, **options}
    if symbols:
        params["symbol"] = list(symbols)
    return encode_request("subscribe", req_id, params, is_private)


def encode_unsubscribe(channel: str, req_id: int, is_private: bool = False) -> str:
    """Return the end of a private subscription."""
    return encode_request("unsubscribe", req_id, {"channel": channel}, is_private)
