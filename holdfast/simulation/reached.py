"""What the model checker reaches of a position: (state, fact, state). Seeds are held against it (`holdfast simulate --coverage`).

`reached.txt` is what `holdfast prove --walks 12000 --steps` wrote. `tests/fsm/proof/test_rows.py` fails when a shorter run reaches
something that is not in it, and when the table has no row that leads so.
"""

from functools import cache
from pathlib import Path

Step = tuple[str, str, str]


@cache
def reached() -> frozenset[Step]:
    """Return the transitions that the checker reached."""
    lines = Path(__file__).with_name("reached.txt").read_text(encoding="utf-8").splitlines()
    return frozenset((before, fact, after) for before, fact, after in map(str.split, lines))
