"""A26: what is held against what protects it, and against what the account holds; with typed outcomes (P17, P19, P30)."""

import json
from decimal import Decimal
from functools import partial

import pytest
from msgspec.structs import replace

from events import facts as f
from events.values import PositionSide
from fsm.account import Account
from fsm.monitor import quantity_mismatch
from holdfast.scenario.floor import BALANCES, SECOND, SYMBOL, Floor, replayed
from replay.pipeline import Settings
from tests.fsm.stage import MARGIN, D, Stage
from venues.simulated.settings import VenueSettings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def kind_of(stage: Stage) -> str | None:
    found = quantity_mismatch(stage.position)
    return None if found is None else found.kind


@both_sides
def test_a26_each_difference_between_held_and_protected_has_a_name(side: PositionSide) -> None:
    stage = Stage(side, MARGIN).accepted("entry")
    assert kind_of(stage) is None
    stage.filled("entry", "0.4")
    assert kind_of(stage) == "in_flight"
    stage.accepted("stop")
    assert kind_of(stage) is None
    stage.filled("entry", "0.6")
    assert kind_of(stage) == "short"
    stage.amended("stop", "1.0")
    assert kind_of(stage) is None
    stage.sold_by_hand("0.5")
    assert kind_of(stage) is None
    stage.amend_rejected("stop")
    assert kind_of(stage) == "surplus"
    stage.canceled("stop")
    assert kind_of(stage) == "in_flight"
    stage.rejected("stop").rejected("stop").rejected("stop")
    assert (stage.state, kind_of(stage)) == ("MarketExiting", "in_flight")


def behind_our_back(floor: Floor, sells: str = "", withdraws: str = "") -> None:
    """While the link is down the owner cancels our stop, because it holds the funds, and sells or withdraws."""
    floor.cut()
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))
    if sells:
        floor.by_hand("sell", sells)
    if withdraws:
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", -D(withdraws), now_ns))
    floor.connect()


def test_a26_part_of_a_spot_position_sold_by_its_owner_is_booked_at_the_owners_price_and_the_rest_protected() -> None:
    floor = Floor()
    position_id = floor.protected()
    behind_our_back(floor, sells="0.2")
    floor.wait(25)
    assert floor.state(position_id) == "Protected"
    assert [(x.side.value, x.last_qty) for x in floor.facts(f.ManualFillSeen)] == [("sell", D("0.2"))]
    assert floor.at_venue() == D("0.3")
    assert floor.resting() == ["trailing-stop sell 0.3"]
    assert replayed(floor)


def test_a26_a_spot_position_sold_whole_by_its_owner_is_closed_without_an_exit_of_ours() -> None:
    floor = Floor()
    position_id = floor.protected()
    behind_our_back(floor, sells="0.5")
    floor.wait(30)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert sum(x.last_qty for x in floor.facts(f.ManualFillSeen)) == D("0.5")
    assert replayed(floor)


def test_a26_what_no_trade_explains_is_an_adjustment_with_its_evidence() -> None:
    floor = Floor()
    position_id = floor.protected()
    behind_our_back(floor, withdraws="0.1")
    floor.wait(30)
    adjusted = floor.facts(f.PositionAdjusted)
    assert [(x.open_qty, x.reason) for x in adjusted] == [(D("0.40000000"), "external")]
    assert adjusted[0].evidence == "the account holds 0.4000000000 BTC, and no trade explains 0.1000000000"
    assert (floor.state(position_id), floor.resting()) == ("Protected", ["trailing-stop sell 0.4"])


def test_a26_what_the_account_holds_beyond_the_positions_is_the_owners_and_nothing_happens() -> None:
    floor = Floor()
    position_id = floor.protected()
    before = len(floor.events)
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("2"), now_ns))
    floor.by_hand("sell", "1.5")
    floor.wait(5)
    assert floor.facts(f.ManualFillSeen) + floor.facts(f.PositionAdjusted) == []
    assert floor.state(position_id) == "Protected"
    assert {type(event.fact).__name__ for event in floor.events[before:]} <= {"ManualOrderSeen"}


def test_a26_an_execution_of_ours_that_was_never_told_is_found_by_the_balance_and_nothing_is_adjusted() -> None:
    floor = Floor()
    position_id = floor.protected()
    # P17: the frames of the stop's executions are lost on a healthy stream; the balance still tells.
    floor.faults.arm("drop_frame", on="executions", count=6)
    floor.tick(floor.moved(PositionSide.LONG, -250))
    floor.wait(8)
    assert floor.state(position_id) == "Closed"
    assert floor.facts(f.PositionAdjusted) + floor.facts(f.ManualFillSeen) == []
    assert floor.at_venue() == 0


@both_sides
def test_a26_a_margin_position_closed_by_its_owner_shrinks_at_once(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    floor.by_hand(side.exit_side.value, "0.2", margin=True)
    floor.wait(2)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.3"))
    assert [text.split()[-1] for text in floor.resting()] == ["0.3"]
    floor.by_hand(side.exit_side.value, "0.3", margin=True)
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)


@both_sides
def test_a26_what_the_owner_closed_of_a_margin_position_that_has_ended_is_not_taken_off_a_later_one_after_a_restart(
    side: PositionSide,
) -> None:
    floor = Floor()
    ended = floor.protected(side, margin=True)
    floor.by_hand(side.exit_side.value, "0.5", margin=True)
    floor.wait(2)
    assert floor.state(ended) == "Closed"
    position_id = floor.protected(side, margin=True)
    floor.kill()
    floor.wait(5)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    assert [text.split()[-1] for text in floor.resting()] == ["0.5"]
    assert replayed(floor)


@both_sides
def test_a26_an_owner_who_closes_what_he_opened_himself_on_margin_touches_nothing_of_ours(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    floor.by_hand(side.entry_side.value, "0.7", margin=True)
    floor.by_hand(side.exit_side.value, "0.7", margin=True)
    floor.wait(2)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    assert floor.facts(f.ManualFillSeen) == []


@both_sides
def test_a26_the_owners_order_on_the_symbol_is_told_once_and_never_touched(side: PositionSide) -> None:
    floor = Floor()
    floor.protected(side)
    floor.by_hand("buy", "0.1")
    floor.wait(25)
    assert [x.side.value for x in floor.facts(f.ManualOrderSeen)] == ["buy"]
    assert floor.alerts.count("MANUAL_ORDER") == 1


def test_a26_without_a_complete_snapshot_nothing_is_adjusted_and_a_person_is_told() -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,)))
    position_id = floor.protected()
    floor.cut()
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))
    for _ in range(60):
        floor.by_hand("sell", "0.001")
    # Nobody asks by REST here. The snapshot holds the last fifty trades: what happened before them nobody can say.
    floor.connect()
    floor.wait(60)
    assert floor.facts(f.PositionAdjusted) + floor.facts(f.ManualFillSeen) == []
    assert "BALANCE_UNEXPLAINED" in floor.pages
    assert floor.facts(f.BalanceShort, position_id)


def test_a26_coins_that_were_sold_while_nobody_lived_end_their_position_also_where_a_list_names_no_empty_balance() -> None:
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), lists_empty_balances=False))
    position_id = floor.protected(PositionSide.LONG)

    def sell_all() -> None:
        (stop,) = [x for x in floor.gateway.exchange.open_orders() if x.trigger is not None]
        floor.owner(lambda exchange, now_ns: exchange.cancel(stop.order_id, "", now_ns))
        floor.by_hand("sell", "0.5")

    floor.kill(sell_all)
    floor.wait(30)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert "EXIT_NOT_POSSIBLE" not in floor.pages
    assert replayed(floor)


# --- on margin, where the stream tells no quantity: REST is asked, and believed at the second answer ---------------------------------


def untold(floor: Floor, side: str, qty: str) -> None:
    """The owner trades on margin, and nothing that the engine is told shows it."""
    before = floor.altered
    floor.altered = lambda text: '{"channel":"heartbeat"}' if '"channel":"executions"' in text else text
    floor.by_hand(side, qty, margin=True)
    order_id = floor.gateway.exchange.account.fills[-1].order_id
    hidden = partial(without_order, order_id)
    floor.altered = lambda text: before(hidden(text))


def without_order(order_id: str, text: str) -> str:
    if order_id not in text:
        return text
    frame = json.loads(text, parse_float=Decimal)
    frame["data"] = [entry for entry in frame["data"] if entry.get("order_id") != order_id]
    return json.dumps(frame, default=float)


@both_sides
def test_a26_an_exit_on_margin_that_finds_nothing_to_close_ends_once_two_answers_by_rest_say_why(side: PositionSide) -> None:
    floor = Floor()
    floor.wait(1)
    # The venue holds the account net: what the owner holds the other way is closed by our entry, and nothing is left to leave.
    floor.by_hand(side.exit_side.value, "0.5", margin=True)
    position_id = floor.protected(side, margin=True)
    floor.leave(position_id)
    floor.wait(5)
    assert (floor.state(position_id), floor.facts(f.PositionAdjusted)) != ("Closed", [])
    assert "QUANTITY_MISMATCH" in floor.alerts
    assert floor.facts(f.PositionAdjusted) == []
    floor.wait(15)
    adjusted = floor.facts(f.PositionAdjusted, position_id)
    assert [(x.open_qty, x.reason) for x in adjusted] == [(0, "not held")]
    assert adjusted[0].evidence == "twice in a row the account held 0 BTC/USD on margin, all in all"
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert floor.pages.count("POSITION_ADJUSTED") == 1
    assert replayed(floor)


@both_sides
def test_a26_an_exit_on_margin_that_finds_less_closes_that_and_the_rest_is_adjusted(side: PositionSide) -> None:
    floor = Floor()
    floor.wait(1)
    floor.by_hand(side.exit_side.value, "0.2", margin=True)
    position_id = floor.protected(side, margin=True)
    floor.leave(position_id)
    floor.wait(30)
    assert [x.open_qty for x in floor.facts(f.PositionAdjusted, position_id)] == [0]
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert sum(x.last_qty for x in floor.facts(f.OrderFilled, position_id) if x.side is side.exit_side) == D("0.3")


@both_sides
def test_a26_one_answer_by_rest_that_lacks_a_position_takes_nothing_away(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    for kind in ("market", "limit"):
        floor.faults.arm("reject", on=f"add_order:{kind}", text="EOrder:Reduce only:No position exists", count=2)
    floor.faults.arm("rest_empty", on="rest:OpenPositions")
    floor.leave(position_id)
    floor.wait(2)
    assert "QUANTITY_MISMATCH" in floor.alerts
    floor.wait(30)
    assert floor.facts(f.PositionAdjusted) == []
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)


@both_sides
def test_a26_after_a_restart_what_the_account_holds_on_margin_is_looked_at_and_a_position_shrinks_to_it(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    untold(floor, side.exit_side.value, "0.2")
    floor.kill()
    floor.wait(110)
    assert "QUANTITY_MISMATCH" in floor.alerts
    assert floor.facts(f.PositionAdjusted) == []
    floor.wait(20)
    assert [(x.open_qty, x.reason) for x in floor.facts(f.PositionAdjusted, position_id)] == [(D("0.3"), "not held")]
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.3"))
    assert [text.split()[-1] for text in floor.resting()] == ["0.3"]
    assert floor.pages == ["POSITION_ADJUSTED"]
    assert replayed(floor)


@both_sides
def test_a26_after_a_restart_what_the_owner_holds_on_margin_beside_a_position_is_known(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    untold(floor, side.entry_side.value, "0.3")
    floor.kill()
    floor.wait(110)
    assert floor.pipeline.custody.shared() == frozenset()
    floor.wait(20)
    assert floor.pipeline.custody.shared() == {position_id}
    assert floor.facts(f.PositionAdjusted) == []
    assert floor.state(position_id) == "Protected"


@both_sides
def test_a26_a_position_on_margin_whose_pair_is_not_followed_any_more_is_not_taken_for_gone(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    floor.settings = Settings(namespace="hf", symbols=("SOL/USD",), asks_rest=True)
    floor.kill()
    floor.wait(140)
    assert floor.facts(f.PositionAdjusted) == []
    assert (floor.state(position_id), [text.split()[-1] for text in floor.resting()]) == ("Protected", ["0.5"])


@both_sides
def test_a26_a_position_on_margin_of_a_pair_that_the_settings_do_not_name_is_not_taken_for_gone(side: PositionSide) -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=("SOL/USD",), asks_rest=True))
    position_id = floor.protected(side, margin=True)
    for kind in ("market", "limit"):
        floor.faults.arm("reject", on=f"add_order:{kind}", text="EOrder:Reduce only:No position exists", count=9)
    floor.leave(position_id)
    floor.wait(60)
    assert floor.facts(f.PositionAdjusted) == []


@both_sides
def test_a26_what_the_owner_held_on_margin_before_the_start_is_his_when_he_closes_it_and_a_later_position_keeps_its_stop(
    side: PositionSide,
) -> None:
    floor = Floor()
    untold(floor, side.entry_side.value, "5")
    floor.kill()
    floor.wait(130)
    position_id = floor.protected(side, margin=True)
    floor.by_hand(side.exit_side.value, "5", margin=True)
    floor.wait(5)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    assert [text.split()[-1] for text in floor.resting()] == ["0.5"]
    assert replayed(floor)


def test_a26_two_answers_with_an_execution_between_them_are_one() -> None:
    account, stage = Account(), Stage(PositionSide.SHORT, MARGIN).protected("1.0")
    key = stage.position.position_id

    def told(at_s: int, qty: str, late_s: int = 60) -> list[str]:
        answer = account.margin.answer({SYMBOL: D(qty)}, [stage.position], True, at_s * SECOND, (at_s - late_s) * SECOND, at_s * SECOND)
        return [str(fact.open_qty) for _, fact in answer.facts]

    account.margin.doubt(SYMBOL, key, 100 * SECOND)
    assert told(100, "0") == []
    assert told(101, "0") == []
    account.margin.take_fill(SYMBOL, 105 * SECOND)
    assert told(107, "0") == []
    assert told(113, "-0.4") == []
    assert told(119, "-0.4") == ["0.400"]
    # Without the venue's own word REST must be younger than it may be late.
    account.margin.restarted([SYMBOL], 200 * SECOND)
    assert account.deadline_ns() == 261 * SECOND
    assert told(210, "-0.4") + told(250, "-0.4") + told(259, "-0.4") == []
    assert told(262, "-0.4") == []
    assert told(268, "-0.4") == ["0.400"]


def test_a26_a_question_that_nobody_answers_is_asked_ever_less_often() -> None:
    account = Account()
    account.margin.doubt(SYMBOL, "hf1", 0)
    asked = [at_s for at_s in range(300) if account.margin.due(at_s * SECOND)]
    assert asked == [0, 6, 18, 42, 90, 150, 210, 270]


def test_a26_of_several_positions_the_one_that_was_refused_gives_first_then_the_newest() -> None:
    positions = [replace(Stage(PositionSide.SHORT, MARGIN).protected("1.0").position, position_id=f"hf{n}", opened_ns=n) for n in (1, 2, 3)]

    def given(net: str, *refused: str) -> dict[str, str]:
        account = Account()
        for key in refused:
            account.margin.doubt(SYMBOL, key, SECOND)
        for at_s in (2, 8):
            answer = account.margin.answer({SYMBOL: D(net)}, positions, True, at_s * SECOND, 0, at_s * SECOND)
        return {key: f"{fact.open_qty:f}" for key, fact in answer.facts}

    assert given("-1.5", "hf1") == {"hf1": "0.000", "hf3": "0.500"}
    assert given("-3", "hf1") == {}
    # The owner's own on the same side is nobody's business.
    assert given("-9", "hf1") == {}


def test_a26_what_neither_a_refusal_nor_our_books_speak_for_is_asked_once_more_after_a_minute() -> None:
    positions = [replace(Stage(capabilities=MARGIN).protected("1.0").position, position_id=f"hf{n}", opened_ns=n) for n in (1, 2)]

    def waits_s(net: str, refused: str, gone: str = "0", moved_s: int = 0, account: Account | None = None) -> int:
        account = account or Account()
        account.margin.doubt(SYMBOL, refused, 2 * SECOND, D(gone))
        account.margin.take_fill(SYMBOL, moved_s * SECOND)
        assert account.margin.answer({SYMBOL: D(net)}, positions, True, 5 * SECOND, 0, 5 * SECOND).facts == ()
        asked_ns = account.deadline_ns()
        assert asked_ns is not None
        return asked_ns // SECOND - 5

    # A reverse of 0.4 was not there: it closed what the two hold.
    assert [waits_s(net, "hf3", "-0.4") for net in ("1.6", "1.5")] == [6, 60]
    # As in a session of before.
    assert waits_s("1.5", "hf3", "-0.4", account=Account(doubts_unbacked=False)) == 6
    # An exit of the first was refused, so that there was nothing on its side; what was bought since may be there.
    assert [waits_s("0", "hf1", moved_s=moved_s) for moved_s in (1, 3)] == [6, 60]


def test_a26_an_exit_that_is_refused_too_is_asked_about_at_once_and_by_answers_of_its_own() -> None:
    position = replace(Stage(capabilities=MARGIN).protected("1.0").position, position_id="hf2")
    account = Account()

    def told(at_s: int) -> list[str]:
        answer = account.margin.answer({SYMBOL: D("0.7")}, [position], True, at_s * SECOND, 0, at_s * SECOND)
        return [f"{fact.open_qty:f}" for _, fact in answer.facts]

    account.margin.doubt(SYMBOL, "hf1", SECOND, D("-0.4"))
    assert told(2) == []
    for at_s in (10, 11):
        account.margin.doubt(SYMBOL, "hf2", at_s * SECOND)
        assert account.deadline_ns() == 10 * SECOND
    assert [told(at_s) for at_s in (12, 18)] == [[], ["0.700"]]


def test_a26_a_long_and_a_short_of_one_pair_are_held_net_and_the_refused_one_ends() -> None:
    long = replace(Stage(PositionSide.LONG, MARGIN).protected("1.0").position, position_id="hf1")
    short = replace(Stage(PositionSide.SHORT, MARGIN, qty=D("0.4")).protected("0.4").position, position_id="hf2")
    account = Account()
    account.margin.doubt(SYMBOL, "hf2", SECOND)
    for at_s in (2, 8):
        answer = account.margin.answer({SYMBOL: D("0.6")}, [long, short], True, at_s * SECOND, 0, at_s * SECOND)
    assert [(key, f"{fact.open_qty:f}") for key, fact in answer.facts] == [("hf2", "0.000")]


@both_sides
@pytest.mark.parametrize("rest_lag_ms", [0, 60_000])
def test_a26_what_the_venue_states_of_our_own_exit_is_no_owners_deed_before_its_executions_are_told(
    side: PositionSide, rest_lag_ms: int
) -> None:
    # The executions cannot be read, the end of their order can: an adjustment for them would count them twice.
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), rest_lag_ms=rest_lag_ms))
    position_id = floor.protected(side)
    floor.wait(3)
    floor.altered = lambda text: text.replace('"last_qty":', '"last_qty":"NaN","was":') if '"executions"' in text else text
    floor.leave(position_id)
    floor.wait(80)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert floor.facts(f.PositionAdjusted) == []
    assert "Flattening" not in floor.states(position_id)
    assert replayed(floor)
