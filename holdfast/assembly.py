"""Puts an engine together from its parts, in the order that a restart needs, and takes it apart again.

store -> lease -> spool of the last life merged -> last session repaired -> positions restored -> session file -> engine
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from events import facts as f
from events.errors import BadInput, HoldfastError, Tampered, UnknownSchema
from events.ids import base36, position_id_from
from events.record import PositionEvent, bytes_from
from events.store import Disk, Lease, Recovery, Spool, Store, Writer, open_store, recover_spool
from fsm.dead_man import SECOND_NS, TRANSIT_NS
from fsm.desk import ENDED_KEPT_NS
from fsm.link import LINK, Thresholds
from fsm.order import ORDER
from fsm.position import POSITION
from fsm.ranges import KeptBars
from fsm.table import Table
from fsm.trail import TRAIL
from replay.intents import BarsRecalled
from replay.output import Refusal
from replay.pipeline import TODAY, Pipeline, Settings
from replay.reading import read_session
from replay.redact import Redactor
from replay.session import Previous, SessionWriter, is_begun, manifest_from, repair
from venues.clock import Clock
from venues.kraken.link import LinkSettings
from venues.kraken.rest import RestClient
from venues.kraken.session import KrakenSession, TokenSource

from .bars import BARS_FILE, keep_bars, recalled_bars
from .engine import Engine

log = structlog.get_logger("holdfast.assembly")

SESSION_SUFFIX = ".session"
# Tokens of connections that ended are worth nothing after a quarter of an hour; that many of them are still searched for.
TOKENS_KNOWN = 4


@cache
def table_hash() -> str:
    """Return what names the tables that decide: the same rows give the same hash on every machine."""
    lines = [line for table in (POSITION, ORDER, LINK, TRAIL) for line in _lines_of(table)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _lines_of(table: Table) -> list[str]:
    return [
        f"{row.source}|{row.fact}|{row.when}|{row.target}|{row.commands}|{row.exit_reason}"
        for cell in table.cells().values()
        for row in cell.rows
    ]


def thresholds_for(speed: float) -> Thresholds:
    """Return the link's thresholds for a market that runs `speed` times as fast: a socket's round trip does not."""
    usual = Thresholds()
    scale = max(1, round(speed))
    return Thresholds(
        connect_timeout_ms=usual.connect_timeout_ms * scale,
        refresh_timeout_ms=usual.refresh_timeout_ms * scale,
        silence_ms=usual.silence_ms * scale,
        truth_age_exposed_ms=usual.truth_age_exposed_ms * scale,
        lag_ms=usual.lag_ms * scale,
    )


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Where an engine's files and its venue are. `symbols` empty follows nothing.

    `rest` is for questions beside the stream (None asks none). `session_key` chains the session with a secret. `redactor` knows
    the secrets that must not be recorded; tokens are added. `disk` and `writer` are what a simulation puts in the place of the
    real disk and of the thread that writes.
    """

    store_url: str
    session_dir: Path
    data_dir: Path
    namespace: str
    symbols: tuple[str, ...]
    public_url: str
    private_url: str
    token_source: TokenSource
    clock: Clock
    configuration: dict[str, object] = field(default_factory=dict)
    max_positions: int = 200
    hard_take_profit_bps: int = 0
    dead_man_secs: int = 0
    session_key: bytes | None = None
    anchor_every: int = 1_000
    audit_interval_s: float = 60.0
    link: Thresholds = field(default_factory=Thresholds)
    sockets: LinkSettings = field(default_factory=LinkSettings)
    redactor: Redactor = field(default_factory=Redactor)
    rest: RestClient | None = None
    disk: Disk = field(default_factory=Disk)
    writer: Callable[..., Writer] = Writer


@dataclass(kw_only=True)
class Assembled:
    """A running engine's parts, for whoever drives it. `close` releases them in order.

    `next_position_id` returns the id of the next position, never used before in this store.
    """

    engine: Engine
    pipeline: Pipeline
    session: KrakenSession
    store: Store
    lease: Lease
    writer: Writer
    record: SessionWriter
    restored: int
    recovery: Recovery
    next_position_id: Callable[[], str]

    def close(self) -> None:
        """Write what is left, end the record, release the lease. Positions stay protected at the venue."""
        self.writer.close()
        self.record.close()
        self.lease.release()
        self.store.close()


def assemble(
    parts: Parts, *, on_page: Callable[[str, str], None] | None = None, on_refusal: Callable[[Refusal], None] | None = None
) -> Assembled:
    """Open everything that an engine needs. Call it in the event loop that will run the engine.

    Raises:
        StoreProblem, StoreLocked, UnknownSchema, Tampered: the store cannot be used.
        BadInput, NotFound: a folder cannot be written.
    """
    _folder(parts.session_dir)
    _folder(parts.data_dir)
    store = open_store(parts.store_url, disk=parts.disk)
    try:
        lease = store.acquire_lease()
        return _assemble(parts, store, lease, on_page, on_refusal)
    except BaseException:
        store.close()
        raise


def _assemble(
    parts: Parts,
    store: Store,
    lease: Lease,
    on_page: Callable[[str, str], None] | None,
    on_refusal: Callable[[Refusal], None] | None,
) -> Assembled:
    spool_path = parts.data_dir / "spool.jsonl"
    recovery = recover_spool(store, spool_path, disk=parts.disk)
    if recovery.merged:
        log.warning("spool merged", events=recovery.merged, kept_as=str(recovery.kept_as))
    previous, before = _previous(parts)
    histories, known, damaged = live_histories(store)
    symbols = followed(parts.symbols, histories)
    settings = Settings(
        namespace=parts.namespace,
        symbols=symbols,
        max_positions=parts.max_positions,
        link=parts.link,
        hard_take_profit_bps=parts.hard_take_profit_bps,
        dead_man_secs=parts.dead_man_secs,
        dead_man_left_secs=_left_on(before, parts),
        asks_rest=parts.rest is not None,
        asks_ledgers=parts.rest is not None,
        asks_missing=parts.rest is not None,
        **TODAY,
    )
    pipeline = Pipeline(settings)
    record = SessionWriter.create(
        _session_path(parts, lease.token),
        manifest_from(
            configuration=parts.configuration,
            table_hash=table_hash(),
            started_ns=parts.clock.now_ns(),
            namespace=parts.namespace,
            previous=previous,
            pipeline=msgspec.to_builtins(settings),
        ),
        key=parts.session_key,
        anchor_every=parts.anchor_every,
        on_failure=lambda sentence: log.critical("the record failed; the engine goes on", problem=sentence),
        redactor=parts.redactor,
        disk=parts.disk,
    )
    now_ns = parts.clock.now_ns()
    for event in histories:
        # What this life begins with stands at the head of its record, so that the record replays by itself.
        record.append("event", now_ns, 0, "restored", bytes_from(event))
    pipeline.restore(histories)
    session = KrakenSession(
        public_url=parts.public_url,
        private_url=parts.private_url,
        symbols=symbols,
        token_source=_known_to(parts.redactor, parts.token_source),
        clock=parts.clock,
        settings=parts.sockets,
        rest=parts.rest,
    )
    loop = asyncio.get_running_loop()
    numbers = count(known + 1)

    def next_position_id() -> str:
        return position_id_from(parts.namespace, next(numbers))

    holder: list[Engine] = []
    writer = parts.writer(
        store,
        Spool(spool_path, store, disk=parts.disk),
        on_failure=lambda problem: _in_loop(loop, lambda: holder[0].store_failed(problem)),
        on_page=lambda code, text: _in_loop(loop, lambda: holder[0].page(code, text)),
    )
    engine = Engine(
        pipeline,
        session,
        writer,
        record,
        parts.clock,
        epoch=lease.token,
        next_position_id=next_position_id,
        audit_interval_s=parts.audit_interval_s,
        recalled=_recalled(parts, symbols),
        damaged=damaged,
        keep_bars=lambda kept: _keep(parts, record.path.name, kept),
        on_page=on_page,
        on_refusal=on_refusal,
    )
    holder.append(engine)
    return Assembled(
        engine=engine,
        pipeline=pipeline,
        session=session,
        store=store,
        lease=lease,
        writer=writer,
        record=record,
        restored=len(pipeline.desk.positions),
        recovery=recovery,
        next_position_id=next_position_id,
    )


def _recalled(parts: Parts, symbols: tuple[str, ...]) -> tuple[BarsRecalled, ...]:
    try:
        return recalled_bars(parts.data_dir / BARS_FILE, symbols)
    except HoldfastError as problem:
        log.warning("the bars of the life before are not known", problem=str(problem))
        return ()


def _keep(parts: Parts, session: str, kept: Mapping[str, KeptBars]) -> None:
    try:
        keep_bars(parts.data_dir / BARS_FILE, session, kept)
    except OSError as problem:
        log.warning("the bars are not kept: after a restart a range is known again after some hours", problem=str(problem))


def _known_to(redactor: Redactor, source: TokenSource) -> TokenSource:
    """Return a source whose tokens the redactor knows before anything is sent with them."""
    tokens: deque[str] = deque(maxlen=TOKENS_KNOWN)

    async def fetched() -> str:
        token = await source()
        if len(tokens) == TOKENS_KNOWN:
            redactor.discard(tokens[0])
        tokens.append(token)
        redactor.add(token)
        return token

    return fetched


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


class Histories(NamedTuple):
    """What a start finds in a store: the events of what lives, the highest number of a position, and a sentence for each damaged one."""

    events: list[PositionEvent]
    highest: int
    damaged: tuple[str, ...]


def followed(symbols: Sequence[str], histories: Iterable[PositionEvent]) -> tuple[str, ...]:
    """Return the pairs whose prices are needed: those of the settings, and those of positions that the settings name no more."""
    births = (event.fact for event in histories if isinstance(event.fact, f.PositionRequested | f.PositionAdopted))
    return tuple(dict.fromkeys([*symbols, *sorted({birth.plan.symbol for birth in births})]))


def live_histories(store: Store) -> Histories:
    """Return the histories of the positions that have not ended, or have just done so.

    The venue may tell an execution behind the end of a position only after the restart: whose it is must be known (A8). A position whose
    record is damaged is left out, whole: half a history would be believed. The others must not wait for who mends it (X14).

    Raises:
        StoreProblem, UnknownSchema: nothing at all can be read.
    """
    highest = newest_ns = 0
    damaged: list[str] = []
    histories: list[PositionEvent] = []
    ended: list[list[PositionEvent]] = []
    ends = {state.name for state in POSITION.states if state.end}
    for position_id in store.position_ids():
        highest = max(highest, int(position_id[2:], 36))
        try:
            events = store.events_of(position_id)
        except UnknownSchema:
            raise
        except (Tampered, BadInput) as problem:
            damaged.append(f"position {position_id} is left out, and its orders at the venue as they are: {problem}")
            continue
        if not events:
            continue
        newest_ns = max(newest_ns, events[-1].fact.ts_recv_ns)
        if events[-1].to not in ends:
            histories += events
        else:
            ended.append(events)
            ended = [each for each in ended if each[-1].fact.ts_recv_ns >= newest_ns - ENDED_KEPT_NS]
    return Histories([*histories, *(event for events in ended for event in events)], highest, tuple(damaged))


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise BadInput(str(path), f"the folder cannot be made: {problem.strerror}", "name a folder that this user may write") from None


def _session_path(parts: Parts, token: int) -> Path:
    began = datetime.fromtimestamp(parts.clock.now_ns() // 1_000_000_000, UTC)
    return parts.session_dir / f"{began:%Y%m%dT%H%M%S}-{base36(token, 4)}{SESSION_SUFFIX}"


def _left_on(before: Mapping[str, Any], parts: Parts) -> int:
    """Return to how many seconds the life before may have left the venue's dead-man switch set, where that is longer than ours.

    `before` is the manifest of its session. One that only had it to switch off never set it: what was on then fires by its own time.
    """
    pipeline = before.get("pipeline", {})
    secs, left_secs = int(pipeline.get("dead_man_secs", 0)), int(pipeline.get("dead_man_left_secs", 0))
    if left_secs and parts.clock.now_ns() < int(before["started_ns"]) + left_secs * SECOND_NS + TRANSIT_NS:
        secs = max(secs, left_secs)
    return secs if secs > parts.dead_man_secs else 0


def _previous(parts: Parts) -> tuple[Previous | None, Mapping[str, Any]]:
    """Cut a torn tail off the last session; return what names its end, and its manifest. One that cannot be repaired is left alone.

    One that was killed within its first write holds nothing: it is left as it is, and the one before it is the last.
    """
    sessions = sorted(parts.session_dir.glob(f"*{SESSION_SUFFIX}"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    while sessions and not is_begun(sessions[-1]):
        log.warning("a session was ended within its first write, and holds nothing: the one before it counts", file=sessions.pop().name)
    if not sessions:
        return None, {}
    last = sessions[-1]
    try:
        repaired = repair(last, parts.session_key, disk=parts.disk)
        manifest = read_session(last, parts.session_key).manifest
    except HoldfastError as problem:
        # Also one that was tampered with: evidence stays as it is, and open positions must not wait for who looks at it.
        log.error("the last session is left as it is", problem=str(problem))
        return None, {}
    if repaired.cut_bytes:
        log.warning("a torn tail was cut", file=last.name, bytes=repaired.cut_bytes)
    return Previous(file=last.name, last_seq=repaired.last_seq, head=repaired.head), manifest
