"""What the core asserts of every step, and what it forgets."""

import pytest
from msgspec.structs import replace

from events.commands import AmendOrder
from events.values import PositionSide
from fsm.core import KEPT_ORDERS, _kept, violations
from fsm.model import Order
from tests.fsm.stage import SYMBOL, D, Stage


@pytest.mark.parametrize("side", PositionSide)
@pytest.mark.parametrize(("level", "broken"), [("97.1", []), ("97.0", []), ("96.9", ["I3"])])
def test_a_static_stop_that_is_asked_to_move_away_from_the_market_breaks_a_promise(
    side: PositionSide, level: str, broken: list[str]
) -> None:
    stage = Stage(side, trail_offset_bps=None, stop_price=97).protected()
    (*_, event) = stage.events
    stop = stage.order("stop")
    trigger = D(level) if side is PositionSide.LONG else D(200) - D(level)
    amend = AmendOrder(client_order_id=stop.client_order_id, venue_order_id="", symbol=SYMBOL, trigger_price=trigger)
    told = violations(stage.position, stage.position, replace(event, commands=(amend,)))
    assert [violation.invariant for violation in told] == broken


def test_of_orders_that_ended_without_an_execution_only_the_oldest_are_forgotten_and_only_those_that_are_too_many() -> None:
    def order(number: int, status: str = "Rejected", filled_lots: int = 0) -> Order:
        about = {"client_order_id": str(number), "status": status, "filled_lots": filled_lots}
        return Order(**about, role="stop", order_type="stop-loss", qty_lots=1, decided_ns=1)  # type: ignore[arg-type]

    orders = [order(0, "Live"), order(1, filled_lots=1), *(order(number) for number in range(2, KEPT_ORDERS + 2))]
    assert [x.client_order_id for x in _kept(orders)] == ["0", "1", *(str(number) for number in range(4, KEPT_ORDERS + 2))]
