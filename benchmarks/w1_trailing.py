"""W1: one position under a trailing stop of 50 bps over a million prices, entered again whenever it is stopped out.

Three ways to the same trips: recorded columns (skipping to the next crossing), tick by tick, and the venue's trade frames as
raw JSON text through codec, translator and desk. Trips, prices and the bytes of all events must be the same on the three.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from fsm.columns import PriceColumn
from fsm.desk import Desk
from fsm.prices import PriceIndex
from replay.pipeline import Pipeline, Settings

from . import Row, cpu_seconds, must_equal
from .tape import START_NS, TAPE_TICKS, TICK_NS, tape
from .trips import BITCOIN, NAMESPACE, Trips

OFFSET_BPS = 50
TRIPS_OF_THE_TAPE = 377
PLAIN = "plain loop, inline stop"
_FRAMES_AT_A_TIME = 20_000


class Outcome(NamedTuple):
    """What the ways must agree on: trips, events, and the digest of the events' bytes."""

    trips: int
    events: int
    digest: str


def run(quick: bool) -> list[Row]:
    """Measure the three ways, with the tables run by `transitions` (as live) and flattened (as replay), and a plain loop."""
    runs = 1 if quick else 5
    prices = tape(TAPE_TICKS // 10 if quick else TAPE_TICKS)
    column_seconds = cpu_seconds(lambda: PriceColumn(prices))
    column = PriceColumn(prices)
    trips = _plain(prices)
    if not quick:
        must_equal("trips", TRIPS_OF_THE_TAPE, trips)

    seconds = [cpu_seconds(lambda: _plain(prices)) for _ in range(runs)]
    rows = [_row(PLAIN, len(prices), seconds, facts={"trips": trips})]
    for case, skim in (("columns, prices only", _skim_column), ("ticks, prices only", _skim_ticks)):
        found: list[int] = []
        seconds = [cpu_seconds(lambda skim=skim, found=found: found.append(skim(column))) for _ in range(runs)]  # type: ignore[misc]
        must_equal(case, [trips] * runs, found)
        rows.append(_row(case, len(prices), seconds, facts={"trips": trips}))

    outcomes: list[Outcome] = []
    ways: tuple[tuple[str, _Way, float, tuple[str, ...]], ...] = (
        ("columns", _by_columns, 100e6, ("machine", "flat")),
        ("ticks", _by_ticks, 15e6, ("machine", "flat")),
        ("JSON frames", _by_frames, 1.5e6, ("machine",)),
    )
    for name, way, goal, executors in ways:
        for executor in executors:
            # A million frames take a quarter of a minute.
            measured = [way(column, executor) for _ in range(min(runs, 2) if way is _by_frames else runs)]
            outcomes += [outcome for _, outcome in measured]
            case = f"{name}, {'decided by transitions' if executor == 'machine' else 'decided by flat tables'}"
            facts: dict[str, int | float | str] = {"trips": measured[0][1].trips, "events": measured[0][1].events}
            rows.append(_row(case, len(prices), [taken for taken, _ in measured], goal, facts))
    for outcome in outcomes:
        must_equal("the same trips and events on every way", outcomes[0], outcome)
    must_equal("trips", trips, outcomes[0].trips)
    rows[1].facts["seconds to lay out the column"] = round(column_seconds, 3)
    rows[3].facts["digest of all events"] = outcomes[0].digest[:16]
    return rows


def _row(case: str, count: int, seconds: list[float], goal: float | None = None, facts: dict[str, int | float | str] | None = None) -> Row:
    return Row(
        work="W1",
        case=case,
        unit="ticks/s",
        samples=tuple(count / taken for taken in seconds),
        baseline=None if case == PLAIN else PLAIN,
        goal=goal,
        facts=facts or {},
    )


# --- the yardstick, and prices without decisions ----------------------------------------------------------------------


def _plain(prices: Sequence[int]) -> int:
    peak, trips = prices[0], 0
    stop = peak * (10_000 - OFFSET_BPS) // 10_000
    for px in prices:
        if px > peak:
            peak = px
            stop = peak * (10_000 - OFFSET_BPS) // 10_000
        elif px <= stop:
            trips += 1
            peak = px
            stop = peak * (10_000 - OFFSET_BPS) // 10_000
    return trips


def _skim_column(column: PriceColumn) -> int:
    index, trips, at = PriceIndex(), 0, 0
    index.trail("position", 1, OFFSET_BPS, column.ticks[0])
    while (at := column.next_crossing(index, at)) < len(column):
        for key in index.on_tick(column.ticks[at]):
            index.trail(key, 1, OFFSET_BPS, column.ticks[at])
            trips += 1
    return trips


def _skim_ticks(column: PriceColumn) -> int:
    index, trips = PriceIndex(), 0
    index.trail("position", 1, OFFSET_BPS, column.ticks[0])
    low, high = index.quiet_low, index.quiet_high
    for px in column.ticks:
        if low < px < high:
            continue
        for key in index.on_tick(px):
            index.trail(key, 1, OFFSET_BPS, px)
            trips += 1
        low, high = index.quiet_low, index.quiet_high
    return trips


# --- the three ways -------------------------------------------------------------------------------------------------

_Way = Callable[[PriceColumn, str], tuple[float, Outcome]]


def _outcome(trips: Trips) -> Outcome:
    must_equal("broken invariants", [], trips.desk.broken)
    return Outcome(trips.count, trips.event_count, trips.digest())


def _by_columns(column: PriceColumn, executor: str) -> tuple[float, Outcome]:
    trips = Trips(Desk(NAMESPACE, executor), [OFFSET_BPS])

    def work() -> None:
        trips.enter_all(BITCOIN.price(column.ticks[0]), START_NS)
        index, at = trips.index, 0
        while (at := column.next_crossing(index, at)) < len(column):
            trips.price(BITCOIN.price(column.ticks[at]), START_NS + at * TICK_NS)

    return cpu_seconds(work), _outcome(trips)


def _by_ticks(column: PriceColumn, executor: str) -> tuple[float, Outcome]:
    trips = Trips(Desk(NAMESPACE, executor), [OFFSET_BPS])

    def work() -> None:
        trips.enter_all(BITCOIN.price(column.ticks[0]), START_NS)
        index = trips.index
        low, high = index.quiet_low, index.quiet_high
        for at, px in enumerate(column.ticks):
            if low < px < high:
                continue
            # A new peak is no crossing: only a crossing is worth a Decimal and a fact.
            if not index.pass_range(px, px):
                trips.price(BITCOIN.price(px), START_NS + at * TICK_NS)
            low, high = index.quiet_low, index.quiet_high

    return cpu_seconds(work), _outcome(trips)


def _by_frames(column: PriceColumn, executor: str) -> tuple[float, Outcome]:
    pipeline = Pipeline(Settings(namespace=NAMESPACE, symbols=(BITCOIN.symbol,)), executor)
    trips = Trips(pipeline.desk, [OFFSET_BPS])
    taken = 0.0
    trips.enter_all(BITCOIN.price(column.ticks[0]), START_NS)
    for start in range(0, len(column), _FRAMES_AT_A_TIME):
        prices = column.ticks[start : start + _FRAMES_AT_A_TIME]
        texts = list(_frames(prices, start))

        def work(texts: list[str] = texts, start: int = start) -> None:
            for at, text in enumerate(texts, start):
                now_ns = START_NS + at * TICK_NS
                crossed = pipeline.feed("frame", now_ns, "public", text).events
                if crossed:
                    trips.stopped(crossed, BITCOIN.price(column.ticks[at]), now_ns)

        taken += cpu_seconds(work)
    return taken, _outcome(trips)


def _frames(prices: Sequence[int], start: int) -> Iterator[str]:
    """Yield the trades as Kraken's `trade` channel writes them (WebSocket v2)."""
    for at, px in enumerate(prices, start):
        now_ns = START_NS + at * TICK_NS
        moment = datetime.fromtimestamp(now_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        yield (
            f'{{"channel":"trade","type":"update","data":[{{"symbol":"{BITCOIN.symbol}","side":"buy","price":{BITCOIN.price(px)},'
            f'"qty":0.01000000,"ord_type":"market","trade_id":{at + 1},"timestamp":"{moment}.{now_ns % 10**9 // 1_000:06d}Z"}}]}}'
        )
