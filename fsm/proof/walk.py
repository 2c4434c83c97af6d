"""Random walks where the spaces are too large: all kinds of plan, venue and fault at once, far from where it began.

Half of the worlds are directed: some faults are sure to be there, and often, because what follows from them needs several in a row.

A walk proves nothing. It judges what `explore` judges in each state and step (not I13), and takes rows of the tables that need more faults
one after another than any space that can be walked to its end. A seed says which walks: the same seed, the same walks.
"""

from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

import msgspec

from events import facts as f

from ..core import Core
from .configuration import FAULTS, LIMIT, SHORT, VENUES, Configuration, maker_plan, sign_of, static_plan
from .explore import Step, Violation
from .moves import World
from .properties import Broken
from .venue import MID, STEP

STEPS = 120
WALKS_A_WORLD = 6
_FAIR = 0.35
# What an adversary may not do beside others, for what is judged does not hold then: docs/proof.md, "Not proven".
_APART = ({"crash", "tighten"}, {"crash", "report"})
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
)
# Watches of a position that waits for a snapshot pass while the link is down.
_IMPATIENT = msgspec.structs.replace(SHORT, reconcile_timeout_ms=1_000)


class Walked(NamedTuple):
    """What walks saw: how many, their states, what was taken (as in `Result`), and the first violation with its configuration."""

    walks: int
    states: int
    rows: frozenset[str]
    steps: frozenset[tuple[str, str, str]]
    order_steps: frozenset[tuple[str, str, str]]
    violation: tuple[Configuration, Violation] | None


def walk(seed: int, worlds: int, core: Core | None = None) -> Walked:
    """Take some walks in each of `worlds` random configurations; stop at the first violation."""
    random, core = Random(seed), core or Core("flat")
    rows: set[str] = set()
    steps: set[tuple[str, str, str]] = set()
    order_steps: set[tuple[str, str, str]] = set()
    walks = states = 0
    for _ in range(worlds):
        world = World(_drawn(random), core)
        found = None
        for _ in range(WALKS_A_WORLD):
            seen, found = _walked(world, random)
            walks, states = walks + 1, states + seen
            if found is not None:
                break
        rows |= world.engine.rows
        steps |= world.engine.steps
        order_steps |= world.engine.order_steps
        if found is not None:
            return Walked(walks, states, frozenset(rows), frozenset(steps), frozenset(order_steps), (world.configuration, found))
    return Walked(walks, states, frozenset(rows), frozenset(steps), frozenset(order_steps), None)


def _walked(world: World, random: Random) -> tuple[int, Violation | None]:
    trace = [Step(("start",), world.start())]
    for _ in range(STEPS):
        moves: list[Step] = []
        for label, after in world.moves(trace[-1].state):
            moves.append(Step(label, after))
            if world.broken:
                return len(trace), _violation(world.broken[0], [*trace, moves[-1]])
        if not moves:
            break
        trace.append(moves[0] if random.random() < _FAIR else random.choice(moves))
        world.judge(trace[-1].state)
        if world.broken:
            return len(trace), _violation(world.broken[0], trace)
    return len(trace), None


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
    for apart in _APART:
        if apart <= set(names):
            names.remove(min(apart - {"crash"}))
    if "crash" in names and not ({**fields, **more}.get("margin") or {"holds_funds": True, **fields, **more}["holds_funds"]):
        # Where only our books stop a second order, a log that lacks one is not made up for: docs/proof.md.
        names.remove("crash")
    budgets = {**{name: 1 if name in _ONCE else random.randint(1, 3) for name in names}, **sure}
    if "exit" not in sure and random.random() < 0.7:
        budgets["exit"] = 1
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
