from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.exact import EXACT, add, decimal_from_fraction, multiply, negate, plain, total

D = Decimal
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**19), max_value=10**19, places=18)


@given(NUMBERS, NUMBERS)
def test_sums_and_products_keep_every_digit(a: Decimal, b: Decimal) -> None:
    assert Fraction(add(a, b)) == Fraction(a) + Fraction(b)
    assert Fraction(multiply(a, b)) == Fraction(a) * Fraction(b)
    assert Fraction(negate(a)) == -Fraction(a)


def test_what_would_be_rounded_raises() -> None:
    with pytest.raises(Inexact):
        EXACT.divide(D(1), D(3))


def test_the_order_of_a_sum_does_not_matter() -> None:
    values = [D("1e18"), D("0.000000000000000001"), D("-1e18")] * 50
    assert total(values) == total(reversed(values)) == D("0.000000000000000050")


@given(NUMBERS)
def test_a_fraction_that_ends_becomes_the_same_decimal(value: Decimal) -> None:
    assert decimal_from_fraction(Fraction(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(2, 3), "0.666666666666666667"),
        (Fraction(-2, 3), "-0.666666666666666667"),
        (Fraction(1, 2 * 10**18), "0"),
        (Fraction(3, 2 * 10**18), "0.000000000000000002"),
    ],
)
def test_what_does_not_end_is_rounded_once_half_to_even(value: Fraction, text: str) -> None:
    assert format(decimal_from_fraction(value), "f") == text


@pytest.mark.parametrize(
    ("text", "written"), [("1.500", "1.5"), ("100", "100"), ("1e3", "1000"), ("-0.0", "0"), ("0.000", "0"), ("-2.50", "-2.5")]
)
def test_equal_numbers_are_written_alike(text: str, written: str) -> None:
    assert str(plain(D(text))) == written
