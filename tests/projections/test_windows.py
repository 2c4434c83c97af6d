from decimal import Decimal

import msgspec
import pytest
from booked import INSTRUMENT, START_NS, VENUE, History
from played import MS, PLAN, Played

from events import facts as f
from events.commands import SubmitOrder
from events.values import Side
from projections.books import Books
from projections.windows import Window, any_ns, levels, over_budget, percentile, rows_from

D = Decimal


@pytest.fixture
def played() -> Played:
    return Played()


def windows_of(played: Played, position_id: str = "hf000001") -> list[Window]:
    books = Books()
    for number, event in played.events:
        books.apply(number, event)
    return list(books.windows.of(position_id))


def told(window: Window) -> tuple[Decimal, list[tuple[str, int, int | None]], str]:
    """Return quantity, segments in milliseconds after the start, and what ended it."""
    segments = [(s.cause, (s.from_ns - START_NS) // MS, None if s.to_ns is None else (s.to_ns - START_NS) // MS) for s in window.segments]
    return window.qty, segments, window.ended_by


def test_the_window_of_an_entry_runs_from_its_fill_to_the_ack_of_its_stop(played: Played) -> None:
    played.protected()
    (window,) = windows_of(played)
    assert told(window) == (D("1.0000"), [("entry_fill", 20, 60)], "protected")


def test_the_ack_of_the_first_partial_stop_does_not_reset_the_clock_of_the_second_fill() -> None:
    history = History()
    history.request()
    for ms, qty in ((20, "0.3"), (50, "0.2")):
        stop = SubmitOrder(
            client_order_id=f"stop{ms}",
            symbol="BTC/USD",
            role="stop",
            side=Side.SELL,
            order_type="trailing-stop",
            qty=D(qty),
            trail_offset_bps=80,
        )
        fill = f.OrderFilled(
            client_order_id="hf000001e", trade_id=f"T{ms}", side=Side.BUY, last_qty=D(qty), last_px=D("100"), ts_recv_ns=START_NS + ms * MS
        )
        history.add("hf000001", fill, "ProtectionPending", commands=(stop,))
    for ms, acked in ((60, "stop20"), (90, "stop50")):
        history.add("hf000001", f.OrderAccepted(client_order_id=acked, ts_recv_ns=START_NS + ms * MS), "ProtectionPending", order_to="Live")
    books = Books()
    for number, event in history.events:
        books.apply(number, event)
    assert [told(window) for window in books.windows.of("hf000001")] == [
        (D("0.3000"), [("entry_fill", 20, 60)], "protected"),
        (D("0.2000"), [("entry_fill", 50, 90)], "protected"),
    ]


def test_a_fill_beside_a_standing_stop_waits_as_a_resize(played: Played) -> None:
    played.request()
    played.at(10).accept(played.order("entry"))
    played.at(20).fill(played.order("entry"), "0.3", "100")
    played.at(30).accept(played.order("stop"))
    played.at(50).fill(played.order("entry"), "0.7", "100")
    played.at(80).amended(played.order("stop"))
    assert told(windows_of(played)[1]) == (D("0.7000"), [("resize", 50, 80)], "protected")


def test_a_refused_stop_makes_the_wait_another_one(played: Played) -> None:
    played.request()
    played.at(10).accept(played.order("entry"))
    played.at(20).fill(played.order("entry"), "1", "100")
    played.at(45).rejected(played.order("stop"))
    played.at(95).accept(played.order("stop"))
    assert told(windows_of(played)[0]) == (D("1.0000"), [("entry_fill", 20, 45), ("protection_rejected", 45, 95)], "protected")


def test_an_exit_that_cancels_first_is_uncovered_from_the_cancel_to_the_fill(played: Played) -> None:
    played.protected()
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(170).fill(played.order("exit"), "1", "101")
    assert told(windows_of(played)[1]) == (D("1.0000"), [("cancel_first_exit", 130, 170)], "exited")


def test_a_resting_take_profit_is_uncovered_by_choice_and_then_an_exit_like_others(played: Played) -> None:
    plan = msgspec.structs.replace(PLAN, take_profit_price=D("110"), take_profit_style="maker")
    played.protected(plan=plan)
    crossed = f.LevelCrossed(level="take_profit", mark=played.mark("110"), ts_recv_ns=played.now_ns)
    played.take(crossed, "hf000001")
    played.at(100).canceled(played.order("stop"))
    played.at(120).accept(played.order("take_profit"))
    played.at(150).exit("panic")
    played.at(160).canceled(played.order("take_profit"))
    played.at(190).fill(played.order("exit"), "1", "99")
    assert told(windows_of(played)[1]) == (D("1.0000"), [("take_profit_working", 100, 150), ("cancel_first_exit", 150, 190)], "exited")


def test_a_stop_that_fired_protects_nothing_until_it_is_filled(played: Played) -> None:
    played.protected()
    played.at(200).triggered(played.order("stop"))
    played.at(215).fill(played.order("stop"), "1", "99.2")
    assert told(windows_of(played)[1]) == (D("1.0000"), [("stop_triggered", 200, 215)], "exited")


def test_a_stop_that_the_venue_took_away_is_lost_protection(played: Played) -> None:
    played.protected()
    played.at(200).canceled(played.order("stop"))
    played.at(240).accept(played.order("stop"))
    assert told(windows_of(played)[1]) == (D("1.0000"), [("protection_lost", 200, 240)], "protected")


def test_a_lost_link_with_the_stop_in_flight_is_the_links_fault_from_then_on(played: Played) -> None:
    played.request()
    played.at(10).accept(played.order("entry"))
    played.at(20).fill(played.order("entry"), "1", "100")
    played.at(30).take(f.ChannelClosed(reason="1006", ts_recv_ns=played.now_ns), "hf000001")
    played.at(900).accept(played.order("stop"))
    assert told(windows_of(played)[0]) == (D("1.0000"), [("entry_fill", 20, 30), ("link_down", 30, 900)], "protected")


def test_exposure_that_was_found_is_an_emergency(played: Played) -> None:
    adopted = f.PositionAdopted(
        position_id="hf000009",
        plan=PLAN,
        instrument=INSTRUMENT,
        capabilities=VENUE,
        px=D("100"),
        evidence="snapshot",
        mark=played.mark("100"),
        ts_recv_ns=played.now_ns,
    )
    played.take(adopted)
    played.at(70).accept(played.order("stop", "hf000009"))
    assert told(windows_of(played, "hf000009")[0]) == (D("1.0000"), [("emergency", 0, 70)], "protected")


def test_what_still_runs_counts_up_to_now_and_is_found_over_its_budget(played: Played) -> None:
    played.request()
    played.at(10).accept(played.order("entry"))
    played.at(20).fill(played.order("entry"), "1", "100")
    (window,) = windows_of(played)
    now_ns = START_NS + 520 * MS
    assert window.closed_ns is None
    assert window.duration_ns(now_ns) == 500 * MS
    assert over_budget([window], {"entry_fill": 500}, now_ns) == []
    assert over_budget([window], {"entry_fill": 499}, now_ns) == [(window, window.segments[0])]
    assert over_budget([window], {"default": 499}, now_ns) == [(window, window.segments[0])]
    assert over_budget([window], {"resize": 1}, now_ns) == []


def test_levels_give_whole_windows_first_and_then_each_cause(played: Played) -> None:
    played.protected()
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(190).fill(played.order("exit"), "1", "101")
    found = levels(windows_of(played), played.now_ns)
    assert [(level.cause, level.count, level.max_ns // MS) for level in found] == [
        ("all", 2, 60),
        ("entry_fill", 1, 40),
        ("cancel_first_exit", 1, 60),
    ]
    assert found[0].p50_ns == 40 * MS
    assert found[0].p99_ns == 60 * MS
    assert [row.duration_ns for row in rows_from(windows_of(played))] == [40 * MS, 60 * MS]


def test_percentiles_are_by_nearest_rank() -> None:
    assert [percentile(list(range(1, 101)), p) for p in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7], 50) == 7
    assert percentile([], 99) == 0


def test_windows_side_by_side_count_once_in_the_time_without_protection(played: Played) -> None:
    played.request()
    played.accept(played.order("entry"))
    played.at(10).fill(played.order("entry"), "0.5", "100")
    played.at(110).fill(played.order("entry"), "0.5", "100", cum="1.0")
    played.at(150).accept(played.order("stop"))
    played.at(160).amended(played.order("stop"))
    windows = windows_of(played)
    assert [(window.opened_ns - START_NS) // MS for window in windows] == [10, 110]
    assert sum(window.duration_ns(played.now_ns) for window in windows) > 150 * MS
    assert any_ns(windows, played.now_ns) == 150 * MS
    books = Books()
    for number, event in played.events:
        books.apply(number, event)
    assert books.position_row("hf000001").unprotected_ns == 150 * MS
