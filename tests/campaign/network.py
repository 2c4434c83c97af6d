"""One fault of the network, on a live engine with a real socket and the simulated venue: what was noticed, uncovered, and lost.

The engine holds a trailing stop, a stop that is struck while the fault lasts, a position that a person wants to leave while it
lasts, and an entry that fills while it lasts. Afterwards everything is closed, and log, venue and record must tell the same. What the
account holds uncovered is taken from the venue's books, every 10 ms, and not from what the engine believes.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from events.facts import Plan, Timing
from events.values import PositionSide
from fsm.link import LIVE, Thresholds
from holdfast.assembly import Assembled, Parts, assemble
from replay.intents import ExitPosition, OpenPosition
from replay.replay import replay
from tests.campaign.faults import Fault
from tests.campaign.proxy import Proxy
from tests.e2e.lives import Log, fills_in, fills_of, held_at_venue, is_covered, oversized_in
from venues.clock import Clock
from venues.kraken.link import LinkSettings
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.ticks import Tick

SYMBOL = "BTC/USD"
LOOK_S = 0.01
TICK_NS = 200_000_000
# A look that comes so late tells that the event loop stood still, or that the machine had no time for it.
STILL_S = 0.03
# More of that, and a link that is doubted for nothing says nothing of the engine.
LOST_MAX_MS = 1_000
# After the fault has struck: when a person wants out of a position, when the market falls to 59,790, and when it comes back.
WISH_S, FALL_S, BACK_S = 0.5, 1.0, 1.6
SETTLE_S = 25.0
PLACED = ["Protected", "Protected", "Protected", "ProtectedPendingFill"]
# Inputs that may wait for the core of an engine that is not slow: far below what a growing queue would hold.
WAITING_MAX = 500
_TIMING = Timing(
    market_deadline_ms=1_500, market_fill_timeout_ms=1_500, cancel_timeout_ms=1_500, reconcile_timeout_ms=2_000, ack_timeout_ms=3_000
)
_BASE: dict[str, Any] = {"symbol": SYMBOL, "timing": _TIMING, "trail_offset_bps": 900}
PLANS = (
    Plan(side=PositionSide.LONG, qty=Decimal("0.02"), **_BASE),
    Plan(side=PositionSide.SHORT, margin=True, qty=Decimal("0.03"), **_BASE),
    Plan(side=PositionSide.LONG, qty=Decimal("0.05"), entry_type="limit", entry_price=Decimal(59_900), **_BASE),
    Plan(side=PositionSide.LONG, qty=Decimal("0.07"), symbol=SYMBOL, timing=_TIMING, stop_price=Decimal(59_850)),
)


@dataclass
class Outcome:
    """What one trial saw. Times in milliseconds; `noticed_ms` None: the link stayed live. `problems` empty: it held.

    `lost_ms` is how long, from the fault on, the event loop stood still or had no processor: it is added to every bound.
    """

    fault: Fault
    noticed_ms: float | None = None
    uncovered_ms: float = 0.0
    back_ms: float | None = None
    waiting: int = 0
    connects: int = 0
    lost_ms: float = 0.0
    problems: list[str] = field(default_factory=list)


class Trial:
    """One engine, one venue, one proxy between them, one fault. `deaf` plants a fault in the engine: it does not look for silence."""

    def __init__(self, fault: Fault, folder: Path, *, deaf: bool = False, patience_s: float = SETTLE_S) -> None:
        self.outcome = Outcome(fault)
        self._fault, self._folder, self._deaf = fault, folder, deaf
        self._patience_s = patience_s
        self._struck_s = 0.0
        self._fall_ns = 1 << 63

    async def run(self) -> Outcome:
        """Run the trial; what went wrong is in the outcome."""
        start_ns = time.time_ns()
        clock = Clock(1.0, start_ns)
        venue = SimulatedVenue(
            [MarketFeed(pair_of(SYMBOL), self._market(start_ns))],
            clock=clock,
            settings=VenueSettings(balances={"USD": Decimal(1_000_000)}),
            seed=3,
        )
        await venue.start()
        proxy = Proxy(int(venue.http_url.rpartition(":")[2]))
        await proxy.start()
        assembled = self._assembled(venue, proxy, Clock(1.0, start_ns + int(self._fault.skew_s * 1e9), clock.origin_ns))
        stop = asyncio.Event()
        running = asyncio.create_task(assembled.engine.run(stop))
        watching = asyncio.create_task(self._watch(venue, assembled))
        try:
            await self._live(venue, proxy, assembled)
        except (TimeoutError, AssertionError) as problem:
            self.outcome.problems.append(str(problem) or "it took too long")
        finally:
            proxy.flow()
            watching.cancel()
            stop.set()
            await asyncio.gather(running, watching, return_exceptions=True)
            self.outcome.connects = assembled.session.connect_count["private"]
            assembled.close()
            books = json.loads(json.dumps(venue.books(), default=str))
            await proxy.stop()
            await venue.stop()
        self._judge(assembled, books)
        return self.outcome

    def _assembled(self, venue: SimulatedVenue, proxy: Proxy, clock: Clock) -> Assembled:
        async def token() -> str:
            return venue.issue_token()

        self._folder.mkdir(parents=True, exist_ok=True)
        url = f"ws://127.0.0.1:{proxy.port}"
        far = {"silence_ms": 60_000, "refresh_timeout_ms": 60_000} if self._deaf else {}
        deaf = LinkSettings(ping_interval_s=60, ping_timeout_s=60, silence_s=60, heartbeat_silence_s=60, snapshot_timeout_s=60)
        return assemble(
            Parts(
                store_url=str(self._folder / "events.db"), session_dir=self._folder, data_dir=self._folder, namespace="hf",
                symbols=(SYMBOL,),
                public_url=f"{url}/public/v2", private_url=f"{url}/private/v2", token_source=token, clock=clock, link=Thresholds(**far),
                sockets=deaf if self._deaf else LinkSettings(),
            )
        )  # fmt: skip

    def _market(self, start_ns: int) -> Iterator[Tick]:
        """Yield a market that rests, falls through an entry and a stop once the fault has struck, comes back, and rests."""
        for number in range(2_000):
            now_ns = start_ns + number * TICK_NS
            has_fallen = self._fall_ns <= now_ns < self._fall_ns + int((BACK_S - FALL_S) * 1e9)
            yield Tick(now_ns, Decimal((59_790 if has_fallen else 60_000) + number % 2), Decimal("0.5"), "sell")

    # --- what happens -------------------------------------------------------------------------------------------------

    async def _live(self, venue: SimulatedVenue, proxy: Proxy, assembled: Assembled) -> None:
        fault, engine = self._fault, assembled.engine
        async with asyncio.timeout(10):
            await engine.synced()
        for plan in PLANS:
            engine.open(OpenPosition(position_id=assembled.next_position_id(), epoch=assembled.lease.token, plan=plan))
        # An entry waits for the disk, and that for its neighbours.
        await self._until(lambda: sorted(p.state for p in assembled.pipeline.desk.positions.values()) == PLACED, "three are protected")
        await asyncio.sleep(0.5)
        async with contextlib.AsyncExitStack() as stack:
            if fault.name == "duplicate_connection":
                await self._second_client(venue, proxy, stack)
            self._struck_s = time.monotonic()
            self._fall_ns = venue.clock.now_ns() + int(FALL_S * 1e9)
            fault.strike(proxy)
            wish = asyncio.get_running_loop().call_later(WISH_S, engine.ask, ExitPosition(position_id="hf000002", reason="operator"))
            stack.callback(wish.cancel)
            await asyncio.sleep(fault.seconds)
            fault.heal(proxy)
            await asyncio.sleep(self._struck_s + BACK_S + 0.5 - time.monotonic())
            await self._until(lambda: self._is_settled(assembled), "everything is covered or closed again")
            self.outcome.back_ms = 1_000 * (time.monotonic() - self._struck_s)
            for key in sorted(assembled.pipeline.desk.positions):
                engine.ask(ExitPosition(position_id=key, reason="operator"))
            await self._until(lambda: not assembled.pipeline.desk.positions, "everything is closed")
        await asyncio.sleep(0.3)

    @staticmethod
    def _is_settled(assembled: Assembled) -> bool:
        positions = assembled.pipeline.desk.positions.values()
        return assembled.pipeline.link.state == LIVE and all(position.state == "Protected" for position in positions)

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + self._patience_s
        while not condition():
            assert time.monotonic() < end_s, f"not within {self._patience_s} s: {what}"
            await asyncio.sleep(LOOK_S)

    @staticmethod
    async def _second_client(venue: SimulatedVenue, proxy: Proxy, stack: contextlib.AsyncExitStack) -> None:
        for _ in range(3):
            other = await stack.enter_async_context(connect(f"ws://127.0.0.1:{proxy.port}/private/v2", proxy=None, compression=None))
            for channel in ("executions", "balances"):
                await other.send(
                    json.dumps({"method": "subscribe", "params": {"channel": channel, "token": venue.issue_token(), "snapshot": True}})
                )

    async def _watch(self, venue: SimulatedVenue, assembled: Assembled) -> None:
        outcome, link = self.outcome, assembled.pipeline
        covered_s = before_s = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            if self._struck_s and now_s - before_s > STILL_S:
                outcome.lost_ms += 1_000 * (now_s - before_s - LOOK_S)
            before_s = now_s
            if is_covered(venue.books()):
                covered_s = now_s
            outcome.uncovered_ms = max(outcome.uncovered_ms, 1_000 * (now_s - covered_s))
            if self._struck_s and outcome.noticed_ms is None and link.link.state != LIVE:
                outcome.noticed_ms = 1_000 * (now_s - self._struck_s)
            outcome.waiting = max(outcome.waiting, *assembled.session.waiting_count.values())

    # --- what must hold -----------------------------------------------------------------------------------------------

    def _judge(self, assembled: Assembled, books: dict[str, Any]) -> None:
        outcome, fault, problems = self.outcome, self._fault, self.outcome.problems
        # Where the machine itself stood still nobody could notice anything, and a link is rightly doubted.
        allowed_ms = outcome.lost_ms
        if fault.notice_ms is not None and (outcome.noticed_ms is None or outcome.noticed_ms > fault.notice_ms + allowed_ms):
            problems.append(f"noticed after {outcome.noticed_ms} ms, not within {fault.notice_ms}")
        if fault.notice_ms is None and outcome.noticed_ms is not None and allowed_ms < LOST_MAX_MS:
            problems.append(f"the link was doubted after {outcome.noticed_ms:.0f} ms, for nothing")
        if outcome.uncovered_ms > fault.uncovered_ms + allowed_ms:
            problems.append(f"uncovered for {outcome.uncovered_ms:.0f} ms, more than {fault.uncovered_ms}")
        if outcome.waiting > WAITING_MAX:
            problems.append(f"{outcome.waiting} inputs waited for the core")
        problems += [f"{broken.invariant}: {broken.text}" for broken in assembled.pipeline.desk.broken]
        problems += compared(str(self._folder / "events.db"), books)
        if not replay(assembled.record.path).identical:
            problems.append("the record replays otherwise")


def compared(store_url: str, books: dict[str, Any]) -> list[str]:
    """Return in what the log and the venue's books differ, once everything is closed."""
    log = Log(store_url)
    try:
        events = log.read()
        problems = [f"oversized: {text}" for text in oversized_in(log)]
        ours, theirs = fills_in(events), fills_of(books)
        problems += [
            f"the log lacks or has otherwise the fill {trade_id}" for trade_id in sorted(theirs) if ours.get(trade_id) != theirs[trade_id]
        ]
        problems += [f"the venue has no fill {trade_id}" for trade_id in sorted(ours.keys() - theirs.keys())]
        if books["open_orders"]:
            problems.append(f"{len(books['open_orders'])} orders are left at the venue")
        if any(held_at_venue(books)):
            problems.append(f"the account still holds {held_at_venue(books)}")
        if not log.books().ledger.is_balanced:
            problems.append("the ledger is not balanced")
    finally:
        log.close()
    return problems
