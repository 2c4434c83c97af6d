import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import rp2_adapter
from booked import History

from events.facts import PositionAdjusted
from events.values import PositionSide
from projections.fills import FillBook
from projections.lots import METHODS, LotRow, Method, matches_from

D = Decimal
RP2 = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "fills" / "rp2"
FILES = ("crypto_example", "test_data", "test_data2", "test_data3", "test_data4", "test_hifo", "test_hifo2", "test_many_year_data")


@pytest.fixture(scope="session")
def expected() -> Any:
    path = RP2 / "expected_us.json"
    if not path.exists():
        pytest.skip("the independent tool's results (shared/data/fills/rp2) are not here")
    return json.loads(path.read_text())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FILES)
def test_gains_equal_the_independent_tools_to_the_last_printed_digit(name: str, method: Method, expected: Any) -> None:
    assets = rp2_adapter.assets_from_csv(RP2 / f"{name}_input.csv")
    assert set(expected[name][method]) == set(assets)
    for asset, report in expected[name][method].items():
        gains = rp2_adapter.gains_from(assets[asset], method)
        assert rp2_adapter.detail_from(asset, gains) == [line[:5] for line in report["detail"]]
        assert rp2_adapter.summary_from(asset, gains) == report["summary"]
        assert rp2_adapter.balances_from(asset, assets[asset]) == report["balances"]


def rows_of(history: History, method: Method) -> list[LotRow]:
    book = FillBook()
    for number, event in history.events:
        book.apply(number, event)
    return list(matches_from(book.entries, method))


@pytest.fixture
def three_lots() -> History:
    history = History()
    history.request()
    history.fill("buy", "1", "100", trade_id="first")
    history.fill("buy", "1", "130", {"USD": "2"}, trade_id="dear")
    history.fill("buy", "1", "90", trade_id="cheap")
    return history


@pytest.mark.parametrize(
    ("method", "order"),
    [
        ("fifo", ["first", "dear"]),
        ("lifo", ["cheap", "dear"]),
        ("hifo", ["dear", "first"]),
        ("lofo", ["cheap", "first"]),
    ],
)
def test_each_method_consumes_lots_in_its_order(three_lots: History, method: Method, order: list[str]) -> None:
    three_lots.fill("sell", "1.5", "140", {"USD": "3"}, trade_id="sale")
    rows = rows_of(three_lots, method)
    assert [row.lot_id for row in rows] == order
    assert [row.qty for row in rows] == [D("1"), D("0.5")]
    assert [row.proceeds for row in rows] == [D("138"), D("69")]


def test_cost_and_proceeds_carry_their_fees_in_proportion(three_lots: History) -> None:
    three_lots.fill("sell", "0.5", "140", {"USD": "3"})
    (row,) = rows_of(three_lots, "hifo")
    assert (row.cost, row.proceeds, row.gain) == (D("66"), D("67"), D("1"))


def test_lots_are_an_inventory_of_the_symbol_and_not_of_the_position() -> None:
    history = History()
    for number, px in ((1, "100"), (2, "120")):
        history.request(f"hf00000{number}")
        history.fill("buy", "1", px, position_id=f"hf00000{number}")
    history.fill("sell", "1", "130", position_id="hf000002")
    (row,) = rows_of(history, "fifo")
    assert (row.acquired_by, row.disposed_by, row.gain) == ("hf000001", "hf000002", D("30"))


def test_a_short_is_acquired_by_its_sale_and_gains_when_bought_back_lower() -> None:
    history = History()
    history.request(side=PositionSide.SHORT)
    history.fill("sell", "2", "100", {"USD": "1"})
    history.fill("buy", "1", "90", {"USD": "0.25"})
    (row,) = rows_of(history, "fifo")
    assert (row.cost, row.proceeds, row.gain) == (D("-99.5"), D("-90.25"), D("9.25"))


def test_dust_and_adjustments_consume_lots_without_a_gain(three_lots: History) -> None:
    adjusted = PositionAdjusted(open_qty=D("1.5"), reason="r", evidence="e", ts_recv_ns=three_lots.now_ns)
    three_lots.add("hf000001", adjusted)
    rows = rows_of(three_lots, "fifo")
    assert [row.gain for row in rows] == [0, 0]
    assert all(row.is_transfer for row in rows)


def test_a_gain_waits_for_a_pending_price(three_lots: History) -> None:
    trade = three_lots.fill("sell", "1", None)
    assert rows_of(three_lots, "fifo")[0].gain is None
    three_lots.fill("sell", "1", "101", trade_id=trade)
    assert rows_of(three_lots, "fifo")[0].gain == D("1")
