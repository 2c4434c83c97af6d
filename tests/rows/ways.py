"""A way into each state of a position's life, on the floor: side and maker of the floor in, the floor and the position out.

Flattening is missing: on a venue that cuts what is reduce-only, and with exits that wait for evidence, nothing closes more than is open.
"""

from collections.abc import Callable

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import Floor
from replay.intents import ExitPosition, HaltPosition

Maker = Callable[..., Floor]
Way = Callable[[PositionSide, Maker], tuple[Floor, str]]


def lost(*texts: str) -> Callable[[str], bool]:
    return lambda text: any(each in text for each in texts)


def entry_pending(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make()
    floor.holds_back = lost("add_order")
    return floor, floor.open(side, time_stop_secs=60)


def pending_fill(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make()
    return floor, floor.open(side, entry_type="limit", entry_price=floor.moved(side, -20), time_stop_secs=60)


def entry_cancel_pending(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make()
    floor.holds_back = lost("cancel_order")
    timing = f.Timing(entry_ttl_ms=2_000)
    position_id = floor.open(side, entry_type="limit", entry_price=floor.moved(side, -20), timing=timing)
    floor.wait(2.5)
    return floor, position_id


def protection_pending(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make()
    floor.holds_back = lost("trailing-stop")
    return floor, floor.open(side, time_stop_secs=60)


def covered(side: PositionSide, make: Maker = Floor, **plan: object) -> tuple[Floor, str]:
    floor = make()
    return floor, floor.protected(side, time_stop_secs=60, **plan)


def resizing(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make(faults=("split_fill/n=2/count=1",))
    floor.holds_back = lost("amend_order")
    return floor, floor.open(side, qty="0.2", time_stop_secs=60)


def tightening(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make, tighten=(f.TightenStep(profit_bps=20, trail_offset_bps=80),))
    floor.holds_back = lost("amend_order")
    floor.tick(floor.moved(side, 30))
    return floor, position_id


def stop_triggered(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make, trail_offset_bps=50)
    floor.tick(floor.moved(side, -60))
    return floor, position_id


def emergency(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make()
    floor.faults.arm("reject", on="add_order:trailing-stop", text="EOrder:Trading agreement required", count=2)
    return floor, floor.open(side, qty="0.2", time_stop_secs=60)


def cancel_pending(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make)
    floor.holds_back = lost("cancel_order")
    floor.leave(position_id)
    return floor, position_id


def take_profit_working(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor = make()
    position_id = floor.protected(
        side, time_stop_secs=60, take_profit_price=floor.moved(side, 50), take_profit_style="maker", take_profit_arm_bps=10
    )
    floor.tick(floor.moved(side, 42))
    return floor, position_id


def maker_exiting(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make)
    floor.intent(ExitPosition(position_id=position_id, reason="signal", patient=True))
    return floor, position_id


def market_exiting(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make)
    floor.holds_back = lost('"order_type":"market"')
    floor.leave(position_id)
    return floor, position_id


def reconciling(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make)
    floor.cut()
    return floor, position_id


def halted(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make)
    floor.intent(HaltPosition(position_id=position_id, reason="a person asked for it"))
    return floor, position_id


def awaiting_owner(side: PositionSide, make: Maker = Floor) -> tuple[Floor, str]:
    floor, position_id = covered(side, make, timing=f.Timing(page_interval_ms=5_000))
    for _ in range(2):
        stops = [order for order in floor.gateway.exchange.open_orders() if order.trigger is not None]
        floor.owner(lambda exchange, now_ns, order_id=stops[-1].order_id: exchange.cancel(order_id, "", now_ns))  # type: ignore[misc]
    return floor, position_id


WAYS: dict[str, Way] = {
    "EntryPending": entry_pending, "ProtectedPendingFill": pending_fill, "EntryCancelPending": entry_cancel_pending,
    "ProtectionPending": protection_pending, "Protected": covered, "Resizing": resizing, "Tightening": tightening,
    "StopTriggered": stop_triggered, "EmergencyProtecting": emergency, "CancelPending": cancel_pending,
    "TakeProfitWorking": take_profit_working, "MakerExiting": maker_exiting, "MarketExiting": market_exiting, "Reconciling": reconciling,
    "Halted": halted, "AwaitingOwner": awaiting_owner,
}  # fmt: skip
