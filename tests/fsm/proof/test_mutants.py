"""The check of the checker: every named mistake is shown by a property that it offends, and the product by none."""

import pytest

from fsm.proof import ALL
from fsm.proof.hunt import Hunter
from fsm.proof.mutants import MUTANTS
from fsm.proof.mutation import Mutant
from holdfast.hunting import hunt_mutants

HUNTER = Hunter(30_000)
CONFIGURATIONS = {c.name: c for c in ALL}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_every_named_mutant_is_shown_by_a_property_that_it_offends(mutant: Mutant) -> None:
    kill = HUNTER.hunt(mutant, [CONFIGURATIONS[mutant.where]])
    assert kill.prop in mutant.properties, kill


def test_a_mutant_without_a_mistake_survives() -> None:
    innocent = Mutant("nothing is wrong", "nothing", ())
    kill = HUNTER.hunt(innocent, [CONFIGURATIONS["adopted spot, reject exit"], CONFIGURATIONS["window spot, no fault"]])
    assert (kill.prop, kill.text) == ("", "no property shows it")


def test_a_survivor_makes_the_exit_code_8(capsys: pytest.CaptureFixture[str]) -> None:
    # Two states are too few to show anything: what the checker does not look for it does not find.
    assert hunt_mutants(["fee ignored"], 1, 2, None, "json") == 8
    assert '"survivors": 1' in capsys.readouterr().out


def test_a_mutant_that_is_hunted_in_a_process_is_killed(capsys: pytest.CaptureFixture[str]) -> None:
    assert hunt_mutants(["late cancel"], 1, None, None, "table") == 0
    assert "late cancel" in capsys.readouterr().out
