"""A27, P19a: the owner takes the stop away by hand. Put back once and told; taken again, he is asked before it is put back."""

from functools import partial

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import SECOND, Floor, replayed
from projections.books import Books
from replay.intents import ExitPosition, HaltPosition, ProtectPosition
from tests.fsm.stage import MARGIN, NO_AMEND, SPOT, Stage, assert_decision
from venues.simulated.exchange import Exchange
from venues.simulated.orders import Order

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
HOLD_S = f.Timing().page_interval_ms / 1_000


def take_away(floor: Floor) -> None:
    (order,) = [x for x in floor.gateway.exchange.open_orders() if x.trigger is not None]
    floor.owner(lambda exchange, now_ns: exchange.cancel(order.order_id, "", now_ns))


def taken_twice(side: PositionSide, pause_s: float = 10, **plan: object) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, **plan)
    take_away(floor)
    floor.wait(pause_s)
    assert floor.state(position_id) == "Protected"
    take_away(floor)
    return floor, position_id


def texts(floor: Floor, code: str) -> list[str]:
    return [x.text for event in floor.events for x in event.commands if isinstance(x, c.Page) and x.code == code]


def give_up(order: Order, exchange: Exchange, now_ns: int) -> None:
    exchange.cancel_many([order], now_ns, "Market conditions")


def submits(floor: Floor) -> int:
    return sum(isinstance(x, c.SubmitOrder) for event in floor.events for x in event.commands)


@both_sides
def test_a27_a_stop_that_is_taken_away_once_is_put_back_at_once_and_told(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    take_away(floor)
    assert (floor.state(position_id), floor.alerts.count("STOP_CANCELLED"), floor.pages) == ("Protected", 1, [])
    assert floor.bare_ns == 0


@both_sides
def test_a27_taken_away_again_it_is_not_put_back_before_the_owner_was_asked(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    assert (floor.state(position_id), floor.resting()) == ("AwaitingOwner", [])
    (text,) = texts(floor, "STOP_CANCELLED_AGAIN")
    assert "for 60 s none is put back" in text
    assert "ask for protection or for the exit, or close it by hand" in text
    floor.wait(29)
    assert (floor.state(position_id), floor.resting()) == ("AwaitingOwner", [])
    assert replayed(floor)


@both_sides
def test_a27_it_is_put_back_after_a_minute_however_seldom_somebody_wants_to_be_paged(side: PositionSide) -> None:
    floor, position_id = taken_twice(side, timing=f.Timing(page_interval_ms=3_600_000))
    (text,) = texts(floor, "STOP_CANCELLED_AGAIN")
    assert "for 60 s none is put back" in text
    floor.wait(61)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)


@both_sides
def test_a27_without_an_answer_it_is_put_back_when_the_time_is_up_and_never_stays_bare(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    floor.wait(HOLD_S + 1)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert floor.bare_ns <= (HOLD_S + 1) * SECOND
    # Told all the same by the vigil over what is bare.
    assert "UNPROTECTED_TOO_LONG" in floor.pages
    assert replayed(floor)


@both_sides
def test_a27_the_time_without_a_stop_has_the_owners_deed_for_its_cause(side: PositionSide) -> None:
    floor, _ = taken_twice(side)
    floor.wait(HOLD_S + 1)
    books = Books()
    for number, event in enumerate(floor.events, 1):
        books.apply(number, event)
    held = [x for window in books.windows.all() for x in window.segments if x.cause == "owner_hold"]
    assert [((x.to_ns or 0) - x.from_ns) // SECOND for x in held] == [HOLD_S]


@both_sides
def test_a27_while_the_owner_is_asked_the_level_of_the_stop_is_watched_and_ends_the_position(side: PositionSide) -> None:
    floor, position_id = taken_twice(side, trail_offset_bps=100)
    floor.tick(floor.moved(side, -90))
    assert floor.state(position_id) == "AwaitingOwner"
    floor.tick(floor.moved(side, -110))
    floor.wait(1)
    assert (floor.state(position_id), floor.reasons(position_id), floor.at_venue()) == ("Closed", ["stop_crossed"], 0)
    assert replayed(floor)


@both_sides
def test_a27_the_owner_may_leave_while_he_is_asked_and_no_stop_comes_back(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    before = submits(floor)
    floor.intent(ExitPosition(position_id=position_id, reason="operator"))
    floor.wait(HOLD_S + 5)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert submits(floor) == before + 1


@both_sides
def test_a27_who_takes_it_away_a_third_time_is_asked_a_third_time_and_no_more_than_one_a_minute_is_sent(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    for _ in range(3):
        floor.wait(HOLD_S + 1)
        assert floor.state(position_id) == "Protected"
        take_away(floor)
    assert floor.state(position_id) == "AwaitingOwner"
    assert floor.pages.count("STOP_CANCELLED_AGAIN") == 4


@both_sides
def test_a27_taken_away_again_after_more_than_ten_minutes_it_is_put_back_at_once(side: PositionSide) -> None:
    floor, position_id = taken_twice(side, pause_s=10 * HOLD_S + 1, time_stop_secs=3_600)
    assert floor.state(position_id) == "Protected"
    assert floor.bare_ns == 0


@both_sides
def test_a27_what_the_venue_itself_cancels_is_put_back_each_time_and_never_held(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    for _ in range(4):
        (order,) = floor.gateway.exchange.open_orders()
        floor.owner(partial(give_up, order))
        floor.wait(5)
        assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert "AwaitingOwner" not in floor.states(position_id)
    assert floor.bare_ns == 0


@both_sides
def test_a27_a_restart_and_a_cut_lengthen_no_hold(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    floor.wait(20)
    floor.kill()
    floor.wait(20)
    assert floor.state(position_id) == "AwaitingOwner"
    floor.cut()
    floor.wait(5)
    floor.connect()
    assert floor.state(position_id) == "AwaitingOwner"
    floor.wait(20)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert floor.bare_ns <= (HOLD_S + 8) * SECOND
    assert replayed(floor)


@both_sides
def test_a27_a_halt_in_the_meantime_puts_it_back_for_a_halt_stops_no_protection(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    floor.intent(HaltPosition(position_id=position_id, reason="a person has come"))
    floor.wait(3)
    assert (floor.state(position_id), len(floor.resting())) == ("Halted", 1)
    for _ in range(2):
        take_away(floor)
        floor.wait(3)
    assert (floor.state(position_id), len(floor.resting())) == ("Halted", 1)


@both_sides
def test_a27_asked_for_it_is_put_back_at_once(side: PositionSide) -> None:
    stage = Stage(side, SPOT if side is PositionSide.LONG else MARGIN).protected()
    stage.canceled("stop", by_hand=True).accepted("stop").canceled("stop", by_hand=True)
    assert_decision(stage, "AwaitingOwner")
    stage.ask_for_protection()
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 trail 300")


@both_sides
def test_a27_who_takes_it_away_while_a_new_links_snapshot_is_awaited_is_asked_as_well(side: PositionSide) -> None:
    stage = Stage(side, SPOT if side is PositionSide.LONG else MARGIN).protected()
    stage.canceled("stop", by_hand=True).accepted("stop")
    stage.wait(100).link_closed().link_live()
    stage.canceled("stop", by_hand=True)
    stage.wait(100).snapshot().link_closed().link_live().snapshot()
    assert (stage.state, stage.paged) == ("AwaitingOwner", ["STOP_CANCELLED_AGAIN"])


@both_sides
def test_a27_through_the_engine_the_wish_for_protection_ends_the_hold_and_replays(side: PositionSide) -> None:
    floor, position_id = taken_twice(side)
    floor.wait(5)
    floor.intent(ProtectPosition(position_id=position_id, reason="it was a mistake"))
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    floor.intent(ProtectPosition(position_id=position_id, reason="once more"))
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert floor.bare_ns < 6 * SECOND
    assert replayed(floor)


@both_sides
def test_a27_an_entry_that_still_works_is_withdrawn_and_what_it_fills_all_the_same_gets_its_stop(side: PositionSide) -> None:
    stage = Stage(side, SPOT if side is PositionSide.LONG else MARGIN, entry_type="limit", entry_price=100)
    stage.accepted("entry").filled("entry", "0.4").accepted("stop").canceled("stop", by_hand=True).accepted("stop")
    stage.canceled("stop", by_hand=True)
    assert_decision(stage, "AwaitingOwner", "cancel entry")
    stage.filled("entry", "0.2")
    assert_decision(stage, "ProtectionPending", "submit stop 0.6 trail 300")


def test_a27_a_cancel_of_ours_whose_answer_was_lost_is_no_deed_of_the_owner() -> None:
    # Where a stop is replaced by cancel and create, its end comes as "asked for by a user" too.
    stage = Stage(PositionSide.LONG, NO_AMEND, trail_offset_bps=None, stop_price=97).protected()
    stage.canceled("stop", by_hand=True).accepted("stop")
    stage.tighten(stop=98)
    assert_decision(stage, "Tightening", "cancel stop")
    stage.link_closed().link_live()
    stage.canceled("stop", by_hand=True)
    stage.snapshot()
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 at 98")
