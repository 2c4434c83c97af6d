"""The account beside the positions: which balances count, and from when on."""

import pytest
from msgspec.structs import replace

from events import facts as f
from events.values import Side
from fsm.account import GRACE_NS, TOLD_NS, Account
from fsm.holdings import OwnerTrade
from fsm.model import Position
from tests.fsm.stage import MARGIN, D, Stage

SECOND = 1_000_000_000


def judged(account: Account, stage: Stage, at_s: float) -> list[str]:
    """What an account says of a position once a complete snapshot has answered its question, `at_s` after the beginning."""
    now_ns = int(at_s * SECOND)
    if not account.due([stage.position], now_ns).asks:
        return []
    answer = account.answer([stage.position], is_complete=True, is_settled=True, asked_ns=now_ns, now_ns=now_ns)
    return [str(fact.open_qty) for _, fact in answer.facts if isinstance(fact, f.PositionAdjusted)]


def test_a_balance_from_before_an_execution_of_ours_says_nothing_however_late_it_comes() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_own_fill("BTC", "T1", 10 * SECOND, D("0.1"))
    account.take_balance("BTC", D("0.2"), "T0", 5 * SECOND, 11 * SECOND)
    assert judged(account, stage, 13) == []
    account.take_balance("BTC", D("1.2"), "T1", 10 * SECOND, 17 * SECOND)
    assert judged(account, stage, 19) == []


def test_the_line_of_an_execution_tells_what_it_left_also_where_its_time_was_told_rounded_up() -> None:
    account, stage = Account(), Stage().protected("1.0")
    # REST tells times to a tenth of a millisecond, the ledger to a microsecond.
    account.take_own_fill("BTC", "T1", 10 * SECOND + 50_000, D("0.1"))
    account.take_balance("BTC", D("0.9"), "T1", 10 * SECOND, 11 * SECOND)
    assert judged(account, stage, 13) == ["0.900"]


def test_an_execution_that_is_told_behind_its_line_of_the_ledger_is_in_the_balance() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D("0.9"), "T1", 10 * SECOND, 11 * SECOND)
    account.take_own_fill("BTC", "T1", 10 * SECOND, D("0.1"))
    assert judged(account, stage, 13) == ["0.900"]


def test_the_line_of_the_first_of_several_executions_at_once_says_nothing_of_the_others() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_own_fill("BTC", "T1", 10 * SECOND, D("0.1"))
    account.take_own_fill("BTC", "T2", 10 * SECOND, D("0.1"))
    account.take_balance("BTC", D("0.4"), "T1", 10 * SECOND, 11 * SECOND)
    assert judged(account, stage, 13) == []
    account.take_balance("BTC", D("0.9"), "T2", 10 * SECOND, 14 * SECOND)
    assert judged(account, stage, 16) == ["0.900"]


def test_the_line_of_another_asset_does_not_tell_what_an_execution_left_of_this_one() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D("0.9"), "T1", 10 * SECOND, 11 * SECOND)
    account.take_balance("USD", D("1000"), "T2", 10 * SECOND, 11 * SECOND)
    account.take_own_fill("BTC", "T2", 10 * SECOND, D("0.1"))
    assert judged(account, stage, 13) == []


def test_a_list_of_balances_that_says_the_same_again_does_not_put_off_the_question() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D("0.9"), None, 10 * SECOND, 10 * SECOND)
    assert account.due([stage.position], 11 * SECOND).asks
    # The truth that was asked for begins with a list of balances.
    account.take_balance("BTC", D("0.9"), None, 11 * SECOND, 12 * SECOND)
    answer = account.answer([stage.position], is_complete=True, is_settled=True, asked_ns=11 * SECOND, now_ns=12 * SECOND)
    assert [fact.open_qty for _, fact in answer.facts if isinstance(fact, f.PositionAdjusted)] == [D("0.9")]


def test_a_list_without_executions_is_belied_by_a_balance_that_an_open_entry_may_have_bought() -> None:
    account, stage = Account(), Stage()
    assert not account.belies([stage.position])
    account.take_balance("BTC", D("0"), None, 10 * SECOND, 11 * SECOND)
    assert not account.belies([stage.position])
    account.take_balance("BTC", D("0.4"), None, 12 * SECOND, 12 * SECOND)
    assert account.belies([stage.position])
    # Once it is booked the balance says nothing more.
    assert not account.belies([Stage().protected("1.0").position])


def test_a_balance_from_after_the_last_execution_counts_also_where_it_is_told_first() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D("0.7"), "", 12 * SECOND, 12 * SECOND)
    account.take_own_fill("BTC", "T1", 10 * SECOND, D("0.1"))
    assert judged(account, stage, 15) == ["0.700"]


def test_an_older_line_of_the_ledger_does_not_take_the_place_of_a_newer_one() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D("1.0"), "", 12 * SECOND, 12 * SECOND)
    account.take_balance("BTC", D("0.2"), "", 11 * SECOND, 13 * SECOND)
    assert judged(account, stage, 15) == []


def test_a_list_of_balances_is_as_new_as_the_answer_before_it_also_where_older_executions_are_told_later() -> None:
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D("0.7"), None, 11 * SECOND, 11 * SECOND)
    account.take_own_fill("BTC", "T1", 10 * SECOND, D("0.1"))
    assert judged(account, stage, 13) == ["0.700"]
    account.take_own_fill("BTC", "T2", 14 * SECOND, D("0.1"))
    account.take_balance("BTC", D("0.1"), None, 13 * SECOND, 15 * SECOND)
    assert judged(account, stage, 30) == []


def test_a_balance_that_lacks_something_is_asked_about_when_its_grace_is_over() -> None:
    account, stage = Account(), Stage().protected("1.0")
    assert account.deadline_ns() is None
    account.take_balance("BTC", D("0.4"), None, 10 * SECOND, 11 * SECOND)
    assert account.deadline_ns() == 11 * SECOND + GRACE_NS
    assert account.due([stage.position], 11 * SECOND + GRACE_NS).asks
    assert account.deadline_ns() == 11 * SECOND + GRACE_NS + TOLD_NS, "the question is out"


def test_a_balance_that_moves_all_the_time_and_lacks_something_is_told_all_the_same() -> None:
    account, stage = Account(), Stage().protected("1.0")
    told: list[str] = []
    # Each balance puts the question off before it is answered.
    for n in range(200):
        at_ns = 10 * SECOND + n * SECOND // 4
        account.take_balance("BTC", D("0.4") + D(n % 2) / 100, f"T{n}", at_ns, at_ns)
        due = account.due([stage.position], at_ns)
        told += due.unexplained
        answer = account.answer([stage.position], is_complete=True, is_settled=True, asked_ns=at_ns - SECOND // 4, now_ns=at_ns)
        assert answer.facts == ()
    assert told == ["the account holds less BTC than the positions, and no snapshot proves why"]


def test_a_balance_that_moves_all_the_time_and_lacks_nothing_is_no_matter_for_anybody() -> None:
    account, stage = Account(), Stage().protected("1.0")
    for n in range(200):
        at_ns = 10 * SECOND + n * SECOND
        account.take_balance("BTC", D("1.4") + D(n % 2) / 100, f"T{n}", at_ns, at_ns)
        assert account.due([stage.position], at_ns + GRACE_NS) == (False, ())


def test_what_an_asset_has_grown_by_since_an_entry_was_sent_that_entry_has_bought_until_a_list_says_otherwise() -> None:
    account, stage = Account(), Stage()
    account.take_balance("BTC", D("5"), None, 1 * SECOND, 1 * SECOND)
    account.entering("BTC", [])
    account.take_balance("BTC", D("5.3"), None, 10 * SECOND, 10 * SECOND)
    assert account.belies([stage.position])
    assert account.due([stage.position], 11 * SECOND).asks
    answer = account.answer([stage.position], is_complete=False, is_settled=True, asked_ns=11 * SECOND, now_ns=12 * SECOND)
    assert [(fact.open_qty, fact.unheard) for _, fact in answer.facts if isinstance(fact, f.PositionAdjusted)] == [(D("0.3"), True)]
    assert len(answer.unexplained) == 1
    stage.take(answer.facts[0][1])
    assert (stage.held, stage.position.unheard_lots) == (D("0.3"), 300)
    # It counts already; more than the entry asks for is not its.
    account.take_balance("BTC", D("7"), None, 20 * SECOND, 20 * SECOND)
    assert account.due([stage.position], 21 * SECOND).asks
    answer = account.answer([stage.position], is_complete=False, is_settled=True, asked_ns=21 * SECOND, now_ns=22 * SECOND)
    assert [fact.open_qty for _, fact in answer.facts if isinstance(fact, f.PositionAdjusted)] == [D("1.0")]
    assert answer.unexplained == (), "a person knows"
    stage.take(answer.facts[0][1])
    # A list with every execution has none of it.
    assert account.due([stage.position], 28 * SECOND).asks is False
    answer = account.answer([stage.position], is_complete=True, is_settled=True, asked_ns=31 * SECOND, now_ns=32 * SECOND)
    assert [fact.open_qty for _, fact in answer.facts if isinstance(fact, f.PositionAdjusted)] == [D("0.0")]
    stage.take(answer.facts[0][1])
    assert not account.answer([stage.position], is_complete=True, is_settled=True, asked_ns=33 * SECOND, now_ns=34 * SECOND).facts


def test_what_fees_leave_over_and_what_the_owner_is_known_to_have_bought_is_no_entrys() -> None:
    account, stage = Account(), Stage()
    account.take_balance("BTC", D("5"), None, 1 * SECOND, 1 * SECOND)
    account.entering("BTC", [])
    fee = (f.Fee(asset="BTC", qty=D("0.003")),)
    account.take_trade(OwnerTrade("X1", "BTC/USD", "BTC", Side.BUY, D("1"), D(100), fee, False, 2 * SECOND, 2 * SECOND), [])
    account.take_balance("BTC", D("5.998"), "X1", 2 * SECOND, 2 * SECOND)
    assert account.due([stage.position], 3 * SECOND).asks is False
    assert account.answer([stage.position], is_complete=False, is_settled=True, asked_ns=4 * SECOND, now_ns=5 * SECOND) == ((), ())


def test_a_list_without_executions_is_not_belied_by_what_was_the_owners_when_the_entry_was_sent() -> None:
    account, stage = Account(), Stage()
    account.take_balance("BTC", D("5"), None, 1 * SECOND, 1 * SECOND)
    account.take_list(frozenset({"BTC"}), 1 * SECOND)
    account.entering("BTC", [])
    assert not account.belies([stage.position])
    account.take_balance("BTC", D("4"), "", 2 * SECOND, 2 * SECOND)
    assert account.belies([stage.position]), "he took something away, and nobody knows how much"
    account.take_balance("BTC", D("5"), "", 3 * SECOND, 3 * SECOND)
    account.answer([stage.position], is_complete=False, is_settled=True, asked_ns=3 * SECOND, now_ns=3 * SECOND)
    assert account.belies([stage.position]), "no list of balances came with this one"


def test_what_was_there_when_every_execution_was_known_and_is_still_belies_no_list_and_no_entry_has_bought_it() -> None:
    account, stage = Account(), Stage()
    account.take_balance("BTC", D("5"), None, 1 * SECOND, 1 * SECOND)
    account.entering("BTC", [])
    account.take_balance("BTC", D("5.3"), None, 10 * SECOND, 10 * SECOND)
    account.due([stage.position], 11 * SECOND)
    (_, bought), *_ = account.answer([stage.position], is_complete=False, is_settled=True, asked_ns=11 * SECOND, now_ns=12 * SECOND).facts
    stage.take(bought)
    assert not account.told_until([stage.position], 9 * SECOND), "an execution from after that may have brought it"
    # The same word again is from since it was said first.
    account.take_balance("BTC", D("5.3"), None, 70 * SECOND, 70 * SECOND)
    account.take_list(frozenset({"BTC"}), 70 * SECOND)
    assert account.belies([stage.position])
    assert account.told_until([stage.position], 10 * SECOND)
    assert not account.belies([stage.position])
    assert not account.told_until([stage.position], 11 * SECOND), "it is known"
    account.due([stage.position], 71 * SECOND)
    answer = account.answer([stage.position], is_complete=False, is_settled=True, asked_ns=71 * SECOND, now_ns=72 * SECOND)
    assert [fact.open_qty for _, fact in answer.facts if isinstance(fact, f.PositionAdjusted)] == [D("0.0")]


def test_a_stop_that_fired_and_was_given_up_keeps_no_answer_about_margin_from_counting() -> None:
    stage = Stage(capabilities=MARGIN).protected("1.0").triggered("stop")
    account, orders = Account(), stage.position.orders
    position = replace(stage.position, orders=tuple(replace(o, given_up=o.role == "stop") for o in orders))

    def told(at_s: int, held: Position) -> list[str]:
        at_ns = at_s * SECOND
        answer = account.margin.answer({"BTC/USD": D("0.6")}, [held], True, at_ns, at_ns, at_ns)
        return [str(fact.open_qty) for _, fact in answer.facts]

    account.margin.restarted(["BTC/USD"], SECOND)
    assert [told(at_s, stage.position) for at_s in (70, 140, 210)] == [[], [], []]
    assert [told(at_s, position) for at_s in (280, 350)] == [[], ["0.600"]]


def test_what_an_order_of_ours_sold_beyond_its_position_and_is_bought_back_is_missing_of_no_other_one() -> None:
    account, held = Account(), Stage().protected("1.0").position
    over = replace(held, position_id="hf000002", state="Flattening", exited_lots=held.filled_lots + held.instrument.floor_lots(D("0.4")))
    account.take_balance("BTC", D("0.6"), None, 10 * SECOND, 10 * SECOND)
    assert account.missing_of("BTC", [held, over]) == 0
    assert account.missing_of("BTC", [held, replace(over, state="Halted")]) == D("0.4")


def owners(at_ns: int, symbol: str = "BTC/USD", side: Side = Side.SELL, qty: str = "1.0", *, margin: bool = True) -> OwnerTrade:
    fees = (f.Fee(asset="USD", qty=D("0.8")),)
    return OwnerTrade("X1", symbol, symbol[:3], side, D(qty), D(100), fees, margin, at_ns, at_ns)


@pytest.mark.parametrize(
    ("trade", "closed"),
    [
        ({}, [(D("1.0"), D("0.8"))]),
        ({"qty": "4.0"}, [(D("1.0"), D("0.2"))]),  # three are the owner's own, with their part of the fee
        ({"symbol": "ETH/USD"}, []),
        ({"side": Side.BUY}, []),
        ({"margin": False}, []),
    ],
    ids=str,
)
def test_a_margin_trade_of_the_owner_closes_what_it_reverses_of_ours_and_nothing_else(trade: dict, closed: list) -> None:
    account, stage = Account(), Stage(capabilities=MARGIN).protected("1.0")
    facts = account.take_trade(owners(stage.now_ns, **trade), [stage.position])
    assert [(fact.last_qty, fact.fees[0].qty) for _, fact in facts] == closed


@pytest.mark.parametrize(("booked", "closed"), [("1.0", []), ("0.7", [D("0.3")])], ids=["all of it", "a part"])
def test_what_an_earlier_life_has_booked_of_a_margin_trade_of_the_owner_closes_nothing_of_a_later_one(booked: str, closed: list) -> None:
    account, stage = Account(), Stage(capabilities=MARGIN).protected("1.0")
    account.margin.recall({"X1": D(booked)})
    facts = account.take_trade(owners(stage.now_ns), [stage.position])
    assert [fact.last_qty for _, fact in facts] == closed
    assert account.margin.owners_of("BTC/USD") == 0


@pytest.mark.parametrize(("told", "shared"), [("0.901", False), ("0.902", True)])
def test_what_was_bought_behind_a_balance_counts_towards_what_the_owner_holds_beside(told: str, shared: bool) -> None:
    """The smallest order is 0.002: with the 0.1 that the balance lacks there is that much beside the position, or less."""
    account, stage = Account(), Stage().protected("1.0")
    account.take_balance("BTC", D(told), "T0", 5 * SECOND, 6 * SECOND)
    account.take_own_fill("BTC", "T1", 10 * SECOND, D("0.1"))
    assert account.shared([stage.position]) == (frozenset({stage.position.position_id}) if shared else frozenset())
