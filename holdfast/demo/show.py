"""Runs the venue and the engine together, follows the script, and ends with every position closed."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from events.record import PositionEvent
from holdfast.assembly import Assembled, Parts, assemble, thresholds_for
from replay.intents import ExitPosition, HaltPosition, OpenPosition
from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings

from .script import Act, Step, plain_instead_of, script_for
from .tape import Tape

# Real seconds for the whole show, and how much of the market's time is left for the last exits.
SHOW_S = 30.0
MAX_SPEED = 14.0
MIN_MARKET_S = 240.0
CLOSING_S = 90.0
NAMESPACE = "hf"

FAULTS = (
    "duplicate_frame/p=0.02",
    "reorder_frames/p=0.01",
    "delay_frame/p=0.01/seconds=0.5",
    "non_json/p=0.002",
    "sequence_gap/p=0.004",
    "drop_frame/p=0.006",
    "split_fill/p=0.3/n=3",
    "ack_lost_applied/p=0.03",
    "close_mid_stream/p=0.004/count=2",
    "partial_fill_during_cancel/p=0.1",
)


@dataclass
class Shown:
    """What the show leaves behind for the report."""

    acts: dict[str, Act]
    events: list[PositionEvent]
    violations: list[str]
    session_path: Path
    store_url: str
    venue_books: dict[str, Any]
    start_balances: dict[str, Decimal]
    faults: dict[str, int]
    speed: float
    market_s: float
    refusals: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)


def speed_for(tape: Tape) -> tuple[float, float]:
    """Return the market's speed and the market seconds that the show lasts, the closing included."""
    market_s = max(MIN_MARKET_S, tape.duration_s) + CLOSING_S
    return min(MAX_SPEED, market_s / SHOW_S), market_s


async def show(
    tape: Tape, folder: Path, store_url: str, seed: int, *, faults: tuple[str, ...] = FAULTS, on_progress: Callable[[float], None]
) -> Shown:
    """Run the demo in `folder` and return what it left.

    Raises what opening the store, the session file or the venue raises.
    """
    speed, market_s = speed_for(tape)
    instrument = tape.pair.instrument
    clock = Clock(speed, tape.start_ns)
    balances = {instrument.quote: Decimal(1_000_000), instrument.base: Decimal(0)}
    venue = SimulatedVenue(
        [MarketFeed(tape.pair, tape.ticks)], clock=clock, settings=VenueSettings(balances=dict(balances)), seed=seed, faults=faults
    )
    url = await venue.start()

    async def token() -> str:
        return venue.issue_token()

    try:
        engine = assemble(
            Parts(
                store_url=store_url,
                session_dir=folder,
                data_dir=folder,
                namespace=NAMESPACE,
                symbols=(instrument.symbol,),
                public_url=url,
                private_url=url,
                token_source=token,
                clock=clock,
                link=thresholds_for(speed),
                configuration={"demo": {"ticks": tape.name, "seed": seed, "speed": speed, "faults": list(faults)}},
            )
        )
        stage = _Stage(venue, engine, clock, market_s - CLOSING_S)
        try:
            await stage.play(script_for(tape, market_s - CLOSING_S), on_progress)
        finally:
            engine.close()
        return Shown(
            acts=stage.acts,
            events=stage.events,
            violations=[f"{v.invariant}: {v.text}" for v in engine.pipeline.desk.broken],
            session_path=engine.record.path,
            store_url=store_url,
            venue_books=venue.books(),
            start_balances=balances,
            faults=dict(venue.faults.counts),
            speed=speed,
            market_s=market_s,
            refusals=stage.refusals,
        )
    finally:
        await venue.stop()


class _Stage:
    def __init__(self, venue: SimulatedVenue, engine: Assembled, clock: Clock, end_s: float) -> None:
        self.venue, self.assembled, self.clock, self.end_s = venue, engine, clock, end_s
        self.acts: dict[str, Act] = {}
        self.events: list[PositionEvent] = []
        self.refusals: list[str] = []
        self._start_ns = clock.start_ns
        engine.engine.listeners.append(self.events.append)

    async def play(self, acts: list[Act], on_progress: Callable[[float], None]) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(self.assembled.engine.run(stop))
        waiting = asyncio.create_task(self._follow(acts, on_progress))
        try:
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await waiting
        finally:
            stop.set()
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(running, waiting, return_exceptions=False)

    async def _follow(self, acts: list[Act], on_progress: Callable[[float], None]) -> None:
        await self.assembled.engine.synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report_progress(on_progress))
            for act in acts:
                group.create_task(self._act(act))
        await self._until(self.end_s)
        for position_id in sorted(self.assembled.pipeline.desk.positions):
            self._exit(position_id, patient=False, reason="signal")
        deadline_ns = self.clock.now_ns() + int(CLOSING_S * 1e9)
        while self.assembled.pipeline.desk.positions and self.clock.now_ns() < deadline_ns:  # noqa: ASYNC110, a look now and then will do
            await asyncio.sleep(0.02)
        on_progress(1.0)

    async def _report_progress(self, on_progress: Callable[[float], None]) -> None:
        while (passed := self._now_s() / self.end_s) < 1:
            on_progress(passed)
            await asyncio.sleep(0.2)

    def _now_s(self) -> float:
        return (self.clock.now_ns() - self._start_ns) / 1e9

    async def _until(self, at_s: float) -> None:
        await self.clock.sleep(max(0.0, at_s - self._now_s()))

    async def _act(self, act: Act) -> None:
        await self._until(act.at_s)
        for fault in act.faults:
            self.venue.faults.arm(**fault)
        position_id = self.assembled.next_position_id()
        await self._link_is_live()
        for attempt in (act, plain_instead_of(act)):
            wish = OpenPosition(position_id=position_id, epoch=self.assembled.lease.token, plan=attempt.plan)
            output = await self.assembled.engine.open_in_time(wish)
            if not output.refusals:
                self.acts[position_id] = attempt
                break
            # The price has moved past a level since the script was written: refused before anything was sent.
            self.refusals += [f"{position_id} ({attempt.title}): {refusal.reason}" for refusal in output.refusals]
        for step in act.steps:
            await self._until(act.at_s + step.after_s)
            self._step(position_id, step)

    async def _link_is_live(self) -> None:
        # Entries are refused while the link is down or in doubt; a strategy would ask again, and so does the script.
        while self.assembled.pipeline.link.entries_halted:  # noqa: ASYNC110, a look now and then will do
            await asyncio.sleep(0.02)

    def _step(self, position_id: str, step: Step) -> None:
        position = self.assembled.pipeline.desk.positions.get(position_id)
        if position is None:
            return
        if step.action == "halt":
            self.assembled.engine.ask(HaltPosition(position_id=position_id, reason="asked for by the script"))
        elif step.action == "cancel_stop_by_hand":
            for order in position.open_orders("stop"):
                if order.venue_order_id:
                    with contextlib.suppress(Exception):
                        self.venue.cancel_by_hand(order.venue_order_id)
        else:
            self._exit(position_id, patient=step.action == "exit_patient", reason="operator" if step.action == "exit_patient" else "signal")

    def _exit(self, position_id: str, *, patient: bool, reason: Any) -> None:
        self.assembled.engine.ask(ExitPosition(position_id=position_id, reason=reason, patient=patient))
