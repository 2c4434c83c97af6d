"""What a session file costs: recording a frame, reading it back verified, and what other chains would cost to verify.

Part of W5, whose goal of 300,000 frames a second leaves 3.3 µs a frame for everything. `python -m benchmarks.session_file [--quick]`
prints these rows alone.
"""

import gzip
import hashlib
import hmac
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from replay.lines import records_from
from replay.redact import Redactor
from replay.session import SessionWriter, manifest_from, read_session

from . import Row, cpu_seconds, must_equal

Work = Callable[[], object]
KEY = b"0123456789abcdef0123456789abcdef"
TICKER = (
    '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":61800.3,"bid_qty":1.5,"ask":61800.4,"ask_qty":2.0,'
    '"last":61800.3,"volume":1234.5,"vwap":61000.1,"low":60000.0,"high":62000.0,"change":12.1,"change_pct":0.02}]}'
)
EVENT = b'{"commands":[],"fact":{"px":"61800.3","type":"price_crossed.1"},"position_id":"hf000001","to":"PROTECTED","version":3}'
EVENT_EVERY = 50  # frames to an event


def rows(quick: bool) -> list[Row]:
    """Measure, by CPU time of this process. `quick` asks for a few seconds."""
    frames, repeats = (10_000, 3) if quick else (100_000, 6)
    redactor = Redactor(["a-configured-secret-of-some-length", "and-another-one-of-the-same-kind"])
    with tempfile.TemporaryDirectory() as folder:
        measured = _appending(Path(folder), frames, repeats, redactor)
        plain, keyed = Path(folder, "plain.jsonl"), Path(folder, "keyed.jsonl")
        archive = Path(folder, "plain.jsonl.gz")
        archive.write_bytes(gzip.compress(plain.read_bytes(), 6))
        ratio = round(plain.stat().st_size / archive.stat().st_size, 1)
        size = round(plain.stat().st_size / frames)
        lines = b"".join(line + b"\n" for line in plain.read_bytes().split(b"\n") if line.startswith((b'{"k":"frame"', b'{"k":"event"')))
        decoded, verified, by_block = "decode only, nothing verified", "read, verified", "chain by block, hashing only"
        measured += [
            _row(decoded, frames, repeats, lambda: records_from(lines)),
            _row(verified, frames, repeats, lambda: _read(plain, None, frames), decoded, bytes_a_frame=size),
            _row("read, verified with the key", frames, repeats, lambda: _read(keyed, KEY, frames), decoded),
            _row("read a .gz, verified", frames, repeats, lambda: _read(archive, None, frames), verified, smaller=ratio),
            _row(by_block, frames, repeats, lambda: hashlib.sha256(lines)),
            _row("chain by record, hashing only", frames, repeats, lambda: _hash_each(lines), by_block),
            _row("keyed chain by record, hashing only", frames, repeats, lambda: _mac_each(lines), by_block),
            _row("redact a frame without secrets", frames, repeats, lambda: [redactor.redact(TICKER) for _ in range(frames)]),
        ]
    return measured


def _appending(folder: Path, frames: int, repeats: int, redactor: Redactor) -> list[Row]:
    def case(name: str, key: bytes | None, flush_every: int) -> Work:
        def work() -> None:
            for left in folder.glob(f"{name}.jsonl*"):
                left.unlink()
            manifest = manifest_from(configuration={}, table_hash="", started_ns=0, namespace="hf")
            writer = SessionWriter.create(folder / f"{name}.jsonl", manifest, key=key, redactor=redactor)
            for at in range(frames):
                writer.append("frame", at, at, "kraken.public", TICKER)
                if at % EVENT_EVERY == 0:
                    writer.append("event", at, at, "core", EVENT)
                if at % flush_every == 0:
                    writer.flush()
            writer.close()

        return work

    return [
        _row("append", frames, repeats, case("plain", None, frames)),
        _row("append, keyed", frames, repeats, case("keyed", KEY, frames), "append"),
        _row("append, each frame flushed", frames, repeats, case("flushed", None, 1), "append"),
    ]


def _row(name: str, frames: int, repeats: int, work: Work, baseline: str | None = None, **facts: float) -> Row:
    samples = tuple(frames / cpu_seconds(work) for _ in range(repeats))
    found = {"µs_a_frame": round(1e6 / max(samples), 2), **facts}
    return Row(work="W5", case=name, unit="frames/s", samples=samples, baseline=baseline, facts=dict(found))


def _read(path: Path, key: bytes | None, frames: int) -> None:
    count = sum(1 for record in read_session(path, key) if record.kind == "frame")
    must_equal("read", frames, count)


def _hash_each(lines: bytes) -> None:
    head = b""
    for line in lines.split(b"\n"):
        head = hashlib.sha256(head + line).digest()


def _mac_each(lines: bytes) -> None:
    head, key = b"", KEY
    for line in lines.split(b"\n"):
        head = hmac.digest(key, head + line, "sha256")
        key = hashlib.sha256(key).digest()


def main() -> None:
    """Print one line for each case."""
    for row in rows("--quick" in sys.argv):
        facts = ", ".join(f"{name} {value}" for name, value in row.facts.items())
        print(f"{row.case:40} {row.median:>12,.0f} {row.unit}   ({facts})")


if __name__ == "__main__":
    main()
