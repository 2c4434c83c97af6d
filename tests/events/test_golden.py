"""Every stored shape has a golden file, and today's code reads and writes it byte for byte."""

import re
from typing import get_args

import pytest

from events.commands import AnyCommand
from events.facts import AnyFact
from events.record import PositionEvent, bytes_from, command_from, event_from, fact_from
from tests.events.samples import GOLDEN, SAMPLES, tag_of

STORED_TYPES: tuple[type, ...] = (PositionEvent, *get_args(AnyFact), *get_args(AnyCommand))
DECODERS = {PositionEvent: event_from, **dict.fromkeys(get_args(AnyFact), fact_from), **dict.fromkeys(get_args(AnyCommand), command_from)}


@pytest.mark.parametrize("sample", SAMPLES, ids=tag_of)
def test_golden_file_decodes_to_its_value_and_encodes_to_its_bytes(sample: PositionEvent | AnyFact | AnyCommand) -> None:
    # A difference here is a change of what logs mean: give the new shape a new tag, and keep this one.
    golden = (GOLDEN / f"{tag_of(sample)}.json").read_bytes().rstrip(b"\n")
    assert DECODERS[type(sample)](golden) == sample
    assert bytes_from(sample) == golden
    assert bytes_from(DECODERS[type(sample)](golden)) == golden


def test_every_stored_type_has_exactly_one_sample() -> None:
    assert sorted(type(sample).__name__ for sample in SAMPLES) == sorted(kind.__name__ for kind in STORED_TYPES)


def test_golden_files_are_those_of_the_samples() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(f"{tag_of(sample)}.json" for sample in SAMPLES)


def test_tags_are_unique_and_end_in_a_version() -> None:
    tags = [tag_of(sample) for sample in SAMPLES]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        assert re.fullmatch(r"[a-z][a-z_]*\.[1-9][0-9]*", tag)


@pytest.mark.parametrize("sample", SAMPLES, ids=tag_of)
def test_sample_leaves_no_field_at_its_default(sample: PositionEvent | AnyFact | AnyCommand) -> None:
    for name, default in zip(sample.__struct_fields__, _padded_defaults(sample), strict=True):
        assert getattr(sample, name) != default, name


def _padded_defaults(sample: PositionEvent | AnyFact | AnyCommand) -> list[object]:
    """Return a default for every field, a value that nothing equals where there is none."""
    defaults = list(type(sample).__struct_defaults__)
    return [object()] * (len(sample.__struct_fields__) - len(defaults)) + defaults
