"""What the model checker reaches of a position: (state, fact, state). Seeds are held against it (`holdfast simulate --coverage`).

`reached.txt` is what runs of `holdfast prove --walks 60000 --steps` wrote, put together; some steps are marked as Kraken's by lives of the
simulated venue alone. `tests/fsm/proof/test_rows.py` fails when a shorter run reaches something that is not in it, or that is
wrongly marked with `elsewhere`, and when the table has no row that leads so.
"""

from functools import cache
from pathlib import Path

Step = tuple[str, str, str]


def reached() -> frozenset[Step]:
    """Return the transitions that the checker reached."""
    return frozenset(_listed())


def reached_at_kraken() -> frozenset[Step]:
    """Return those that were seen where the venue can do what Kraken can.

    The others are marked with `elsewhere`, which does not say that they cannot be there.
    """
    return frozenset(step for step, is_krakens in _listed().items() if is_krakens)


@cache
def _listed() -> dict[Step, bool]:
    lines = Path(__file__).with_name("reached.txt").read_text(encoding="utf-8").splitlines()
    return {(before, fact, after): not where for before, fact, after, *where in map(str.split, lines)}
