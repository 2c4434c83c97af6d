"""How pictures look: one palette for DOT and Mermaid, and how text is broken.

The colours are of Okabe and Ito's set, which colour-blind people can tell apart, pale as fill and dark as line; what matters
(unprotected, end) is also told by the shape of the border, never by colour alone.
"""

import textwrap
from collections.abc import Mapping
from typing import NamedTuple


class Colours(NamedTuple):
    """Fill and line of one group of states."""

    fill: str
    line: str


_BLUE, _GREEN, _ORANGE = Colours("#DDEBF8", "#0B5FA5"), Colours("#DDF1EA", "#00704E"), Colours("#FBEBCB", "#8F5F00")
_PURPLE, _GREY = Colours("#F3E3EC", "#93487A"), Colours("#EBEBEB", "#4A4A4A")

COLOURS: Mapping[str, Colours] = {
    "entry": _BLUE, "open": _GREEN, "exit": _ORANGE, "any": _PURPLE, "end": _GREY,
    "in flight": _BLUE, "at the venue": _GREEN, "over": _GREY,
    "up": _GREEN, "doubt": _ORANGE, "down": _BLUE, "trail": _GREEN,
}  # fmt: skip
UNPROTECTED_LINE = "#B53A00"
INK, PALE = "#333333", "#777777"
UNPROTECTED_TEXT = "not covered: the clock runs"

LABEL_LINES = 5
LABEL_WIDTH = 28
DOC_WIDTH = 32
NOTE_WIDTH = 64


def colours_of(group: str) -> Colours:
    """Return the colours of a group, grey for one that has none of its own."""
    return COLOURS.get(group, _GREY)


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Return `text` in lines of at most `width` characters, broken at blanks, but never between a dot and its guard."""
    return tuple(textwrap.wrap(text.replace("· ", "·\u00a0"), width, break_long_words=False, break_on_hyphens=False))


def label_lines(labels: tuple[str, ...], lines: int = LABEL_LINES, width: int = LABEL_WIDTH) -> tuple[str, ...]:
    """Return the labels of one arrow in few short lines, short ones first; what does not fit is counted, and the document has it."""
    out: list[str] = []
    for number, label in enumerate(sorted(labels, key=lambda text: len(wrapped(text, width)))):
        piece = wrapped(label, width)
        if len(out) + len(piece) > lines and number:
            return (*out, f"+{len(labels) - number} more")
        out += piece
    return tuple(out)
