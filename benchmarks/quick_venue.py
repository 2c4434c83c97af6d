"""A venue that answers at once, for W4 and W5: what Kraken's private channel says of market orders and trailing stops, no more.

Pure: requests in, frames out. It knows no prices and no faults; `venues.simulated` is the venue that behaves like one. What it says is
whole enough for the real session, translator and machines to run against it (entry filled, stop accepted, stop filled, snapshot).
"""

import json
from typing import Any

from venues.kraken.times import rfc3339_ms_from

SYMBOL = "BTC/USD"
PAIR = {
    "symbol": SYMBOL, "base": "BTC", "quote": "USD", "status": "online", "qty_increment": 0.0001, "qty_min": 0.001, "price_increment": 0.1,
    "cost_min": 0.5, "marginable": True,
}  # fmt: skip

# It has no limit of orders: what is measured is the engine, and not how long it waits for points (`venues/kraken/budget.py`).
MAX_RATE_COUNT = 1_000_000

Frames = list[str]


class QuickVenue:
    """One account. `stops` are the open stops by venue order id, oldest first; `last_px` is the text of the price that fills get."""

    def __init__(self) -> None:
        self.stops: dict[str, dict[str, Any]] = {}
        self.last_px = "60000.0"
        self._number = 0
        self._sequence = {"executions": 0, "balances": 0}
        self._trades: list[dict[str, Any]] = []

    def instruments(self) -> str:
        """Return the snapshot of the one pair."""
        return json.dumps({"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": [PAIR]}})

    def acknowledge(self, request: dict[str, Any]) -> str:
        """Return the reply to a subscription or to any other request that is only to be acknowledged."""
        channel = request.get("params", {}).get("channel", "")
        result = {"channel": channel, **({"maxratecount": MAX_RATE_COUNT} if channel == "executions" else {})}
        return json.dumps({"method": request["method"], "req_id": request["req_id"], "success": True, "result": result})

    def snapshot(self, channel: str, now_ns: int) -> str:
        """Return the snapshot that follows a subscription of a private channel."""
        self._sequence[channel] = 0
        if channel == "balances":
            return self._frame(channel, [{"asset": "USD", "balance": 1000000.0}], "snapshot")
        state = {"exec_type": "new", "order_status": "new", "cum_qty": 0, "timestamp": _text(now_ns)}
        listed = [{**stop, **state} for stop in self.stops.values()]
        return self._frame(channel, [*self._trades[-50:], *listed], "snapshot")

    def accept(self, request: dict[str, Any], now_ns: int) -> tuple[dict[str, Any], Frames]:
        """Take an `add_order`: return the order, and the frames that say that it was taken and works."""
        params = request["params"]
        self._number += 1
        order = {
            "order_id": f"O{self._number:09d}",
            "cl_ord_id": params["cl_ord_id"],
            "symbol": SYMBOL,
            "side": params["side"],
            "order_type": params["order_type"],
            "order_qty": params["order_qty"],
        }
        if "triggers" in params:
            order["triggers"] = {**params["triggers"], "status": "untriggered", "actual_price": 50000.0}
            self.stops[order["order_id"]] = order
        ids = {"order_id": order["order_id"], "cl_ord_id": order["cl_ord_id"]}
        reply = {"method": "add_order", "req_id": request["req_id"], "success": True, "result": ids}
        return order, [
            json.dumps(reply),
            self._execution({**order, "exec_type": "pending_new", "order_status": "pending_new"}, now_ns),
            self._execution({**ids, "exec_type": "new", "order_status": "new"}, now_ns),
        ]

    def trigger(self, order: dict[str, Any], now_ns: int) -> str:
        """Return the frame that says that a stop fired."""
        triggers = {**order["triggers"], "status": "triggered", "last_price": float(self.last_px)}
        entry = {"order_id": order["order_id"], "exec_type": "status", "order_status": "triggered", "triggers": triggers}
        return self._execution(entry, now_ns)

    def fill(self, order: dict[str, Any], now_ns: int) -> Frames:
        """Fill an order whole: return the frame of the trade, and the one that says that it is filled."""
        self.stops.pop(order["order_id"], None)
        self._number += 1
        trade = {
            "order_id": order["order_id"],
            "cl_ord_id": order["cl_ord_id"],
            "exec_id": f"T{self._number:09d}",
            "exec_type": "trade",
            "order_status": "partially_filled",
            "symbol": SYMBOL,
            "side": order["side"],
            "order_type": order["order_type"],
            "last_qty": order["order_qty"],
            "last_price": float(self.last_px),
            "liquidity_ind": "t",
            "cum_qty": order["order_qty"],
            "fees": [{"asset": "USD", "qty": 0.26}],
            "timestamp": _text(now_ns),
        }
        self._trades = [*self._trades[-50:], trade]
        done = {"order_id": order["order_id"], "exec_type": "filled", "order_status": "filled", "cum_qty": order["order_qty"]}
        return [self._frame("executions", [trade], "update"), self._execution(done, now_ns)]

    def _execution(self, entry: dict[str, Any], now_ns: int) -> str:
        return self._frame("executions", [{**entry, "timestamp": _text(now_ns)}], "update")

    def _frame(self, channel: str, data: list[dict[str, Any]], kind: str) -> str:
        self._sequence[channel] += 1
        return json.dumps({"channel": channel, "type": kind, "data": data, "sequence": self._sequence[channel]})


def trade_frame(px: str, number: int, now_ns: int) -> str:
    """Return a public trade as Kraken's `trade` channel writes it."""
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{SYMBOL}","side":"buy","price":{px},"qty":0.01000000,'
        f'"ord_type":"market","trade_id":{number},"timestamp":"{_text(now_ns)}"}}]}}'
    )


def ticker_frame(px: str, now_ns: int) -> str:
    """Return a quote as Kraken's `ticker` channel writes it."""
    return (
        f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{SYMBOL}","bid":{px},"bid_qty":1.50000000,"ask":{px},'
        f'"ask_qty":2.00000000,"last":{px},"volume":1234.56789012,"vwap":60000.1,"low":59000.0,"high":61000.0,"change":12.1,'
        f'"change_pct":0.02,"timestamp":"{_text(now_ns)}"}}]}}'
    )


def _text(now_ns: int) -> str:
    # Microseconds, as the venue writes them.
    return f"{rfc3339_ms_from(now_ns)[:-1]}{now_ns // 1_000 % 1_000:03}Z"
