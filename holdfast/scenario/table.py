"""The scenarios that come with the program, and the table of what holds: a row for each scenario and side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from events.errors import BadInput, NotFound
from events.values import PositionSide

from .run import Play
from .setup import check_words
from .text import Scenario, scenario_from

FOLDER = Path(__file__).parent / "rows"
SUFFIX = ".scenario"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one scenario for one side. Of `problems` there is none where it holds.

    `unprotected_ms` is the longest time that the engine's clock of bare quantity ran, `bound_ms` what the script allows.
    """

    scenario: str
    side: PositionSide
    held: bool
    unprotected_ms: int
    bound_ms: int
    about: str
    problems: tuple[str, ...]


def scenarios(names: Sequence[str] = ()) -> list[Scenario]:
    """Return scenarios, ready to play: all that come with the program, or those of `names` (`P05`, or a file).

    Raises NotFound or BadInput.
    """
    shipped = {path.stem: path for path in sorted(FOLDER.glob("*" + SUFFIX))}
    if not names:
        return [read(path) for path in shipped.values()]
    return [read(_path(name, shipped)) for name in names]


def _path(name: str, shipped: dict[str, Path]) -> Path:
    found = shipped.get(name.upper()) or shipped.get(name)
    if found is not None:
        return found
    path = Path(name)
    if path.suffix == SUFFIX and path.is_file():
        return path
    raise NotFound("scenario", name, f"name a file *{SUFFIX}, or one of {', '.join(shipped)}")


def read(path: Path) -> Scenario:
    """Read one file. Raises BadInput with its name, the line and the remedy."""
    try:
        scenario = scenario_from(path.read_text(encoding="utf-8"), path.stem)
    except UnicodeDecodeError:
        raise BadInput(path.name, "it is no UTF-8 text", "save it as UTF-8") from None
    check_words(scenario)
    return scenario


def sides_of(scenario: Scenario, asked: str = "both") -> list[PositionSide]:
    """Return the sides that a scenario is written for, of those that are asked for."""
    return [side for side in PositionSide if scenario.sides in ("both", side.value) and asked in ("both", side.value)]


def bound_ms(scenario: Scenario) -> int:
    """Return the longest time without protection that the script allows, in ms."""
    return max(int(str(x.values["TIME"])) for step in scenario.steps for x in step.clauses if x.word == "unprotected") // 1_000_000


def rows(chosen: Sequence[Scenario], sides: str = "both") -> Iterator[Row]:
    """Play scenarios, each for its sides, and yield what came of it."""
    for scenario in chosen:
        for side in sides_of(scenario, sides):
            outcome = Play(scenario, side).play()
            yield Row(
                scenario=scenario.place,
                side=side,
                held=not outcome.problems,
                unprotected_ms=outcome.bare_ms,
                bound_ms=bound_ms(scenario),
                about=scenario.name.removeprefix(scenario.place).removeprefix(scenario.place.partition("-")[0]).strip(),
                problems=outcome.problems,
            )
