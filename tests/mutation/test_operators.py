"""Random mutants: each is one change of what runs, and the harness that judges them finds what is planted."""

import ast

from tests.mutation.__main__ import PLANTED, Verdict, judged, report, sample
from tests.mutation.golden import hashes
from tests.mutation.operators import MODULES, ROOT, mutated, mutations_of


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


def test_the_core_as_it_is_survives_and_a_planted_mistake_does_not() -> None:
    golden = hashes()
    assert not judged(None, golden, with_tests=False).is_killed
    module, text = PLANTED[0]
    mistake = next(m for m in mutations_of(module) if m.text == text)
    assert judged(mistake, golden, with_tests=False).invariant


def test_a_survivor_makes_the_exit_code_1() -> None:
    mutation = mutations_of("fsm/order.py")[0]
    assert report([Verdict(mutation, golden="life 3")]) == 0
    assert report([Verdict(mutation, golden="life 3"), Verdict(mutation)]) == 1
