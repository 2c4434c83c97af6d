"""Makes a failing case smaller: what can be left out while it still fails the same way is left out.

By halves first, then one by one: happenings, ambushes, wishes, openings, then the length of what happens. Positions are numbered by their
openings, so the wishes of a dropped one go with it. "The same way" is the invariant that was named first.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from .case import Case, Opening, Wish
from .world import Lived, simulate

replace = msgspec.structs.replace
T = TypeVar("T")
MAX_TRIES = 250


def shrink(case: Case, lived: Lived, live: Callable[[Case], Lived] = simulate, max_tries: int = MAX_TRIES) -> Case:
    """Return a smaller case that fails like `case`, which showed `lived`; at most `max_tries` are tried."""
    wanted = kind_of(lived)
    tries = 0
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in _candidates(case):
            if tries >= max_tries:
                return case
            tries += 1
            if kind_of(live(candidate)) == wanted:
                case, is_smaller = candidate, True
                break
    return case


def kind_of(lived: Lived) -> str:
    """Return the invariant that was broken first, "" if none was."""
    return lived.violations[0].partition(" ")[0] if lived.violations else ""


def _candidates(case: Case) -> Iterator[Case]:
    for happenings in _shorter(case.happenings):
        yield replace(case, happenings=happenings)
    for ambushes in _shorter(case.ambushes):
        yield replace(case, ambushes=ambushes)
    for wishes in _shorter(case.wishes):
        yield replace(case, wishes=wishes)
    for kept in _shorter(tuple(range(len(case.openings)))):
        yield _with_openings(case, kept)
    if case.faults_end_ms > 4_000:
        end_ms = case.faults_end_ms * 2 // 3
        yield replace(case, faults_end_ms=end_ms, happenings=tuple(h for h in case.happenings if h.at_ms < end_ms))
    if case.lead_s:
        yield replace(case, lead_s=0)
    if case.piece_bytes:
        yield replace(case, piece_bytes=0)
    if case.latency_ms != (1, 20):
        yield replace(case, latency_ms=(1, 20))


def _shorter(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Yield the tuple without ever smaller parts of it."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2


def _with_openings(case: Case, kept: tuple[int, ...]) -> Case:
    number = {old: new for new, old in enumerate(kept)}
    openings: tuple[Opening, ...] = tuple(case.openings[old] for old in kept)
    wishes: tuple[Wish, ...] = tuple(replace(wish, number=number[wish.number]) for wish in case.wishes if wish.number in number)
    return replace(case, openings=openings, wishes=wishes)
