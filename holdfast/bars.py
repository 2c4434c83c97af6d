"""The file of bars beside the store: what the engine has made of the venue's trades, so that a restart need not wait for a range (A12).

It is a copy of what the session records in full, kept because hours of trades are too much to read at a start. The next life takes it as
inputs, which stand in its own session: replay knows what the distances followed from. Losing the file costs the hours, nothing else.
"""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from events.errors import BadInput
from fsm.bars import ATR_INTERVAL_NS, Bar
from fsm.ranges import KeptBars
from replay.intents import BarsRecalled

BARS_FILE = "bars.json"
# A month of restarts could not fill it: a symbol has some thirty bars.
MAX_BYTES = 16 << 20


class _Symbol(msgspec.Struct, frozen=True, kw_only=True):
    price_increment: Decimal
    interval_ns: int
    bars: tuple[Bar, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True, tag="holdfast-bars.1", tag_field="schema"):
    """Bars by symbol, and the session file in which their last trades stand."""

    session: str
    symbols: dict[str, _Symbol]


def keep_bars(path: Path, session: str, kept: Mapping[str, KeptBars]) -> None:
    """Write the bars, all or nothing. Raises OSError."""
    symbols = {x: _Symbol(price_increment=y.price_increment, interval_ns=ATR_INTERVAL_NS, bars=y.bars) for x, y in kept.items()}
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(_File(session=session, symbols=symbols), order="deterministic") + b"\n")
    os.replace(new, path)


def recalled_bars(path: Path, symbols: tuple[str, ...]) -> tuple[BarsRecalled, ...]:
    """Return what an earlier life has kept of `symbols`, nothing where there was none.

    Raises:
        BadInput: the file cannot be read; whoever starts goes on without.
    """
    try:
        if not path.exists():
            return ()
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(str(path), f"it has more than {MAX_BYTES} bytes", "move it away; a range is known again after some hours")
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadInput(str(path), str(problem), "move it away; a range is known again after some hours") from None
    return tuple(
        BarsRecalled(symbol=x, price_increment=y.price_increment, interval_ns=y.interval_ns, bars=y.bars, source=f"session {found.session}")
        for x, y in sorted(found.symbols.items())
        if x in symbols
    )
