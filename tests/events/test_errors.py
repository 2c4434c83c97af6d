import re

import pytest

from events import errors
from events.errors import HoldfastError

EXAMPLES: tuple[HoldfastError, ...] = (
    errors.BadInput("qty", "0 is too small", "give more"),
    errors.NotFinite("price", "NaN"),
    errors.OffGrid("price", "61800.35", "0.1"),
    errors.UnknownSchema("store", "holdfast-event.0", "holdfast-event.1"),
    errors.Usage("--ticks", "no such file", "name one"),
    errors.NotFound("position", "hf000001", "list them with `holdfast positions`"),
    errors.VenueProblem("kraken", "no answer", "look at its status page"),
    errors.StoreProblem("events.db", "is a folder", "name a file"),
    errors.StoreLocked("events.db", "locked by process 7", "end it"),
    errors.StoreFailed("events.db", "the disk is full", "make room"),
    errors.Tampered("line 7", "does not match its chain"),
    errors.Diverged("input 12", "a", "b"),
    errors.Unprotected("hf000001", 3_000, 2_000),
    errors.ProofFailed("I1", "spot-long", "read its trace"),
    errors.IllegalTransition("position", "Closed", "order_filled", ("spot",)),
)


def kinds() -> set[type[HoldfastError]]:
    found = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HoldfastError)}
    return found - {HoldfastError}


def test_there_is_an_example_of_every_error() -> None:
    assert {type(example) for example in EXAMPLES} == kinds()


def test_printed_tree_is_the_tree() -> None:
    printed = dict(re.findall(r"\+-- (\w+) .*?\(exit code (\d)\)", errors.__doc__ or ""))
    for kind in kinds():
        code = next(int(printed[base.__name__]) for base in kind.__mro__ if base.__name__ in printed)
        assert kind.exit_code == code, kind
    assert set(re.findall(r"\+-- (\w+)", errors.__doc__ or "")) == {kind.__name__ for kind in kinds()}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_text_is_one_line_built_from_the_facts(example: HoldfastError) -> None:
    text = str(example)
    assert text
    assert "\n" not in text
    for name, fact in vars(example).items():
        assert str(fact) in text, name


def test_quoted_input_is_cut_so_that_an_error_stays_a_sentence() -> None:
    assert len(str(errors.NotFinite("price", "9" * 10_000))) < 200
