"""The scenario format: what is written is read back, and what cannot be read is named with its line and the remedy."""

import re
from pathlib import Path

import pytest

from events.errors import BadInput
from holdfast.scenario.text import HAPPENS, HOLDS, VENUE_DOES, scenario_from

GOOD = """name: P05 a cancel is refused because the stop has filled
source: P05, freqtrade #5101
plan: qty=1 stop_price=97

# The stop fills before its cancel.
! open
> submit entry 1   # at once
! fault delay_frame for 5 s
= Protected, covered 1, resting stop
"""


def test_a_file_is_read_with_the_place_of_each_line() -> None:
    read = scenario_from(GOOD, "good")
    assert read.plan == {"qty": "1", "stop_price": "97"}
    assert [(step.mark, step.text, step.place) for step in read.steps][:2] == [("!", "open", "good:6"), (">", "submit entry 1", "good:7")]
    assert read.steps[2].clauses[0].values == {"WORD": "delay_frame", "for": 5_000_000_000}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("< fills stop", "QTY is missing; write it as: < fills NAME QTY"),
        ("< fills stop 1_000", "'1_000' is not a plain number"),
        ("< filld stop 1", "< 'filld' is not known; use one of: price,"),
        ("! wait 5", "5 is no time; write it as: ! wait TIME; a time is written like 250 ms"),
        ("< cancels entri", "'entri' names no order"),
        ("< refuses sell stop rate", "'sell' is no operation"),
        ("< refuses cancel stop rain", "'rain' is no class of refusal; use one of: caller_bug,"),
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
        ("name: x\nsource: y\nplan: qty\n> submit entry 1", "bad: plan: 'qty' is no field"),
        ("name: x\nname: y", "bad:2: 'name: y' is no header line"),
        ("name: x\nsource: y\n", "bad: nothing happens in it"),
    ],
)
def test_a_header_that_cannot_be_read_is_named_with_its_remedy(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        scenario_from(text, "bad")
    assert str(caught.value).startswith(sentence)


def test_what_the_owner_does_may_be_repeated() -> None:
    step = scenario_from(GOOD + "! owner buys 0.02 times 60\n", "good").steps[-1]
    assert step.clauses[0].values == {"WORD": "buys", "QTY": "0.02", "times": "60"}


def test_a_socket_may_be_gone_before_the_engine_hears_of_it_and_the_venues_books_may_be_held() -> None:
    steps = scenario_from(GOOD + "! breaks\n= stopless 5 s\n", "good").steps[-2:]
    assert [step.clauses[0].word for step in steps] == ["breaks", "stopless"]
    assert steps[1].clauses[0].values == {"TIME": 5_000_000_000}


def test_every_word_of_the_language_is_in_its_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    told = set(re.findall(r"[a-z-]+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    assert {*VENUE_DOES, *HAPPENS, *HOLDS} <= told
