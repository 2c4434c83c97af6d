"""What one connection has subscribed to, and the checks and acknowledgements of subscribe and unsubscribe.

Pure. One acknowledgement per symbol; the private channels ask for a token; `sequence` counts the messages of one private
subscription from 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .requests import Params, Refused, check_fields, invalid

Endpoint = Literal["public", "private", "both"]
PUBLIC_CHANNELS = ("ticker", "trade", "instrument")
PRIVATE_CHANNELS = ("executions", "balances")
NO_PRIVATE = "Private data and trading are unavailable on this endpoint. Try the private endpoint"
NO_PUBLIC = "Public market data subscriptions are unavailable on this endpoint. Try the public endpoint"
EXECUTIONS_WARNINGS = [
    "cancel_reason is deprecated, use reason",
    "stop_price is deprecated, use triggers.price",
    "trigger is deprecated use triggers.reference",
    "triggered_price is deprecated use triggers.last_price",
]
# Without order_status a subscription only hears how an order opens and ends; fills are always told.
SHORT_STATUSES = ("new", "trade", "filled", "canceled", "expired")
_FIELDS: Mapping[str, dict[str, type]] = {
    "ticker": {"channel": str, "symbol": list, "event_trigger": str, "snapshot": bool},
    "trade": {"channel": str, "symbol": list, "snapshot": bool},
    "instrument": {"channel": str, "snapshot": bool, "include_tokenized_assets": bool},
    "executions": {
        "channel": str,
        "token": str,
        "snap_orders": bool,
        "snap_trades": bool,
        "order_status": bool,
        "ratecounter": bool,
        "snapshot": bool,
        "users": str,
    },
    "balances": {"channel": str, "token": str, "snapshot": bool, "users": str},
}


@dataclass(slots=True)
class PrivateSubscription:
    """A subscription to executions or balances and the number of its last message."""

    sequence: int = 0
    order_status: bool = True
    ratecounter: bool = False


@dataclass(slots=True, eq=False)
class Connection:
    """One client's connection, as the gateway sees it. Times are market time."""

    number: int
    endpoint: Endpoint
    last_in_ns: int
    last_out_ns: int
    private: dict[str, PrivateSubscription] = field(default_factory=dict)
    ticker: dict[str, str] = field(default_factory=dict)
    trade: set[str] = field(default_factory=set)
    instrument: bool = False
    closing: bool = False
    stalled_until_ns: int = 0
    stalled: list[str] = field(default_factory=list)
    swapped: str | None = None
    late: dict[str, int] = field(default_factory=dict)

    @property
    def subscribed(self) -> bool:
        return bool(self.private or self.ticker or self.trade or self.instrument)


def checked_channel(connection: Connection, params: Params) -> str:
    """Return the channel that a subscribe or unsubscribe is about. Raises Refused."""
    channel = params.get("channel")
    if not isinstance(channel, str) or channel not in _FIELDS:
        raise Refused("Unsupported event")
    check_fields(params, _FIELDS[channel], "subscribe")
    if channel in PRIVATE_CHANNELS and connection.endpoint == "public":
        raise Refused(NO_PRIVATE)
    if channel in PUBLIC_CHANNELS and connection.endpoint == "private":
        raise Refused(NO_PUBLIC)
    return channel


def symbols_of(params: Params) -> list[str]:
    """Return the symbols named, as texts. Raises Refused where there is none."""
    symbols = params.get("symbol", [])
    if not symbols:
        raise Refused("Symbol(s) not found")
    return [symbol if isinstance(symbol, str) else str(symbol)[:40] for symbol in symbols]


def subscribe_private(connection: Connection, channel: str, params: Params, max_rate_count: int) -> dict[str, Any]:
    """Open a private subscription and return the result of its acknowledgement. Raises Refused."""
    if channel in connection.private:
        raise Refused("Already subscribed")
    options = {name: params.get(name, usual) for name, usual in (("order_status", True), ("ratecounter", False))}
    connection.private[channel] = PrivateSubscription(**options)
    if channel == "balances":
        return {"channel": channel, "snapshot": params.get("snapshot", True)}
    orders = params.get("snap_orders", params.get("snapshot", True))
    return {
        "channel": channel,
        "maxratecount": max_rate_count,
        "snapshot": orders,
        "snap_orders": orders,
        "snap_trades": params.get("snap_trades", False),
        "warnings": EXECUTIONS_WARNINGS,
    }


def subscribe_symbol(connection: Connection, channel: str, symbol: str, params: Params) -> dict[str, Any]:
    """Open the ticker or trade subscription of one symbol and return its acknowledgement's result. Raises Refused."""
    if symbol in (connection.ticker if channel == "ticker" else connection.trade):
        raise Refused("Already subscribed")
    if channel == "trade":
        connection.trade.add(symbol)
        return {"channel": channel, "snapshot": params.get("snapshot", False), "symbol": symbol}
    trigger = params.get("event_trigger", "trades")
    if trigger not in ("trades", "bbo"):
        raise invalid("event_trigger")
    connection.ticker[symbol] = trigger
    return {"channel": channel, "event_trigger": trigger, "snapshot": params.get("snapshot", True), "symbol": symbol}


def unsubscribe(connection: Connection, channel: str, symbol: str | None) -> dict[str, Any]:
    """Close a subscription and return the acknowledgement's result. Raises Refused where there was none."""
    if symbol is None:
        was = connection.private.pop(channel, None) is not None if channel in PRIVATE_CHANNELS else connection.instrument
        connection.instrument = connection.instrument and channel != "instrument"
    elif channel == "ticker":
        was = connection.ticker.pop(symbol, None) is not None
    else:
        was = symbol in connection.trade
        connection.trade.discard(symbol)
    if not was:
        raise Refused("Subscription Not Found")
    return {"channel": channel} if symbol is None else {"channel": channel, "symbol": symbol}
