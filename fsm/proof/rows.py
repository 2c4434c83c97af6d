"""Which rows of the position table no exploration took: each is explained in docs/proof.md, or is to go."""

from ..position import POSITION


def rows_never_taken(taken: frozenset[str]) -> list[str]:
    """Return the rows of the table, as written there, of which no cell was taken: number, facts, guards, document."""
    numbers = {int(row_id.split(":")[1]) for row_id in taken if row_id.split(":")[1].isdecimal()}
    out = []
    for number, row in enumerate(POSITION.rows):
        if number not in numbers:
            when = " ".join(f"{name}={answer}" for name, answer in row.when.items())
            out.append(f"{number:03d} {_brief(row.sources)} on {_brief(row.facts)} {when}: {row.doc}")
    return out


def _brief(names: tuple[str, ...]) -> str:
    return "/".join(names[:2]) + (f"/+{len(names) - 2}" if len(names) > 2 else "")
