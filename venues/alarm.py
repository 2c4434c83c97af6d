"""Waiting until somebody rings or a time is over, whichever comes first.

What `asyncio.timeout` around an `asyncio.Event` does, in the same rounds of the loop, without a cancellation and its exceptions each time
that the time is over: engine and simulated venue wait so once for every frame.
"""

import asyncio


class Alarm:
    """One task waits; anything in the loop's thread may ring. A ring that nobody waited for counts until it is cleared."""

    __slots__ = ("_is_rung", "_waiting")

    def __init__(self) -> None:
        self._is_rung = False
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake whoever waits."""
        self._is_rung = True
        self._wake()

    def clear(self) -> None:
        """Forget that it has rung."""
        self._is_rung = False

    async def wait(self, seconds: float | None) -> None:
        """Return once it has rung, or so many seconds have passed (None: without end)."""
        if self._is_rung:
            return
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self._wake)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
