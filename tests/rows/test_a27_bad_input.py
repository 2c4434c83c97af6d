"""What can never be protected is refused before its entry is sent, with the reason; and no frame or clock, however odd, hurts."""

from decimal import Decimal

import pytest

from events import commands as c
from events import facts as f
from events.errors import BadInput
from events.values import PositionSide
from fsm.plans import check_plan
from holdfast.scenario.floor import SECOND, D, Floor, commands_of, replayed
from tests.fsm.stage import INSTRUMENT, NO_AMEND, SPOT

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


@both_sides
@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"stop": 1}, "is on the wrong side of 60000"),
        ({"take_profit_price": -1}, "is on the wrong side of 60000"),
        ({"trail_offset_bps": 0}, "trail_offset_bps: 0 is not within 1 to 5000"),
        ({"trail_offset_bps": 9_000}, "trail_offset_bps: 9000 is not within 1 to 5000"),
        ({"qty": "0.00001"}, "under the venue's minimum"),
        ({"qty": "0"}, "0 is not above zero"),
        ({"qty": "NaN"}, "qty"),
        ({"qty": "1e400"}, "qty"),
        ({"qty": "0.123456789"}, "qty"),
        ({"panic_pnl_bps": 10}, "panic_pnl_bps: 10 is not below zero"),
        ({"tighten": (f.TightenStep(profit_bps=0, trail_offset_bps=10),)}, "tighten: profit 0, trail 10 is no step"),
        ({"timing": f.Timing(ack_timeout_ms=0)}, "timing.ack_timeout_ms: 0 is not above zero"),
        ({"timing": f.Timing(market_deadline_ms=70_000)}, "timing.market_deadline_ms: 70000 is not within 500 to 60000"),
        ({"strategy": "ignition"}, "an ignition needs the profit"),
        ({"entry_type": "limit"}, "a limit entry needs one"),
        ({"entry_price": D(60_000)}, "a market entry has none"),
        ({"trail_style": "engine", "breakeven_profit_bps": -5}, "breakeven_profit_bps: -5 is no profit"),
        ({"trail_style": "engine", "trail_activation_bps": 0}, "trail_activation_bps: 0 is no profit"),
        ({"take_profit_arm_bps": -1}, "take_profit_arm_bps: -1 is below 0"),
    ],
    ids=str,
)
def test_a27_a_plan_that_cannot_be_protected_is_refused_and_nothing_is_sent(
    side: PositionSide, plan: dict[str, object], reason: str
) -> None:
    floor = Floor()
    given = dict(plan)
    if "stop" in given:
        given["stop_price"] = floor.moved(side, 100 * int(str(given.pop("stop"))))
    if "take_profit_price" in given:
        given["take_profit_price"] = floor.moved(side, 100 * int(str(given["take_profit_price"])))
    before = len(floor.inputs)
    floor.open(side, **given)  # type: ignore[arg-type]
    assert len(floor.refusals) == 1
    assert reason in floor.refusals[0], floor.refusals[0]
    assert (floor.events, len(floor.inputs)) == ([], before + 1)
    assert replayed(floor)


def test_a27_a_quantity_that_its_own_fee_makes_too_small_for_a_stop_is_refused() -> None:
    floor = Floor()
    floor.open(qty="0.00005")
    assert "no stop could protect it" in floor.refusals[0]


def test_a27_a_trail_under_the_venues_tick_is_refused() -> None:
    floor = Floor(px="0.5")
    floor.open(qty="100", trail_offset_bps=1)
    assert "is less than the venue's tick" in floor.refusals[0]


ODD = ("NaN", "1e400", "-1", "0", '"0.1"', "null", "true", "[]", "{}", "999999999999999999999999999999999999999999", '"1_000"', '"١"')


@both_sides
@pytest.mark.parametrize("field", ["last_qty", "last_price", "cum_qty", "order_qty", "exec_id", "timestamp", "side", "triggers", "fees"])
def test_a27_no_odd_number_in_a_frame_about_our_order_costs_protection_or_books(side: PositionSide, field: str) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    order = floor.position(position_id).open_orders("stop")[0]
    for text in ODD:
        ids = f'"order_id":"{order.venue_order_id}","cl_ord_id":"{order.client_order_id}"'
        data = f'{{{ids},"exec_type":"status","symbol":"BTC/USD","{field}":{text}}}'
        floor.feed("frame", "private", f'{{"channel":"executions","type":"update","data":[{data}]}}')
    floor.wait(3)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    floor.leave(position_id)
    floor.wait(4)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)
    assert replayed(floor)


def test_a27_text_that_is_no_frame_is_counted_and_harmless() -> None:
    floor = Floor()
    position_id = floor.protected()
    for text in ("", "CloudFlare WebSocket proxy restarting", "[" * 100_000, '{"channel":', "{}", "null", '{"channel":"executions"}'):
        floor.feed("frame", "private", text)
    floor.wait(2)
    assert floor.state(position_id) == "Protected"


@both_sides
@pytest.mark.parametrize("jump_s", [-21_600, -3_600, -10, 10, 3_600, 21_600])
def test_a27_a_clock_that_jumps_costs_no_protection_and_ends_nothing_twice(side: PositionSide, jump_s: int) -> None:
    floor = Floor()
    position_id = floor.protected(side, time_stop_secs=120)
    # The engine never lets its own time run back (`Engine._feed_one`): a step back stands still.
    floor.lag_ns -= max(jump_s, 0) * SECOND
    floor.wait(5)
    if jump_s >= 3_600:
        assert floor.reasons(position_id) == ["time_stop"]
    floor.wait(130)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert [x.role for x in commands_of(floor, position_id, c.SubmitOrder)].count("entry") == 1


def test_a16_a_fill_without_a_usable_price_is_booked_by_quantity_and_the_price_is_asked_for() -> None:
    floor = Floor(faults=("zero_price/count=1",))
    position_id = floor.open(qty="0.1")
    assert floor.position(position_id).held_lots
    floor.wait(15)
    assert floor.state(position_id) == "Protected"
    assert floor.position(position_id).avg_entry_px not in (None, Decimal(0))
    assert all(x.last_px is None or x.last_px > 0 for x in floor.facts(f.OrderFilled))


def test_a27_an_attached_stop_is_refused_where_the_venue_makes_none() -> None:
    plan = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=D("1.0"), trail_offset_bps=300, attach_stop=True)
    check_plan(plan, INSTRUMENT, SPOT, None)
    with pytest.raises(BadInput, match="attach_stop: stage has no attached stops"):
        check_plan(plan, INSTRUMENT, NO_AMEND, None)
