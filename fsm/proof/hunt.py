"""The check of the checker: each named mutant is explored until a property shows it; one that none shows is a hole in the proof.

A window without protection that is longer than the product's own in the same configuration shows a mutant too (`WINDOW`). What the
product itself breaks shows nothing.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .configuration import Configuration
from .explore import Result, explore
from .mutation import Mutant, planted

WINDOW = "window"
# A short look first: breadth first, a mistake is mostly near, and liveness is judged at the end of each look.
FIRST_LOOK = 2_000


class Kill(NamedTuple):
    """How a mutant ended: by which property, in which configuration, after how many steps and states. `prop` is "" if it survived."""

    mutant: str
    prop: str
    text: str
    configuration: str
    depth: int
    states: int


class Hunter:
    """Hunts mutants; remembers what the product itself does in a configuration."""

    def __init__(self, max_states: int, is_over: Callable[[], bool] = lambda: False) -> None:
        self._max_states, self._is_over = max_states, is_over
        self._product: dict[tuple[str, int], Result] = {}

    def hunt(self, mutant: Mutant, configurations: Iterable[Configuration]) -> Kill:
        """Explore the mutant in one configuration after another until something shows it."""
        states = 0
        for configuration in configurations:
            for limit in dict.fromkeys((min(FIRST_LOOK, self._max_states), self._max_states)):
                if self._is_over():
                    return Kill(mutant.name, "", "no more time", "", 0, states)
                # The product is explored before anything is planted, for both share the process.
                product = self._of_product(configuration, limit)
                with planted(mutant) as core:
                    result = explore(configuration, core=core, max_states=limit, is_over=self._is_over)
                states += result.states
                found = None if product.violation is not None else _shown(result, product)
                if found is not None:
                    return Kill(mutant.name, found[0], found[1], configuration.name, found[2], states)
                if result.exhausted:
                    break
        return Kill(mutant.name, "", "no property shows it", "", 0, states)

    def _of_product(self, configuration: Configuration, limit: int) -> Result:
        known = self._product.get((configuration.name, limit))
        if known is None:
            known = self._product[configuration.name, limit] = explore(configuration, max_states=limit, is_over=self._is_over)
        return known


def _shown(result: Result, product: Result) -> tuple[str, str, int] | None:
    if result.violation is not None:
        return result.violation.name, result.violation.text, len(result.violation.trace) - 1
    if not product.exhausted:
        # Of a window that was not seen to its end nobody knows the longest.
        return None
    for cause, ticks in result.windows.items():
        longest = product.windows.get(cause, 0)
        if ticks > longest:
            return WINDOW, f"unprotected for {ticks} ticks ({cause}), the product at most {longest}", result.depth
    return None
