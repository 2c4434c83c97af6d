"""Each scenario again with each fault at each message boundary: the invariants after every input, and in the end everything settles.

Rules
    A boundary of a fault of the venue is a message that it can strike (`venues/simulated/faults.py`): request, reply, frame, answer by
    REST. A boundary of the others is an input that made events. A clean run counts them all, then each is struck in a run of its own.
    What the script expects is not compared: the fault changes it. Where a step of the script cannot happen any more, it is left out.
    After the script faults are off, the venue is open and the links are up; each position must be protected or ended within
    `SETTLE_S`, then it is told to leave, and must be closed, with no order of ours left at the venue (I13).
    A position that cannot leave may halt instead, if a person is told.
    Once all has ended and nothing is under way, `OVER_AUDITS` more looks at the whole truth must tell nothing new; the rest of the time
    would be the same again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import msgspec

from events.values import PositionSide
from fsm.coverage import unprotected_lots
from fsm.model import HOLD_MAX_MS
from fsm.monitor import BOUND_NS
from fsm.position import AWAITING_OWNER, MAKER_EXITING, TAKE_PROFIT_WORKING
from replay.output import Output
from venues.simulated.faults import ArmedFault, Faults
from venues.simulated.settings import System

from .floor import AUDIT_NS, SECOND, Floor
from .run import Play
from .table import bound_ms, sides_of
from .text import REFUSALS, Scenario

SETTLE_S = 60
LEAVE_S = 120
OVER_AUDITS = 3
CUT_S, CLOSED_S, JUMP_S = 3, 20, 30
# Runs of one round through all cases: some seconds.
ROUND_RUNS = 400
# A take-profit that rests holds the quantity that the stop cannot: uncovered by choice, for as long as the plan says.
BY_CHOICE = (TAKE_PROFIT_WORKING, MAKER_EXITING)
_MODES: tuple[System, ...] = ("cancel_only", "post_only", "limit_only", "maintenance")


class Operator(NamedTuple):
    """One fault by name. `strikes` are the faults of the venue that make it, `act` what is done at an input that made events.

    `lasts_s` is how long it takes away a means to protect: it adds to the bound of the time without protection.
    """

    name: str
    strikes: tuple[tuple[str, dict[str, object]], ...] = ()
    act: Callable[[Floor, Output], None] | None = None
    lasts_s: float = 0


def _crash(floor: Floor, output: Output, *, kept: bool, sent: bool) -> None:
    floor.die(keeping=output if kept else None, sending=output if sent else None)


def _cut(floor: Floor, output: Output) -> None:
    def back() -> None:
        if not floor.is_connected and not floor.is_dead:
            floor.connect()

    floor.queue(floor.cut)
    floor.after(CUT_S * SECOND, back)


def _mode(floor: Floor, output: Output, *, system: System) -> None:
    floor.queue(partial(floor.mode, system))
    floor.after(CLOSED_S * SECOND, partial(floor.mode, "online"))


def _jump(floor: Floor, output: Output, *, seconds: float) -> None:
    floor.lag_ns -= int(seconds * SECOND)


def _venue(name: str, lasts_s: float = 0, **options: object) -> Operator:
    return Operator(name, ((name, options),), lasts_s=lasts_s)


OPERATORS: tuple[Operator, ...] = (
    _venue("drop_frame"),
    _venue("duplicate_frame"),
    _venue("reorder_frames"),
    _venue("delay_frame", 6),
    _venue("sequence_gap"),
    _venue("non_json"),
    _venue("stall", 6),
    _venue("zero_price"),
    _venue("truncated_snapshot"),
    _venue("close_mid_stream"),
    Operator("cut_truncated", (("close_mid_stream", {}), ("truncated_snapshot", {"after": 1}))),
    _venue("ack_lost_applied"),
    _venue("ack_lost_not_applied"),
    *(Operator(f"reject_{name}", (("reject", {"text": text}),)) for name, text in REFUSALS.items()),
    _venue("late_request", 6),
    _venue("close_before_apply"),
    _venue("close_before_reply"),
    _venue("close_after_reply"),
    _venue("split_fill"),
    _venue("base_fee"),
    _venue("trigger_during_amend"),
    _venue("trail_rebase"),
    _venue("fill_during_cancel"),
    _venue("partial_fill_during_cancel"),
    _venue("fill_after_cancel_ack"),
    _venue("rest_429"),
    _venue("rest_refused"),
    _venue("rest_empty"),
    _venue("rest_partial"),
    _venue("rest_stale", seconds=60.0),
    Operator("cut", act=_cut, lasts_s=CUT_S),
    Operator("crash_before_append", act=partial(_crash, kept=False, sent=False)),
    Operator("crash_after_append", act=partial(_crash, kept=True, sent=False)),
    Operator("crash_after_send", act=partial(_crash, kept=True, sent=True)),
    Operator("clock_ahead", act=partial(_jump, seconds=JUMP_S)),
    Operator("clock_back", act=partial(_jump, seconds=-JUMP_S)),
    *(Operator(f"mode_{system}", act=partial(_mode, system=system), lasts_s=CLOSED_S) for system in _MODES),
)


class Case(NamedTuple):
    """One run: a scenario, a side, a fault (by name), and which message it strikes."""

    scenario: Scenario
    side: PositionSide
    operator: str
    boundary: int


class Struck(NamedTuple):
    """What came of one run. `has_struck` is False where the fault found nothing to strike."""

    case: Case
    has_struck: bool
    problems: tuple[str, ...]
    bare_ms: int


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one scenario and side with faults: how many runs, in how many something broke, and the worst of them.

    `worst_ms` is the longest time without protection, `worst_by` the fault and which message it struck, from 0, `bound_ms` what that run
    allows. `beyond` runs were longer than theirs allow: a person was told, or it is a problem.
    """

    scenario: str
    side: PositionSide
    runs: int
    broken: int
    beyond: int
    worst_ms: int
    worst_by: str
    bound_ms: int
    problems: tuple[str, ...]


class _Listening(Faults):
    """The faults of a venue, and which messages each could have struck."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[tuple[str, str]] = []

    @property
    def armed(self) -> bool:
        """As if one were: else nobody asks about the frames."""
        return True

    def take(self, name: str, label: str) -> ArmedFault | None:
        self.asked.append((name, label))
        return super().take(name, label)


def cases_of(scenario: Scenario, side: PositionSide) -> Iterator[Case]:
    """Yield every case of a scenario for a side: each fault at each boundary of a run without it.

    None where a record is damaged: that position is left to a person, so that in the end it need not be settled.
    """
    if any(clause.word == "damaged" for step in scenario.steps for clause in step.clauses):
        return
    book = _Listening()
    inputs = 0

    def count(output: Output) -> None:
        nonlocal inputs
        inputs += bool(output.events)

    play = Play(scenario, side, fault_book=book, is_compared=False)
    play.on_input = count
    play.play()
    for operator in OPERATORS:
        boundaries = inputs
        if operator.strikes:
            name = operator.strikes[0][0]
            probe = ArmedFault(name)
            boundaries = sum(asked == name and probe.matches(label) for asked, label in book.asked)
        for boundary in range(boundaries):
            yield Case(scenario, side, operator.name, boundary)


def run(case: Case) -> Struck:
    """Run one case to its end."""
    operator = next(x for x in OPERATORS if x.name == case.operator)
    book = Faults(1)
    armed = [book.arm(name, **{"after": case.boundary, **options}) for name, options in operator.strikes[:1]]  # type: ignore[arg-type]
    armed += [book.arm(name, **options) for name, options in operator.strikes[1:]]  # type: ignore[arg-type]
    play = Play(case.scenario, case.side, fault_book=book, is_compared=False)
    left = case.boundary
    is_done = False

    def act(output: Output) -> None:
        nonlocal left, is_done
        if is_done or not output.events or operator.act is None:
            return
        if left:
            left -= 1
            return
        is_done = True
        operator.act(play.floor, output)

    play.on_input = act
    outcome = play.play(at_end=lambda: settle(play))
    problems = list(outcome.problems)
    if outcome.bare_ms > bound_of(case) and not play.floor.pages:
        problems.append(f"I1: without protection for {outcome.bare_ms} ms, {bound_of(case)} ms are allowed, and nobody is told")
    has_struck = is_done if operator.act is not None else armed[0].struck > 0
    return Struck(case, has_struck, tuple(problems), outcome.bare_ms)


def settle(play: Play) -> None:
    """End the faults, and see whether everything ends too. Adds to the problems of the play what does not."""
    floor = play.floor
    floor.faults.disarm()
    floor.is_back_at_once = True
    if floor.is_dead:
        floor.kill()
    floor.mode("online")
    if not floor.is_connected:
        floor.connect()
    _pass(play, SETTLE_S)
    for position_id, position in sorted(floor.pipeline.desk.positions.items()):
        if unprotected_lots(position) and position.state not in BY_CHOICE and not floor.pages:
            play.problems.append(f"I13: {position_id} is bare in {position.state} {SETTLE_S} s after the last fault, and nobody is told")
    for position_id in sorted(floor.pipeline.desk.positions):
        floor.leave(position_id)
    _pass(play, LEAVE_S)
    for position_id, position in sorted(floor.pipeline.desk.positions.items()):
        if not (position.state == "Halted" and floor.pages):
            play.problems.append(f"I13: {position_id} is still {position.state} {LEAVE_S} s after it was told to leave")
    if not floor.pipeline.desk.positions and (left := play.watch.books.ours_open()):
        play.problems.append(f"I12: no position lives, and these orders of ours are open: {', '.join(left)}")


def _pass(play: Play, seconds: int) -> None:
    """Let time pass, an audit at a time, no longer than something may still come."""
    floor, looks = play.floor, 0
    end_ns = floor.now_ns + seconds * SECOND
    while floor.now_ns < end_ns and looks < OVER_AUDITS:
        before = len(floor.events)
        floor.wait(min(AUDIT_NS, end_ns - floor.now_ns) / SECOND)
        is_over = not floor.pipeline.desk.positions and not floor.is_busy and not play.watch.books.ours_open()
        looks = looks + 1 if is_over and len(floor.events) == before else 0


# --- many -----------------------------------------------------------------------------------------------------------


def cases(chosen: Sequence[Scenario], sides: str = "both", every: int = 1, part: int = 1, of: int = 1) -> list[Case]:
    """Return all cases of scenarios for their sides, or each `every`-th of them, or part number `part` of these, of `of` parts."""
    found = [case for scenario in chosen for side in sides_of(scenario, sides) for case in cases_of(scenario, side)]
    return found[::every][part - 1 :: of]


def run_all(chosen: Sequence[Case], jobs: int, on_progress: Callable[[int], None] = lambda done: None) -> list[Struck]:
    """Run cases on `jobs` processes and return what came of them, in their order.

    They are run in rounds through all of them, so that what is done says how long the rest takes: one scenario costs several times another.
    """
    order = _in_rounds(len(chosen))
    found: dict[int, Struck] = {}

    def take(made: Iterable[Struck]) -> None:
        for place, struck in zip(order, made, strict=True):
            found[place] = struck
            on_progress(len(found))

    if jobs == 1:
        take(run(chosen[place]) for place in order)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            take(pool.map(run, [chosen[place] for place in order], chunksize=8))
    return [found[place] for place in range(len(chosen))]


def _in_rounds(count: int) -> list[int]:
    rounds = max(1, count // ROUND_RUNS)
    return [place for first in range(rounds) for place in range(first, count, rounds)]


def fault_rows(found: Sequence[Struck]) -> list[FaultRow]:
    """Sum up runs, a row for each scenario and side."""
    groups: dict[tuple[str, PositionSide], list[Struck]] = {}
    for struck in found:
        if struck.has_struck:
            groups.setdefault((struck.case.scenario.place, struck.case.side), []).append(struck)
    out = []
    for (name, side), runs in groups.items():
        worst = max(runs, key=lambda x: x.bare_ms)
        out.append(
            FaultRow(
                scenario=name,
                side=side,
                runs=len(runs),
                broken=sum(bool(x.problems) for x in runs),
                beyond=sum(x.bare_ms > bound_of(x.case) for x in runs),
                worst_ms=worst.bare_ms,
                worst_by=_shown(worst.case) if worst.bare_ms else "",
                bound_ms=bound_of(worst.case),
                problems=tuple(f"{_shown(x.case)}: {problem}" for x in runs for problem in x.problems),
            )
        )
    return out


def _shown(case: Case) -> str:
    return f"{case.operator} {case.boundary}"


def bound_of(case: Case) -> int:
    """Return the longest time without protection that a case allows, in ms: what its scenario does, how long the fault lasts, the alarm's.

    What a scenario does is the longest of its own bound, of the time for which it keeps the link or the process away (what is bare then
    stays so: nothing can be sent), and of a hold, where the owner is asked in it.
    """
    operator = next(x for x in OPERATORS if x.name == case.operator)
    own_ms = max(bound_ms(case.scenario), away_ms(case.scenario), HOLD_MAX_MS if _asks_owner(case.scenario) else 0)
    return own_ms + int(operator.lasts_s * 1_000) + BOUND_NS // 1_000_000


def away_ms(scenario: Scenario) -> int:
    """Return the longest time for which a scenario keeps the link cut or the process down, in ms."""
    longest_ns = away_ns = 0
    is_away = False
    for step in scenario.steps:
        for clause in step.clauses if step.mark == "!" else ():
            if clause.word in ("cut", "breaks", "down", "live", "start"):
                is_away = clause.word not in ("live", "start")
                away_ns = away_ns if is_away else 0
            elif clause.word in ("wait", "silence") and is_away:
                away_ns += int(str(clause.values["TIME"]))
                longest_ns = max(longest_ns, away_ns)
    return longest_ns // 1_000_000


def _asks_owner(scenario: Scenario) -> bool:
    return any(clause.values.get("WORD") == AWAITING_OWNER for step in scenario.steps if step.mark == "=" for clause in step.clauses)
