"""A8: exposure that is found without protection gets it: a late execution, a lost stop, a restart; pending, by rule, or out at market."""

import json

import pytest
from msgspec.structs import replace

from events import facts as f
from events.values import PositionSide
from fsm.distance import DEGRADED_TRAIL_BPS, DistancePolicy, emergency_distance
from holdfast.scenario.floor import MS, Floor, replayed
from tests.fsm.stage import NO_AMEND, D, Stage, assert_decision, checked

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
NO_TRAIL = replace(NO_AMEND, native_trail=False)


def late_fill(floor: Floor, position_id: str, qty: str) -> None:
    """The venue tells an execution of an entry that it has confirmed as cancelled, and the account holds what it bought or sold."""
    position = floor.position(position_id)
    entry = next(order for order in position.orders if order.role == "entry")
    side = position.side.entry_side.value
    if position.plan.margin:
        floor.by_hand(side, qty, margin=True)
    else:
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D(qty), now_ns))
    data = {
        "order_id": entry.venue_order_id, "cl_ord_id": entry.client_order_id, "exec_type": "trade", "exec_id": "LATE-1",
        "symbol": "BTC/USD",
        "side": side, "last_qty": float(qty), "last_price": float(floor.px), "order_status": "partially_filled",
        "timestamp": "2023-11-14T22:13:30.000000Z",
    }  # fmt: skip
    floor.feed("frame", "private", json.dumps({"channel": "executions", "type": "update", "data": [data]}))


@both_sides
def test_a08_through_the_engine_an_execution_behind_the_end_is_taken_over_and_protected(side: PositionSide) -> None:
    floor = Floor()
    first = floor.open(side, entry_type="limit", entry_price=floor.moved(side, -50))
    floor.wait(1)
    floor.leave(first)
    floor.wait(1)
    assert floor.state(first) == "Abandoned"
    late_fill(floor, first, "0.5")
    floor.wait(1)
    assert [event.position_id for event in floor.events if isinstance(event.fact, f.PositionAdopted)] == ["hf000002"]
    assert (floor.state(first), floor.state("hf000002"), len(floor.resting())) == ("Abandoned", "Protected", 1)
    assert "LATE_EVIDENCE" in floor.pages
    assert floor.bare_ns <= 100 * MS
    floor.leave("hf000002")
    floor.wait(2)
    assert (floor.state("hf000002"), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)


@both_sides
def test_a08_an_execution_behind_the_end_is_taken_over_though_the_engine_was_killed_in_between(side: PositionSide) -> None:
    floor = Floor()
    first = floor.open(side, entry_type="limit", entry_price=floor.moved(side, -50))
    floor.leave(first)
    floor.wait(1)
    assert floor.state(first) == "Abandoned"
    floor.kill()
    late_fill(floor, first, "0.5")
    floor.wait(1)
    assert (floor.state("hf000002"), len(floor.resting())) == ("Protected", 1)


def test_a08_a_late_execution_under_the_smallest_order_is_dust_and_a_person_is_told() -> None:
    floor = Floor()
    first = floor.open(entry_type="limit", entry_price=59_000)
    floor.leave(first)
    floor.wait(1)
    late_fill(floor, first, "0.00001")
    assert floor.facts(f.PositionAdopted) == []
    assert "LATE_EVIDENCE" in floor.pages


@pytest.mark.parametrize(
    ("pnl_bps", "degraded", "atr_bps", "expected"),
    [
        (20, False, 60, 62), (20, False, 300, 174), (19, False, 300, 80), (20, False, None, 80),
        (0, True, 300, 174), (0, True, None, 50), (None, False, 300, 80),
    ],
)  # fmt: skip
def test_a08_the_trail_follows_profit_then_truth_then_the_degraded_constant(
    pnl_bps: int | None, degraded: bool, atr_bps: int | None, expected: int
) -> None:
    # 300 bps in fifteen minutes over a horizon of 300 s: sqrt(300 / 900) of it.
    assert emergency_distance(DistancePolicy(taker_fee_bps=D(26)), pnl_bps, degraded, atr_bps).trail_offset_bps == expected


@both_sides
def test_a08_without_any_price_a_native_trail_goes_out_at_once_and_another_stop_waits_for_the_first_price(side: PositionSide) -> None:
    native = Stage(side, adopted_px="unknown", trail_offset_bps=DEGRADED_TRAIL_BPS)
    assert native.said()[0] == "submit stop 1.0 trail 80"
    pending = Stage(side, NO_TRAIL, adopted_px="unknown", trail_offset_bps=DEGRADED_TRAIL_BPS)
    assert_decision(pending, "EmergencyProtecting")
    # As soon as one comes, and not with the next look.
    pending.price(100)
    assert_decision(pending, "EmergencyProtecting", "submit stop 1.0 at 99.2")
    pending.price("100.1").price("99.9")
    assert pending.sent() == ["submit stop 1.0 at 99.2"]
    pending.accepted("stop")
    assert_decision(pending, "Protected")


@both_sides
def test_a08_a_stop_that_is_refused_three_times_ends_in_a_market_exit(side: PositionSide) -> None:
    stage = Stage(side, adopted_px=100).rejected("stop")
    for _ in range(2):
        stage.wait(2_000).rejected("stop")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")
    assert stage.position.exit_reason == "protection_failed"


@both_sides
def test_a08_a_restart_without_its_stop_protects_before_anything_else(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.kill(meanwhile=lambda: floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns)))
    floor.wait(2)
    assert floor.state(position_id) == "Protected"
    assert len(floor.resting()) == 1


@pytest.mark.parametrize("reject_class", ["other", "funds"])
def test_refusals_count_on_behind_a_link_that_was_cut_between_them(reject_class: f.RejectClass) -> None:
    """Found by walks: each new link began with two attempts of its own, so that a link that flaps kept a bare position for ever."""
    stage = Stage().entered().rejected("stop")
    stage.rejected("stop2")
    stage.link_closed().link_live().snapshot()
    stage.rejected("stop3", reject_class)
    assert stage.position.protect_attempts == 3
    assert (stage.state, stage.position.exit_reason) == ("MarketExiting", "protection_failed")
    checked(stage)
