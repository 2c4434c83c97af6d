"""What the public sees of one pair: last price, the day's figures, the latest prints; and the rows of its channels.

Pure. The day is the run of the venue: Kraken's figures are of 24 hours.
"""

from collections import deque
from decimal import Decimal
from typing import Any

from .book import SyntheticBook
from .pairs import Pair
from .wire import time_text


class Tape:
    """Prints of one pair. Prices are ticks, quantities lots."""

    def __init__(self, pair: Pair, first_trade_id: int) -> None:
        self.pair = pair
        self.last_ticks = 0
        self.trades = 0
        self.recent: deque[dict[str, Any]] = deque(maxlen=50)
        self._trade_id = first_trade_id
        self._open = self._low = self._high = 0
        self._lots = 0
        self._cost = 0
        self._at_ns = 0

    def next_trade_id(self) -> int:
        """Return an id for a trade, increasing per pair."""
        self._trade_id += 1
        return self._trade_id

    def print(self, px_ticks: int, lots: int, taker_buys: bool, now_ns: int) -> dict[str, Any]:
        """Book a print and return its row of the trade channel."""
        if not self.trades:
            self._open = self._low = self._high = px_ticks
        self.last_ticks, self._at_ns = px_ticks, now_ns
        self._low, self._high = min(self._low, px_ticks), max(self._high, px_ticks)
        self.trades += 1
        self._lots += lots
        self._cost += lots * px_ticks
        row = {
            "symbol": self.pair.symbol,
            "side": "buy" if taker_buys else "sell",
            "price": self.pair.instrument.price(px_ticks),
            "qty": self.pair.instrument.qty(lots),
            "ord_type": "market",
            "trade_id": self.next_trade_id(),
            "timestamp": time_text(now_ns),
        }
        self.recent.append(row)
        return row

    def ticker(self, book: SyntheticBook) -> dict[str, Any]:
        """Return the row of the ticker channel."""
        listed = self.pair.instrument
        change = listed.price(self.last_ticks - self._open)
        return {
            "symbol": self.pair.symbol,
            "bid": listed.price(book.bid),
            "bid_qty": listed.qty(book.depth(book.bid)),
            "ask": listed.price(book.ask),
            "ask_qty": listed.qty(book.depth(book.ask)),
            "last": listed.price(self.last_ticks),
            "volume": listed.qty(self._lots),
            "vwap": listed.price(self._cost // self._lots if self._lots else 0),
            "low": listed.price(self._low),
            "high": listed.price(self._high),
            "change": change,
            "change_pct": (change * 100 / listed.price(self._open)).quantize(Decimal("0.01")) if self._open else Decimal("0.00"),
            "trades": self.trades,
            "timestamp": time_text(self._at_ns),
        }
