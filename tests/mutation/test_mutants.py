"""Every named mutant is a real mistake, planted and taken out again without a trace."""

import pytest

from fsm import booking
from fsm.policy import BUILDERS
from fsm.position import ANSWERS, POSITION
from fsm.proof.mutants import MUTANTS
from fsm.proof.mutation import Mutant, planted, rows
from tests.mutation.golden import hashes
from tests.mutation.lives import digest_of, lives, wrong_with


@pytest.fixture(scope="module")
def golden() -> list[str]:
    return hashes()


def test_there_are_at_least_25_mutants_each_with_a_name_and_a_reason_of_its_own() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 25
    assert len({m.breaks for m in MUTANTS}) == len(MUTANTS)
    assert all(m.properties and (m.position or m.order or m.swaps) for m in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_every_mutant_decides_some_life_otherwise_than_the_product(mutant: Mutant, golden: list[str]) -> None:
    assert _differs(mutant, golden)


def _differs(mutant: Mutant, golden: list[str]) -> bool:
    with planted(mutant) as core:
        for life, known in zip(lives(core), golden, strict=True):
            try:
                life.run()
            except AssertionError:
                return True
            if wrong_with(life) or digest_of(life) != known:
                return True
    return False


def test_after_a_mutant_everything_is_as_it_was_also_after_an_error(golden: list[str]) -> None:
    before = (dict(BUILDERS), dict(ANSWERS), dict(booking._BOOKINGS), vars(booking)["_executed"])
    for mutant in MUTANTS:
        with pytest.raises(ZeroDivisionError), planted(mutant):
            raise ZeroDivisionError
    assert (dict(BUILDERS), dict(ANSWERS), dict(booking._BOOKINGS), vars(booking)["_executed"]) == before
    life = next(iter(lives()))
    life.run()
    assert digest_of(life) == golden[0]


def test_a_mutant_that_would_change_no_row_is_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        rows(("Closed",), ("OrderFilled",), target="Halted")(situation="CLEAR")(POSITION)


def test_an_edit_of_one_cell_leaves_every_other_cell_as_it_was() -> None:
    changed = rows(("Halted",), ("DeadlinePassed",), commands=())(which="watch")(POSITION)
    before, after = POSITION.cells(), changed.cells()
    said = {key: [(r.target, r.commands, r.when, r.exit_reason) for r in before[key].rows] for key in before}
    says = {key: [(r.target, r.commands, r.when, r.exit_reason) for r in after[key].rows] for key in after}
    assert {key for key in said if sorted(said[key]) != sorted(says[key])} == {("Halted", "DeadlinePassed")}
