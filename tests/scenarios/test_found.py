"""What the sweep found: each with the fault that showed it, mended since."""

import pytest

from events.values import PositionSide
from holdfast.scenario.sweep import Case, run
from holdfast.scenario.table import scenarios

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


@both_sides
@pytest.mark.parametrize(("name", "boundary"), [("P05", 5), ("P02-stopped", 1), ("P03-silent", 4), ("P19c", 7), ("P30", 6)])
def test_a_venue_in_maintenance_is_not_asked_again_as_fast_as_it_answers(name: str, boundary: int, side: PositionSide) -> None:
    assert run(Case(scenarios([name])[0], side, "mode_maintenance", boundary)).problems == ()


@both_sides
def test_a_stop_that_vanished_behind_a_stalled_stream_is_proven_absent_beside_it(side: PositionSide) -> None:
    struck = run(Case(scenarios(["P04-lost"])[0], side, "stall", 0))
    assert (struck.problems, struck.bare_ms <= 1_000) == ((), True)


@both_sides
def test_a_balance_from_before_a_fill_takes_nothing_away(side: PositionSide) -> None:
    assert run(Case(scenarios(["P02-stopped"])[0], side, "delay_frame", 4)).problems == ()


def test_a_late_order_of_a_closed_position_that_ended_while_nobody_listened_is_not_held_for_live() -> None:
    assert run(Case(scenarios(["P08-late"])[0], PositionSide.SHORT, "crash_before_append", 15)).problems == ()


def test_a_stop_is_put_back_after_each_rung_of_exits_that_the_market_refuses() -> None:
    assert run(Case(scenarios(["P28-notional"])[0], PositionSide.LONG, "mode_post_only", 6)).problems == ()


@pytest.mark.parametrize("boundary", [3, 4, 5])
def test_what_the_owner_closes_on_margin_is_taken_off_also_when_our_clock_was_set_back_since_the_position_opened(boundary: int) -> None:
    assert run(Case(scenarios(["P19c-margin"])[0], PositionSide.SHORT, "clock_back", boundary)).problems == ()


@both_sides
@pytest.mark.parametrize(("name", "fault"), [("X14", "stall"), ("X17-ghost", "delay_frame")])
def test_a_torn_log_keeps_the_event_that_an_entry_waited_for(name: str, fault: str, side: PositionSide) -> None:
    assert run(Case(scenarios([name])[0], side, fault, 0)).problems == ()


@pytest.mark.parametrize(("name", "boundaries"), [("P19b", range(14)), ("P19-exit", range(15)), ("P30-cut", range(9))])
def test_a_balance_whose_frame_is_lost_is_heard_with_the_next_truth(name: str, boundaries: range) -> None:
    for boundary in boundaries:
        assert run(Case(scenarios([name])[0], PositionSide.LONG, "drop_frame", boundary)).problems == ()


def test_a_clock_that_is_set_back_does_not_stop_the_question_for_a_stop_that_was_taken_unheard() -> None:
    struck = run(Case(scenarios(["P15-unlisted"])[0], PositionSide.LONG, "clock_back", 6))
    assert (struck.problems, struck.bare_ms <= 8_000) == ((), True)


@pytest.mark.parametrize(("name", "fault", "boundary"), [
    ("P15-unlisted", "stall", 0), ("P15-unlisted", "delay_frame", 1), ("P15-unlisted", "cut", 1), ("P30-cut", "stall", 2),
])  # fmt: skip
def test_an_entry_that_only_the_balance_tells_of_is_protected_all_the_same(name: str, fault: str, boundary: int) -> None:
    assert run(Case(scenarios([name])[0], PositionSide.LONG, fault, boundary)).problems == ()


def test_where_no_order_of_ours_can_have_sold_it_a_balance_is_proof_without_a_list() -> None:
    struck = run(Case(scenarios(["P30-cut"])[0], PositionSide.LONG, "mode_cancel_only", 1))
    assert (struck.problems, struck.bare_ms <= 20_000) == ((), True)


@pytest.mark.parametrize(("fault", "boundary"), [
    ("crash_before_append", 3), ("crash_before_append", 4), ("crash_after_append", 3), ("crash_after_send", 3),
])  # fmt: skip
def test_what_only_the_balance_tells_of_an_entry_is_protected_also_behind_a_crash(fault: str, boundary: int) -> None:
    struck = run(Case(scenarios(["P15-bought"])[0], PositionSide.LONG, fault, boundary))
    assert (struck.problems, struck.bare_ms <= 5_000) == ((), True)


def test_a_first_stop_that_vanished_does_not_leave_its_position_bare_for_as_long_as_lists_are_cut() -> None:
    struck = run(Case(scenarios(["P15-bought"])[0], PositionSide.LONG, "ack_lost_not_applied", 1))
    assert (struck.problems, struck.bare_ms <= 7_000) == ((), True)


@pytest.mark.parametrize(("fault", "boundary", "bare_ms"), [
    ("reject_through_market", 1, 5_000), ("mode_limit_only", 4, 22_000), ("mode_cancel_only", 4, 22_000), ("mode_post_only", 4, 22_000),
])  # fmt: skip
def test_while_an_exit_waits_for_an_entry_without_proof_of_its_end_a_stop_stands_as_soon_as_the_venue_takes_one(
    fault: str, boundary: int, bare_ms: int
) -> None:
    struck = run(Case(scenarios(["P15-bought"])[0], PositionSide.LONG, fault, boundary))
    assert (struck.problems, struck.bare_ms <= bare_ms) == ((), True)


@pytest.mark.parametrize(("fault", "boundary"), [("stall", 8), ("late_request", 2)])
def test_a_second_stop_that_vanishes_too_is_replaced_before_the_position_is_left_for_want_of_one(fault: str, boundary: int) -> None:
    struck = run(Case(scenarios(["P15-unlisted"])[0], PositionSide.LONG, fault, boundary))
    assert (struck.problems, struck.bare_ms <= 15_000) == ((), True)


def test_an_exit_that_is_refused_as_too_large_leaves_as_soon_as_the_quantity_is_known() -> None:
    struck = run(Case(scenarios(["P15-unlisted"])[0], PositionSide.LONG, "base_fee", 1))
    assert (struck.problems, struck.bare_ms <= 45_000) == ((), True)


def test_a_stop_that_is_put_back_behind_refused_exits_and_is_ended_as_it_fires_makes_no_storm() -> None:
    struck = run(Case(scenarios(["P24-fired"])[0], PositionSide.LONG, "mode_maintenance", 2))
    assert struck.problems == ()
