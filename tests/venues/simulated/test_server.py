"""The venue over real sockets, with a plain websockets client."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from events.errors import BadInput, VenueProblem
from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.ticks import Tick

D = Decimal
BTC = pair_of("BTC/USD")


def steady(count: int = 1_000_000, every_ms: int = 10) -> list[Tick] | Any:
    """A market at 60000.0 that prints every few milliseconds."""
    return (Tick(index * every_ms * 1_000_000, D("60000.0"), D("0.5"), "buy") for index in range(count))


@asynccontextmanager
async def running(feed: Any = None, **options: Any) -> AsyncIterator[SimulatedVenue]:
    balances = {"USD": D(1_000_000), "BTC": D(5)}
    options.setdefault("settings", VenueSettings(balances=balances, tier="pro"))
    venue = SimulatedVenue([MarketFeed(BTC, feed if feed is not None else steady())], **options)
    await venue.start()
    try:
        yield venue
    finally:
        await venue.stop()


class Talk:
    """One client connection."""

    def __init__(self, ws: ClientConnection, token: str) -> None:
        self.ws, self.token = ws, token

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read until a frame is wanted."""
        async with asyncio.timeout(5):
            while True:
                text = await self.ws.recv()
                assert isinstance(text, str)
                frame = json.loads(text, parse_float=Decimal) if text.startswith("{") else {"text": text}
                if wanted(frame):
                    return frame

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        await self.ws.send(json.dumps({"method": method, "params": params, "req_id": 1}))
        return await self.until(lambda frame: frame.get("method") == method)

    async def execution(self, kind: str) -> dict[str, Any]:
        frame = await self.until(lambda frame: frame.get("channel") == "executions" and any(e["exec_type"] == kind for e in frame["data"]))
        entry: dict[str, Any] = next(e for e in frame["data"] if e["exec_type"] == kind)
        return entry


@asynccontextmanager
async def talking(venue: SimulatedVenue, path: str = "/v2") -> AsyncIterator[Talk]:
    async with connect(venue.url.replace("/v2", path), compression=None, proxy=None) as ws:
        yield Talk(ws, venue.issue_token())


def get(url: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5) as response:
        assert response.headers["Content-Type"] == "application/json"
        return json.loads(response.read())


async def test_an_order_lives_from_entry_to_trailing_stop_over_the_wire() -> None:
    ticks = [Tick(0, D("60000.0"), D(1), "buy")]
    ticks += [Tick(1_000_000_000 * (1 + step), D(60_000 + 20 * step), D(1), "buy") for step in range(20)]
    ticks += [Tick(1_000_000_000 * (21 + step), D(60_380 - 20 * step), D(1), "sell") for step in range(40)]
    async with running(ticks, clock=Clock(20)) as venue, talking(venue) as talk:
        assert (await talk.until(lambda frame: True))["channel"] == "status"
        assert (await talk.ask("subscribe", channel="executions", token=talk.token))["success"]
        entry = {"order_type": "market", "side": "buy", "order_qty": 0.1, "symbol": "BTC/USD", "cl_ord_id": "entry-1", "token": talk.token}
        assert (await talk.ask("add_order", **entry))["result"]["cl_ord_id"] == "entry-1"
        await talk.execution("filled")
        trail = {"order_type": "trailing-stop", "side": "sell", "order_qty": 0.1, "triggers": {"price": 0.25, "price_type": "pct"}}
        assert (await talk.ask("add_order", symbol="BTC/USD", token=talk.token, cl_ord_id="stop-1", **trail))["success"]
        moved = await talk.execution("status")
        assert moved["triggers"]["status"] == "untriggered"
        assert "symbol" not in moved
        filled = await talk.execution("filled")
        assert filled["cl_ord_id"] == "stop-1"
        assert filled["cum_qty"] == D("0.1")
        books = venue.books()
        assert books["balances"]["BTC"] == 5
        assert books["open_orders"] == []


async def test_market_data_and_heartbeats_on_the_public_half() -> None:
    async with running(steady(every_ms=5_000), clock=Clock(10)) as venue, talking(venue, "/public/v2") as talk:
        ack = await talk.ask("subscribe", channel="ticker", symbol=["BTC/USD"])
        assert ack["result"]["symbol"] == "BTC/USD"
        assert (await talk.until(lambda frame: frame.get("channel") == "ticker"))["data"][0]["last"] == D("60000.0")
        await talk.until(lambda frame: frame == {"channel": "heartbeat"})
        refused = await talk.ask("subscribe", channel="executions", token=talk.token)
        assert "unavailable" in refused["error"]


async def test_a_token_comes_by_plain_http_for_a_person() -> None:
    async with running() as venue:
        answer = await asyncio.to_thread(get, venue.http_url + "/0/private/GetWebSocketsToken")
        assert (answer["error"], answer["result"]["expires"]) == ([], 900)
        async with talking(venue) as talk:
            assert (await talk.ask("subscribe", channel="balances", token=answer["result"]["token"]))["success"]


async def test_the_books_are_there_by_http_with_numbers_as_text() -> None:
    async with running() as venue, talking(venue) as talk:
        await talk.ask("add_order", order_type="market", side="buy", order_qty=0.1, symbol="BTC/USD", token=talk.token)
        books = await asyncio.to_thread(get, venue.http_url + "/books")
        assert books["balances"]["BTC"] == "5.10000000"
        assert books["fills"][0]["side"] == "buy"


async def test_a_path_that_is_not_there_is_not_found() -> None:
    async with running() as venue:
        with pytest.raises(InvalidStatus) as caught:
            await connect(venue.url.replace("/v2", "/v9"), proxy=None)
        assert caught.value.response.status_code == 404
        assert b"/private/v2" in (caught.value.response.body or b"")


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(VenueProblem, match=f"port {port} on 127.0.0.1 cannot be used.*give another port") as caught:
            async with running(port=port):
                pass
    assert caught.value.exit_code == 5


async def test_market_time_is_on_the_frames() -> None:
    clock = Clock(50, start_ns=1_600_000_000 * 10**9)
    async with running(clock=clock) as venue, talking(venue) as talk:
        pong = await talk.ask("unsubscribe", channel="instrument")
        assert pong["time_in"].startswith("2020-09-13")


async def test_a_market_walks_on_after_its_recording_or_stands_still() -> None:
    ticks = [Tick(0, D("60000.0"), D(1), "buy"), Tick(1_000_000, D("60010.0"), D(1), "buy")]
    async with running(ticks, clock=Clock(100), goes_on=False) as venue:
        async with asyncio.timeout(5):
            await venue.market_ended.wait()
        async with talking(venue) as talk:
            await talk.ask("subscribe", channel="ticker", symbol=["BTC/USD"])
            assert (await talk.until(lambda frame: frame.get("channel") == "ticker"))["data"][0]["trades"] == 2
            await talk.until(lambda frame: frame.get("channel") == "heartbeat")
    async with running(ticks, clock=Clock(100)) as venue, talking(venue) as talk:
        await talk.ask("subscribe", channel="trade", symbol=["BTC/USD"])
        for _ in range(20):
            row = (await talk.until(lambda frame: frame.get("channel") == "trade"))["data"][0]
        assert abs(row["price"] - 60_010) < 600


async def test_a_feed_that_breaks_stops_the_market_and_says_why() -> None:
    def broken() -> Any:
        yield Tick(0, D("60000.0"), D(1), "buy")
        raise BadInput("ticks.csv:2", "the line is broken", "repair it")

    venue = SimulatedVenue([MarketFeed(BTC, broken())], clock=Clock(100))
    with pytest.raises(BadInput, match=r"ticks.csv:2"):
        await venue.start()
    with pytest.raises(BadInput, match="there are none"):
        await SimulatedVenue([MarketFeed(BTC, [])]).start()
    with pytest.raises(BadInput, match="no market"):
        SimulatedVenue([])

    def later() -> Any:
        yield from (Tick(index * 1_000_000_000, D("60000.0"), D(1), "buy") for index in range(3))
        raise BadInput("ticks.csv:4", "the line is broken", "repair it")

    venue = SimulatedVenue([MarketFeed(BTC, later())], clock=Clock(1_000))
    await venue.start()
    async with asyncio.timeout(5):
        await venue.market_broke.wait()
    with pytest.raises(BadInput, match=r"ticks.csv:4"):
        await venue.stop()


async def test_a_client_that_does_not_read_is_cut_off_and_holds_nobody_up() -> None:
    market = steady(every_ms=1)
    async with running(market, clock=Clock(60)) as venue, talking(venue) as good:
        async with connect(venue.url, compression=None, proxy=None, max_queue=1, close_timeout=0.1) as lazy:
            for channel in ("ticker", "trade"):
                await lazy.send(json.dumps({"method": "subscribe", "params": {"channel": channel, "symbol": ["BTC/USD"]}}))
            await good.ask("subscribe", channel="trade", symbol=["BTC/USD"])
            async with asyncio.timeout(20):
                while not venue.dropped_slow:
                    await good.until(lambda frame: frame.get("channel") == "trade")
            with suppress(ConnectionClosed):
                async with asyncio.timeout(5):
                    while True:
                        await lazy.recv()
            assert lazy.close_code == 1006
        assert (await good.ask("unsubscribe", channel="trade", symbol=["BTC/USD"]))["success"]


async def test_faults_of_the_handshake() -> None:
    async with running(faults=["handshake_429/p=1/count=2"]) as venue:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                await connect(venue.url, proxy=None)
            assert caught.value.response.status_code == 429
        async with talking(venue) as talk:
            assert (await talk.until(lambda frame: True))["channel"] == "status"
        venue.faults.arm("accept_and_drop")
        async with talking(venue) as talk:
            with pytest.raises(ConnectionClosedError):
                await talk.ws.recv()
        assert venue.faults.counts == {"handshake_429": 2, "accept_and_drop": 1}


async def test_a_cut_connection_is_cut_and_the_next_one_has_the_whole_truth() -> None:
    async with running() as venue:
        async with talking(venue) as talk:
            await talk.ask("subscribe", channel="executions", token=talk.token)
            venue.faults.arm("close_before_reply", on="add_order")
            order = {"order_type": "stop-loss", "side": "sell", "order_qty": 1, "symbol": "BTC/USD", "triggers": {"price": 50000}}
            with pytest.raises(ConnectionClosedError):
                await talk.ask("add_order", token=talk.token, cl_ord_id="s-1", **order)
        async with talking(venue) as talk:
            await talk.ask("subscribe", channel="executions", token=talk.token)
            assert (await talk.execution("new"))["cl_ord_id"] == "s-1"


async def test_the_owner_acts_by_hand() -> None:
    async with running() as venue, talking(venue) as talk:
        await talk.ask("subscribe", channel="executions", token=talk.token)
        stop = {"order_type": "stop-loss", "side": "sell", "order_qty": 5, "symbol": "BTC/USD", "triggers": {"price": 50000}}
        order_id = (await talk.ask("add_order", token=talk.token, **stop))["result"]["order_id"]
        with pytest.raises(BadInput, match="Insufficient funds"):
            venue.trade_by_hand("BTC/USD", "sell", D(5))
        venue.cancel_by_hand(order_id)
        assert (await talk.execution("canceled"))["order_id"] == order_id
        by_hand = venue.trade_by_hand("BTC/USD", "sell", D("0.4"))
        assert (await talk.execution("filled"))["order_id"] == by_hand
        venue.change_balance("BTC", D(-4))
        assert venue.books()["balances"]["BTC"] == D("0.6")
        venue.change_system("cancel_only")
        answer = await talk.ask("add_order", token=talk.token, **stop)
        assert answer["error"] == "EService:Market in cancel_only mode"
