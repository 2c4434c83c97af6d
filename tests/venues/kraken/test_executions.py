"""The executions channel: sparse updates, snapshots, ownership."""

import json
from decimal import Decimal

import msgspec
import pytest

from events import facts as f
from events.commands import AttachedStop, CancelOrder, SubmitOrder
from events.values import Side
from venues.kraken import orders as orders_module
from venues.kraken.translate import KrakenTranslator, order_userref_of
from venues.messages import ForeignFill, ForeignOrder, FrameRefused, OpenOrder, RequestAccepted, SequenceGap, SnapshotTaken

OURS = "hf00000100001a"
ENTRY = {
    "order_id": "O1",
    "cl_ord_id": OURS,
    "symbol": "BTC/USD",
    "side": "buy",
    "order_type": "limit",
    "order_qty": 1.0,
    "limit_price": 100,
}
STOP = {
    "order_id": "O2",
    "cl_ord_id": "hf00000100002a",
    "symbol": "BTC/USD",
    "side": "sell",
    "order_type": "trailing-stop",
    "order_qty": 1.0,
    "triggers": {"price": 3.0, "price_type": "pct", "actual_price": 97.0, "peak_price": 100.0, "status": "untriggered"},
}


class Venue:
    """Writes the frames of one subscription, numbered as the venue numbers them."""

    def __init__(self, translator=None):
        self.translator = translator or KrakenTranslator("hf")
        self.sequence = 1
        self.now_ns = 10
        self.hear([], type="snapshot")

    def hear(self, entries, **fields):
        frame = {"channel": "executions", "type": "update", "data": entries, "sequence": self.sequence, **fields}
        self.sequence += 1
        return list(self.translator.decode(json.dumps(frame), self.now_ns))

    def tell(self, exec_type, entry, **fields):
        return self.hear([{**entry, "exec_type": exec_type, **fields}])

    def reply(self, req_id, **fields):
        return list(self.translator.decode(json.dumps({"method": "add_order", "req_id": req_id, "success": True, **fields}), self.now_ns))

    def trade(self, exec_id, qty, order_id="O1", **fields):
        return self.tell("trade", {"order_id": order_id}, exec_id=exec_id, last_qty=qty, **{"last_price": 100, "side": "buy"} | fields)


@pytest.fixture
def venue():
    return Venue()


def kinds(outputs):
    return [type(item).__name__ for item in outputs]


def submit(client_order_id=OURS, attached=None):
    return SubmitOrder(
        client_order_id=client_order_id,
        symbol="BTC/USD",
        role="entry",
        side=Side.BUY,
        order_type="market",
        qty=Decimal(1),
        attached=attached,
    )


# --- sparse updates (K6, K7, P16) -----------------------------------------------------------------------------------


def test_an_update_that_names_only_its_order_is_read_with_what_was_said_before(venue):
    assert venue.tell("pending_new", ENTRY, order_status="pending_new") == []
    (accepted,) = venue.tell("new", {"order_id": "O1"}, order_status="new", timestamp="1970-01-01T00:00:01Z")
    assert accepted == f.OrderAccepted(
        client_order_id=OURS,
        venue_order_id="O1",
        leaves_qty=Decimal("1.0"),
        cum_qty=Decimal(0),
        ts_event_ns=1_000_000_000,
        ts_recv_ns=10,
    )
    (filled,) = venue.tell("trade", {"order_id": "O1"}, exec_id="T1", last_qty=0.4, last_price=99.5, cum_qty=0.4, liquidity_ind="m")
    assert (filled.side, filled.last_qty, filled.last_px, filled.cum_qty) == (Side.BUY, Decimal("0.4"), Decimal("99.5"), Decimal("0.4"))
    assert filled.liquidity_side == "maker"


def test_a_trade_that_completes_its_order_says_so_by_quantity_and_filled_adds_no_fill(venue):
    venue.tell("pending_new", ENTRY)
    (filled,) = venue.trade("T1", 1.0, cum_qty=1.0, order_status="partially_filled")
    assert (filled.last_qty, filled.cum_qty) == (Decimal("1.0"), Decimal("1.0"))
    (completed,) = venue.tell("filled", {"order_id": "O1"}, cum_qty=1.0)
    assert (type(completed), completed.cum_qty) == (f.OrderCompleted, Decimal("1.0"))
    assert venue.tell("filled", {"order_id": "O1"}, cum_qty=1.0) == []


def test_a_fill_is_told_before_its_order_is_known_to_rest(venue):
    venue.tell("pending_new", ENTRY)
    assert kinds(venue.trade("T1", 0.5)) == ["OrderFilled"]
    (accepted,) = venue.tell("new", {"order_id": "O1"})
    assert accepted.leaves_qty == Decimal("0.5")


def test_a_new_that_comes_after_the_end_says_nothing(venue):
    venue.tell("pending_new", ENTRY)
    assert kinds(venue.tell("canceled", {"order_id": "O1"}, cum_qty=0, reason="User requested")) == ["OrderCanceled"]
    assert venue.tell("new", {"order_id": "O1"}) == []


def test_a_fill_that_comes_after_the_end_is_told(venue):
    venue.tell("pending_new", ENTRY)
    venue.tell("canceled", {"order_id": "O1"})
    assert kinds(venue.trade("T1", 0.2)) == ["OrderFilled"]


REJECTED = {"reject_class": "funds", "text": "EOrder:Insufficient funds"}


@pytest.mark.parametrize(
    ("exec_type", "fields", "kind", "expected"),
    [
        ("canceled", {"cum_qty": 0.25, "cancel_reason": "asked"}, f.OrderCanceled, {"cum_qty": Decimal("0.25"), "reason": "asked"}),
        ("canceled", {"reason": "Post only order"}, f.OrderCanceled, {"cum_qty": None, "reason": "Post only order"}),
        ("expired", {"cum_qty": 0, "reason": "Deadline"}, f.OrderExpired, {"cum_qty": Decimal(0), "reason": "Deadline"}),
        ("rejected", {"reason": "EOrder:Insufficient funds"}, f.OrderRejected, REJECTED),
        ("amended", {"order_qty": 2, "limit_price": 101}, f.OrderAmended, {"order_qty": Decimal(2), "limit_price": Decimal(101)}),
        ("restated", {"order_qty": 0.5}, f.OrderAmended, {"order_qty": Decimal("0.5"), "by_venue": True}),
        ("future_type", {"order_status": "canceled"}, f.OrderCanceled, {}),
    ],
)
def test_each_event_has_its_fact(venue, exec_type, fields, kind, expected):
    venue.tell("pending_new", ENTRY)
    (fact,) = venue.tell(exec_type, {"order_id": "O1"}, **fields)
    assert fact == kind(client_order_id=OURS, venue_order_id="O1", ts_recv_ns=10, **expected)


def test_an_unknown_event_is_reported_and_its_numbers_are_kept(venue):
    venue.tell("pending_new", ENTRY)
    (refused,) = venue.tell("some_future_event_type", {"order_id": "O1"}, order_qty=2, order_status="new")
    assert isinstance(refused, FrameRefused)
    assert refused.code == "unknown_exec_type"
    assert "some_future_event_type" in refused.raw
    (accepted,) = venue.tell("new", {"order_id": "O1"})
    assert accepted.leaves_qty == Decimal(2)


# --- stops ----------------------------------------------------------------------------------------------------------


def test_a_stop_is_accepted_with_the_level_that_the_venue_gives_it(venue):
    venue.tell("pending_new", STOP)
    (accepted,) = venue.tell("new", {"order_id": "O2"})
    assert accepted.effective_stop == Decimal("97.0")


def test_a_moved_level_is_reported_and_one_that_stays_is_not(venue):
    venue.tell("pending_new", STOP)
    moved = {"triggers": {"price": 3.0, "price_type": "pct", "actual_price": 98.9, "peak_price": 102.0, "status": "untriggered"}}
    (reported,) = venue.tell("status", {"order_id": "O2"}, **moved)
    assert (type(reported), reported.effective_stop, reported.peak) == (f.StopReported, Decimal("98.9"), Decimal("102.0"))
    assert venue.tell("status", {"order_id": "O2"}, **moved) == []


def test_a_stop_triggers_once(venue):
    venue.tell("pending_new", STOP)
    fired = {"triggers": {"status": "triggered", "actual_price": 97.0, "last_price": 96.8}}
    (triggered,) = venue.tell("status", {"order_id": "O2"}, **fired)
    assert (type(triggered), triggered.px) == (f.OrderTriggered, Decimal("96.8"))
    assert kinds(venue.trade("T1", 1.0, order_id="O2", side="sell", **fired)) == ["OrderFilled"]


def test_an_amended_trail_is_told_in_basis_points_and_a_static_stop_as_a_price(venue):
    venue.tell("pending_new", STOP)
    (amended,) = venue.tell("amended", {"order_id": "O2"}, triggers={"price": 1.25, "price_type": "pct", "actual_price": 98.75})
    assert (amended.trail_offset_bps, amended.trigger_price, amended.effective_stop) == (125, None, Decimal("98.75"))
    static = {"order_type": "stop-loss", "triggers": {"price": 95, "price_type": "static"}}
    venue.tell("pending_new", {**STOP, "order_id": "O3", "cl_ord_id": "hf00000100003a", **static})
    (amended,) = venue.tell("amended", {"order_id": "O3"}, triggers={"price": 96, "price_type": "static"})
    assert (amended.trail_offset_bps, amended.trigger_price, amended.effective_stop) == (None, Decimal(96), Decimal(96))


def test_an_offset_whose_kind_is_not_known_is_never_taken_for_a_price(venue):
    (accepted,) = venue.tell("new", {"order_id": "O9", "cl_ord_id": OURS}, triggers={"price": 3.0})
    assert accepted.effective_stop is None


# --- prices and numbers that cannot be (A16, X9) ---------------------------------------------------------------------


@pytest.mark.parametrize("last_price", [0, -1, None, "NaN", "Infinity", 1e300, [1]])
def test_a_fill_without_a_usable_price_keeps_its_quantity(venue, last_price):
    venue.tell("pending_new", ENTRY)
    filled = next(item for item in venue.trade("T1", 0.5, last_price=last_price) if isinstance(item, f.OrderFilled))
    assert (filled.last_qty, filled.last_px) == (Decimal("0.5"), None)


@pytest.mark.parametrize("broken", [{"exec_id": None}, {"last_qty": 0}, {"last_qty": "NaN"}, {"last_qty": -1}])
def test_a_trade_that_cannot_be_booked_is_refused_and_the_rest_of_its_frame_is_used(venue, broken):
    venue.tell("pending_new", ENTRY)
    good = {"order_id": "O1", "exec_type": "trade", "exec_id": "T2", "last_qty": 0.5, "last_price": 100}
    outputs = venue.hear([{**good, "exec_id": "T1", **broken}, good])
    assert kinds(outputs)[-1] == "OrderFilled"
    assert {item.code for item in outputs[:-1]} == {"bad_entry"}


def test_a_broken_fee_costs_the_fee_and_not_the_fill(venue):
    venue.tell("pending_new", ENTRY)
    refused, filled = venue.trade("T1", 0.5, fees=[{"asset": "USD", "qty": "NaN"}, {"asset": "BTC", "qty": 0.001}])
    assert (refused.code, filled.fees) == ("bad_entry", (f.Fee(asset="BTC", qty=Decimal("0.001")),))


def test_a_frame_of_nonsense_is_told_a_few_times_and_not_per_entry(venue):
    assert len(venue.hear([{"order_id": f"X{i}", "exec_type": "trade"} for i in range(1000)])) == 16


# --- sequence numbers -----------------------------------------------------------------------------------------------


def test_a_lost_message_is_noticed_once(venue):
    venue.sequence = 5
    outputs = venue.tell("pending_new", ENTRY)
    assert outputs == [SequenceGap(channel="executions", expected=2, got=5, ts_recv_ns=10)]
    assert kinds(venue.tell("new", {"order_id": "O1"})) == ["OrderAccepted"]


def test_a_message_that_comes_twice_or_late_is_no_gap(venue):
    venue.tell("pending_new", ENTRY)
    venue.sequence = 2
    assert kinds(venue.tell("new", {"order_id": "O1"})) == ["OrderAccepted"]
    assert kinds(venue.tell("new", {"order_id": "O1"})) == ["OrderAccepted"]


def test_a_new_subscription_counts_from_one_also_if_its_snapshot_is_lost(venue):
    for _ in range(5):
        venue.tell("pending_new", ENTRY)
    venue.translator.decode('{"method":"unsubscribe","result":{"channel":"executions"},"success":true}', 10)
    venue.sequence = 2
    assert kinds(venue.tell("new", {"order_id": "O1"})) == ["SequenceGap", "OrderAccepted"]


def test_each_channel_counts_for_itself(venue):
    balances = {"channel": "balances", "type": "update", "data": [{"asset": "BTC", "balance": 1.5}], "sequence": 1}
    assert kinds(venue.translator.decode(json.dumps(balances), 10)) == ["BalanceChanged"]


# --- snapshots ------------------------------------------------------------------------------------------------------


def snapshot_of(venue, entries):
    venue.sequence = 1
    return venue.hear(entries, type="snapshot")


def past_trade(exec_id, second, **fields):
    at = f"2024-01-01T00:00:{second:02}Z"
    base = {"order_id": "O1", "exec_id": exec_id, "symbol": "BTC/USD", "side": "buy", "last_qty": 0.1, "last_price": 100, "timestamp": at}
    return {**base, "exec_type": "trade", "order_status": "filled", **fields}


def test_a_snapshot_tells_executions_in_their_order_then_orders_then_that_it_is_whole(venue):
    listed = {**ENTRY, "exec_type": "new", "order_status": "partially_filled", "cum_qty": 0.2}
    outputs = snapshot_of(venue, [past_trade("T2", 20), past_trade("T1", 10), listed])
    assert kinds(outputs) == ["OrderFilled", "OrderFilled", "OrderAccepted", "SnapshotTaken"]
    assert [item.trade_id for item in outputs[:2]] == ["T1", "T2"]
    assert [item.client_order_id for item in outputs[:3]] == [OURS] * 3
    assert outputs[2].leaves_qty == Decimal("0.8")
    (order,) = outputs[3].open_orders
    assert order == OpenOrder(
        client_order_id=OURS,
        venue_order_id="O1",
        is_ours=True,
        symbol="BTC/USD",
        side=Side.BUY,
        order_type="limit",
        order_qty=Decimal("1.0"),
        cum_qty=Decimal("0.2"),
        leaves_qty=Decimal("0.8"),
        limit_price=Decimal(100),
    )


def test_the_status_of_a_past_trade_does_not_end_an_order_that_still_rests(venue):
    venue.tell("pending_new", ENTRY)
    assert "OrderCompleted" not in kinds(snapshot_of(venue, [past_trade("T1", 1)]))


def test_a_triggered_stop_in_a_snapshot_is_not_told_as_armed(venue):
    fired = {**STOP, "triggers": {**STOP["triggers"], "status": "triggered"}, "exec_type": "new", "order_status": "new"}
    triggered, taken = snapshot_of(venue, [fired])
    assert isinstance(triggered, f.OrderTriggered)
    assert taken.open_orders[0].is_triggered
    assert kinds(snapshot_of(venue, [fired])) == ["SnapshotTaken"]


@pytest.mark.parametrize(
    ("known", "trades", "is_complete"),
    [
        ((), 0, True),
        # How many a venue lists is its own matter: a list that reaches back to nothing known may be cut at any number.
        ((), 1, False),
        ((), 50, False),
        (("T3",), 50, True),
        (("T3",), 4, True),
        (("X",), 50, False),
        # A short list that lacks what is known is a cut one, not a complete one.
        (("X",), 3, False),
    ],
)
def test_a_snapshot_is_complete_if_its_trades_reach_back_to_a_known_one(known, trades, is_complete):
    translator = KrakenTranslator("hf")
    translator.restore((), (), known)
    entries = [past_trade(f"T{i}", i % 60) for i in range(trades)]
    frame = {"channel": "executions", "type": "snapshot", "data": entries, "sequence": 1}
    taken = translator.decode(json.dumps(frame), 1)[-1]
    assert isinstance(taken, SnapshotTaken)
    assert taken.trades_complete is is_complete


def test_a_second_snapshot_overlaps_with_the_fills_of_the_stream(venue):
    venue.tell("pending_new", ENTRY)
    venue.trade("T1", 0.1)
    assert snapshot_of(venue, [past_trade("T1", 1), past_trade("T2", 2)])[-1].trades_complete
    assert not snapshot_of(venue, [past_trade(f"U{i}", i) for i in range(50)])[-1].trades_complete


def test_a_snapshot_that_overlaps_only_with_an_incomplete_one_is_as_incomplete(venue):
    venue.trade("T1", 0.1)
    assert snapshot_of(venue, [past_trade("T1", 1)])[-1].trades_complete
    behind = [past_trade(f"U{i}", i) for i in range(50)]
    assert not snapshot_of(venue, behind)[-1].trades_complete
    assert not snapshot_of(venue, behind)[-1].trades_complete
    assert snapshot_of(venue, [past_trade("T1", 1), *behind[:49]])[-1].trades_complete
    assert snapshot_of(venue, behind)[-1].trades_complete


def test_what_came_behind_a_gap_in_the_sequence_is_no_proof_that_nothing_is_missing(venue):
    venue.trade("T1", 0.1)
    assert snapshot_of(venue, [past_trade("T1", 1)])[-1].trades_complete
    venue.sequence += 1
    for number in range(50):
        venue.trade(f"U{number}", 0.1)
    behind = [past_trade(f"U{i}", i) for i in range(50)]
    assert not snapshot_of(venue, behind)[-1].trades_complete


# --- whose order is it ----------------------------------------------------------------------------------------------


def test_an_order_of_somebody_else_is_told_with_what_a_person_needs(venue):
    (order,) = venue.tell("new", {**ENTRY, "cl_ord_id": "zz-else"}, order_status="new")
    assert (order.client_order_id, order.symbol, order.side) == ("zz-else", "BTC/USD", Side.BUY)
    assert (order.qty, order.leaves_qty, order.status) == (Decimal("1.0"), Decimal("1.0"), "new")
    (fill,) = venue.trade("T1", 0.5)
    assert (type(fill), fill.venue_order_id, fill.last_qty, fill.side) == (ForeignFill, "O1", Decimal("0.5"), Side.BUY)
    (order,) = venue.tell("canceled", {"order_id": "O1"})
    assert (type(order), order.status, order.leaves_qty) == (ForeignOrder, "canceled", Decimal(0))


def test_an_order_that_a_reply_named_is_ours_without_any_client_id(venue):
    out = venue.translator.encode(submit(), 10)
    (accepted,) = venue.reply(out.req_id, result={"order_id": "O7"})
    assert accepted == RequestAccepted(operation="submit", client_order_id=OURS, venue_order_id="O7", ts_recv_ns=10)
    (filled,) = venue.trade("T1", 1.0, order_id="O7")
    assert filled.client_order_id == OURS
    assert (venue.translator.known_client_id("O7"), venue.translator.known_venue_id(OURS)) == (OURS, "O7")


def test_a_fill_that_overtakes_the_reply_is_held_and_then_ours(venue):
    out = venue.translator.encode(submit(), 10)
    assert venue.trade("T1", 1.0, order_id="O7") == []
    accepted, filled = venue.reply(out.req_id, result={"order_id": "O7"})
    assert (type(accepted), filled.client_order_id, filled.trade_id) == (RequestAccepted, OURS, "T1")


def test_a_held_fill_is_somebody_elses_once_the_reply_names_another_order(venue):
    out = venue.translator.encode(submit(), 10)
    venue.trade("T1", 1.0, order_id="O7")
    _, fill = venue.reply(out.req_id, result={"order_id": "O8"})
    assert (type(fill), fill.venue_order_id) == (ForeignFill, "O7")


def test_a_held_fill_is_told_when_the_reply_does_not_come(venue):
    venue.translator.encode(submit(), 10)
    assert venue.trade("T1", 1.0, order_id="O7") == []
    venue.now_ns += orders_module.HOLD_NS
    assert kinds(venue.translator.decode('{"channel":"heartbeat"}', venue.now_ns)) == ["ForeignFill", "Heartbeat"]


def test_a_fill_that_was_held_as_the_link_broke_is_ours_by_the_next_snapshot(venue):
    venue.translator.encode(submit(), 10)
    assert venue.trade("T1", 1.0, order_id="O1") == []
    venue.translator.reset_link("private")
    filled, again, taken = snapshot_of(venue, [past_trade("T1", 1, last_qty=1.0, cl_ord_id=OURS)])
    assert (filled.trade_id, filled.client_order_id, again.trade_id) == ("T1", OURS, "T1")
    assert isinstance(taken, SnapshotTaken)


def test_what_was_held_keeps_its_order_when_the_owner_shows_up_in_the_stream(venue):
    venue.translator.encode(submit(), 10)
    assert venue.trade("T1", 0.5, order_id="O1") == []
    assert [item.trade_id for item in venue.trade("T2", 0.5, order_id="O1", cl_ord_id=OURS)] == ["T1", "T2"]


def test_an_entry_with_an_attached_stop_is_known_by_its_number_before_and_without_a_reply(venue):
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), 10)
    tag = order_userref_of(OURS)
    nameless = {key: value for key, value in ENTRY.items() if key != "cl_ord_id"}
    (accepted,) = venue.tell("new", {**nameless, "order_userref": tag})
    assert accepted.client_order_id == OURS
    cancel = venue.translator.encode(CancelOrder(client_order_id=OURS, venue_order_id="", symbol="BTC/USD"), 11)
    assert '"order_id":["O1"]' in cancel.frame_text


def test_an_entry_with_an_attached_stop_that_nothing_was_heard_of_is_cancelled_by_its_number(venue):
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), 10)
    cancel = venue.translator.encode(CancelOrder(client_order_id=OURS, venue_order_id="", symbol="BTC/USD"), 11)
    assert f'"order_userref":[{order_userref_of(OURS)}]' in cancel.frame_text


def test_each_fill_of_an_entry_with_an_attached_stop_brings_a_child(venue):
    venue.tell("pending_new", ENTRY)
    child = {**STOP, "order_id": "C1", "order_qty": 0.4, "ord_ref_id": "O1", "cl_ord_id": None}
    assert venue.tell("pending_new", child) == [
        f.ChildDiscovered(
            client_order_id="",
            venue_order_id="C1",
            parent_venue_order_id="O1",
            qty=Decimal("0.4"),
            order_type="trailing-stop",
            trail_offset_bps=300,
            ts_recv_ns=10,
        )
    ]
    (accepted,) = venue.tell("new", {"order_id": "C1"})
    assert (type(accepted), accepted.venue_order_id, accepted.effective_stop) == (f.OrderAccepted, "C1", Decimal("97.0"))
    (filled,) = venue.trade("T9", 0.4, order_id="C1", side="sell")
    assert (type(filled), filled.client_order_id) == (f.OrderFilled, "")


def test_a_child_that_inherits_its_parents_number_is_a_child_and_not_the_parent(venue):
    tag = order_userref_of(OURS)
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), 10)
    venue.tell("new", {"order_id": "O1", "order_userref": tag, "side": "buy", "symbol": "BTC/USD"})
    child = {**STOP, "order_id": "C1", "cl_ord_id": None, "order_userref": tag}
    found, accepted = venue.tell("new", child)
    assert (type(found), found.parent_venue_order_id, accepted.client_order_id) == (f.ChildDiscovered, "O1", "")
    assert venue.translator.known_venue_id(OURS) == "O1"


def test_after_a_restart_children_and_fills_of_known_orders_are_ours():
    translator = KrakenTranslator("hf")
    translator.restore([(OURS, "O1")], [submit(attached=AttachedStop(trail_offset_bps=300))], ["T0"])
    child = {**STOP, "order_id": "C1", "cl_ord_id": None, "ord_ref_id": "O1", "exec_type": "new", "order_status": "new"}
    frame = {"channel": "executions", "type": "snapshot", "data": [child, past_trade("T0", 1), past_trade("T1", 2)], "sequence": 1}
    outputs = translator.decode(json.dumps(frame), 1)
    assert kinds(outputs) == ["OrderFilled", "OrderFilled", "ChildDiscovered", "OrderAccepted", "SnapshotTaken"]
    assert outputs[-1].trades_complete


def test_an_execution_that_was_told_behind_a_gap_bridges_none_after_a_restart():
    # T1 and T2 are in a list that reaches back to nothing known, so something before T2 may be missing; then the process dies.
    before = Venue()
    before.translator.restore([(OURS, "O1")], (), ["T0"])
    told = [x for x in snapshot_of(before, [past_trade("T1", 1), past_trade("T2", 2)]) if isinstance(x, f.OrderFilled)]
    assert [x.behind_gap for x in told] == [True, True]
    after = KrakenTranslator("hf")
    after.restore([(OURS, "O1")], (), ["T0", "T1", "T2"], [x.trade_id for x in told])
    listed = [past_trade("T1", 1), past_trade("T2", 2)]
    frame = {"channel": "executions", "type": "snapshot", "sequence": 1}
    assert not after.decode(json.dumps({**frame, "data": listed}), 1)[-1].trades_complete
    assert after.decode(json.dumps({**frame, "data": [past_trade("T0", 0), *listed]}), 1)[-1].trades_complete


def test_an_execution_behind_no_gap_says_nothing_of_one(venue):
    venue.tell("pending_new", ENTRY)
    (filled,) = venue.trade("T1", 0.1)
    assert filled.behind_gap is msgspec.UNSET


def test_an_execution_of_a_nameless_order_that_could_be_an_attached_stop_waits_for_its_name(venue):
    # The entry is known by its id; its stop came and went while nobody listened, and past executions name no parent.
    venue.translator.restore([(OURS, "O1")], [submit(attached=AttachedStop(trail_offset_bps=300))], ["T0"])
    stop = {**past_trade("T1", 2), "order_id": "C1", "side": "sell"}
    outputs = snapshot_of(venue, [past_trade("T0", 1), stop])
    assert "ForeignFill" not in kinds(outputs)
    assert not outputs[-1].trades_complete
    # An order on the entry's own side is no stop of ours.
    outputs = snapshot_of(venue, [past_trade("T0", 1), {**past_trade("T2", 3), "order_id": "X1"}])
    assert "ForeignFill" in kinds(outputs)


def test_a_list_with_a_stop_that_the_venue_made_of_an_execution_lacks_that_execution(venue):
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), venue.now_ns)
    tag = order_userref_of(OURS)
    venue.tell("new", {"order_id": "O1", "order_userref": tag, "symbol": "BTC/USD", "side": "buy", "order_qty": 1.0})
    # Neither a trade nor the entry: the rest of this list was lost.
    outputs = snapshot_of(venue, [{**STOP, "exec_type": "new", "order_id": "C1", "cl_ord_id": None, "ord_ref_id": "O1", "order_qty": 0.6}])
    assert not outputs[-1].trades_complete
    assert not snapshot_of(venue, [])[-1].trades_complete


def attached_entry(venue):
    """An entry with an attached stop rests, and nothing of it has executed as far as was told."""
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), venue.now_ns)
    venue.tell("new", {"order_id": "O1", "order_userref": order_userref_of(OURS), "symbol": "BTC/USD", "side": "buy", "order_qty": 1.0})


CHILD = {"exec_type": "new", "order_id": "C1", "cl_ord_id": None, "ord_ref_id": "O1", "order_qty": 0.6}


def test_a_list_with_the_stop_and_the_execution_that_it_was_made_of_lacks_nothing(venue):
    attached_entry(venue)
    venue.trade("T0", 0.4)
    trades = [past_trade("T0", 1), {**past_trade("T1", 2), "last_qty": 0.2}]
    assert snapshot_of(venue, [*trades, {**STOP, **CHILD}])[-1].trades_complete


def test_a_stop_that_the_owner_made_larger_before_it_was_told_keeps_lists_incomplete_for_a_minute_and_no_longer(venue):
    attached_entry(venue)
    venue.trade("T0", 0.4)
    for _ in range(59):
        assert not snapshot_of(venue, [past_trade("T0", 1), {**STOP, **CHILD}])[-1].trades_complete
        venue.now_ns += 1_000_000_000
    venue.now_ns += 2_000_000_000
    assert snapshot_of(venue, [past_trade("T0", 1), {**STOP, **CHILD}])[-1].trades_complete


def owners_trade(exec_id="M1", order_id="X1", second=5):
    """An execution by the owner's hand on the side of a stop; past executions name neither client id nor parent."""
    return {**past_trade(exec_id, second), "order_id": order_id, "side": "sell"}


def attached_life(venue):
    """An entry with an attached stop that executed whole, and its stop: seen on the stream by its parent's id, then executed."""
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), venue.now_ns)
    tag = order_userref_of(OURS)
    venue.tell("new", {"order_id": "O1", "order_userref": tag, "symbol": "BTC/USD", "side": "buy", "order_qty": 1.0})
    venue.trade("T0", 1.0)
    venue.tell("filled", {"order_id": "O1"}, cum_qty=1.0)
    venue.tell("new", {**STOP, "order_id": "C1", "cl_ord_id": None, "ord_ref_id": "O1"})
    venue.trade("T1", 1.0, order_id="C1", side="sell")
    venue.tell("filled", {"order_id": "C1"}, cum_qty=1.0)


def test_the_owners_trade_after_an_attached_position_is_over_leaves_a_snapshot_complete(venue):
    attached_life(venue)
    outputs = snapshot_of(venue, [past_trade("T1", 2), owners_trade()])
    assert "ForeignFill" in kinds(outputs)
    assert outputs[-1].trades_complete


def test_the_owners_trade_waits_while_an_attached_stop_of_what_has_executed_is_not_known(venue):
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), venue.now_ns)
    tag = order_userref_of(OURS)
    venue.tell("new", {"order_id": "O1", "order_userref": tag, "symbol": "BTC/USD", "side": "buy", "order_qty": 1.0})
    venue.trade("T0", 0.6)
    venue.tell("new", {**STOP, "order_id": "C1", "cl_ord_id": None, "ord_ref_id": "O1", "order_qty": 0.6})
    venue.trade("T1", 0.4)
    venue.tell("filled", {"order_id": "O1"}, cum_qty=1.0)
    outputs = snapshot_of(venue, [past_trade("T1", 2), owners_trade()])
    assert "ForeignFill" not in kinds(outputs)
    assert not outputs[-1].trades_complete


def test_the_owners_trade_waits_while_an_entry_with_an_attached_stop_may_still_execute(venue):
    venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), venue.now_ns)
    tag = order_userref_of(OURS)
    venue.tell("new", {"order_id": "O1", "order_userref": tag, "symbol": "BTC/USD", "side": "buy", "order_qty": 1.0})
    venue.trade("T0", 0.6)
    venue.tell("new", {**STOP, "order_id": "C1", "cl_ord_id": None, "ord_ref_id": "O1", "order_qty": 0.6})
    assert not snapshot_of(venue, [past_trade("T0", 2), owners_trade()])[-1].trades_complete


def test_an_entry_that_was_refused_has_no_attached_stop(venue):
    req_id = venue.translator.encode(submit(attached=AttachedStop(trail_offset_bps=300)), venue.now_ns).req_id
    venue.reply(req_id, success=False, error="EOrder:Insufficient funds")
    outputs = snapshot_of(venue, [owners_trade()])
    assert "ForeignFill" in kinds(outputs)


def test_an_attached_stop_that_whole_lists_do_not_name_for_a_minute_is_waited_for_no_longer():
    # What executes under the venue's minimum gets no stop; and of an entry that a log names nothing else may be known.
    venue = Venue()
    venue.translator.restore([(OURS, "O1")], [submit(attached=AttachedStop(trail_offset_bps=300))], ["T0"])
    for seconds in (0, 59, 60):
        venue.now_ns = 10 + seconds * 1_000_000_000
        assert snapshot_of(venue, [past_trade("T0", 1)])[-1].trades_complete
    outputs = snapshot_of(venue, [past_trade("T0", 1), owners_trade()])
    assert "ForeignFill" in kinds(outputs)
    assert outputs[-1].trades_complete


def test_lists_that_lack_executions_or_name_the_entry_as_open_do_not_end_the_waiting():
    venue = Venue()
    venue.translator.restore([(OURS, "O1")], [submit(attached=AttachedStop(trail_offset_bps=300))], ["T0"])
    works = {**ENTRY, "cl_ord_id": None, "exec_type": "new", "order_status": "new"}
    for seconds in range(0, 300, 30):
        venue.now_ns = 10 + seconds * 1_000_000_000
        snapshot_of(venue, [past_trade("T0", 1), works] if seconds % 60 else [past_trade("T7", 1)])
    assert not snapshot_of(venue, [past_trade("T0", 1), owners_trade()])[-1].trades_complete


def test_after_a_restart_the_owners_trade_is_not_held_for_an_attached_position_that_the_log_knows_to_be_over():
    venue = Venue()
    venue.translator.restore([(OURS, "O1")], [submit(attached=AttachedStop(trail_offset_bps=300))], ["T0"], over=[OURS])
    outputs = snapshot_of(venue, [past_trade("T0", 1), owners_trade()])
    assert "ForeignFill" in kinds(outputs)
    assert outputs[-1].trades_complete


def attached_child(order_id, parent, price=97, price_type="static", order_type="stop-loss", qty=1.0):
    triggers = {"price": price, "price_type": price_type, "status": "untriggered"}
    ids = {"order_id": order_id, "ord_ref_id": parent, "order_userref": 0}
    kind = {"exec_type": "new", "order_status": "new", "order_type": order_type, "side": "sell", "symbol": "BTC/USD"}
    return {**ids, **kind, "order_qty": qty, "triggers": triggers}


def snapshot_after_a_restart(*entries, attached):
    translator = KrakenTranslator("hf")
    translator.restore((), attached, ())
    frame = {"channel": "executions", "type": "snapshot", "data": list(entries), "sequence": 1}
    return list(translator.decode(json.dumps(frame), 1))


@pytest.mark.parametrize(
    ("stop", "child"),
    [
        (AttachedStop(trigger_price=Decimal(97)), {}),
        (AttachedStop(trail_offset_bps=300), {"price": 3.0, "price_type": "pct", "order_type": "trailing-stop"}),
    ],
)
def test_an_entry_that_left_just_before_a_crash_is_recognised_by_its_child(stop, child):
    # Past trades without `order_userref`: nothing else names the entry, which can have no client id.
    trade = {**past_trade("T1", 1), "order_id": "P1", "order_userref": 0, "cl_ord_id": None}
    outputs = snapshot_after_a_restart(trade, attached_child("C1", "P1", **child), attached=[submit(attached=stop)])
    assert kinds(outputs) == ["OrderFilled", "ChildDiscovered", "OrderAccepted", "SnapshotTaken"]
    assert (outputs[0].client_order_id, outputs[0].venue_order_id, outputs[1].parent_venue_order_id) == (OURS, "P1", "P1")


@pytest.mark.parametrize(
    "child", [{"price": 96}, {"qty": 1.5}, {"price": "NaN"}, {"price": 97, "price_type": "pct", "order_type": "trailing-stop"}]
)
def test_the_child_of_somebody_elses_entry_makes_it_none_of_ours(child):
    attached = [submit(attached=AttachedStop(trigger_price=Decimal(97)))]
    outputs = snapshot_after_a_restart({**past_trade("T1", 1), "order_id": "P1"}, attached_child("C1", "P1", **child), attached=attached)
    assert not any(isinstance(output, f.OrderFilled | f.ChildDiscovered) for output in outputs)


def test_a_child_that_may_be_of_two_entries_is_taken_for_none_of_them():
    stop = AttachedStop(trigger_price=Decimal(97))
    entries = [submit(attached=stop), submit("hf00000200001a", attached=stop)]
    outputs = snapshot_after_a_restart(attached_child("C1", "P1"), attached=entries)
    assert not any(isinstance(output, f.ChildDiscovered) for output in outputs)


def test_an_execution_that_no_list_names_is_nobodys_however_many_lists_come():
    # An entry with an attached stop has no client id, and REST, which would tell whose it is, is away.
    venue = Venue(KrakenTranslator("hf"))
    venue.translator.restore((), [submit(attached=AttachedStop(trail_offset_bps=300))], ["T0"])
    trade = {"order_id": "P1", "exec_type": "trade", "exec_id": "T1", "symbol": "BTC/USD", "side": "buy", "last_qty": 0.5, "last_price": 9}
    rests = {"order_id": "P1", "exec_type": "new", "symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": 1, "cum_qty": 1}
    heard = [venue.hear([trade, rests], type="snapshot") for _ in range(3 * orders_module.HELD_PER_ORDER)]
    assert {tuple(kinds(outputs)) for outputs in heard} == {("SnapshotTaken",)}


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_ended_orders_are_forgotten_after_a_while(monkeypatch):
    monkeypatch.setattr(orders_module, "ENDED_ORDERS_KEPT", 10)
    venue = Venue()
    for i in range(50):
        venue.tell("canceled", {"order_id": f"O{i}", "cl_ord_id": f"hf{i:06}00001a"})
    assert sum(bool(venue.translator.known_client_id(f"O{i}")) for i in range(50)) == 10


def test_a_flood_of_strangers_does_not_push_out_an_open_order_of_ours(monkeypatch):
    monkeypatch.setattr(orders_module, "ORDERS_KEPT", 10)
    venue = Venue()
    venue.tell("new", ENTRY)
    for i in range(100):
        venue.tell("new", {"order_id": f"X{i}", "cl_ord_id": f"else{i}"})
    assert venue.translator.known_client_id("O1") == OURS
    assert len(venue.translator._orders._records) == 10
