from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from events.errors import Usage
from venues.simulated.delivery import NON_JSON
from venues.simulated.faults import FAULTS, Faults

D = Decimal


@pytest.fixture
def faults() -> Faults:
    return Faults(3)


@pytest.fixture
def client(make_client, faults):
    return make_client(faults=faults)


def executions(client):
    return [frame for frame in client.frames if frame.get("channel") == "executions"]


def stop_order(client) -> str:
    return client.placed("stop-loss", "sell", "1", triggers={"price": D("59000.0")})


def test_a_directed_fault_strikes_once_and_is_counted(faults) -> None:
    faults.arm("drop_frame", on="executions:trade")
    labels = ["executions:tradex", "balances:trade:USD", "executions:trade:market:buy", "executions:trade:market:buy"]
    assert [faults.take("drop_frame", label) is not None for label in labels] == [False, False, True, False]
    assert faults.counts == Counter(drop_frame=1)
    assert not faults.armed


def test_random_faults_depend_on_the_seed_alone() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.switch_on(["drop_frame/p=0.3"])
        return [faults.take("drop_frame", "executions:new") is not None for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_faults_are_switched_on_by_text_and_off_by_name(faults) -> None:
    faults.switch_on(["reject/p=1/count=2/on=add_order/text=EOrder:Rate limit exceeded", "all"])
    struck = faults.take("reject", "add_order:limit:buy")
    assert struck is not None
    assert struck.text == "EOrder:Rate limit exceeded"
    faults.disarm("reject")
    assert faults.take("reject", "add_order:limit:buy") is None
    assert faults.armed
    faults.disarm()
    assert not faults.armed


@pytest.mark.parametrize("text", ["lightning", "drop_frame/p=2", "drop_frame/p=x", "drop_frame/q=1", "split_fill/n=0", "stall/count=0"])
def test_a_fault_that_does_not_exist_or_cannot_be_is_refused(faults, text) -> None:
    with pytest.raises(Usage, match="fault"):
        faults.switch_on([text])


def test_a_dropped_frame_leaves_a_gap_in_the_sequence(client, faults) -> None:
    faults.arm("drop_frame", on="executions:new")
    client.placed("market", "buy", "0.1")
    assert [frame["sequence"] for frame in executions(client)] == [1, 2, 4, 5]


def test_a_sequence_gap_loses_nothing_but_a_number(client, faults) -> None:
    faults.arm("sequence_gap", on="executions:trade")
    order_id = client.placed("market", "buy", "0.1")
    assert [frame["sequence"] for frame in executions(client)] == [1, 2, 3, 5, 6]
    assert client.kinds(order_id) == ["pending_new", "new", "trade", "filled"]


def test_a_duplicated_frame_comes_twice_with_one_number(client, faults) -> None:
    faults.arm("duplicate_frame", on="executions:trade")
    client.placed("market", "buy", "0.1")
    assert [frame["sequence"] for frame in executions(client)] == [1, 2, 3, 4, 4, 5]


def test_reordered_frames_change_places(client, faults) -> None:
    faults.arm("reorder_frames", on="executions:trade")
    client.placed("market", "buy", "0.1")
    assert [frame["sequence"] for frame in executions(client)] == [1, 2, 3, 5, 4]


def test_a_reordered_frame_without_a_next_one_leaves_by_itself(client, faults) -> None:
    faults.arm("reorder_frames", on="executions:filled")
    client.send("unsubscribe", channel="balances", token="token")
    order_id = client.placed("market", "buy", "0.1")
    assert client.kinds(order_id)[-1] == "trade"
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_the_ack_can_come_after_the_stream(client, faults) -> None:
    faults.arm("reorder_frames", on="reply:add_order")
    seen = len(client.frames)
    client.order("market", "buy", "0.1")
    first, second = client.frames[seen : seen + 2]
    assert first["data"][0]["exec_type"] == "pending_new"
    assert second["method"] == "add_order"


def test_a_late_frame_holds_back_its_channel_but_no_other(client, faults) -> None:
    faults.arm("delay_frame", on="executions:new", seconds=3)
    order_id = client.placed("market", "buy", "0.1")
    assert client.kinds(order_id) == ["pending_new"]
    assert len(client.entries("balances")) == 2
    client.wait(2.9)
    assert client.kinds(order_id) == ["pending_new"]
    client.wait(0.2)
    assert client.kinds(order_id) == ["pending_new", "new", "trade", "filled"]
    assert [frame["sequence"] for frame in executions(client)] == [1, 2, 3, 4, 5]


def test_text_that_is_not_json_comes_between_frames(client, faults) -> None:
    faults.arm("non_json", on="executions:trade")
    client.placed("market", "buy", "0.1")
    assert client.texts.count(NON_JSON) == 1


def test_a_stalled_connection_is_silent_and_then_tells_everything(client, faults) -> None:
    faults.arm("stall", on="executions:new", seconds=5)
    order_id = client.placed("market", "buy", "0.1")
    assert client.kinds(order_id) == ["pending_new"]
    seen = len(client.texts)
    client.wait(4)
    assert len(client.texts) == seen
    client.wait(1.1)
    assert client.kinds(order_id) == ["pending_new", "new", "trade", "filled"]
    assert len(client.wait(1)) == 1


def test_a_fill_can_be_reported_with_price_zero(client, faults) -> None:
    faults.arm("zero_price")
    order_id = client.placed("market", "buy", "0.1")
    trade = client.entries(of=order_id, kind="trade")[0]
    assert trade["last_price"] == 0
    assert trade["last_qty"] == D("0.1")
    assert client.gateway.exchange.account.fills[-1].px == D("60000.0")


def test_a_snapshot_can_be_truncated(client, faults) -> None:
    for _ in range(4):
        client.placed("limit", "buy", "0.1", limit_price=D("50000.0"))
    faults.arm("truncated_snapshot")
    other = type(client)(client.gateway, now_ns=client.now_ns)
    other.send("subscribe", channel="executions", token="token")
    assert len(executions(other)[0]["data"]) == 2


def test_the_connection_can_be_cut_in_the_middle_of_the_stream(client, faults) -> None:
    faults.arm("close_mid_stream", on="executions:trade")
    order_id = client.placed("market", "buy", "0.1")
    assert client.closed is not None
    assert client.closed.cut
    assert client.kinds(order_id) == ["pending_new", "new"]
    assert len(client.gateway.exchange.account.fills) == 1


def test_an_ack_can_be_lost_though_the_order_was_placed(client, faults) -> None:
    faults.arm("ack_lost_applied", on="add_order:stop-loss")
    frames = client.send(
        "add_order", token="token", order_type="stop-loss", side="sell", order_qty=1, symbol="BTC/USD", triggers={"price": 59000}
    )
    assert [frame.get("channel") for frame in frames] == ["executions", "executions"]


def test_a_request_can_vanish(client, faults) -> None:
    faults.arm("ack_lost_not_applied")
    assert client.send("add_order", token="token", order_type="market", side="buy", order_qty=1, symbol="BTC/USD") == []
    assert client.gateway.exchange.open_orders() == []
    assert not client.gateway.exchange.account.fills


def test_a_request_can_be_refused_with_any_text(client, faults) -> None:
    faults.arm("reject", on="add_order:market", text="EOrder:Rate limit exceeded", count=2)
    client.placed("limit", "buy", "0.1", limit_price=D("50000.0"))
    assert [client.order("market", "buy", "0.1").get("error") for _ in range(3)] == ["EOrder:Rate limit exceeded"] * 2 + [None]


def test_a_late_request_misses_its_deadline(client, faults) -> None:
    faults.arm("late_request", seconds=6)
    assert client.send("add_order", token="token", order_type="market", side="buy", order_qty=1, symbol="BTC/USD") == []
    client.wait(6)
    answer = next(frame for frame in client.frames if frame.get("method") == "add_order")
    assert answer["error"] == "EService:Deadline elapsed"


@pytest.mark.parametrize(
    ("name", "applied", "answered"),
    [("close_before_apply", False, False), ("close_before_reply", True, False), ("close_after_reply", True, True)],
)
def test_the_connection_can_be_cut_around_a_request(client, faults, name, applied, answered) -> None:
    faults.arm(name, on="add_order")
    frames = client.send("add_order", token="token", order_type="market", side="buy", order_qty=1, symbol="BTC/USD")
    assert client.closed is not None
    assert client.closed.cut
    assert bool(client.gateway.exchange.account.fills) is applied
    assert [frame.get("method") for frame in frames] == (["add_order"] if answered else [])


def test_a_fill_can_be_split(client, faults) -> None:
    faults.arm("split_fill", on="fill:market", n=4)
    order_id = client.placed("market", "buy", "0.1")
    assert [entry["last_qty"] for entry in client.entries(of=order_id, kind="trade")] == [D("0.025")] * 4


def test_a_fee_can_be_taken_in_base(client, faults) -> None:
    faults.arm("base_fee")
    client.placed("market", "buy", "1")
    assert client.entries(kind="trade")[0]["fees"][0]["asset"] == "BTC"


def test_a_stop_can_fire_while_its_amend_is_on_the_way(client, faults) -> None:
    order_id = stop_order(client)
    faults.arm("trigger_during_amend")
    assert client.trade("amend_order", order_id=order_id, trigger_price=D("59500.0"))["error"] == "EOrder:Invalid order"
    client.wait(1)
    assert client.kinds(order_id)[:3] == ["pending_new", "new", "status"]
    assert client.kinds(order_id)[-1] == "filled"


def test_an_amend_can_move_the_peak(client, faults) -> None:
    order_id = client.placed("trailing-stop", "sell", "1", triggers={"price": D("1"), "price_type": "pct"})
    client.price("61000.0", side="buy")
    client.price("60500.0")
    faults.arm("trail_rebase")
    client.trade("amend_order", order_id=order_id, trigger_price=D("0.9"), trigger_price_type="pct")
    triggers = client.entries(of=order_id, kind="amended")[0]["triggers"]
    assert (triggers["peak_price"], triggers["actual_price"]) == (D("60500.0"), D("59955.5"))


def test_an_order_can_fill_while_its_cancel_is_on_the_way(client, faults) -> None:
    faults.arm("fill_during_cancel")
    order_id = stop_order(client)
    assert client.trade("cancel_order", order_id=[order_id])["error"] == "EOrder:Unknown order"
    assert client.kinds(order_id)[-1] == "filled"


def test_an_order_can_half_fill_while_its_cancel_is_on_the_way(client, faults) -> None:
    faults.arm("partial_fill_during_cancel")
    order_id = client.placed("limit", "buy", "1", limit_price=D("59000.0"))
    assert client.trade("cancel_order", order_id=[order_id])["success"]
    last = client.entries(of=order_id)[-1]
    assert (last["exec_type"], last["cum_qty"]) == ("canceled", D("0.5"))


def test_an_order_can_fill_after_its_cancel_was_acknowledged(client, faults) -> None:
    faults.arm("fill_after_cancel_ack")
    order_id = stop_order(client)
    assert client.trade("cancel_order", order_id=[order_id])["success"]
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"
    assert "canceled" not in client.kinds(order_id)


def test_a_connection_can_be_accepted_and_dropped(client, faults) -> None:
    faults.arm("accept_and_drop", count=2)
    dropped = [type(client)(client.gateway, now_ns=client.now_ns) for _ in range(3)]
    assert [other.closed is not None for other in dropped] == [True, True, False]


def test_every_fault_is_exercised_here() -> None:
    # handshake_429 is of the sockets: test_server.py; what befalls REST: test_rest.py.
    source = Path(__file__).read_text() + Path(__file__).with_name("test_rest.py").read_text()
    assert [name for name in FAULTS if source.count(f'"{name}"') == 0 and name != "handshake_429"] == []


def test_with_every_fault_on_the_books_still_balance(make_client) -> None:
    faults = Faults(11)
    client = make_client(faults=faults, seed=11)
    faults.switch_on(["all"])
    faults.disarm("accept_and_drop")
    start = {"BTC": D(5), "USD": D(1_000_000)}
    for step in range(400):
        if client.closed is not None:
            client = type(client)(client.gateway, now_ns=client.now_ns)
            client.send("subscribe", channel="executions", token="token", snap_trades=True)
        side = "buy" if step % 2 else "sell"
        client.send("add_order", token="token", order_type="market", side=side, order_qty=D("0.2"), symbol="BTC/USD")
        stop = {"triggers": {"price": D("0.3"), "price_type": "pct"}, "order_type": "trailing-stop", "cl_ord_id": f"s{step}"}
        client.send("add_order", token="token", side="sell", order_qty=D("0.1"), symbol="BTC/USD", **stop)
        client.send("amend_order", token="token", cl_ord_id=f"s{step}", trigger_price=D("0.2"), trigger_price_type="pct")
        if step % 3 == 0:
            client.send("cancel_order", token="token", cl_ord_id=[f"s{step}"])
        client.price(str(60_000 + (step * 37) % 400), "0.4", side, after_ms=3_000)
    account = client.gateway.exchange.account
    for fill in account.fills:
        sign = 1 if fill.buying else -1
        start["BTC"] += sign * fill.qty
        start["USD"] -= sign * fill.cost
        start[fill.fee_asset] -= fill.fee
    assert start == {"BTC": account.balances["BTC"], "USD": account.balances["USD"]}
    assert len(account.fills) > 300
    assert len(faults.counts) >= 18
