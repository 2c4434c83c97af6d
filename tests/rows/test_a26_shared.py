"""A26: the venue's own guard against a second stop, held funds or reduce-only, counts for the account: it is trusted only by a position
that has its pair for itself (I2, P04)."""

from decimal import Decimal

import pytest
from msgspec import UNSET

from events import commands as c
from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import BALANCES, SECOND, Floor, commands_of, replayed
from replay.pipeline import Settings
from tests.fsm.stage import MARGIN, SPOT, Stage, assert_decision
from venues.simulated.settings import VenueSettings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
SHORT, LONG = PositionSide.SHORT, PositionSide.LONG
ONCE = Decimal("0.1")


def stops_of(floor: Floor, position_id: str) -> Decimal:
    """Return the quantity for which stops were sent: twice what is held if each of them was sent again."""
    return sum((x.qty for x in commands_of(floor, position_id, c.SubmitOrder) if x.role == "stop"), Decimal(0))


def with_late_stop(floor: Floor, side: PositionSide, *, margin: bool, seconds: float = 4) -> str:
    """Open a position whose stop is that late at the venue."""
    floor.faults.arm("late_request", on="add_order:trailing-stop", seconds=seconds)
    return floor.open(side, qty="0.1", margin=margin)


@both_sides
def test_a26_beside_another_position_of_its_pair_a_late_stop_is_not_doubled(side: PositionSide) -> None:
    floor = Floor()
    other = floor.protected(side, margin=side is SHORT)
    position_id = with_late_stop(floor, side, margin=side is SHORT)
    floor.wait(8)
    assert (stops_of(floor, position_id), floor.state(position_id), floor.state(other)) == (ONCE, "Protected", "Protected")
    assert replayed(floor)


@both_sides
def test_a26_alone_a_late_stop_is_replaced_at_once_because_the_venue_takes_no_second_one(side: PositionSide) -> None:
    floor = Floor()
    position_id = with_late_stop(floor, side, margin=side is SHORT)
    floor.wait(3.5)
    assert (stops_of(floor, position_id), floor.state(position_id)) == (2 * ONCE, "Protected")


@both_sides
def test_a26_beside_another_position_a_lost_stop_is_put_back_once_it_can_come_no_more(side: PositionSide) -> None:
    floor = Floor()
    floor.protected(side, margin=side is SHORT)
    floor.bare_ns = 0
    floor.holds_back = lambda text: '"add_order"' in text and "trailing-stop" in text and floor.now_ns < began_ns + SECOND
    began_ns = floor.now_ns
    position_id = floor.open(side, qty="0.1", margin=side is SHORT)
    floor.wait(10)
    assert (stops_of(floor, position_id), floor.state(position_id)) == (2 * ONCE, "Protected")
    assert 5 * SECOND <= floor.bare_ns <= 7 * SECOND
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("lost", [False, True], ids=["late", "lost"])
def test_a26_beside_another_position_an_amend_that_the_venue_has_late_or_never_is_made_good_when_it_can_come_no_more(
    side: PositionSide, lost: bool
) -> None:
    """It names its last moment: the venue refuses it behind that, and no stop for the rest waits for longer (I1, I2)."""
    floor = Floor()
    other = floor.protected(side, margin=side is SHORT)
    floor.faults.arm("split_fill", n=2, count=1)
    floor.bare_ns = 0
    if lost:
        floor.holds_back = lambda text: '"amend_order"' in text and floor.now_ns < began_ns + SECOND
    else:
        floor.faults.arm("late_request", on="amend_order", seconds=6, count=1)
    began_ns = floor.now_ns
    position_id = floor.open(side, qty="0.1", margin=side is SHORT, timing=f.Timing(amend_timeout_ms=1_500))
    floor.wait(12)
    assert (stops_of(floor, position_id), floor.state(position_id), floor.state(other)) == (ONCE, "Protected", "Protected")
    assert 1.5 * SECOND <= floor.bare_ns <= 2.5 * SECOND
    assert replayed(floor)


def test_a26_a_session_of_before_decides_as_it_did_and_names_no_last_moment_of_an_amend() -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=("BTC/USD",)), faults=("split_fill/n=2/count=1",))
    position_id = floor.protected(LONG)
    (amend,) = commands_of(floor, position_id, c.AmendOrder)
    assert amend.deadline_ns is UNSET
    assert floor.position(position_id).capabilities.amend_deadline is UNSET
    assert replayed(floor)


def test_a26_an_entry_that_is_still_under_way_counts_as_another_position_of_the_pair() -> None:
    floor = Floor()
    position_id = with_late_stop(floor, SHORT, margin=True)
    floor.open(SHORT, qty="0.1", entry_type="limit", entry_price=Decimal(70_000), margin=True)
    floor.wait(8)
    assert (stops_of(floor, position_id), floor.state(position_id)) == (ONCE, "Protected")


def test_a26_on_spot_the_owners_own_coins_are_no_reason_to_send_a_late_stop_twice() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": Decimal(5)}))
    position_id = with_late_stop(floor, LONG, margin=False)
    floor.wait(8)
    assert (stops_of(floor, position_id), floor.state(position_id)) == (ONCE, "Protected")
    assert replayed(floor)


@both_sides
def test_a26_what_the_owner_is_seen_to_hold_on_margin_counts_where_it_is_on_our_side(side: PositionSide) -> None:
    floor = Floor()
    floor.wait(1)
    floor.by_hand(side.entry_side.value, "0.1", margin=True)
    position_id = with_late_stop(floor, side, margin=True)
    floor.wait(8)
    assert (stops_of(floor, position_id), floor.state(position_id)) == (ONCE, "Protected")


def test_a26_positions_on_margin_and_on_spot_share_nothing() -> None:
    floor = Floor()
    floor.protected(LONG)
    position_id = with_late_stop(floor, SHORT, margin=True)
    floor.wait(3.5)
    assert stops_of(floor, position_id) == 2 * ONCE


def test_a26_a_balance_that_has_not_got_our_own_execution_yet_is_read_with_it() -> None:
    floor = Floor()
    floor.wait(1)
    # The balance before the entry filled, and the entry's execution: what is missing is ours and nobody else's.
    floor.faults.arm("drop_frame", on="balances")
    position_id = with_late_stop(floor, LONG, margin=False)
    floor.wait(3.5)
    assert stops_of(floor, position_id) == 2 * ONCE


def test_a26_a_balance_that_is_not_known_is_taken_for_the_owners() -> None:
    floor = Floor()
    floor.protected(LONG)
    floor.altered = lambda text: '{"channel":"heartbeat"}' if '"channel":"balances"' in text else text
    floor.kill()
    position = floor.position("hf000001")
    floor.wait(1)
    assert floor.pipeline.custody.shared() == {position.position_id}
    floor.altered = lambda text: text
    floor.kill()
    floor.wait(1)
    assert floor.pipeline.custody.shared() == frozenset()


@pytest.mark.parametrize("capabilities", [SPOT, MARGIN], ids=["spot", "margin"])
def test_a26_a_shared_look_believes_a_stop_gone_at_the_second_look_behind_its_deadline(capabilities) -> None:
    stage = Stage(capabilities=capabilities).entered().unknown("stop")
    stage.wait(1_500).snapshot(shared=True)
    assert stage.order("stop").status == "Unknown"
    stage.wait(3_600).snapshot(shared=True)
    assert stage.order("stop").status == "Unknown"
    stage.wait(100).snapshot(shared=True)
    assert_decision(stage, stage.state, "submit stop 1.0 trail 300")


def test_a26_a_shared_look_does_not_believe_an_amend_refused_that_may_be_under_way() -> None:
    stage = Stage().entered("0.4").accepted("stop").filled("entry", "0.6")
    assert stage.order("stop").pending == "amend"
    stage.wait(100).accepted("stop", leaves="0.4", cum="0").snapshot("stop", shared=True)
    assert stage.order("stop").pending == "amend"
    stage.wait(5_100).accepted("stop", leaves="0.4", cum="0").snapshot("stop", shared=True)
    assert stage.order("stop").pending == ""


def test_a26_a_plan_that_hopes_for_less_than_the_venues_own_deadline_waits_for_that() -> None:
    stage = Stage(timing=f.Timing(market_deadline_ms=1_500, protect_timeout_ms=60_000)).entered().unknown("stop")
    stage.wait(4_900).snapshot(shared=True).wait(1).snapshot(shared=True)
    assert stage.order("stop").status == "Unknown"
