"""A short session of the real engine against the simulated venue, recorded to files: for tests that need a true record."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

from events.facts import Plan
from events.values import PositionSide
from holdfast.assembly import Parts, assemble, thresholds_for
from replay.intents import OpenPosition
from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.ticks import seeded_ticks

START_NS = 1_700_000_000_000_000_000
SPEED = 30.0
KEY = b"0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Recorded:
    """Where a run left its files, and how many positions it opened."""

    session: Path
    store: Path
    positions: int


def record(folder: Path, *, market_s: float = 75.0, faults: tuple[str, ...] = (), key: bytes | None = None) -> Recorded:
    """Run the engine for `market_s` market seconds with a long and a short that end by their time stops."""
    return asyncio.run(_record(folder, market_s, faults, key))


async def _record(folder: Path, market_s: float, faults: tuple[str, ...], key: bytes | None) -> Recorded:
    clock = Clock(SPEED, START_NS)
    ticks = islice(seeded_ticks(3, Decimal("60000.0"), START_NS), 4_000)
    balances = {"USD": Decimal(1_000_000), "BTC": Decimal(0)}
    venue = SimulatedVenue([MarketFeed(pair_of("BTC/USD"), ticks)], clock=clock, settings=VenueSettings(balances=balances), faults=faults)
    url = await venue.start()

    async def token() -> str:
        return venue.issue_token()

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
            session_key=key,
            link=thresholds_for(SPEED),
        )
    )
    stop = asyncio.Event()
    running = asyncio.create_task(engine.engine.run(stop))
    async with asyncio.timeout(20):
        await engine.engine.synced()
    for side, secs in ((PositionSide.LONG, 20), (PositionSide.SHORT, 30)):
        margin = side is PositionSide.SHORT
        plan = Plan(symbol="BTC/USD", side=side, qty=Decimal("0.5"), margin=margin, trail_offset_bps=400, time_stop_secs=secs)
        engine.engine.open(OpenPosition(position_id=engine.next_position_id(), epoch=engine.lease.token, plan=plan))
    async with asyncio.timeout(20):
        while engine.pipeline.desk.positions and clock.now_ns() < START_NS + int(market_s * 1e9):  # noqa: ASYNC110, a look now and then will do
            await asyncio.sleep(0.02)
    stop.set()
    await running
    engine.close()
    await venue.stop()
    return Recorded(engine.record.path, folder / "events.db", 2)
