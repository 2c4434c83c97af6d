"""Numbers for people: exact where exactness is the point, else with as many digits as say something.

JSON never goes through here: it has every digit.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

from projections.exact import plain

# An average may have 18 places and nine digits before them; nothing here is rounded by the digits of a context.
_WIDE = Context(prec=200, rounding=ROUND_HALF_EVEN)
_IN_CENTS = frozenset({"USD", "EUR", "GBP", "CHF", "CAD", "AUD", "JPY", "USDT", "USDC", "DAI", "PYUSD"})
_MIN_PX_PLACES = 2


def places_of(value: Decimal) -> int:
    """Return how many decimal places a number needs."""
    exponent = plain(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def rounded(value: Decimal, places: int) -> Decimal:
    """Return the number with exactly `places` places, half to even."""
    return value.quantize(Decimal(1).scaleb(-places), context=_WIDE)


def money(value: Decimal, asset: str) -> Decimal:
    """Return an amount with the places that the asset is counted in: cents, or eight places."""
    return rounded(value, 2 if asset in _IN_CENTS else 8)


def price(value: Decimal | None, increment: Decimal) -> Decimal | None:
    """Return a price with the places of its grid, at least two: averages lie between two ticks."""
    return None if value is None else rounded(value, max(_MIN_PX_PLACES, places_of(increment)))


def even(values: Sequence[Decimal | None]) -> list[Decimal | None]:
    """Return the numbers of a column with as many places each as the one that needs the most."""
    places = max((places_of(value) for value in values if value is not None), default=0)
    return [None if value is None else rounded(value, places) for value in values]


def even_columns(rows: Iterable[dict[str, object]], *names: str) -> list[dict[str, object]]:
    """Return the rows with the Decimals of the named columns evened."""
    taken = list(rows)
    for name in names:
        column = [value if isinstance(value := row.get(name), Decimal) else None for row in taken]
        for row, value in zip(taken, even(column), strict=True):
            if value is not None:
                row[name] = value
    return taken
