"""What a position derives from what was booked."""

from decimal import Decimal

import pytest

from events.facts import Plan
from events.values import Capabilities, Instrument, PositionSide
from fsm.model import Position, fee_lots_of

INSTRUMENT = Instrument(
    symbol="BTC/USD",
    base="BTC",
    quote="USD",
    price_increment=Decimal("0.1"),
    size_increment=Decimal("0.001"),
    min_qty=Decimal("0.002"),
    marginable=True,
)


CAPABILITIES = Capabilities(
    venue="x", native_trail=True, amend_in_place=True, holds_funds=True, reduce_only=False, attached_stop=True, one_child_per_fill=True
)


def position(side: PositionSide, fee_base: str) -> Position:
    plan = Plan(symbol="BTC/USD", side=side, qty=Decimal("0.1"), margin=side is PositionSide.SHORT, stop_price=Decimal(1))
    return Position(
        position_id="hf000001",
        plan=plan,
        instrument=INSTRUMENT,
        capabilities=CAPABILITIES,
        min_lots=INSTRUMENT.min_lots,
        requested_ns=1,
        filled_lots=100,
        fee_base=Decimal(fee_base),
        fee_lots=fee_lots_of(INSTRUMENT, side, Decimal(fee_base)),
    )


@pytest.mark.parametrize(("fee", "held"), [("0", 100), ("0.003", 97), ("0.0031", 96), ("0.0001", 99), ("-0.0031", 103)])
def test_a_long_never_counts_a_lot_of_which_a_base_fee_took_a_part(fee, held) -> None:
    # The venue refuses to sell what is not there: the last begun lot is dust.
    assert position(PositionSide.LONG, fee).held_lots == held


@pytest.mark.parametrize(("fee", "held"), [("0", 100), ("0.003", 103), ("0.0031", 103)])
def test_a_short_owes_the_whole_lots_of_its_base_fee(fee, held) -> None:
    assert position(PositionSide.SHORT, fee).held_lots == held
