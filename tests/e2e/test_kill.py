"""kill -9 in the middle of a live run, and on with the next life: what was open is covered, nothing is doubled, the books balance.

Every scenario is a venue and some lives of an engine as processes of their own; three run at a time. `tests.campaign.lives` draws others.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.lives import (
    EXITING,
    FAULTS,
    LATE,
    PROTECTING,
    TIGHTENING,
    Moment,
    Outcome,
    StoreHangs,
    after,
    entries_sent,
    finds_what_is_planted,
    live_and_die,
    lost_in,
    market,
    recovering,
)
from tests.pg import postgres_server, server_or_skip

__all__ = ["postgres_server"]


@dataclass(frozen=True)
class Scenario:
    """What the venue does, and when the lives end: at a moment, or up to so many seconds later."""

    moments: Callable[[Path], tuple[tuple[Moment, float], ...]]
    venue: tuple[str, ...] = ("--faults", LATE)
    postgres: bool = False


TWICE_AND_MORE = ((PROTECTING, 0.1), (recovering, 0.05), (after(0.4), 0.3), (TIGHTENING, 0.1), (recovering, 0.4))
SCENARIOS = {
    "as the first entries leave": Scenario(lambda folder: ((entries_sent, 0.0),), venue=()),
    "while entries are under way": Scenario(lambda folder: ((entries_sent, 0.3),)),
    "while entries are under way for long": Scenario(lambda folder: ((entries_sent, 0.2),), ("--faults", "late_request/p=1/seconds=1.2")),
    "before attached stops can be told by number": Scenario(
        lambda folder: ((entries_sent, 0.1),), ("--faults", LATE, "--set", "snapshot_userref=false")
    ),
    "while stops are placed": Scenario(lambda folder: ((PROTECTING, 0.25),)),
    "while a stop is tightened": Scenario(lambda folder: ((TIGHTENING, 0.25),)),
    "while positions are left": Scenario(lambda folder: ((EXITING, 0.5),)),
    "while the store hangs and exits go on": Scenario(lambda folder: ((StoreHangs(folder / "events.db"), 0.1),)),
    "again and again, also while recovering": Scenario(lambda folder: TWICE_AND_MORE),
    "again and again, with faults": Scenario(
        lambda folder: ((entries_sent, 0.5), (recovering, 0.3), (after(1.0), 1.0)), ("--faults", ",".join(FAULTS))
    ),
    "again and again, on PostgreSQL": Scenario(
        lambda folder: ((PROTECTING, 0.25), (recovering, 0.2), (EXITING, 0.5)), postgres=True
    ),
}  # fmt: skip


PLANTED = "as the first entries leave"


class Runs:
    """Runs the scenarios that are asked for, three at a time, and remembers what came of them."""

    def __init__(self, folder: Path, names: list[str], postgres_url: str) -> None:
        self._pool = ThreadPoolExecutor(3)
        self._futures: dict[str, Future[Outcome]] = {}
        for number, name in enumerate(names):
            own = folder / str(number)
            own.mkdir()
            store_url = f"{postgres_url}&schema=kill_{number}" if SCENARIOS[name].postgres else ""
            self._futures[name] = self._pool.submit(_run, own, SCENARIOS[name], store_url)

    def outcome(self, name: str) -> Outcome:
        """Wait for a scenario. Raises what went wrong in it."""
        return self._futures[name].result(timeout=110)

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _run(folder: Path, scenario: Scenario, store_url: str) -> Outcome:
    ticks = market(folder / "market.csv")
    venue = ("--ticks", f"BTC/USD={ticks}", "--seed", "3", *scenario.venue)
    return live_and_die(folder, venue, scenario.moments(folder), store_url=store_url)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Runs]:
    # Only what was asked for on the command line is run.
    own = [item for item in request.session.items if isinstance(item, pytest.Function) and item.module is request.module]
    wanted = sorted({item.callspec.params["name"] if hasattr(item, "callspec") else PLANTED for item in own}, key=list(SCENARIOS).index)
    server = server_or_skip() if any(SCENARIOS[name].postgres for name in wanted) else None
    running = Runs(tmp_path_factory.mktemp("kill"), wanted, "" if server is None else server.url)
    yield running
    running.end()
    if server is not None:
        server.remove()


@pytest.mark.xdist_group("kill")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_costs_no_position_its_protection_its_books_or_its_record(runs: Runs, name: str) -> None:
    assert lost_in(runs.outcome(name)) == []


@pytest.mark.xdist_group("kill")
def test_an_execution_that_the_venue_has_lost_is_found(runs: Runs) -> None:
    assert finds_what_is_planted(runs.outcome(PLANTED))
