"""Stops that the venue does not list and whose end nothing proves (P15): what they executed is not known, so a person is told."""

from collections.abc import Mapping

from .notice import Notice

TOLD_NS, AGAIN_NS = 30_000_000_000, 300_000_000_000


class Unlisted:
    """The clocks of the stops that no list names."""

    def __init__(self) -> None:
        self._next_ns: dict[tuple[str, str], int] = {}

    def look(self, stops: Mapping[tuple[str, str], int], now_ns: int) -> list[Notice]:
        """Take, with every snapshot, since when which stop of which position is not listed; return what is to be told now."""
        notices = []
        next_ns: dict[tuple[str, str], int] = {}
        for at, since_ns in stops.items():
            next_ns[at] = self._next_ns.get(at, since_ns + TOLD_NS)
            if now_ns >= next_ns[at]:
                next_ns[at] = now_ns + AGAIN_NS
                (key, stop), secs = at, (now_ns - since_ns) // 1_000_000_000
                text = f"{key}: the venue has not listed its stop {stop} for {secs} s, and what it executed is not known"
                notices.append(Notice(True, "STOP_NOT_LISTED", f"{text}: look there, act by hand"))
        self._next_ns = next_ns
        return notices
