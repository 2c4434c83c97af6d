"""Times for people: durations, moments as ISO text, and what a person writes for a moment."""

import time
from datetime import UTC, datetime
from typing import Literal

from events.errors import Usage

Times = Literal["relative", "iso", "raw"]
LAST = "last"

_MS, _SECOND, _MINUTE, _HOUR, _DAY = 1_000_000, 1_000_000_000, 60_000_000_000, 3_600_000_000_000, 86_400_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(ns: int) -> str:
    """Return a duration for people: 12 ms, 3.250 s, 2 min 05 s, 3 h 20 min, 4 d 07 h."""
    if ns < _SECOND:
        return f"{ns / _MS:.3g} ms" if ns < 10 * _MS else f"{ns // _MS} ms"
    if ns < _MINUTE:
        return f"{ns // _MS / 1000:.3f} s"
    if ns < _HOUR:
        return f"{ns // _MINUTE} min {ns % _MINUTE // _SECOND:02d} s"
    if ns < _DAY:
        return f"{ns // _HOUR} h {ns % _HOUR // _MINUTE:02d} min"
    return f"{ns // _DAY} d {ns % _DAY // _HOUR:02d} h"


def iso_text(ns: int) -> str:
    """Return a moment as UTC in ISO 8601, with milliseconds."""
    return datetime.fromtimestamp(ns // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % _SECOND // _MS:03d}Z"


def moment_text(ns: int, now_ns: int, times: Times = "relative") -> str:
    """Return a moment as `times` asks: "3.250 s ago" and "in 12 ms", ISO, or its nanoseconds; "" for 0, which is never."""
    if not ns:
        return ""
    if times == "raw":
        return str(ns)
    if times == "iso":
        return iso_text(ns)
    return f"in {time_text(ns - now_ns)}" if ns > now_ns else f"{time_text(now_ns - ns)} ago"


def moment_from(text: str | None, last_ns: int) -> int:
    """Return the moment that counts as now, in UTC nanoseconds.

    Args:
        text: "last", nanoseconds, or ISO 8601 (UTC where it names no zone); None for the clock of this machine, but never
            before the log's last event: the market of a simulated venue may run ahead.
        last_ns: when the log's last event was received.

    Raises:
        Usage: it is none of these.
    """
    if text is None:
        return max(time.time_ns(), last_ns)
    if text == LAST:
        return last_ns
    if text.isascii() and text.isdigit() and len(text) <= 19:
        return int(text)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Usage("--at", f"{text[:40]!r} is not a moment", "write it as 2026-11-21T08:30:00Z, as nanoseconds, or last") from None
    since = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1_000
