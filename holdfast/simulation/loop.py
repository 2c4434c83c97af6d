"""An event loop under virtual time: when nothing is left to do now, time jumps to the next timer.

Everything that asyncio offers runs as it does in production (tasks, timers, timeouts, callbacks from "threads"), but no second
passes, no socket is opened and nothing waits. The order of callbacks is asyncio's own. Two runs of the same program on it are the
same run.

`create_connection` and `create_server` go to the network that is set as `network`; what would go to a thread
(`asyncio.to_thread`) runs in the loop, `thread_s` later.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

# More callbacks of one moment than any engine needs: it spins.
MAX_ROUNDS = 5_000
# asyncio sorts out cancelled timers once there are more than so many, most of them cancelled.
MANY_TIMERS = 100


class Stuck(Exception):
    """Nothing is left to do and no timer runs, but what the loop was to wait for has not ended."""


class Network(Protocol):
    """Where the loop's connections go (`network.Network`)."""

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple[Any, Any]: ...
    async def create_server(self, factory: Callable[[], Any], host: str, port: int) -> Any: ...


class _Handle:
    """What will be called, as asyncio's own handle, without what only its debug mode needs."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback, self.args, self.context, self.is_cancelled = callback, args, context, False

    def cancel(self) -> None:
        """Never call it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.is_cancelled


class _Timer(float):
    """A handle and its time. It is that time: so the heap compares two of them without a call of Python."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "is_scheduled", "loop")

    loop: "VirtualLoop"
    callback: Callable[..., object]
    args: tuple[Any, ...]
    context: Context
    is_cancelled: bool
    is_scheduled: bool

    def cancel(self) -> None:
        """Never call it."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.loop.cancelled_count += self.is_scheduled

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.is_cancelled

    def when(self) -> float:
        """Return the virtual second at which it is due."""
        return float(self)


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. Its `time` starts at 0 and is known in whole nanoseconds as `now_ns`."""

    def __init__(self, thread_s: float = 0.002) -> None:
        super().__init__()
        self._virtual_ns, self._virtual_s = 0, 0.0
        self._callbacks: deque[_Handle | _Timer] = deque()
        self._timers: list[_Timer] = []
        self.cancelled_count = 0
        self._rounds = 0
        self.thread_s = thread_s
        self.network: Network | None = None

    def time(self) -> float:
        """Return virtual seconds since the loop began."""
        return self._virtual_s

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since the loop began."""
        return self._virtual_ns

    # --- one round, as in asyncio -------------------------------------------------------------------------------------

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        """Call `callback` in the next round."""
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self._callbacks.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        """Call `callback` in so many virtual seconds."""
        return self.call_at(self._virtual_s + delay, callback, *args, context=context)

    # Asked for each future and each task; this loop has no debug mode.
    get_debug = staticmethod(bool)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        """Call `callback` at a virtual second."""
        timer = _Timer(when)
        timer.callback, timer.args, timer.loop = callback, args, self
        timer.context = copy_context() if context is None else context
        timer.is_cancelled, timer.is_scheduled = False, True
        heappush(self._timers, timer)
        return timer

    def _run_once(self) -> None:
        """Run rounds until the loop is to stop: asyncio would ask after each, and call again."""
        # The order of everything is asyncio's own: same heap, same comparisons, same places at which what was cancelled goes.
        callbacks = self._callbacks
        while True:
            timers = self._timers
            if timers and (timers[0].is_cancelled or len(timers) > MANY_TIMERS):
                self._forget_cancelled()
                timers = self._timers
            if not callbacks and not self._stopping:  # type: ignore[attr-defined]
                if not timers:
                    raise Stuck("nothing is left to do")
                if timers[0] > self._virtual_s:
                    self._rounds = 0
                    # Rounded up, or the timer would not be due yet.
                    self._set_time(max(self._virtual_ns, -int(-timers[0] * 1e9 // 1)))
            self._rounds += 1
            if self._rounds > MAX_ROUNDS:
                self._rounds = 0
                raise Stuck(f"{MAX_ROUNDS} rounds of the loop, and no time has passed")
            end_s = self._virtual_s + self._clock_resolution  # type: ignore[attr-defined]
            while timers and timers[0] < end_s:
                timer = heappop(timers)
                timer.is_scheduled = False
                callbacks.append(timer)
            for _ in range(len(callbacks)):
                handle = callbacks.popleft()
                if handle.is_cancelled:
                    continue
                try:
                    handle.context.run(handle.callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as problem:
                    self.call_exception_handler({"message": f"Exception in callback {handle.callback}", "exception": problem})
            if self._stopping:  # type: ignore[attr-defined]
                return

    def _forget_cancelled(self) -> None:
        timers = self._timers
        if len(timers) > MANY_TIMERS and self.cancelled_count * 2 > len(timers):
            self._timers = [timer for timer in timers if not timer.is_cancelled]
            heapify(self._timers)
            self.cancelled_count = 0
            return
        while timers and timers[0].is_cancelled:
            self.cancelled_count -= 1
            heappop(timers).is_scheduled = False

    def _set_time(self, now_ns: int) -> None:
        self._virtual_ns, self._virtual_s = now_ns, now_ns / 1e9

    def stand_still(self, seconds: float) -> None:
        """Let time pass with nobody running: a machine that was suspended. What came due in between is late."""
        self._set_time(self._virtual_ns + int(seconds * 1e9))

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
