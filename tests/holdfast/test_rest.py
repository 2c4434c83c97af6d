"""The engine with questions beside the stream, over sockets: a gap of more than fifty executions, recorded and replayed."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path

from events.facts import Plan
from events.values import PositionSide
from fsm.position import PROTECTED
from holdfast.assembly import Assembled, Parts, assemble
from replay.intents import OpenPosition
from replay.replay import replay
from replay.session import read_session
from venues.clock import Clock
from venues.kraken.auth import TokenFetcher
from venues.kraken.rest import RestClient
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.ticks import seeded_ticks

SECRET = base64.b64encode(b"a secret of a test that is long").decode()
TRADES_UNSEEN = 60


@asynccontextmanager
async def engine(folder: Path, venue: SimulatedVenue, clock: Clock) -> AsyncIterator[Assembled]:
    rest = RestClient("a-key-of-a-test", SECRET, venue.http_url)
    parts = Parts(
        store_url=str(folder / "events.db"), session_dir=folder, data_dir=folder, namespace="hf", symbols=("BTC/USD",),
        public_url=venue.url, private_url=venue.url, token_source=TokenFetcher(rest), rest=rest, clock=clock,
    )  # fmt: skip
    assembled = assemble(parts)
    stop = asyncio.Event()
    running = asyncio.create_task(assembled.engine.run(stop))
    try:
        yield assembled
    finally:
        stop.set()
        await running
        assembled.close()


async def until(assembled: Assembled, state: str) -> None:
    async with asyncio.timeout(20):
        while [p.state for p in assembled.pipeline.desk.positions.values()] != [state]:  # noqa: ASYNC110, a look now and then will do
            await asyncio.sleep(0.02)


async def test_after_more_trades_than_a_snapshot_lists_rest_is_read_and_the_session_replays_alike(tmp_path: Path) -> None:
    clock = Clock()
    ticks = islice(seeded_ticks(3, Decimal("60000.0"), clock.start_ns), 100)
    settings = VenueSettings(tier="unlimited")
    venue = SimulatedVenue([MarketFeed(pair_of("BTC/USD"), ticks)], clock=clock, settings=settings, keys={"a-key-of-a-test": SECRET})
    await venue.start()
    try:
        async with engine(tmp_path, venue, clock) as first:
            async with asyncio.timeout(20):
                await first.engine.synced()
            plan = Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("0.1"), trail_offset_bps=2_000)
            first.engine.open(OpenPosition(position_id=first.next_position_id(), epoch=first.lease.token, plan=plan))
            await until(first, PROTECTED)
        for _ in range(TRADES_UNSEEN):
            venue.trade_by_hand("BTC/USD", "buy", Decimal("0.001"))
        async with engine(tmp_path, venue, clock) as second:
            await until(second, PROTECTED)
            async with asyncio.timeout(20):
                counters = second.pipeline.counters
                # The second snapshot is the look that the end of the gap asks for.
                while not counters["trades_completed"] or counters["snapshot"] < 2:  # noqa: ASYNC110, a look now and then will do
                    await asyncio.sleep(0.02)
            assert second.pipeline.desk.broken == []
    finally:
        await venue.stop()
    session = second.record.path
    answers = [record for record in read_session(session) if record.kind == "answer"]
    assert len(answers) >= 3
    text = session.read_text()
    assert SECRET not in text
    assert "a-key-of-a-test" not in text
    verdict = replay(session)
    assert verdict.identical, verdict
