"""Re-execution: a recorded session runs through the decision code again, and every event must come out byte for byte.

The session holds each input followed by the events that it made. Replay feeds the inputs to a fresh `Pipeline` and compares;
it stops at the first divergence and shows both sides. One pass, one record in memory at a time: a session larger than
memory replays in flat memory.
"""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from events.errors import BadInput
from events.record import bytes_from, event_from

from .pipeline import Pipeline, Settings
from .session import Record, read_session

INPUTS = ("frame", "timer", "link", "sent", "intent", "answer")


class Divergence(NamedTuple):
    """The first place where replay and record differ; "" stands for nothing on that side."""

    record: int
    input: str
    recorded: str
    replayed: str


class Verdict(NamedTuple):
    """What a replay found. `identical` if nothing diverged and no event of the record was left over."""

    inputs: int
    frames: int
    events: int
    divergence: Divergence | None

    @property
    def identical(self) -> bool:
        return self.divergence is None


def settings_from(manifest: dict[str, object], place: str) -> Settings:
    """Return the pipeline's settings from a session's manifest. Raises BadInput where it has none."""
    try:
        return msgspec.convert(manifest.get("pipeline"), Settings)
    except msgspec.MsgspecError as problem:
        raise BadInput(place, f"its manifest has no usable pipeline settings ({problem})", "replay a session of this version") from None


def replay(path: Path, *, key: bytes | None = None, executor: str = "flat") -> Verdict:
    """Replay a session file.

    Raises:
        NotFound, BadInput, UnknownSchema: the file cannot be used.
        Tampered: its bytes do not match its chain.
    """
    records = read_session(path, key=key)
    return replay_records(records, settings_from(records.manifest, str(path)), executor)


def replay_records(records: Iterable[Record], settings: Settings, executor: str = "flat") -> Verdict:
    """Feed recorded inputs to a fresh pipeline and compare the events that it makes with the recorded ones."""
    pipeline = Pipeline(settings, executor)
    expected: deque[bytes] = deque()
    inputs = frames = events = 0
    last: Record | None = None
    restored: list[bytes] = []
    for record in records:
        if record.kind == "event":
            data = record.payload.encode() if isinstance(record.payload, str) else record.payload
            if record.source == "restored":
                restored.append(data)
                continue
            events += 1
            made = expected.popleft() if expected else b""
            if made != data:
                recorded = data.decode("utf-8", "backslashreplace")
                return Verdict(inputs, frames, events, Divergence(record.seq, _place_of(last), recorded, made.decode()))
        elif record.kind in INPUTS:
            if restored:
                pipeline.restore(event_from(data) for data in restored)
                restored.clear()
            if expected:
                return Verdict(inputs, frames, events, Divergence(record.seq, _place_of(last), "", expected[0].decode()))
            inputs += 1
            frames += record.kind == "frame"
            last = record
            output = pipeline.feed(record.kind, record.ts_recv_ns, record.source, record.payload)
            if output.events:
                expected.extend(bytes_from(event) for event in output.events)
    # Events that the process had decided but not yet recorded when it was killed are missing, not wrong.
    return Verdict(inputs, frames, events, None)


def _place_of(last: Record | None) -> str:
    return "the beginning" if last is None else f"record {last.seq}: {last.kind} from {last.source or 'the process'}"
