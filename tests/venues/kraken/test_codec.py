"""Reading frames: limits, hostile numbers, and that nothing but `Unreadable` comes out of it."""

import json
import sys
import time
from decimal import Decimal
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.errors import NotFinite
from venues.kraken import codec
from venues.kraken.translate import KrakenTranslator
from venues.messages import FrameRefused

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = (
    "order_id exec_type order_status exec_id last_qty last_price side symbol fees triggers timestamp bid ask last price qty trade_id "
    "asset balance system cum_qty order_qty ord_ref_id order_userref cl_ord_id order_type stop_price"
)
_ENTRY = st.dictionaries(st.sampled_from(_FIELDS.split()), _JSON)
_FRAME = st.fixed_dictionaries(
    {"channel": st.sampled_from(("executions", "balances", "ticker", "trade", "instrument", "status", "heartbeat", "book"))},
    optional={"type": st.sampled_from(("snapshot", "update")) | _JSON, "sequence": _JSON, "data": st.lists(_ENTRY, max_size=3) | _JSON},
)
_REPLY = st.fixed_dictionaries(
    {"method": st.sampled_from(("add_order", "cancel_order", "subscribe", "pong", "no_such"))},
    optional={"success": _JSON, "result": _JSON, "error": _JSON, "req_id": _JSON, "symbol": _JSON, "time_in": _JSON},
)


def code_of(text):
    with pytest.raises(codec.Unreadable) as caught:
        codec.frame_from(text)
    return caught.value.code


def outputs_of(text):
    return KrakenTranslator("hf").decode(text, 1)


def test_numbers_keep_every_digit_of_their_text():
    frame = codec.frame_from('{"channel":"ticker","data":[{"symbol":"BTC/USD","bid":0.00016000,"ask":1e-08,"last":"65843.70"}]}')
    entry = frame.data[0]
    assert [str(codec.number(value, "x")) for value in (entry.bid, entry.ask, entry.last)] == ["0.00016000", "1E-8", "65843.70"]


def test_an_integer_beyond_two_to_the_53_is_exact():
    frame = codec.frame_from('{"channel":"trade","data":[{"symbol":"B","price":13834774380200032777,"qty":1,"trade_id":9007199254740993}]}')
    assert codec.number(frame.data[0].price, "x") == Decimal("13834774380200032777")
    assert frame.data[0].trade_id == 9007199254740993


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-inf", "1_000", " 1", "", "٣", "1e500000", "1" * 60, None, True, 1.5, [1], 10**70])
def test_what_is_no_plain_number_is_refused(value):
    with pytest.raises(NotFinite):
        codec.number(value, "executions.last_qty")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CloudFlare WebSocket proxy restarting", "not_json"),
        ("", "not_json"),
        ('{"channel":"heartbeat"', "not_json"),
        ('{"channel":"heartbeat"}{}', "not_json"),
        ('{"channel":"ticker","data":[{"symbol":"B","bid":NaN,"ask":1,"last":1}]}', "not_json"),
        ('{"channel":"\ud800"}', "not_json"),
        ("[1,2,3]", "not_an_object"),
        ("null", "not_an_object"),
        ("{}", "no_envelope"),
        ('{"order_id":"O1","exec_type":"new"}', "no_envelope"),
        ('{"channel":"book","type":"update","data":[]}', "unknown_channel"),
        ('{"channel":"executions","type":"update"}', "bad_body"),
        ('{"channel":"executions","type":"update","data":[{"order_id":5}]}', "bad_body"),
        ('{"channel":"executions","type":"update","data":{}}', "bad_body"),
        ('{"method":"add_order","success":true,"req_id":"one"}', "bad_body"),
        ('{"method":"new_method","success":true}', "unknown_method"),
        ('{"method":"add_order","params":{"side":"buy"},"req_id":1}', "request"),
        ('{"error":[],"result":{"count":1}}', "rest_reply"),
        ('{"channel":"heartbeat","x":' + "[" * 40 + "]" * 40 + "}", "too_deep"),
        ('{"channel":"heartbeat","x":' + '{"a":' * 10_000, "too_deep"),
        ('{"channel":"heartbeat","x":' + '{"a":' * 100_000, "too_long"),
        ('{"channel":"heartbeat","x":"' + "a" * codec.MAX_FRAME_CHARS + '"}', "too_long"),
    ],
)
def test_what_is_no_frame_is_refused_with_its_reason(text, code):
    assert code_of(text) == code


def test_a_refused_frame_comes_back_whole_with_its_reason():
    (refused,) = outputs_of("CloudFlare WebSocket proxy restarting")
    assert isinstance(refused, FrameRefused)
    assert (refused.code, refused.raw) == ("not_json", "CloudFlare WebSocket proxy restarting")


def test_brackets_inside_texts_are_no_depth():
    text = json.dumps({"channel": "heartbeat", "note": "[" * 50, "more": 'a "quoted" {' * 50})
    assert isinstance(codec.frame_from(text), codec.HeartbeatFrame)


def test_depth_is_refused_alike_near_the_end_of_the_stack():
    text = '{"channel":"heartbeat","x":' + "[" * 31 + "]" * 31 + "}"

    def dig(levels):
        return codec.frame_from(text) if levels == 0 else dig(levels - 1)

    frame: FrameType | None = sys._getframe()
    used = 0
    while frame is not None:
        used, frame = used + 1, frame.f_back
    # 32 levels of a frame, whatever the caller has used: the limit is ours and not the interpreter's.
    assert isinstance(dig(sys.getrecursionlimit() - used - 80), codec.HeartbeatFrame)


@pytest.mark.parametrize(
    "text",
    [
        '{"channel":"executions","type":"update","data":[' + ",".join(f'{{"order_id":"O{i:040}"}}' for i in range(19_000)) + "]}",
        '{"channel":"ticker","x":' + "[" * 500_000 + "]" * 500_000 + "}",
        '{"channel":"trade","data":[{"symbol":"B","price":' + "1" * 1_000_000 + ',"qty":1,"trade_id":1}]}',
        '{"channel":"ticker","data":[{"symbol":"B","bid":1e999999999,"ask":1,"last":1}]}',
        '"' + "\\\\" * 500_000,
        "[]" * 500_000,
    ],
)
def test_a_megabyte_of_anything_is_read_or_refused_within_bounds(text):
    started = time.perf_counter()
    outputs_of(text)
    # Measured 1 to 20 ms, and 150 ms for 19,000 orders, which are understood; the limit is for busy machines.
    assert time.perf_counter() - started < 2


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "backslashreplace")))
@settings(max_examples=150, deadline=None)
def test_no_text_raises(text):
    assert isinstance(outputs_of(text), tuple)


@given(_JSON.map(json.dumps) | _FRAME.map(json.dumps) | _REPLY.map(json.dumps))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_json_raises_and_what_is_refused_says_why(text):
    for output in outputs_of(text):
        assert not isinstance(output, FrameRefused) or (output.code and output.reason)


@given(st.lists(_FRAME.map(json.dumps) | _REPLY.map(json.dumps), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_frames_give_the_same_output(texts):
    first, second = KrakenTranslator("hf"), KrakenTranslator("hf")
    assert [first.decode(text, i) for i, text in enumerate(texts)] == [second.decode(text, i) for i, text in enumerate(texts)]


@pytest.mark.parametrize("method", ["{}", "[]", '[["a"]]', "1", "true", '{"a":[]}'])
def test_a_method_that_is_no_text_is_a_method_that_is_not_known(method):
    (refused,) = outputs_of(f'{{"method":{method},"success":true,"req_id":1}}')
    assert isinstance(refused, FrameRefused)
    assert refused.code == "unknown_method"
