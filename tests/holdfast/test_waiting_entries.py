"""Entries that may not leave yet: they leave when they may, and one whose time is up is refused with the reason."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec

from events import facts as f
from events.record import PositionEvent
from events.values import PositionSide
from fsm.position import ABANDONED, PROTECTED
from holdfast.assembly import Assembled, Parts, assemble
from holdfast.live import open_plans
from replay.intents import OpenPosition
from replay.output import Refusal
from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.ticks import seeded_ticks

PLAN = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("0.01"), trail_offset_bps=400)
OTHER = msgspec.structs.replace(PLAN, symbol="ETH/USD")
HASTY = msgspec.structs.replace(PLAN, timing=f.Timing(market_deadline_ms=500))


class Told:
    """What the engine told: events and refusals."""

    def __init__(self) -> None:
        self.events: list[PositionEvent] = []
        self.refusals: list[Refusal] = []


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[tuple[Assembled, Told]]:
    clock, told = Clock(), Told()
    ticks = islice(seeded_ticks(3, Decimal("60000.0"), clock.start_ns), 400)
    other_ticks = islice(seeded_ticks(4, Decimal("3000.00"), clock.start_ns), 400)
    feeds = [MarketFeed(pair_of("BTC/USD"), ticks), MarketFeed(pair_of("ETH/USD"), other_ticks)]
    venue = SimulatedVenue(feeds, clock=clock, settings=VenueSettings())
    await venue.start()

    async def token() -> str:
        return venue.issue_token()

    parts = Parts(
        store_url=str(folder / "events.db"), session_dir=folder, data_dir=folder, namespace="hf", symbols=("BTC/USD", "ETH/USD"),
        public_url=venue.url, private_url=venue.url, token_source=token, clock=clock,
    )  # fmt: skip
    assembled = assemble(parts, on_refusal=told.refusals.append)
    assembled.engine.listeners.append(told.events.append)
    stop = asyncio.Event()
    running = asyncio.create_task(assembled.engine.run(stop))
    try:
        async with asyncio.timeout(20):
            await assembled.engine.synced()
        yield assembled, told
    finally:
        stop.set()
        await running
        assembled.close()
        await venue.stop()


def hear(assembled: Assembled, channel: str, frame: dict[str, object]) -> None:
    """Let the engine take a frame now: nothing that was decided before it has left yet."""
    assembled.engine._feed("frame", assembled.engine._clock.now_ns(), channel, json.dumps(frame))


def status(system: str) -> dict[str, object]:
    return {"channel": "status", "type": "update", "data": [{"system": system, "api_version": "v2", "connection_id": 1, "version": "2.0"}]}


async def until(told: Told, state: str) -> None:
    async with asyncio.timeout(20):
        while not any(event.to == state for event in told.events):  # noqa: ASYNC110, a look now and then will do
            await asyncio.sleep(0.02)


async def until_all(told: Told, position_ids: list[str]) -> None:
    """Wait until each of them is protected."""
    async with asyncio.timeout(20):
        while {event.position_id for event in told.events if event.to == PROTECTED} != set(position_ids):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_entry_that_a_link_in_doubt_held_back_leaves_when_the_link_is_live_again(tmp_path: Path) -> None:
    async with engine(tmp_path) as (assembled, told):
        position_id = assembled.next_position_id()
        assembled.engine.open(OpenPosition(position_id=position_id, epoch=assembled.lease.token, plan=PLAN))
        hear(assembled, "public", status("maintenance"))
        assert assembled.pipeline.link.entries_halted
        await asyncio.sleep(0.4)
        assert assembled.engine.counters["sent_submit"] == 0, "nothing leaves over a link in doubt"
        hear(assembled, "public", status("online"))
        await until(told, PROTECTED)
        assert told.refusals == []
        assert assembled.pipeline.desk.broken == []


async def test_an_entry_that_could_not_leave_in_time_is_refused_with_the_reason_and_its_position_ends(tmp_path: Path) -> None:
    async with engine(tmp_path) as (assembled, told):
        position_id = assembled.next_position_id()
        assembled.engine.open(OpenPosition(position_id=position_id, epoch=assembled.lease.token, plan=HASTY))
        hear(assembled, "public", status("maintenance"))
        await until(told, ABANDONED)
        (refusal,) = told.refusals
        assert refusal.reason == f"position {position_id}: its entry could not leave in time: the private link is Degraded; ask again"
        assert isinstance(told.events[-1].fact, f.OrderNotSent), "it is certain that it never left, so the venue is not asked"
        assert assembled.engine.counters["sent_submit"] == 0


async def test_plans_beyond_what_the_rate_limit_pays_for_are_asked_for_again_and_none_is_given_up(tmp_path: Path) -> None:
    async with engine(tmp_path) as (assembled, told):
        wishes = [
            OpenPosition(position_id=assembled.next_position_id(), epoch=assembled.lease.token, plan=PLAN) for _ in range(20)
        ]
        for wish in wishes:
            async with asyncio.timeout(30):
                assert (await assembled.engine.open_in_time(wish)).refusals == ()
            if told.refusals:
                break
        (refused, *_) = told.refusals
        assert "the venue's rate limit of BTC/USD, 125 points, is kept for the exits of the" in refused.reason
        opened = {event.position_id for event in told.events}
        assert len(opened) >= 9
        async with asyncio.timeout(20):
            while any(p.state != PROTECTED for p in assembled.pipeline.desk.positions.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert set(assembled.pipeline.desk.positions) == opened, "what was taken has left, and was not given up"
        assert assembled.engine.counters["dropped"] == 0


def rate_limit(points: int) -> dict[str, object]:
    result = {"channel": "executions", "maxratecount": points, "snap_orders": True, "snap_trades": True}
    return {"method": "subscribe", "success": True, "req_id": 1, "result": result}


async def test_an_entry_that_waits_for_its_pair_holds_the_entry_of_no_other_pair_up(tmp_path: Path) -> None:
    async with engine(tmp_path) as (assembled, told):
        first, second = assembled.next_position_id(), assembled.next_position_id()
        assembled.engine.open(OpenPosition(position_id=first, epoch=assembled.lease.token, plan=PLAN))
        # The venue corrects our count: for the first one there is no room for a long time.
        assembled.pipeline.translator.budget.learn_count("BTC/USD", 10_000, assembled.engine._clock.now_ns())
        assembled.engine.open(OpenPosition(position_id=second, epoch=assembled.lease.token, plan=OTHER))
        await until(told, PROTECTED)
        assert assembled.pipeline.desk.positions[second].state == PROTECTED
        await until(told, ABANDONED)
        assert [refusal.code for refusal in told.refusals] == ["TOO_LATE"]


async def test_a_plan_for_which_there_never_is_room_is_refused_once_and_those_of_other_pairs_and_behind_it_go_on(tmp_path: Path) -> None:
    async with engine(tmp_path) as (assembled, told):
        refused: list[str] = []
        hear(assembled, "private", rate_limit(13))
        plans = [PLAN, PLAN, OTHER, PLAN]
        async with asyncio.timeout(20):
            await open_plans(plans, "hf", assembled, refused)
            while len([p for p in assembled.pipeline.desk.positions.values() if p.state == PROTECTED]) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert sorted(assembled.pipeline.desk.positions) == ["hf000001", "hf000003"]
        assert [(refusal.position_id, refusal.code) for refusal in told.refusals] == [
            ("hf000002", "RATE_LIMIT_FULL"),
            ("hf000004", "RATE_LIMIT_FULL"),
        ]
        assert refused == [refusal.reason for refusal in told.refusals]
