"""Questions beside the stream against the simulated venue's REST, without sockets: what they add, and what they never prove."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from events import facts as f
from events.commands import AttachedStop, SubmitOrder
from events.values import Side
from venues import messages as m
from venues.kraken.encode import TOKEN_PLACEHOLDER
from venues.kraken.lookups import LAG_NS
from venues.kraken.translate import KrakenTranslator
from venues.simulated.faults import Faults

from .conftest import SECOND_NS, Asker, MakeClient, PureClient

ORDER = "hf000001000100"


class Engine:
    """The translator of an engine, its questions answered by the venue's REST."""

    def __init__(self, client: PureClient, *, asks_ledgers: bool = False) -> None:
        self.client, self.asker = client, Asker(client)
        self.translator = KrakenTranslator("hf", ["BTC/USD"], asks_ledgers=asks_ledgers)
        self.lookups = self.translator.lookups
        self.asked: list[str] = []
        self.altered: Callable[[str], str] = lambda text: text
        self._seen = 0

    def hear(self) -> list[Any]:
        """Take what the stream has said since the last time."""
        texts, self._seen = self.client.texts[self._seen :], len(self.client.texts)
        return [item for text in texts for item in self.translator.decode(text, self.client.now_ns)]

    def miss(self) -> None:
        """Lose what the stream has said since the last time."""
        self._seen = len(self.client.texts)

    def snapshot(self) -> m.SnapshotTaken:
        """Ask for a snapshot and take it."""
        self.client.send("unsubscribe", channel="executions", token="token")
        self.client.send("subscribe", channel="executions", snap_trades=True, token="token")
        (taken,) = [item for item in self.hear() if isinstance(item, m.SnapshotTaken)]
        return taken

    def answers(self, problem: str = "") -> list[Any]:
        """Let the venue answer until nothing is asked any more."""
        heard: list[Any] = []
        while self.lookups.questions:
            question = self.lookups.questions.pop(0)
            name = question.path.rpartition("/")[2]
            self.asked.append(name)
            text = "" if problem else self.altered(self.asker.text(name, **question.params))
            now_ns = self.client.now_ns
            answer = m.QuestionAnswered(number=question.number, asked_ns=now_ns, ts_recv_ns=now_ns, text=text, problem=problem)
            heard += self.lookups.answered(answer)
        return heard

    def look_for(self, order: str = ORDER, *, sent_ns: int = 0, venue_order_id: str = "") -> list[Any]:
        self.lookups.order(order, venue_order_id, sent_ns, self.client.now_ns)
        return self.answers()


def kinds(heard: Sequence[Any]) -> list[str]:
    return [type(item).__name__ for item in heard]


def test_an_order_that_nobody_told_of_is_found_with_its_end_and_its_fills(client: PureClient) -> None:
    engine = Engine(client)
    client.order("market", "buy", "2.5", cl_ord_id=ORDER)
    engine.miss()
    heard = engine.look_for()
    assert engine.asked == ["OpenOrders", "ClosedOrders", "TradesHistory"]
    assert kinds(heard)[0] == "OrderCompleted"
    fills = [item for item in heard if isinstance(item, f.OrderFilled)]
    assert sum(fill.last_qty for fill in fills) == Decimal("2.5")
    assert {fill.client_order_id for fill in fills} == {ORDER}
    assert all(fill.fees and fill.fees[0].asset == "USD" and fill.ts_event_ns > 0 for fill in fills)
    # The same executions by the stream: the same ids, so that whoever books them takes them once.
    client.send("unsubscribe", channel="executions", token="token")
    client.send("subscribe", channel="executions", snap_trades=True, token="token")
    assert {x.trade_id for x in engine.hear() if isinstance(x, f.OrderFilled)} == {fill.trade_id for fill in fills}


def test_that_an_order_is_open_by_rest_is_not_told_but_its_id_is_learnt(client: PureClient) -> None:
    engine = Engine(client)
    order_id = client.placed("stop-loss", "sell", "1", triggers={"price": Decimal(59_000)}, cl_ord_id=ORDER)
    engine.miss()
    assert engine.look_for() == []
    assert (engine.asked, engine.translator.known_venue_id(ORDER)) == (["OpenOrders"], order_id)


def test_a_late_rest_answer_revives_no_order_that_the_stream_has_ended(make_client: MakeClient) -> None:
    client = make_client(rest_lag_ms=60_000)
    engine = Engine(client)
    client.placed("stop-loss", "sell", "1", triggers={"price": Decimal(59_000)}, cl_ord_id=ORDER)
    client.wait(61)
    client.trade("cancel_order", cl_ord_id=[ORDER])
    assert "OrderCanceled" in kinds(engine.hear())
    assert engine.look_for() == []


def test_absence_is_told_only_when_rest_cannot_be_behind_any_more(client: PureClient) -> None:
    engine = Engine(client)
    sent_ns = client.now_ns
    client.wait(30)
    assert engine.look_for(sent_ns=sent_ns) == []
    assert engine.asked == ["OpenOrders", "ClosedOrders", "TradesHistory"]
    client.wait(40)
    (lost,) = engine.look_for(sent_ns=sent_ns)
    assert isinstance(lost, f.OrderNotFound)
    assert (lost.client_order_id, lost.asked_ns, lost.trades_complete) == (ORDER, client.now_ns - LAG_NS, True)


def test_a_fill_in_the_trades_is_found_though_no_list_has_its_order(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client)
    client.order("market", "buy", "0.1", cl_ord_id=ORDER)
    engine.miss()
    sent_ns = client.now_ns - 2 * SECOND_NS
    client.wait(70)
    faults.arm("rest_empty", on="rest:ClosedOrders")
    heard = engine.look_for(sent_ns=sent_ns)
    assert engine.asked == ["OpenOrders", "ClosedOrders", "TradesHistory", "QueryOrders"]
    assert kinds(heard) == ["OrderFilled", "OrderCompleted"]


def sent_with_a_stop(client: PureClient) -> SubmitOrder:
    """Let an engine before this one send an entry with an attached stop."""
    entry = SubmitOrder(
        client_order_id=ORDER,
        symbol="BTC/USD",
        role="entry",
        side=Side.BUY,
        order_type="market",
        qty=Decimal("0.1"),
        attached=AttachedStop(trail_offset_bps=100),
    )
    request = Engine(client).translator.encode(entry, client.now_ns)
    client.send_text(request.frame_text.replace(TOKEN_PLACEHOLDER, "token"))
    return entry


def behind_a_restart(client: PureClient, entry: SubmitOrder) -> Engine:
    """Return an engine that knows that entry by its log alone, and has heard a list that names nobody's executions."""
    engine = Engine(client)
    engine.translator.restore((), [entry], ())
    engine.miss()
    assert not engine.snapshot().trades_complete
    return engine


def test_an_entry_and_its_stop_that_came_and_went_before_a_restart_are_both_ours(make_client: MakeClient) -> None:
    # Neither has a client id, and past executions carry no number: only REST says whose they are.
    client = make_client(snapshot_userref=False)
    entry = sent_with_a_stop(client)
    client.price("58000")
    client.wait(1)
    engine = behind_a_restart(client, entry)
    engine.lookups.bridge(0, client.now_ns, client.now_ns)
    heard = engine.answers()
    # Held back from the snapshot, and told by REST: whoever books takes each id once.
    fills = list({item.trade_id: item for item in heard if isinstance(item, f.OrderFilled)}.values())
    assert [fill.side for fill in fills] == [Side.BUY, Side.SELL]
    (child,) = [item for item in heard if isinstance(item, f.ChildDiscovered)]
    assert (child.parent_venue_order_id, child.venue_order_id) == (fills[0].venue_order_id, fills[1].venue_order_id)
    assert kinds(heard).count("OrderCompleted") == 2
    assert not [item for item in heard if isinstance(item, m.ForeignFill)]


def test_a_list_of_trades_that_is_older_than_the_newest_of_the_snapshot_closes_no_gap(make_client: MakeClient) -> None:
    """The snapshot held the stop's execution back until REST says whose it is: a list without it is too old to say so."""
    faults = Faults()
    client = make_client(faults=faults)
    entry = sent_with_a_stop(client)
    client.wait(10)
    client.price("58000")
    client.wait(1)
    engine = behind_a_restart(client, entry)
    faults.arm("rest_stale", on="rest:TradesHistory", seconds=5)
    engine.lookups.bridge(0, client.now_ns, client.now_ns)
    heard = engine.answers()
    assert [fill.side for fill in heard if isinstance(fill, f.OrderFilled)] == [Side.BUY]
    assert engine.translator.has_gap
    assert not engine.snapshot().trades_complete
    client.wait(5)
    engine.lookups.due(client.now_ns)
    heard = engine.answers()
    assert {fill.side for fill in heard if isinstance(fill, f.OrderFilled)} == {Side.BUY, Side.SELL}
    assert kinds(heard)[-1] == "TradesCompleted"


def test_an_attached_stop_is_ours_also_where_its_entry_executed_before_the_time_that_is_read(make_client: MakeClient) -> None:
    client = make_client(tier="unlimited")
    entry = sent_with_a_stop(client)
    client.wait(10)
    since_ns = client.now_ns
    client.price("58000")
    client.wait(1)
    engine = Engine(client)
    engine.translator.restore((), [entry], ())
    engine.miss()
    engine.lookups.bridge(since_ns, client.now_ns, client.now_ns)
    heard = engine.answers()
    assert engine.asked == ["TradesHistory", "QueryOrders", "QueryOrders"]
    assert [item.side for item in heard if isinstance(item, f.OrderFilled)] == [Side.SELL]
    assert not [item for item in heard if isinstance(item, m.ForeignFill)]


def missed(engine: Engine, count: int = 70) -> None:
    """Know one execution, then miss many, of which one is of an order of ours."""
    client = engine.client
    client.order("market", "buy", "0.001", cl_ord_id="hf000001000000")
    engine.hear()
    for number in range(count):
        client.wait(1)
        client.order("market", "buy", "0.001", **({"cl_ord_id": ORDER} if number == 5 else {}))
    engine.miss()


def behind_a_gap(client: PureClient, *others: str) -> Engine:
    """Return an engine that heard one execution, and none of `ORDER` and of `others` behind it."""
    engine = Engine(client)
    client.order("market", "buy", "0.001", cl_ord_id="hf000002000000")
    engine.hear()
    client.order("market", "buy", "0.1", cl_ord_id=ORDER)
    for other in others:
        client.order("market", "buy", "0.2", cl_ord_id=other)
    engine.miss()
    engine.translator.decode('{"channel":"executions","type":"snapshot","sequence":9,"data":[]}', client.now_ns)
    assert engine.translator.has_gap
    return engine


def test_a_gap_that_a_snapshot_does_not_bridge_is_read_until_it_overlaps(make_client: MakeClient) -> None:
    client = make_client(tier="unlimited")
    engine = Engine(client)
    since_ns = client.now_ns
    missed(engine)
    assert not engine.snapshot().trades_complete
    engine.lookups.bridge(since_ns, client.now_ns, client.now_ns)
    heard = engine.answers()
    assert engine.asked.count("TradesHistory") == 2
    assert ORDER in {item.client_order_id for item in heard if isinstance(item, f.OrderFilled)}
    assert kinds(heard)[-1] == "TradesCompleted"
    assert engine.snapshot().trades_complete


def test_a_gap_is_closed_before_any_single_order_is_looked_for(make_client: MakeClient) -> None:
    client = make_client(tier="unlimited")
    engine = Engine(client)
    since_ns = client.now_ns
    missed(engine)
    engine.snapshot()
    orders = [f"hf00000{number}000100" for number in range(2, 9)]
    for order in orders:
        engine.lookups.order(order, "", since_ns, client.now_ns)
    engine.lookups.bridge(since_ns, client.now_ns, client.now_ns)
    engine.answers()
    # The search that was out when the gap was seen ends first.
    second = engine.asked.index("OpenOrders", 1)
    assert engine.asked[:second].count("TradesHistory") == 4  # two pages for it, two for the gap
    assert engine.asked.count("OpenOrders") == len(orders)


def test_a_second_page_that_is_older_than_the_first_is_no_end_of_the_trades(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(tier="unlimited", faults=faults, snapshot_trades=2)
    engine = Engine(client)
    client.order("market", "buy", "0.001", cl_ord_id="hf000001000000")
    engine.hear()
    client.wait(30)
    for number in range(5):
        client.order("market", "buy", "0.001", cl_ord_id=f"hf00000100{number + 1}000")
    engine.miss()
    assert not engine.snapshot().trades_complete
    faults.arm("rest_partial", on="rest:TradesHistory")
    faults.arm("rest_stale", on="rest:TradesHistory", seconds=60, after=1)
    engine.lookups.bridge(client.now_ns - 20 * SECOND_NS, client.now_ns, client.now_ns)
    assert "TradesCompleted" not in kinds(engine.answers())
    assert engine.translator.has_gap
    client.wait(5)
    engine.lookups.due(client.now_ns)
    heard = engine.answers()
    assert kinds(heard)[-1] == "TradesCompleted"
    assert len({item.trade_id for item in heard if isinstance(item, f.OrderFilled)}) == 5


def test_a_gap_that_opens_while_the_trades_are_read_is_not_closed_by_them(make_client: MakeClient) -> None:
    client = make_client(tier="unlimited", snapshot_trades=2)
    engine = Engine(client)
    client.order("market", "buy", "0.001", cl_ord_id="hf000001000000")
    engine.hear()

    def missing(*numbers: int) -> None:
        for number in numbers:
            client.order("market", "buy", "0.001", cl_ord_id=f"hf00000100{number}000")
        engine.miss()
        assert not engine.snapshot().trades_complete
        engine.lookups.bridge(client.now_ns - SECOND_NS, client.now_ns, client.now_ns)

    missing(1, 2, 3)
    trades = engine.lookups.questions.pop()
    text = engine.asker.text("TradesHistory", **trades.params)
    engine.lookups.answered(m.QuestionAnswered(number=trades.number, asked_ns=client.now_ns, ts_recv_ns=client.now_ns, text=text))
    assert [question.path for question in engine.lookups.questions] == ["/0/private/QueryOrders"]
    missing(4, 5, 6)
    heard = engine.answers()
    assert "TradesCompleted" not in kinds(heard)
    assert engine.translator.has_gap
    client.wait(5)
    engine.lookups.due(client.now_ns)
    heard += engine.answers()
    assert kinds(heard)[-1] == "TradesCompleted"
    assert {"hf000001001000", "hf000001004000"} <= {x.client_order_id for x in heard if isinstance(x, f.OrderFilled)}


def test_a_gap_stays_open_while_rest_is_behind_the_snapshot(make_client: MakeClient) -> None:
    client = make_client(tier="unlimited", rest_lag_ms=60_000)
    engine = Engine(client)
    since_ns = client.now_ns
    # A burst: everything that was missed is younger than what REST shows.
    client.order("market", "buy", "0.001", cl_ord_id="hf000001000000")
    engine.hear()
    client.wait(70)
    for number in range(70):
        client.order("market", "buy", "0.001", **({"cl_ord_id": ORDER} if number == 5 else {}))
    engine.miss()
    assert not engine.snapshot().trades_complete
    engine.lookups.bridge(since_ns, client.now_ns, client.now_ns)
    assert "TradesCompleted" not in kinds(engine.answers())
    assert not engine.snapshot().trades_complete
    heard: list[Any] = []
    for _ in range(14):
        client.wait(5)
        engine.lookups.due(client.now_ns)
        heard += engine.answers()
    assert ORDER in {item.client_order_id for item in heard if isinstance(item, f.OrderFilled)}
    assert kinds(heard).count("TradesCompleted") == 1
    # Each reading to the end says until when nothing can be missing, also where that is not late enough for the gap.
    told_ns = [item.as_of_ns for item in heard if isinstance(item, m.TradesRead)]
    assert len(told_ns) > 1
    assert all(at_ns < client.now_ns - 60 * SECOND_NS + 1 for at_ns in told_ns)
    assert engine.lookups.next_due_ns() is None
    assert engine.snapshot().trades_complete


@pytest.mark.parametrize("fault", ["rest_empty", "rest_partial", "rest_refused", "rest_429"])
def test_an_answer_that_lies_or_fails_never_closes_a_gap_over_a_missing_fill(make_client: MakeClient, fault: str) -> None:
    faults = Faults()
    client = make_client(tier="unlimited", faults=faults)
    engine = Engine(client)
    since_ns = client.now_ns
    missed(engine)
    engine.snapshot()
    faults.arm(fault, count=2)
    engine.lookups.bridge(since_ns, client.now_ns, client.now_ns)
    heard = engine.answers()
    for _ in range(6):
        if not engine.translator._orders.has_gap:
            break
        client.wait(5)
        engine.lookups.due(client.now_ns)
        heard += engine.answers()
    told = {item.client_order_id for item in heard if isinstance(item, f.OrderFilled)}
    assert (ORDER in told, kinds(heard).count("TradesCompleted")) == (True, 1)


def test_a_question_is_asked_once_at_a_time_and_one_that_failed_makes_room(client: PureClient) -> None:
    engine = Engine(client)
    for _ in range(3):
        engine.lookups.order(ORDER, "", 0, client.now_ns)
    assert len(engine.lookups.questions) == 1
    (refused,) = engine.answers("the network is gone")
    assert isinstance(refused, m.FrameRefused)
    client.wait(6)
    engine.lookups.order(ORDER, "", 0, client.now_ns)
    assert [question.number for question in engine.lookups.questions] == [2]
    stale = m.QuestionAnswered(number=1, asked_ns=0, ts_recv_ns=client.now_ns, text='{"error":[],"result":{}}')
    assert engine.lookups.answered(stale) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"error":[],"result":null}', '{"error":1}', "[" * 100_000, '{"error":[],"result":{"open":{"O":{}}}}'],
)
def test_nonsense_adds_nothing_and_raises_nothing(client: PureClient, text: str) -> None:
    engine = Engine(client)
    engine.lookups.order(ORDER, "", 0, client.now_ns)
    heard = engine.lookups.answered(m.QuestionAnswered(number=1, asked_ns=0, ts_recv_ns=client.now_ns, text=text))
    assert kinds(heard) in ([], ["FrameRefused"])


# Between the name of a member and its value, each spoils one field of an order or a trade.
TAKEN = [
    ('"userref":', '"userref":"0","x":'),
    ('"cl_ord_id":', '"num":7,"cl_ord_id":'),
    ('"maker":', '"maker":"false","x":'),
    ('"count":', '"count":"1","x":'),
    ('"ordertxid":', '"unheard":1e400,"of":[{"x":-1e999}],"ordertxid":'),
]
TOLD = [
    ('"descr":', '"descr":null,"x":'),
    ('"descr":', '"descr":7,"x":'),
    ('"reason":', '"reason":{"code":1},"x":'),
    ('"maker":', '"maker":"perhaps","x":'),
    ('"pair":', '"pair":[],"x":'),
    ('"count":', '"count":[],"x":'),
    ('"status":', '"status":{},"x":'),
]


@pytest.mark.parametrize(("field", "odd"), TAKEN + TOLD)
def test_a_field_of_another_type_than_documented_costs_itself_and_not_the_answer_with_the_fills_in_it(
    client: PureClient, field: str, odd: str
) -> None:
    engine = Engine(client)
    engine.altered = lambda text: text.replace(field, odd)
    client.order("market", "buy", "0.1", cl_ord_id=ORDER)
    engine.miss()
    heard = engine.look_for()
    (fill,) = [item for item in heard if isinstance(item, f.OrderFilled)]
    assert (fill.client_order_id, fill.last_qty) == (ORDER, Decimal("0.1"))
    refused = [item.reason for item in heard if isinstance(item, m.FrameRefused)]
    if (field, odd) in TAKEN:
        assert refused == []
    assert all(field.strip('":') in reason for reason in refused)
    ends = kinds(heard).count("OrderCompleted")
    assert ends == (0 if field == '"status":' else 1)


@pytest.mark.parametrize("odd", ['"cl_ord_id":{"is":7},"x":', '"cl_ord_id":[],"x":'])
def test_an_order_whose_ids_cannot_be_read_is_nobodys_yet_and_the_trades_of_others_do_not_wait(client: PureClient, odd: str) -> None:
    engine = behind_a_gap(client, "hf000003000000")
    engine.altered = lambda text: text.replace('"cl_ord_id":"hf000003000000"', f'{odd}"hf000003000000"')
    engine.lookups.bridge(client.now_ns - SECOND_NS, client.now_ns, client.now_ns)
    heard = engine.answers()
    assert [(x.client_order_id, x.last_qty) for x in heard if isinstance(x, f.OrderFilled) and x.last_qty > Decimal("0.01")] == [
        (ORDER, Decimal("0.1"))
    ]
    assert not {"ForeignFill", "TradesCompleted"} & set(kinds(heard))
    engine.altered = lambda text: text
    client.wait(5)
    engine.lookups.due(client.now_ns)
    heard = engine.answers()
    assert "hf000003000000" in {x.client_order_id for x in heard if isinstance(x, f.OrderFilled)}


@pytest.mark.parametrize("odd", ['"ordertxid":null,"x":', '"ordertxid":{},"x":'])
def test_a_trade_whose_order_cannot_be_read_keeps_the_gap_open(client: PureClient, odd: str) -> None:
    engine = behind_a_gap(client)
    engine.altered = lambda text: text.replace('"ordertxid":', odd, 1)
    gap_ns = client.now_ns
    client.wait(70)
    engine.lookups.bridge(gap_ns - SECOND_NS, gap_ns, client.now_ns)
    assert "TradesCompleted" not in kinds(engine.answers())
    engine.altered = lambda text: text
    client.wait(5)
    engine.lookups.due(client.now_ns)
    assert {"OrderFilled", "TradesCompleted"} <= set(kinds(engine.answers()))


@pytest.mark.parametrize("trades", ["[]", "[{}]", "null", '"none"', "missing"])
def test_trades_that_come_in_another_form_are_no_empty_list_and_close_no_gap(client: PureClient, trades: str) -> None:
    engine = behind_a_gap(client)
    engine.altered = lambda text: '{"error":[],"result":{}}' if trades == "missing" else f'{{"error":[],"result":{{"trades":{trades}}}}}'
    gap_ns = client.now_ns
    client.wait(70)
    engine.lookups.bridge(gap_ns - SECOND_NS, gap_ns, client.now_ns)
    assert kinds(engine.answers()) == ["FrameRefused"]
    assert engine.translator.has_gap
    engine.altered = lambda text: text
    client.wait(5)
    engine.lookups.due(client.now_ns)
    assert {"OrderFilled", "TradesCompleted"} <= set(kinds(engine.answers()))


@pytest.mark.parametrize("orders", ["[]", "[{}]", "null", "missing"])
@pytest.mark.parametrize("name", ["OpenOrders", "ClosedOrders"])
def test_orders_that_come_in_another_form_prove_no_absence(client: PureClient, name: str, orders: str) -> None:
    engine = Engine(client)
    member = name.removesuffix("Orders").lower()
    odd = '{"error":[],"result":{}}' if orders == "missing" else f'{{"error":[],"result":{{"{member}":{orders}}}}}'
    engine.altered = lambda text: odd if engine.asked[-1] == name else text
    sent_ns = client.now_ns
    client.wait(120)
    assert "OrderNotFound" not in kinds(engine.look_for(sent_ns=sent_ns))
    engine.altered = lambda text: text
    client.wait(6)
    assert "OrderNotFound" in kinds(engine.look_for(sent_ns=sent_ns))


@pytest.mark.parametrize("status", ["canceled", "expired", "closed"])
@pytest.mark.parametrize("vol_exec", ['"NaN"', "null", '"-1"', "{}"])
def test_an_end_that_does_not_say_how_much_was_executed_is_not_told_and_the_trades_are_read(
    client: PureClient, status: str, vol_exec: str
) -> None:
    engine = Engine(client)
    client.order("market", "buy", "0.1", cl_ord_id=ORDER)
    engine.miss()
    spoiled = f'"vol_exec":{vol_exec},"x":'
    engine.altered = lambda text: text.replace('"status":"closed"', f'"status":"{status}"').replace('"vol_exec":', spoiled)
    heard = engine.look_for()
    assert [kind for kind in kinds(heard) if kind != "FrameRefused"] == ["OrderFilled"]
    engine.altered = lambda text: text
    client.wait(6)
    assert "OrderCompleted" in kinds(engine.look_for())


def test_what_the_account_holds_on_margin_is_told_net_and_as_old_as_it_may_be(client: PureClient) -> None:
    engine = Engine(client)
    for side, qty in (("sell", "0.3"), ("sell", "0.2"), ("buy", "0.1")):
        client.order("market", side, qty, margin=True)
    engine.lookups.margin(client.now_ns)
    (told,) = engine.answers()
    assert told == m.MarginHeld(
        holdings=(("BTC/USD", Decimal("-0.4")),), asked_ns=client.now_ns, as_of_ns=client.now_ns - LAG_NS, ts_recv_ns=client.now_ns
    )
    engine.lookups.margin(client.now_ns)
    assert (engine.asked, engine.answers()) == (["OpenPositions"], [])


@pytest.mark.parametrize(
    "result", ['{"T":{"pair":"XXBTZUSD","type":"long","vol":"1"}}', '{"T":{"pair":"XXBTZUSD","type":"buy","vol":"x"}}', "[]"]
)
def test_positions_that_cannot_be_read_tell_nothing(client: PureClient, result: str) -> None:
    engine = Engine(client)
    engine.lookups.margin(client.now_ns)
    text = f'{{"error":[],"result":{result}}}'
    number = engine.lookups.questions.pop().number
    heard = engine.lookups.answered(m.QuestionAnswered(number=number, asked_ns=0, ts_recv_ns=client.now_ns, text=text, problem=""))
    assert kinds(heard) == ["FrameRefused"]


# --- fees -----------------------------------------------------------------------------------------------------------


def charged(heard: Sequence[Any]) -> list[tuple[str, ...]]:
    """Return the assets of the fees of each execution that was told, nothing for those of which it is not known."""
    return [tuple(fee.asset for fee in x.fees) for x in heard if isinstance(x, f.OrderFilled)]


def bought(engine: Engine, faults: Faults, *, in_base: bool = True, qty: str = "0.1") -> None:
    """Let an order of ours buy without the stream's word."""
    if in_base:
        faults.arm("base_fee")
    engine.client.order("market", "buy", qty, cl_ord_id=ORDER)
    engine.miss()


@pytest.mark.parametrize("in_base", [True, False])
def test_an_execution_that_rest_tells_is_told_at_once_and_its_fee_when_the_ledger_says_of_which_asset(
    make_client: MakeClient, in_base: bool
) -> None:
    faults = Faults()
    engine = Engine(make_client(faults=faults), asks_ledgers=True)
    bought(engine, faults, in_base=in_base)
    heard = engine.look_for()
    assert engine.asked == ["OpenOrders", "ClosedOrders", "TradesHistory", "Ledgers"]
    first, second = (x for x in heard if isinstance(x, f.OrderFilled))
    (fill,) = engine.client.gateway.exchange.account.fills
    assert (first.fees, first.fee_worth, first.is_fee_open) == ((), fill.fee_quote, True)
    assert second.fees == (f.Fee(asset="BTC" if in_base else "USD", qty=fill.fee),)
    assert not second.is_fee_open
    assert second == msgspec.structs.replace(first, fees=second.fees)
    assert engine.lookups.next_due_ns() is None


def test_an_execution_that_rest_alone_has_told_does_not_make_a_list_whole_that_reaches_back_to_it(make_client: MakeClient) -> None:
    """The stream may be stalled before anybody has noticed: what it has not told of before that one is missing."""
    engine = Engine(make_client(snapshot_trades=1))
    engine.client.order("market", "buy", "0.1", cl_ord_id="hf000001000000")
    engine.hear()
    engine.client.order("market", "sell", "0.1", cl_ord_id="hf000001000010")
    engine.client.wait(1)
    engine.client.order("market", "buy", "0.2", cl_ord_id=ORDER)
    engine.miss()
    told = [x for x in engine.look_for() if isinstance(x, f.OrderFilled)]
    assert {(x.client_order_id, x.behind_gap) for x in told} == {(ORDER, True)}
    assert not engine.snapshot().trades_complete


def test_what_rest_told_first_is_known_as_anything_else_once_the_stream_has_told_it(make_client: MakeClient) -> None:
    engine = Engine(make_client(snapshot_trades=1))
    engine.client.order("market", "buy", "0.1", cl_ord_id="hf000001000000")
    engine.hear()
    engine.client.order("market", "buy", "0.2", cl_ord_id=ORDER)
    engine.look_for()
    engine.hear()
    assert engine.snapshot().trades_complete


def test_what_the_stream_tells_of_an_execution_after_rest_is_no_more_than_its_fee(make_client: MakeClient) -> None:
    faults = Faults()
    engine = Engine(make_client(faults=faults), asks_ledgers=True)
    engine.client.order("market", "buy", "0.1", cl_ord_id=ORDER)
    faults.arm("rest_refused", on="rest:Ledgers")
    (first,) = (x for x in engine.look_for() if isinstance(x, f.OrderFilled))
    assert first.is_fee_open
    (second,) = (x for x in engine.hear() if isinstance(x, f.OrderFilled))
    assert (second.trade_id, second.fees[0].asset, second.tells_fee) == (first.trade_id, "USD", True)


def test_a_session_of_before_asks_no_ledger(make_client: MakeClient) -> None:
    faults = Faults()
    engine = Engine(make_client(faults=faults))
    bought(engine, faults)
    assert charged(engine.look_for()) == [("USD",)]
    assert engine.asked == ["OpenOrders", "ClosedOrders", "TradesHistory"]


def test_a_fee_on_margin_is_told_at_once_where_the_trade_says_that_it_is_on_margin(client: PureClient) -> None:
    engine = Engine(client, asks_ledgers=True)
    client.order("market", "buy", "0.1", cl_ord_id=ORDER, margin=True)
    engine.miss()
    assert charged(engine.look_for()) == [("USD",)]
    assert "Ledgers" not in engine.asked


@pytest.mark.parametrize("fault", ["rest_empty", "rest_stale", "rest_429", "rest_refused"])
def test_a_ledger_that_does_not_tell_is_asked_again_ever_less_often(make_client: MakeClient, fault: str) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    faults.arm(fault, on="rest:Ledgers", count=2, seconds=60)
    assert charged(engine.look_for()) == [()]
    for wait_s in (5, 10):
        due_ns = engine.lookups.next_due_ns()
        assert due_ns == client.now_ns + wait_s * SECOND_NS
        engine.lookups.due(due_ns - 1)
        assert engine.answers() == []
        client.wait(wait_s)
        engine.lookups.due(client.now_ns)
        heard = engine.answers()
    assert charged(heard) == [("BTC",)]


def test_half_of_the_ledger_is_half_of_an_answer(make_client: MakeClient) -> None:
    faults = Faults()
    engine = Engine(make_client(faults=faults), asks_ledgers=True)
    bought(engine, faults)
    faults.arm("rest_partial", on="rest:Ledgers")
    assert charged(engine.look_for()) == [(), ("BTC",)]
    assert engine.asked.count("Ledgers") == 2


def test_what_the_ledger_never_shows_counts_as_taken_in_the_quote_asset_and_is_told(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    faults.arm("rest_stale", on="rest:Ledgers", count=None, seconds=500)
    heard, begun_ns = engine.look_for(), client.now_ns
    while (due_ns := engine.lookups.next_due_ns()) is not None:
        client.wait((due_ns - client.now_ns) / SECOND_NS)
        engine.lookups.due(client.now_ns)
        heard += engine.answers()
    assert client.now_ns - begun_ns == 75 * SECOND_NS
    assert charged(heard) == [(), ("USD",)]
    (told,) = [x for x in heard if isinstance(x, m.FeeUnknown)]
    assert "the ledger does not show it" in told.text


def test_a_ledger_that_cannot_be_read_is_given_up_after_some_minutes(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    faults.arm("rest_refused", on="rest:Ledgers", count=None)
    heard, begun_ns = engine.look_for(), client.now_ns
    while (due_ns := engine.lookups.next_due_ns()) is not None:
        client.wait((due_ns - client.now_ns) / SECOND_NS)
        engine.lookups.due(client.now_ns)
        heard += engine.answers()
    assert client.now_ns - begun_ns <= 180 * SECOND_NS
    assert charged(heard) == [(), ("USD",)]


def test_a_key_that_may_not_ask_the_ledger_is_noticed_once_and_fees_are_told_as_they_were_before(make_client: MakeClient) -> None:
    client = make_client(faults=(faults := Faults()), key_lacks="query_ledger")
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    heard = engine.look_for()
    assert charged(heard) == [(), ("USD",)]
    assert ["may not query ledger" in x.text for x in heard if isinstance(x, m.FeeUnknown)] == [True]
    client.wait(60)
    client.order("market", "buy", "0.1", cl_ord_id="hf000001000200")
    engine.miss()
    assert charged(engine.look_for("hf000001000200"))[-1] == ("USD",)
    assert engine.asked.count("Ledgers") == 1


def test_what_the_stream_tells_of_a_fee_ends_the_question(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    faults.arm("rest_empty", on="rest:Ledgers")
    engine.look_for()
    client.send("unsubscribe", channel="executions", token="token")
    client.send("subscribe", channel="executions", snap_trades=True, token="token")
    assert ("BTC",) in charged(engine.hear())
    assert engine.lookups.next_due_ns() is None


def test_a_second_reading_of_the_trades_does_not_answer_what_the_ledger_is_asked(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    faults.arm("rest_empty", on="rest:Ledgers")
    engine.look_for()
    engine.lookups.bridge(client.now_ns - 60 * SECOND_NS, client.now_ns, client.now_ns)
    assert charged(engine.answers()) == [()]


def test_a_restart_asks_again_for_what_its_log_lacks(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    faults.arm("rest_empty", on="rest:Ledgers")
    (open_fee,) = [x for x in engine.look_for() if isinstance(x, f.OrderFilled)]
    later = Engine(client, asks_ledgers=True)
    later.translator.restore([], [], [open_fee.trade_id], feeless=[("BTC/USD", open_fee)])
    later.lookups.due(client.now_ns)
    assert charged(later.answers()) == [("BTC",)]


@pytest.mark.parametrize("result", ['{"ledger":{"L":{"refid":"T"}}}', '{"ledger":[]}', "[]"])
def test_lines_that_cannot_be_read_tell_nothing(make_client: MakeClient, result: str) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    engine = Engine(client, asks_ledgers=True)
    bought(engine, faults)
    engine.lookups.order(ORDER, "", 0, client.now_ns)
    heard: list[Any] = []
    while engine.lookups.questions:
        question = engine.lookups.questions.pop(0)
        name = question.path.rpartition("/")[2]
        text = f'{{"error":[],"result":{result}}}' if name == "Ledgers" else engine.asker.text(name, **question.params)
        heard += engine.lookups.answered(
            m.QuestionAnswered(number=question.number, asked_ns=client.now_ns, ts_recv_ns=client.now_ns, text=text)
        )
    assert kinds(heard)[-1] == "FrameRefused"
    assert charged(heard) == [()]
