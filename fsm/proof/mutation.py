"""How a named mutant is made: another row in a table, another function in a place; nothing stays changed.

A mutant is the machine with one mistake in it, of a kind that engineers make. The checker that does not find it lacks a property or a
fault. `mutants.py` lists them.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple, cast

from ..core import Core
from ..order import ORDER
from ..position import POSITION
from ..table import Row, Table

Edit = Callable[[Table], Table]


class Swap(NamedTuple):
    """Something that is replaced while a mutant lives: `name` in a module, a class or a dictionary; `make` makes the new of the old."""

    where: Any
    name: Any
    make: Callable[[Any], Any]


class Mutant(NamedTuple):
    """One mistake. `breaks` says what it does, `properties` which invariants it offends: any of them may be the first to show it.

    `where` names the configuration that is explored first, the smallest that is known to show it.
    """

    name: str
    breaks: str
    properties: tuple[str, ...]
    position: Edit | None = None
    order: Edit | None = None
    swaps: tuple[Swap, ...] = ()
    where: str = ""


@contextmanager
def planted(mutant: Mutant) -> Iterator[Core]:
    """Give a core that makes the mutant's mistake. What was swapped is restored exactly, also after an error."""
    undo: list[tuple[Swap, Any]] = []
    try:
        for swap in mutant.swaps:
            old = _get(swap)
            undo.append((swap, old))
            _put(swap, swap.make(old))
        position = POSITION if mutant.position is None else mutant.position(POSITION)
        order = ORDER if mutant.order is None else mutant.order(ORDER)
        yield Core("flat", position, order)
    finally:
        for swap, old in reversed(undo):
            _put(swap, old)


def _get(swap: Swap) -> Any:
    if isinstance(swap.where, Mapping):
        return swap.where[swap.name]
    return vars(swap.where)[swap.name]


def _put(swap: Swap, value: Any) -> None:
    if isinstance(swap.where, Mapping):
        # Typed as what nobody changes; here somebody does, and puts it back.
        cast(MutableMapping[Any, Any], swap.where)[swap.name] = value
    else:
        assert isinstance(swap.where, ModuleType | type)
        setattr(swap.where, swap.name, value)


def rows(sources: tuple[str, ...], facts: tuple[str, ...], **changes: Any) -> Callable[..., Edit]:
    """Return an edit that changes every row of these states and facts; called with answers, only the rows that fire for them.

    `changes` are fields of `Row`. Raises ValueError if no row is there to be changed: a mutant of nothing is no mutant.
    """

    def given(**answers: str) -> Edit:
        def edit(table: Table) -> Table:
            out: list[Row] = []
            changed = 0
            for row in table.rows:
                mine = tuple(s for s in row.sources if not sources or s in sources)
                told = tuple(fact for fact in row.facts if not facts or fact in facts)
                if not mine or not told or not _fires(row, answers):
                    out.append(row)
                    continue
                changed += 1
                others = tuple(s for s in row.sources if s not in mine)
                rest = tuple(fact for fact in row.facts if fact not in told)
                out += [replace(row, sources=others)] if others else []
                out += [replace(row, sources=mine, facts=rest)] if rest else []
                given, others_given = _parted(row, answers)
                out += [replace(row, sources=mine, facts=told, when=when) for when in others_given]
                out.append(replace(row, sources=mine, facts=told, when=given, **changes))
            if not changed:
                raise ValueError(f"{table.name}: no row of {sources} and {facts} fires for {answers}")
            return replace(table, rows=tuple(out))

        return edit

    return given


def _fires(row: Row, answers: Mapping[str, str]) -> bool:
    for name, answer in answers.items():
        passing = row.when.get(name)
        if passing is None or answer not in ((passing,) if isinstance(passing, str) else passing):
            return False
    return True


def _parted(row: Row, answers: Mapping[str, str]) -> tuple[dict[str, str | tuple[str, ...]], list[dict[str, str | tuple[str, ...]]]]:
    """Return the guards of a row for these answers alone, and those for all others that it fires for."""
    given, rest = dict(row.when), []
    for name, answer in answers.items():
        passing = given[name]
        left = () if isinstance(passing, str) else tuple(x for x in passing if x != answer)
        if left:
            rest.append({**given, name: left})
        given[name] = answer
    return given, rest


def all_of(*edits: Edit) -> Edit:
    """Return the edits one after another."""

    def edit(table: Table) -> Table:
        for one in edits:
            table = one(table)
        return table

    return edit
