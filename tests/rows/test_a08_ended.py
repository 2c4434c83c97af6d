"""A8: what has ended is forgotten in the end, and not before every execution of it is known."""

from events import facts as f
from events.values import PositionSide
from fsm.desk import ENDED_KEPT_NS
from holdfast.scenario.floor import SECOND, Floor, replayed

KEPT_S = ENDED_KEPT_NS // SECOND


def a_round(floor: Floor) -> str:
    position_id = floor.protected(qty="0.01")
    floor.leave(position_id)
    floor.wait(1)
    assert floor.state(position_id) == "Closed"
    return position_id


def later(floor: Floor, seconds: int) -> None:
    """Let that much time pass at once, and then what is due."""
    floor.now_ns += seconds * SECOND
    floor.wait(15, trades=False)


def test_a_position_that_ended_an_hour_ago_is_forgotten_with_its_orders_at_a_list_that_lacks_no_execution() -> None:
    floor = Floor()
    first = a_round(floor)
    later(floor, KEPT_S // 2)
    second = a_round(floor)
    assert set(floor.pipeline.desk.ended) == {first, second}
    later(floor, KEPT_S // 2)
    assert set(floor.pipeline.desk.ended) == {second}
    later(floor, KEPT_S // 2)
    assert floor.pipeline.desk.ended == {}
    assert floor.pipeline.desk._by_venue_id == {}
    assert replayed(floor)


def test_memory_does_not_grow_with_the_number_of_positions_that_have_ended() -> None:
    floor = Floor()
    for _ in range(40):
        a_round(floor)
        later(floor, KEPT_S // 4)
    assert len(floor.pipeline.desk.ended) <= 5
    assert len(floor.pipeline.desk._by_venue_id) <= 5 * 3


def test_what_ended_long_ago_is_kept_while_lists_may_lack_an_execution_so_that_a_late_one_finds_its_position() -> None:
    floor = Floor()
    position_id = floor.open(PositionSide.SHORT, entry_type="limit", entry_price=floor.moved(PositionSide.SHORT, -20))
    floor.wait(70)
    assert floor.state(position_id) == "Abandoned"
    desk = floor.pipeline.desk
    asked_ns = floor.now_ns + 2 * ENDED_KEPT_NS
    desk.snapshot((), False, asked_ns, asked_ns)
    assert set(desk.ended) == {position_id}
    (order,) = desk.ended[position_id].orders
    fill = f.OrderFilled(
        ts_recv_ns=asked_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, trade_id="T-LATE",
        side=PositionSide.SHORT.entry_side, last_qty=floor.position(position_id).plan.qty, last_px=floor.px,
    )  # fmt: skip
    assert [event.position_id for event in desk.take(fill)] == [position_id]
    desk.snapshot((), True, asked_ns, asked_ns)
    assert desk.ended == {}
