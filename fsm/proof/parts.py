"""What a state is made of: numbered parts, and answers that are computed once for each part.

A state is six numbers. Parts are few (some hundred venues, channels and rests where there are a million states), so whatever depends on
one or two parts alone is computed once for them and looked up from there on (`remembered`). Two states are one only if every number is
equal, and two parts have one number only if they are equal. No fingerprint, so no collision.
"""

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, cast

from .venue import Message, Venue, Words

Channel = tuple[tuple[Message, int], ...]
Label = tuple[object, ...]
T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class Rest(NamedTuple):
    """The rest of a state. `link`: up, down or dead (no process); `since` its ticks. `gap`: a frame of the stream was lost.

    `lots` are the unprotected lots, by cause and age; `tightest` the narrowest trail and best level that a stop of ours ever had;
    `lag` is how many ticks the disk is behind; `loose`: messages were lost, stale or cut short.
    """

    link: str
    since: int
    gap: bool
    budgets: tuple[int, ...]
    lots: tuple[tuple[str, int], ...]
    tightest: tuple[int, int]
    loose: bool
    lag: int = 0


class State(NamedTuple):
    """One state, as the numbers of its parts. `saved` is the mind that the disk has where it lags behind, -1 where it does not."""

    mind: int
    saved: int
    venue: int
    up: int
    down: int
    rest: int


class Parts(Generic[T]):
    """A table of parts: each gets a number once, and `parts[number]` is it."""

    def __init__(self) -> None:
        self.parts: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, part: T) -> int:
        """Return the number of a part, a new one if it is new."""
        found = self._numbers.get(part)
        if found is None:
            found = self._numbers[part] = len(self.parts)
            self.parts.append(part)
        return found


class Tables:
    """The parts of all states of one configuration."""

    def __init__(self) -> None:
        self.venues: Parts[Venue] = Parts()
        self.channels: Parts[Channel] = Parts()
        self.rests: Parts[Rest] = Parts()
        self.words: Parts[Words] = Parts()


class remembered(Generic[P, R]):
    """A method whose answer depends on its arguments alone: computed once for each, and kept as long as its object."""

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method = method

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Callable[P, R]:
        found = cast(Callable[P, R], cache(MethodType(self._method, instance)))
        instance.__dict__[self._name] = found
        return found
