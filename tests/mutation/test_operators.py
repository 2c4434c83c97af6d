"""Random mutants: each is one change of what runs, and the harness that judges them finds what is planted."""

import ast
from collections.abc import Iterator

import pytest

from tests.mutation.__main__ import PLANTED, Verdict, judged, report, sample
from tests.mutation.child import Nursery
from tests.mutation.golden import hashes
from tests.mutation.operators import MODULES, ROOT, Mutation, mutated, mutations_of
from tests.mutation.sorted_out import Entry, entries, found
from tests.mutation.touching import Touching


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def golden() -> list[str]:
    return hashes()


def test_every_mutation_changes_its_module_and_can_be_compiled() -> None:
    for module in ("fsm/order.py", "fsm/coverage.py"):
        source = (ROOT / module).read_text(encoding="utf-8")
        plain = ast.unparse(ast.parse(source))
        for mutation in mutations_of(module):
            tree = mutated(module, mutation.number, source)
            compile(tree, module, "exec")
            assert ast.unparse(tree) != plain, mutation


def test_a_sample_is_the_same_for_the_same_seed_and_covers_many_modules() -> None:
    assert sample(60, 1) == sample(60, 1) != sample(60, 2)
    assert len({m.module for m in sample(200, 1)}) > len(MODULES) // 2
    assert {m.module for m in sample(20, 1, "fsm/booking.py")} == {"fsm/booking.py"}


def test_the_core_as_it_is_survives_and_a_planted_mistake_does_not(nursery: Nursery, golden: list[str]) -> None:
    assert not judged(nursery, None, golden).is_killed
    assert judged(nursery, _planted(), golden).invariant
    # The mistake was planted in a child: the core is whole again.
    assert not judged(nursery, None, golden).is_killed


def test_a_mutant_that_no_life_shows_meets_the_tests_that_execute_its_line(nursery: Nursery, golden: list[str]) -> None:
    mutation = next(m for m in mutations_of("fsm/columns.py") if m.text == "removed: return end")
    assert not judged(nursery, mutation, golden).is_killed
    name = "tests/fsm/test_columns.py::test_an_empty_column_has_no_crossing"
    touching = Touching({name: 0.1}, {name: {mutation.module: [mutation.line]}})
    assert judged(nursery, mutation, golden, touching).tests == name


def test_a_line_is_met_by_the_tests_that_execute_it_and_by_the_files_whose_fixture_does() -> None:
    mutation = _planted()
    line = mutation.line
    seconds = {"a.py::test_1": 3.0, "a.py::test_2": 1.0, "b.py::test_3": 2.0, "c.py::test_4": 0.1}
    lines = {"a.py::test_1": {mutation.module: [line]}, "a.py::test_2": {mutation.module: [1]}, "b.py": {mutation.module: [line]}}
    assert Touching(seconds, lines).tests_of(mutation.module, line, 90) == ["b.py::test_3", "a.py::test_1"]
    assert Touching(seconds, lines).tests_of(mutation.module, line, 4) == ["b.py::test_3"]
    # A constant runs on import: whatever executes its module may show it.
    assert Touching(seconds, lines).tests_of("fsm/booking.py", 1, 90) == ["b.py::test_3", "a.py::test_2", "a.py::test_1"]


def test_a_survivor_makes_the_exit_code_1_unless_it_is_listed(capsys: pytest.CaptureFixture) -> None:
    mutation, other = mutations_of("fsm/order.py")[:2]
    assert report([Verdict(mutation, golden="life 3")], {}) == 0
    assert report([Verdict(mutation, golden="life 3"), Verdict(other)], {}) == 1
    assert report([Verdict(mutation, golden="life 3"), Verdict(other)], {other: "nothing reads it"}) == 0
    assert f"changes nothing: {other} (nothing reads it)" in capsys.readouterr().out


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: f"{entry.module} {entry.mutation}")
def test_what_is_listed_as_changing_nothing_is_still_there(entry: Entry) -> None:
    places = {(mutation.module, mutation.line) for mutation in found(entry)}
    assert places
    assert len(places) == 1 or entry.line == "*", "it speaks of several lines: say what stands above"
    assert len(entry.why) > 20


def test_an_entry_whose_line_is_gone_is_found_to_be_so() -> None:
    mutation = _planted()
    line = (ROOT / mutation.module).read_text(encoding="utf-8").splitlines()[mutation.line - 1].strip()
    assert list(found(Entry(mutation.module, line, mutation.text, ""))) == [mutation]
    assert not list(found(Entry(mutation.module, line + " # changed", mutation.text, "")))


def _planted() -> Mutation:
    module, text = PLANTED[0]
    return next(m for m in mutations_of(module) if m.text == text)
