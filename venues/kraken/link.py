"""One WebSocket: connect at a decent pace, read, notice a dead peer, say so, begin again.

The reader receives, stamps and hands on, and does nothing else; whoever takes the frames must not block. A peer is dead
when nothing came for `silence_s` although it was pinged (at the protocol's level by the library, and by a request of
Kraken's own, whose reply is also what keeps the venue from closing an idle socket), when a ping had no answer for
`ping_timeout_s` whatever else comes (it sends and does not hear), or when the venue's heartbeats, once they have begun, stop
for `heartbeat_silence_s`. Wall time throughout: a dead peer is dead at any market speed.

Ends of one try: message, timeout and closed channel are told apart (A15). HTTP 400, 401, 403, 404 and close code 1008 do
not get better by trying and end `run` with a sentence; 429, 503 and everything else are tried again (`pacing`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.protocol import State

from events.errors import BadInput, HoldfastError, VenueProblem

from ..messages import Channel, LinkState
from .codec import MAX_FRAME_CHARS
from .pacing import HEALTHY_S, AttemptBudget, Pacer

_FINAL_HTTP = frozenset((400, 401, 403, 404))
_FINAL_CLOSE_CODE = 1008
_NEVER_OPENED = 0
_ABNORMAL = 1006

_logger = logging.getLogger(__name__)


def now_s() -> float:
    """Return the seconds of the running loop: wall time of its own beginning, or what a simulation takes for it."""
    return asyncio.get_running_loop().time()


class NanoClock(Protocol):
    """A source of market time (`venues.clock.Clock`)."""

    def now_ns(self) -> int: ...


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits of a link, in seconds of wall time. A half-open socket is noticed within `silence_s`.

    So is a peer that sends and does not hear: its pong is missed `ping_interval_s + ping_timeout_s` after the last one at the
    latest, and the socket given up at the next look.
    """

    ping_interval_s: float = 2.0
    ping_timeout_s: float = 1.7
    silence_s: float = 4.0
    heartbeat_silence_s: float = 10.0
    snapshot_timeout_s: float = 5.0
    refresh_interval_s: float = 0.1
    open_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    healthy_s: float = HEALTHY_S
    max_queue: int = 1024

    @property
    def look_interval_s(self) -> float:
        """How often a link looks whether its peer is still there."""
        return self.silence_s / 16


class Link:
    """One socket of a session, kept open.

    Args:
        prepare: awaited before each attempt (fetches the token of the private socket).
        greet: awaited when the socket is open (subscribes).
        on_frame: called with (text, ts_recv_ns) for each frame, in order; must not block. Returns True for a heartbeat,
            False for other data of a channel, None for replies.
        on_state: called with (state, close code, reason) when the socket's life changes, in order with the frames.
        ping_text: returns the text of the next ping request.
    """

    def __init__(
        self,
        channel: Channel,
        url: str,
        *,
        clock: NanoClock,
        settings: LinkSettings,
        budget: AttemptBudget,
        prepare: Callable[[], Awaitable[None]],
        greet: Callable[[], Awaitable[None]],
        on_frame: Callable[[str, int], bool | None],
        on_state: Callable[[LinkState, int, str], None],
        ping_text: Callable[[], str],
    ) -> None:
        self._channel, self._url, self._clock, self._settings = channel, url, clock, settings
        self._prepare, self._greet, self._on_frame, self._on_state, self._ping_text = prepare, greet, on_frame, on_state, ping_text
        self._pacer = Pacer(budget, settings.healthy_s)
        self._ws: ClientConnection | None = None
        self._stopping = asyncio.Event()
        self._heard_s = self._streamed_s = 0.0
        self._has_heartbeat = False
        self.is_patient = False
        self.connect_count = 0

    @property
    def is_open(self) -> bool:
        """True while frames can be sent and received."""
        return self._ws is not None and self._ws.state is State.OPEN

    @property
    def is_clear(self) -> bool:
        """True while a frame would go to the kernel at once: the socket is open, and nothing waits to be written."""
        ws = self._ws
        return ws is not None and ws.state is State.OPEN and not ws.transport.get_write_buffer_size()

    async def run(self) -> None:
        """Keep the socket open until `stop`.

        Raises:
            BadInput, VenueProblem: the venue will not have us, or the address is none; trying again does not help.
        """
        while not await self._is_stopped_within(self._pacer.delay_s(now_s(), self.is_patient)):
            self._pacer.attempt(now_s())
            self.connect_count += 1
            self._on_state("connecting", 0, "")
            ws = await self._connected()
            life_s = 0.0 if ws is None else await self._live(ws)
            self._pacer.ended(life_s)

    async def _is_stopped_within(self, delay_s: float) -> bool:
        try:
            async with asyncio.timeout(delay_s):
                return await self._stopping.wait()
        except TimeoutError:
            return self._stopping.is_set()

    async def stop(self) -> None:
        """Close the socket and end `run`."""
        self._stopping.set()
        ws = self._ws
        if ws is not None:
            await ws.close()

    async def send(self, text: str) -> bool:
        """Send a frame. False: the channel was closed before, so the venue never saw it (positive evidence).

        True means no more than that the frame was handed to the socket.
        """
        ws = self._ws
        if ws is None or ws.state is not State.OPEN:
            return False
        try:
            # Between the check above and the write nothing is awaited, so a failure from here on proves nothing.
            await ws.send(text)
        except (ConnectionClosed, OSError) as problem:
            _logger.info("kraken %s: the channel closed while a frame was sent: %s", self._channel, problem)
        return True

    def fail(self, reason: str) -> None:
        """Give the socket up at once, without the closing handshake that a dead peer would not answer."""
        ws = self._ws
        if ws is not None:
            self._leave(_ABNORMAL, reason)
            ws.transport.abort()

    def _refused(self, reason: str, what: str) -> VenueProblem:
        return VenueProblem("kraken", f"the {self._channel} socket was refused: {reason}", f"check {what}, it is not tried again")

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _connected(self) -> ClientConnection | None:
        settings = self._settings
        reason = ""
        try:
            async with asyncio.timeout(2 * settings.open_timeout_s):
                await self._prepare()
            return await connect(
                self._url,
                open_timeout=settings.open_timeout_s,
                ping_interval=settings.ping_interval_s,
                ping_timeout=settings.ping_timeout_s,
                close_timeout=settings.close_timeout_s,
                max_queue=settings.max_queue,
                max_size=4 * MAX_FRAME_CHARS,
                # Draining must not hold a command back behind others: a megabyte is some thousand orders.
                write_limit=1_048_576,
                compression=None,
                proxy=None,
            )
        except InvalidURI as problem:
            raise BadInput(f"kraken {self._channel} address", str(problem), "give one like wss://ws.kraken.com/v2") from None
        except InvalidStatus as problem:
            status = problem.response.status_code
            reason = f"HTTP {status} to the upgrade"
            # Too many requests and overload pass; a wait of the length that the docs ask for in maintenance suits both.
            self.is_patient = self.is_patient or status == 429 or status >= 500
            if status in _FINAL_HTTP:
                self._on_state("closed", _NEVER_OPENED, reason)
                raise self._refused(reason, "address and access") from None
        except VenueProblem as problem:
            reason = problem.problem
        except HoldfastError as problem:
            self._on_state("closed", _NEVER_OPENED, str(problem))
            raise
        except TimeoutError:
            reason = f"no token or no handshake within {settings.open_timeout_s} s"
        except (OSError, InvalidHandshake, WebSocketException, EOFError) as problem:
            reason = f"{type(problem).__name__}: {problem}"[:200]
        self._on_state("closed", _NEVER_OPENED, reason)
        return None

    async def _live(self, ws: ClientConnection) -> float:
        """Read until the socket ends; return how long it lived."""
        opened_s = self._heard_s = self._streamed_s = now_s()
        self._has_heartbeat = False
        self.is_patient = False
        self._ws = ws
        self._on_state("open", 0, "")
        watch = asyncio.create_task(self._watch())
        try:
            await self._greet()
            await self._read(ws)
        except ConnectionClosed as problem:
            close = problem.rcvd or problem.sent
            code, reason = (close.code, close.reason) if close is not None else (_ABNORMAL, "no close frame received")
            is_told = self._leave(code, reason)
            if is_told and problem.rcvd is not None and code == _FINAL_CLOSE_CODE:
                raise self._refused(f"closed for policy ({reason})", "key and permissions") from None
        finally:
            self._leave(_ABNORMAL, "left")
            watch.cancel()
            ws.transport.abort()
        return now_s() - opened_s

    async def _read(self, ws: ClientConnection) -> None:
        while True:
            data = await ws.recv(decode=False)
            ts_recv_ns = self._clock.now_ns()
            if self._ws is not ws:
                return
            self._heard_s = now_s()
            is_heartbeat = self._on_frame(data.decode("utf-8", "backslashreplace"), ts_recv_ns)
            if is_heartbeat is not None:
                self._streamed_s = self._heard_s
                self._has_heartbeat = self._has_heartbeat or is_heartbeat

    async def _watch(self) -> None:
        settings = self._settings
        interval_s = settings.look_interval_s
        pinged_s = 0.0
        while True:
            slept_s = now_s()
            await asyncio.sleep(interval_s)
            looked_s = now_s()
            if looked_s - slept_s > 3 * interval_s:
                # It was us who stood still: what came meanwhile waits in the socket and is heard first.
                continue
            given_up = self._given_up()
            if given_up:
                self.fail(f"given up: {given_up}")
                continue
            silence_s = looked_s - self._heard_s
            # The limit would pass before the next look.
            if silence_s + interval_s >= settings.silence_s:
                self.fail(f"nothing came for {settings.silence_s} s")
            elif self._has_heartbeat and looked_s - self._streamed_s >= settings.heartbeat_silence_s:
                self.fail(f"no heartbeat for {settings.heartbeat_silence_s} s")
            elif silence_s >= settings.silence_s / 2 and pinged_s < self._heard_s:
                pinged_s = looked_s
                await self.send(self._ping_text())

    def _given_up(self) -> str:
        """Return why the library is closing the socket of its own accord; empty while it is not.

        A pong is missing, or a frame was too large. It says its own close and waits for the peer's, up to `close_timeout_s` and
        more where the peer does not hear, and throws away what comes meanwhile: with heartbeats coming nothing else would show it.
        """
        ws = self._ws
        if ws is None or self._stopping.is_set() or ws.state is not State.CLOSING or ws.protocol.close_rcvd is not None:
            return ""
        sent = ws.protocol.close_sent
        return "" if sent is None else sent.reason or f"closed with {sent.code}"

    def _leave(self, code: int, reason: str) -> bool:
        """Tell the end of the socket, once."""
        if self._ws is None:
            return False
        self._ws = None
        self._on_state("closed", code, reason)
        return True
