"""A network in memory: transports between clients and servers of one virtual loop, with latency and the faults of a network.

Bytes keep their order, as on TCP. A connection is *cut* (both ends see a reset), *dark* (half-open: whatever is written goes
nowhere, nobody is told), or *slow*. The process at one end can die: then its end says nothing any more and the other end sees
the connection close, as the kernel of a dead process closes its sockets. What was written before is delivered first.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any


class Network:
    """All connections of one simulation.

    `latency_s` bounds the way of each piece, `piece_bytes` (0: never) cuts what is written into pieces that arrive one by one.
    `is_down` refuses new connections. Draws come from `rng` in the order of the writes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: Random) -> None:
        self._loop, self._rng = loop, rng
        self._servers: dict[int, Callable[[], Any]] = {}
        self._pairs: list[tuple[Pipe, Pipe]] = []
        self._next_port = 1_024
        self.latency_s = (0.001, 0.02)
        self.piece_bytes = 0
        self.is_down = False

    async def create_server(self, factory: Callable[[], Any], host: str, port: int) -> "Listening":
        """Listen; port 0 takes a free one."""
        if not port:
            self._next_port += 1
            port = self._next_port
        self._servers[port] = factory
        return Listening(self, host, port)

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple["Pipe", Any]:
        """Connect; both ends are told after a round trip. Raises ConnectionRefusedError where nobody listens, or as drawn."""
        await asyncio.sleep(2 * self.delay_s())
        serve = self._servers.get(port)
        if serve is None or self.is_down:
            raise ConnectionRefusedError(111, "Connection refused")
        near, far = Pipe(self, (host, port)), Pipe(self, (host, 50_000 + len(self._pairs)))
        near.peer, far.peer = far, near
        self._pairs.append((near, far))
        for end, make in ((far, serve), (near, factory)):
            end.protocol = make()
            end.protocol.connection_made(end)
        return near, near.protocol

    def stop_serving(self, port: int) -> None:
        """Refuse connections to a port from now on."""
        self._servers.pop(port, None)

    def delay_s(self) -> float:
        """Draw the latency of one piece."""
        return self._rng.uniform(*self.latency_s)

    # --- faults -------------------------------------------------------------------------------------------------------

    @property
    def open_pairs(self) -> list[tuple["Pipe", "Pipe"]]:
        """The connections that are open, oldest first: the client's end and the server's."""
        self._pairs = [pair for pair in self._pairs if not (pair[0].is_over and pair[1].is_over)]
        return self._pairs

    def cut(self, number: int) -> bool:
        """Reset one of the open connections; False if there is none."""
        pairs = self.open_pairs
        if not pairs:
            return False
        for end in pairs[number % len(pairs)]:
            end.lose(ConnectionResetError(104, "Connection reset by peer"))
        return True

    def darken(self, number: int) -> bool:
        """Let one of the open connections go dark: nothing arrives any more, and nobody is told."""
        pairs = self.open_pairs
        if not pairs:
            return False
        for end in pairs[number % len(pairs)]:
            end.is_dark = True
        return True

    def cut_dark(self) -> None:
        """Reset what is dark, as a router does when it comes back."""
        for pair in self.open_pairs:
            if pair[0].is_dark:
                for end in pair:
                    end.lose(ConnectionResetError(104, "Connection reset by peer"))

    def kill_clients(self) -> None:
        """The process at the clients' ends dies."""
        for near, _ in self.open_pairs:
            near.die()


class Pipe(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: Network, address: tuple[str, int]) -> None:
        super().__init__({"peername": address, "sockname": address})
        self._network = network
        self.protocol: Any = None
        self.peer: Pipe
        self.is_over = False
        self.is_dark = False
        self._is_dead = False
        self._is_closing = False
        self._is_paused = False
        self._waiting: deque[bytes | None] = deque()
        self._under_way: deque[Callable[[], None]] = deque()
        self._last_s = 0.0

    # --- what a protocol calls ----------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send bytes to the other end."""
        if self.is_over or self._is_dead or self._is_closing:
            return
        data = bytes(data)
        size = self._network.piece_bytes or len(data)
        for start in range(0, len(data), size):
            self._send(data[start : start + size])

    def write_eof(self) -> None:
        """Say that nothing more is coming."""
        if not (self.is_over or self._is_dead or self._is_closing):
            self._send(None)

    def can_write_eof(self) -> bool:
        """As TCP."""
        return True

    def close(self) -> None:
        """Close after what was written has left."""
        if not self.is_over and not self._is_closing:
            self._send(None)
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self.lose, None)

    def abort(self) -> None:
        """Close at once; the other end sees a reset."""
        if self.is_over:
            return
        if not self._is_dead and not self.is_dark:
            self.peer.arrive_later(self.peer.reset)
        self._is_closing = True
        asyncio.get_running_loop().call_soon(self.lose, None)

    def is_closing(self) -> bool:
        """Whether this end is closing or closed."""
        return self._is_closing or self.is_over

    def pause_reading(self) -> None:
        """Hold back what arrives."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Give what was held back."""
        self._is_paused = False
        self._give()

    def is_reading(self) -> bool:
        """Whether what arrives is handed on."""
        return not self._is_paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered on the near side."""

    def get_write_buffer_size(self) -> int:
        """Nothing is buffered on the near side."""
        return 0

    def get_protocol(self) -> Any:
        """The protocol of this end."""
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        """Change the protocol of this end."""
        self.protocol = protocol

    # --- the way --------------------------------------------------------------------------------------------------------

    def _send(self, data: bytes | None) -> None:
        if not self.is_dark:
            self.peer.arrive_later(partial(self.peer.arrive, data))

    def arrive_later(self, what: Callable[[], None]) -> None:
        """Do `what` at this end after the latency of a piece, behind what is under way already."""
        loop = asyncio.get_running_loop()
        self._last_s = max(self._last_s, loop.time() + self._network.delay_s())
        # Timers of one moment run in no order: each takes what is first, and not what it was set for.
        self._under_way.append(what)
        loop.call_at(self._last_s, self._arrive_next)

    def _arrive_next(self) -> None:
        self._under_way.popleft()()

    def arrive(self, data: bytes | None) -> None:
        """A piece, or the end, has arrived here."""
        if self.is_over or self._is_dead or self.is_dark:
            return
        self._waiting.append(data)
        self._give()

    def _give(self) -> None:
        while self._waiting and not self._is_paused and not self.is_over:
            data = self._waiting.popleft()
            if data is not None:
                self.protocol.data_received(data)
            elif not self.protocol.eof_received():
                self.lose(None)

    def reset(self) -> None:
        """The other end was aborted."""
        if not self.is_dark:
            self.lose(ConnectionResetError(104, "Connection reset by peer"))

    def lose(self, problem: Exception | None) -> None:
        """This end is over: its protocol is told, once."""
        if self.is_over:
            return
        self.is_over = True
        self._waiting.clear()
        self.protocol.connection_lost(problem)

    def die(self) -> None:
        """The process of this end dies: the other end reads what was written, then the end of it."""
        if not self.is_over and not self._is_dead:
            self._send(None)
            self._is_dead = True


class Listening:
    """What `create_server` returns, as far as websockets uses it."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        self._network, self._address = network, (host, port)
        self.sockets = (_Socket(host, port),)

    def close(self) -> None:
        """Refuse new connections."""
        self._network.stop_serving(self._address[1])

    async def wait_closed(self) -> None:
        """It is closed at once."""

    def is_serving(self) -> bool:
        """Whether new connections are taken."""
        return True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it belongs to."""
        return asyncio.get_running_loop()


class _Socket:
    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.family = 2

    def getsockname(self) -> tuple[str, int]:
        return self._address
