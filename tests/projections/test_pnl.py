from decimal import Decimal
from fractions import Fraction

import pytest
from booked import History, decimals, histories
from hypothesis import given
from hypothesis import strategies as st

from events.facts import OrderFilled, PositionAdjusted
from events.values import PositionSide
from projections.exact import decimal_from_fraction
from projections.fills import Fill, FillBook
from projections.ledger import Ledger
from projections.lots import METHODS, matches_from
from projections.pnl import Pnl, PnlRow

D = Decimal


class Money:
    def __init__(self, history: History) -> None:
        self.book, self.ledger, self.pnl = FillBook(), Ledger(), Pnl()
        for number, event in history.events:
            for entry in self.book.apply(number, event):
                self.ledger.apply(entry)
                self.pnl.apply(entry)

    def row(self, position_id: str = "hf000001") -> PnlRow:
        row = self.pnl.row(position_id)
        assert row is not None
        return row


@pytest.fixture
def history() -> History:
    history = History()
    history.request()
    return history


def test_increases_average_by_quantity(history: History) -> None:
    history.fill("buy", "1", "100")
    history.fill("buy", "3", "120")
    assert Money(history).row().avg_px == D("115")


def test_a_reduction_realizes_its_share_of_cost_and_entry_fee_and_its_whole_own_fee(history: History) -> None:
    history.fill("buy", "2", "100", {"USD": "0.4"})
    history.fill("sell", "0.5", "110", {"USD": "0.12"})
    row = Money(history).row()
    assert row.realized_gross == D("5")
    assert row.realized_fees == D("0.22")
    assert row.realized_pnl == D("4.78")
    assert row.open_fees == D("0.3")
    assert row.avg_px == D("100")


def test_a_flip_closes_one_side_and_opens_the_other_and_splits_its_fee_in_proportion(history: History) -> None:
    history.fill("buy", "1", "100")
    history.fill("sell", "4", "110", {"USD": "2"})
    row = Money(history).row()
    assert row.qty == D("-3")
    assert row.avg_px == D("110")
    assert row.realized_pnl == D("9.5")
    assert row.open_fees == D("1.5")


def test_a_short_gains_when_price_falls() -> None:
    history = History()
    history.request(side=PositionSide.SHORT)
    history.fill("sell", "2", "100", {"USD": "0.5"})
    history.fill("buy", "2", "90", {"USD": "0.45"})
    assert Money(history).row().realized_pnl == D("19.05")


def test_a_base_fee_takes_quantity_and_counts_at_the_fills_price(history: History) -> None:
    history.fill("buy", "1", "100", {"BTC": "0.0026"})
    history.fill("sell", "0.9974", "110", to="Closed")
    row = Money(history).row()
    assert row.qty == 0
    assert row.realized_gross == D("9.974")
    assert row.realized_fees == D("0.26")
    assert row.realized_pnl == row.cash == D("9.714")


def test_a_fee_in_a_third_asset_stays_apart_until_its_price_is_given(history: History) -> None:
    history.fill("buy", "1", "100", {"KFEE": "26"})
    history.fill("sell", "0.5", "110", {"KFEE": "14"})
    money = Money(history)
    assert money.row().realized_pnl == D("5")
    assert money.row().fees_other == "27 KFEE"
    assert money.pnl.positions["hf000001"].realized_pnl({"KFEE": D("0.01")}) == Fraction(473, 100)


def test_a_fill_without_price_counts_its_quantity_and_flags_the_money_until_the_price_comes(history: History) -> None:
    history.fill("buy", "1", "100")
    trade = history.fill("sell", "0.5", None)
    history.fill("sell", "0.25", "120")
    row = Money(history).row()
    assert row.qty == D("0.25")
    assert row.is_price_pending
    assert row.realized_pnl == 0
    history.fill("sell", "0.5", "110", trade_id=trade)
    row = Money(history).row()
    assert not row.is_price_pending
    assert row.realized_pnl == D("10")


@pytest.mark.parametrize("to_close", ["0.2992", "0.3"])
def test_the_money_of_a_position_whose_fee_is_told_behind_its_end_is_known_in_the_end(to_close: str) -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "0.3", "100", worth="0.078")
    history.fill("sell", to_close, "110", to="Closed")
    assert Money(history).row().is_price_pending
    history.fill("buy", "0.3", "100", {"BTC": "0.00078"}, trade_id=trade, worth="0.078", to="Closed")
    row = Money(history).row()
    assert (row.is_price_pending, row.qty) == (False, 0)


def test_dust_leaves_at_its_cost_and_realizes_nothing(history: History) -> None:
    history.fill("buy", "1", "100")
    history.fill("sell", "0.9995", "110", to="Closed")
    money = Money(history)
    assert money.row().realized_pnl == D("9.995")
    assert money.pnl.positions["hf000001"].book.moved_out == Fraction(5, 100)


def test_an_adjustment_makes_pnl_uncertain_and_one_upwards_leaves_its_price_pending(history: History) -> None:
    history.fill("buy", "1", "100")
    history.add("hf000001", PositionAdjusted(open_qty=D("0.5"), reason="r", evidence="e", ts_recv_ns=history.now_ns))
    row = Money(history).row()
    assert row.is_uncertain
    assert not row.is_price_pending
    assert row.realized_pnl == 0
    history.add("hf000001", PositionAdjusted(open_qty=D("0.7"), reason="r", evidence="e", ts_recv_ns=history.now_ns))
    row = Money(history).row()
    assert row.qty == D("0.7")
    assert row.is_price_pending


def test_an_adoption_at_unknown_cost_has_no_pnl_yet() -> None:
    history = History()
    history.adopt("hf000001", PositionSide.LONG, "1", None)
    history.fill("sell", "1", "110")
    row = Money(history).row()
    assert row.qty == 0
    assert row.is_price_pending


def test_thirds_are_exact_inside_and_rounded_once_on_the_way_out(history: History) -> None:
    history.fill("buy", "3", "100", {"USD": "1"})
    history.fill("sell", "1", "100")
    money = Money(history)
    assert money.pnl.positions["hf000001"].realized_pnl() == Fraction(-1, 3)
    assert money.row().realized_pnl == D("-0.333333333333333333")
    assert decimal_from_fraction(Fraction(1, 3) * 3) == 1


@given(histories(with_pending=False), decimals("0.1", "99999.9", 1), decimals("0.001", "2.000", 3))
def test_realized_and_unrealized_are_the_cash_flow_at_any_mark(history: History, mark: Decimal, kfee: Decimal) -> None:
    money = Money(history)
    for position_id, pnl in money.pnl.positions.items():
        assert not pnl.is_price_pending
        assert pnl.cash == money.ledger.balance(f"position:{position_id}", "USD")
        assert pnl.qty == pnl.book.qty == money.ledger.balance(f"position:{position_id}", "BTC")
        worth = Fraction(pnl.cash) + Fraction(pnl.qty) * Fraction(mark)
        assert pnl.realized_pnl() + pnl.unrealized_pnl(mark) == worth
        paid = Fraction(money.ledger.balance(f"position:{position_id}", "KFEE")) * Fraction(kfee)
        prices = {"KFEE": kfee}
        assert pnl.realized_pnl(prices) + pnl.unrealized_pnl(mark, prices) == worth + paid


@given(histories())
def test_late_prices_lead_to_the_same_money_as_prices_in_time(history: History) -> None:
    known: dict[str, OrderFilled] = {}
    for _, event in history.events:
        if isinstance(event.fact, OrderFilled) and event.fact.last_px is not None and not event.fact.is_fee_open:
            known.setdefault(event.fact.trade_id, event.fact)
    in_time = History()
    for _, event in history.events:
        fact = known.get(event.fact.trade_id, event.fact) if isinstance(event.fact, OrderFilled) else event.fact
        in_time.add(event.position_id, fact, event.to, commands=event.commands)
    late, timely = Money(history), Money(in_time)
    for position_id in late.pnl.positions:
        assert late.row(position_id) == timely.row(position_id)


@given(histories(with_pending=False, with_third_asset=False), st.data())
def test_every_lot_method_gains_in_total_what_average_cost_does_once_flat(history: History, data: st.DataObject) -> None:
    for position_id, holding in Money(history).book.holdings.items():
        px = str(data.draw(decimals("0.1", "99999.9", 1)))
        if holding.qty:
            history.fill("sell" if holding.qty > 0 else "buy", str(abs(holding.qty)), px, position_id=position_id)
    money = Money(history)
    assert not any(holding.qty for holding in money.book.holdings.values())
    realized = sum((pnl.realized_pnl() for pnl in money.pnl.positions.values()), Fraction(0))
    # A fee as large as its fill changes no quantity: it belongs to no lot.
    empty = [entry for entry in money.book.entries if isinstance(entry, Fill) and not entry.base_change]
    unmatched = sum((Fraction(fill.paid or 0) for fill in empty), Fraction(0))
    for method in METHODS:
        gains = [row.gain for row in matches_from(money.book.entries, method) if row.gain is not None]
        assert abs(sum((Fraction(g) for g in gains), -unmatched) - realized) < Fraction(len(gains) + 1, 10**18)
