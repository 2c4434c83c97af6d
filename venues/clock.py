"""Market time: one clock that an engine and a simulated venue share, so that both run faster than real time together.

Market time is `start_ns` plus the monotonic time since `origin_ns`, times `speed`. It never jumps and never runs
backwards. Two processes of one machine share a clock by sharing (speed, start_ns, origin_ns): `time.monotonic_ns` counts
from the same boot for both. At speed 1 and without a start it is the UTC time of day as of its making.
"""

import asyncio
import math
import time
from collections.abc import Callable
from fractions import Fraction
from typing import TypedDict

from events.errors import BadInput


class ClockReading(TypedDict):
    """What another process needs to run on the same clock: `Clock(**reading)`."""

    speed: float
    start_ns: int
    origin_ns: int


class Clock:
    """Market time in integer nanoseconds UTC.

    Args:
        speed: market seconds per real second, above 0 and at most 1e6.
        start_ns: market time at `origin_ns`; now (UTC) if not given.
        origin_ns: `time.monotonic_ns()` at which market time was `start_ns`; now if not given.
        monotonic_ns: what counts real time, the system's monotonic clock if not given; a simulation gives its own.

    Raises:
        BadInput: a speed that is not a number in that range.
    """

    def __init__(
        self,
        speed: float = 1.0,
        start_ns: int | None = None,
        origin_ns: int | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not math.isfinite(speed) or not 0 < speed <= 1e6:
            raise BadInput("clock speed", f"{speed} is not between 0 and 1000000", "give market seconds per real second, for example 1")
        self._ratio = Fraction(speed).limit_denominator(1_000_000)
        if self._ratio <= 0:
            raise BadInput("clock speed", f"{speed} is too small", "give at least 0.000001")
        self.speed = float(self._ratio)
        self._numerator, self._denominator = self._ratio.numerator, self._ratio.denominator
        self.start_ns = time.time_ns() if start_ns is None else start_ns
        self._monotonic_ns = monotonic_ns
        self.origin_ns = monotonic_ns() if origin_ns is None else origin_ns

    def now_ns(self) -> int:
        """Return the market time now. Exact integer arithmetic: a float would lose nanoseconds after days."""
        elapsed_ns = self._monotonic_ns() - self.origin_ns
        return self.start_ns + elapsed_ns * self._numerator // self._denominator

    def real_seconds(self, market_seconds: float) -> float:
        """Return how long `market_seconds` take in real time, never below 0."""
        return max(0.0, market_seconds / self.speed)

    async def sleep(self, market_seconds: float) -> None:
        """Sleep for `market_seconds` of market time."""
        await asyncio.sleep(self.real_seconds(market_seconds))

    def reading(self) -> ClockReading:
        """Return what another process on this machine needs to share this clock."""
        return {"speed": self.speed, "start_ns": self.start_ns, "origin_ns": self.origin_ns}
