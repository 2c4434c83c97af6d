"""W5: replay of a recorded session: frames decoded, decided, compared with the record; and what the session file itself costs.

The session is made here: a position that is opened, protected and stopped again and again would be W1; this one is what most of a
live session is, public trades with one position under its stop, each frame through translator, bars and price index.
"""

import resource
import tempfile
from pathlib import Path

import msgspec

from events.facts import Plan
from events.record import bytes_from
from events.values import PositionSide, decimal_from
from replay.intents import Link, OpenPosition, payload_from
from replay.pipeline import Pipeline, Settings
from replay.replay import replay
from replay.session import SessionWriter, manifest_from, read_session
from venues.simulated.ticks import seeded_ticks

from . import Row, cpu_seconds, must_equal, session_file

GOAL = 300_000.0
START_NS = 1_700_000_000_000_000_000
INSTRUMENT = (
    '{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"BTC/USD","base":"BTC","quote":"USD",'
    '"status":"online","qty_precision":8,"qty_increment":0.00000001,"qty_min":0.0001,"price_precision":1,"price_increment":0.1,'
    '"cost_precision":5,"cost_min":0.5,"marginable":true,"has_index":true}]}}'
)
SNAPSHOT = '{"channel":"executions","type":"snapshot","data":[],"sequence":1}'
FILL = (
    '{"channel":"executions","type":"update","sequence":2,"data":[{"order_id":"OAAAAA-BBBBB-CCCCCC","cl_ord_id":"%s","symbol":"BTC/USD",'
    '"side":"buy","order_type":"market","order_qty":0.5,"exec_type":"trade","exec_id":"TAAAAA-BBBBB-CCCCCC","trade_id":1,"last_qty":0.5,'
    '"last_price":60000.0,"cum_qty":0.5,"order_status":"filled","liquidity_ind":"t","fees":[{"asset":"USD","qty":78.0}],'
    '"timestamp":"2023-11-14T22:13:20.100000Z"}]}'
)


def run(quick: bool) -> list[Row]:
    """Return the figures of W5, by CPU time of this process."""
    frames, repeats = (20_000, 3) if quick else (300_000, 6)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "w5.session")
        events = _recorded(path, frames)
        reading = Row(
            work="W5",
            case="read the session, chain verified",
            unit="frames/s",
            samples=tuple(frames / cpu_seconds(lambda: sum(1 for _ in read_session(path))) for _ in range(repeats)),
            facts={"bytes": path.stat().st_size, "events": events},
        )
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = [reading, *(_replayed(path, frames, repeats, executor) for executor in ("flat", "machine"))]
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        rows.append(Row(work="W5", case="memory that replay adds", unit="MB", samples=(grown_kib / 1024,), higher_is_better=False))
    return rows + session_file.rows(quick)


def _replayed(path: Path, frames: int, repeats: int, executor: str) -> Row:
    samples = []
    for _ in range(repeats):
        seconds = cpu_seconds(lambda: must_equal(executor, True, replay(path, executor=executor).identical))
        samples.append(frames / seconds)
    name = "transitions" if executor == "machine" else "flat tables"
    case = f"replay: decode, decide by {name}, compare"
    return Row(work="W5", case=case, unit="frames/s", samples=tuple(samples), baseline="read the session, chain verified", goal=GOAL)


def _recorded(path: Path, frames: int) -> int:
    """Write a session of `frames` public trades around one open position; return how many events it holds."""
    settings = Settings(namespace="hf", symbols=("BTC/USD",))
    manifest = manifest_from(configuration={}, table_hash="", started_ns=START_NS, namespace="hf", pipeline=msgspec.to_builtins(settings))
    writer = SessionWriter.create(path, manifest)
    pipeline = Pipeline(settings, "flat")
    count = 0

    def feed(kind: str, now_ns: int, source: str, payload: str | bytes) -> str:
        nonlocal count
        writer.append(kind, now_ns, 0, source, payload)
        output = pipeline.feed(kind, now_ns, source, payload)
        for event in output.events:
            count += 1
            writer.append("event", now_ns, 0, "", bytes_from(event))
        return next((getattr(sent.command, "client_order_id", "") for sent in output.outgoing), "")

    for state in ("connecting", "open", "asked"):
        feed("link", START_NS, "private", payload_from(Link(state=state)))
    feed("frame", START_NS, "public", INSTRUMENT)
    feed("frame", START_NS + 1, "private", SNAPSHOT)
    plan = Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=decimal_from("0.5", "qty"), trail_offset_bps=4_000)
    entry = feed("intent", START_NS + 2, "", payload_from(OpenPosition(position_id="hf000001", epoch=1, plan=plan)))
    must_equal("the session's entry was sent", True, bool(entry))
    feed("frame", START_NS + 3, "private", FILL % entry)
    for number, tick in zip(range(frames), seeded_ticks(3, decimal_from("60000.0", "px"), START_NS), strict=False):
        text = (
            f'{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","side":"{tick.taker_side}","price":{tick.px:f},'
            f'"qty":{tick.qty:f},"ord_type":"market","trade_id":{number},"timestamp":"2023-11-14T22:13:21.000000Z"}}]}}'
        )
        feed("frame", tick.ts_event_ns + 4, "public", text)
    writer.close()
    return count
