"""The venue's frames have the keys of frames that were captured from Kraken (kraken-async-rs), type by type."""

import json
from collections.abc import Set
from decimal import Decimal
from pathlib import Path

import pytest

FRAMES = Path(__file__).resolve().parents[3].parent / "shared" / "frames" / "kraken"
pytestmark = pytest.mark.skipif(not FRAMES.is_dir(), reason="captured frames are not beside this checkout (../shared/frames/kraken)")
D = Decimal


def captured(name: str) -> dict:
    return json.loads((FRAMES / f"kar-{name}.json").read_text(), parse_float=Decimal)


def shape(value):
    """Nested keys and kinds; numbers are one kind, whether written with a point or not."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | Decimal) and not isinstance(value, bool) else type(value).__name__


def assert_has_the_keys_of(frame: dict, capture: dict, extra: Set[str] = frozenset()) -> None:
    """Every key of the capture is there with its kind, and none besides but those named."""
    mine, theirs = shape(frame), shape(capture)
    missing, more = _differences(mine, theirs, "")
    assert missing == [], f"the capture has {missing}"
    assert set(more) <= extra, f"the capture lacks {set(more) - extra}"


def _differences(mine, theirs, path: str) -> tuple[list[str], list[str]]:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        missing = [f"{path}{key}" for key in theirs if key not in mine]
        more = [f"{path}{key}" for key in mine if key not in theirs]
        for key in theirs.keys() & mine.keys():
            one, other = _differences(mine[key], theirs[key], f"{path}{key}.")
            missing, more = missing + one, more + other
        return missing, more
    if isinstance(theirs, list) and isinstance(mine, list):
        return _differences(mine[0], theirs[0], path) if theirs and mine else ([], [])
    return ([], []) if mine == theirs else ([f"{path}: {theirs} is {mine} here"], [])


def test_the_comparison_notices_a_missing_a_changed_and_a_further_key() -> None:
    capture = {"channel": "x", "data": [{"a": 1, "b": "t"}]}
    assert_has_the_keys_of({"channel": "y", "data": [{"a": D(2), "b": "u"}]}, capture)
    for frame in ({"channel": "x", "data": [{"a": 1}]}, {"channel": "x", "data": [{"a": "1", "b": "t"}]}, capture | {"more": 1}):
        with pytest.raises(AssertionError):
            assert_has_the_keys_of(frame, capture)


def update_of(client, order_id: str, kind: str) -> dict:
    for frame in client.frames:
        if frame.get("channel") == "executions" and frame["type"] == "update":
            entry = frame["data"][0]
            if entry["order_id"] == order_id and entry["exec_type"] == kind:
                return frame | {"data": [{key: value for key, value in entry.items() if key != "ratecount"}]}
    raise AssertionError(f"no {kind} of {order_id}")


def first(frames: list, **wanted) -> dict:
    return next(frame for frame in frames if all(frame.get(key) == value for key, value in wanted.items()))


def test_status_heartbeat_and_pong(client) -> None:
    assert_has_the_keys_of(client.frames[0], captured("status-update-deserializing-status-update"))
    client.take(client.gateway.change_system("maintenance", client.now_ns))
    assert_has_the_keys_of(client.frames[-1], captured("status-update-deserializing-maintenance-status-update"))
    assert client.wait(2)[0] == captured("heartbeat-ack-admin-messages-heartbeat")
    assert_has_the_keys_of(client.send_text('{"method":"ping","req_id":1}')[0], captured("pong-pong-pong"))


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"channel": "ticker", "symbol": ["BTC/USD"]}, "subscribe-ack-ticker-subscription-response"),
        ({"channel": "trade", "symbol": ["BTC/USD"], "snapshot": True}, "subscribe-ack-trade-subscription-response"),
        ({"channel": "instrument"}, "subscribe-ack-instruments-subscription-response"),
        ({"channel": "balances", "token": "token"}, "subscribe-ack-balances-subscription-response"),
        ({"channel": "executions", "token": "token"}, "subscribe-ack-execution-subscription-response"),
        ({"channel": "ticker", "symbol": ["WWW/USD"]}, "subscribe-reject-deserializing-subscribe-error-message"),
        ({"channel": "balances", "token": "stale"}, "subscribe-reject-deserializing-error-message"),
        ({"channel": "nothing"}, "subscribe-reject-error-messages-unsupported-event"),
    ],
)
def test_acknowledgements(make_client, params, name) -> None:
    client = make_client(subscribed=False)
    ack = first(client.send("subscribe", **params), method="subscribe")
    assert_has_the_keys_of(ack, captured(name), {"result.snap_orders", "result.snap_trades"})
    if "error" in ack:
        assert ack["error"] == captured(name)["error"]


def test_market_data(make_client) -> None:
    client = make_client(subscribed=False)
    client.send("subscribe", channel="ticker", symbol=["BTC/USD"])
    client.send("subscribe", channel="trade", symbol=["BTC/USD"], snapshot=True)
    client.send("subscribe", channel="instrument")
    client.price("60001.0")
    of_2026 = {"data.trades", "data.timestamp"}
    frames = client.frames
    assert_has_the_keys_of(
        first(frames, channel="ticker", type="snapshot"), captured("ticker-snapshot-ticker-snapshot-ticker-snapshot"), of_2026
    )
    assert_has_the_keys_of(first(frames, channel="ticker", type="update"), captured("ticker-update-ticker-update-ticker-update"), of_2026)
    assert_has_the_keys_of(first(frames, channel="trade", type="snapshot"), captured("trade-snapshot-trade-snapshot-trade-snapshot"))
    assert_has_the_keys_of(first(frames, channel="trade", type="update"), captured("trade-update-trade-update-trade-update"))
    mine = first(frames, channel="instrument")
    theirs = captured("instrument-snapshot-instruments-snapshot-instrument-snapshot")
    theirs["data"]["pairs"] = [pair for pair in theirs["data"]["pairs"] if pair["marginable"]]
    assert_has_the_keys_of(mine, theirs)


def test_life_of_a_limit_order(client) -> None:
    order_id = client.placed("limit", "buy", "1", limit_price=D("50000.0"))
    assert_has_the_keys_of(
        update_of(client, order_id, "pending_new"), captured("executions-update-execution-limit-order-update-pending-pending-new")
    )
    assert_has_the_keys_of(update_of(client, order_id, "new"), captured("executions-update-execution-order-update-new-new"))
    client.trade("amend_order", order_id=order_id, limit_price=D("50001.0"))
    assert_has_the_keys_of(update_of(client, order_id, "amended"), captured("executions-update-execution-order-amended-amend"))
    client.trade("cancel_order", order_id=[order_id])
    assert_has_the_keys_of(update_of(client, order_id, "canceled"), captured("executions-update-execution-order-update-cancelled-cancel"))


def test_a_stop_limit_order_as_it_is_accepted(client) -> None:
    order_id = client.placed(
        "stop-loss-limit", "buy", "1", limit_price=D("61000.0"), triggers={"price": D("61000.0"), "reference": "index"}
    )
    name = "executions-update-execution-stop-loss-limit-order-update-pending-pending-new"
    assert_has_the_keys_of(update_of(client, order_id, "pending_new"), captured(name))


def test_fills_and_balances(client) -> None:
    order_id = client.placed("market", "buy", "0.1")
    trade = update_of(client, order_id, "trade")["data"][0]
    capture = captured("execution-entry-ack-deserializing-execution-trade")
    # ids of other systems, which only some accounts have
    capture = {key: value for key, value in capture.items() if not key.startswith("ext_")}
    assert_has_the_keys_of(trade, capture, {"cum_qty", "cum_cost", "avg_price", "order_userref"})
    base, quote = [frame for frame in client.frames if frame.get("channel") == "balances"][-2:]
    assert_has_the_keys_of(base, captured("balances-update-balances-updates-base-update"))
    assert_has_the_keys_of(quote, captured("balances-update-balances-updates-usd-update"))
    snapshot = first(client.frames, channel="balances", type="snapshot")
    theirs = captured("balances-snapshot-balances-snapshot-balances-snapshot")
    theirs["data"] = [row for row in theirs["data"] if row["wallets"]]
    assert_has_the_keys_of(snapshot, theirs)


def test_the_snapshot_of_past_trades(client) -> None:
    client.placed("market", "buy", "0.1")
    other = type(client)(client.gateway, now_ns=client.now_ns)
    frames = other.send("subscribe", channel="executions", token="token", snap_trades=True, snap_orders=False)
    theirs = captured("executions-snapshot-execution-trades-snapshot-trades-snapshot")
    del theirs["data"][0]["sender_sub_id"]
    assert_has_the_keys_of(first(frames, channel="executions"), theirs)


def test_answers_to_orders(client) -> None:
    answer = client.order("limit", "buy", "1", limit_price=D("50000.0"), cl_ord_id="client-zero")
    assert_has_the_keys_of(answer, captured("add-order-ack-add-order"))
    amend = client.trade("amend_order", order_id=answer["result"]["order_id"], order_qty=D("0.9"))
    assert_has_the_keys_of(amend, captured("amend-order-ack-amend-order"), {"result.cl_ord_id"})
    assert_has_the_keys_of(
        client.trade("cancel_order", cl_ord_id=["client-zero"]), captured("cancel-order-ack-cancel-order-by-client-order-id")
    )
    order_id = client.placed("limit", "buy", "1", limit_price=D("50000.0"))
    assert_has_the_keys_of(client.trade("cancel_order", order_id=[order_id]), captured("cancel-order-ack-cancel-order"))
    assert_has_the_keys_of(client.trade("cancel_all"), captured("cancel-all-ack-cancel-all-orders"))
    after = client.trade("cancel_all_orders_after", timeout=5)
    assert_has_the_keys_of(after, captured("cancel-all-orders-after-ack-cancel-on-disconnect"))
    order = {"order_type": "limit", "side": "buy", "order_qty": D(1), "limit_price": D("50000.0")}
    batch = client.trade("batch_add", symbol="BTC/USD", orders=[order, order])
    assert_has_the_keys_of(batch, captured("batch-add-ack-batch-add"))
    both = [row["order_id"] for row in batch["result"]]
    assert_has_the_keys_of(client.trade("batch_cancel", orders=both), captured("batch-cancel-ack-batch-cancel"))


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"cash_order_qty": "100"}, "add-order-reject-error-messages-add-order-failure"),
        ({"no_mpp": True}, "add-order-reject-error-messages-invalid-arguments"),
    ],
)
def test_refusals(client, params, name) -> None:
    answer = client.order("limit", "buy", "1", limit_price=D("50000.0"), **params)
    assert_has_the_keys_of(answer, captured(name))
    assert answer["error"] == captured(name)["error"]


def test_refusals_of_other_requests(client) -> None:
    amend = client.trade("amend_order", order_id="O", limit_price="1")
    assert amend["error"] == captured("amend-order-reject-amend-order-error-response")["error"]
    edit = client.send("edit_order", order_id="O")[0]
    assert edit["error"] == captured("edit-order-reject-error-messages-no-token")["error"]
    ping = client.send("ping")[0]
    assert_has_the_keys_of(ping, captured("ping-reject-error-messages-unsupported-field"))


@pytest.mark.parametrize(
    "name",
    ["limit", "stop-loss-pct", "trailing-stop-pct", "oto-conditional"],
)
def test_the_requests_of_the_documentation_are_taken_as_they_stand(make_client, name) -> None:
    text = (FRAMES / f"docs-add-order-request-{name}.json").read_text()
    client = make_client(balances={"USD": D(10_000_000), "BTC": D(500)})
    client.price("28000.0")
    token = json.loads(text)["params"]["token"]
    client.gateway.issue_token(token, client.now_ns)
    answer = first(client.send_text(text.replace("MATIC/USD", "BTC/USD")), method="add_order")
    assert answer["success"], answer
