import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInput, NotFinite, OffGrid
from events.values import MAX_DIGITS, MAX_EXPONENT, Instrument, PositionSide, Side, decimal_from, positive_decimal_from

INCREMENTS = st.sampled_from([Decimal(text) for text in ("1", "0.5", "0.1", "0.05", "0.0001", "0.00000001", "10")])
TICKS = st.integers(-(10**12), 10**12)


def instrument(price_increment: Decimal = Decimal("0.1"), size_increment: Decimal = Decimal("0.001"), min_qty: str = "0.002") -> Instrument:
    return Instrument(
        symbol="BTC/EUR",
        base="BTC",
        quote="EUR",
        price_increment=price_increment,
        size_increment=size_increment,
        min_qty=Decimal(min_qty),
    )


@pytest.mark.parametrize(
    "text", ["NaN", "-nan", "sNaN", "Infinity", "-inf", "1_000", "abc", "٣", "0x10", "1e", "--1", "1,5", "", " 1", "1 ", "1\n"]
)
def test_text_that_is_not_a_plain_number_is_refused(text: str) -> None:
    with pytest.raises(NotFinite, match="last_px"):
        decimal_from(text, "last_px")


@pytest.mark.parametrize("text", ["1e500000", "1e19", "1e-19", "1" * (MAX_DIGITS + 1), "0." + "0" * 200 + "1"])
def test_number_beyond_the_bounds_is_refused_before_it_is_converted(text: str) -> None:
    with pytest.raises(NotFinite):
        decimal_from(text, "qty")


def test_a_decimal_is_held_to_the_same_bounds() -> None:
    for value in (Decimal("NaN"), Decimal("Infinity"), Decimal("1e500000")):
        with pytest.raises(NotFinite):
            decimal_from(value, "qty")


@pytest.mark.parametrize("text", ["0", "-0.0", "61800.3", "1e18", "0.000000000000000001", "+5", ".5", "9" * MAX_DIGITS])
def test_plain_number_keeps_its_exact_digits(text: str) -> None:
    assert str(decimal_from(text, "qty")) == str(Decimal(text))


@given(st.integers(-(10**30), 10**30), st.integers(-MAX_EXPONENT, 0))
def test_every_number_within_the_bounds_is_taken_exactly(digits: int, exponent: int) -> None:
    value = Decimal(digits).scaleb(exponent)
    assert decimal_from(format(value, "f"), "qty") == value


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_is_refused_by_name(text: str) -> None:
    with contextlib.suppress(NotFinite):
        assert decimal_from(text, "qty").is_finite()


@pytest.mark.parametrize("text", ["0", "0.00", "-1", "-0.1"])
def test_price_that_is_not_above_zero_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="above zero"):
        positive_decimal_from(text, "price")


@given(INCREMENTS, TICKS)
def test_ticks_of_a_price_of_ticks_are_those_ticks(increment: Decimal, ticks: int) -> None:
    on = instrument(price_increment=increment, size_increment=increment)
    assert on.ticks(on.price(ticks)) == ticks
    assert on.lots(on.qty(ticks)) == ticks


@given(INCREMENTS, TICKS, st.decimals(min_value="0.000000001", max_value="0.9", places=9))
def test_price_between_two_ticks_is_refused_and_rounds_to_its_neighbours(increment: Decimal, ticks: int, part: Decimal) -> None:
    on = instrument(price_increment=increment)
    price = on.price(ticks) + increment * part
    with pytest.raises(OffGrid, match="stop"):
        on.ticks(price, "stop")
    assert (on.floor_ticks(price), on.ceil_ticks(price)) == (ticks, ticks + 1)


@given(INCREMENTS, TICKS)
def test_price_on_a_tick_is_not_rounded(increment: Decimal, ticks: int) -> None:
    on = instrument(price_increment=increment)
    assert (on.floor_ticks(on.price(ticks)), on.ceil_ticks(on.price(ticks))) == (ticks, ticks)


def test_number_of_more_ticks_than_can_be_counted_is_refused() -> None:
    on = instrument(price_increment=Decimal("0.00000001"), size_increment=Decimal("0.00000001"))
    for convert in (on.ticks, on.lots, on.floor_ticks, on.ceil_ticks, on.floor_lots):
        with pytest.raises(NotFinite):
            convert(Decimal("9" * MAX_DIGITS))


@given(INCREMENTS, st.integers(0, 10**12), st.decimals(min_value=0, max_value="0.9", places=9))
def test_what_is_less_than_a_lot_is_dust(increment: Decimal, lots: int, part: Decimal) -> None:
    on = instrument(size_increment=increment)
    assert on.floor_lots(on.qty(lots) + increment * part) == lots


def test_quantity_off_the_grid_names_the_field_and_the_increment() -> None:
    with pytest.raises(OffGrid, match=r"order_qty: 0\.0005 is not a multiple of 0\.001"):
        instrument().lots(Decimal("0.0005"), "order_qty")


@pytest.mark.parametrize(("min_qty", "lots"), [("0", 1), ("0.001", 1), ("0.002", 2), ("0.0021", 3)])
def test_smallest_order_is_a_whole_lot_at_or_above_the_minimum(min_qty: str, lots: int) -> None:
    assert instrument(min_qty=min_qty).min_lots == lots


def test_a_long_enters_by_buying_and_a_short_by_selling() -> None:
    assert (PositionSide.LONG.entry_side, PositionSide.LONG.exit_side, PositionSide.LONG.sign) == (Side.BUY, Side.SELL, 1)
    assert (PositionSide.SHORT.entry_side, PositionSide.SHORT.exit_side, PositionSide.SHORT.sign) == (Side.SELL, Side.BUY, -1)
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
