"""W4: wire to wire. A venue's frame in, the command's frame out, over a real loopback WebSocket, 200 positions, ticks flowing.

The venue is `python -m venues.simulated` in a process of its own, the engine is the one of `holdfast run`, the store a SQLite file with
FULL sync. Protection leaves without waiting for the disk: from the receipt of the fill's frame to the hand-over of the stop's. An
entry waits for it: from the wish to the hand-over. Both times are the record's own, on one clock.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import structlog

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from events.values import PositionSide
from holdfast.assembly import Assembled, Parts, assemble
from replay.intents import OpenPosition
from venues.clock import Clock

from . import Row, must_equal

POSITIONS = 200
GOAL_P50_US, GOAL_P99_US, GOAL_LAG_P99_MS = 150.0, 1_000.0, 5.0
NAMES = ("--seed", "3", "--balance", "USD=100000000", "--set", "tier=unlimited", "--set", "depth_cost=10000000")


def run(quick: bool) -> list[Row]:
    """Return the figures of W4: waits for a disk and sockets, so by the wall."""
    settle_s = 3.0 if quick else 20.0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder, _venue() as ready:
        events, lags = asyncio.run(_trade(Path(folder), ready, settle_s))
        commits = _commits(Path(folder))
    stops, entries = _latencies(events)
    must_equal("W4: positions whose stop left", POSITIONS, len(stops))
    return [
        _row("protection: fill in, stop out, p50", "µs", _percentile(stops, 50), GOAL_P50_US),
        _row("protection: fill in, stop out, p99", "µs", _percentile(stops, 99), GOAL_P99_US),
        _row("entry: wish in, durable, order out, p50", "µs", _percentile(entries, 50)),
        _row("entry: wish in, durable, order out, p99", "µs", _percentile(entries, 99)),
        _row("the disk's own commit, 1 row, p50", "µs", _percentile(commits, 50)),
        _row("event loop lag, p99", "ms", _percentile(lags, 99) / 1_000, GOAL_LAG_P99_MS),
    ]


def _row(case: str, unit: str, figure: float, goal: float | None = None) -> Row:
    return Row(work="W4", case=case, unit=unit, samples=(figure,), higher_is_better=False, goal=goal)


@contextlib.contextmanager
def _venue() -> Iterator[dict[str, object]]:
    process = subprocess.Popen((sys.executable, "-m", "venues.simulated", *NAMES), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


async def _trade(folder: Path, ready: dict[str, object], settle_s: float) -> tuple[list[PositionEvent], list[float]]:
    async def token() -> str:
        return str(ready["token"])

    reading: dict[str, object] = ready["clock"]  # type: ignore[assignment]
    clock = Clock(**reading)  # type: ignore[arg-type]
    url = str(ready["url"])
    engine = assemble(
        Parts(
            store_url=str(folder / "events.db"),
            session_dir=folder,
            data_dir=folder,
            namespace="hf",
            symbols=("BTC/USD",),
            public_url=url,
            private_url=url,
            token_source=token,
            clock=clock,
            max_positions=POSITIONS,
        )
    )
    events: list[PositionEvent] = []
    lags: list[float] = []
    engine.engine.listeners.append(events.append)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.engine.run(stop))
    measuring = asyncio.create_task(_measure_lag(lags))
    try:
        async with asyncio.timeout(20):
            await engine.engine.synced()
        await _open_all(engine)
        await asyncio.sleep(settle_s)
    finally:
        stop.set()
        measuring.cancel()
        await running
        engine.close()
    return events, lags


async def _open_all(engine: Assembled) -> None:
    """Ask for the positions, some milliseconds apart, as a busy strategy would."""
    for _ in range(POSITIONS):
        plan = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("0.01"), trail_offset_bps=2_000)
        engine.engine.open(OpenPosition(position_id=engine.next_position_id(), epoch=engine.lease.token, plan=plan))
        await asyncio.sleep(0.01)


async def _measure_lag(lags: list[float]) -> None:
    while True:
        began_ns = time.monotonic_ns()
        await asyncio.sleep(0.005)
        lags.append(max(0.0, (time.monotonic_ns() - began_ns) / 1_000 - 5_000))


def _latencies(events: list[PositionEvent]) -> tuple[list[float], list[float]]:
    """Return microseconds from what asked for an order to its hand-over: of first stops, and of entries."""
    asked: dict[str, tuple[str, int]] = {}
    stops: list[float] = []
    entries: list[float] = []
    for event in events:
        for command in event.commands:
            if isinstance(command, c.SubmitOrder) and isinstance(event.fact, f.OrderFilled | f.PositionRequested):
                asked[command.client_order_id] = (command.role, event.fact.ts_recv_ns)
        if isinstance(event.fact, f.OrderSubmitted) and event.fact.client_order_id in asked:
            role, from_ns = asked[event.fact.client_order_id]
            (entries if role == "entry" else stops).append((event.fact.ts_recv_ns - from_ns) / 1_000)
    return stops, entries


def _commits(folder: Path) -> list[float]:
    """Return microseconds of one-row commits on the same disk, as SQLite makes them alone."""
    import sqlite3

    connection = sqlite3.connect(folder / "commits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (data BLOB)")
    samples = []
    for _ in range(200):
        began_ns = time.perf_counter_ns()
        connection.execute("INSERT INTO t VALUES (?)", (b"x" * 800,))
        samples.append((time.perf_counter_ns() - began_ns) / 1_000)
    connection.close()
    return samples


def _percentile(samples: list[float], percent: int) -> float:
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
