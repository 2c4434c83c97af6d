"""An event loop under virtual time: when nothing is left to do now, time jumps to the next timer.

Everything that asyncio offers runs as it does in production (tasks, timers, timeouts, callbacks from "threads"), but no second
passes, no socket is opened and nothing waits. The order of callbacks is asyncio's own. Two runs of the same program on it are the
same run.

`create_connection` and `create_server` go to the network that is set as `network`; what would go to a thread
(`asyncio.to_thread`) runs in the loop, `thread_s` later.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

# More callbacks of one moment than any engine needs: it spins.
MAX_ROUNDS = 5_000


class Stuck(Exception):
    """Nothing is left to do and no timer runs, but what the loop was to wait for has not ended."""


class Network(Protocol):
    """Where the loop's connections go (`network.Network`)."""

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple[Any, Any]: ...
    async def create_server(self, factory: Callable[[], Any], host: str, port: int) -> Any: ...


class _Jump:
    """A selector without sockets: what would be waited for is over at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._rounds = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is left to do")
        if timeout > 0:
            self._rounds = 0
            self._loop.jump_to_next_timer()
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            self._rounds = 0
            raise Stuck(f"{MAX_ROUNDS} rounds of the loop, and no time has passed")
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. Its `time` starts at 0 and is known in whole nanoseconds as `now_ns`."""

    def __init__(self, thread_s: float = 0.002) -> None:
        super().__init__()
        self._selector = _Jump(self)
        self._virtual_ns = 0
        self.thread_s = thread_s
        self.network: Network | None = None

    def time(self) -> float:
        """Return virtual seconds since the loop began."""
        return self._virtual_ns / 1e9

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since the loop began."""
        return self._virtual_ns

    def jump_to_next_timer(self) -> None:
        """Let time pass until the next timer is due."""
        when = self._scheduled[0].when()  # type: ignore[attr-defined]
        # Rounded up, or the timer would not be due yet.
        self._virtual_ns = max(self._virtual_ns, -int(-when * 1e9 // 1))

    def stand_still(self, seconds: float) -> None:
        """Let time pass with nobody running: a machine that was suspended. What came due in between is late."""
        self._virtual_ns += int(seconds * 1e9)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Connect over the network of this loop."""
        assert self.network is not None
        return await self.network.create_connection(protocol_factory, host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Listen in the network of this loop."""
        assert self.network is not None
        return await self.network.create_server(protocol_factory, host, port)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run `func` in the loop a moment later: there is one thread in a simulation."""
        future: asyncio.Future[Any] = self.create_future()

        def call() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as problem:
                future.set_exception(problem)

        self.call_later(self.thread_s, call)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
