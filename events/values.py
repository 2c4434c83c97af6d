"""Prices, quantities, sides and instruments: exact numbers, Decimal at the edge, integer ticks and lots inside.

A *tick* is one `price_increment`, a *lot* one `size_increment`. Conversions are exact or raise; whoever rounds calls a
function whose name says in which direction.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from .errors import BadInput, NotFinite, OffGrid

# Longest number that any venue of ours sends is 20 characters; int(Decimal("1e500000")) takes seconds, so the exponent is
# bounded before anything is converted.
MAX_EXPONENT = 18
MAX_DIGITS = 38


class Side(Enum):
    """Side of an order (FIX 54)."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionSide(Enum):
    """Direction of a position."""

    LONG = "long"
    SHORT = "short"

    entry_side: Side
    exit_side: Side
    sign: int
    """+1 for a long, -1 for a short."""

    def __init__(self, value: str) -> None:
        # Set once, not asked for by properties: every event looks at them several times.
        self.entry_side = Side.BUY if value == "long" else Side.SELL
        self.exit_side = self.entry_side.opposite
        self.sign = 1 if value == "long" else -1


def decimal_from(text: str | int | Decimal, place: str) -> Decimal:
    """Return the exact Decimal that `text` writes.

    Refuses what `Decimal` takes but no venue means: "NaN", "Infinity", "1_000", blanks, non-ASCII digits, and numbers
    longer than `MAX_DIGITS` digits or beyond an exponent of +-`MAX_EXPONENT`.

    Raises:
        NotFinite: the text is not such a number; `place` is named in the sentence.
    """
    if isinstance(text, Decimal):
        value = text
    else:
        raw = str(text)
        if len(raw) > MAX_DIGITS + 8 or not raw.isascii() or "_" in raw or raw != raw.strip():
            raise NotFinite(place, raw)
        try:
            value = Decimal(raw)
        except ArithmeticError:
            raise NotFinite(place, raw) from None
    if not value.is_finite():
        raise NotFinite(place, value)
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if len(digits) > MAX_DIGITS or not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise NotFinite(place, value)
    return value


def positive_decimal_from(text: str | int | Decimal, place: str) -> Decimal:
    """Return `decimal_from(text)` if it is above zero (I15: a price of 0 triggers nothing).

    Raises:
        NotFinite: not a plain number.
        BadInput: zero or negative.
    """
    value = decimal_from(text, place)
    if value <= 0:
        raise BadInput(place, f"{value} is not above zero", "give a number above 0")
    return value


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue says of one symbol: names, grid and minimums. Stored with each position, so that a log explains itself.

    `price_increment` and `size_increment` are the grid; `min_qty` in base units; `min_cost` in quote units.
    """

    symbol: str
    base: str
    quote: str
    price_increment: Decimal
    size_increment: Decimal
    min_qty: Decimal
    min_cost: Decimal = Decimal(0)
    marginable: bool = False

    def ticks(self, price: Decimal, place: str = "price") -> int:
        """Return `price` in whole ticks. Raises NotFinite or OffGrid, naming `place`."""
        return _whole(price, self.price_increment, place)

    def lots(self, qty: Decimal, place: str = "qty") -> int:
        """Return `qty` in whole lots. Raises NotFinite or OffGrid, naming `place`."""
        return _whole(qty, self.size_increment, place)

    def floor_ticks(self, price: Decimal) -> int:
        """Return the highest whole tick at or below `price`: away from the market for a long's stop."""
        try:
            ticks, rest = divmod(price, self.price_increment)
            return int(ticks) - (rest < 0)
        except (ArithmeticError, ValueError):
            raise NotFinite("price", price) from None

    def ceil_ticks(self, price: Decimal) -> int:
        """Return the lowest whole tick at or above `price`: away from the market for a short's stop."""
        ticks, rest = _divided(price, self.price_increment, "price")
        return ticks + (rest > 0)

    def floor_lots(self, qty: Decimal) -> int:
        """Return the whole lots in a non-negative `qty`; the rest is dust."""
        try:
            return int(qty // self.size_increment)
        except (ArithmeticError, ValueError):
            raise NotFinite("qty", qty) from None

    def price(self, ticks: int) -> Decimal:
        """Return the price of `ticks`, with the increment's digits."""
        return self.price_increment * ticks

    def qty(self, lots: int) -> Decimal:
        """Return the quantity of `lots`, with the increment's digits."""
        return self.size_increment * lots

    @property
    def min_lots(self) -> int:
        """Smallest order in lots, never below one."""
        lots, rest = _divided(self.min_qty, self.size_increment, "min_qty")
        return max(1, lots + (rest > 0))


def _whole(value: Decimal, increment: Decimal, place: str) -> int:
    quotient, remainder = _divided(value, increment, place)
    if remainder:
        raise OffGrid(place, value, increment)
    return quotient


def _divided(value: Decimal, increment: Decimal, place: str) -> tuple[int, Decimal]:
    """Return whole increments and the rest, which has the sign of `value`: Decimal's `//` cuts towards zero, unlike int's."""
    # A computed price, such as an average, has more places than any venue writes. Its size is bounded by the 28 digits of the
    # decimal context, in which the increments are counted: beyond them, and for an infinity, this raises; int() refuses a NaN.
    try:
        quotient, remainder = divmod(value, increment)
        return int(quotient), remainder
    except (ArithmeticError, ValueError):
        raise NotFinite(place, value) from None


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do, as far as it decides how coverage follows quantity (`venues.md` §5). Stored with each position.

    `holds_funds`: a resting sell reserves the balance, so a second stop for the same quantity is refused (Kraken spot, K3).
    `reduce_only`: exits can be marked so that they never open a reverse position (margin only on Kraken).
    `one_child_per_fill`: an attached stop (OTO) gives one child per fill, without client id (K4).
    `amend_deadline`: an amend can name its last moment (K1); left out in positions of before, whose amends named none.
    """

    venue: str
    native_trail: bool
    amend_in_place: bool
    holds_funds: bool
    reduce_only: bool
    attached_stop: bool
    one_child_per_fill: bool
    post_only: bool = True
    deadline: bool = True
    dead_man_switch_cancels_stops: bool = True
    amend_deadline: bool | msgspec.UnsetType = msgspec.UNSET


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A last traded price that a decision may use. `ts_recv_ns` is when we got it; the age at use is in `age_ns`."""

    px: Decimal
    ts_event_ns: int
    ts_recv_ns: int
    age_ns: int = 0
