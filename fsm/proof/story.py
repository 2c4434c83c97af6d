"""A trace as people read it: one line a step, a Mermaid sequence diagram, and a file that the test suite runs again.

The file names the configuration and the label of each step; running it again makes the same moves by the same code, and the
properties are judged at each. `holdfast prove --save` writes it, `tests/proof/` holds those of bugs that were found.
"""

from collections.abc import Sequence

import msgspec

from events.errors import BadInput

from ..core import Core
from .configuration import Configuration
from .explore import Step, Violation
from .moves import World
from .parts import Label, State
from .properties import Broken


class Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trace as it is kept: what broke when it was found, the configuration, and one line for each move."""

    broken: str
    text: str
    configuration: Configuration
    moves: tuple[str, ...]


def line_of(label: Label) -> str:
    """Return a label as one line."""
    return " ".join(_word(x) for x in label)


def _word(x: object) -> str:
    return "(" + " ".join(_word(y) for y in x) + ")" if isinstance(x, tuple) else str(x)


def text_from(configuration: Configuration, violation: Violation, core: Core | None = None) -> str:
    """Return the shortest trace, a line a step: what happened, and what the engine made of it."""
    out = [f"{configuration.name}: {violation.name} does not hold: {violation.text}"]
    for number, (step, told) in enumerate(_told(configuration, violation.trace, core)):
        out.append(f"{number:4}  {line_of(step.label)}")
        out += [f"        {line}" for line in told]
    return "\n".join(out) + "\n"


def mermaid_from(configuration: Configuration, violation: Violation, core: Core | None = None) -> str:
    """Return the trace as a sequence diagram of the venue, the wire and the engine."""
    out = ["sequenceDiagram", "    participant V as venue", "    participant E as engine"]
    for step, told in _told(configuration, violation.trace, core):
        line, first = line_of(step.label).replace(";", ","), step.label[0]
        if first == "we get":
            out.append(f"    V->>E: {line}")
        elif first in ("venue", "owner", "market"):
            out.append(f"    Note over V: {line}")
        elif first in ("tick", "price"):
            out.append(f"    Note over V,E: {line}")
        else:
            out.append(f"    Note over E: {line}")
        out += [f"    E->>V: {x.partition('sends ')[2]}" if "sends " in x else f"    Note right of E: {x}" for x in told]
    out.append(f"    Note over V,E: {violation.name}: {violation.text}".replace(";", ","))
    return "\n".join(out) + "\n"


def _told(configuration: Configuration, trace: Sequence[Step], core: Core | None) -> list[tuple[Step, list[str]]]:
    """Make the moves again and return each with what the engine did in it."""
    world = World(configuration, core or Core("flat"))
    world.is_telling = True
    state = world.start()
    out = [(trace[0], _lines(world))]
    for step in trace[1:]:
        world.reactions.clear()
        found = None
        try:
            for label, after in world.moves(state):
                if label == step.label:
                    found = after
                    break
                world.reactions.clear()
        except Exception:  # the code under proof failed here: that is the end of the trace
            found = None
        out.append((step, _lines(world)))
        if found is None:
            break
        state = found
    return out


def _lines(world: World) -> list[str]:
    lines = []
    for reaction in world.reactions:
        lines += [f"{type(e.fact).__name__}: {e.to}" for e in reaction.events if type(e.fact).__name__ != "OrderSubmitted"]
        lines += [f"sends {line_of(x)}" for x in reaction.sends]
        lines += ["sends ask"] * reaction.asks
    return lines


def saved_from(configuration: Configuration, violation: Violation) -> bytes:
    """Return the bytes of a file from which `play` runs the trace again."""
    moves = tuple(line_of(step.label) for step in violation.trace[1:])
    saved = Saved(broken=violation.name, text=violation.text, configuration=configuration, moves=moves)
    return msgspec.json.format(msgspec.json.encode(saved), indent=1) + b"\n"


def read_saved(data: bytes, place: str) -> Saved:
    """Return a trace that was kept. Raises BadInput, naming `place`."""
    try:
        return msgspec.json.decode(data, type=Saved)
    except msgspec.DecodeError as error:
        raise BadInput(place, f"it is no trace of the model checker: {error}", "write one with holdfast prove --save") from None


def play(saved: Saved, core: Core | None = None) -> list[Broken]:
    """Make the moves of a trace again and return what they break, up to where the machine goes another way."""
    world = World(saved.configuration, core or Core("flat"))
    state: State | None = world.start()
    for move in saved.moves:
        assert state is not None
        before, state = state, None
        for label, after in world.moves(before):
            if line_of(label) == move:
                state = after
                break
            world.broken.clear()
        if world.broken:
            return world.broken
        if state is None:
            return []
        world.judge(state)
        if world.broken:
            return world.broken
    assert state is not None
    return _unsettled(world, state)


def _unsettled(world: World, state: State) -> list[Broken]:
    """Let faults stop, and say whether the position comes round to where it was (I13)."""
    seen = set()
    while not world.is_settled(state):
        if state in seen:
            return [Broken("I13", "once faults stop, the position comes round to where it was and never settles")]
        seen.add(state)
        fair = world.fair(state)
        if fair is None:
            return [Broken("I13", "nothing can happen any more")]
        state = fair[1]
    return []
