"""A26: what an entry in question has bought, as the account's balance says, counts as held until its executions are told."""

import pytest

from events import commands as c
from events import facts as f
from holdfast.scenario.floor import BALANCES, SECOND, SYMBOL, D, Floor, commands_of, replayed
from projections.books import Books
from replay.pipeline import Settings
from venues.simulated.settings import VenueSettings


def unheard(floor: Floor, qty: object = "0.1", **plan: object) -> str:
    """Let an entry execute while the link is gone, with lists that lack it and no word by REST."""
    floor.faults.arm("rest_429", count=200)
    floor.faults.arm("stall")
    position_id = floor.open(qty=qty, **plan)
    floor.wait(1)
    floor.cut()
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=200)
    floor.connect()
    return position_id


def test_a26_a_balance_that_only_an_entry_in_question_explains_is_protected_and_a_person_is_told() -> None:
    floor = Floor()
    floor.wait(1)
    position_id = unheard(floor)
    floor.wait(5)
    assert floor.position(position_id).filled_lots == 0
    assert [x.open_qty for x in floor.facts(f.PositionAdjusted)] == [D("0.1")]
    assert (floor.pages, floor.resting()) == (["BALANCE_UNEXPLAINED"], ["trailing-stop sell 0.1"])
    floor.faults.disarm()
    floor.wait(90)
    # REST tells the execution, then the ledger its fee.
    assert [(x.last_qty, x.tells_fee) for x in floor.facts(f.OrderFilled)] == [(D("0.1"), False), (D("0.1"), True)]
    position = floor.position(position_id)
    assert (position.state, position.unheard_lots, position.adjusted) == ("Protected", 0, False)
    books = Books()
    for number, event in enumerate(floor.events, 1):
        books.apply(number, event)
    assert books.fills.holdings[position_id].qty == D("0.1")
    assert len(commands_of(floor, position_id, c.SubmitOrder)) == 2
    assert replayed(floor)


def test_a26_what_the_owner_pays_in_while_an_entry_is_in_question_is_left_alone_once_the_truth_is_known() -> None:
    floor = Floor()
    floor.wait(1)
    floor.faults.arm("rest_429", count=30)
    floor.faults.arm("ack_lost_not_applied", on="add_order")
    position_id = floor.open()
    floor.wait(1)
    floor.cut()
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=8)
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("0.5"), now_ns))
    floor.connect()
    floor.wait(4)
    assert floor.pages == ["BALANCE_UNEXPLAINED"]
    floor.wait(200)
    assert (floor.state(position_id), floor.resting(), floor.at_venue()) == ("Abandoned", [], D("0.5"))
    assert replayed(floor)


def test_a26_what_the_owner_pays_in_is_left_alone_once_the_trades_have_been_read_though_no_order_is_found_by_its_id() -> None:
    floor = Floor()
    floor.wait(1)
    floor.altered_answer = lambda path, text: '{"error":["EGeneral:Internal error"]}' if path.endswith("Orders") else text
    floor.faults.arm("ack_lost_not_applied", on="add_order")
    position_id = floor.open()
    floor.wait(1)
    floor.cut()
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("0.5"), now_ns))
    floor.connect()
    floor.wait(30)
    assert floor.resting() == ["trailing-stop sell 0.5"], "REST may be a minute late"
    floor.wait(60)
    assert (floor.state(position_id), floor.resting(), floor.at_venue()) == ("Abandoned", [], D("0.5"))
    assert replayed(floor)


def test_a26_a_lost_entry_beside_the_owners_coins_is_proven_absent_by_a_list_without_executions() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}))
    floor.wait(1)
    floor.faults.arm("rest_429", count=200)
    floor.faults.arm("ack_lost_not_applied", on="add_order")
    position_id = floor.open()
    floor.wait(1)
    floor.cut(back=True)
    floor.wait(25)
    assert (floor.state(position_id), floor.pages, floor.at_venue()) == ("Abandoned", [], D(5))


def test_a26_what_the_owner_is_known_to_have_bought_meanwhile_is_not_taken_for_an_entrys() -> None:
    floor = Floor()
    floor.wait(1)
    floor.faults.arm("rest_429", count=200)
    position_id = floor.open(entry_type="limit", entry_price=D(59_000))
    floor.wait(1)
    floor.by_hand("buy", "0.1")
    floor.wait(1)
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=200)
    floor.cut(back=True)
    floor.wait(20)
    assert (floor.facts(f.PositionAdjusted), floor.position(position_id).held_lots) == ([], 0)


@pytest.mark.parametrize("is_acked", [False, True], ids=["unheard of", "acknowledged"])
def test_a26_what_an_entry_has_bought_before_a_restart_is_protected_behind_it_too(is_acked: bool) -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}))
    floor.wait(1)
    floor.faults.arm("rest_429", count=200)
    floor.faults.arm("stall", on="executions:trade" if is_acked else "")
    position_id = floor.open(qty="0.1")
    floor.wait(1)
    assert [bool(o.accepted_ns) for o in floor.position(position_id).open_orders("entry")] == [is_acked]
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=200)
    floor.kill()
    # What was the owner's may be more by now, and he says by which trade.
    floor.by_hand("buy", "0.3")
    floor.wait(5)
    assert [x.open_qty for x in floor.facts(f.PositionAdjusted)] == [D("0.1")]
    assert (floor.pages, floor.resting()) == (["BALANCE_UNEXPLAINED"], ["trailing-stop sell 0.1"])
    floor.faults.disarm()
    floor.wait(90)
    assert {(x.trade_id, x.last_qty) for x in floor.facts(f.OrderFilled)} == {(floor.facts(f.OrderFilled)[0].trade_id, D("0.1"))}
    assert (floor.state(position_id), floor.at_venue()) == ("Protected", D("5.4"))
    assert replayed(floor)


def test_a26_what_was_the_owners_is_kept_for_a_second_entry_that_is_sent_while_the_first_is_in_question() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}))
    floor.wait(1)
    first = floor.open(entry_type="limit", entry_price=D(59_000), qty="0.1")
    floor.by_hand("buy", "0.3")
    second = floor.open(qty="0.2")
    stated = {event.position_id: event.fact.owned for event in floor.events if isinstance(event.fact, f.PositionRequested)}
    assert stated[first] == stated[second]
    assert isinstance(stated[first], f.Owned)
    assert stated[first].qty == D(5)


def test_a26_what_the_account_got_while_an_entry_rested_is_not_taken_for_its_purchase_behind_a_restart() -> None:
    floor = Floor()
    floor.by_hand("buy", "0.1")
    floor.wait(1)
    position_id = floor.open(entry_type="limit", entry_price=D(59_000))
    floor.wait(1)
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("0.5"), now_ns))
    floor.wait(20)
    floor.faults.arm("rest_429", count=200)
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=200)
    floor.kill()
    floor.wait(20)
    assert (floor.facts(f.PositionAdjusted), floor.position(position_id).held_lots) == ([], 0)


def test_a26_after_a_restart_from_a_log_that_does_not_say_what_was_the_owners_only_a_person_is_told() -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), asks_rest=True, asks_ledgers=True))
    floor.wait(1)
    position_id = unheard(floor)
    floor.kill()
    floor.wait(40)
    assert (floor.facts(f.PositionAdjusted), floor.state(position_id)) == ([], "EntryPending")
    assert floor.pages.count("BALANCE_UNEXPLAINED") == 1


def gapped(floor: Floor) -> None:
    """Let the owner trade unheard more often than a list of executions reaches back, while REST is away."""
    floor.faults.arm("rest_429", count=400)
    floor.drop()
    for _ in range(3):
        floor.by_hand("buy", "0.005")
    floor.cut(back=True)


def test_a26_an_entry_that_a_list_names_as_open_and_unfilled_has_bought_nothing_of_what_the_owner_pays_in() -> None:
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), snapshot_trades=1))
    floor.wait(1)
    floor.by_hand("buy", "0.01")
    floor.wait(1)
    position_id = floor.open(qty="0.1", entry_type="limit", entry_price=D(59_000))
    floor.wait(1)
    gapped(floor)
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("0.5"), now_ns))
    floor.wait(25)
    assert floor.pipeline.translator.has_gap
    assert (floor.facts(f.PositionAdjusted), floor.position(position_id).held_lots, floor.resting()) == ([], 0, ["limit buy 0.1"])
    floor.tick(58_990, qty=5)
    floor.wait(1)
    assert (floor.state(position_id), floor.resting()) == ("Protected", ["trailing-stop sell 0.1"])
    assert replayed(floor)


def test_a26_what_counts_as_bought_is_left_alone_once_a_list_names_the_entry_as_open_and_unfilled() -> None:
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), snapshot_trades=1))
    floor.wait(1)
    floor.by_hand("buy", "0.01")
    for _ in range(2):
        floor.rest_by_hand("buy", "0.01", D(50_000))
    floor.wait(1)
    position_id = floor.open(qty="0.1", entry_type="limit", entry_price=D(59_000), timing=f.Timing(entry_ttl_ms=600_000))
    floor.wait(1)
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=400)
    gapped(floor)
    floor.wait(5)
    assert floor.position(position_id).unheard_lots == 1_500_000
    floor.faults.disarm("truncated_snapshot")
    floor.wait(25)
    assert floor.pipeline.translator.has_gap
    assert (floor.position(position_id).unheard_lots, floor.resting()[2:]) == (0, ["limit buy 0.1"])
    assert replayed(floor)


def test_a26_an_exit_of_what_only_a_balance_tells_of_waits_for_its_execution_and_the_stop_stands_meanwhile() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}))
    floor.wait(1)
    position_id = unheard(floor)
    floor.wait(5)
    floor.leave(position_id)
    floor.wait(70)
    assert (floor.state(position_id), floor.resting(), floor.at_venue()) == ("Protected", ["trailing-stop sell 0.1"], D("5.1"))
    assert set(floor.pages) == {"BALANCE_UNEXPLAINED", "EXIT_WAITS_FOR_VENUE"}
    floor.faults.disarm()
    floor.wait(90)
    assert (floor.state(position_id), floor.resting(), floor.at_venue()) == ("Closed", [], D(5))
    assert len(commands_of(floor, position_id, c.SubmitOrder)) == 3
    assert replayed(floor)


def test_a13_an_exit_waits_for_one_cancels_time_for_an_entry_whose_end_nobody_tells_and_what_that_fills_later_is_closed_too() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}))
    floor.wait(1)
    position_id = floor.open(qty="0.4", entry_type="limit", entry_price=D(59_000))
    (entry,) = floor.gateway.exchange.open_orders()
    floor.owner(lambda exchange, now_ns: exchange.execute(entry, D("0.1"), now_ns))
    floor.wait(2)
    assert floor.resting() == ["limit buy 0.3", "trailing-stop sell 0.1"]
    # Each cancel of the entry is lost.
    floor.faults.arm("ack_lost_not_applied", on="cancel_order:limit", count=4)
    floor.leave(position_id)
    floor.wait(7)
    assert (floor.at_venue(), floor.resting()) == (D(5), ["limit buy 0.3"])
    floor.owner(lambda exchange, now_ns: exchange.execute(entry, D("0.2"), now_ns))
    floor.wait(30)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", D(5), [])
    assert replayed(floor)


def test_a26_what_an_entry_has_bought_by_the_word_of_its_end_leaves_though_its_executions_are_missing() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}))
    floor.wait(1)
    floor.faults.arm("rest_429", count=400)
    floor.faults.arm("stall")
    position_id = floor.open(qty="0.4", entry_type="limit", entry_price=D(59_000))
    floor.wait(1)
    (entry,) = floor.gateway.exchange.open_orders()
    floor.owner(lambda exchange, now_ns: exchange.execute(entry, D("0.1"), now_ns))
    floor.cut()
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=400)
    floor.connect()
    floor.wait(5)
    assert (floor.position(position_id).unheard_lots, floor.position(position_id).filled_lots) == (10_000_000, 0)
    # Its cancel is lost; the next one is not, and neither the execution nor the stop is in any list.
    floor.faults.arm("ack_lost_not_applied", on="cancel_order:limit", count=1)
    floor.leave(position_id)
    floor.wait(40)
    assert (floor.at_venue(), floor.resting()) == (D(5), [])
    assert floor.bare_ns < 20 * SECOND
    floor.faults.disarm()
    floor.wait(120)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", D(5), [])
    assert len(commands_of(floor, position_id, c.SubmitOrder)) == 3
    assert replayed(floor)
