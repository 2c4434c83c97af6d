"""The scenario format: read and written, one message a line.

    name: P05 a cancel is refused because the stop has filled
    source: P05, freqtrade #5101
    venue: spot
    plan: qty=1.0 trail_offset_bps=300

    > submit entry 1.0                what we send (checked: exactly these orders; pages, alerts and `refresh` may be named too)
    < accepted entry                  what the venue does and says
    < filled entry 1.0 at 100
    > submit stop 1.0 trail 300
    < accepted stop                   # a word alone means its latest order; `stop1`, `stop2` are its orders by number
    = Protected, covered 1.0, unprotected 0 ms
    ! exit operator                   what else happens: time, prices, wishes, faults
    > cancel stop

Prices are a long's; a short plays them mirrored at 100. A blank line and a line that begins with `#` are for the reader; a
`#` within a line says why. `VENUE_SAYS`, `HAPPENS` and `HOLDS` below are the whole language: upper case is a value, `[...]`
may be left out.

Writing, as the model checker does it:

    scenario = Scenario(name="...", source="...", venue="spot", plan={"qty": "2"}, instrument={"size_increment": "1"},
                        steps=(step_from("< filled entry 1"), step_from("! crash losing 1", why="...")))
    text_from(scenario)               # the file's text; `scenario_from(text, place)` reads it back to an equal scenario
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from events.errors import BadInput

Mark = Literal[">", "<", "!", "="]
Sides = Literal["both", "long", "short"]
VENUES = ("spot", "margin", "no_amend", "no_trail")

# What a line may say, by its first word. Upper case: NAME of an order, a number (QTY, PX, BPS, N), TIME ("15 s"), WORD (any).
VENUE_SAYS: Mapping[str, str] = {
    "accepted": "NAME [stop PX]",
    "rejected": "NAME CLASS",
    "filled": "NAME QTY [at PX] [fee QTY] [unpriced]",
    "completed": "NAME",
    "triggered": "NAME",
    "amended": "NAME [qty QTY] [trail BPS] [at PX] [stop PX]",
    "amend-rejected": "NAME CLASS",
    "canceled": "NAME",
    "cancel-rejected": "NAME CLASS",
    "expired": "NAME",
    "child": "QTY",
    "reported": "NAME PX",
    "snapshot": "[asked TIME] [incomplete] [trades N] [without NAME...]",
}  # fmt: skip
OPERATION = Literal["submit", "amend", "cancel"]
HAPPENS: Mapping[str, str] = {
    "wait": "TIME",  # each deadline fires when it is due
    "price": "PX [old TIME]",
    "mode": "WORD",  # of the market: online, post_only, limit_only, cancel_only
    "exit": "WORD [patient]",
    "tighten": "[trail BPS] [stop PX]",
    "distance": "BPS",  # the range of the market asks for another trail
    "halt": "",
    "cut": "",  # the private link closes; what was on the wire to us is lost
    "live": "",  # it delivers again
    "crash": "[losing N]",  # the process dies with its last N events and starts from its log
    "lost": "MOVE",  # the venue does it, and its word never comes
    "twice": "MOVE",  # its word comes twice
    "late": "TIME MOVE",  # its word comes that much later
    "says": "MOVE",  # the venue says it, and does nothing
    "unheard": "OP NAME",  # our command never arrives
    "unsent": "OP NAME",  # the channel was closed before our command left
    "sent": "NAME",  # the sender says that the order's frame has left
    "user": "WORD [QTY] [NAME] [at PX]",  # the owner `sells`, `buys`, `cancels`, `orders` by hand
    "adjusted": "QTY",  # a person sets the quantity to what the venue holds
    "stale": "TIME",  # private truth is that old
    "short-of": "QTY having QTY",  # a balance that does not suffice
}  # fmt: skip
HOLDS: Mapping[str, str] = {
    "held": "QTY", "covered": "QTY", "bare": "QTY", "unprotected": "TIME", "by-choice": "TIME", "closed": "WORD", "abandoned": "",
    "paged": "WORD", "alerted": "WORD", "quiet": "", "stop": "PX", "trail": "BPS", "resting": "[NAME...]", "status": "NAME WORD",
}  # fmt: skip
SENDS = ("submit", "amend", "cancel", "page", "alert", "refresh")
_WORDS: Mapping[str, Mapping[str, str]] = {"<": VENUE_SAYS, "!": HAPPENS}
_NUMBERS = frozenset({"QTY", "PX", "BPS", "N"})
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_OPERATIONS = ("submit", "amend", "cancel")
_NAME = re.compile(r"(entry|stop|tp|exit|flatten)(\d*)")
_UNITS_NS: Mapping[str, int] = {"ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
Value = str | int | tuple[str, ...] | bool


class Clause(msgspec.Struct, frozen=True):
    """One word and its values: what a message, a happening or an expectation says. Numbers stay text, a TIME is in ns."""

    word: str
    values: dict[str, "Value | Clause"]


class Step(msgspec.Struct, frozen=True):
    """One line: its mark, its text without the mark, what the text means (none for `>`), why, and where it stands."""

    mark: Mark
    text: str
    clauses: tuple[Clause, ...] = ()
    why: str = ""
    place: str = msgspec.field(default="")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: its header and its steps. `plan` and `instrument` are fields of those types, as text.

    `adopted` is the price at which exposure is taken over instead of asked for ("unknown" is a price too), "" if it is asked for.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    venue: str = "spot"
    plan: dict[str, str] = {}
    instrument: dict[str, str] = {}
    sides: Sides = "both"
    adopted: str = ""
    notes: tuple[str, ...] = ()


# --- reading --------------------------------------------------------------------------------------------------------


def scenario_from(text: str, place: str) -> Scenario:
    """Return the scenario that `text` writes; `place` is its file's name.

    Raises BadInput with `place`, the line and the remedy.
    """
    header: dict[str, str] = {}
    steps: list[Step] = []
    notes: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line, where = raw.strip(), f"{place}:{number}"
        if not line:
            continue
        if line.startswith("#"):
            if not steps:
                notes.append(line.lstrip("# "))
            continue
        if line[0] in "><!=":
            steps.append(step_from(line, where))
        elif steps:
            raise BadInput(where, f"{line[:40]!r} is no step", "begin it with > (sent), < (the venue), ! (happens), = (holds) or #")
        else:
            key, colon, value = line.partition(":")
            if not colon or key not in _HEADER or key in header:
                raise BadInput(where, f"{line[:40]!r} is no header line", f"write each of {', '.join(_HEADER)} once, as `key: value`")
            header[key] = value.strip()
    return _checked(header, tuple(steps), tuple(notes), place)


_HEADER = ("name", "source", "venue", "plan", "instrument", "sides", "adopted")


def _checked(header: dict[str, str], steps: tuple[Step, ...], notes: tuple[str, ...], place: str) -> Scenario:
    for key in ("name", "source"):
        if not header.get(key):
            raise BadInput(place, f"there is no {key}", f"begin it with `{key}: ...`")
    venue, sides = header.get("venue", "spot"), header.get("sides", "both")
    if venue not in VENUES:
        raise BadInput(place, f"venue {venue!r} is not known", f"use one of: {', '.join(VENUES)}")
    if sides not in ("both", "long", "short"):
        raise BadInput(place, f"sides {sides!r} is not known", "use both, long or short")
    if not steps:
        raise BadInput(place, "nothing happens in it", "write at least one step, for example `> submit entry 1.0`")
    return Scenario(
        name=header["name"],
        source=header["source"],
        steps=steps,
        venue=venue,
        plan=_fields(header.get("plan", ""), f"{place}: plan"),
        instrument=_fields(header.get("instrument", ""), f"{place}: instrument"),
        sides=sides,  # type: ignore[arg-type]
        adopted=header.get("adopted", ""),
        notes=notes,
    )


def _fields(text: str, place: str) -> dict[str, str]:
    out = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key or not value or key in out:
            raise BadInput(place, f"{part!r} is no field", "write each field once, as name=value, with blanks between")
        out[key] = value
    return out


def step_from(line: str, place: str = "step", why: str = "") -> Step:
    """Return the step that a line writes, its mark first. Raises BadInput with `place` and the remedy."""
    body, hash_sign, comment = line.partition("#")
    mark, text = body[:1], " ".join(body[1:].split())
    if not text:
        raise BadInput(place, f"nothing follows {mark!r}", "say what is sent, said, happening or held")
    why = why or comment.strip() if hash_sign else why
    if mark == ">":
        if text.split()[0] not in SENDS:
            raise BadInput(place, f"{text.split()[0]!r} is nothing that we send", f"use one of: {', '.join(SENDS)}")
        return Step(">", text, (), why, place)
    if mark == "=":
        return Step("=", text, tuple(_held(part.strip(), place) for part in text.split(",")), why, place)
    return Step(mark, text, (_clause(mark, text.split(), place),), why, place)  # type: ignore[arg-type]


def _held(text: str, place: str) -> Clause:
    words = text.split()
    if words and words[0][:1].isupper() and len(words) == 1:
        return Clause("state", {"WORD": words[0]})
    if not words or words[0] not in HOLDS:
        raise BadInput(place, f"{text!r} is nothing that can be held", f"name a state, or use one of: {', '.join(HOLDS)}")
    return Clause(words[0], _values(HOLDS[words[0]], words, f"= {words[0]}", place))


def _clause(mark: str, words: list[str], place: str) -> Clause:
    known = _WORDS[mark]
    if words[0] not in known:
        raise BadInput(place, f"{mark} {words[0]!r} is not known", f"use one of: {', '.join(known)}")
    return Clause(words[0], _values(known[words[0]], words, f"{mark} {words[0]}", place))


def _values(signature: str, words: list[str], shown: str, place: str) -> dict[str, "Value | Clause"]:
    """Read the values after the first word by its signature: what must stand first, then options in any order."""
    remedy = f"write it as: {shown} {signature}".rstrip()
    rest = words[1:]
    out: dict[str, Value | Clause] = {}
    options: dict[str, str] = {}
    for kind, optional in _parts(signature):
        if not optional:
            if kind.islower():
                _expect(rest, kind, place, remedy)
            else:
                _put(out, kind, _value(kind, rest, place, remedy))
        else:
            first, _, value = kind.partition(" ")
            options[first] = value
    while rest:
        if rest[0] in options:
            key = rest.pop(0)
            kind = options.pop(key)
            out[key] = _value(kind, rest, place, remedy) if kind else True
            continue
        bare = next((kind for kind in options if kind.isupper() or kind.endswith("...")), None)
        if bare is None:
            raise BadInput(place, f"{rest[0]!r} is not understood", remedy)
        # An option without a word of its own is told by what its value looks like.
        kind = next((k for k in options if k.isupper() and _looks_like(k, rest[0])), bare)
        options.pop(kind)
        _put(out, kind, _value(kind, rest, place, remedy))
    return out


def _put(out: dict[str, "Value | Clause"], kind: str, value: "Value | Clause") -> None:
    # "short-of QTY having QTY": the second of a kind.
    out[kind if kind not in out else f"{kind}2"] = value


def _parts(signature: str) -> Iterator[tuple[str, bool]]:
    for match in re.finditer(r"\[([^\]]+)\]|(\S+)", signature):
        yield (match.group(1), True) if match.group(1) else (match.group(2), False)


def _expect(rest: list[str], word: str, place: str, remedy: str) -> None:
    if not rest or rest.pop(0) != word:
        raise BadInput(place, f"{word!r} is missing", remedy)


def _looks_like(kind: str, word: str) -> bool:
    return bool(_NUMBER.fullmatch(word)) if kind in _NUMBERS else bool(_NAME.fullmatch(word))


def _value(kind: str, rest: list[str], place: str, remedy: str) -> "Value | Clause":
    if not rest:
        raise BadInput(place, f"{kind} is missing", remedy)
    if kind == "MOVE":
        clause = _clause("<", rest[:], place)
        rest.clear()
        return clause
    if kind == "NAME...":
        names = tuple(_name(word, place, remedy) for word in rest)
        rest.clear()
        return names
    word = rest.pop(0)
    if kind in _NUMBERS:
        if not _NUMBER.fullmatch(word):
            raise BadInput(place, f"{word!r} is not a plain number", remedy)
        return word
    if kind == "TIME":
        return _time_ns(word, rest, place, remedy)
    if kind == "NAME":
        return _name(word, place, remedy)
    if kind == "OP" and word not in _OPERATIONS:
        raise BadInput(place, f"{word!r} is no operation", remedy + "; OP is submit, amend or cancel")
    return word


def _name(word: str, place: str, remedy: str) -> str:
    if not _NAME.fullmatch(word):
        raise BadInput(place, f"{word!r} names no order", remedy + "; NAME is entry, stop, tp, exit or flatten, or one by number (stop1)")
    return word


def _time_ns(word: str, rest: list[str], place: str, remedy: str) -> int:
    unit = rest.pop(0) if rest else ""
    if not word.isascii() or not word.isdigit() or len(word) > 9 or unit not in _UNITS_NS:
        raise BadInput(place, f"{word} {unit}".strip() + " is no time", remedy + "; a time is written like 250 ms, 15 s or 2 min")
    return int(word) * _UNITS_NS[unit]


# --- writing --------------------------------------------------------------------------------------------------------


def text_from(scenario: Scenario) -> str:
    """Return the file's text: header, notes, then one line a step, with its reason."""
    lines = [f"name: {scenario.name}", f"source: {scenario.source}", f"venue: {scenario.venue}"]
    for key, fields in (("plan", scenario.plan), ("instrument", scenario.instrument)):
        if fields:
            lines.append(f"{key}: " + " ".join(f"{name}={value}" for name, value in fields.items()))
    if scenario.sides != "both":
        lines.append(f"sides: {scenario.sides}")
    if scenario.adopted:
        lines.append(f"adopted: {scenario.adopted}")
    lines += ["", *(f"# {note}" for note in scenario.notes), *([""] if scenario.notes else [])]
    for step in scenario.steps:
        text = f"{step.mark} {step.text}"
        lines.append(f"{text:<40}  # {step.why}" if step.why else text)
    return "\n".join(lines) + "\n"
