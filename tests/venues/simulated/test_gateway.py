import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings

D = Decimal


def channel_of(frames, channel):
    return [frame for frame in frames if frame.get("channel") == channel]


def test_a_connection_is_greeted_by_the_status(make_client) -> None:
    client = make_client(subscribed=False)
    status = client.frames[0]
    assert (status["channel"], status["type"]) == ("status", "update")
    assert status["data"][0]["system"] == "online"
    assert status["data"][0]["connection_id"] > 2**53


def test_in_maintenance_the_status_has_no_connection_id(make_client) -> None:
    client = make_client(subscribed=False)
    client.take(client.gateway.change_system("maintenance", client.now_ns))
    assert set(client.frames[-1]["data"][0]) == {"api_version", "system", "version"}


def test_ping_is_answered_by_pong_and_takes_no_params(client) -> None:
    pong = client.send_text('{"method":"ping","req_id":7}')[0]
    assert (pong["method"], pong["req_id"]) == ("pong", 7)
    assert {"time_in", "time_out"} < set(pong)
    assert "success" not in pong
    refused = client.send("ping")[0]
    assert refused["error"] == "Unsupported field: 'params' for the given msg type: ping"


def test_ticker_acknowledges_each_symbol_and_sends_a_snapshot(client) -> None:
    frames = client.send("subscribe", 3, channel="ticker", symbol=["BTC/USD", "WWW/USD", "ETH/USD"])
    acks = [frame for frame in frames if frame.get("method") == "subscribe"]
    assert [ack["success"] for ack in acks] == [True, False, True]
    assert acks[1]["error"] == "Currency pair not supported WWW/USD"
    assert acks[1]["symbol"] == "WWW/USD"
    assert acks[0]["result"] == {"channel": "ticker", "event_trigger": "trades", "snapshot": True, "symbol": "BTC/USD"}
    assert all(ack["req_id"] == 3 for ack in acks)
    snapshots = channel_of(frames, "ticker")
    assert [s["data"][0]["symbol"] for s in snapshots] == ["BTC/USD", "ETH/USD"]
    assert snapshots[0]["data"][0]["last"] == D("60000.0")


def test_ticker_tells_every_trade_or_only_a_moved_touch(make_client) -> None:
    trades, bbo = make_client(subscribed=False), None
    trades.send("subscribe", channel="ticker", symbol=["BTC/USD"])
    assert len(channel_of(trades.price("60000.0", side="buy"), "ticker")) == 1
    bbo = make_client(subscribed=False)
    bbo.send("subscribe", channel="ticker", symbol=["BTC/USD"], event_trigger="bbo", snapshot=False)
    assert channel_of(bbo.price("60000.0", side="buy"), "ticker") == []
    moved = channel_of(bbo.price("60001.0", side="buy"), "ticker")[0]["data"][0]
    assert (moved["bid"], moved["ask"]) == (D("60000.9"), D("60001.0"))


def test_trades_are_told_with_ids_that_increase_and_a_snapshot_only_when_asked(client) -> None:
    assert channel_of(client.send("subscribe", channel="trade", symbol=["BTC/USD"]), "trade") == []
    first = channel_of(client.price("60001.0", "0.5"), "trade")[0]["data"][0]
    second = channel_of(client.price("60002.0", "0.5", "buy"), "trade")[0]["data"][0]
    assert (first["price"], first["qty"], first["side"]) == (D("60001.0"), D("0.5"), "sell")
    assert second["trade_id"] > first["trade_id"]
    client.send("unsubscribe", channel="trade", symbol=["BTC/USD"])
    snapshot = channel_of(client.send("subscribe", channel="trade", symbol=["BTC/USD"], snapshot=True), "trade")[0]
    assert snapshot["type"] == "snapshot"
    assert [row["price"] for row in snapshot["data"]][-2:] == [D("60001.0"), D("60002.0")]


def test_instrument_describes_the_pairs_and_follows_the_mode(client) -> None:
    snapshot = channel_of(client.send("subscribe", channel="instrument"), "instrument")[0]
    pairs = {pair["symbol"]: pair for pair in snapshot["data"]["pairs"]}
    assert pairs["BTC/USD"]["price_increment"] == D("0.1")
    assert pairs["BTC/USD"]["qty_min"] == D("0.00005")
    client.take(client.gateway.change_system("post_only", client.now_ns))
    assert channel_of(client.frames, "instrument")[-1]["data"]["pairs"][0]["status"] == "post_only"


def test_unsubscribe_ends_a_channel_and_is_refused_where_there_is_none(client) -> None:
    client.send("subscribe", channel="ticker", symbol=["BTC/USD"])
    ack = client.send("unsubscribe", channel="ticker", symbol=["BTC/USD"])[0]
    assert ack["result"] == {"channel": "ticker", "symbol": "BTC/USD"}
    assert channel_of(client.price("60500.0"), "ticker") == []
    assert client.send("unsubscribe", channel="ticker", symbol=["BTC/USD"])[0]["error"] == "Subscription Not Found"
    assert client.send("unsubscribe", channel="executions", token="token")[0]["result"] == {"channel": "executions"}
    client.placed("market", "buy", "0.1")
    assert client.entries() == []


def test_heartbeats_fill_silence_only_and_start_with_the_first_subscription(make_client) -> None:
    client = make_client(subscribed=False)
    assert channel_of(client.wait(5), "heartbeat") == []
    client.send("subscribe", channel="trade", symbol=["BTC/USD"])
    assert client.wait(0.9) == []
    assert client.wait(0.1) == [{"channel": "heartbeat"}]
    for _ in range(5):
        assert channel_of(client.price("60001.0", after_ms=500), "heartbeat") == []
        client.wait(0)
    assert len(channel_of(client.wait(1), "heartbeat")) == 1


def test_a_connection_without_traffic_is_closed_after_a_minute(make_client) -> None:
    client = make_client(subscribed=False)
    client.wait(59)
    client.send_text('{"method":"ping"}')
    client.wait(59)
    assert client.closed is None
    client.wait(2)
    assert client.closed is not None


def test_private_requests_need_a_token_that_is_known_and_fresh(make_client) -> None:
    client = make_client(subscribed=False)
    missing = client.send("add_order", order_type="market", side="buy", order_qty=1, symbol="BTC/USD")[0]
    assert missing["error"] == "Token(s) not found"
    wrong = client.send("subscribe", channel="executions", token="other")[0]
    assert wrong["error"] == "ESession:Invalid session"
    assert wrong["status"] == "error"
    client.wait(30)
    client.send_text('{"method":"ping"}')
    for _ in range(16):
        client.wait(58)
        client.send_text('{"method":"ping"}')
    assert client.send("subscribe", channel="balances", token="token")[0]["error"] == "ESession:Invalid session"


def test_a_token_lives_as_long_as_a_connection_keeps_it_subscribed(client) -> None:
    for _ in range(20):
        client.wait(58)
    assert client.order("market", "buy", "0.1")["success"]
    client.gateway.disconnect(client.number)
    other = type(client)(client.gateway, now_ns=client.now_ns)
    assert other.send("subscribe", channel="executions", token="token")[0]["error"] == "ESession:Invalid session"


def test_each_endpoint_takes_its_own_half(make_client) -> None:
    client = make_client(subscribed=False)
    public = type(client)(client.gateway, "public", client.now_ns)
    assert "unavailable" in public.send("subscribe", channel="executions", token="token")[0]["error"]
    assert "unavailable" in public.send("cancel_all", token="token")[0]["error"]
    private = type(client)(client.gateway, "private", client.now_ns)
    assert "unavailable" in private.send("subscribe", channel="ticker", symbol=["BTC/USD"])[0]["error"]
    assert private.send("subscribe", channel="executions", token="token")[0]["success"]


def test_sequences_start_at_one_with_the_snapshot_and_have_no_gap(client) -> None:
    client.placed("market", "buy", "3.0")
    for channel in ("executions", "balances"):
        numbers = [frame["sequence"] for frame in channel_of(client.frames, channel)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 3
    client.send("unsubscribe", channel="executions", token="token")
    again = channel_of(client.send("subscribe", channel="executions", token="token"), "executions")[0]
    assert (again["type"], again["sequence"]) == ("snapshot", 1)


def test_the_snapshot_has_open_orders_whole_and_the_last_fifty_trades_newest_first(client) -> None:
    stop = client.placed("trailing-stop", "sell", "1", triggers={"price": D("1"), "price_type": "pct"}, cl_ord_id="s-1")
    part = client.placed("limit", "buy", "4.0", limit_price=D("60000.0"))
    for _ in range(60):
        client.placed("market", "buy", "0.001")
        client.wait(1)
    other = type(client)(client.gateway, now_ns=client.now_ns)
    snapshot = channel_of(other.send("subscribe", channel="executions", token="token", snap_trades=True), "executions")[0]
    orders = [entry for entry in snapshot["data"] if entry["exec_type"] == "new"]
    trades = [entry for entry in snapshot["data"] if entry["exec_type"] == "trade"]
    assert [order["order_id"] for order in orders] == [stop, part]
    assert orders[0]["cl_ord_id"] == "s-1"
    assert orders[0]["triggers"]["actual_price"] == D("59400.0")
    assert orders[1]["order_status"] == "partially_filled"
    assert 0 < orders[1]["cum_qty"] < 4
    assert len(trades) == 50
    assert [t["trade_id"] for t in trades] == sorted((t["trade_id"] for t in trades), reverse=True)


def test_snapshots_can_be_left_out(make_client) -> None:
    client = make_client(subscribed=False)
    frames = client.send("subscribe", channel="executions", token="token", snap_orders=False)
    assert [frame.get("method") for frame in frames] == ["subscribe"]
    client.placed("market", "buy", "0.1")
    assert channel_of(client.frames, "executions")[0]["sequence"] == 1


def test_ratecount_is_told_only_where_asked_for_and_the_ack_has_the_maximum(make_client) -> None:
    client = make_client(subscribed=False)
    ack = client.send("subscribe", channel="executions", token="token")[0]
    assert ack["result"]["maxratecount"] == 180
    assert len(ack["result"]["warnings"]) == 4
    order_id = client.placed("market", "buy", "0.1")
    assert all("ratecount" not in entry for entry in client.entries(of=order_id))


def test_without_order_status_only_openings_fills_and_ends_are_told(make_client) -> None:
    client = make_client(subscribed=False)
    client.send("subscribe", channel="executions", token="token", order_status=False)
    order_id = client.placed("stop-loss", "sell", "1", triggers={"price": D("59000.0")})
    client.trade("amend_order", order_id=order_id, trigger_price=D("59500.0"))
    client.price("59400.0")
    client.wait(1)
    assert client.kinds(order_id)[0] == "new"
    assert client.kinds(order_id)[-1] == "filled"
    assert not {"pending_new", "amended", "status"} & set(client.kinds(order_id))


def test_balances_snapshot_shows_totals_not_holds(client) -> None:
    client.placed("stop-loss", "sell", "5", triggers={"price": D("59000.0")})
    other = type(client)(client.gateway, now_ns=client.now_ns)
    rows = channel_of(other.send("subscribe", channel="balances", token="token"), "balances")[0]["data"]
    assert {row["asset"]: row["balance"] for row in rows} == {"BTC": D(5), "USD": D(1_000_000)}


def test_every_subscriber_hears_of_every_order(client) -> None:
    other = type(client)(client.gateway, now_ns=client.now_ns)
    other.send("subscribe", channel="executions", token="token")
    client.others.append(other)
    order_id = client.placed("market", "buy", "0.1")
    assert other.kinds(order_id) == client.kinds(order_id)


def test_the_owner_acts_by_hand_and_the_stream_tells(client) -> None:
    stop = client.placed("stop-loss", "sell", "5", triggers={"price": D("59000.0")})
    client.take(client.gateway.act(lambda exchange, now_ns: exchange.cancel(stop, "", now_ns), client.now_ns))
    assert client.kinds(stop)[-1] == "canceled"
    client.take(client.gateway.act(lambda exchange, now_ns: exchange.change_balance("BTC", D("-0.4"), now_ns), client.now_ns))
    line = client.entries("balances")[-1]
    assert (line["type"], line["amount"], line["balance"]) == ("withdrawal", D("-0.4"), D("4.6"))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"method":', "nonsense", '{"a":NaN}', '{"a":1e999999}', '{"a":' + "9" * 500 + "}", "[" * 50_000, "\udc80"],
)
def test_a_text_that_is_no_request_is_answered_and_harms_nothing(client, text) -> None:
    frame = client.send_text(text)[0]
    assert frame["success"] is False
    assert frame["error"]
    assert client.order("market", "buy", "0.1")["success"]


def test_binary_and_oversized_frames_are_refused(client) -> None:
    client.take(client.gateway.receive(client.number, b"{}", client.now_ns))
    assert client.frames[-1]["error"] == "Binary frames are not supported"
    client.send_text('{"a":"' + "x" * (1 << 20) + '"}')
    assert client.frames[-1]["error"] == "Message too large"


def test_an_unknown_method_or_channel_is_an_unsupported_event(client) -> None:
    assert client.send("withdraw", token="token")[0]["error"] == "Unsupported event"
    assert client.send("subscribe", channel="book", symbol=["BTC/USD"])[0]["error"] == "Unsupported event"
    assert client.send("subscribe", channel="status") == [{"error": "Symbol(s) not found", "success": False}]


def test_the_next_due_time_is_never_in_the_past_of_what_was_done(client) -> None:
    client.placed("stop-loss", "sell", "1", triggers={"price": D("59500.0")})
    client.price("59000.0")
    for _ in range(200):
        due_ns = client.gateway.next_due_ns()
        assert due_ns is not None
        assert due_ns > client.now_ns
        client.now_ns = due_ns
        client.take(client.gateway.advance(due_ns))


def test_the_same_calls_give_the_same_frames(make_client) -> None:
    def run() -> list[str]:
        client = make_client(seed=5)
        close = {"order_type": "stop-loss", "trigger_price": D("59000.0")}
        client.placed("market", "buy", "3.0", conditional=close)
        for step in range(50):
            client.price(str(60_000 - 25 * step), "0.3")
        client.wait(2)
        return list(client.texts)

    assert run() == run()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([
    "order_type", "side", "symbol", "order_qty", "limit_price", "triggers", "time_in_force", "post_only",
    "reduce_only", "margin", "deadline", "cl_ord_id", "order_userref", "conditional", "fee_preference", "token",
    "order_id", "trigger_price", "trigger_price_type", "timeout", "orders", "channel", "snapshot", "event_trigger",
    "snap_orders", "snap_trades", "expire_time", "price", "price_type",
])  # fmt: skip
sensible = st.sampled_from(
    ["limit", "market", "stop-loss", "trailing-stop", "buy", "sell", "BTC/USD", ["BTC/USD"], 1, 0.5, 50000, "gtd", "token", True,
     ["a"], "pct", {"price": 1, "price_type": "pct"}, {"order_type": "stop-loss", "trigger_price": 59000}, "executions", "ticker", -1, 0]
)  # fmt: skip
methods = st.sampled_from(
    ["add_order", "amend_order", "cancel_order", "cancel_all", "batch_add", "batch_cancel", "cancel_all_orders_after", "subscribe",
     "unsubscribe", "ping", "edit_order", 5, None]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(methods, st.dictionaries(names, sensible | json_values, max_size=7)), min_size=1, max_size=5))
def test_no_request_breaks_the_gateway(requests) -> None:
    gateway = Gateway([pair_of("BTC/USD")], VenueSettings(balances={"USD": D(1000), "BTC": D(1)}), 1, Faults())
    gateway.tick("BTC/USD", D("60000.0"), D(1), True, 10**18)
    gateway.issue_token("token", 10**18)
    number, _ = gateway.connect("both", 10**18)
    for method, params in requests:
        text = json.dumps({"method": method, "params": {"token": "token", **params}, "req_id": 1})
        for effect in gateway.receive(number, text, 10**18):
            assert json.loads(effect.text)
    account = gateway.exchange.account
    assert all(account.held(asset) <= account.balances[asset] for asset in ("USD", "BTC"))
