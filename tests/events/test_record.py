from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import facts
from events.errors import BadInput
from events.record import PositionEvent, bytes_from, command_from, event_from, fact_from
from events.values import Side
from tests.events.samples import COMMANDS, EVENTS, FACTS

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=8)
TIMES = st.integers(0, 2**62)


@st.composite
def fills(draw: st.DrawFn) -> facts.OrderFilled:
    return facts.OrderFilled(
        ts_event_ns=draw(TIMES),
        ts_recv_ns=draw(TIMES),
        client_order_id=draw(st.text(max_size=18)),
        venue_order_id=draw(st.text(max_size=20)),
        trade_id=draw(st.text(max_size=20)),
        side=draw(st.sampled_from(Side)),
        last_qty=draw(DECIMALS),
        last_px=draw(st.none() | DECIMALS),
        cum_qty=draw(st.none() | DECIMALS),
        fees=tuple(draw(st.lists(st.builds(facts.Fee, asset=st.text(max_size=5), qty=DECIMALS), max_size=3))),
    )


@st.composite
def events(draw: st.DrawFn) -> PositionEvent:
    return PositionEvent(
        position_id=draw(st.text(max_size=8)),
        version=draw(st.integers(1, 2**31)),
        fact=draw(fills() | st.sampled_from(FACTS)),
        to=draw(st.text(max_size=20)),
        commands=tuple(draw(st.lists(st.sampled_from(COMMANDS), max_size=4))),
        guards=tuple(draw(st.lists(st.text(max_size=10), max_size=3))),
    )


@given(events())
def test_event_survives_its_bytes_and_gives_them_again(event: PositionEvent) -> None:
    data = bytes_from(event)
    assert event_from(data) == event
    assert bytes_from(event_from(data)) == data


@given(DECIMALS)
def test_decimal_keeps_its_trailing_zeros(value: Decimal) -> None:
    fact = facts.BalanceShort(ts_recv_ns=1, asset="BTC", needed=value, available=Decimal("1.500"))
    decoded = fact_from(bytes_from(fact))
    assert isinstance(decoded, facts.BalanceShort)
    assert (str(decoded.needed), str(decoded.available)) == (str(value), "1.500")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"type":"position_event.2"}',
        b'{"type":"position_event.1","position_id":"hf000001"}',
        b'{"type":"position_event.1","position_id":1,"version":"1","fact":{},"to":"x"}',
        b"[" * 100_000,
        bytes_from(EVENTS[0]).replace(b"order_filled.1", b"order_filled.9"),
        bytes_from(EVENTS[0])[:-1],
    ],
)
def test_bytes_that_are_not_ours_are_refused_in_one_sentence(data: bytes) -> None:
    for decode in (event_from, fact_from, command_from):
        with pytest.raises(BadInput) as refusal:
            decode(data)
        assert "\n" not in str(refusal.value)
        assert len(str(refusal.value)) < 300


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        event_from(data)


def test_field_of_a_later_version_is_passed_over() -> None:
    data = bytes_from(EVENTS[0])
    assert event_from(data[:-1] + b',"later":1}') == EVENTS[0]


def test_bytes_are_text_in_the_order_of_the_fields() -> None:
    fields: dict[str, Any] = msgspec.json.decode(bytes_from(EVENTS[0]))
    assert list(fields) == ["type", *PositionEvent.__struct_fields__]
