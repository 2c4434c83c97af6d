"""Replies, market data and links; the executions channel has tests of its own."""

import json
from decimal import Decimal

import pytest

from events import facts as f
from events.commands import AmendOrder, AttachedStop, CancelOrder, SubmitOrder
from events.values import Instrument, Side
from venues.kraken.capabilities import MARGIN, SPOT, capabilities_of
from venues.kraken.times import ns_from_rfc3339
from venues.kraken.translate import KrakenTranslator
from venues.messages import (
    BalanceChanged,
    BalancesListed,
    Heartbeat,
    InstrumentsListed,
    Ponged,
    QuoteChanged,
    RequestAccepted,
    SubscriptionAcked,
    SubscriptionRefused,
    TokenRefused,
    TradePrinted,
    UnmatchedReply,
    VenueStatus,
)

OURS = "hf00000100001a"
IDS = {"client_order_id": OURS, "ts_event_ns": 1_000_000_000, "ts_recv_ns": 5}


@pytest.fixture
def translator():
    return KrakenTranslator("hf")


def submit(**fields):
    given = {"symbol": "BTC/USD", "role": "exit", "side": Side.SELL, "order_type": "market", "qty": Decimal(1)}
    return SubmitOrder(client_order_id=OURS, **given | fields)


AMEND = AmendOrder(client_order_id=OURS, venue_order_id="", symbol="BTC/USD", order_qty=Decimal(2))
CANCEL = CancelOrder(client_order_id=OURS, venue_order_id="", symbol="BTC/USD")


def hear(translator, frame):
    return list(translator.decode(json.dumps(frame), 5))


def refuse(translator, req_id, error, **fields):
    reply = {"method": "add_order", "req_id": req_id, "success": False, "error": error, "time_in": "1970-01-01T00:00:01Z"}
    return hear(translator, {**reply, **fields})


# --- replies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "error", "expected"),
    [
        (submit(), "EOrder:Insufficient funds", f.OrderRejected(reject_class="funds", text="EOrder:Insufficient funds", **IDS)),
        (submit(), "EOrder:Post only order", f.OrderRejected(reject_class="post_only", text="EOrder:Post only order", **IDS)),
        (submit(), "EService:Deadline elapsed", f.OutcomeUnknown(operation="submit", reason="EService:Deadline elapsed", **IDS)),
        (submit(), "EService:Unavailable", f.OutcomeUnknown(operation="submit", reason="EService:Unavailable", **IDS)),
        (AMEND, "EOrder:Unknown order", f.AmendRejected(reject_class="gone", text="EOrder:Unknown order", **IDS)),
        (AMEND, "EService:Busy", f.OutcomeUnknown(operation="amend", reason="EService:Busy", **IDS)),
        (CANCEL, "EOrder:Unknown order", f.CancelRejected(reject_class="gone", text="EOrder:Unknown order", **IDS)),
        (CANCEL, "EGeneral:Internal error", f.OutcomeUnknown(operation="cancel", reason="EGeneral:Internal error", **IDS)),
    ],
)
def test_a_refusal_becomes_the_fact_of_its_operation(translator, command, error, expected):
    out = translator.encode(command, 1)
    assert refuse(translator, out.req_id, error) == [expected]


def test_a_reply_that_says_nothing_of_its_request_still_finds_it(translator):
    translator.encode(submit(), 1)
    second = translator.encode(CANCEL, 1)
    (fact,) = hear(translator, {"req_id": second.req_id, "success": False, "error": "EOrder:Unknown order"})
    assert isinstance(fact, f.CancelRejected)


def test_a_lost_session_asks_for_a_token_and_the_order_was_refused(translator):
    out = translator.encode(submit(), 1)
    token, rejected = refuse(translator, out.req_id, "ESession:Invalid session")
    assert (type(token), rejected.reject_class) == (TokenRefused, "auth")


def test_success_is_told_as_taken_and_never_as_state(translator):
    out = translator.encode(submit(), 1)
    reply = {"method": "add_order", "req_id": out.req_id, "success": True, "result": {"order_id": "O1"}, "time_in": "1970-01-01T00:00:01Z"}
    assert hear(translator, reply) == [RequestAccepted(operation="submit", venue_order_id="O1", **IDS)]
    assert hear(translator, reply) == [
        UnmatchedReply(method="add_order", req_id=out.req_id, text="", ts_event_ns=1_000_000_000, ts_recv_ns=5)
    ]


def test_a_reply_of_an_older_link_matches_nothing(translator):
    out = translator.encode(submit(), 1)
    translator.reset_link("private")
    assert isinstance(refuse(translator, out.req_id, "EOrder:Insufficient funds")[0], UnmatchedReply)


def test_a_public_link_that_closes_leaves_private_requests_alone(translator):
    out = translator.encode(submit(), 1)
    translator.reset_link("public")
    assert isinstance(refuse(translator, out.req_id, "EOrder:Insufficient funds")[0], f.OrderRejected)


def test_an_amend_that_could_not_name_its_order_proves_nothing_by_unknown_order(translator):
    translator.encode(submit(attached=AttachedStop(trail_offset_bps=100)), 1)
    out = translator.encode(AMEND, 2)
    assert refuse(translator, out.req_id, "EOrder:Unknown order")[0].reject_class == "other"


def test_requests_that_are_never_answered_do_not_pile_up(translator, monkeypatch):
    monkeypatch.setattr("venues.kraken.translate.PENDING_KEPT", 10)
    for _ in range(50):
        translator.encode(CANCEL, 1)
    assert isinstance(refuse(translator, 1, "EOrder:Unknown order")[0], UnmatchedReply)
    assert isinstance(refuse(translator, 50, "EOrder:Unknown order")[0], f.CancelRejected)


def test_subscriptions_are_confirmed_and_refused_by_channel_and_symbol(translator):
    ok = {"method": "subscribe", "success": True, "result": {"channel": "ticker", "symbol": "BTC/USD"}, "req_id": 9}
    assert hear(translator, ok) == [SubscriptionAcked(channel="ticker", symbol="BTC/USD", ts_recv_ns=5)]
    bad = {"method": "subscribe", "success": False, "error": "Currency pair not supported WWW/USD", "symbol": "WWW/USD"}
    assert hear(translator, bad) == [
        SubscriptionRefused(symbol="WWW/USD", reject_class="caller_bug", text="Currency pair not supported WWW/USD", ts_recv_ns=5)
    ]


def test_a_refusal_without_method_and_number_is_told(translator):
    assert hear(translator, {"error": "Symbol(s) not found", "success": False}) == [
        UnmatchedReply(method="", req_id=None, text="Symbol(s) not found", ts_recv_ns=5)
    ]


# --- market ---------------------------------------------------------------------------------------------------------


def test_a_ticker_gives_its_quote_and_a_trade_its_prints(translator):
    ticker = {"symbol": "BTC/USD", "bid": 99.9, "ask": "100.1", "last": 100, "timestamp": "1970-01-01T00:00:01Z"}
    assert hear(translator, {"channel": "ticker", "type": "update", "data": [ticker]}) == [
        QuoteChanged(
            symbol="BTC/USD", bid=Decimal("99.9"), ask=Decimal("100.1"), last=Decimal(100), ts_event_ns=1_000_000_000, ts_recv_ns=5
        )
    ]
    trade = {"symbol": "BTC/USD", "side": "sell", "price": 99.9, "qty": 0.5, "trade_id": 7, "timestamp": "1970-01-01T00:00:01Z"}
    (printed, unknown_side) = hear(translator, {"channel": "trade", "type": "update", "data": [trade, {**trade, "side": "?"}]})
    assert printed == TradePrinted(
        symbol="BTC/USD",
        px=Decimal("99.9"),
        qty=Decimal("0.5"),
        taker_side=Side.SELL,
        trade_id="7",
        ts_event_ns=1_000_000_000,
        ts_recv_ns=5,
    )
    assert unknown_side.taker_side is None


@pytest.mark.parametrize("price", [0, -5, "NaN", None, "1e999999"])
def test_a_price_that_cannot_be_costs_its_entry_and_not_its_frame(translator, price):
    good = {"symbol": "BTC/USD", "side": "sell", "price": 99.9, "qty": 0.5, "trade_id": 7}
    refused, printed = hear(translator, {"channel": "trade", "type": "update", "data": [{**good, "price": price}, good]})
    assert (refused.code, printed.px) == ("bad_entry", Decimal("99.9"))
    assert "trade.price" in refused.reason


def test_instruments_come_with_grid_and_status_and_a_broken_one_is_left_out(translator):
    pair = {"symbol": "BTC/USD", "base": "BTC", "quote": "USD", "status": "cancel_only", "qty_increment": 0.00000001, "qty_min": 0.00005}
    pairs = [{**pair, "tick_size": 0.1, "cost_min": 0.5, "marginable": True}, {**pair, "symbol": "X/Y", "price_increment": 0}]
    listed, refused = hear(translator, {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}})
    assert listed == InstrumentsListed(
        instruments=(
            Instrument(
                symbol="BTC/USD",
                base="BTC",
                quote="USD",
                price_increment=Decimal("0.1"),
                size_increment=Decimal("1e-8"),
                min_qty=Decimal("5e-5"),
                min_cost=Decimal("0.5"),
                marginable=True,
            ),
        ),
        statuses=("cancel_only",),
        ts_recv_ns=5,
    )
    assert "X/Y price_increment" in refused.reason


def test_status_heartbeat_pong_and_balances(translator):
    assert hear(translator, {"channel": "status", "type": "update", "data": [{"system": "maintenance"}]}) == [
        VenueStatus(system="maintenance", ts_recv_ns=5)
    ]
    assert hear(translator, {"channel": "heartbeat"}) == [Heartbeat(ts_recv_ns=5)]
    pong = {"method": "pong", "req_id": 3, "time_in": "1970-01-01T00:00:01Z", "time_out": "1970-01-01T00:00:02Z"}
    assert hear(translator, pong) == [Ponged(req_id=3, ts_event_ns=1_000_000_000, ts_recv_ns=5)]
    rows = [{"asset": "BTC", "balance": 1.20, "wallets": []}, {"asset": "USD", "balance": "NaN"}]
    changed, refused, listed = hear(translator, {"channel": "balances", "type": "snapshot", "data": rows, "sequence": 1})
    assert changed == BalanceChanged(asset="BTC", balance=Decimal("1.2"), ts_recv_ns=5)
    assert refused.code == "bad_entry"
    # What cannot be read is named all the same: it is not known to be nothing.
    assert listed == BalancesListed(assets=frozenset({"BTC", "USD"}), ts_recv_ns=5)


def test_a_list_of_balances_is_as_new_as_the_answer_before_it_and_a_line_as_the_venue_says(translator):
    acked = {"channel": "balances", "snapshot": True}
    times = {"time_in": "1970-01-01T00:00:01Z", "time_out": "1970-01-01T00:00:02Z"}
    hear(translator, {"method": "subscribe", "req_id": 1, "success": True, "result": acked, **times})
    rows = [{"asset": "BTC", "balance": 1.20, "wallets": []}]
    listed, whole = hear(translator, {"channel": "balances", "type": "snapshot", "data": rows, "sequence": 1})
    assert (listed.of_trade, listed.ts_event_ns, whole.ts_event_ns) == (None, 1_000_000_000, 1_000_000_000)
    line = {"asset": "BTC", "balance": 1.5, "ref_id": "T1", "timestamp": "1970-01-01T00:00:03Z"}
    (moved,) = hear(translator, {"channel": "balances", "type": "update", "data": [line], "sequence": 2})
    assert (moved.of_trade, moved.ts_event_ns) == ("T1", 3_000_000_000)


def test_what_spot_and_margin_can_do_differs_where_it_decides_coverage():
    assert (capabilities_of(False), capabilities_of(True)) == (SPOT, MARGIN)
    assert SPOT.holds_funds
    assert not SPOT.reduce_only
    assert MARGIN.reduce_only
    assert not MARGIN.holds_funds


def _deadline_written(translator, now_ns):
    text = translator.encode(submit(order_type="market", limit_price=None, deadline_ns=now_ns + 2_000_000_000), now_ns).frame_text
    return json.loads(text)["params"]["deadline"]


@pytest.mark.parametrize(
    ("ours", "written"),
    [
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:22.000Z"),
        ("2023-11-14T22:13:20.4Z", "2023-11-14T22:13:22.400Z"),  # as long as a reply may take: no skew
        ("2023-11-14T22:12:50Z", "2023-11-14T22:13:22.000Z"),
        ("2023-11-14T22:14:20Z", "2023-11-14T22:13:22.000Z"),
    ],
)
def test_a_deadline_is_written_in_the_venues_time_however_wrong_our_clock_is(translator, ours, written):
    """By a clock twenty seconds behind, every market exit was refused as "Deadline elapsed", for ever."""
    now_ns = ns_from_rfc3339(ours)
    for _ in range(3):
        translator.decode(json.dumps({"method": "pong", "req_id": 1, "time_in": "2023-11-14T22:13:20.000000Z"}), now_ns)
    assert _deadline_written(translator, now_ns) == written


def test_one_late_reply_and_one_wrong_time_move_no_deadline(translator):
    now_ns = ns_from_rfc3339("2023-11-14T22:13:20Z")
    for time_in in ("2023-11-14T22:13:20Z", "2023-11-14T22:13:12Z", "2023-11-14T22:13:20Z", "2093-11-14T22:13:20Z", "2023-11-14T22:13:20Z"):
        translator.decode(json.dumps({"method": "pong", "req_id": 1, "time_in": time_in}), now_ns)
    assert _deadline_written(translator, now_ns) == "2023-11-14T22:13:22.000Z"
