"""Clients that nobody here wrote, at the simulated venue, with nothing but their addresses changed.

They are the dependency group `peers` (`pip install --group peers`); without them these tests are skipped, and say so. Their own
warnings are theirs.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.tick_formats import Tick

pytestmark = pytest.mark.filterwarnings("ignore")
KEY, SECRET = "a-key-of-a-peer", base64.b64encode(b"a secret of a peer that is long enough").decode()


@asynccontextmanager
async def venue() -> AsyncIterator[SimulatedVenue]:
    ticks = (Tick(n * 100_000_000, Decimal(60_000), Decimal("0.5"), "buy") for n in range(1_000_000))
    settings = VenueSettings(balances={"USD": Decimal(1_000_000), "BTC": Decimal(5)}, tier="pro")
    running = SimulatedVenue([MarketFeed(pair_of("BTC/USD"), ticks)], clock=Clock(), settings=settings, keys={KEY: SECRET})
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def until(found: Callable[[], Any], *, seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while not (value := found()):  # noqa: ASYNC110  what is waited for is on the other side of a socket
            await asyncio.sleep(0.02)
    return value


async def test_python_kraken_sdk_subscribes_places_amends_cancels_and_reads_executions() -> None:
    kraken = pytest.importorskip("kraken.spot", reason="python-kraken-sdk is not installed")
    heard: list[dict[str, Any]] = []

    async def hear(message: Any) -> None:
        if isinstance(message, dict):
            heard.append(message)

    def entries(kind: str) -> list[dict[str, Any]]:
        told = [m for m in heard if m.get("channel") == "executions"]
        return [entry for message in told for entry in message["data"] if entry["exec_type"] == kind]

    async with venue() as running:
        base = f"ws://{running.http_url.removeprefix('http://')}"
        client = kraken.SpotWSClient(KEY, SECRET, callback=hear, rest_url=running.http_url, ws_url=base, auth_ws_url=base)
        await client.start()
        try:
            await client.subscribe(params={"channel": "ticker", "symbol": ["BTC/USD"]})
            await client.subscribe(params={"channel": "executions", "snap_orders": True})
            await until(lambda: [m for m in heard if m.get("channel") == "ticker"])

            async def send(method: str, **params: Any) -> None:
                await client.send_message(message={"method": method, "params": params})

            await send("add_order", order_type="market", side="buy", order_qty=0.1, symbol="BTC/USD", cl_ord_id="peer-1")
            assert (await until(lambda: entries("trade")))[0]["last_qty"] == 0.1
            await send("add_order", order_type="limit", side="buy", order_qty=0.2, limit_price=50_000, symbol="BTC/USD", cl_ord_id="peer-2")
            order_id = (await until(lambda: [e for e in entries("new") if e.get("cl_ord_id") == "peer-2"]))[0]["order_id"]
            await send("amend_order", order_id=order_id, limit_price=51_000)
            assert (await until(lambda: entries("amended")))[0]["limit_price"] == 51_000
            await send("cancel_order", order_id=[order_id])
            assert (await until(lambda: entries("canceled")))[0]["order_id"] == order_id
        finally:
            await client.close()


async def test_ccxt_reads_markets_places_edits_cancels_and_follows_its_orders() -> None:
    pro = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")
    async with venue() as running:
        client = pro.kraken({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
        client.urls["api"].update(public=running.http_url, private=running.http_url)
        client.urls["api"]["ws"].update(privateV2=running.url, publicV2=running.url, public=running.url, private=running.url)
        try:
            markets = await client.load_markets()
            assert list(markets) == ["BTC/USD"]
            ticker = await asyncio.wait_for(client.watch_ticker("BTC/USD"), 20)
            assert ticker["last"] == 60_000

            async def following(call: Awaitable[Any]) -> Any:
                return await asyncio.wait_for(call, 20)

            placed = await following(client.create_order_ws("BTC/USD", "limit", "buy", 0.2, 50_000))
            orders = await following(client.watch_orders("BTC/USD"))
            assert placed["id"] in {order["id"] for order in orders}
            edited = await following(client.edit_order_ws(placed["id"], "BTC/USD", "limit", "buy", 0.2, 51_000))
            assert edited["id"] == placed["id"]
            opened = await following(client.fetch_open_orders("BTC/USD"))
            assert [(order["id"], order["price"], order["status"]) for order in opened] == [(placed["id"], 51_000, "open")]
            await following(client.cancel_order_ws(placed["id"]))
            watching = asyncio.create_task(following(client.watch_my_trades("BTC/USD")))
            await asyncio.sleep(0.2)
            await following(client.create_order_ws("BTC/USD", "market", "buy", 0.1))
            trades = await watching
            assert trades[0]["amount"] == 0.1
            by_rest = await following(client.fetch_my_trades("BTC/USD"))
            assert [(trade["id"], trade["symbol"]) for trade in by_rest] == [(trades[0]["id"], "BTC/USD")]
        finally:
            await client.close()


async def margin_short(running: SimulatedVenue) -> None:
    """The account's owner is short on margin, by two orders."""
    for qty in ("0.3", "0.2"):
        running.trade_by_hand("BTC/USD", "sell", Decimal(qty), margin=True)
    await asyncio.sleep(0.2)


async def test_ccxt_reads_the_positions_on_margin() -> None:
    pro = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")
    async with venue() as running:
        client = pro.kraken({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
        client.urls["api"].update(public=running.http_url, private=running.http_url)
        try:
            await client.load_markets()
            await margin_short(running)
            (position,) = await client.fetch_positions()
            assert (position["symbol"], position["side"], position["contracts"]) == ("BTC/USD", "short", 0.5)
        finally:
            await client.close()


async def test_python_kraken_sdk_reads_the_positions_on_margin() -> None:
    spot = pytest.importorskip("kraken.spot", reason="python-kraken-sdk is not installed")
    async with venue() as running:
        await margin_short(running)
        async with spot.SpotAsyncClient(KEY, SECRET, url=running.http_url) as client:
            opened = await client.request("POST", "/0/private/OpenPositions")
        rows = list(opened.values())
        assert {(row["pair"], row["type"], row["posstatus"]) for row in rows} == {("XXBTZUSD", "sell", "open")}
        assert sum(Decimal(row["vol"]) for row in rows) == Decimal("0.5")
