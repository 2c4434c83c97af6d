"""Whether a print is of this market (I15): not far off the touch, unless a second one says the same.

Feeds carry prints that nobody could have traded against: an insurance fund's, a correction, a slip of the decimal point. Alone
they cross no level, move no peak and stand in no bar. A real jump is confirmed by the next print, or by the touch that follows it;
until then the stop at the venue stands, as always.
"""

from decimal import Decimal

BAND_BPS = 150
QUOTE_AGE_NS = 5_000_000_000


class Band:
    """The band of one symbol."""

    __slots__ = ("_ask", "_bid", "_odd", "_until_ns")

    def __init__(self) -> None:
        self._bid = self._ask = Decimal(0)
        self._until_ns = -1
        self._odd: Decimal | None = None

    def quote(self, bid: Decimal, ask: Decimal, now_ns: int) -> None:
        """Take the touch."""
        self._bid, self._ask = bid, ask
        self._until_ns = now_ns + QUOTE_AGE_NS

    def admits(self, px: Decimal, now_ns: int) -> bool:
        """Tell whether a print may be used."""
        if now_ns > self._until_ns or self._bid <= px <= self._ask or self._is_near(px):
            self._odd = None
            return True
        odd, self._odd = self._odd, px
        return odd is not None and abs(px - odd) * 10_000 <= odd * BAND_BPS

    def _is_near(self, px: Decimal) -> bool:
        # Most prints are at the touch and never come here.
        return self._bid * (10_000 - BAND_BPS) <= px * 10_000 <= self._ask * (10_000 + BAND_BPS)
