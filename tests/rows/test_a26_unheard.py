"""A26: what an entry in question has bought, as the account's balance says, counts as held until its executions are told."""

from events import commands as c
from events import facts as f
from holdfast.scenario.floor import BALANCES, D, Floor, commands_of, replayed
from projections.books import Books
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


def test_a26_after_a_restart_nobody_knows_what_was_the_owners_so_that_only_a_person_is_told() -> None:
    floor = Floor()
    floor.wait(1)
    position_id = unheard(floor)
    floor.kill()
    floor.wait(40)
    assert (floor.facts(f.PositionAdjusted), floor.state(position_id)) == ([], "EntryPending")
    assert floor.pages.count("BALANCE_UNEXPLAINED") == 1
