from decimal import Decimal

from booked import History, histories
from hypothesis import given

from events.facts import OrderFilled, PositionAdjusted
from events.values import PositionSide
from projections.fills import FillBook
from projections.ledger import Ledger

D = Decimal


def ledger_of(history: History) -> tuple[FillBook, Ledger]:
    book, ledger = FillBook(), Ledger()
    for number, event in history.events:
        for entry in book.apply(number, event):
            ledger.apply(entry)
    return book, ledger


def test_a_buy_posts_base_quote_and_fee_against_market_and_commission() -> None:
    history = History()
    history.request()
    history.fill("buy", "0.5", "60000", {"USD": "78"})
    _, ledger = ledger_of(history)
    assert [(p.account, p.asset, p.amount) for p in ledger.postings] == [
        ("position:hf000001", "BTC", D("0.5")),
        ("market:kraken", "BTC", D("-0.5")),
        ("position:hf000001", "USD", D("-30000.0")),
        ("market:kraken", "USD", D("30000.0")),
        ("position:hf000001", "USD", D("-78")),
        ("commission:kraken", "USD", D("78")),
    ]
    assert ledger.is_balanced


def test_the_same_execution_twice_is_booked_once() -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "0.5", "60000")
    history.fill("buy", "0.5", "60000", trade_id=trade)
    book, ledger = ledger_of(history)
    assert book.holdings["hf000001"].qty == D("0.5")
    assert ledger.balance("position:hf000001", "USD") == D("-30000")


def test_a_short_owes_base_and_a_base_fee_makes_it_owe_more() -> None:
    history = History()
    history.request(side=PositionSide.SHORT)
    history.fill("sell", "1", "100", {"BTC": "0.002"})
    book, ledger = ledger_of(history)
    assert book.holdings["hf000001"].qty == D("-1.002")
    assert ledger.balance("position:hf000001", "USD") == D("100")
    assert ledger.balance("commission:kraken", "BTC") == D("0.002")


def test_a_price_that_is_zero_is_no_price_and_the_quote_side_waits_for_it() -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "1", "0")
    _, ledger = ledger_of(history)
    assert ledger.balance("position:hf000001", "BTC") == D("1")
    assert ("position:hf000001", "USD") not in ledger.balances
    history.fill("buy", "1", "100", {"USD": "0.26"}, trade_id=trade)
    _, ledger = ledger_of(history)
    assert ledger.balance("position:hf000001", "BTC") == D("1")
    assert ledger.balance("position:hf000001", "USD") == D("-100.26")
    assert {p.kind for p in ledger.postings} == {"fill", "price"}
    assert ledger.is_balanced


def test_what_the_owner_trades_by_hand_goes_through_an_account_of_its_own() -> None:
    history = History()
    history.request()
    history.fill("buy", "1", "100")
    history.hand_fill("sell", "0.4", "110")
    _, ledger = ledger_of(history)
    assert ledger.balance("manual:kraken", "BTC") == D("0.4")
    assert ledger.balance("manual:kraken", "USD") == D("-44.0")
    assert ledger.balance("position:hf000001", "BTC") == D("0.6")


def test_one_trade_by_hand_may_be_shared_by_two_positions() -> None:
    history = History()
    for position_id in ("hf000001", "hf000002"):
        history.request(position_id)
        history.fill("buy", "1", "100", position_id=position_id)
    for position_id in ("hf000001", "hf000002"):
        history.hand_fill("sell", "0.4", "110", position_id, trade_id="M")
    _, ledger = ledger_of(history)
    assert ledger.balance("manual:kraken", "BTC") == D("0.8")


def test_a_trade_that_was_first_taken_for_one_by_hand_is_not_booked_again_as_our_order() -> None:
    history = History()
    history.request()
    history.fill("buy", "1", "100")
    trade = history.hand_fill("sell", "0.4", "110")
    history.fill("sell", "0.4", "110", trade_id=trade)
    history.hand_fill("sell", "0.4", "110", trade_id=trade)
    book, _ = ledger_of(history)
    assert book.holdings["hf000001"].qty == D("0.6")


def test_dust_leaves_the_position_when_it_closes() -> None:
    history = History()
    history.request()
    history.fill("buy", "1", "100", {"BTC": "0.0026"})
    history.fill("sell", "0.997", "110", to="Closed")
    book, ledger = ledger_of(history)
    assert book.holdings["hf000001"].qty == 0
    assert ledger.balance("dust:kraken", "BTC") == D("0.0004")
    assert ledger.balance("position:hf000001", "BTC") == 0
    assert ledger.is_balanced


def test_more_than_dust_stays_with_the_closed_position_for_everybody_to_see() -> None:
    history = History()
    history.request()
    history.fill("buy", "1", "100")
    history.fill("sell", "0.9", "110", to="Closed")
    book, _ = ledger_of(history)
    assert book.holdings["hf000001"].qty == D("0.1")


def test_money_waits_until_it_is_known_of_which_asset_a_fee_was_taken_and_books_it_once() -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "1", "100", worth="0.26")
    book, ledger = ledger_of(history)
    assert (book.holdings["hf000001"].qty, ledger.balance("position:hf000001", "USD")) == (D("1"), 0)
    history.fill("buy", "1", "100", trade_id=trade, worth="0.26")
    for _ in range(3):
        history.fill("buy", "1", "100", {"BTC": "0.0026"}, trade_id=trade, worth="0.26")
    book, ledger = ledger_of(history)
    assert book.holdings["hf000001"].qty == ledger.balance("position:hf000001", "BTC") == D("0.9974")
    assert (ledger.balance("commission:kraken", "BTC"), ledger.balance("position:hf000001", "USD")) == (D("0.0026"), D("-100"))
    assert ledger.is_balanced


def test_dust_waits_for_the_fee_that_may_have_taken_it() -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "0.3", "100", worth="0.078")
    history.fill("sell", "0.2992", "110", to="Closed")
    book, ledger = ledger_of(history)
    assert (book.holdings["hf000001"].qty, ledger.balance("dust:kraken", "BTC")) == (D("0.0008"), 0)
    history.fill("buy", "0.3", "100", {"BTC": "0.00078"}, trade_id=trade, worth="0.078", to="Closed")
    book, ledger = ledger_of(history)
    assert (book.holdings["hf000001"].qty, ledger.balance("dust:kraken", "BTC")) == (0, D("0.00002"))
    assert ledger.is_balanced


def test_what_was_sold_of_a_fee_that_was_told_behind_the_end_goes_on_to_whom_buys_it_back() -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "1", "100", worth="0.26")
    history.fill("sell", "1", "110", to="Closed")
    history.fill("buy", "1", "100", {"BTC": "0.0026"}, trade_id=trade, worth="0.26", to="Closed")
    book, ledger = ledger_of(history)
    assert (book.holdings["hf000001"].qty, ledger.balance("adjustment:kraken", "BTC")) == (0, D("-0.0026"))
    assert ledger.is_balanced


def test_an_adjustment_has_every_fee_in_it_and_their_worth_counts_in_quote() -> None:
    history = History()
    history.request()
    trade = history.fill("buy", "1", "100", worth="0.26")
    history.add("hf000001", PositionAdjusted(open_qty=D("0.997"), reason="external", evidence="balances", ts_recv_ns=history.now_ns))
    history.fill("buy", "1", "100", {"BTC": "0.0026"}, trade_id=trade, worth="0.26")
    book, ledger = ledger_of(history)
    assert book.holdings["hf000001"].qty == D("0.997")
    assert (ledger.balance("commission:kraken", "USD"), ledger.balance("commission:kraken", "BTC")) == (D("0.26"), 0)
    assert ledger.is_balanced


def test_an_adjustment_moves_quantity_to_its_own_account() -> None:
    history = History()
    history.request()
    history.fill("buy", "1", "100")
    history.add("hf000001", PositionAdjusted(open_qty=D("0.25"), reason="venue holds less", evidence="balances", ts_recv_ns=history.now_ns))
    book, ledger = ledger_of(history)
    assert book.holdings["hf000001"].qty == D("0.25")
    assert ledger.balance("adjustment:kraken", "BTC") == D("0.75")
    assert ledger.is_balanced


def test_a_fill_after_the_end_is_handed_to_the_position_that_adopts_it() -> None:
    history = History()
    history.request()
    history.fill("buy", "1", "100")
    history.fill("sell", "1", "110", to="Closed")
    history.fill("sell", "1", "111", {"USD": "0.3"}, to="Closed")
    _, ledger = ledger_of(history)
    assert ledger.balance("position:hf000001", "BTC") == 0
    assert ledger.balance("adopted:kraken", "BTC") == D("-1")
    history.adopt("hf000002", PositionSide.SHORT, "1", "111")
    book, ledger = ledger_of(history)
    assert ledger.balance("adopted:kraken", "BTC") == 0
    assert ledger.balance("adopted:kraken", "USD") == 0
    assert book.holdings["hf000002"].qty == D("-1")
    assert ledger.balance("position:hf000001", "USD") == D("9.7")
    assert ledger.is_balanced


@given(histories())
def test_every_asset_sums_to_zero_and_positions_hold_their_fills_net_of_base_fees(history: History) -> None:
    book, ledger = ledger_of(history)
    assert ledger.is_balanced
    for position_id, holding in book.holdings.items():
        facts: dict[str, OrderFilled] = {}
        for _, event in history.events:
            if event.position_id == position_id and isinstance(event.fact, OrderFilled):
                known = facts.get(event.fact.trade_id)
                facts[event.fact.trade_id] = event.fact if known is None or known.is_fee_open else known
        bought = sum((f.last_qty if f.side.value == "buy" else -f.last_qty) for f in facts.values())
        fees = sum(fee.qty for f in facts.values() for fee in f.fees if fee.asset == "BTC")
        assert ledger.balance(f"position:{position_id}", "BTC") == holding.qty == bought - fees


@given(histories())
def test_events_delivered_twice_change_no_balance(history: History) -> None:
    _, once = ledger_of(history)
    twice = History()
    twice.events = [pair for pair in history.events for _ in (0, 1)]
    _, doubled = ledger_of(twice)
    assert once.balances == doubled.balances
