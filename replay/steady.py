"""Time as the core sees it: it may jump ahead, and never goes back.

The live engine's clock never does while it runs. Another one that is set back would stop every clock of ours for as long, and make each
question look older than what it asks about; what counts is what has passed. What the engine stamps as it hands it on is in order, so that
a step back there is the clock's own. Frames and answers are stamped where they are received, and may be handed on behind younger words.
"""

# Less is no clock that was set back, and delays nothing that matters.
STEP_NS = 1_000_000_000
IN_ORDER = ("timer", "link", "sent", "intent")


class Steady:
    """How far the clock of the inputs is behind the core's: `behind_ns`, 0 where it never went back."""

    __slots__ = ("_before_ns", "_last_ns", "behind_ns")

    def __init__(self) -> None:
        self.behind_ns = self._before_ns = self._last_ns = 0

    def of(self, kind: str, ts_recv_ns: int) -> int:
        """Return the core's time of an input that was stamped with `ts_recv_ns`."""
        now_ns = ts_recv_ns + self.behind_ns
        if kind in IN_ORDER and self._last_ns - now_ns >= STEP_NS:
            self._before_ns, self.behind_ns, now_ns = self.behind_ns, self.behind_ns + self._last_ns - now_ns, self._last_ns
        self._last_ns = max(self._last_ns, now_ns)
        return now_ns

    def asked(self, asked_ns: int, now_ns: int) -> int:
        """Return the core's time of a question whose answer comes now; it may have been asked before the clock was set back."""
        then_ns = asked_ns + self.behind_ns
        return then_ns if then_ns <= now_ns else asked_ns + self._before_ns
