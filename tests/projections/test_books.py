from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import Played, played_histories

from events.errors import BadInput, Usage
from events.facts import OrderFilled
from events.record import PositionEvent
from events.values import PositionSide
from projections.books import VIEWS, Books, view_named
from projections.fills import Fill

D = Decimal


def books_of(events: Iterable[tuple[int, PositionEvent]]) -> Books:
    books = Books()
    for number, event in events:
        books.apply(number, event)
    return books


def everything(books: Books) -> dict[str, list[Any]]:
    return {name: list(view.all(books)) for name, view in VIEWS.items()}


@given(played_histories(), st.data())
def test_any_prefix_and_then_the_rest_is_all_at_once(played: Played, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(played.events)))
    books = books_of(played.events[:cut])
    everything(books)
    for number, event in played.events[cut:]:
        books.apply(number, event)
    assert everything(books) == everything(books_of(played.events))


@given(played_histories(), st.data())
def test_events_that_are_delivered_again_change_nothing(played: Played, data: st.DataObject) -> None:
    again: list[tuple[int, PositionEvent]] = []
    for index, pair in enumerate(played.events):
        again.append(pair)
        again += [played.events[i] for i in data.draw(st.lists(st.integers(0, index), max_size=2))]
    assert everything(books_of(again)) == everything(books_of(played.events))


@given(played_histories())
def test_the_books_of_anything_that_the_core_does_are_in_order(played: Played) -> None:
    books = books_of(played.events)
    assert books.ledger.is_balanced
    for position_id, pnl in books.pnl.positions.items():
        holding = books.fills.holdings[position_id]
        assert pnl.qty == holding.qty == books.ledger.balance(f"position:{position_id}", "BTC")
        if not pnl.is_price_pending:
            assert pnl.cash == books.ledger.balance(f"position:{position_id}", "USD")
            moved = pnl.book.moved_out + pnl.book.moved_out_fees.get("USD", Fraction(0))
            for mark in (D("0.1"), D("100"), D("98765.4")):
                worth = Fraction(pnl.cash) + Fraction(pnl.qty) * Fraction(mark) + moved
                assert pnl.realized_pnl() + pnl.unrealized_pnl(mark) == worth
    for window in books.windows.all():
        assert window.segments[0].from_ns == window.opened_ns
        assert window.segments[-1].to_ns == window.closed_ns
        assert all(a.to_ns == b.from_ns for a, b in zip(window.segments, window.segments[1:], strict=False))


@given(played_histories())
def test_equity_is_the_cash_of_all_positions_and_what_they_hold_at_the_last_price(played: Played) -> None:
    books = books_of(played.events)
    last = {point.asset: point for point in books.equity.points}
    if "USD" in last:
        accounts = [f"position:{position_id}" for position_id in books.positions]
        assert last["USD"].cash == sum(books.ledger.balance(account, "USD") for account in accounts)
        assert last["USD"].equity == last["USD"].cash + last["USD"].exposure
    if "KFEE" in last:
        assert last["KFEE"].cash == -books.ledger.balance("commission:kraken", "KFEE")


@given(played_histories())
def test_the_books_hold_what_the_core_believes_that_it_holds(played: Played) -> None:
    books = books_of(played.events)
    moved = {entry.position_id for entry in books.fills.entries if not isinstance(entry, Fill) or entry.late}
    for position_id, position in books.positions.items():
        # A base fee of a short makes it owe more; the core counts it as less to buy back.
        if position_id not in moved and not (position.side is PositionSide.SHORT and position.fee_base):
            open_qty = position.instrument.qty(position.open_lots) - position.fee_base
            assert books.fills.holdings[position_id].qty == open_qty * position.side.sign


def test_a_hole_in_a_positions_versions_is_refused_and_changes_nothing() -> None:
    played = Played()
    played.protected()
    books = books_of(played.events[:2])
    before = everything(books)
    with pytest.raises(BadInput, match="event 4 follows event 2; restore the missing events"):
        books.apply(*played.events[3])
    assert everything(books) == before
    assert books.notification_id == 2


def test_a_position_without_its_birth_is_refused() -> None:
    played = Played()
    played.protected()
    with pytest.raises(BadInput, match="hf000001"):
        books_of(played.events[1:])


def test_a_stored_execution_at_a_price_beyond_all_measure_is_refused_with_its_place() -> None:
    """`1e-500000` is a number that the machine takes for 0, and that no exact sum holds."""
    played = Played()
    played.protected(px="100", fees={"USD": "0.26"})
    number = next(n for n, (_, event) in enumerate(played.events) if isinstance(event.fact, OrderFilled))
    notification_id, event = played.events[number]
    tiny = msgspec.structs.replace(event, fact=msgspec.structs.replace(event.fact, last_px=D("1e-500000")))
    with pytest.raises(BadInput, match=f"version {event.version}: its numbers are beyond all measure"):
        books_of([*played.events[:number], (notification_id, tiny)])


def test_a_position_row_tells_the_whole_story() -> None:
    played = Played()
    played.protected(px="100", fees={"USD": "0.26"})
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(170).fill(played.order("exit"), "1", "101", {"USD": "0.27"})
    row = books_of(played.events).position_row("hf000001")
    assert (row.state, row.side, row.qty, row.protected_qty) == ("Closed", "long", D(0), D(0))
    assert (row.avg_entry_px, row.avg_exit_px, row.realized_pnl, row.fees) == (D("100"), D("101"), D("0.47"), "0.53 USD")
    assert (row.exit_reason, row.exit_path, row.fills, row.orders) == ("signal", "signal", 2, 3)
    assert (row.unprotected_ns, row.unprotected_max_ns) == (80_000_000, 40_000_000)
    assert row.closed_ns - row.requested_ns == 170_000_000


def test_a_view_that_there_is_not_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(Usage, match="'lodger' is not a view; choose one of positions, orders"):
        view_named("lodger")
