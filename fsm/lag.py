"""How late a message of a stream is (A14, A22): by the source's own clock, however wrong that clock or ours may be.

The time between a message's two stamps is the delay plus how far the clocks are apart. The least of it in the last minute or two
is taken for no delay at all; what a message has beyond that is its lag. So a recorder whose clock is a second behind the venue's
sees fresh prices, and a clock that jumps is believed again within two minutes. What is late from the first message on does not
show; heartbeats and pings have clocks of their own (`link.py`).
"""

WINDOW_NS = 60 * 1_000_000_000


class Lag:
    """The lag of one stream."""

    __slots__ = ("_before", "_began_ns", "_least")

    def __init__(self) -> None:
        self._began_ns = 0
        self._least: int | None = None
        self._before: int | None = None

    def of(self, ts_event_ns: int, ts_recv_ns: int) -> int:
        """Return the lag of a message in ns, 0 where its source gave no time."""
        if not ts_event_ns:
            return 0
        apart = ts_recv_ns - ts_event_ns
        if self._least is None or ts_recv_ns - self._began_ns >= WINDOW_NS:
            self._before, self._least, self._began_ns = self._least, apart, ts_recv_ns
        elif apart < self._least:
            self._least = apart
        return apart - (self._least if self._before is None else min(self._least, self._before))
