from decimal import Decimal

import pytest
from booked import START_NS
from played import MS, Played

from events import facts as f
from events.values import Side
from projections.books import Books
from projections.equity import EquityPoint

D = Decimal


def points_of(played: Played, asset: str = "USD") -> list[EquityPoint]:
    books = Books()
    for number, event in played.events:
        books.apply(number, event)
    return [point for point in books.equity.points if point.asset == asset]


@pytest.fixture
def played() -> Played:
    played = Played()
    played.protected(fees={"USD": "0.26"})
    return played


def test_a_purchase_costs_its_fee_and_moves_cash_into_exposure(played: Played) -> None:
    (point,) = points_of(played)
    assert (point.cash, point.exposure, point.equity) == (D("-100.26"), D("100"), D("-0.26"))
    assert point.ts_recv_ns == point.mark_ns == START_NS + 20 * MS


def test_a_mark_in_any_fact_moves_equity(played: Played) -> None:
    played.at(5_000).exit("signal")
    last = points_of(played)[-1]
    assert (last.cash, last.exposure, last.equity) == (D("-100.26"), D("101"), D("0.74"))
    assert last.mark_ns == START_NS + 5_000 * MS


def test_a_sale_turns_exposure_into_cash_and_equity_is_what_was_realized(played: Played) -> None:
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(170).fill(played.order("exit"), "1", "102", {"USD": "0.27"})
    last = points_of(played)[-1]
    assert (last.cash, last.exposure, last.equity) == (D("1.47"), D("0"), D("1.47"))


def test_a_fee_in_a_third_asset_is_a_curve_of_its_own() -> None:
    played = Played()
    played.protected(fees={"KFEE": "26"})
    assert [(point.cash, point.exposure) for point in points_of(played, "KFEE")] == [(D("-26"), D(0))]


def test_a_base_fee_lowers_exposure() -> None:
    played = Played()
    played.protected(fees={"BTC": "0.0026"})
    assert points_of(played)[-1].exposure == D("99.74")


def test_dust_stays_in_equity_and_what_was_adjusted_away_does_not() -> None:
    played = Played()
    played.protected(fees={"BTC": "0.0026"})
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(170).fill(played.order("exit"), "0.9974", "100")
    assert points_of(played)[-1].equity == D("-0.26")
    other = Played()
    other.protected()
    other.take(f.PositionAdjusted(open_qty=D("0.5"), reason="r", evidence="e", ts_recv_ns=other.now_ns), "hf000001")
    assert points_of(other)[-1].equity == D("-50")


def test_a_fill_without_price_is_held_and_not_paid_until_its_price_comes(played: Played) -> None:
    sold = {"trade_id": "M1", "side": Side.SELL, "last_qty": D("0.5")}
    played.take(f.ManualFillSeen(**sold, last_px=None, ts_recv_ns=played.now_ns), "hf000001")  # type: ignore[arg-type]
    last = points_of(played)[-1]
    assert (last.exposure, last.pending_fills) == (D("50"), 1)
    played.take(f.ManualFillSeen(**sold, last_px=D("104"), ts_recv_ns=played.now_ns), "hf000001")  # type: ignore[arg-type]
    last = points_of(played)[-1]
    assert (last.cash, last.exposure, last.pending_fills) == (D("-48.26"), D("52"), 0)
