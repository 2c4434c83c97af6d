"""The scenario format, one message a line.

    name: P05 a cancel is refused because the stop has filled
    source: P05, freqtrade #5101
    plan: qty=1 stop_price=97

    ! open                            what else happens: wishes, time, faults, the owner, the process
    > submit entry 1                  what we sent since the last line that acts: exactly these orders, in order
    > submit stop 1 stop 97
    = Protected, covered 1            what holds now
    < price 96.9                      what the venue does by itself; it answers our requests as the real one does, at once

Prices are a long's around 100; a short, on margin, plays them mirrored at 100. A blank line and a line that begins with `#`
are for the reader; a `#` within a line says why. What `>` leaves out at the end of a line is not compared. `VENUE_DOES`,
`HAPPENS` and `HOLDS` below are the whole language: upper case is a value, `[...]` may be left out.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from events.errors import BadInput

Mark = Literal[">", "<", "!", "="]
Sides = Literal["both", "long", "short"]

# What a line may say, by its first word. Upper case: NAME of an order, a number (QTY, PX, BPS, N), TIME ("15 s"), WORD (any).
VENUE_DOES: Mapping[str, str] = {
    "price": "PX [qty QTY]",  # the market trades there
    "fills": "NAME QTY",  # an open order executes that much, whatever the market
    "cancels": "NAME",  # by itself
    "expires": "NAME",
    "refuses": "OP NAME CLASS [times N]",  # the next such request of ours
    "says": "NAME WORD",  # tells `new`, `canceled`, `expired` or `filled` of an order once more, true or not
    "triggers-on": "WORD",  # says of each stop that this price triggers it, not the last trade: index
    "mode": "WORD",  # of the market: online, post_only, limit_only, cancel_only, maintenance
}  # fmt: skip
HAPPENS: Mapping[str, str] = {
    "open": "",  # a position is asked for, by the plan
    "exit": "WORD [patient]",
    "exit-all": "WORD",  # every position that lives is told to leave
    "tighten": "BPS",
    "halt": "",
    "protect": "",
    "wait": "TIME",  # the market prints its last price each second meanwhile
    "silence": "TIME",  # nothing trades
    "cut": "",  # both links close
    "breaks": "",  # they are gone, and the engine has not heard of it yet: what it sends does not leave
    "live": "",  # they open again
    "crash": "",  # the process dies, and starts from its log
    "down": "",  # it dies
    "start": "",  # it starts from its log
    "fault": "WORD [on WORD] [times N] [for TIME]",  # of the venue, by its name there
    "owner": "WORD [QTY] [NAME] [times N]",  # by hand: buys, sells, withdraws QTY; cancels NAME
    "rests-by-hand": "QTY PX",  # the owner lets a limit order to buy rest, at a price as it is written
    "halt-entries": "",  # the kill switch: no entry may leave
    "resume-entries": "",
    "second": "",  # another engine starts on the store of this one
    "torn": "N",  # the process dies, and starts from a log without its last N events
    "damaged": "",  # the process dies, and starts from a log in which an event of this position cannot be read
    "no-prices": "",  # nothing more is heard of the market: neither trades nor tickers
    "tells-price": "WORD",  # a ticker with that for a price: 0, NaN, 1e400
    "clock": "WORD TIME",  # of this machine jumps ahead or back
}  # fmt: skip
HOLDS: Mapping[str, str] = {
    "held": "QTY", "covered": "QTY", "bare": "QTY", "unprotected": "TIME", "stopless": "TIME", "reason": "WORD", "paged": "WORD [times N]",
    "alerted": "WORD [times N]",
    "quiet": "", "stop": "PX", "trail": "BPS", "resting": "[NAME...]", "flat": "", "account": "QTY", "entries": "N", "live": "N",
    "refused": "", "event": "WORD", "by-hand": "N",
}  # fmt: skip
SENDS = ("submit", "amend", "cancel")
REFUSALS: Mapping[str, str] = {
    "caller_bug": "EGeneral:Invalid arguments:price",
    "funds": "EOrder:Insufficient funds",
    "gone": "EOrder:Unknown order",
    "rate": "EOrder:Rate limit exceeded",
    "venue_state": "EService:Unavailable",
    "through_market": "EOrder:Stop would trigger immediately",
    "post_only": "EOrder:Post only order",
    "other": "EOrder:Trading agreement required",
}
_WORDS: Mapping[str, Mapping[str, str]] = {"<": VENUE_DOES, "!": HAPPENS}
_NUMBERS = frozenset({"QTY", "PX", "BPS", "N"})
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_NAME = re.compile(r"(entry|stop|tp|exit|flatten)(\d*)")
_UNITS_NS: Mapping[str, int] = {"ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
Value = str | int | tuple[str, ...] | bool


class Clause(msgspec.Struct, frozen=True):
    """One word and its values: what a message, a happening or an expectation says. Numbers stay text, a TIME is in ns."""

    word: str
    values: dict[str, Value]


class Step(msgspec.Struct, frozen=True):
    """One line: its mark, its text without the mark, what the text means (none for `>`), and where it stands."""

    mark: Mark
    text: str
    clauses: tuple[Clause, ...] = ()
    place: str = ""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: its header and its steps. `plan` and `venue` are fields of `Plan` and of the simulated venue's settings, as text,
    `engine` those of the pipeline's.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    plan: dict[str, str] = {}
    venue: dict[str, str] = {}
    engine: dict[str, str] = {}
    sides: Sides = "both"
    place: str = ""


# --- reading --------------------------------------------------------------------------------------------------------


def scenario_from(text: str, place: str) -> Scenario:
    """Return the scenario that `text` writes; `place` is its file's name.

    Raises BadInput with `place`, the line and the remedy.
    """
    header: dict[str, str] = {}
    steps: list[Step] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line, where = raw.strip(), f"{place}:{number}"
        if not line or line.startswith("#"):
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
    return _checked(header, tuple(steps), place)


_HEADER = ("name", "source", "plan", "venue", "engine", "sides")


def _checked(header: dict[str, str], steps: tuple[Step, ...], place: str) -> Scenario:
    for key in ("name", "source"):
        if not header.get(key):
            raise BadInput(place, f"there is no {key}", f"begin it with `{key}: ...`")
    sides = header.get("sides", "both")
    if sides not in ("both", "long", "short"):
        raise BadInput(place, f"sides {sides!r} is not known", "use both, long or short")
    if not steps:
        raise BadInput(place, "nothing happens in it", "write at least one step, for example `! open`")
    plan, venue, engine = (_fields(header.get(key, ""), f"{place}: {key}") for key in ("plan", "venue", "engine"))
    named = {"name": header["name"], "source": header["source"]}
    return Scenario(**named, steps=steps, plan=plan, venue=venue, engine=engine, sides=sides, place=place)  # type: ignore[arg-type]


def _fields(text: str, place: str) -> dict[str, str]:
    out = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key or not value or key in out:
            raise BadInput(place, f"{part!r} is no field", "write each field once, as name=value, with blanks between")
        out[key] = value
    return out


def step_from(line: str, place: str = "step") -> Step:
    """Return the step that a line writes, its mark first. Raises BadInput with `place` and the remedy."""
    body = line.partition("#")[0]
    mark, text = body[:1], " ".join(body[1:].split())
    if not text:
        raise BadInput(place, f"nothing follows {mark!r}", "say what is sent, said, happening or held")
    if mark == ">":
        if text.split()[0] not in SENDS:
            raise BadInput(place, f"{text.split()[0]!r} is nothing that we send", f"use one of: {', '.join(SENDS)}")
        return Step(">", text, (), place)
    if mark == "=":
        return Step("=", text, tuple(_held(part.strip(), place) for part in text.split(",")), place)
    return Step(mark, text, (_clause(mark, text.split(), place),), place)  # type: ignore[arg-type]


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


def _values(signature: str, words: list[str], shown: str, place: str) -> dict[str, Value]:
    """Read the values after the first word by its signature: what must stand first, then options in any order."""
    remedy = f"write it as: {shown} {signature}".rstrip()
    rest = words[1:]
    out: dict[str, Value] = {}
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


def _put(out: dict[str, Value], kind: str, value: Value) -> None:
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


def _value(kind: str, rest: list[str], place: str, remedy: str) -> Value:
    if not rest:
        raise BadInput(place, f"{kind} is missing", remedy)
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
    if kind == "OP" and word not in SENDS:
        raise BadInput(place, f"{word!r} is no operation", remedy + "; OP is submit, amend or cancel")
    if kind == "CLASS" and word not in REFUSALS:
        raise BadInput(place, f"{word!r} is no class of refusal", f"use one of: {', '.join(REFUSALS)}")
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
