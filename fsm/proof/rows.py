"""Which rows of the two tables no exploration took, and why most of them cannot be.

A table is total: each cell has a row for every answer, also for those that cannot be given there. A `Law` says which cannot, and why. Laws
are claims about the machine: what an exploration takes against one is told by `broken_laws`, and fails `holdfast prove`. A row is taken by
one of its cells and answers, and excluded where laws exclude them all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from .. import position as s
from ..order import ORDER
from ..position import POSITION
from ..table import SAME, Row

# States of a position that is to stay: no decision to leave has been made.
_STAYS = frozenset({
    s.ENTRY_PENDING, s.PROTECTED_PENDING_FILL, s.ENTRY_CANCEL_PENDING, s.PROTECTION_PENDING, s.PROTECTED, s.RESIZING, s.TIGHTENING,
    s.AWAITING_OWNER,
})  # fmt: skip
# States that only a decision to leave leads to.
_LEAVES = frozenset({s.TAKE_PROFIT_WORKING, s.MAKER_EXITING, s.MARKET_EXITING})
# States that only a position comes to of which something has filled.
_FILLED = frozenset({
    s.PROTECTION_PENDING, s.PROTECTED, s.RESIZING, s.TIGHTENING, s.STOP_TRIGGERED, s.EMERGENCY_PROTECTING, s.AWAITING_OWNER, *_LEAVES,
    s.FLATTENING,
})  # fmt: skip
# States that stay where they are whatever the evidence says: for a snapshot, for a person.
_WAITS = frozenset({s.RECONCILING, s.HALTED})
# Facts that change neither what is held nor what an order is.
_QUIET = frozenset({"AmendRejected", "ExitRequested", "LevelCrossed", "MarketModeChanged", "DeadlinePassed", *s.SNAPSHOT})
# With these an entry may have ended of which only a balance told that it had bought.
_ENTRY_ENDS = frozenset({"OrderNotSent", "OrderNotFound", "OrderCanceled", "OrderExpired", "OrderCompleted", "PositionAdjusted"})
# The questions of where the evidence is that a quiet fact finds in a state; every other answer leads out of it.
_HOME: Mapping[tuple[str, str], frozenset[str]] = {
    (s.PROTECTION_PENDING, "situation"): frozenset({"BARE", "SHORT"}),
    (s.RESIZING, "situation"): frozenset({"SHORT", "RESIZE_OUT", "AMENDING", "COVERED", "SURPLUS", "COVERED_WORKING", "MISALIGNED"}),
    (s.STOP_TRIGGERED, "way_out"): frozenset({"STOP_OUT", "BLOCKED", "MARKET_OUT"}),
    (s.EMERGENCY_PROTECTING, "situation"): frozenset({
        "BARE", "SHORT", "COVERED", "COVERED_WORKING", "MISALIGNED", "SURPLUS", "BLOCKED", "CLEAR", "WAITING", "WITHDRAWING",
    }),
    (s.EMERGENCY_PROTECTING, "way_out"): frozenset({"WAITING", "BLOCKED", "CLEAR", "CLEAR_TAKE_PROFIT", "CLEAR_PATIENT", "MARKET_OUT"}),
    (s.MARKET_EXITING, "situation"): frozenset({"MARKET_OUT", "CLEAR", "CLEAR_TAKE_PROFIT", "CLEAR_PATIENT"}),
    (s.MARKET_EXITING, "way_out"): frozenset({"MARKET_OUT", "CLEAR", "CLEAR_TAKE_PROFIT", "CLEAR_PATIENT"}),
    (s.TAKE_PROFIT_WORKING, "way_out"): frozenset({"TAKE_PROFIT_OUT", "PATIENT_OUT", "BLOCKED", "STOP_OUT", "WAITING", "MARKET_OUT"}),
    (s.MAKER_EXITING, "way_out"): frozenset({"TAKE_PROFIT_OUT", "PATIENT_OUT", "BLOCKED", "STOP_OUT", "WAITING", "MARKET_OUT"}),
    (s.FLATTENING, "situation"): frozenset({"FLIPPED"}),
    (s.AWAITING_OWNER, "situation"): frozenset({"TAKEN"}),
}  # fmt: skip
_CELLS = POSITION.cells()
_ANSWERS = {classifier.name: classifier.answers for classifier in POSITION.classifiers}
Answers = Mapping[str, str]


class Law(NamedTuple):
    """Why some answers cannot be given in a state, to a fact; `excludes` has state, fact, answers, and where the evidence is."""

    name: str
    why: str
    excludes: Callable[[str, str, Answers, str], bool]


LAWS: tuple[Law, ...] = (
    Law(
        "a stop is taken away by its cancel",
        "only that word begins a hold, only a gap of the link lies between it and the state that waits for the owner, and a halt ends it",
        lambda state, fact, given, where: (
            where == "TAKEN"
            and (state in (s.HALTED, s.FLATTENING) or (fact != "OrderCanceled" and state not in (s.AWAITING_OWNER, s.RECONCILING)))
        ),
    ),
    Law(
        "who stays has not decided to leave",
        "the decision to leave leads out of these states in the same event, so no way out is where the evidence is",
        # Where the venue takes no exit a position keeps its stop, though it is to leave; then that stop may still be tightened.
        lambda state, fact, given, where: (
            state in _STAYS and state not in (s.PROTECTED, s.TIGHTENING) and "situation" in given and where in s.GOING
        ),
    ),
    Law(
        "who leaves has decided to",
        "only a decision to leave leads to these states, and nothing takes it back: whether it is covered is not asked there",
        lambda state, fact, given, where: state in _LEAVES and where in s.STAYING,
    ),
    Law(
        "what has filled was not never filled",
        "these states are entered with a fill, an adoption or the word of a balance, and only that word is taken back",
        lambda state, fact, given, where: (
            state in _FILLED
            and ((where == "NEVER" and fact not in _ENTRY_ENDS) or (where == "SENT" and (fact in _QUIET or fact == "OrderRejected")))
        ),
    ),
    Law(
        "what is over was over at once",
        "the fact that made it flat led out of the state; a fact that changes no quantity and no order finds it so no more",
        lambda state, fact, given, where: fact in _QUIET and state not in _WAITS and where in ("DONE", "NEVER"),
    ),
    Law(
        "a reversal is seen at once",
        "the fact that reversed it led to Flattening; these change no quantity",
        lambda state, fact, given, where: (
            (fact in _QUIET or fact in ("OrderRejected", "OrderCanceled"))
            and state not in _WAITS
            and state != s.FLATTENING
            and where == "FLIPPED"
        ),
    ),
    Law(
        "a fired stop is seen at once",
        "the fact that told of it led to StopTriggered, but where an exit has taken the place of a stop that no list named",
        lambda state, fact, given, where: (
            (fact in _QUIET or fact == "OrderRejected")
            and state not in _WAITS
            and state not in (s.STOP_TRIGGERED, s.CANCEL_PENDING, s.MARKET_EXITING)
            and where in ("TRIGGERED", "STOP_OUT")
        ),
    ),
    Law(
        "a state that waits for one thing has nothing else",
        "what else the evidence could be leads out of the state with the fact that made it so",
        lambda state, fact, given, where: (
            fact in _QUIET and where not in _HOME.get((state, "situation" if "situation" in given else "way_out"), (where,))
        ),
    ),
    Law(
        "a refusal makes nothing flat",
        "it was flat before, and that led out of the state with the fact that made it so",
        lambda state, fact, given, where: (
            fact == "OrderRejected"
            and state in _FILLED
            and (where in ("DONE", "LEFTOVERS") or (state == s.FLATTENING and where != "FLIPPED"))
        ),
    ),
    Law(
        "an attempt to protect has no resting exit",
        "resting exits of such a position were over when the attempt began, and the word that one is not leads out of the state",
        lambda state, fact, given, where: (
            fact == "OrderRejected" and state == s.EMERGENCY_PROTECTING and where in ("TAKE_PROFIT_OUT", "PATIENT_OUT")
        ),
    ),
    Law(
        "who is to be protected does not rest",
        "the position has decided nothing, or comes back from the market: only a level or a wish makes an exit that may rest",
        lambda state, fact, given, where: (
            state == s.EMERGENCY_PROTECTING
            and fact not in ("LevelCrossed", "ExitRequested")
            and where in ("CLEAR_TAKE_PROFIT", "CLEAR_PATIENT")
        ),
    ),
    Law(
        "levels and moods count only while something is held",
        "no level is armed without a holding, and an ignition that is out is one that is held",
        lambda state, fact, given, where: (fact == "LevelCrossed" or given.get("ignition") == "OUT") and where in s.OVER,
    ),
    Law(
        "what is protected has its stop",
        "the stop whose level was crossed is open, so it is in the way of an exit",
        lambda state, fact, given, where: (
            given.get("upkeep") == "SHADOW_FIRED" and where in ("CLEAR", "MARKET_OUT")
        ),
    ),
    Law(
        "a take-profit rests for its own reason",
        "nothing has been decided yet, and the reason of this row is another",
        lambda state, fact, given, where: (
            state in _STAYS and fact != "LevelCrossed" and "way_out" in given and where in ("CLEAR_TAKE_PROFIT", "TAKE_PROFIT_OUT")
        ),
    ),
    Law(
        "patience is asked for",
        "only a patient ExitRequested makes a position patient, and it is leaving then; what rests may be one whose decision the log lost",
        lambda state, fact, given, where: (
            state in _STAYS and fact != "ExitRequested" and "way_out" in given and where == "CLEAR_PATIENT"
        ),
    ),
    Law(
        "what is decided now rests for no reason of before",
        "a refused stop, the market's mood and the time stop decide only where nothing has been decided: nobody has asked for patience",
        lambda state, fact, given, where: (
            where in ("CLEAR_TAKE_PROFIT", "CLEAR_PATIENT")
            and (
                given.get("refusal") in ("THROUGH_MARKET", "SPENT")
                or given.get("ignition") == "OUT"
                or (fact == "DeadlinePassed" and given.get("which") == "time_stop")
            )
        ),
    ),
    Law(
        "a wish has a reason of its own",
        "only a level makes an exit rest as a take-profit where none rests",
        lambda state, fact, given, where: fact == "ExitRequested" and where == "CLEAR_TAKE_PROFIT",
    ),
    Law(
        "no level is armed once it is decided",
        "but where an exit rests; then the patient one is there",
        lambda state, fact, given, where: fact == "LevelCrossed" and where == "CLEAR_PATIENT",
    ),
    Law(
        "a venue that takes exits is not waited for",
        "the answer asks for that first; what only a balance tells of is waited for besides, and no balance is in the checker's world",
        lambda state, fact, given, where: given.get("market") == "OPEN" and where == "WAITING",
    ),
    Law(
        "the mode of a market ends nothing",
        "it was flat before, and that led out of the state with the fact that made it so",
        lambda state, fact, given, where: given.get("market") == "OPEN" and where in ("DONE", "NEVER"),
    ),
    Law(
        "a position that is bare waits with no stop",
        "these refusals are those of a stop where nothing protects, and what is waited with is a stop that does",
        lambda state, fact, given, where: given.get("refusal") in ("THROUGH_MARKET", "SPENT") and where == "WAITING",
    ),
    Law(
        "who was refused its entry has nothing else",
        "an entry that is refused has not filled, so no stop is there; another order's refusal makes nothing flat",
        lambda state, fact, given, where: (
            fact == "OrderRejected"
            and state in (s.ENTRY_PENDING, s.PROTECTED_PENDING_FILL, s.ENTRY_CANCEL_PENDING)
            and where in ("DONE", "LEFTOVERS")
        ),
    ),
    Law(
        "a refusal clears no way out",
        "a stop that is refused is in nobody's way any more only where another one still is; what else was there led out of the state",
        lambda state, fact, given, where: (
            fact == "OrderRejected"
            and state in (s.PROTECTED, s.TIGHTENING, s.STOP_TRIGGERED)
            and "situation" in given
            and where in ("TAKE_PROFIT_OUT", "PATIENT_OUT", "BLOCKED", "CLEAR_TAKE_PROFIT", "CLEAR_PATIENT", "CLEAR")
        ),
    ),
    Law(
        "a refused stop makes a position leave only while something is held",
        "the refusal asks that first, and a stop follows a fill",
        lambda state, fact, given, where: given.get("refusal") in ("THROUGH_MARKET", "SPENT") and where in s.OVER,
    ),
)


class Account(NamedTuple):
    """What became of every row: taken, excluded (with the name of the law), open (neither), and the laws that what was taken breaks."""

    taken: set[str]
    excluded: dict[str, str]
    open: list[str]
    broken: list[str]

    @classmethod
    def of(cls, rows: frozenset[str], order_steps: frozenset[tuple[str, str, str]]) -> "Account":
        """Return the account of the rows, as an engine collects them, and of the (status, fact, status) that were taken."""
        never, orders = rows_never_taken(rows), order_rows_never_taken(order_steps)
        laws = rows_excluded()
        taken = rows_taken(rows) | {name for name in map(_order_name, ORDER.rows) if name not in orders}
        return cls(taken, {n: laws[n] for n in never if n in laws}, [n for n in (*never, *orders) if n not in laws], broken_laws(rows))


def excluded(state: str, fact: str, given: Answers) -> Law | None:
    """Return the law by which a row of a cell cannot be taken, None if none says so."""
    where = given.get("situation") or given.get("way_out") or ""
    return next((law for law in LAWS if law.excludes(state, fact, given, where)), None) if where else None


def broken_laws(taken: Iterable[str]) -> list[str]:
    """Return one sentence for each row that was taken with answers of which a law says that they cannot be given there."""
    out = []
    for told in sorted(taken):
        row_id, *answers = told.split(" ")
        _, number, state, fact = row_id.split(":")
        law = excluded(state, fact, _given(int(number), state, fact, answers)) if number.isdecimal() else None
        if law is not None:
            out.append(f"{told} was taken although {law.name}")
    return out


def _given(number: int, state: str, fact: str, answers: Sequence[str]) -> Answers:
    """Return the answers that the row asked for; without any, those that its text gives alone."""
    asked = POSITION.rows[number].when
    if not answers:
        return {name: answer for name, answer in asked.items() if isinstance(answer, str)}
    return {name: given for name, given in zip(_CELLS[state, fact].dimensions, answers, strict=True) if name in asked}


def rows_excluded() -> dict[str, str]:
    """Return the rows of which the laws exclude every cell and answer, each with the name of the first law that does."""
    out = {}
    for number, row in enumerate(POSITION.rows):
        laws = [excluded(state, fact, given) for state, fact in product(row.sources, row.facts) for given in _ways(row)]
        if all(laws) and laws[0] is not None:
            out[name_of(number)] = laws[0].name
    return out


def _ways(row: Row) -> Iterable[Answers]:
    asked = {name: (answer,) if isinstance(answer, str) else answer for name, answer in row.when.items()}
    return (dict(zip(asked, answers, strict=True)) for answers in product(*asked.values()))


def rows_never_taken(taken: frozenset[str]) -> list[str]:
    """Return the rows of the table, as written there, of which no cell was taken."""
    numbers = rows_taken(taken)
    return [name for number in range(len(POSITION.rows)) if (name := name_of(number)) not in numbers]


def rows_taken(taken: Iterable[str]) -> set[str]:
    """Return the names of the rows of which a cell was taken; `taken` are row ids, with the answers or without."""
    return {name_of(int(number)) for row_id in taken if (number := row_id.split(":")[1]).isdecimal()}


def name_of(number: int) -> str:
    """Return how a row of the position table is named in lists: states, facts and answers."""
    row = POSITION.rows[number]
    return f"{_brief(row.sources)} on {_brief(row.facts)} {_when(row)}".rstrip()


def order_rows_never_taken(steps: frozenset[tuple[str, str, str]]) -> list[str]:
    """Return the rows of the order table whose (status, fact, status) never occurred."""
    out = []
    for row in ORDER.rows:
        ways = {(source, name, source if row.target == SAME else row.target) for source in row.sources for name in row.facts}
        if not ways & steps:
            out.append(_order_name(row))
    return out


def _order_name(row: Row) -> str:
    return f"order {_brief(row.sources)} on {_brief(row.facts)} {_when(row)}".rstrip()


def _when(row: Row) -> str:
    return " ".join(f"{name}={_among(name, answer)}" for name, answer in row.when.items())


def _among(name: str, answer: str | tuple[str, ...]) -> str:
    if isinstance(answer, str):
        return answer
    left = [x for x in _ANSWERS.get(name, ()) if x not in answer]
    return "/".join(answer) if len(answer) <= len(left) or not left else f"not:{'/'.join(left)}"


def _brief(names: tuple[str, ...]) -> str:
    return "/".join(names[:2]) + (f"/+{len(names) - 2}" if len(names) > 2 else "")
