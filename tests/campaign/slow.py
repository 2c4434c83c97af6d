"""The engine as a slow consumer: the venue sends several times the ticks that a core made slow can take.

What must hold: order events do not wait behind market data, market data is conflated instead of kept, memory is bounded, and
positions open, are protected and close as ever. The venue is a process of its own, so that only the engine is slow.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path

from events.facts import OrderAccepted, OrderFilled, Plan
from events.record import PositionEvent
from events.values import PositionSide
from holdfast.assembly import Assembled, Parts, assemble
from replay.intents import ExitPosition, OpenPosition
from replay.output import Output
from replay.replay import replay
from tests.campaign.network import SYMBOL, compared
from tests.campaign.rss import rss_mib
from tests.e2e.processes import Venue, venue
from venues.clock import Clock
from venues.kraken.conflation import TRADES_KEPT, MarketQueue

# What a market frame costs the core in this campaign; it really takes some fifty microseconds.
FRAME_S = 0.003
TICKS_PER_S = 1_000
# Trades, and the latest ticker and heartbeat, replies and link changes.
KEPT_MAX = TRADES_KEPT + 36
# An order event may wait for what of the market was handed on before its socket was read, and once more for its reading.
WAIT_MAX_MS = 2 * 1_000 * KEPT_MAX * FRAME_S
GROWTH_MAX_MIB = 20.0
# Inputs that must have been left out, or the engine was not slow and nothing was shown.
CONFLATED_MIN = 200


@dataclass
class Flood:
    """What one flood saw. `waited_ms` is the longest that an order event waited for the core after it was received."""

    seconds: float
    frames: int = 0
    conflated: int = 0
    kept: int = 0
    orders: int = 0
    waited_ms: float = 0.0
    told_ms: float = 0.0
    growth_mib: float = 0.0
    problems: list[str] = field(default_factory=list)


def write_ticks(path: Path, seconds: float) -> Path:
    """Write a market of many small moves."""
    total = int((seconds + 20) * TICKS_PER_S)
    rows = (f"{1_700_000_000 + n / TICKS_PER_S:.3f},{60_000 + n % 97 / 10:.1f},0.01" for n in range(total))
    path.write_text("time,price,quantity\n" + "\n".join(rows) + "\n")
    return path


def flood(folder: Path, seconds: float, *, unbounded: bool = False) -> Flood:
    """Flood an engine for `seconds`. `unbounded` plants a fault in it: a market queue that forgets nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    ticks = write_ticks(folder / "ticks.csv", seconds)
    with venue("--ticks", f"{SYMBOL}={ticks}", "--seed", "3", "--set", "tier=pro") as running:
        return asyncio.run(_flooded(folder, running, Flood(seconds), unbounded))


async def _flooded(folder: Path, running: Venue, seen: Flood, unbounded: bool) -> Flood:
    clock = Clock(**running.ready["clock"])
    assembled = _assembled(folder, running, clock)
    if unbounded:
        assembled.session._market = MarketQueue((SYMBOL,), trades_kept=1 << 30)

    def listen(event: PositionEvent) -> None:
        if isinstance(event.fact, OrderFilled | OrderAccepted):
            now_ns = clock.now_ns()
            seen.orders += 1
            seen.waited_ms = max(seen.waited_ms, (now_ns - event.fact.ts_recv_ns) / 1e6)
            seen.told_ms = max(seen.told_ms, (now_ns - event.fact.ts_event_ns) / 1e6)

    assembled.engine.listeners.append(listen)
    stop = asyncio.Event()
    engine = asyncio.create_task(assembled.engine.run(stop))
    try:
        async with asyncio.timeout(20):
            await assembled.engine.synced()
        _slow_down(assembled, seen, rss_mib())
        await _trade(assembled, seen.seconds)
        seen.frames = assembled.session.stats["public"].frame_count
        seen.conflated = assembled.session.conflated_count
    except TimeoutError:
        seen.problems.append("positions did not close while the venue flooded")
    finally:
        stop.set()
        await asyncio.gather(engine, return_exceptions=True)
        assembled.close()
    _judge(folder, assembled, running, seen)
    return seen


def _assembled(folder: Path, running: Venue, clock: Clock) -> Assembled:
    async def token() -> str:
        found: str = running.ready["token"]
        return found

    url = running.addresses.url
    return assemble(
        Parts(
            store_url=str(folder / "events.db"), session_dir=folder, data_dir=folder, namespace="hf", symbols=(SYMBOL,),
            public_url=url.replace("/v2", "/public/v2"), private_url=url.replace("/v2", "/private/v2"), token_source=token, clock=clock,
        )
    )  # fmt: skip


def _slow_down(assembled: Assembled, seen: Flood, before_mib: float) -> None:
    """Let the core take its time for each market frame, and look at what piles up meanwhile."""
    feed = assembled.pipeline.feed

    def slow(kind: str, ts_recv_ns: int, source: str, payload: str | bytes) -> Output:
        if source == "public":
            until_s = time.monotonic() + FRAME_S
            while time.monotonic() < until_s:
                pass
            seen.kept = max(seen.kept, *assembled.session.waiting_count.values())
            seen.growth_mib = max(seen.growth_mib, rss_mib() - before_mib)
        return feed(kind, ts_recv_ns, source, payload)

    vars(assembled.pipeline)["feed"] = slow


async def _trade(assembled: Assembled, seconds: float) -> None:
    """Open and close one position after the other until the time is over."""
    engine = assembled.engine
    end_s = time.monotonic() + seconds
    async with asyncio.timeout(seconds + 15):
        for number in count():
            if time.monotonic() >= end_s:
                return
            side = PositionSide.SHORT if number % 2 else PositionSide.LONG
            plan = Plan(symbol=SYMBOL, side=side, margin=bool(number % 2), qty=Decimal("0.02"), trail_offset_bps=900)
            position_id = assembled.next_position_id()
            engine.open(OpenPosition(position_id=position_id, epoch=assembled.lease.token, plan=plan))
            await _until(partial(_is_in_place, assembled, position_id))
            engine.ask(ExitPosition(position_id=position_id, reason="operator"))
            await _until(partial(_is_over, assembled, position_id))
            # Not faster than the venue's rate limits for orders that live briefly.
            await asyncio.sleep(0.5)


def _is_in_place(assembled: Assembled, position_id: str) -> bool:
    position = assembled.pipeline.desk.positions.get(position_id)
    return position is None or position.state == "Protected"


def _is_over(assembled: Assembled, position_id: str) -> bool:
    return position_id not in assembled.pipeline.desk.positions


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  a look now and then will do
        await asyncio.sleep(0.02)


def _judge(folder: Path, assembled: Assembled, running: Venue, seen: Flood) -> None:
    limits = (
        (seen.waited_ms > WAIT_MAX_MS, f"an order event waited {seen.waited_ms:.0f} ms for the core, more than {WAIT_MAX_MS:.0f}"),
        (
            seen.told_ms > WAIT_MAX_MS,
            f"an order event was known {seen.told_ms:.0f} ms after the venue made it, more than {WAIT_MAX_MS:.0f}",
        ),
        (seen.kept > KEPT_MAX, f"{seen.kept} inputs waited, more than {KEPT_MAX}"),
        (seen.growth_mib > GROWTH_MAX_MIB, f"{seen.growth_mib:.1f} MiB grown, more than {GROWTH_MAX_MIB}"),
        (seen.conflated < CONFLATED_MIN, f"only {seen.conflated} market frames were left out: the engine was not slow"),
        (seen.orders < 6, f"only {seen.orders} order events were seen"),
    )
    seen.problems += [text for broken, text in limits if broken]
    seen.problems += [f"{broken.invariant}: {broken.text}" for broken in assembled.pipeline.desk.broken]
    seen.problems += compared(str(folder / "events.db"), json.loads(json.dumps(running.books())))
    if not replay(assembled.record.path).identical:
        seen.problems.append("the record replays otherwise")
