"""Named parts of a text, broken at the width of the terminal."""

from collections.abc import Collection, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap

from holdfast.output import table

NAME_WIDTH = 9
# Without a terminal: the width of a page that a person can read.
_WIDTH, _LEAST = 100, 60


def part(name: str, *lines: str) -> list[str]:
    """Return lines under a name that stands at the left of the first one."""
    broken = [piece for line in lines for piece in _broken(line, NAME_WIDTH + 1)]
    return [f"{name if number == 0 else '':<{NAME_WIDTH}} {line}" for number, line in enumerate(broken)]


def lines_of(text: str, indent: str) -> list[str]:
    """Return a text as lines that all begin with `indent`, those after the first one a little deeper."""
    return [indent + piece for piece in _broken(text, len(indent))]


def fitting_table(rows: Sequence[Mapping[str, object]], *, leave_out: Sequence[str], right: Collection[str] = ()) -> str:
    """Return a table as wide as the page: where it is wider, without the first of the columns that may be left out, and so on."""
    shown = list(rows[0]) if rows else []
    for name in leave_out:
        if max(map(len, table(rows, shown, right=right).splitlines()), default=0) <= _page_width():
            break
        shown.remove(name)
    return table(rows, shown, right=right)


def _page_width() -> int:
    return max(_LEAST, get_terminal_size((_WIDTH, 24)).columns)


def _broken(line: str, taken: int) -> list[str]:
    width = _page_width() - taken
    return wrap(line, width, subsequent_indent="   ", break_long_words=False) or [""]
