"""Every machine is complete, both executors agree on every cell, and the checks can fail."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import get_args

import pytest

from events.errors import BadInput, IllegalTransition
from events.facts import AnyFact, ExitReason, ExitRequested, HaltRequested, OrderRejected, Plan, PositionRequested
from events.values import Capabilities, Instrument, PositionSide
from fsm import position as p
from fsm.core import Core, evolve
from fsm.link import LINK, OUTPUTS
from fsm.model import Position
from fsm.order import ORDER
from fsm.policy import known_names
from fsm.position import ANSWERS, POSITION
from fsm.table import SAME, Classifier, Row, State, Table
from fsm.timers import WATCH
from fsm.trail import TRAIL

TABLES = (POSITION, ORDER, TRAIL, LINK)
every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def assignments(table: Table) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield every state, fact and combination of answers that a cell asks for."""
    answers = {c.name: c.answers for c in table.classifiers}
    for (state, fact), cell in table.cells().items():
        for given in product(*(answers[name] for name in cell.dimensions)):
            yield state, fact, given


@every_table
def test_table_has_no_holes_no_overlaps_and_every_state_can_end(table: Table) -> None:
    assert table.problems() == []


@every_table
def test_both_executors_fire_the_same_row_in_every_cell_for_every_answer(table: Table) -> None:
    machine, flat = table.machine(), table.flat()
    count = 0
    for state, fact, given in assignments(table):
        row = machine.row(state, fact, given)
        assert row == flat.row(state, fact, given)
        assert (row.source, row.fact) == (state, fact)
        count += 1
    assert count >= len(table.states) * len(table.facts)


@every_table
def test_end_states_absorb(table: Table) -> None:
    ends = {state.name for state in table.states if state.end}
    # Positive evidence beats absence, a list that was asked for after the end beats the word that it ended, and one that names more than
    # filled an order beats our arithmetic: nothing else does.
    left = {
        (row.source, row.target) for cell in table.cells().values() for row in cell.rows if row.source in ends and row.target != row.source
    }
    listed = {("Filled", "Live"), ("Canceled", "Live"), ("Expired", "Live"), ("Rejected", "Live")}
    assert left == ({("Absent", "Live"), ("Absent", "Filled"), *listed} if table is ORDER else set())


@every_table
def test_every_classifier_is_asked_and_every_answer_matters_somewhere(table: Table) -> None:
    asked: dict[str, set[str]] = {name: set() for name in (c.name for c in table.classifiers)}
    for row in table.rows:
        for name, answers in row.when.items():
            asked[name] |= {answers} if isinstance(answers, str) else set(answers)
    assert asked == {c.name: set(c.answers) for c in table.classifiers}


@every_table
def test_every_state_and_classifier_says_what_it_means(table: Table) -> None:
    assert [state.name for state in table.states if not state.doc] == []
    assert [classifier.name for classifier in table.classifiers if not classifier.doc] == []


def test_every_command_of_the_position_table_has_a_builder() -> None:
    named = {name for cell in POSITION.cells().values() for row in cell.rows for name in row.commands}
    assert named <= known_names()


def test_every_builder_is_named_by_a_row() -> None:
    named = {name for cell in POSITION.cells().values() for row in cell.rows for name in row.commands}
    assert known_names() <= named


def test_every_output_of_the_link_table_is_documented_and_used() -> None:
    named = {name for cell in LINK.cells().values() for row in cell.rows for name in row.commands}
    assert named == set(OUTPUTS)


def test_every_classifier_of_the_position_table_has_an_answer() -> None:
    assert set(ANSWERS) == {c.name for c in POSITION.classifiers}


def test_every_live_state_of_a_position_owns_a_watch() -> None:
    assert set(WATCH) == set(p.LIVE_STATES)
    assert {name for name in POSITION.state_names if name not in WATCH} == {p.NEW, p.CLOSED, p.ABANDONED}


def test_every_watch_is_decided_on_in_its_state() -> None:
    kinds = {state: {row.kind for row in POSITION.cells()[state, "DeadlinePassed"].rows} for state in WATCH}
    assert {state for state, found in kinds.items() if found != {"row"}} == set()


def test_every_fact_that_a_position_can_get_is_a_column_of_its_table() -> None:
    assert set(POSITION.facts) == {t.__name__ for t in AnyFact.__args__}


def test_every_exit_reason_of_a_row_is_one_that_an_event_may_carry() -> None:
    named = {row.exit_reason for row in POSITION.rows} - {"", "fact"}
    assert named <= set(get_args(ExitReason))


# --- the checks can fail --------------------------------------------------------------------------------------------


def test_planted_hole_is_found() -> None:
    number = next(n for n, row in enumerate(POSITION.rows) if row.sources == (p.TIGHTENING,) and row.when.get("which") == "watch")
    problems = replace(POSITION, rows=POSITION.rows[:number] + POSITION.rows[number + 1 :]).problems()
    assert problems
    assert all(text.startswith(f"position: ({p.TIGHTENING}, DeadlinePassed)") and text.endswith("fires 0 rows") for text in problems)


@pytest.mark.parametrize("table", [ORDER, TRAIL, LINK], ids=lambda table: table.name)
def test_every_row_that_is_taken_out_leaves_a_hole(table: Table) -> None:
    whole = replace(table, ignored={}, anomaly={})
    known = set(whole.problems())
    for number in range(len(table.rows)):
        holed = replace(whole, rows=table.rows[:number] + table.rows[number + 1 :])
        assert set(holed.problems()) - known, table.rows[number]


def test_planted_overlap_is_found() -> None:
    extra = Row((p.TIGHTENING,), ("DeadlinePassed",), {"which": "watch"}, SAME)
    problems = replace(POSITION, rows=(*POSITION.rows, extra)).problems()
    assert problems
    assert all(text.startswith("position: (Tightening, DeadlinePassed)") and text.endswith("fires 2 rows") for text in problems)


def _small(*rows: Row, states: tuple[State, ...] = (State("A", "g", "a"), State("Z", "g", "z", end=True))) -> Table:
    return Table("small", states, ("go",), (Classifier("q", ("YES", "NO"), "asks"),), rows, ignored={"Z": ("go",)}, initial="A")


def test_state_that_cannot_be_reached_or_cannot_end_is_found() -> None:
    states = (State("A", "g", "a"), State("B", "g", "b"), State("Z", "g", "z", end=True))
    problems = _small(Row(("A", "B"), ("go",), {}, SAME), states=states).problems()
    assert problems == ["small: B cannot be reached", "small: Z cannot be reached", "small: A cannot end", "small: B cannot end"]


def test_answer_that_a_classifier_does_not_have_is_found() -> None:
    problems = _small(Row(("A",), ("go",), {"q": "MAYBE"}, "Z")).problems()
    assert any("names an unknown state or fact" in text for text in problems)


def test_cell_without_a_row_is_found_and_running_it_changes_nothing() -> None:
    table = replace(_small(Row(("A",), ("go",), {"q": "YES"}, "Z")), facts=("go", "stop"))
    assert "small: (A, stop) is neither a row nor IGNORED nor ANOMALY" in table.problems()
    for runner in (table.machine(), table.flat()):
        with pytest.raises(IllegalTransition):
            runner.row("A", "stop", ())
        with pytest.raises(IllegalTransition):
            runner.row("A", "go", ("NO",))
        assert runner.row("A", "go", ("YES",)).target == "Z"


def test_illegal_fact_leaves_the_executor_as_it_was() -> None:
    answers = {c.name: c.answers for c in POSITION.classifiers}
    given = tuple(answers[name][0] for name in POSITION.cells()[p.TIGHTENING, "DeadlinePassed"].dimensions)
    for runner in (POSITION.machine(), POSITION.flat()):
        before = runner.row(p.TIGHTENING, "DeadlinePassed", given)
        with pytest.raises(IllegalTransition):
            runner.row(p.TIGHTENING, "NoSuchFact", ())
        with pytest.raises(IllegalTransition):
            runner.row("NoSuchState", "DeadlinePassed", given)
        assert runner.row(p.TIGHTENING, "DeadlinePassed", given) == before


def test_fact_that_cannot_begin_a_position_is_refused_and_changes_nothing() -> None:
    core = Core()
    with pytest.raises(BadInput, match="first fact of a position"):
        core.decide(None, HaltRequested(ts_recv_ns=1, reason="test"))


def test_fact_of_an_ended_position_changes_neither_its_state_nor_sends_anything() -> None:
    core = Core()
    life = _abandoned(core)
    assert life.state == p.ABANDONED
    event = core.decide(life, ExitRequested(ts_recv_ns=9, reason="operator"))
    assert (event.to, event.commands) == (p.ABANDONED, ())
    after = evolve(life, event)
    assert (after.state, after.orders, after.exit_reason) == (life.state, life.orders, life.exit_reason)


def _abandoned(core: Core) -> Position:
    plan = Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("1"), trail_offset_bps=50)
    instrument = Instrument(
        symbol="BTC/USD", base="BTC", quote="USD", price_increment=Decimal("0.1"), size_increment=Decimal("0.1"), min_qty=Decimal("0.1")
    )
    venue = Capabilities(
        venue="model",
        native_trail=True,
        amend_in_place=True,
        holds_funds=True,
        reduce_only=False,
        attached_stop=False,
        one_child_per_fill=False,
    )
    asked = PositionRequested(ts_recv_ns=1, position_id="hf000001", plan=plan, instrument=instrument, capabilities=venue)
    life = evolve(None, core.decide(None, asked))
    entry = life.orders[0].client_order_id
    refused = OrderRejected(ts_recv_ns=2, client_order_id=entry, reject_class="funds", text="EOrder:Insufficient funds")
    return evolve(life, core.decide(life, refused))
