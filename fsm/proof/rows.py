"""Which rows of the two tables no exploration took: each is explained in docs/proof.md, or is to go."""

from ..order import ORDER
from ..position import POSITION
from ..table import SAME


def rows_never_taken(taken: frozenset[str]) -> list[str]:
    """Return the rows of the table, as written there, of which no cell was taken: number, facts, guards, document."""
    numbers = {int(row_id.split(":")[1]) for row_id in taken if row_id.split(":")[1].isdecimal()}
    out = []
    for number, row in enumerate(POSITION.rows):
        if number not in numbers:
            when = " ".join(f"{name}={answer}" for name, answer in row.when.items())
            out.append(f"{number:03d} {_brief(row.sources)} on {_brief(row.facts)} {when}: {row.doc}")
    return out


def order_rows_never_taken(steps: frozenset[tuple[str, str, str]]) -> list[str]:
    """Return the rows of the order table whose (status, fact, status) never occurred."""
    out = []
    for row in ORDER.rows:
        ways = {(s, name, s if row.target == SAME else row.target) for s in row.sources for name in row.facts}
        if not ways & steps:
            when = " ".join(f"{name}={answer}" for name, answer in row.when.items())
            out.append(f"order {_brief(row.sources)} on {_brief(row.facts)} {when}: {row.doc}")
    return out


def _brief(names: tuple[str, ...]) -> str:
    return "/".join(names[:2]) + (f"/+{len(names) - 2}" if len(names) > 2 else "")
