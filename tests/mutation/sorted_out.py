"""Mutants of which somebody has said why they change nothing that anybody could notice: `equivalent.toml`.

An entry names its module, the text of its line (with that of the line above where there are several) and the mutation; a module and a
line of "*" are all of them. `tests/mutation/test_operators.py` fails when there is no such line or mutation any more, so that what is
said never outlives what it is said of.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .operators import MODULES, ROOT, Mutation, mutations_of

FILE = Path(__file__).with_name("equivalent.toml")


class Entry(NamedTuple):
    """A mutation as it is listed, and why it changes nothing."""

    module: str
    line: str
    mutation: str
    why: str
    above: str = ""


def entries() -> list[Entry]:
    """Return what is listed."""
    return [Entry(**entry) for entry in tomllib.loads(FILE.read_text(encoding="utf-8")).get("equivalent", [])]


def found(entry: Entry) -> Iterator[Mutation]:
    """Yield the mutations of today that an entry speaks of."""
    for module in MODULES if entry.module == "*" else (entry.module,):
        lines = ["", *map(str.strip, (ROOT / module).read_text(encoding="utf-8").splitlines())]
        for mutation in mutations_of(module):
            is_here = entry.line in ("*", lines[mutation.line]) and entry.above in ("", lines[mutation.line - 1])
            if mutation.text == entry.mutation and is_here:
                yield mutation


def equivalent() -> dict[Mutation, str]:
    """Return why each mutation that is listed changes nothing."""
    return {mutation: entry.why for entry in entries() for mutation in found(entry)}
