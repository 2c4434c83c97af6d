"""Every decoder of untrusted bytes as a fuzz target: what it starts from, and what must hold whatever comes.

A target takes bytes and returns. It raises only where something is wrong: an error that is not one of `events.errors`, or an
assertion that says which promise was broken.
"""

import contextlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.fuzz import file_targets as files
from tests.fuzz import wire_targets as wire

CRASHERS = Path(__file__).parent / "crashers"

# Fields that the planted fault does not look at before it counts in them.
NUMBERS = {"last_qty", "last_price", "cum_qty", "order_qty", "balance", "price"}

Run = Callable[[bytes], None]


class Target(NamedTuple):
    """One decoder. `prepare` is called once a process and returns what takes the bytes."""

    name: str
    about: str
    seeds: Callable[[], list[bytes]]
    prepare: Callable[[], Run]

    def crashers(self) -> list[bytes]:
        """Return the inputs that once broke this target."""
        return [path.read_bytes() for path in sorted((CRASHERS / self.name).glob("*"))]


TARGETS = {
    target.name: target
    for target in (
        Target("frames", "frames of Kraken: codec, translator, market queue, record line", wire.frame_seeds, wire.frames),
        Target("neighbours", "a hostile frame between two fills, through the whole pipeline", wire.frame_seeds, wire.neighbours),
        Target("tokens", "answers of the REST interface to the token request", wire.rest_seeds, wire.token_replies),
        Target("lookups", "answers of the REST interface about orders and executions", wire.rest_seeds, wire.rest_answers),
        Target("redact", "texts with secrets in them", wire.secret_seeds, wire.redacted),
        Target("sessions", "session files: reading, verifying, repairing", files.session_seeds, files.sessions),
        Target("records", "session files with a right chain and wrong records, replayed", files.session_seeds, files.records),
        Target("anchors", "anchor files", files.anchor_seeds, files.anchors),
        Target("events", "stored events, facts, commands; restoring from them, books of them", files.event_seeds, files.events_and_books),
        Target("spools", "emergency spools", files.spool_seeds, files.spools),
        Target("toml", "configuration files", files.toml_seeds, files.toml_file),
        Target("settings", "environment variables and --set", files.setting_seeds, files.settings_texts),
        Target("ticks", "tick files: sessions, tables, Parquet", files.tick_seeds, files.tick_file),
        Target("requests", "requests to the simulated venue", wire.request_seeds, wire.requests),
    )
}


def planted() -> Run:
    """Return the target of frames with a fault in it, which every engine must find: it takes a number that it did not look at."""
    decode = wire.frames()
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=str)

    def careless(data: bytes) -> None:
        for entry in decoder.decode(data).get("data") or ():
            for name in NUMBERS & entry.keys():
                Decimal(entry[name]) + Decimal(0)

    def run(data: bytes) -> None:
        decode(data)
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, KeyError, AttributeError):
            careless(data)

    return run
