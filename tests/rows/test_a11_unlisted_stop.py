"""A11, A13, P15: a stop that rests in our books only, because lists in a row lack it, covers nothing; asked for, bounded, never doubled."""

import itertools

import pytest
from msgspec.structs import replace

from events import commands as c
from events.values import Capabilities, PositionSide
from fsm.coverage import coverage
from holdfast.scenario.floor import SECOND, SYMBOL, Floor, commands_of, replayed
from replay.pipeline import Settings
from tests.fsm.stage import MARGIN, SPOT, D, Stage, assert_decision, checked

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
# Neither funds held nor reduce-only: nothing at the venue stops a second order.
FREE = replace(SPOT, holds_funds=False)
VENUES = [(PositionSide.LONG, SPOT), (PositionSide.LONG, MARGIN), (PositionSide.SHORT, MARGIN)]
GUARDED = pytest.mark.parametrize(("side", "capabilities"), VENUES, ids=["spot long", "margin long", "margin short"])


def unlisted(side: PositionSide, capabilities: Capabilities = SPOT, **plan: object) -> Stage:
    """Two lists in a row lack the stop, and executions may be missing in both."""
    stage = Stage(side, capabilities, **plan).protected()
    stage.wait(1_000).snapshot(complete=False)
    assert (stage.state, stage.bare) == ("Protected", 0)
    return stage.wait(100).snapshot(complete=False)


@both_sides
def test_a_stop_that_two_lists_lack_covers_nothing_and_is_asked_for_by_its_id_at_once(side: PositionSide) -> None:
    stage = unlisted(side)
    assert_decision(stage, "ProtectionPending")
    assert (stage.bare, "QueryOrder" in stage.said()) == (D("1.0"), True)
    leases = coverage(stage.position)
    assert (leases.unknown_lots, leases.bare_lots, leases.surplus_lots) == (1_000, 0, 0)


@both_sides
def test_one_list_that_lacks_it_changes_nothing(side: PositionSide) -> None:
    stage = Stage(side).protected().wait(1_000).snapshot(complete=False).wait(100).snapshot("stop", complete=False)
    stage.wait(100).snapshot(complete=False)
    assert (stage.state, stage.bare) == ("Protected", 0)


@pytest.mark.parametrize("shared", [False, True])
@both_sides
def test_two_orders_that_lists_lack_one_later_than_the_other_do_not_ask_for_list_after_list(side: PositionSide, shared: bool) -> None:
    stage = Stage(side, MARGIN, entry_type="limit", entry_price=100)
    stage.accepted("entry").filled("entry", "0.4").accepted("stop").wait(6_000)
    stage.snapshot("entry", complete=False, shared=shared)
    for _ in range(2):
        stage.wait(100).snapshot(complete=False, shared=shared)
    stage.desk.wants_refresh = False
    for _ in range(10):
        stage.wait(100).snapshot(complete=False, shared=shared)
        assert not stage.desk.wants_refresh
    # Where one of them is listed again it takes two lists anew.
    stage.accepted("stop", leaves="0.4", cum="0").snapshot("stop", complete=False, shared=shared)
    stage.wait(100).snapshot(complete=False, shared=shared)
    assert (stage.desk.wants_refresh, stage.bare) == (True, 0)


@both_sides
def test_a_list_that_was_asked_for_before_the_stop_was_acknowledged_says_nothing_of_it(side: PositionSide) -> None:
    stage = Stage(side).protected().wait(1_000)
    for _ in range(3):
        stage.snapshot(complete=False, asked_ms_ago=1_500)
    assert (stage.state, stage.bare) == ("Protected", 0)


@both_sides
def test_a_stop_that_is_listed_again_counts_again_and_nothing_was_sent(side: PositionSide) -> None:
    stage = unlisted(side).wait(100).accepted("stop", leaves="1.0", cum="0").snapshot("stop", complete=False)
    assert (stage.state, stage.bare, stage.sent()) == ("Protected", 0, [])
    # It takes two lists anew.
    stage.wait(100).snapshot(complete=False)
    assert (stage.state, stage.bare) == ("Protected", 0)
    checked(stage)


@both_sides
def test_a_stop_that_is_proven_gone_is_replaced_at_once(side: PositionSide) -> None:
    stage = unlisted(side).wait(500).canceled("stop")
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 trail 300")
    stage = unlisted(side).wait(500).snapshot()
    assert stage.sent() == ["submit stop 1.0 trail 300"]


@both_sides
def test_a_stop_that_turns_out_to_have_executed_was_the_exit(side: PositionSide) -> None:
    stage = unlisted(side).wait(500).filled("stop", "1.0").completed("stop")
    assert (stage.state, stage.sent()) == ("Closed", [])
    checked(stage)


@GUARDED
def test_nothing_learnt_in_five_seconds_and_a_venue_that_takes_no_second_exit_gets_another_stop(
    side: PositionSide, capabilities: Capabilities
) -> None:
    stage = unlisted(side, capabilities)
    stage.said()
    for _ in range(4):
        stage.wait(1_000).snapshot(complete=False)
        assert stage.sent() == []
    stage.wait(1_100).snapshot(complete=False)
    assert stage.sent() == ["submit stop 1.0 trail 300"]
    assert coverage(stage.position).surplus_lots == 0
    stage.accepted("stop2").snapshot("stop2", complete=False)
    assert (stage.state, stage.bare) == ("Protected", 0)
    checked(stage)


def vanished(side: PositionSide, capabilities: Capabilities, **plan: object) -> Stage:
    """The first stop was sent, nobody confirmed it, and lists that may lack executions do not name it."""
    stage = Stage(side, capabilities, **plan).accepted("entry").filled("entry", "1.0").left("stop")
    stage.said()
    return stage


@GUARDED
def test_a_stop_that_nobody_confirmed_is_given_up_as_one_that_rested_where_the_venue_takes_no_second_exit(
    side: PositionSide, capabilities: Capabilities
) -> None:
    stage = vanished(side, capabilities)
    for _ in range(5):
        stage.wait(1_000).snapshot(complete=False)
        assert stage.sent() == []
    stage.wait(1_100).snapshot(complete=False)
    assert stage.sent() == ["submit stop 1.0 trail 300"]
    stage.accepted("stop2").snapshot("stop2", complete=False)
    assert (stage.state, stage.bare) == ("Protected", 0)
    # It was late after all: one of them goes.
    stage.said()
    stage.accepted("stop1", leaves="1.0", cum="0")
    assert (stage.sent(), stage.bare) == (["cancel stop"], 0)
    checked(stage)


@GUARDED
def test_a_stop_that_takes_a_vanished_ones_place_has_its_own_time_and_after_the_third_the_position_is_left(
    side: PositionSide, capabilities: Capabilities
) -> None:
    stage = vanished(side, capabilities)
    sent = []
    for second in range(1, 26):
        stage.wait(1_000).snapshot(complete=False)
        sent += [(second, text) for text in stage.sent() if text.startswith("submit")]
    assert [text for _, text in sent] == ["submit stop 1.0 trail 300"] * 2 + ["submit exit 1.0"]
    assert all(after - before >= 5 for (before, _), (after, _) in itertools.pairwise(sent))
    assert (stage.state, stage.position.exit_reason) == ("MarketExiting", "protection_failed")


@GUARDED
def test_an_exit_does_not_wait_for_ever_for_a_stop_that_nobody_confirmed(side: PositionSide, capabilities: Capabilities) -> None:
    stage = vanished(side, capabilities)
    stage.wait(1_000).leave()
    for _ in range(76):
        stage.wait(1_000).snapshot(complete=False)
        assert not any(text.startswith("submit") for text in stage.sent())
    stage.wait(1_000).snapshot(complete=False)
    assert stage.sent() == ["submit exit 1.0"]
    checked(stage)


@both_sides
def test_where_nothing_stops_a_second_order_a_stop_that_nobody_confirmed_is_not_given_up(side: PositionSide) -> None:
    stage = vanished(side, FREE)
    for _ in range(30):
        stage.wait(1_000).snapshot(complete=False)
        assert not any(text.startswith("submit") for text in stage.sent())


@both_sides
def test_where_nothing_stops_a_second_order_none_is_sent_until_the_first_is_proven_gone(side: PositionSide) -> None:
    stage = unlisted(side, FREE)
    for _ in range(30):
        stage.wait(1_000).snapshot(complete=False)
        assert not any(text.startswith("submit") for text in stage.sent())
    # It is to leave by then, for it could not be protected; and a person was told again and again.
    assert (stage.state, stage.position.exit_reason) == ("CancelPending", "protection_failed")
    assert stage.paged.count("STATE_TOO_LONG") >= 1
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@GUARDED
def test_the_given_up_stop_that_is_listed_after_all_counts_again_and_its_replacement_is_a_surplus(
    side: PositionSide, capabilities: Capabilities
) -> None:
    stage = unlisted(side, capabilities)
    stage.wait(5_500).snapshot(complete=False).accepted("stop2")
    stage.said()
    stage.accepted("stop1", leaves="1.0", cum="0")
    assert stage.sent() == ["cancel stop"]
    assert stage.bare == 0
    checked(stage)


@GUARDED
def test_a_given_up_stop_that_had_executed_ends_the_position_and_its_replacement(side: PositionSide, capabilities: Capabilities) -> None:
    stage = unlisted(side, capabilities)
    stage.wait(5_500).snapshot(complete=False).accepted("stop2")
    stage.said()
    stage.filled("stop1", "1.0")
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.completed("stop1").canceled("stop")
    assert_decision(stage, "Closed")


@GUARDED
def test_an_exit_whose_cancelled_stop_is_in_no_list_does_not_wait_for_ever(side: PositionSide, capabilities: Capabilities) -> None:
    stage = Stage(side, capabilities).protected().wait(1_000).leave()
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.wait(100).snapshot(complete=False).wait(100).snapshot(complete=False)
    assert (stage.state, "QueryOrder" in stage.said()) == ("CancelPending", True)
    # As long as REST may be late it would sell before the proof.
    for _ in range(74):
        stage.wait(1_000).snapshot(complete=False)
        assert not any(text.startswith("submit") for text in stage.sent())
    assert stage.paged.count("STATE_TOO_LONG") > 1
    stage.wait(1_100).snapshot(complete=False)
    assert (stage.state, stage.sent()[-1]) == ("MarketExiting", "submit exit 1.0")
    checked(stage)


@both_sides
def test_an_exit_at_a_venue_that_stops_no_second_order_waits_for_proof_with_questions_and_pages(side: PositionSide) -> None:
    stage = Stage(side, FREE).protected().wait(1_000).leave()
    for _ in range(60):
        stage.wait(1_000).snapshot(complete=False)
    said = stage.said()
    assert (stage.state, [x for x in said if x.startswith("submit")]) == ("CancelPending", [])
    assert said.count("QueryOrder") > 10
    assert stage.paged.count("STATE_TOO_LONG") > 1
    stage.wait(100).snapshot().wait(100).snapshot()
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_what_was_doubted_is_still_doubted_after_a_restart(side: PositionSide) -> None:
    stage = unlisted(side).restart().link_live().wait(100).snapshot(complete=False)
    assert (stage.state, stage.bare) == ("ProtectionPending", D("1.0"))
    checked(stage)


# --- through the engine ---------------------------------------------------------------------------------------------


def away(floor: Floor, meanwhile: str) -> None:
    """The link is down; something becomes of the stop, and then more is traded than a snapshot lists."""
    floor.cut()
    if meanwhile == "cancelled":
        (order,) = floor.gateway.exchange.open_orders()
        floor.owner(lambda exchange, now_ns: exchange.cancel(order.order_id, "", now_ns))
    elif meanwhile == "executed":
        floor.tick(floor.moved(PositionSide.LONG if floor.at_venue() > 0 else PositionSide.SHORT, -300))
        floor.wait(1)
    for _ in range(60):
        floor.by_hand("buy", "0.001")
        floor.by_hand("sell", "0.001")
    floor.connect()


@both_sides
def test_through_the_engine_a_stop_that_was_taken_unheard_is_back_within_seconds_though_rest_is_away(side: PositionSide) -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,)))
    position_id = floor.protected(side)
    away(floor, "cancelled")
    floor.wait(1)
    assert floor.state(position_id) != "Protected"
    floor.wait(10)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert floor.bare_ns <= 8 * SECOND
    assert floor.pages.count("STOP_NOT_LISTED") == 0
    floor.wait(60)
    assert floor.pages.count("STOP_NOT_LISTED") == 1
    floor.wait(300)
    assert floor.pages.count("STOP_NOT_LISTED") == 2
    assert len([x for x in commands_of(floor, position_id, c.SubmitOrder) if x.role == "stop"]) == 2
    assert replayed(floor)


@both_sides
def test_through_the_engine_a_stop_that_executed_unheard_sells_nothing_twice_though_rest_is_away(side: PositionSide) -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,)))
    position_id = floor.protected(side)
    away(floor, "executed")
    assert floor.at_venue() == 0
    floor.wait(120)
    # Our books hold it still: nothing proves its end. The venue refuses what is sent for it, or cuts it to nothing when it fires.
    assert floor.at_venue() == 0
    floor.tick(floor.moved(side, -600))
    floor.wait(30)
    assert (floor.at_venue(), floor.pages.count("STOP_NOT_LISTED")) == (0, 1)
    assert position_id in floor.pipeline.desk.positions
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("meanwhile", ["cancelled", "executed"])
def test_through_the_engine_rest_tells_what_became_of_it(side: PositionSide, meanwhile: str) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    away(floor, meanwhile)
    floor.wait(20)
    stops = [x for x in commands_of(floor, position_id, c.SubmitOrder) if x.role == "stop"]
    if meanwhile == "cancelled":
        assert (floor.state(position_id), len(floor.resting()), len(stops)) == ("Protected", 1, 2)
    else:
        assert (floor.state(position_id), floor.resting(), len(stops), floor.at_venue()) == ("Closed", [], 1, 0)
    assert replayed(floor)


@both_sides
def test_through_the_engine_an_exit_leaves_though_what_became_of_its_stop_is_in_no_list(side: PositionSide) -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,)))
    position_id = floor.protected(side)
    floor.faults.arm("ack_lost_applied", on="cancel_order")
    floor.faults.arm("drop_frame", on="executions:canceled")
    floor.leave(position_id)
    away(floor, "nothing")
    floor.wait(60)
    assert (floor.state(position_id), "UNPROTECTED_TOO_LONG" in floor.pages) == ("CancelPending", True)
    floor.wait(30)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)
