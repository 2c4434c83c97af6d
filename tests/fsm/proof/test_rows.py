"""Every row of the tables is taken, or cannot be by a law that is held against what is taken, or is listed with why it is seldom."""

from pathlib import Path
from typing import Any

import pytest

from fsm.order import ORDER
from fsm.position import CLOSED, MARKET_EXITING, POSITION, TIGHTENING
from fsm.proof import ALL, Configuration, Result, explore
from fsm.proof.rows import Account, broken_laws, name_of, order_rows_never_taken, rows_excluded
from fsm.proof.walk import Walked, walk
from holdfast.simulation.reached import reached, reached_at_kraken
from venues.kraken.capabilities import MARGIN, SPOT

LISTED = [line for line in (Path(__file__).parent / "seldom.txt").read_text().splitlines() if line and not line.startswith("#")]
SEEDS = range(6)
SPACES = (
    "spot, lost exit", "adopted spot, reject exit", "ignition, spot", "halted, refused, margin short", "notices, spot",
    "taken away again, asked for, spot", "taken away again, lost, spot", "adopted reverse, refused, spot",
)  # fmt: skip


@pytest.fixture(scope="module")
def walks() -> list[Walked]:
    return [walk(seed, 5) for seed in SEEDS]


@pytest.fixture(scope="module")
def spaces() -> list[Result]:
    return [explore(c, max_states=3_000) for c in ALL if c.name in SPACES]


def test_what_is_promised_holds_on_random_walks_under_all_faults(walks: list[Walked]) -> None:
    assert [walked.violation for walked in walks] == [None] * len(walks)
    assert sum(walked.states for walked in walks) > 50_000


def test_no_row_is_left_that_is_neither_taken_nor_excluded_nor_listed(walks: list[Walked], spaces: list[Result]) -> None:
    assert len(spaces) == len(SPACES)
    taken = frozenset().union(*(w.rows for w in walks), *(s.rows for s in spaces))
    account = Account.of(taken, frozenset().union(*(w.order_steps for w in walks), *(s.order_steps for s in spaces)))
    assert account.broken == []
    assert sorted(set(account.open) - set(LISTED)) == []


def test_what_is_listed_is_a_row_and_not_excluded() -> None:
    names = {name_of(number) for number in range(len(POSITION.rows))} | set(order_rows_never_taken(frozenset()))
    assert len(names) == len(POSITION.rows) + len(ORDER.rows)
    assert set(LISTED) <= names - set(rows_excluded())
    assert len(LISTED) == len(set(LISTED))


def test_a_row_that_a_law_excludes_is_told_when_it_is_taken() -> None:
    number = next(
        n for n, row in enumerate(POSITION.rows)
        if MARKET_EXITING in row.sources and "OrderFilled" in row.facts and row.when.get("situation") == "COVERED"
    )  # fmt: skip
    told = broken_laws([f"position:{number:03d}:{MARKET_EXITING}:OrderFilled COVERED", f"position:ignored:{CLOSED}:OrderSubmitted"])
    assert told == [f"position:{number:03d}:{MARKET_EXITING}:OrderFilled COVERED was taken although who leaves has decided to"]


def test_a_law_is_held_against_the_answers_that_a_row_was_taken_with() -> None:
    """The row fires for all three ways to be free; that one of them cannot be is no reason that the others cannot."""
    (number,) = [
        n for n, row in enumerate(POSITION.rows)
        if row.sources == (MARKET_EXITING,) and row.facts == ("OrderRejected",) and isinstance(row.when.get("situation"), tuple)
    ]  # fmt: skip
    cell = f"position:{number:03d}:{MARKET_EXITING}:OrderRejected"
    assert name_of(number) not in rows_excluded()
    assert broken_laws([f"{cell} CLEAR", cell]) == []


def test_a_position_whose_exit_waits_for_the_venue_may_still_be_tightened() -> None:
    waiting = explore(
        Configuration(name="waits", adopted=True, lots=1, budgets={"mode": 1, "exit": 1, "tighten": 1}), max_states=20_000
    )
    assert waiting.violation is None
    # Confirmed while the exit waits: the stop is where it was asked to be, and the exit goes on waiting.
    amended = {row.partition(" ") for row in waiting.rows if f":{TIGHTENING}:OrderAmended" in row}
    assert {situation for _, _, situation in amended} >= {"COVERED", "WAITING"}
    assert broken_laws(waiting.rows) == []


def test_every_step_that_is_reached_is_listed_and_every_listed_one_is_a_way_of_the_table(
    walks: list[Walked], spaces: list[Result]
) -> None:
    steps = frozenset().union(*(w.steps for w in walks), *(s.steps for s in spaces))
    assert len(steps) > 300
    assert sorted(steps - reached()) == [], "add them to holdfast/simulation/reached.txt, a line each"
    cells = POSITION.cells()
    for before, fact, after in sorted(reached()):
        targets = {row.target for row in cells[before, fact].rows}
        assert after in targets or (before == after and not targets), (before, fact, after)


def test_no_step_that_is_reached_where_the_venue_can_do_what_kraken_can_is_listed_as_one_of_elsewhere(
    walks: list[Walked], spaces: list[Result]
) -> None:
    assert all(can.amend_in_place and can.native_trail for can in (SPOT, MARGIN)), "say anew which configurations are Kraken's"
    krakens = frozenset().union(*(w.krakens for w in walks), *(s.steps for s in spaces if s.configuration.is_krakens))
    assert len(krakens) > 300
    assert sorted(krakens - reached_at_kraken()) == [], "take the word elsewhere from their lines of holdfast/simulation/reached.txt"
    # A stop that is moved by another one in its place: Kraken amends it.
    assert ("Tightening", "OrderSubmitted", "Tightening") in reached() - reached_at_kraken()


def test_only_a_venue_that_amends_and_trails_as_the_plan_wants_is_one_that_can_do_what_kraken_can() -> None:
    def is_krakens(**fields: Any) -> bool:
        return Configuration(name="one", **fields).is_krakens

    assert is_krakens()
    assert is_krakens(margin=True, short=True)
    assert is_krakens(native=False, plan={"trail_style": "engine"})
    assert not is_krakens(native=False)
    assert not is_krakens(amend=False)


def test_the_same_seed_takes_the_same_walks() -> None:
    assert walk(3, 2) == walk(3, 2)


def test_a_mistake_far_from_the_start_is_found_by_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsm.policy as policy

    monkeypatch.setattr(policy, "_exit_lots", lambda d: d.position.filled_lots)
    found = [walked.violation for walked in (walk(seed, 5) for seed in range(3)) if walked.violation is not None]
    assert {violation.name for _, violation in found} & {"I2", "I7"}
