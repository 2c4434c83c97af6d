"""A TCP proxy on loopback that stands between an engine and its venue, and breaks what goes through it.

Faults are switched on and off while it runs. What waits in it is bounded by the buffers of its sockets: where it does not pass
data on, it does not read either. What it cannot do is drop single IP packets: a peer that vanished is one that is neither
read nor answered nor closed any more, which is what the two ends see of it.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from typing import Literal

Direction = Literal["up", "down"]
CHUNK = 65_536
# An RST instead of a FIN: pending data is thrown away.
_LINGER = struct.pack("ii", 1, 0)


class Way:
    """One connection through the proxy. `path` is what the client asked for."""

    def __init__(self, path: str, client: asyncio.StreamWriter, venue: asyncio.StreamWriter) -> None:
        self.path, self.client, self.venue = path, client, venue
        self.is_dead = False
        self.is_late = False
        self.cut_within = False
        self.alive = asyncio.Event()
        self.alive.set()

    @property
    def is_socket(self) -> bool:
        """Whether it is a WebSocket, not a single request."""
        return self.path.startswith(("/v2", "/private", "/public"))


class Proxy:
    """Listens on a port of its own and passes everything on to `venue_port`.

    Attributes:
        counts: connections taken, refused, bytes passed.
        status: answers every new request with this HTTP status, 0 passes it on.
        drops_new: new connections are taken and closed at once.
        blackholes: directions in which everything vanishes.
        bytes_per_s: how fast a direction passes data, for those that are slow.
        is_single: everything passes a byte at a time.
    """

    def __init__(self, venue_port: int) -> None:
        self._venue_port = venue_port
        self.port = 0
        self.counts: Counter[str] = Counter()
        self.status = 0
        self.drops_new = False
        self.blackholes: set[Direction] = set()
        self.bytes_per_s: dict[Direction, int] = {}
        self.is_single = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._ways: set[Way] = set()
        self._late: list[tuple[Way, bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """Cut everything."""
        self.refuse()
        for way in list(self._ways):
            way.client.transport.abort()
            way.venue.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- faults -------------------------------------------------------------------------------------------------------

    def stall(self) -> None:
        """Pass nothing on any more, in no direction, for no connection, until `flow`."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on what was held."""
        self._flows.set()

    def vanish(self) -> None:
        """Let the peer of every open connection vanish without a word; new ones pass."""
        for way in self._ways:
            way.is_dead = True
            way.alive.clear()

    def hold_up(self) -> None:
        """Keep what the client sends over the open connections, and tell it nothing; `deliver_late` brings it to the venue."""
        for way in self._ways:
            way.is_late = True

    def deliver_late(self) -> None:
        """Bring to the venue what was kept."""
        for way, data in self._late:
            way.venue.write(data)
        self._late.clear()

    def reset(self) -> None:
        """Reset every open connection, on both sides."""
        for way in list(self._ways):
            for writer in (way.client, way.venue):
                _reset(writer)

    def reset_within(self) -> None:
        """Reset every open connection in the middle of the next frame to the client."""
        for way in self._ways:
            way.cut_within = True

    def garble(self) -> None:
        """Put bytes that are no frame into every open WebSocket, towards the client."""
        for way in self._ways:
            if way.is_socket:
                way.client.write(b"\xff\x7f\x00garbage\x00" * 3)

    def refuse(self) -> None:
        """Listen no more: new connections are refused. `start` listens again, on the same port."""
        if self._server is not None:
            self._server.close()
            self._server = None

    # --- passing on -----------------------------------------------------------------------------------------------------

    async def _taken(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, client)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # A cancelled one as well: nobody waits for this task but the server, which would complain (Python 3.11).
            pass
        finally:
            self._tasks.discard(task)
            client.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.counts["taken"] += 1
        if self.drops_new:
            self.counts["dropped"] += 1
            return
        await self._flows.wait()
        head = await reader.readuntil(b"\r\n\r\n")
        if self.status:
            self.counts["answered"] += 1
            client.write(b"HTTP/1.1 %d no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self.status)
            await client.drain()
            client.close()
            await client.wait_closed()
            return
        from_venue, venue = await asyncio.open_connection("127.0.0.1", self._venue_port)
        way = Way(head.split(b" ", 2)[1].decode("ascii", "replace"), client, venue)
        self._ways.add(way)
        try:
            await self._forward(way, "up", head, venue)
            pumps = [
                asyncio.create_task(self._pump(way, "up", reader, venue)),
                asyncio.create_task(self._pump(way, "down", from_venue, client)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                if way.is_late:
                    # The client gave it up; the network has not.
                    await asyncio.wait(pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._ways.discard(way)
            with contextlib.suppress(OSError):
                venue.close()

    async def _pump(self, way: Way, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._forward(way, direction, data, writer)

    async def _forward(self, way: Way, direction: Direction, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        await way.alive.wait()
        if direction in self.blackholes or (way.is_late and direction == "down"):
            self.counts["lost_bytes"] += len(data)
            return
        if way.is_late:
            self._late.append((way, data))
            return
        if way.cut_within and direction == "down":
            writer.write(data[: len(data) // 2])
            await writer.drain()
            _reset(writer)
            return
        self.counts["passed_bytes"] += len(data)
        rate = self.bytes_per_s.get(direction)
        if rate:
            for start in range(0, len(data), 256):
                writer.write(data[start : start + 256])
                await writer.drain()
                await asyncio.sleep(min(256, len(data) - start) / rate)
        elif self.is_single:
            for index in range(len(data)):
                writer.write(data[index : index + 1])
                await writer.drain()
                await asyncio.sleep(0)
        else:
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    writer.transport.abort()
