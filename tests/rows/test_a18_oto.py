"""A18: protection attached to the entry (OTO): one child for each fill, without a client id, joined, coalesced, never counted twice."""

from itertools import combinations, permutations

import pytest
from msgspec.structs import replace

from events import commands as c
from events.values import PositionSide
from holdfast.scenario.floor import Floor, commands_of, replayed
from tests.fsm.stage import INSTRUMENT, MARGIN, SPOT, D, Stage, assert_decision, checked

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
COARSE = replace(INSTRUMENT, size_increment=D("0.01"), min_qty=D("0.1"))
FILLS = (("0.5", "V-a"), ("0.3", "V-b"), ("0.2", "V-c"))
# Neither funds held nor reduce-only: nothing at the venue stops a second order.
FREE = replace(SPOT, holds_funds=False)


def oto(side: PositionSide, **fields: object) -> Stage:
    return Stage(side, SPOT if side is PositionSide.LONG else MARGIN, attach_stop=True, **fields).accepted("entry")  # type: ignore[arg-type]


@both_sides
@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_a18_children_in_any_order_are_joined_to_their_fills_and_none_is_covered_twice(side: PositionSide, order: tuple[int, ...]) -> None:
    stage = oto(side)
    for qty, _ in FILLS:
        stage.filled("entry", qty)
    for number in order:
        stage.child(*FILLS[number])
    assert (stage.state, stage.sent(), stage.bare) == ("Protected", ["submit entry 1.0 attached"], 0)
    assert sorted(o.qty_lots for o in stage.position.open_orders("stop")) == [200, 300, 500]
    checked(stage)


TELLINGS = [tuple("fc"[x in children] for x in range(6)) for children in combinations(range(6), 3)]


@both_sides
@pytest.mark.parametrize("telling", TELLINGS, ids="".join)
def test_a18_fills_and_children_told_in_any_order_and_each_twice_are_counted_once(side: PositionSide, telling: tuple[str, ...]) -> None:
    for order in permutations(range(3)):
        stage = oto(side)
        fills, children = iter(range(3)), iter(order)
        for word in telling:
            if word == "f":
                number = next(fills)
                stage.filled("entry", FILLS[number][0], trade_id=f"T-{number}")
            else:
                child = FILLS[next(children)]
                stage.child(*child).child(*child)
        for number in range(3):
            stage.filled("entry", FILLS[number][0], trade_id=f"T-{number}")
        assert (stage.state, stage.bare, stage.sent()) == ("Protected", 0, ["submit entry 1.0 attached"])
        assert sorted(o.qty_lots for o in stage.position.open_orders("stop")) == [200, 300, 500]
        checked(stage)


@both_sides
def test_a18_a_child_without_a_fill_is_a_surplus_once_its_entry_has_ended(side: PositionSide) -> None:
    stage = oto(side).filled("entry", "0.5").child("0.5", "V-a").child("0.3", "V-b")
    assert (stage.state, stage.sent()) == ("ProtectedPendingFill", ["submit entry 1.0 attached"])
    stage.canceled("entry", cum="0.5")
    assert_decision(stage, "Resizing", "cancel stop")


@both_sides
def test_a18_what_the_owner_sells_meanwhile_is_a_surplus_though_the_entry_works(side: PositionSide) -> None:
    stage = oto(side).filled("entry", "0.5").child("0.5", "V-a").sold_by_hand("0.2")
    assert "amend stop qty 0.3" in stage.sent()


@both_sides
def test_a18_a_child_that_is_told_before_its_fill_is_counted_once(side: PositionSide) -> None:
    stage = oto(side).child("0.5", "V-a").filled("entry", "0.5").child("0.5", "V-a").filled("entry", "0.5").child("0.5", "V-b")
    assert (stage.state, len(stage.position.open_orders("stop"))) == ("Protected", 2)
    checked(stage)


@both_sides
def test_a18_a_fill_under_the_minimum_that_gets_no_child_is_taken_in_by_a_larger_one(side: PositionSide) -> None:
    stage = oto(side, instrument=COARSE).filled("entry", "0.95").child("0.95", "V-a").filled("entry", "0.05")
    stage.wait(2_000)
    # The venue makes no child of five hundredths; the one that stands grows.
    assert "amend stop qty 1.0" in stage.sent()
    stage.amended("stop", "1.0")
    assert_decision(stage, "Protected")


@both_sides
def test_a18_a_fill_under_the_minimum_that_comes_first_waits_for_the_next(side: PositionSide) -> None:
    stage = oto(side, instrument=COARSE).filled("entry", "0.05").wait(500).filled("entry", "0.95").child("0.95", "V-a")
    stage.wait(2_000)
    assert "amend stop qty 1.0" in stage.sent()
    stage.amended("stop", "1.0")
    assert_decision(stage, "Protected")


@both_sides
def test_a18_an_exit_cancels_every_child_before_it_sells_and_sells_once(side: PositionSide) -> None:
    stage = oto(side).filled("entry", "0.5").child("0.5", "V-a").filled("entry", "0.5").child("0.5", "V-b").leave()
    assert_decision(stage, "CancelPending", "cancel stop1", "cancel stop")
    stage.canceled("stop1")
    assert_decision(stage, "CancelPending")
    stage.canceled("stop2")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a18_one_child_that_fires_is_not_the_end_of_the_others(side: PositionSide) -> None:
    stage = oto(side).filled("entry", "0.5").child("0.5", "V-a").filled("entry", "0.5").child("0.5", "V-b")
    stage.triggered("stop1").filled("stop1", "0.5").triggered("stop2").filled("stop2", "0.5")
    assert_decision(stage, "Closed")


@both_sides
@pytest.mark.parametrize("faults", [(), ("split_fill/n=5/count=1",), ("reorder_frames/p=0.3",), ("duplicate_frame/p=0.3",)])
def test_a18_through_the_engine_fills_and_their_children_cover_the_position_with_no_id_beside_the_condition(
    side: PositionSide, faults: tuple[str, ...]
) -> None:
    floor = Floor(faults=faults)
    sent: list[str] = []
    floor.listener = sent.append
    position_id = floor.open(side, qty="2", attach_stop=True)
    floor.wait(4)
    entry = sent[0]
    assert '"conditional"' in entry
    assert "cl_ord_id" not in entry
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D(2))
    stops = floor.position(position_id).open_orders("stop")
    assert sum(o.qty_lots - o.filled_lots for o in stops) == floor.position(position_id).held_lots
    assert [x for x in commands_of(floor, position_id, c.SubmitOrder) if x.role == "stop"] == []
    floor.leave(position_id)
    floor.wait(5)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)


@both_sides
def test_a18_an_exit_waits_for_the_attached_stop_of_what_has_filled(side: PositionSide) -> None:
    # Fill and stop are one moment at the venue and two frames here: an exit between them would close beside the stop.
    stage = oto(side).leave().filled("entry", "1.0").completed("entry")
    assert (stage.state, stage.sent()) == ("CancelPending", ["submit entry 1.0 attached", "cancel entry"])
    stage.child("1.0", "V-a")
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a18_an_exit_does_not_wait_for_an_attached_stop_that_two_lists_do_not_name(side: PositionSide) -> None:
    stage = oto(side).filled("entry", "1.0").completed("entry").leave()
    assert (stage.state, stage.said()) == ("CancelPending", ["submit entry 1.0 attached", "refresh"])
    assert_decision(stage.snapshot(), "CancelPending")
    assert_decision(stage.wait(5_000), "CancelPending")
    assert stage.said() == ["refresh"]
    assert_decision(stage.snapshot(), "MarketExiting", "submit exit 1.0")


@both_sides
def test_a18_a_new_execution_is_a_new_attached_stop_to_wait_for(side: PositionSide) -> None:
    stage = oto(side).filled("entry", "0.5").leave().snapshot("entry").snapshot("entry").filled("entry", "0.5").completed("entry")
    assert stage.state == "CancelPending"
    assert not any("exit" in text for text in stage.sent())


@both_sides
def test_a18_an_exit_does_not_wait_for_ever_for_a_list_with_every_execution(side: PositionSide) -> None:
    # REST is away, or the key may not read trades: no snapshot is ever complete, and nothing protects what is held.
    stage = oto(side).filled("entry", "1.0").completed("entry").leave()
    for _ in range(14):
        stage.snapshot(complete=False).wait(5_000)
        assert (stage.state, "exit" in " ".join(stage.sent())) == ("CancelPending", False)
    stage.wait(5_000).snapshot(complete=False).wait(5_000)
    assert_decision(stage.snapshot(complete=False), "MarketExiting", "submit exit 1.0")


def behind_a_cut(side: PositionSide, told: str, **word: bool) -> Stage:
    """Executions may be missing behind a cut, among them those of the attached stop of what the entry has filled."""
    stage = Stage(side, FREE, attach_stop=True).accepted("entry")
    if told == "before the cut":
        stage.filled("entry", "1.0").completed("entry")
    stage.link_closed().wait(1_000)
    if told == "by the list":
        stage.filled("entry", "1.0").completed("entry")
    stage.snapshot(*(() if told != "by REST" else ("entry",)), complete=False, **word)
    if told == "by REST":
        stage.filled("entry", "1.0").completed("entry")
    stage.said()
    return stage


TOLD = pytest.mark.parametrize("told", ["before the cut", "by the list", "by REST"])


@both_sides
@TOLD
def test_a18_where_a_list_may_lack_what_an_attached_stop_did_no_second_stop_goes_beside_it(side: PositionSide, told: str) -> None:
    stage = behind_a_cut(side, told)
    for _ in range(8):
        stage.wait(500).snapshot(complete=False)
        assert [x for x in stage.sent() if x.startswith("submit")] == []
    stage.child("1.0", "V-a").filled("stop", "1.0").completed("stop")
    assert (stage.state, stage.sent(), stage.bare) == ("Closed", [], 0)
    checked(stage)


@both_sides
@TOLD
def test_a18_two_lists_that_lack_no_execution_and_no_attached_stop_get_another_stop(side: PositionSide, told: str) -> None:
    stage = behind_a_cut(side, told).wait(500).snapshot().wait(2_000)
    assert stage.sent() == []
    assert stage.snapshot().sent() == ["submit stop 1.0 trail 300"]
    checked(stage)


@both_sides
def test_a18_where_nothing_at_the_venue_stops_a_second_stop_a_watch_waits_for_the_list_that_it_asks_for(side: PositionSide) -> None:
    # The word of the attached stop was lost.
    stage = Stage(side, FREE, attach_stop=True).accepted("entry").filled("entry", "1.0").completed("entry")
    stage.said()
    stage.wait(2_000)
    assert (stage.state, stage.said()) == ("EmergencyProtecting", ["alert UNPROTECTED", "refresh"])
    stage.child("1.0", "V-a").snapshot("stop")
    assert_decision(stage, "Protected")
    checked(stage)


@both_sides
def test_a18_a_stop_that_took_the_place_of_one_that_the_owner_cancelled_leaves_the_next_part_to_the_venues_own(side: PositionSide) -> None:
    stage = Stage(side, FREE, attach_stop=True).accepted("entry").filled("entry", "0.5").child("0.5", "V-a")
    stage.canceled("stop", by_hand=True).accepted("stop2")
    stage.sent()
    stage.filled("entry", "0.5").completed("entry")
    assert stage.sent() == []
    stage.child("0.5", "V-b")
    assert (stage.state, stage.sent()) == ("Protected", [])
    checked(stage)


@both_sides
def test_a18_a_stop_that_was_made_larger_stands_for_no_more_executions_than_it_was_made_of(side: PositionSide) -> None:
    # The owner took one of two away, and the other one grew in its place: what fills next gets a stop of the venue's, as always.
    stage = Stage(side, FREE, attach_stop=True).accepted("entry")
    stage.filled("entry", "0.4").child("0.4", "V-a").filled("entry", "0.2").child("0.2", "V-b")
    stage.canceled("stop2", by_hand=True).amended("stop1", "0.6")
    stage.sent()
    stage.filled("entry", "0.4").completed("entry")
    assert stage.sent() == []
    stage.child("0.4", "V-c")
    assert (stage.state, stage.sent(), stage.bare) == ("Protected", [], 0)
    assert sum(o.qty_lots for o in stage.position.open_orders("stop")) == 1_000
    checked(stage)


@both_sides
@TOLD
def test_a18_what_is_never_heard_of_an_attached_stop_is_not_waited_for_for_ever(side: PositionSide, told: str) -> None:
    stage = behind_a_cut(side, told)
    for _ in range(75):
        stage.wait(1_000).snapshot(complete=False)
        assert [x for x in stage.sent() if x.startswith("submit")] == []
    for _ in range(15):
        stage.wait(1_000).snapshot(complete=False)
    assert (stage.state, stage.sent()) == ("MarketExiting", ["submit exit 1.0"])
    assert stage.paged.count("STATE_TOO_LONG") > 1


@both_sides
def test_a18_a_stop_of_ours_is_no_attached_stop_that_an_exit_behind_a_cut_need_not_wait_for(side: PositionSide) -> None:
    # The owner took the first attached stop away, ours replaced it, and the entry filled on while nobody listened.
    stage = Stage(side, FREE, attach_stop=True).accepted("entry").filled("entry", "0.5").child("0.5", "V-a")
    stage.canceled("stop", by_hand=True).accepted("stop2").link_closed().wait(1_000)
    stage.filled("entry", "0.5").completed("entry").snapshot("stop2", complete=False)
    stage.said()
    stage.leave()
    assert [x for x in stage.sent() if x.startswith("submit")] == []
    stage.canceled("stop2").wait(1_000).snapshot(complete=False)
    assert (stage.state, stage.sent()) == ("CancelPending", [])
    stage.child("0.5", "V-b").filled("stop3", "0.5").completed("stop3")
    assert (stage.state, [x for x in stage.sent() if x.startswith("submit")]) == ("MarketExiting", ["submit exit 0.5"])
    checked(stage)


@both_sides
def test_a18_where_the_venue_lets_no_second_stop_close_more_a_missing_attached_stop_is_replaced_behind_a_cut_too(
    side: PositionSide,
) -> None:
    stage = oto(side).filled("entry", "1.0").completed("entry").link_closed().wait(1_000).snapshot(complete=False).wait(2_000)
    assert stage.sent()[-1] == "submit stop 1.0 trail 300"


@both_sides
@pytest.mark.parametrize("away", ["cut", "killed"])
def test_a18_through_the_engine_a_trade_by_hand_after_an_attached_position_is_over_leaves_no_gap(side: PositionSide, away: str) -> None:
    floor = Floor()
    # An execution that is known, so that a list can prove that it lacks none.
    floor.by_hand("buy", "1")
    floor.wait(1)
    position_id = floor.open(side, qty="2", attach_stop=True, trail_offset_bps=100)
    floor.wait(2)
    floor.tick(floor.moved(side, -200))
    floor.wait(3)
    assert (floor.state(position_id), floor.resting()) == ("Closed", [])
    if away == "cut":
        floor.cut()
        floor.by_hand(side.exit_side.value, "0.5")
        floor.connect()
    else:
        floor.kill(meanwhile=lambda: floor.by_hand(side.exit_side.value, "0.5"))
    floor.wait(3)
    assert not floor.pipeline.translator.has_gap
    assert (floor.pipeline.counters["trades_completed"], floor.pipeline.counters["ForeignFill"] > 0) == (0, True)
    assert replayed(floor)
