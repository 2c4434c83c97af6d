"""The model checker on the real machine: bounded proofs that fit a test run, and proof that it can fail."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import fsm.policy as policy
from fsm.core import Core
from fsm.policy import Draft
from fsm.position import CANCEL_PENDING, POSITION
from fsm.proof import ALL, Configuration, Result, explore
from fsm.proof.configuration import VENUES
from fsm.proof.properties import broken_by_state
from fsm.proof.story import mermaid_from, play, read_saved, saved_from, text_from
from fsm.proof.venue import Rest, Venue
from fsm.table import Row
from tests.fsm.stage import Stage

SAVED = sorted((Path(__file__).parents[2] / "proof").glob("*.json"))


def named(name: str) -> Configuration:
    return next(c for c in ALL if c.name == name)


def held(result: Result) -> Result:
    assert result.violation is None, text_from(result.configuration, result.violation)
    return result


@pytest.mark.parametrize("venue", VENUES)
def test_without_a_fault_no_lot_is_unprotected_for_more_than_four_ticks(venue: str) -> None:
    result = held(explore(named(f"window {venue}, no fault")))
    assert result.exhausted
    assert result.windows == {"entry": 4}


@pytest.mark.parametrize("venue", ["spot", "no amend"])
def test_with_one_message_lost_no_lot_is_unprotected_for_more_than_seven_ticks(venue: str) -> None:
    result = held(explore(named(f"window {venue}, 1 lost")))
    assert result.exhausted
    assert result.windows == {"entry": 7}


@pytest.mark.parametrize("name", ["free, dup swap", "margin short, lost exit", "no amend, cut exit", "maker take profit, spot"])
def test_what_is_promised_holds_in_the_first_states_of_a_larger_space(name: str) -> None:
    assert held(explore(named(name), max_states=3_000)).states >= 3_000


@pytest.mark.parametrize("path", SAVED, ids=[path.stem for path in SAVED])
def test_the_way_to_a_bug_that_was_found_breaks_nothing_any_more(path: Path) -> None:
    saved = read_saved(path.read_bytes(), str(path))
    assert not play(saved)


@pytest.mark.parametrize(
    ("state", "larger", "name", "is_judged"),
    [
        ("Reconciling", 1, "stop", False),
        ("Reconciling", 0, "stop", True),
        ("Reconciling", 1, "entry", True),
        ("StopTriggered", 1, "stop", True),
    ],
)  # fmt: skip
def test_before_the_first_look_behind_a_crash_only_a_stop_that_is_larger_at_the_venue_may_rest_there_and_count_as_filled(
    state: str, larger: int, name: str, is_judged: bool
) -> None:
    position = Stage().protected().position
    order = structs.replace(next(o for o in position.orders if o.role == name), status="Filled", venue_order_id="V7")
    position = structs.replace(position, state=state, orders=(structs.replace(order, filled_lots=order.qty_lots),))
    rests = Rest(7, name, "market", order.qty_lots + larger, fills=(order.qty_lots - 1,), status="fired")
    found = broken_by_state(position, Venue(held=order.qty_lots, orders=(rests,), entered=10**9, exited=10**9), True, True)
    assert [broken.name for broken in found] == (["I6"] if is_judged else [])


def without_question(row: Row) -> Row:
    """A lost cancel is asked about by nobody: neither when its answer is late nor by the watch of the state."""
    forgets = row.facts == ("OutcomeUnknown",) or (row.facts == ("DeadlinePassed",) and CANCEL_PENDING in row.sources)
    return replace(row, commands=()) if forgets else row


def test_a_table_that_forgets_to_ask_is_found_and_told() -> None:
    configuration = Configuration(name="planted", lots=1, budgets={"lost": 1, "exit": 1})
    core = Core("flat", position=replace(POSITION, rows=tuple(without_question(row) for row in POSITION.rows)))
    violation = explore(configuration, core=core).violation
    assert violation is not None
    assert violation.name == "I13"
    assert "lost on the way" in text_from(configuration, violation, core)
    assert mermaid_from(configuration, violation, core).startswith("sequenceDiagram")
    assert read_saved(saved_from(configuration, violation), "here").configuration == configuration


def test_an_exit_that_is_not_sized_by_what_is_held_is_found_and_its_trace_plays_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(d: Draft) -> int:
        return d.position.filled_lots

    configuration = Configuration(name="planted", holds_funds=False, budgets={"exit": 1, "short": 1})
    with monkeypatch.context() as patch:
        patch.setattr(policy, "_exit_lots", everything)
        violation = explore(configuration).violation
        assert violation is not None
        assert violation.name in ("I2", "I7")
        saved = read_saved(saved_from(configuration, violation), "here")
        assert play(saved)
    assert not play(saved)


def test_a_second_stop_beside_the_first_is_found_where_only_our_books_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(order: Any) -> int:
        return 0

    monkeypatch.setattr(policy, "_leased", blind)
    violation = explore(Configuration(name="planted", holds_funds=False, amend=False, budgets={"lost": 1})).violation
    assert violation is not None
    assert violation.name == "I2"
