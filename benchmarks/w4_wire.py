"""W4: wire to wire. A venue's frame in, the decision recorded, the command's frame out, over real loopback WebSockets.

The venue is a process of its own (`quick_venue`), the engine is `holdfast.engine.Engine` with the Kraken session, a session file and
SQLite with `synchronous=FULL`; 200 positions are open and public trades and quotes flow. Both latencies are measured by the venue,
from the frame that it sends to the command that it receives, both hops and both event loops included:

- *protection*: an entry fills, and the stop for it arrives. It does not wait for the disk.
- *entry*: a stop fills, the position closes, and the owner asks for the next one at once, whose order waits for the disk.

*Inside the engine* is the part of the protection's way that the record itself shows: from the stamp of the fill's frame to the word that
the stop's frame was handed to the socket. The yardsticks of the same run: a frame echoed over the same two event loops, and SQLite
alone committing one row at a time in a third process while all else runs. "Beside the disk" is the entry's latency less the median
of that commit.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from events import commands as c
from events import facts as f
from events.ids import position_id_from
from events.record import PositionEvent
from events.store import Spool, Writer, open_store
from events.values import PositionSide
from fsm.desk import Desk
from fsm.position import CLOSED, PROTECTED
from holdfast.engine import Engine
from holdfast.quiet import quiet_logs
from replay.intents import OpenPosition
from replay.pipeline import Pipeline, Settings
from replay.session import SessionWriter, manifest_from
from venues.clock import Clock
from venues.kraken.session import KrakenSession

from . import Row, WrongResult, must_equal
from .quick_venue import SYMBOL, QuickVenue, ticker_frame, trade_frame
from .tape import START_NS
from .trips import BITCOIN, NAMESPACE, Trips

POSITIONS = 200
TICKS_PER_SECOND = 1_000
_PAUSE_S = 0.003  # between two frames of one trip: each latency is that of one frame, not of a queue of them
_TIMEOUT_S = 60.0
_GOAL_P50_US, _GOAL_P99_US, _GOAL_LAG_MS, _GOAL_UPDATE_MS = 150.0, 1_000.0, 5.0, 10.0
_PLAN = f.Plan(symbol=SYMBOL, side=PositionSide.LONG, qty=Decimal("0.0100"), trail_offset_bps=500)


@dataclass
class Measured:
    """What the venue measured, in microseconds."""

    echo: list[float] = field(default_factory=list)
    protection: list[float] = field(default_factory=list)
    entry: list[float] = field(default_factory=list)
    ticks: int = 0


def run(quick: bool) -> list[Row]:
    """Measure both latencies, the lag of the engine's event loop, and a stop update at 10,000 positions."""
    trips = 500 if quick else 5_000
    os.makedirs("var", exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="w4-", dir="var") as name:
        ours, theirs = context.Pipe()
        stop = context.Event()
        commits, committed = context.Pipe(duplex=False)
        venue = context.Process(target=_run_venue, args=(theirs, POSITIONS, trips), daemon=True)
        disk = context.Process(target=_commit_alone, args=(Path(name, "alone.db"), stop, committed), daemon=True)
        venue.start()
        disk.start()
        quiet_logs(Path(name, "engine.log"))
        try:
            lags, inside, counters = asyncio.run(_engine(Path(name), ours))
            measured: Measured = _received(ours)
            stop.set()
            alone: list[float] = _received(commits)
        finally:
            for process in (venue, disk):
                process.terminate()
                process.join(_TIMEOUT_S)
    must_equal("entries measured", trips, len(measured.entry))
    must_equal("protections measured", trips + POSITIONS, len(measured.protection))
    must_equal("entries that waited for the rate limit", 0, counters["entries_waited"])
    must_equal("commands that were dropped or not sent", 0, counters["dropped"] + counters["not_sent"] + counters["void"])
    return [*_rows(measured, alone, lags, inside[POSITIONS:]), _stop_update(quick)]


def _rows(measured: Measured, alone: list[float], lags: list[float], inside: list[float]) -> list[Row]:
    disk = median(alone)
    protection = measured.protection[POSITIONS:]  # the first ones came while all positions were opened at once
    beside = [max(0.0, taken - disk) for taken in measured.entry]
    flow = {"positions": POSITIONS, "ticks": measured.ticks}
    echo = "echo of a frame, same loops"
    return [
        _row(echo, measured.echo, facts=_tail(measured.echo)),
        _row("SQLite alone, 1 row a commit", alone, facts=_tail(alone)),
        _row("protection: fill in, stop out", protection, _GOAL_P50_US, echo, {**_tail(protection), **flow}),
        _row("protection, p99", [_p99(protection)], _GOAL_P99_US),
        _row("protection, inside the engine", inside, None, echo, _tail(inside)),
        _row("entry: fill in, durable, order out", measured.entry, None, "SQLite alone, 1 row a commit", _tail(measured.entry)),
        _row("entry, beside the disk", beside, _GOAL_P50_US, echo, _tail(beside)),
        _row("entry, p99, beside the disk", [_p99(beside)], _GOAL_P99_US),
        Row(
            work="W4",
            case="event-loop lag, p99",
            unit="ms",
            samples=(_p99(lags),),
            higher_is_better=False,
            goal=_GOAL_LAG_MS,
            facts={"p50": round(median(lags), 3), "max": round(max(lags), 1)},
        ),
    ]


def _row(
    case: str, samples: list[float], goal: float | None = None, baseline: str | None = None, facts: dict[str, Any] | None = None
) -> Row:
    return Row(
        work="W4", case=case, unit="µs", samples=tuple(samples), higher_is_better=False, goal=goal, baseline=baseline, facts=facts or {}
    )


def _tail(samples: list[float]) -> dict[str, float]:
    return {"p99": round(_p99(samples)), "n": len(samples)}


def _p99(samples: list[float]) -> float:
    return quantiles(samples, n=100)[98]


def _received(pipe: Connection) -> Any:
    if not pipe.poll(_TIMEOUT_S):
        raise WrongResult("W4", "an answer of the other process", f"nothing within {_TIMEOUT_S:.0f} s")
    answer = pipe.recv()
    if isinstance(answer, str):
        raise WrongResult("W4", "a measurement", answer)
    return answer


# --- the engine ---------------------------------------------------------------------------------------------------------


def _none_is_adopted() -> str:
    raise WrongResult("W4", "no execution behind an end", "one")


async def _engine(folder: Path, venue: Connection) -> tuple[list[float], list[float], Any]:
    """Run the engine until the venue has measured everything.

    Returns:
        The lags of its event loop in ms, the protections' time inside the engine in µs, and its counters.
    """
    loop = asyncio.get_running_loop()
    port: int = await loop.run_in_executor(None, _received, venue)
    address = f"ws://127.0.0.1:{port}"
    await _echo(f"{address}/echo")
    clock = Clock()
    settings = Settings(namespace=NAMESPACE, symbols=(SYMBOL,))
    pipeline = Pipeline(settings)
    with open_store(str(folder / "events.db")) as store:
        lease = store.acquire_lease()
        manifest = manifest_from(configuration={}, table_hash="", started_ns=clock.now_ns(), namespace=NAMESPACE)
        record = SessionWriter.create(folder / "w4.session", manifest)
        session = KrakenSession(
            public_url=f"{address}/public", private_url=f"{address}/private", symbols=(SYMBOL,), token_source=_token, clock=clock
        )
        writer = Writer(store, Spool(folder / "spool", store), on_failure=_fail, on_page=lambda code, text: None)
        engine = Engine(pipeline, session, writer, record, clock, epoch=lease.token, next_position_id=_none_is_adopted)
        owner = _Owner(engine, lease.token)
        engine.listeners.append(owner.take)
        stop = asyncio.Event()
        running = asyncio.create_task(engine.run(stop))
        lags: list[float] = []
        watching = asyncio.create_task(_watch_lag(lags))
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await engine.synced()
            owner.open()
            measured = loop.run_in_executor(None, venue.poll, _TIMEOUT_S)
            await asyncio.wait((running, measured), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            stop.set()
            await running
            writer.close()
            record.close()
    must_equal("broken invariants", [], pipeline.desk.broken)
    return lags, owner.inside, engine.counters


async def _token() -> str:
    return "a-token"


def _fail(problem: Exception) -> None:
    raise problem


class _Owner:
    """Asks for one position after the other until all are open, and then for one in the place of each that closed."""

    def __init__(self, engine: Engine, epoch: int) -> None:
        self._engine, self._epoch, self._number, self._newest = engine, epoch, 0, ""
        self._asked_ns: dict[str, int] = {}
        self.inside: list[float] = []

    def open(self) -> None:
        """Ask for the next position."""
        self._number += 1
        self._newest = position_id_from(NAMESPACE, self._number)
        output = self._engine.open(OpenPosition(position_id=self._newest, epoch=self._epoch, plan=_PLAN))
        must_equal("refusals", (), output.refusals)

    def take(self, event: PositionEvent) -> None:
        """Listen to the engine's events."""
        if isinstance(event.fact, f.OrderFilled):
            self._asked_ns.update((x.client_order_id, event.fact.ts_recv_ns) for x in event.commands if isinstance(x, c.SubmitOrder))
        elif isinstance(event.fact, f.OrderSubmitted) and event.fact.client_order_id in self._asked_ns:
            self.inside.append((event.fact.ts_recv_ns - self._asked_ns.pop(event.fact.client_order_id)) / 1e3)
        if event.to == CLOSED or (event.to == PROTECTED and self._number < POSITIONS and event.position_id == self._newest):
            # Not within the event that closed it: one input is taken after the other.
            asyncio.get_running_loop().call_soon(self.open)


async def _echo(url: str) -> None:
    async with connect(url, compression=None, proxy=None) as ws:
        async for text in ws:
            await ws.send(text)


async def _watch_lag(lags: list[float]) -> None:
    while True:
        began_ns = time.perf_counter_ns()
        await asyncio.sleep(0.001)
        lags.append((time.perf_counter_ns() - began_ns) / 1e6 - 1.0)


# --- the venue's process --------------------------------------------------------------------------------------------------


def _run_venue(pipe: Connection, positions: int, trips: int) -> None:
    try:
        asyncio.run(_Wire(pipe, positions, trips).run())
    except Exception as problem:
        pipe.send(f"{type(problem).__name__}: {problem}")


class _Wire:
    """`QuickVenue` behind real sockets, measuring."""

    def __init__(self, pipe: Connection, positions: int, trips: int) -> None:
        self._pipe, self._positions, self._trips = pipe, positions, trips
        self._venue = QuickVenue()
        self._orders: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue()
        self._done = asyncio.Event()
        self._measured = Measured()
        self._failure = ""
        self._first: tuple[int, dict[str, Any]] | None = None

    async def run(self) -> None:
        async with self._serve() as server:
            self._pipe.send(server.sockets[0].getsockname()[1])
            await self._done.wait()
            self._pipe.send(self._failure or self._measured)
            await asyncio.get_running_loop().run_in_executor(None, self._pipe.poll, _TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def _serve(self) -> AsyncIterator[Server]:
        async with serve(self._connected, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            yield server

    async def _connected(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        talk = {"/echo": self._echo, "/public": self._public}.get(ws.request.path, self._private)
        with contextlib.suppress(ConnectionClosed):
            await talk(ws)

    async def _echo(self, ws: ServerConnection) -> None:
        text = trade_frame("60000.0", 1, time.time_ns())
        for _ in range(500):
            began_ns = time.perf_counter_ns()
            await ws.send(text)
            await ws.recv()
            self._measured.echo.append((time.perf_counter_ns() - began_ns) / 1e3)
            await asyncio.sleep(0.001)

    async def _public(self, ws: ServerConnection) -> None:
        async for text in ws:
            request = json.loads(text)
            await ws.send(self._venue.acknowledge(request))
            channel = request.get("params", {}).get("channel")
            if channel == "instrument":
                await ws.send(self._venue.instruments())
            elif channel == "trade":
                self._ticking = asyncio.create_task(self._tick(ws))

    async def _tick(self, ws: ServerConnection) -> None:
        # Prices that go up and down by a tick or two: they make new peaks at first, and cross nothing.
        began_s = time.monotonic()
        while ws.state is State.OPEN:
            due = int((time.monotonic() - began_s) * TICKS_PER_SECOND)
            while self._measured.ticks < due:
                number = self._measured.ticks = self._measured.ticks + 1
                px = self._venue.last_px = f"{60_000 + number % 7 / 10:.1f}"
                now_ns = time.time_ns()
                await ws.send(trade_frame(px, number, now_ns) if number % 2 else ticker_frame(px, now_ns))
            await asyncio.sleep(0.001)

    async def _private(self, ws: ServerConnection) -> None:
        trading = asyncio.create_task(self._trade(ws))
        trading.add_done_callback(lambda _: self._done.set())
        async for text in ws:
            arrived_ns = time.perf_counter_ns()
            request = json.loads(text)
            if request["method"] == "add_order":
                self._orders.put_nowait((arrived_ns, request))
                continue
            await ws.send(self._venue.acknowledge(request))
            if request["method"] == "subscribe":
                await ws.send(self._venue.snapshot(request["params"]["channel"], time.time_ns()))
        trading.cancel()

    async def _trade(self, ws: ServerConnection) -> None:
        try:
            await self._measure(ws)
        except Exception as problem:
            self._failure = f"{type(problem).__name__}: {problem}"

    async def _measure(self, ws: ServerConnection) -> None:
        for number in range(self._positions + self._trips):
            if number >= self._positions:
                stop = next(iter(self._venue.stops.values()))
                await ws.send(self._venue.trigger(stop, time.time_ns()))
                await asyncio.sleep(_PAUSE_S)
                self._measured.entry.append(await self._fill(ws, stop, "entry"))
            entry = await self._accept(ws)
            self._measured.protection.append(await self._fill(ws, entry, "stop"))
            await self._accept(ws)

    async def _accept(self, ws: ServerConnection) -> dict[str, Any]:
        """Take the order that came, and let it be known before anything else happens to it."""
        _, request = await self._order()
        order, frames = self._venue.accept(request, time.time_ns())
        for frame in frames:
            await ws.send(frame)
        await asyncio.sleep(_PAUSE_S)
        return order

    async def _fill(self, ws: ServerConnection, order: dict[str, Any], awaited: str) -> float:
        """Fill an order; return the microseconds until the next order arrived. That order stays first in the queue."""
        trade, done = self._venue.fill(order, time.time_ns())
        sent_ns = time.perf_counter_ns()
        await ws.send(trade)
        await ws.send(done)
        arrived_ns, request = await self._order()
        found = "stop" if "triggers" in request["params"] else "entry"
        must_equal("order after a fill", awaited, found)
        self._first = (arrived_ns, request)
        return (arrived_ns - sent_ns) / 1e3

    async def _order(self) -> tuple[int, dict[str, Any]]:
        first, self._first = self._first, None
        if first is not None:
            return first
        async with asyncio.timeout(_TIMEOUT_S):
            return await self._orders.get()


# --- the disk alone -------------------------------------------------------------------------------------------------------


def _commit_alone(path: Path, stop: Event, results: Connection) -> None:
    """Commit one row of 500 bytes, fifty times a second, until told to stop; send how long each took, in microseconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, state BLOB)")
    taken: list[float] = []
    while not stop.wait(0.02):
        began_ns = time.perf_counter_ns()
        connection.execute("BEGIN")
        connection.execute("INSERT INTO rows (state) VALUES (?)", (bytes(500),))
        connection.execute("COMMIT")
        taken.append((time.perf_counter_ns() - began_ns) / 1e3)
    connection.close()
    results.send(taken)


# --- C14 ------------------------------------------------------------------------------------------------------------------


def _stop_update(quick: bool) -> Row:
    """Measure ticks that move a stop while the engine keeps the trails of 10,000 positions.

    They are entered at falling prices, a tick apart, so that a rising price then moves one stop after another: from the look at the
    trail to the amend that leaves.
    """
    count, updates = 10_000, 200 if quick else 2_000
    trips = Trips(Desk(NAMESPACE, "machine"), [500] * count, keep=False, trail_style="engine")
    highest, now_ns = 610_000, START_NS
    for slot in range(count):
        now_ns += 1_000_000
        trips.enter(slot, BITCOIN.price(highest - slot), now_ns)
        trips.amended(trips.desk.price(SYMBOL, BITCOIN.price(highest - slot), now_ns, now_ns), now_ns)
    # The placed stop follows after a minute at the earliest, and once the exact one is 10 bps better.
    now_ns += 120 * 1_000_000_000
    trips.desk.due(now_ns)
    taken: list[float] = []
    px = highest - count
    while len(taken) < updates:
        px, now_ns = px + 1, now_ns + 1_000_000
        began_ns = time.process_time_ns()
        events = trips.desk.price(SYMBOL, BITCOIN.price(px), now_ns, now_ns)
        spent_ns = time.process_time_ns() - began_ns
        if trips.amended(events, now_ns):
            taken.append(spent_ns / 1e6)
    must_equal("broken invariants", [], trips.desk.broken)
    facts: dict[str, int | float | str] = {"updates": updates, "p99": round(_p99(taken), 3), "max": round(max(taken), 3)}
    case = "stop update at 10,000 positions"
    return Row(work="W4", case=case, unit="ms", samples=tuple(taken), higher_is_better=False, goal=_GOAL_UPDATE_MS, facts=facts)
