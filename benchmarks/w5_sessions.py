"""W5: replay of a recorded session: frames read, verified, decoded, decided, and every event compared with the record.

The session is made here, by the pipeline of the live engine and `quick_venue`: public trades and quotes, and positions under trailing
stops that are opened, protected, stopped out and opened again. What replay costs is taken apart by doing its parts alone: reading the
file with its chain verified, and decoding the same frames; what is left is deciding and comparing. The peak of memory is that of a
process that replays a short and then a session ten times as long: it may not grow with the length.
"""

import json
import multiprocessing
import tempfile
from pathlib import Path

import msgspec

from events import commands as c
from events.facts import Plan
from events.ids import position_id_from
from events.record import bytes_from
from events.values import PositionSide, decimal_from
from fsm.position import CLOSED
from replay.intents import Link, OpenPosition, Sent, payload_from
from replay.output import Output
from replay.pipeline import Pipeline, Settings
from replay.replay import replay
from replay.session import SessionWriter, manifest_from, read_session
from venues.kraken.translate import KrakenTranslator

from . import Row, cpu_seconds, must_equal, session_file
from .quick_venue import SYMBOL, QuickVenue, ticker_frame, trade_frame
from .tape import START_NS, TICK_NS, tape

GOAL = 300_000.0
_NAMESPACE = "hf"
_POSITIONS = 20
_FRAMES_A_TRIP = 400  # one of twenty positions is stopped out every 20 s of market time
_PLAN = Plan(symbol=SYMBOL, side=PositionSide.LONG, qty=decimal_from("0.5", "qty"), trail_offset_bps=4_000)


def run(quick: bool) -> list[Row]:
    """Return the figures of W5, by CPU time of this process, and the peaks of memory of another one."""
    frames, repeats = (20_000, 3) if quick else (200_000, 6)
    with tempfile.TemporaryDirectory() as name:
        path, short = Path(name, "w5.session"), Path(name, "short.session")
        made = record_session(path, frames)
        record_session(short, frames // 10)
        reading = _row("read the session, chain verified", frames, repeats, lambda: sum(1 for _ in read_session(path)))
        reading.facts.update({**made, "bytes a frame": path.stat().st_size // frames})
        texts = [(record.payload, record.ts_recv_ns) for record in read_session(path) if record.kind == "frame"]
        decoding = _row("decode its frames", len(texts), repeats, lambda: _decoded(texts))
        texts.clear()
        rows = [reading, decoding]
        for executor in ("flat", "machine"):
            case = f"replay, decided by {'transitions' if executor == 'machine' else 'flat tables'}"
            replayed = _row(case, frames, repeats, lambda executor=executor: _replayed(path, executor), GOAL, reading.case)  # type: ignore[misc]
            chain, decode = round(100 * replayed.median / reading.median), round(100 * replayed.median / decoding.median)
            replayed.facts.update({"chain %": chain, "decode %": decode, "rest %": 100 - chain - decode})
            rows.append(replayed)
        rows.append(_memory(short, path))
    return rows + session_file.rows(quick)


def _row(case: str, frames: int, repeats: int, work: "session_file.Work", goal: float | None = None, baseline: str | None = None) -> Row:
    samples = tuple(frames / cpu_seconds(work) for _ in range(repeats))
    return Row(work="W5", case=case, unit="frames/s", samples=samples, goal=goal, baseline=baseline)


def _decoded(texts: list[tuple[str | bytes, int]]) -> None:
    translator = KrakenTranslator(_NAMESPACE)
    for text, ts_recv_ns in texts:
        assert isinstance(text, str)
        translator.decode(text, ts_recv_ns)


def _replayed(path: Path, executor: str) -> None:
    verdict = replay(path, executor=executor)
    must_equal(f"replay with {executor}", (True, None), (verdict.identical, verdict.divergence))


def _memory(short: Path, long: Path) -> Row:
    """Replay a short and then the long session in a process of its own, whose peak only ever rises."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        first = pool.apply(_peak_after_replay, (short,))
        second = pool.apply(_peak_after_replay, (long,))
    facts: dict[str, int | float | str] = {"MB after the short one": round(first, 1), "times as long": 10}
    case = "peak that a session ten times as long adds"
    return Row(work="W5", case=case, unit="MB", samples=(second - first,), higher_is_better=False, facts=facts)


def _peak_after_replay(path: Path) -> float:
    _replayed(path, "flat")
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


# --- the session ----------------------------------------------------------------------------------------------------------


def record_session(path: Path, frames: int) -> dict[str, int | float | str]:
    """Write a session of about `frames` frames; return what it holds."""
    session = _Live(path)
    session.begin()
    prices = tape(frames)
    for number in range(_POSITIONS):
        session.open(number)
    at, next_trip = 0, session.frames + _FRAMES_A_TRIP
    while session.frames < frames:
        session.tick(prices[at] / 10, at)
        at += 1
        if session.frames >= next_trip:
            session.stop_out()
            next_trip += _FRAMES_A_TRIP
    session.writer.close()
    must_equal("broken invariants", [], session.pipeline.desk.broken)
    return {"frames": session.frames, "events": session.events, "trips": session.trips}


class _Live:
    """What the engine does with its inputs, at once: record, feed, record the events; the venue answers what was sent."""

    def __init__(self, path: Path) -> None:
        settings = Settings(namespace=_NAMESPACE, symbols=(SYMBOL,))
        self.pipeline = Pipeline(settings, "flat")
        known = msgspec.to_builtins(settings)
        self.writer = SessionWriter.create(
            path, manifest_from(configuration={}, table_hash="", started_ns=START_NS, namespace=_NAMESPACE, pipeline=known)
        )
        self.venue = QuickVenue()
        self.frames = self.events = self.trips = self._opened = 0
        self._now_ns = START_NS

    def begin(self) -> None:
        """Connect, and take the first snapshots."""
        for state in ("connecting", "open", "asked"):
            self._feed("link", "private", payload_from(Link(state=state)))
        self._feed("frame", "public", self.venue.instruments())
        asked = {"method": "subscribe", "req_id": 1, "params": {"channel": "executions"}}
        self._feed("frame", "private", self.venue.acknowledge(asked))
        self._feed("frame", "private", self.venue.snapshot("executions", self._now_ns))

    def open(self, number: int) -> None:
        """Ask for a position; its entry fills at once, and its stop is taken."""
        self._opened = number
        asked = OpenPosition(position_id=position_id_from(_NAMESPACE, number), epoch=1, plan=_PLAN)
        entry = self._placed(self._feed("intent", "", payload_from(asked)))
        filled, done = self.venue.fill(entry, self._now_ns)
        output = self._feed("frame", "private", filled)
        self._feed("frame", "private", done)
        self._placed(output)

    def tick(self, px: float, number: int) -> None:
        """Take the quote and the trade of a price."""
        self._now_ns = max(self._now_ns, START_NS + number * TICK_NS)
        self.venue.last_px = f"{px:.1f}"
        self._feed("frame", "public", ticker_frame(self.venue.last_px, self._now_ns))
        self._feed("frame", "public", trade_frame(self.venue.last_px, number, self._now_ns))

    def stop_out(self) -> None:
        """Fill the oldest stop, and ask for another position."""
        stop = next(iter(self.venue.stops.values()))
        frames = (self.venue.trigger(stop, self._now_ns), *self.venue.fill(stop, self._now_ns))
        outputs = [self._feed("frame", "private", frame) for frame in frames]
        must_equal("positions closed", 1, sum(event.to == CLOSED for output in outputs for event in output.events))
        self.trips += 1
        self.open(self._opened + 1)

    def _placed(self, output: Output) -> dict[str, object]:
        """Let the venue take the one order of an output; return the order."""
        must_equal("refusals", (), output.refusals)
        (sent,) = (item for item in output.outgoing if isinstance(item.command, c.SubmitOrder))
        assert isinstance(sent.command, c.SubmitOrder)
        word = Sent(client_order_id=sent.command.client_order_id, operation="submit", ok=True)
        self._feed("sent", "", payload_from(word))
        order, frames = self.venue.accept(json.loads(sent.frame), self._now_ns)
        for frame in frames:
            self._feed("frame", "private", frame)
        return order

    def _feed(self, kind: str, source: str, payload: str | bytes) -> Output:
        self._now_ns += 1_000
        self.frames += kind == "frame"
        payload = self.writer.append(kind, self._now_ns, 0, source, payload)
        output = self.pipeline.feed(kind, self._now_ns, source, payload)
        for event in output.events:
            self.events += 1
            self.writer.append("event", self._now_ns, 0, "", bytes_from(event))
        return output
