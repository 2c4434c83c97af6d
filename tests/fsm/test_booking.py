"""What a fact changes in a position, whatever the table says: quantities, costs, orders."""

from events.ids import client_order_id_from
from tests.fsm.stage import POSITION_ID, Stage, checked


def test_an_order_found_after_a_crash_adds_up_with_the_executions_that_were_listed_ahead_of_it() -> None:
    """Its event was lost with the process: the snapshot tells its executions first, then that the rest of it is open."""
    stage = Stage().protected()
    lost = client_order_id_from(POSITION_ID, 0, stage.position.version + 1, 0)
    stage.restart()
    stage.trades["T9"] = stage.trades["T1"].__class__(
        ts_recv_ns=stage.now_ns,
        client_order_id=lost,
        venue_order_id=f"V-{lost}",
        trade_id="T9",
        side=stage.side.exit_side,
        last_qty=stage.instrument.qty(400),
        last_px=stage.trades["T1"].last_px,
        cum_qty=stage.instrument.qty(400),
    )
    stage.take(stage.trades["T9"])
    stage.found(lost, "0.6", "exit")
    order = stage.order("exit")
    assert (order.qty_lots, order.filled_lots, order.leaves_lots) == (1_000, 400, 600)
    stage.filled("exit", "0.6", cum="1.0").completed("exit", cum="1.0")
    assert stage.order("exit").status == "Filled"
    assert stage.position.held_lots == 0
    checked(stage)
