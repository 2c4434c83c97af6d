"""Values of another type than their field's: what they cost, and what they must not."""

import json

import pytest

from events import facts as f
from holdfast.scenario.floor import D, Floor, replayed
from venues.kraken.translate import KrakenTranslator
from venues.messages import BalanceChanged, BalancesListed, FrameRefused, InstrumentsListed, QuoteChanged, RequestAccepted, SnapshotTaken

TRADE = {
    "order_id": "OV1", "exec_type": "trade", "order_status": "filled", "cl_ord_id": "hf00000100001a", "symbol": "BTC/USD", "side": "buy",
    "order_type": "limit", "exec_id": "TX1", "last_qty": 0.5, "last_price": 60000.0, "cum_qty": 0.5, "order_qty": 0.5, "order_userref": 0,
    "fees": [{"asset": "USD", "qty": 12.5}], "liquidity_ind": "t", "timestamp": "2026-01-01T00:00:00Z",
}  # fmt: skip


def heard(frame):
    return list(KrakenTranslator("hf", ["BTC/USD"]).decode(json.dumps(frame), 5))


def update(**changes):
    return {"channel": "executions", "type": "update", "sequence": 2, "data": [TRADE | changes]}


def fill_in(output):
    return next(x for x in output if isinstance(x, f.OrderFilled))


@pytest.mark.parametrize(
    "changes",
    [
        {"order_userref": "0"}, {"margin": 0}, {"margin": "false"}, {"order_status": None}, {"liquidity_ind": None}, {"exec_id": 12345},
        {"cl_ord_id": "hf00000100001a", "reason": 7}, {"side": "BUY"}, {"cum_qty": "0.5", "last_qty": "0.5"},
    ],
)  # fmt: skip
def test_what_says_the_same_in_another_type_is_taken_and_nothing_is_told_of_it(changes):
    output = heard(update(**changes))
    assert [x for x in output if isinstance(x, FrameRefused)] == []
    assert (fill_in(output).last_qty, fill_in(output).fees) == (D("0.5"), (f.Fee(asset="USD", qty=D("12.5")),))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"order_userref": "abc"}, "order_userref"), ({"order_userref": "9" * 400}, "order_userref"), ({"reason": {"code": 1}}, "reason"),
        ({"margin": "perhaps"}, "margin"), ({"triggers": [1]}, "triggers"), ({"liquidity_ind": []}, "liquidity_ind"),
    ],
)  # fmt: skip
def test_what_does_not_fit_costs_its_field_and_is_told(changes, place):
    output = heard(update(**changes))
    assert (fill_in(output).last_qty, fill_in(output).last_px) == (D("0.5"), D("60000.0"))
    (refused,) = [x for x in output if isinstance(x, FrameRefused)]
    assert refused.code == "bad_entry"
    assert refused.reason.startswith(f"executions.data.{place}: ")


def test_a_fee_that_does_not_fit_costs_itself():
    fees = [{"asset": None, "qty": 1}, {"asset": "USD"}, 7, {"asset": "KFEE", "qty": "3"}]
    output = heard(update(fees=fees, order_status=None))
    assert fill_in(output).fees == (f.Fee(asset="KFEE", qty=D(3)),)
    assert len([x for x in output if isinstance(x, FrameRefused)]) == 3


def test_a_frame_of_the_account_with_an_entry_that_cannot_be_read_is_refused_as_a_whole():
    # What a snapshot does not name counts as absent.
    snapshot = {"channel": "executions", "type": "snapshot", "sequence": 1, "data": [TRADE, "what is this"]}
    assert [type(x) for x in heard(snapshot)] == [FrameRefused]
    snapshot["data"] = [TRADE | {"order_userref": "0"}]
    assert any(isinstance(x, SnapshotTaken) for x in heard(snapshot))
    balances = {"channel": "balances", "type": "snapshot", "sequence": "1", "data": [{"asset": "BTC", "balance": "1"}]}
    assert [type(x) for x in heard(balances)] == [BalanceChanged, BalancesListed]
    balances["data"] = [{"asset": "BTC", "balance": "1"}, {"asset": None, "balance": 1}]
    assert [type(x) for x in heard(balances)] == [FrameRefused]


def test_a_pair_or_a_price_that_cannot_be_read_costs_itself():
    least = {"symbol": "BTC/USD", "base": "BTC", "quote": "USD", "qty_increment": 0.1, "price_increment": 0.1, "status": "online"}
    pair = least | {"qty_min": 0.1}
    odd = [pair | {"symbol": None}, pair | {"marginable": "soon", "symbol": "B/USD"}, 5, least, pair]
    output = heard({"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": odd}})
    assert [x.symbol for x in output[0].instruments] == ["B/USD", "BTC/USD"]
    assert isinstance(output[0], InstrumentsListed)
    assert all(isinstance(x, FrameRefused) for x in output[1:])
    quote = {"symbol": "BTC/USD", "bid": 1, "ask": 2, "last": 1}
    output = heard({"channel": "ticker", "type": "update", "data": [quote | {"symbol": []}, quote]})
    assert [type(x) for x in output] == [QuoteChanged, FrameRefused]


def test_an_answer_is_taken_where_it_says_the_same_in_another_type_and_never_in_part():
    translator = KrakenTranslator("hf")
    answer = {"method": "cancel_order", "req_id": "1", "success": "true", "result": {"order_id": "OV1"}}
    (other,) = translator.decode(json.dumps(answer), 5)
    assert type(other).__name__ == "UnmatchedReply"
    for odd in ({"success": "maybe"}, {"error": {"code": 1}}, {"req_id": "one"}):
        (refused,) = translator.decode(json.dumps(answer | odd), 5)
        assert isinstance(refused, FrameRefused)
    assert not isinstance(other, RequestAccepted)


@pytest.mark.parametrize("odd", [', "order_userref":"0"', ', "margin":0', ', "reason":{}', ', "liquidity_ind":1'])
def test_through_the_engine_a_life_is_as_it_would_be_without_the_odd_field(odd):
    floor = Floor(start=False)
    floor.altered = lambda text: text.replace('"exec_type":', f'{odd[2:]},"exec_type":') if '"executions"' in text else text
    floor.start()
    floor.wait(1)
    position_id = floor.protected()
    floor.leave(position_id)
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue(), floor.resting(), floor.pages) == ("Closed", 0, [], [])
    assert replayed(floor)
