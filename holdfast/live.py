"""`holdfast run`: the live engine as a process, from settings to a clean end.

It follows the venue until it is told to stop. Stopping closes nothing: what is open stays protected by its orders at the
venue, and the next start takes it over.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from events.errors import BadInput, VenueProblem
from events.facts import Plan
from events.ids import position_id_from
from events.values import Instrument
from fsm.plans import check_plan
from holdfast.config import Config, read_key, store_address
from holdfast.secrets import SECRETS
from replay.intents import OpenPosition
from venues.clock import Clock
from venues.kraken.auth import TokenFetcher
from venues.kraken.capabilities import capabilities_of
from venues.kraken.permissions import lacking, missing_permissions
from venues.kraken.rest import TIERS, CallCounter, RestClient
from venues.kraken.session import TokenSource
from venues.simulated import SimulatedVenue
from venues.simulated.__main__ import feed_of
from venues.simulated.pairs import pair_of

from .assembly import Assembled, Parts, assemble, thresholds_for

log = structlog.get_logger("holdfast.live")

# Real seconds within which a venue must have given its first snapshot before entries are given up for this life.
SYNC_TIMEOUT_S = 60.0
# How long after a takeover the key is looked at: until then what became of orders may have to be asked.
KEY_LOOK_S = 60.0


@dataclass(frozen=True)
class Ended:
    """How a live engine ended: what it restored, what it holds now, and its counters.

    `unreached` is "", or why the venue never said in this life what the account holds; `refused` are the sentences of the plans that
    were refused for good.
    """

    restored: int
    unreached: str
    refused: tuple[str, ...]
    open_positions: tuple[str, ...]
    counters: dict[str, int]
    session: Path


@dataclass(frozen=True)
class Where:
    public_url: str
    private_url: str
    token_source: TokenSource
    rest: RestClient
    clock: Clock
    has_key: bool


async def run_live(config: Config, *, duration_s: float | None = None) -> Ended:
    """Run the engine until SIGTERM, SIGINT, or `duration_s` real seconds have passed.

    Raises what the configuration, the store, the session file or the venue raise for good.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if duration_s is not None:
        loop.call_later(duration_s, stop.set)
    check_positions(config)
    async with venue_of(config) as where:
        assembled = assemble(_parts(config, where))
        try:
            _refuse_forgotten(config, assembled)
            refused = await _live(config, assembled, where, stop)
        finally:
            assembled.close()
        return Ended(
            restored=assembled.restored,
            unreached="" if assembled.engine.is_synced else assembled.engine.link_problem or "it did not answer in time",
            refused=tuple(refused),
            open_positions=tuple(sorted(assembled.pipeline.desk.positions)),
            counters=dict(sorted(assembled.engine.counters.items())),
            session=assembled.record.path,
        )


async def _live(config: Config, assembled: Assembled, where: Where, stop: asyncio.Event) -> list[str]:
    refused: list[str] = []
    if where.has_key and not assembled.restored:
        # With nothing to protect there is time to look; else that begins first.
        await _check_key(where, config.venue.symbols[0])
    log.info("started", restored=assembled.restored, epoch=assembled.lease.token, session=str(assembled.record.path))
    running = asyncio.create_task(assembled.engine.run(stop))
    checking = asyncio.create_task(_page_key(config, assembled, where) if where.has_key and assembled.restored else _nothing())
    opening = asyncio.create_task(open_plans(config.positions, config.engine.namespace, assembled, refused))
    try:
        await running
    finally:
        for task in (opening, checking):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return refused


async def _check_key(where: Where, symbol: str) -> None:
    """Find out by questions that change nothing whether the key may do what is needed. A venue that does not answer is tried later.

    Raises:
        BadInput: it may not, or the venue refuses it.
    """
    try:
        missing = await missing_permissions(where.rest, symbol)
    except VenueProblem as problem:
        log.warning("what the key may do is not known", problem=str(problem))
        return
    if missing:
        raise lacking(missing)


async def _page_key(config: Config, assembled: Assembled, where: Where) -> None:
    """Look at the key where positions were taken over: they are protected as well as it can be done, and a person is told."""
    await assembled.engine.synced()
    await asyncio.sleep(KEY_LOOK_S)
    try:
        await _check_key(where, config.venue.symbols[0])
    except BadInput as problem:
        assembled.engine.page("KEY_MAY_NOT", str(problem))


async def _nothing() -> None:
    pass


async def open_plans(plans: Sequence[Plan], namespace: str, assembled: Assembled, refused: list[str]) -> None:
    """Ask for the positions of the configuration, each once in the life of a store: the n-th has the n-th id.

    The plans of a pair are opened one after the other; no pair waits for another one. `refused` takes the sentence of each plan that is
    refused for good; those behind it go on.
    """
    if not plans:
        return
    try:
        async with asyncio.timeout(SYNC_TIMEOUT_S):
            await assembled.engine.synced()
    except TimeoutError:
        log.error("no positions are opened: the venue has given no snapshot", seconds=SYNC_TIMEOUT_S)
        return
    known = set(assembled.store.position_ids())
    wishes: dict[str, list[OpenPosition]] = {}
    for number, plan in enumerate(plans, 1):
        position_id = position_id_from(namespace, number)
        if position_id not in known:
            wishes.setdefault(plan.symbol, []).append(OpenPosition(position_id=position_id, epoch=assembled.lease.token, plan=plan))

    async def open_pair(of_pair: Sequence[OpenPosition]) -> None:
        for wish in of_pair:
            output = await assembled.engine.open_in_time(wish)
            # What halts all entries is no fault of a plan, and has been told as such.
            refused.extend(refusal.reason for refusal in output.refusals if refusal.code != "HALTED")

    await asyncio.gather(*map(open_pair, wishes.values()))


def check_positions(config: Config) -> None:
    """Refuse plans of the configuration that no venue could protect, before anything is opened. Prices are checked live."""
    for index, plan in enumerate(config.positions):
        place = f"positions[{index}]"
        if plan.symbol not in config.venue.symbols:
            raise BadInput(
                f"{place}.symbol", f"{plan.symbol!r} is not followed", f"add it to venue.symbols ({', '.join(config.venue.symbols)})"
            )
        if config.venue.kind == "simulated":
            instrument: Instrument = pair_of(plan.symbol).instrument
            try:
                check_plan(plan, instrument, capabilities_of(plan.margin), None)
            except BadInput as refused:
                raise BadInput(f"{place}: {refused.place}", refused.problem, refused.remedy) from None


def _refuse_forgotten(config: Config, assembled: Assembled) -> None:
    # The venue inside this process ended with the process before: it knows nothing of what that life had opened.
    if config.venue.kind == "simulated" and assembled.restored:
        raise BadInput(
            config.store_url,
            f"it holds {assembled.restored} open positions whose simulated venue ended with its process",
            "run the venue as a process of its own (python -m venues.simulated), or name another store",
        )


def _parts(config: Config, where: Where) -> Parts:
    data_dir = Path(config.engine.data_dir)
    key = read_key("session.key_env", env=config.session.key_env) if config.session.key_env else ""
    return Parts(
        store_url=store_address(config),
        session_dir=Path(config.session_dir),
        data_dir=data_dir,
        namespace=config.engine.namespace,
        symbols=config.venue.symbols,
        public_url=where.public_url,
        private_url=where.private_url,
        token_source=where.token_source,
        rest=where.rest,
        clock=where.clock,
        configuration=msgspec.to_builtins(config),
        max_positions=config.risk.max_positions,
        hard_take_profit_bps=config.risk.hard_take_profit_bps,
        dead_man_secs=config.venue.dead_man_secs,
        session_key=key.encode() or None,
        anchor_every=config.session.anchor_every,
        redactor=SECRETS,
        link=thresholds_for(where.clock.speed),
    )


@asynccontextmanager
async def venue_of(config: Config) -> AsyncIterator[Where]:
    """Give the addresses and the token source of the venue; start and stop it where it is the one in this process."""
    if config.venue.kind == "kraken":
        _explain_key(config)
        key = read_key("venue.api_key_env", env=config.venue.api_key_env)
        secret = read_key("venue.api_secret", env=config.venue.api_secret_env, file=config.venue.api_secret_file)
        rest = RestClient(key, secret, config.venue.rest_url, counter=CallCounter(*TIERS[config.venue.rest_tier]))
        yield Where(config.venue.public_url, config.venue.private_url, TokenFetcher(rest), rest, Clock(), has_key=True)
        return
    simulated = config.simulated
    clock = Clock(float(simulated.speed))
    files = dict(symbol_and_file(text, config.venue.symbols[0]) for text in simulated.ticks)
    venue = SimulatedVenue(
        [feed_of(symbol, files.get(symbol), simulated.seed + n, clock.start_ns) for n, symbol in enumerate(config.venue.symbols)],
        clock=clock,
        settings=simulated.settings,
        seed=simulated.seed,
        faults=simulated.faults,
        port=simulated.port,
    )
    url = await venue.start()

    async def token() -> str:
        return venue.issue_token()

    try:
        yield Where(url, url, token, RestClient("simulated", "c2ltdWxhdGVk", venue.http_url), clock, has_key=False)
    finally:
        await venue.stop()


def _explain_key(config: Config) -> None:
    """Say everything that is needed where no key is there at all; what is wrong with half of one, whoever reads it says."""
    venue = config.venue
    if os.environ.get(venue.api_key_env) is None and not venue.api_secret_file and os.environ.get(venue.api_secret_env) is None:
        raise BadInput(
            "venue.api_key_env",
            f"the venue is Kraken, and the variables {venue.api_key_env} and {venue.api_secret_env}, which hold its API key, are not set",
            "make a key there that may query funds, open and closed orders and trades, create and cancel orders and use WebSockets, but not"
            " withdraw, export both, and begin with --validate (docs/kraken.md)",
        )


def symbol_and_file(text: str, symbol: str) -> tuple[str, str]:
    """Return symbol and file of a tick file in the settings, `SYMBOL=FILE`, or a file alone, which is of `symbol`."""
    name, separator, path = text.partition("=")
    return (name, path) if separator and "/" in name and name.upper() == name else (symbol, text)
