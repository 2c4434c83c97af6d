"""Random walks where the spaces are too large: all kinds of plan, venue and fault at once, far from where it began.

Half of the worlds are directed: some faults are sure to be there, and often, because what follows from them needs several in a row. And
most walks go on from where others have been, from what was seldom seen first: what needs five things in a row is met by who begins at
the fourth. What was seen is told apart by what the position makes of its evidence, by its open orders and by the next words on the wire.

A walk proves nothing. It judges what `explore` judges in each state and step (not I13), and takes rows of the tables that need more faults
one after another than any space that can be walked to its end. A seed says which walks: the same seed, the same walks.
"""

from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

import msgspec

from events import facts as f

from .. import position as s
from ..core import Core
from .configuration import FAULTS, LIMIT, SHORT, VENUES, Configuration, maker_plan, sign_of, static_plan
from .explore import Step, Violation
from .moves import World
from .parts import State
from .properties import Broken
from .venue import MID, STEP

STEPS = 120
WALKS_A_WORLD = 24
# The first walks of a world begin where it does; the others go on from somewhere else after so many steps, and no further than that.
_FROM_START, _LEG, _DEEPEST = 2, 30, 200
_FAIR = 0.35
# What an adversary may not do beside others, for what is judged does not hold then: docs/proof.md, "Not proven".
_APART = ({"crash", "tighten"}, {"crash", "report"}, {"truncated", "unlisted"})
_NEVER = {"loosen", "adjust"}
# Absence is believed when two answers running lack the order.
_ONCE = {"truncated"}
# Faults that are sure to be there, and how often each: then one to four of the others.
_DIRECTIONS: tuple[dict[str, int], ...] = (
    {"mode": 3, "exit": 2},  # the market stops taking exits while it is to be left
    {"halt": 2, "exit": 1, "price": 2},  # a halted position goes on
    {"sell": 2, "exit": 1},  # more is closed than was open
    {"patient": 2, "exit": 1, "price": 3},  # an exit rests while another reason to leave comes
    {"reject": 3, "through": 2, "funds": 2},  # refused again and again
    {"sell": 3, "unsent": 2, "reject": 2, "dup": 1},  # flat by the owner's hand while orders rest, and the entry fills on
    {"cut": 2, "halt": 1, "patient": 1, "price": 2},  # halted while a snapshot is awaited, with an exit wished for
    {"crash": 2, "exit": 1, "reject": 2, "price": 2},  # the log lacks what was decided
    {"mode": 4, "through": 2, "exit": 1, "cancel": 1},  # shut, bare and refused
)
# Watches of a position that waits for a snapshot pass while the link is down.
_IMPATIENT = msgspec.structs.replace(SHORT, reconcile_timeout_ms=1_000)


class Walked(NamedTuple):
    """What walks saw: how many, their states, what was taken (as in `Result`), and the first violation with its configuration.

    `krakens` are those of `steps` that were taken where the venue can do what Kraken can.
    """

    walks: int
    states: int
    rows: frozenset[str]
    steps: frozenset[tuple[str, str, str]]
    krakens: frozenset[tuple[str, str, str]]
    order_steps: frozenset[tuple[str, str, str]]
    violation: tuple[Configuration, Violation] | None


def walk(seed: int, worlds: int, core: Core | None = None) -> Walked:
    """Take some walks in each of `worlds` random configurations; stop at the first violation."""
    random, core = Random(seed), core or Core("flat")
    rows: set[str] = set()
    steps: set[tuple[str, str, str]] = set()
    krakens: set[tuple[str, str, str]] = set()
    order_steps: set[tuple[str, str, str]] = set()
    walks = states = 0
    violation = None
    for _ in range(worlds):
        world = World(_drawn(random), core)
        been, found = _Been(world), None
        for number in range(WALKS_A_WORLD):
            seen, found = _walked(been, random, STEPS if number < _FROM_START else _LEG)
            walks, states = walks + 1, states + seen
            if found is not None:
                break
        rows |= world.engine.rows
        steps |= world.engine.steps
        if world.configuration.is_krakens:
            krakens |= world.engine.steps
        order_steps |= world.engine.order_steps
        if found is not None:
            violation = (world.configuration, found)
            break
    return Walked(walks, states, frozenset(rows), frozenset(steps), frozenset(krakens), frozenset(order_steps), violation)


class _Place(NamedTuple):
    """A state, and the way there."""

    step: Step
    depth: int
    before: "_Place | None"

    def trace(self) -> list[Step]:
        way: list[Step] = []
        place: _Place | None = self
        while place is not None:
            way.append(place.step)
            place = place.before
        return way[::-1]


class _Been:
    """What walks of one world have seen, a place of each kind, and how often it was begun at."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start = _Place(Step(("start",), world.start()), 0, None)
        self._places: dict[tuple[object, ...], _Place] = {}
        self._begun: dict[tuple[object, ...], int] = {}
        self._kinds: list[tuple[object, ...]] = []
        self._evidence: dict[int, tuple[object, ...]] = {}

    def add(self, place: _Place) -> None:
        """Keep a place if nothing of its kind was seen, or only further away."""
        kind = self._kind(place.step.state)
        known = self._places.get(kind)
        if known is None:
            self._kinds.append(kind)
            self._begun[kind] = 0
        if known is None or place.depth < known.depth:
            self._places[kind] = place

    def somewhere(self, random: Random) -> _Place:
        """Return a place that was seldom begun at: of four that are drawn, the one with the fewest beginnings."""
        kind = min((random.choice(self._kinds) for _ in range(4)), key=lambda kind: self._begun[kind])
        self._begun[kind] += 1
        return self._places[kind]

    def _kind(self, state: State) -> tuple[object, ...]:
        evidence = self._evidence.get(state.mind)
        if evidence is None:
            position = self.world.engine.minds[state.mind].position
            orders = tuple(sorted((o.role, o.status, o.pending) for o in position.open_orders()))
            evidence = self._evidence[state.mind] = (
                position.state, s.ANSWERS["situation"](position, None) if position.state in s.LIVE_STATES else "", position.exit_reason,
                position.patient, position.takes_exits, position.hold_ns > 0, position.maker_attempts > 0, orders,
            )  # fmt: skip
        up, down = self.world.channels[state.up], self.world.channels[state.down]
        return evidence, up[0][0][0] if up else "", down[0][0][0] if down else "", self.world.rests[state.rest].link


def _walked(been: _Been, random: Random, leg: int) -> tuple[int, Violation | None]:
    world, place, seen = been.world, been.start, 1
    been.add(place)
    for number in range(STEPS):
        if number % leg == 0 and leg < STEPS:
            place = been.somewhere(random)
        moves: list[Step] = []
        for label, after in world.moves(place.step.state):
            moves.append(Step(label, after))
            if world.broken:
                return seen, _violation(world.broken[0], [*place.trace(), moves[-1]])
        if not moves or place.depth >= _DEEPEST:
            place = been.start
            continue
        place = _Place(moves[0] if random.random() < _FAIR else random.choice(moves), place.depth + 1, place)
        seen += 1
        world.judge(place.step.state)
        if world.broken:
            return seen, _violation(world.broken[0], place.trace())
        been.add(place)
    return seen, None


def _violation(broken: Broken, trace: list[Step]) -> Violation:
    return Violation(broken.name, broken.text, tuple(trace))


def _drawn(random: Random) -> Configuration:
    venue = random.choice(list(VENUES))
    fields = dict(VENUES[venue])
    plan, more = random.choice(_plans(sign_of(fields)))
    if more.get("attach") and venue == "free":
        # Attached stops race ours there: no venue is known that makes them and neither holds funds nor knows reduce-only.
        more = {}
    sure = random.choice(_DIRECTIONS) if random.random() < 0.5 else {}
    others = [name for name in FAULTS if name not in _NEVER and name not in sure]
    names = random.sample(others, random.randint(1, 4) if sure else random.randint(2, 6))
    budgets = {**{name: 1 if name in _ONCE else random.randint(1, 3) for name in names}, **sure}
    for apart in _APART:
        if apart <= set(budgets):
            del budgets[min(apart - {"crash"})]
    if not ({**fields, **more}.get("margin") or {"holds_funds": True, **fields, **more}["holds_funds"]):
        # Where only our books stop a second order, a log that lacks one is not made up for: docs/proof.md.
        budgets.pop("crash", None)
    if "exit" not in sure and random.random() < 0.7:
        budgets["exit"] = 1
    if "tighten" in plan:
        # A price tightens it too.
        budgets.pop("crash", None)
    impatient = random.random() < 0.3
    plan = {**plan, "timing": _IMPATIENT} if impatient else plan
    adopted = random.random() < 0.5 and not more.get("attach")
    return Configuration(
        name=f"a walk, {venue}", **{**fields, **more, "adopted": adopted, "down": 4 if impatient else 2}, plan=plan, budgets=budgets
    )


def _plans(sign: int) -> tuple[tuple[dict[str, Any], dict[str, Any]], ...]:
    nearer = {"tighten": (f.TightenStep(profit_bps=400, trail_offset_bps=100),)}
    spot = {"margin": False, "short": False}
    return (
        ({}, {}),
        (static_plan(sign), {}),
        ({"trail_style": "engine"}, {"native": False}),
        (maker_plan(sign), {}),
        ({**maker_plan(sign), **nearer, "time_stop_secs": 6}, {}),
        ({"take_profit_price": Decimal(MID + sign * STEP), "time_stop_secs": 5}, {}),
        ({"panic_pnl_bps": -400, "trail_offset_bps": 900}, {}),
        ({"time_stop_secs": 3}, {}),
        (LIMIT, {}),
        ({**LIMIT, "time_stop_secs": 4}, {}),
        ({}, {"attach": True}),
        (nearer, {}),
        ({"strategy": "ignition", "trail_activation_bps": 400}, {}),
        ({"strategy": "ignition", "trail_activation_bps": 400, **LIMIT}, {}),
        ({}, {"fee": 1, **spot}),
        ({}, {"holds_funds": False, **spot}),
    )
