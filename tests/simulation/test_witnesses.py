"""Each step that the checker reaches has a life that takes it, or is known to have none; an aimed case is one that can be lived."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInput
from holdfast.simulation.aimed import CAUSES, OF_THE_MARKET, WAYS, aimed, is_aim
from holdfast.simulation.case import case_text, read_case
from holdfast.simulation.directed import check, drawn
from holdfast.simulation.reached import reached_at_kraken
from holdfast.simulation.witnesses import Life, fewest, steps_by_life, text_of, walk, witnesses

PARTS = 8
# Of the lives that wait five quarters of an hour for the kind of market, each two dozen times as dear, so many.
DEAR = 3
# A change to the machine makes lives run otherwise, and some take their step no more.
MOST_LOST = 0.1


def is_dear(life: Life) -> bool:
    return life.direction == "ranges" or life.direction.partition("/")[2] in OF_THE_MARKET


@pytest.mark.parametrize("part", range(PARTS))
def test_the_lives_of_the_list_take_what_they_are_there_for_and_break_nothing(part: int) -> None:
    lives = steps_by_life(witnesses())
    chosen = [life for life in lives if not is_dear(life)] + [life for life in lives if is_dear(life)][:DEAR]
    walked = walk(chosen[part::PARTS], 1, lambda done, of: None)
    assert {str(life): lived.violations for life, lived in walked.failed.items()} == {}
    assert len(walked.lost) <= MOST_LOST * (len(walked.lost) + len(walked.taken)), "find them other lives: python -m tests.hunt"


def test_the_list_holds_steps_that_the_checker_reaches_and_is_written_as_it_is_read() -> None:
    assert witnesses().keys() <= reached_at_kraken()
    assert text_of(witnesses()) == (Path(__file__).parents[2] / "holdfast/simulation/witnesses.txt").read_text(encoding="utf-8")


STEPS = st.tuples(st.sampled_from("ABC"), st.sampled_from("fgh"), st.sampled_from("ABC"))


@given(st.dictionaries(st.builds(Life, st.sampled_from(("", "sold")), st.integers(1, 9)), st.frozensets(STEPS, max_size=6), max_size=6))
def test_the_fewest_lives_take_all_that_all_of_them_take(lives: dict[Life, frozenset[tuple[str, str, str]]]) -> None:
    chosen = fewest(lives)
    assert chosen.keys() == frozenset().union(*lives.values())
    assert all(step in lives[life] for step, life in chosen.items())


@pytest.mark.parametrize("state", WAYS)
def test_an_aimed_case_is_the_same_for_the_same_seed_and_is_read_as_it_was_written(state: str, tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    for fact in ("", *CAUSES):
        aim = f"{state}/{fact}" if fact else state
        assert is_aim(aim)
        case = aimed(7, aim)
        assert case == drawn(7, aim)
        path.write_text(case_text(case), encoding="utf-8")
        assert read_case(path) == case


@pytest.mark.parametrize("aim", ["Nowhere", "Halted/", "Halted/Nothing", "New", "halted/OrderFilled"])
def test_an_aim_that_is_none_is_refused_with_what_there_is(aim: str) -> None:
    with pytest.raises(BadInput, match="Halted/OrderFilled"):
        check(aim, "engine")
