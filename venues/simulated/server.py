"""The socket shell of the simulated venue: a WebSocket server around the pure gateway, and the clock that drives it.

Paths of one server: `/v2` takes everything, `/public/v2` market data, `/private/v2` account and trading, as Kraken's two
hosts do. By plain HTTP: Kraken's REST questions (`rest`), a token for people (GET, no key is asked for) and `/books`, the
venue's own books. Listens on loopback unless told otherwise; there is nothing to protect but a game.

Each connection has a writer of its own behind a bounded queue. A client that does not read is cut off when its queue is
full; the venue never waits for it.
"""

import asyncio
import contextlib
import http
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from events.errors import BadInput, VenueProblem

from ..alarm import Alarm
from ..clock import Clock
from .channels import Endpoint
from .delivery import Close, Effect, Send
from .exchange import Exchange
from .faults import Faults
from .gateway import Gateway, owner_order
from .playback import MarketFeed, Playback
from .requests import Refused
from .rest import MAX_BODY, TOKEN_PATH, Reply, RestDesk
from .settings import System, VenueSettings
from .wire import encode_with_texts

BOOKS_PATH = "/books"
ENDPOINTS: dict[str, Endpoint] = {"/v2": "both", "/public/v2": "public", "/private/v2": "private"}
OUT_QUEUE = 8_192
# Ticks handled before the loop is given back, so that a fast market cannot starve the sockets.
BATCH = 64
SECOND_NS = 1_000_000_000


class SimulatedVenue:
    """A venue in this process. `start` listens and returns the address of the path that takes everything.

    Args:
        feeds: the markets.
        clock: market time, shared with whoever trades here.
        settings: see `VenueSettings`.
        seed: of everything the venue draws: ids, depth, faults, the walk after a recording's end.
        faults: texts as `Faults.switch_on` reads them; more can be armed at any time through `faults`.
        host, port: where to listen; port 0 takes a free one.
        goes_on: whether a market walks on after its feed's end. Without, prices stand still.
        keys: API secrets (base64) by API key, whose signatures are checked; without any, every key is taken.

    Attributes:
        faults: switched on and off while it runs; `faults.counts` says how often each has struck.
        market_ended: set when every feed has given its last tick.
        market_broke: set when a feed could not be read any further; `stop` raises what was wrong with it.
        symbols: the pairs listed.
        dropped_slow: connections cut because their client did not read.
    """

    def __init__(
        self,
        feeds: Iterable[MarketFeed],
        *,
        clock: Clock | None = None,
        settings: VenueSettings | None = None,
        seed: int = 0,
        faults: Iterable[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        goes_on: bool = True,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.settings = settings or VenueSettings()
        self.faults = Faults(seed)
        self.faults.switch_on(faults)
        self.market_ended = asyncio.Event()
        self.market_broke = asyncio.Event()
        self.dropped_slow = 0
        self._feeds, self._seed, self._goes_on = list(feeds), seed, goes_on
        self._host, self._port = host, port
        pairs = [feed.pair for feed in self._feeds]
        self.symbols = [pair.symbol for pair in pairs]
        if not pairs:
            raise BadInput("simulated venue", "no market is given", "give at least one pair with its ticks")
        self._gateway = Gateway(pairs, self.settings, seed, self.faults, round(self.clock.speed * SECOND_NS))
        self._rest = RestDesk(self._gateway.exchange, self.settings, self.faults, lambda _: self.issue_token(), keys or {})
        self._links: dict[int, _Link] = {}
        self._wake = Alarm()
        self._last_ns = 0
        self._server: Server | None = None
        self._playback: Playback | None = None
        self._task: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Give every market its first price, listen, and return the address of `/v2`.

        Raises:
            VenueProblem: the port is taken or may not be used.
            BadInput: a feed without a tick, or a file that cannot be read.
        """
        playback = Playback(self._feeds, self._now_ns(), seed=self._seed, goes_on=self._goes_on)
        for due in playback.first:
            self._tick(due.symbol, due.tick.px, due.tick.qty, due.tick.taker_side == "buy", due.due_ns)
        try:
            self._server = await serve(
                self._handler,
                self._host,
                self._port,
                process_request=self._http,
                create_connection=_Connection,
                compression=None,
                close_timeout=1,
                max_size=1 << 20,
                server_header=None,
            )
        except OSError as problem:
            why = f"port {self._port} on {self._host} cannot be used ({os.strerror(problem.errno) if problem.errno else problem})"
            raise VenueProblem("simulated venue", why, "give another port, or 0 for a free one") from None
        self._port = self._server.sockets[0].getsockname()[1]
        self._playback = playback
        self._task = asyncio.create_task(self._run(playback))
        self._task.add_done_callback(self._broke)
        return self.url

    async def stop(self) -> None:
        """Stop the market and close every connection. Raises what stopped the market before, if anything did."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def url(self) -> str:
        """Address of the path that takes everything; replace `/v2` by `/public/v2` or `/private/v2` for one half."""
        return f"ws://{self._host}:{self._port}/v2"

    @property
    def http_url(self) -> str:
        """Address in front of the HTTP paths."""
        return f"http://{self._host}:{self._port}"

    # --- the account's owner ------------------------------------------------------------------------------------------

    def issue_token(self) -> str:
        """Return a new token of the account."""
        token = secrets.token_urlsafe(32)
        self._gateway.issue_token(token, self._now_ns())
        return token

    def books(self) -> dict[str, Any]:
        """Return what the venue has booked: balances, holds, positions, fills, open orders, and how often each fault struck."""
        exchange = self._gateway.exchange
        orders = [
            {
                "order_id": order.order_id,
                "cl_ord_id": order.cl_ord_id,
                "symbol": order.pair.symbol,
                "side": order.side,
                "order_type": order.order_type,
                "order_qty": order.pair.instrument.qty(order.lots),
                "cum_qty": order.pair.instrument.qty(order.cum_lots),
                "status": order.order_status,
                "stop": order.pair.instrument.price(order.trigger.level_ticks) if order.trigger else None,
            }
            for order in exchange.open_orders()
        ]
        return {**exchange.account.books(), "open_orders": orders, "faults": dict(sorted(self.faults.counts.items()))}

    def cancel_by_hand(self, order_id: str) -> None:
        """Cancel an order as the account's owner. Raises BadInput where it is not open."""
        self._by_hand(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))

    def expire(self, order_id: str) -> None:
        """Let an order expire, unless it has ended by now."""

        def act(exchange: Exchange, now_ns: int) -> None:
            order = exchange.find(order_id)
            if order is not None:
                exchange.expire(order, now_ns)

        self._by_hand(act)

    def fill(self, order_id: str, tenths: int = 10) -> None:
        """Let an order execute so many tenths of what is left of it, unless it has ended by now: see `Exchange.execute`."""

        def act(exchange: Exchange, now_ns: int) -> None:
            order = exchange.find(order_id)
            if order is not None:
                exchange.execute(order, order.pair.instrument.qty(order.leaves_lots * tenths // 10), now_ns)

        self._by_hand(act)

    def print_trade(self, symbol: str, away_bps: int, qty: Decimal) -> None:
        """Let somebody trade `away_bps` from the last price: it moves the book, fills what rests and fires triggers."""
        market = self._gateway.exchange.markets[symbol]
        last_px = market.pair.instrument.price(market.tape.last_ticks)
        self._tick(symbol, last_px * (10_000 + away_bps) / 10_000, qty, away_bps > 0, self._now_ns())
        self._wake.ring()

    def trade_by_hand(self, symbol: str, side: str, qty: Decimal, *, margin: bool = False) -> str:
        """Trade at market as the account's owner; returns the order's id. Raises BadInput where the venue refuses it."""
        params = {"symbol": symbol, "side": side, "order_type": "market", "order_qty": qty, "margin": margin}
        placed: list[str] = []
        self._by_hand(lambda exchange, now_ns: placed.append(owner_order(exchange, params, now_ns)))
        return placed[0]

    def change_balance(self, asset: str, amount: Decimal) -> None:
        """Deposit, or withdraw what is free. Raises BadInput where more is asked for."""
        self._by_hand(lambda exchange, now_ns: exchange.change_balance(asset, amount, now_ns))

    def change_system(self, system: System) -> None:
        """Set the market's mode: online, cancel_only, post_only, limit_only or maintenance."""
        self._carry_out(self._gateway.change_system(system, self._now_ns()))

    def _by_hand(self, action: Callable[[Exchange, int], object]) -> None:
        try:
            self._carry_out(self._gateway.act(action, self._now_ns()))
        except Refused as error:
            raise BadInput("action by hand", str(error), "look at the account's books first") from None
        self._wake.ring()

    @property
    def exchange(self) -> Exchange:
        """The exchange behind the streams, for who compares books."""
        return self._gateway.exchange

    def answer_rest(self, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """Answer one request of the REST interface as of now; None if there is nothing at `path`."""
        now_ns = self._now_ns()
        self._carry_out(self._gateway.advance(now_ns))
        return self._rest.answer(path, query, headers, body, now_ns)

    # --- the market's loop --------------------------------------------------------------------------------------------

    def _now_ns(self) -> int:
        """Market time, never before what has been done already."""
        self._last_ns = max(self._last_ns, self.clock.now_ns())
        return self._last_ns

    def _tick(self, symbol: str, px: Decimal, qty: Decimal, taker_buys: bool, due_ns: int) -> None:
        self._last_ns = max(self._last_ns, due_ns)
        self._carry_out(self._gateway.tick(symbol, px, qty, taker_buys, self._last_ns))

    async def _run(self, playback: Playback) -> None:
        while True:
            self._wake.clear()
            now_ns = self.clock.now_ns()
            done = 0
            while done < BATCH and playback.next_due_ns is not None and playback.next_due_ns <= now_ns:
                due = playback.step()
                assert due is not None
                self._tick(due.symbol, due.tick.px, due.tick.qty, due.tick.taker_side == "buy", due.due_ns)
                done += 1
            if done < BATCH:
                self._carry_out(self._gateway.advance(self._now_ns()))
            if playback.ended and playback.next_due_ns is None:
                self.market_ended.set()
            dues = [due_ns for due_ns in (playback.next_due_ns, self._gateway.next_due_ns()) if due_ns is not None]
            wait_s = self.clock.real_seconds((min(dues) - self.clock.now_ns()) / SECOND_NS) if dues else None
            if wait_s is not None and wait_s <= 0:
                await asyncio.sleep(0)
                continue
            await self._wake.wait(wait_s)

    def _broke(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.market_broke.set()
            self.market_ended.set()

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            link = self._links.get(effect.connection)
            if link is None:
                continue
            if isinstance(effect, Send):
                if not link.put(effect.text):
                    self.dropped_slow += 1
                    self._gateway.disconnect(effect.connection)
            else:
                link.end(effect)

    # --- connections --------------------------------------------------------------------------------------------------

    async def _handler(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        endpoint = ENDPOINTS[socket.request.path.partition("?")[0]]
        link = _Link(socket)
        number, effects = self._gateway.connect(endpoint, self._now_ns())
        self._links[number] = link
        writer = asyncio.create_task(link.write())
        self._carry_out(effects)
        self._wake.ring()
        try:
            async for text in socket:
                self._carry_out(self._gateway.receive(number, text, self._now_ns()))
                self._wake.ring()
        except ConnectionClosed:
            pass
        finally:
            self._gateway.disconnect(number)
            del self._links[number]
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    def _http(self, socket: ServerConnection, request: Request) -> Response | None:
        path, _, query = request.path.partition("?")
        assert isinstance(socket, _Connection)
        if path == TOKEN_PATH and not socket.is_post:
            return _json(socket, {"error": [], "result": {"token": self.issue_token(), "expires": self.settings.token_ttl_real_s}})
        if path == BOOKS_PATH:
            return _json(socket, self.books())
        reply = self.answer_rest(path, query, request.headers, socket.body)
        if reply is not None:
            return _respond(socket, reply.status, reply.text)
        if path not in ENDPOINTS:
            return socket.respond(http.HTTPStatus.NOT_FOUND, f"There is nothing at {path[:80]}; connect to {', '.join(ENDPOINTS)}\n")
        if self.faults.take("handshake_429", "connect"):
            return socket.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "Too many connection attempts\n")
        return None


class _Link:
    """One socket and the frames that wait for it."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self._queue: asyncio.Queue[str | Close] = asyncio.Queue(OUT_QUEUE)

    def put(self, text: str) -> bool:
        """Queue a frame; cut the connection and return False where the client has not read enough."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._socket.transport.abort()
            return False
        return True

    def end(self, close: Close) -> None:
        """End the connection after the frames before it."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(close)
            return
        self._socket.transport.abort()

    async def write(self) -> None:
        """Send what is queued until the connection ends."""
        try:
            while True:
                item = await self._queue.get()
                if isinstance(item, Close):
                    if item.cut:
                        self._socket.transport.abort()
                    else:
                        await self._socket.close(item.code, item.reason)
                    return
                await self._socket.send(item)
        except ConnectionClosed:
            pass


class _Connection(ServerConnection):
    """Lets a POST with a body pass the HTTP parser, which only takes requests without one, and keeps the body."""

    body = b""
    is_post = False
    _received = b""

    def data_received(self, data: bytes) -> None:
        if self.protocol.state is not State.CONNECTING or self.is_post:
            super().data_received(data)
            return
        self._received += data
        if not b"POST ".startswith(self._received[:5]) and not self._received.startswith(b"POST "):
            data, self._received = self._received, b""
            super().data_received(data)
            return
        head, end, body = self._received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        length = _length_in(lines)
        if not 0 <= length <= MAX_BODY or len(self._received) > 2 * MAX_BODY:
            self.transport.abort()
        elif end and len(body) >= length:
            self.is_post, self.body, self._received = True, body[:length], b""
            super().data_received(b"\r\n".join(line for line in lines if not line.lower().startswith(b"content-length:")) + end)


def _length_in(lines: list[bytes]) -> int:
    """Return the length of the body that a request announces, -1 for one that is no number."""
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value) if value.strip().isdigit() and len(value) < 10 else -1
    return 0


def _json(socket: ServerConnection, value: Any) -> Response:
    return _respond(socket, http.HTTPStatus.OK, encode_with_texts(value))


def _respond(socket: ServerConnection, status: http.HTTPStatus, text: str) -> Response:
    response = socket.respond(status, text)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response
