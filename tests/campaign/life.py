"""A process that forks lives of an engine: imported once, so that a life begins within milliseconds. One JSON line asks for a life.

Each life is the real assembly on real files and sockets. It opens its plans, says when all of them are settled, waits for a word,
leaves them, and ends. What it was told to be durable it says at once over a socket that no strike counts: that is what must not be lost.
"""

import asyncio
import gc
import hashlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from events.errors import HoldfastError
from events.facts import Plan, Timing
from events.record import PositionEvent, bytes_from
from events.store import Writer
from events.store.disk import Commits, Disk
from events.values import PositionSide
from fsm.link import LIVE
from holdfast.assembly import Assembled, Parts, assemble, table_hash
from replay.intents import ExitPosition, OpenPosition
from replay.output import Refusal
from replay.pipeline import Pipeline, Settings
from tests.campaign.calls import Calls
from tests.campaign.calls import Plan as CallsPlan
from tests.campaign.networks import quiet
from venues.clock import Clock
from venues.kraken.auth import TokenFetcher
from venues.kraken.rest import RestClient

SYMBOL = "BTC/USD"
KEY = b"a key of the campaign, 32 bytes."
PATIENCE_S = 60.0
LOOK_S = 0.005
SETTLED = {"Protected", "ProtectedPendingFill"}
TIMEOUT, REFUSED, BROKEN = 3, 4, 5
_TIMING = Timing(
    market_deadline_ms=1_500, market_fill_timeout_ms=1_500, cancel_timeout_ms=1_500, reconcile_timeout_ms=2_000, ack_timeout_ms=3_000
)
_BASE: dict[str, Any] = {"symbol": SYMBOL, "timing": _TIMING}
PLANS = (
    Plan(side=PositionSide.LONG, qty=Decimal("0.02"), trail_offset_bps=900, **_BASE),
    Plan(side=PositionSide.SHORT, margin=True, qty=Decimal("0.03"), trail_offset_bps=900, **_BASE),
    Plan(side=PositionSide.LONG, qty=Decimal("0.04"), stop_price=Decimal(54_000), attach_stop=True, **_BASE),
    Plan(side=PositionSide.LONG, qty=Decimal("0.05"), entry_type="limit", entry_price=Decimal(59_900), trail_offset_bps=700, **_BASE),
    Plan(side=PositionSide.LONG, qty=Decimal("0.07"), stop_price=Decimal(59_850), **_BASE),
    Plan(side=PositionSide.SHORT, margin=True, qty=Decimal("0.06"), stop_price=Decimal(60_900), **_BASE),
)


class HollowDisk(Disk):
    """A planted mistake: nothing is ever synced."""

    def sync(self, fd: int) -> None:
        """Return at once."""

    def commit(self, connection: Commits) -> None:
        """Commit, from the second time on without a sync."""
        connection.commit()
        connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]


def named(event: PositionEvent) -> str:
    """Return what names an event and its content."""
    return f"{event.position_id}/{event.version}/{hashlib.sha256(bytes_from(event)).hexdigest()[:16]}"


class Life:
    """One life, in its own process."""

    def __init__(self, order: dict[str, Any], calls: Calls) -> None:
        self._order, self._calls = order, calls
        self._plans: Sequence[Plan] = [PLANS[number] for number in order["plans"]]
        self._refused: set[str] = set()
        self._early = order.get("plant") == "early"
        self._told = socket.socket(socket.AF_UNIX)
        self._told.connect(order["told"])
        self._say({"life": order["life"]})

    def _say(self, word: dict[str, Any]) -> None:
        self._told.sendall(json.dumps(word).encode() + b"\n")

    def _durable(self, events: Sequence[PositionEvent]) -> None:
        names = [named(event) for event in events]
        self._calls.note(json.dumps(names).encode())
        self._say({"durable": names})

    async def run(self) -> int:
        """Live, and return the exit code."""
        order = self._order
        folder = Path(order["folder"])
        rest = RestClient("campaign", "Y2FtcGFpZ25jYW1wYWlnbg==", order["http_url"])
        life = self

        class Telling(Writer):
            """The writer, which also says what became durable."""

            def submit(self, events: Sequence[PositionEvent], on_durable: Callable[[], None] | None = None) -> None:
                def told() -> None:
                    life._durable(events)
                    if on_durable is not None:
                        on_durable()

                if life._early:
                    told()
                super().submit(events, on_durable if life._early else told)

        try:
            assembled = assemble(
                Parts(
                    store_url=order.get("store") or str(folder / "events.db"), session_dir=folder, data_dir=folder, namespace="hf",
                    symbols=(SYMBOL,), public_url=order["url"] + "/public/v2", private_url=order["url"] + "/private/v2",
                    token_source=TokenFetcher(rest), clock=Clock(**order["clock"]), rest=rest, session_key=KEY, anchor_every=50,
                    writer=Telling, disk=HollowDisk() if order.get("plant") == "hollow" else Disk(),
                ),
                on_page=lambda code, text: self._say({"page": code}),
                on_refusal=lambda refusal: self._refuse(refusal),
            )  # fmt: skip
        except HoldfastError as problem:
            self._say({"refused": str(problem)})
            return REFUSED
        stop = asyncio.Event()
        running = asyncio.create_task(assembled.engine.run(stop))
        try:
            await self._live(assembled)
        except TimeoutError:
            positions = assembled.pipeline.desk.positions.values()
            self._say({"timeout": f"{assembled.pipeline.link.state} {[(p.position_id, p.state) for p in positions]}"})
            return TIMEOUT
        finally:
            stop.set()
            await asyncio.gather(running, return_exceptions=True)
            broken = [f"{broken.invariant}: {broken.text}" for broken in assembled.pipeline.desk.broken]
            assembled.close()
            self._say({"ended": dict(assembled.engine.counters), "broken": broken})
        return 0

    def _refuse(self, refusal: Refusal) -> None:
        self._refused.add(refusal.position_id)
        self._say({"refusal": refusal.reason})

    @staticmethod
    def _is_settled(assembled: Assembled) -> bool:
        positions = assembled.pipeline.desk.positions.values()
        return assembled.pipeline.link.state == LIVE and all(position.state in SETTLED for position in positions)

    async def _live(self, assembled: Assembled) -> None:
        engine, desk = assembled.engine, assembled.pipeline.desk
        async with asyncio.timeout(PATIENCE_S):
            await engine.synced()
            known = set(assembled.store.position_ids()) | set(desk.positions)
            for number, plan in enumerate(self._plans, 1):
                if (key := f"hf{number:06d}") not in known:
                    engine.open(OpenPosition(position_id=key, epoch=assembled.lease.token, plan=plan))
            while not self._is_settled(assembled):  # noqa: ASYNC110, as a person would look
                await asyncio.sleep(LOOK_S)
            # As the engine does every second, which is longer than most lives: a loss of power then finds some of it synced.
            await asyncio.to_thread(assembled.record.sync)
            self._say({"settled": sorted(desk.positions)})
            await asyncio.get_running_loop().run_in_executor(None, self._told.recv, 1)
            asked: set[str] = set()
            while desk.positions:
                for key in sorted(desk.positions.keys() - asked):
                    asked.add(key)
                    engine.ask(ExitPosition(position_id=key, reason="operator"))
                await asyncio.sleep(LOOK_S)
        await asyncio.sleep(0.05)


def _child(order: dict[str, Any], calls: Calls, plan: CallsPlan) -> int:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        if order.get("journal"):
            calls.keep_journal(Path(order["journal"]))
        for name in ("at", "error", "mask"):
            setattr(plan, name, order["strike"].get(name, 0))
        plan.how = ord(order["strike"].get("how", "B"))
        with quiet():
            return asyncio.run(Life(order, calls).run())
    except BaseException:
        traceback.print_exc()
        return BROKEN


def _warm() -> None:
    """Build what a process builds once: four fifths of the work of a life would go there."""
    table_hash()
    Pipeline(Settings(namespace="hf", symbols=(SYMBOL,)))
    gc.collect()
    gc.freeze()


def serve() -> None:
    """Fork a life for each line of standard input, and print a line when it has ended; the first one when lives can begin."""
    calls = Calls()
    _warm()
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    living: dict[int, tuple[int, CallsPlan]] = {}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    rest = b""
    while True:
        ready, _, _ = select.select([0, woken.fileno()], [], [])
        if woken.fileno() in ready:
            woken.recv(4096)
            while living:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                life, plan = living.pop(pid)
                seen = {name: getattr(plan, name) for name in ("count", "hit", "failed")}
                calls.done(plan)
                ended = {"life": life, "code": os.waitstatus_to_exitcode(status), **seen}
                sys.stdout.write(json.dumps(ended) + "\n")
                sys.stdout.flush()
        if 0 in ready:
            if not (data := os.read(0, 65536)):
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                plan = calls.fresh()
                if (pid := os.fork()) == 0:
                    os._exit(_child(order, calls, plan))
                living[pid] = (order["life"], plan)


if __name__ == "__main__":
    sys.setswitchinterval(0.0005)
    serve()
