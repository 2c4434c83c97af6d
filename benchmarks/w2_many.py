"""W2: many positions on one instrument, cost per tick, each entered again after its stop; position i trails 50 + 5 * (i mod 200) bps.

*Prices only* is the price index: what a tick costs before anything is decided. *Desk* is every tick through `Desk.price`, as
the live engine calls it, with all trips decided by the tables and turned into events, nine of them to a trip; only that is what the
goal speaks of. In a scan of all positions each tick costs as much as there are positions; it is the yardstick.
"""

import multiprocessing
import time
from array import array
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from fsm.desk import Desk
from fsm.prices import PriceIndex, trail_stop_ticks

from . import Row, cpu_seconds, must_equal
from .tape import START_NS, TAPE_TICKS, TICK_NS, tape
from .trips import BITCOIN, NAMESPACE, Trips

POSITIONS = (1, 100, 1_000, 10_000)
# Entering and trips are decisions of a fraction of a millisecond each; these many ticks keep a case under half a minute.
_DESK_TICKS = {1: 1_000_000, 100: 400_000, 1_000: 100_000, 10_000: 20_000}
_SCAN_TICKS = {1: 200_000, 100: 20_000, 1_000: 4_000, 10_000: 500}
_MEMORY_POSITIONS = 100_000


def offset_bps(position: int) -> int:
    """Return the distance of a position."""
    return 50 + 5 * (position % 200)


def run(quick: bool) -> list[Row]:
    """Measure cost per tick for 1 to 10,000 positions, and the memory of 100,000 open ones."""
    runs = 1 if quick else 3
    prices = tape(TAPE_TICKS // 10 if quick else TAPE_TICKS)
    rows: list[Row] = []
    for name, measure, goal in (("scan of all", _scan, None), ("prices only", _index, None), ("desk", _desk, 1.0)):
        for count in POSITIONS:
            ticks = _ticks_for(name, count, quick, prices)
            samples, facts = zip(*(measure(count, ticks) for _ in range(runs)), strict=True)
            rows.append(
                Row(
                    work="W2",
                    case=f"{count:,} positions, {name}",
                    unit="µs/tick",
                    samples=tuple(seconds / len(ticks) * 1e6 for seconds in samples),
                    higher_is_better=False,
                    baseline=None if count == 1 else f"1 positions, {name}",
                    goal=goal if count == POSITIONS[-1] else None,
                    facts={"ticks": len(ticks), **facts[0]},
                )
            )
    rows.append(_memory(_MEMORY_POSITIONS // 50 if quick else _MEMORY_POSITIONS))
    return rows


def _ticks_for(name: str, count: int, quick: bool, prices: "array[int]") -> "array[int]":
    limit = {"scan of all": _SCAN_TICKS, "desk": _DESK_TICKS}.get(name, {}).get(count, len(prices))
    return prices[: limit // 10 if quick and name != "prices only" else limit]


def _scan(count: int, prices: Sequence[int]) -> tuple[float, dict[str, int | float | str]]:
    offsets = [offset_bps(i) for i in range(count)]
    peaks = [prices[0]] * count
    stops = [trail_stop_ticks(1, offset, prices[0]) for offset in offsets]
    trips = 0

    def work() -> None:
        nonlocal trips
        for px in prices:
            for i in range(count):
                if px > peaks[i]:
                    peaks[i] = px
                    stops[i] = px * (10_000 - offsets[i]) // 10_000
                elif px <= stops[i]:
                    trips += 1
                    peaks[i] = px
                    stops[i] = px * (10_000 - offsets[i]) // 10_000

    return cpu_seconds(work), {"trips": trips}


def _index(count: int, prices: Sequence[int]) -> tuple[float, dict[str, int | float | str]]:
    index = PriceIndex()
    keys = [f"{i:05d}" for i in range(count)]
    offsets = {key: offset_bps(i) for i, key in enumerate(keys)}
    entered = dict.fromkeys(keys, 0)
    for key in keys:
        index.trail(key, 1, offsets[key], prices[0])
    trips = 0

    def work() -> None:
        nonlocal trips
        low, high = index.quiet_low, index.quiet_high
        for at, px in enumerate(prices):
            if low < px < high:
                continue
            for key in index.on_tick(px):
                index.trail(key, 1, offsets[key], px)
                entered[key] = at
                trips += 1
            low, high = index.quiet_low, index.quiet_high

    seconds = cpu_seconds(work)
    for key in keys[:200]:
        must_equal(f"peak of position {key}", max(prices[entered[key] :]), index.peak_of(key))
    return seconds, {"trips": trips}


def _desk(count: int, prices: Sequence[int]) -> tuple[float, dict[str, int | float | str]]:
    texts: list[Decimal] = [BITCOIN.price(px) for px in prices]
    trips = Trips(Desk(NAMESPACE, "machine"), [offset_bps(i) for i in range(count)], keep=False)
    entering = cpu_seconds(lambda: trips.enter_all(texts[0], START_NS))
    entry_events = trips.event_count

    crossing_ns = crossings = 0

    def work() -> None:
        nonlocal crossing_ns, crossings
        for at, px in enumerate(texts):
            now_ns = START_NS + at * TICK_NS
            crossed = trips.desk.price(BITCOIN.symbol, px, now_ns, now_ns)
            if crossed:
                began_ns = time.process_time_ns()
                trips.stopped(crossed, px, now_ns)
                crossing_ns += time.process_time_ns() - began_ns
                crossings += 1

    seconds = cpu_seconds(work)
    must_equal("broken invariants", [], trips.desk.broken)
    expected, stops = _scan_of_distinct(count, prices)
    must_equal("trips", stops, trips.count)
    must_equal("peaks", [expected[i % 200] for i in range(count)], trips.peaks)
    facts: dict[str, int | float | str] = {"trips": trips.count, "events": trips.event_count - entry_events}
    facts["µs to enter a position"] = round(entering / count * 1e6)
    if trips.count:
        facts["µs a tick before fills and entries"] = round((seconds - crossing_ns / 1e9) / len(texts) * 1e6, 2)
        facts["ticks that cross"] = crossings
        facts["µs an event"] = round(seconds / (trips.event_count - entry_events) * 1e6, 1)
    return seconds, facts


def _scan_of_distinct(count: int, prices: Sequence[int]) -> tuple[list[int], int]:
    """Return the peaks and the number of trips by scanning: positions of one distance all do the same."""
    distinct = min(count, 200)
    peaks, trips = [prices[0]] * distinct, 0
    stops = [trail_stop_ticks(1, offset_bps(i), prices[0]) for i in range(distinct)]
    for px in prices:
        for i in range(distinct):
            if px > peaks[i] or px <= stops[i]:
                trips += (px <= stops[i]) * len(range(i, count, 200))
                peaks[i] = px
                stops[i] = trail_stop_ticks(1, offset_bps(i), px)
    return peaks, trips


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(count: int) -> Row:
    """Measure in a process of its own: what was freed before is not given back to the system."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        taken = pool.apply(_bytes_of_open_positions, (count,))
    scaled = taken / count * _MEMORY_POSITIONS / 1e6
    note = "" if count == _MEMORY_POSITIONS else f"measured with {count:,} and scaled"
    facts: dict[str, int | float | str] = {"bytes a position": round(taken / count)}
    return Row(
        work="W2", case="100,000 open positions", unit="MB", samples=(scaled,), higher_is_better=False, goal=150.0, note=note, facts=facts
    )


def _bytes_of_open_positions(count: int) -> int:
    prices = tape(1_000)
    trips = Trips(Desk(NAMESPACE, "flat"), [offset_bps(i) for i in range(count)], keep=False)
    trips.enter(0, BITCOIN.price(prices[0]), START_NS)
    before = _resident_bytes()
    for position in range(1, count):
        trips.enter(position, BITCOIN.price(prices[position % len(prices)]), START_NS + position * TICK_NS)
    return _resident_bytes() - before


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096
