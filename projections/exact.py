"""Exact sums of Decimals, and the one place where a number is rounded.

The default decimal context rounds to 28 digits without a word; a product of two prices as venues write them can have 76.
`EXACT` raises instead of rounding. What division makes (an average cost, a proportional fee) is kept as a Fraction and
becomes a Decimal only on its way out.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction

# 38 digits and an exponent of +-18 is the most that `events.values` lets in; a product spans twice that, a long sum little more.
EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
PLACES = 18
ZERO = Decimal(0)


def add(a: Decimal, b: Decimal) -> Decimal:
    """Return the exact sum."""
    return EXACT.add(a, b)


def subtract(a: Decimal, b: Decimal) -> Decimal:
    """Return the exact difference."""
    return EXACT.subtract(a, b)


def multiply(a: Decimal, b: Decimal) -> Decimal:
    """Return the exact product."""
    return EXACT.multiply(a, b)


def negate(value: Decimal) -> Decimal:
    """Return the exact opposite; the minus sign of Python would round to the context."""
    return value.copy_negate()


def total(values: Iterable[Decimal]) -> Decimal:
    """Return the exact sum of all `values`."""
    result = ZERO
    for value in values:
        result = EXACT.add(result, value)
    return result


def decimal_from_fraction(value: Fraction) -> Decimal:
    """Return `value` as a plain Decimal: exact where it ends within `PLACES` places, else rounded half to even there."""
    return plain(EXACT.scaleb(Decimal(round(value * 10**PLACES)), -PLACES))


def plain(value: Decimal) -> Decimal:
    """Return the same number without trailing zeros and without an exponent: equal numbers are written alike."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return ZERO if text in ("0", "-0") else Decimal(text)
