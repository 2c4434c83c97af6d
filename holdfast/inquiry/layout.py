"""Named parts of a text, broken at the width of the terminal."""

from shutil import get_terminal_size
from textwrap import wrap

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


def _broken(line: str, taken: int) -> list[str]:
    width = max(_LEAST, get_terminal_size((_WIDTH, 24)).columns) - taken
    return wrap(line, width, subsequent_indent="   ", break_long_words=False) or [""]
