"""The scenario format: what is written is read back, and what cannot be read is named with its line and the remedy."""

import pytest
from msgspec.structs import replace

from events.errors import BadInput
from fsm.scenario.text import Scenario, scenario_from, step_from, text_from

GOOD = """name: P05 a cancel is refused because the stop has filled
source: P05, freqtrade #5101
plan: qty=1.0 trail_offset_bps=300

# The stop fills before its cancel.
> submit entry 1.0
< filled entry 1.0 at 100   # at once
! late 5 s canceled stop
= Protected, covered 1.0, resting stop1 entry
"""


def without_places(scenario: Scenario) -> Scenario:
    return replace(scenario, steps=tuple(replace(step, place="") for step in scenario.steps))


def test_what_is_written_is_read_back_the_same() -> None:
    read = scenario_from(GOOD, "good")
    assert without_places(scenario_from(text_from(read), "again")) == without_places(read)
    assert [step.why for step in read.steps] == ["", "at once", "", ""]
    assert read.notes == ("The stop fills before its cancel.",)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("< filled stop", "QTY is missing; write it as: < filled NAME QTY [at PX]"),
        ("< filled stop 1 at", "PX is missing"),
        ("< filled stop 1_000", "'1_000' is not a plain number"),
        ("< filld stop 1", "< 'filld' is not known; use one of: accepted,"),
        ("! wait 5", "5 is no time; write it as: ! wait TIME; a time is written like 250 ms"),
        ("! lost filled entri 3", "'entri' names no order"),
        ("! unheard sell stop", "'sell' is no operation"),
        ("= foo", "'foo' is nothing that can be held; name a state, or use one of: held,"),
        ("> sell", "'sell' is nothing that we send"),
        (">", "nothing follows '>'"),
        ("sell", "'sell' is no step; begin it with >"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_remedy(line: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        scenario_from(GOOD + line + "\n", "bad.scenario")
    assert str(caught.value).startswith(f"bad.scenario:10: {sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("source: y\n> submit entry 1", "bad: there is no name; begin it with `name: ...`"),
        ("name: x\nsource: y\nvenue: mars\n> submit entry 1", "bad: venue 'mars' is not known; use one of: spot"),
        ("name: x\nsource: y\nplan: qty\n> submit entry 1", "bad: plan: 'qty' is no field"),
        ("name: x\nname: y", "bad:2: 'name: y' is no header line"),
        ("name: x\nsource: y\n", "bad: nothing happens in it"),
    ],
)
def test_a_header_that_cannot_be_read_is_named_with_its_remedy(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        scenario_from(text, "bad")
    assert str(caught.value).startswith(sentence)


def test_a_step_can_be_made_without_a_file() -> None:
    assert step_from("< filled entry 1", why="the venue").why == "the venue"
