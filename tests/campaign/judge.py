"""Many short lives of an engine on simulated venues that outlive them; and what venue, log and record say once all is over."""

import asyncio
import itertools
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from events.commands import SubmitOrder, is_risk_increasing
from events.errors import HoldfastError
from events.store import open_store
from replay.replay import replay
from replay.session import is_begun, read_session, verify_session
from tests.campaign import life as lives
from tests.campaign.calls import KINDS, build
from tests.campaign.life import KEY, SYMBOL, named
from tests.campaign.network import compared
from tests.e2e.lives import is_covered
from tests.folders import kept, memory_folder
from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.ticks import Tick

ROOT = Path(__file__).resolve().parents[2]
TICK_NS = 50_000_000
# Many times what a machine takes that does nothing else.
LIFE_S = 180.0
COVER_S = 15.0


@dataclass
class Ended:
    """How a life ended: its exit code (-9 killed), its calls, the kind that was struck, and what it had said."""

    code: int
    count: int
    hit: int
    failed: int
    words: list[dict[str, Any]]

    @property
    def durable(self) -> set[str]:
        """The events that it was told to be durable."""
        return {name for word in self.words for name in word.get("durable", ())}

    def said(self, key: str) -> list[Any]:
        """Return what it said under a key."""
        return [word[key] for word in self.words if key in word]


@dataclass
class Outcome:
    """What one trial saw; `problems` empty: it held."""

    strikes: Sequence[dict[str, Any]]
    lives: list[Ended] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def struck(self) -> list[str]:
        """What each strike hit: a kind of call, or "none" where the life ended first."""
        return [KINDS[ended.hit] for ended, strike in zip(self.lives, self.strikes, strict=False) if strike]


class Lives:
    """The process that forks lives, and the socket over which they tell. `latest` is what the life begun last has said so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.latest: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._ends: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._words: dict[int, list[dict[str, Any]]] = {}
        self._closed: dict[int, asyncio.Event] = {}
        self._is_covered: dict[int, Callable[[], bool]] = {}

    async def __aenter__(self) -> "Lives":
        library = build(self.folder)
        self._server = await asyncio.start_unix_server(self._hear, str(self.folder / "told"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.campaign.life", cwd=ROOT, env={**os.environ, "LD_PRELOAD": str(library)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        # Nobody's time runs while it imports, which takes long on a busy machine.
        await self._process.stdout.readline()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._server.close()
        await self._process.wait()
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            ended = json.loads(line)
            self._ends[ended["life"]].set_result(ended)
        for future in self._ends.values():
            if not future.done():
                future.set_exception(RuntimeError("the process that forks lives has ended"))

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        with suppress(ConnectionError):
            while line := await reader.readline():
                word = json.loads(line)
                number = word.get("life", number)
                self._words[number].append(word)
                if "settled" in word:
                    try:
                        async with asyncio.timeout(COVER_S):
                            # A life that was killed with its word covers nothing that fills behind it: the next one does.
                            while not (self._is_covered[number]() or self._ends[number].done()):  # noqa: ASYNC110, the books tell nobody
                                await asyncio.sleep(0.01)
                    except TimeoutError:
                        self._words[number].append({"bare": True})
                    writer.write(b"g")
        if number:
            self._closed[number].set()
        writer.close()

    async def live(self, order: dict[str, Any], covered: Callable[[], bool]) -> Ended:
        """Run one life to its end. Raises TimeoutError."""
        number = next(self._numbers)
        future = self._ends[number] = asyncio.get_running_loop().create_future()
        words = self.latest = self._words[number] = []
        closed = self._closed[number] = asyncio.Event()
        self._is_covered[number] = covered
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"life": number, "told": str(self.folder / "told"), **order}).encode() + b"\n")
        async with asyncio.timeout(LIFE_S):
            end = await future
            # The last words may still be in the socket. Whoever could not even begin has said nothing.
            if end["code"] != lives.BROKEN:
                await closed.wait()
        del self._ends[number], self._words[number], self._closed[number], self._is_covered[number]
        return Ended(end["code"], end["count"], end["hit"], end["failed"], words)


async def trial(
    of: Lives,
    strikes: Sequence[dict[str, Any]],
    seed: int,
    *,
    plant: str = "",
    journal: Path | None = None,
    store_url: str = "",
    beside: Callable[[], Awaitable[None]] | None = None,
    between: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    """Run a life for each strike, then one without, on one venue; compare what is left.

    `store_url` is an SQLite file of its own if not given. `beside` runs beside the first life, `between` after it.
    """
    outcome = Outcome(strikes)
    chance = random.Random(seed)
    folder = memory_folder("crash")
    store_url = store_url or str(folder / "events.db")
    plans = chance.sample(range(len(lives.PLANS)), 3)
    clock = Clock()
    venue = SimulatedVenue(
        [MarketFeed(pair_of(SYMBOL), _market(clock.start_ns, chance.choice((300, 600, 100_000))))],
        clock=clock,
        settings=VenueSettings(balances={"USD": Decimal(1_000_000)}),
        seed=seed,
    )
    url = await venue.start()

    def books() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(venue.books(), default=str))
        return found

    order = {
        "plans": plans, "folder": str(folder), "url": url.removesuffix("/v2").removesuffix("/private"), "http_url": venue.http_url,
        "clock": clock.reading(), "plant": plant, "journal": str(journal) if journal else "", "store": store_url,
    }  # fmt: skip
    durable: set[str] = set()
    try:
        for strike in (*strikes, {}):
            living = of.live({**order, "strike": strike}, lambda: is_covered(books()))
            if beside is not None and not outcome.lives:
                ended, _ = await asyncio.gather(living, beside())
            else:
                ended = await living
            if between is not None and not outcome.lives:
                await between()
            if ended.code == lives.BROKEN:
                raise RuntimeError("a life could not begin or broke; its traceback is on standard error")
            order["journal"] = ""
            outcome.lives.append(ended)
            durable |= ended.durable
            outcome.problems += _of_life(ended, strike)
            if ended.code == 0 and strike.get("how") not in ("F", "L"):
                break
        await asyncio.sleep(0.02)
        outcome.problems += _of_end(folder, store_url, books(), durable)
        if not any(strike.get("how") in ("F", "L") for strike in strikes):
            outcome.problems += _of_chain(folder)
    except TimeoutError:
        outcome.problems.append("a life did not end")
    except Exception as problem:
        outcome.problems.append(f"{type(problem).__name__}: {problem}")
    finally:
        await venue.stop()
        if outcome.problems and not plant:
            folder = kept(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    outcome.problems = [f"{text} [seed {seed}, {folder}]" for text in outcome.problems]
    return outcome


def _market(start_ns: int, after_ms: int) -> Any:
    """Yield a market that rests, falls through an entry and a stop for 200 ms, comes back and rests."""
    for number in range(4_000):
        now_ns = start_ns + number * TICK_NS
        has_fallen = 0 <= now_ns - start_ns - after_ms * 1_000_000 < 200_000_000
        yield Tick(now_ns, Decimal((59_790 if has_fallen else 60_000) + number % 2), Decimal("0.5"), "sell")


def _of_life(ended: Ended, strike: dict[str, Any]) -> list[str]:
    problems = []
    if ended.said("bare"):
        problems.append("the account stayed bare though the engine says that all is protected")
    problems += [f"invariant {text}" for broken in ended.said("broken") for text in broken]
    is_failing = strike.get("how") in ("F", "L")
    allowed = {0, lives.REFUSED} if is_failing else {0, -9} if strike else {0}
    if ended.code not in allowed:
        problems.append(f"a life ended with {ended.code}: {ended.said('refused') + ended.said('timeout')}")
    made = sum(counters.get("events", 0) for counters in ended.said("ended"))
    if ended.code == 0 and made != len(ended.durable) and "STORE_FAILED" not in ended.said("page"):
        problems.append(f"{made} events were made, {len(ended.durable)} became durable, and nobody was told")
    return problems


def _of_end(folder: Path, store_url: str, books: dict[str, Any], durable: set[str]) -> list[str]:
    problems = compared(store_url, books)
    with open_store(store_url, create=False) as store:
        events = [event for position_id in store.position_ids() for event in store.events_of(position_id)]
    if lost := durable - {named(event) for event in events}:
        problems.append(f"{len(lost)} acknowledged events are lost: {sorted(lost)[:3]}")
    filled = {fill["cl_ord_id"] for fill in books["fills"]}
    for event in events:
        entries = {
            command.client_order_id for command in event.commands if isinstance(command, SubmitOrder) and is_risk_increasing(command)
        }
        if entries & filled and named(event) not in durable:
            problems.append(f"the entry of {event.position_id} filled, and its event was never acknowledged")
    for path in sorted(folder.glob("*.session")):
        if is_begun(path):
            try:
                verify_session(path, KEY)
                if not replay(path, key=KEY).identical:
                    problems.append(f"{path.name} replays otherwise")
            except HoldfastError as problem:
                problems.append(f"{path.name}: {problem}")
    return problems


def _of_chain(folder: Path) -> list[str]:
    """Return the sessions that do not name the one before them: all do, whatever was killed, unless the disk fails."""
    problems, before = [], None
    for path in sorted(folder.glob("*.session")):
        if is_begun(path):
            named_before = read_session(path, key=KEY).manifest["previous"]
            if named_before != before:
                problems.append(f"{path.name} names {named_before} as the session before it, which is {before}")
            report = verify_session(path, KEY)
            before = {"file": path.name, "last_seq": report.records, "head": report.head}
    return problems


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Count what was struck: `write before`, `sync after`, ..."""
    names = {"B": "before", "A": "after", "H": "within", "F": "fails once", "L": "fails from there on"}
    return Counter(
        f"{KINDS[ended.hit]} {names[strike['how']]}" + (", in recovery" if number else "")
        for outcome in outcomes
        for number, (ended, strike) in enumerate(zip(outcome.lives, outcome.strikes, strict=False))
        if ended.hit
    )
