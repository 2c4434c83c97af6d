"""Requests: what leaves for the venue, character by character."""

import json
from decimal import Decimal

import pytest

from events.commands import AmendOrder, AttachedStop, CancelOrder, SubmitOrder
from events.values import Side
from venues.kraken import encode
from venues.kraken.translate import KrakenTranslator

NOW_NS = 1_700_000_000_000_000_000


def submit(**fields):
    given = {
        "client_order_id": "hf00000100001a",
        "symbol": "BTC/USD",
        "role": "stop",
        "side": Side.SELL,
        "order_type": "market",
        "qty": Decimal("0.00016000"),
    }
    return SubmitOrder(**(given | fields))


def test_a_trailing_stop_leaves_with_bare_numbers_and_a_placeholder_for_the_token():
    text = encode.encode_submit(submit(order_type="trailing-stop", trail_offset_bps=125), 7, NOW_NS)
    assert text == (
        '{"method":"add_order","params":{"order_type":"trailing-stop","side":"sell","order_qty":0.00016000,"symbol":"BTC/USD",'
        '"triggers":{"reference":"last","price":1.25,"price_type":"pct"},"cl_ord_id":"hf00000100001a","token":"@token@"},"req_id":7}'
    )


def test_a_static_stop_of_a_margin_position_is_reduce_only():
    text = encode.encode_submit(submit(order_type="stop-loss", trigger_price=Decimal("61800.0"), reduce_only=True, margin=True), 7, NOW_NS)
    assert '"triggers":{"reference":"last","price":61800.0,"price_type":"static"},"reduce_only":true,"margin":true' in text


def test_a_limit_order_says_how_long_and_whether_it_may_take():
    text = encode.encode_submit(submit(order_type="limit", limit_price=Decimal("1E+3"), post_only=True), 1, NOW_NS)
    assert '"limit_price":1000,"post_only":true' in text
    taking = submit(order_type="limit", limit_price=Decimal(5), immediate_or_cancel=True)
    assert '"time_in_force":"ioc"' in encode.encode_submit(taking, 1, NOW_NS)


@pytest.mark.parametrize(
    ("ahead_ms", "written"),
    [(5000, "22:13:25.000Z"), (50, "22:13:20.500Z"), (-3000, "22:13:20.500Z"), (90_000, "22:14:20.000Z")],
)
def test_a_deadline_is_kept_within_what_the_venue_takes(ahead_ms, written):
    text = encode.encode_submit(submit(deadline_ns=NOW_NS + ahead_ms * 1_000_000), 1, NOW_NS)
    assert f'"deadline":"2023-11-14T{written}"' in text


def test_an_entry_with_an_attached_stop_carries_a_number_in_place_of_the_client_id():
    text = encode.encode_submit(submit(attached=AttachedStop(trail_offset_bps=300)), 1, NOW_NS, order_userref=12)
    assert "cl_ord_id" not in text
    assert '"order_userref":12,"conditional":{"order_type":"trailing-stop","trigger_price":3.00,"trigger_price_type":"pct"}' in text
    static = encode.encode_submit(submit(attached=AttachedStop(trigger_price=Decimal("58000.5"))), 1, NOW_NS, order_userref=12)
    assert '"conditional":{"order_type":"stop-loss","trigger_price":58000.5,"trigger_price_type":"static"}' in static


def test_an_amend_names_what_changes_and_nothing_else():
    command = AmendOrder(client_order_id="hf00000100001a", venue_order_id="", symbol="BTC/USD", trail_offset_bps=50)
    assert encode.encode_amend(command, 3, "OABC", NOW_NS) == (
        '{"method":"amend_order","params":{"order_id":"OABC","trigger_price":0.50,"trigger_price_type":"pct","token":"@token@"},"req_id":3}'
    )
    sizes = {"order_qty": Decimal("1.50"), "trigger_price": Decimal(97)}
    command = AmendOrder(client_order_id="hf00000100001a", venue_order_id="", symbol="BTC/USD", **sizes)
    assert encode.encode_amend(command, 3, "", NOW_NS) == (
        '{"method":"amend_order","params":{"cl_ord_id":"hf00000100001a","order_qty":1.50,"trigger_price":97,"trigger_price_type":"static",'
        '"token":"@token@"},"req_id":3}'
    )


@pytest.mark.parametrize(("ahead_s", "second"), [(0, "21.250"), (20, "41.250")])
def test_the_last_moment_of_an_amend_is_named_in_the_venues_time(ahead_s, second):
    sizes = {"order_qty": Decimal("1.50"), "deadline_ns": NOW_NS + 1_250_000_000}
    command = AmendOrder(client_order_id="hf00000100001a", venue_order_id="", symbol="BTC/USD", **sizes)
    text = encode.encode_amend(command, 3, "OABC", NOW_NS, ahead_s * 1_000_000_000)
    assert json.loads(text)["params"]["deadline"].endswith(f":{second}Z")


@pytest.mark.parametrize(
    ("venue_order_id", "order_userref", "named"),
    [("OABC", 5, '"order_id":["OABC"]'), ("", 5, '"order_userref":[5]'), ("", 0, '"cl_ord_id":["hf00000100001a"]')],
)
def test_a_cancel_names_its_order_once(venue_order_id, order_userref, named):
    command = CancelOrder(client_order_id="hf00000100001a", venue_order_id="", symbol="BTC/USD")
    text = encode.encode_cancel(command, 3, venue_order_id, order_userref)
    assert text == '{"method":"cancel_order","params":{' + named + ',"token":"@token@"},"req_id":3}'


def test_subscriptions_and_the_dead_man_switch():
    assert encode.encode_subscribe("ticker", 1, ("BTC/USD",), event_trigger="bbo") == (
        '{"method":"subscribe","params":{"channel":"ticker","event_trigger":"bbo","symbol":["BTC/USD"]},"req_id":1}'
    )
    assert encode.encode_unsubscribe("executions", 2, is_private=True) == (
        '{"method":"unsubscribe","params":{"channel":"executions","token":"@token@"},"req_id":2}'
    )
    assert encode.encode_cancel_all_after(60, 3) == (
        '{"method":"cancel_all_orders_after","params":{"timeout":60,"token":"@token@"},"req_id":3}'
    )
    assert encode.encode_request("ping", 4) == '{"method":"ping","req_id":4}'


def test_every_request_of_a_translator_is_json_with_its_own_number():
    translator = KrakenTranslator("hf")
    out = [translator.encode(submit(client_order_id=f"hf00000100001{i}"), NOW_NS) for i in range(3)]
    assert [json.loads(each.frame_text)["req_id"] for each in out] == [each.req_id for each in out] == [1, 2, 3]
