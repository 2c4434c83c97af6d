"""Session and translator against the simulated venue, over real sockets: they share nothing but the wire."""

import asyncio
import contextlib
from decimal import Decimal

import pytest

from events import facts as f
from events.commands import AmendOrder, AttachedStop, CancelOrder, SubmitOrder
from events.values import Side
from venues import messages as m
from venues.clock import Clock
from venues.kraken.auth import TokenFetcher
from venues.kraken.link import LinkSettings
from venues.kraken.rest import RestClient
from venues.kraken.session import KrakenSession
from venues.kraken.translate import KrakenTranslator
from venues.simulated.pairs import pair_of
from venues.simulated.playback import MarketFeed
from venues.simulated.server import SimulatedVenue
from venues.simulated.tick_formats import Tick

SYMBOL = "BTC/USD"
SECRET = "c2VjcmV0"
SETTINGS = LinkSettings(snapshot_timeout_s=2.0, healthy_s=0.2)


def feed(*prices):
    ticks = [Tick(i * 20_000_000, Decimal(px), Decimal("0.5"), "buy") for i, px in enumerate(prices)]
    return MarketFeed(pair_of(SYMBOL), ticks)


class Trader:
    """Runs a session, translates what comes, and keeps it all."""

    def __init__(self, venue, clock):
        self.venue, self.clock = venue, clock
        self.translator = KrakenTranslator("hf")
        self.session = KrakenSession(
            public_url=venue.url.replace("/v2", "/public/v2"),
            private_url=venue.url.replace("/v2", "/private/v2"),
            symbols=[SYMBOL],
            token_source=TokenFetcher(RestClient("key", SECRET, venue.http_url)),
            clock=clock,
            settings=SETTINGS,
        )
        self.heard = []
        self.texts = []
        self._number = 0

    async def listen(self):
        async for item in self.session.inputs():
            if isinstance(item, m.FrameReceived):
                self.texts.append(item.text)
                self.heard += self.translator.decode(item.text, item.ts_recv_ns)
            elif item.state == "closed":
                self.translator.reset_link(item.channel)
                self.heard.append(item)

    def all(self, kind, **fields):
        return [each for each in self.heard if isinstance(each, kind) and all(getattr(each, key) == value for key, value in fields.items())]

    async def hear(self, kind, count=1, **fields):
        async with asyncio.timeout(10):
            while len(self.all(kind, **fields)) < count:  # noqa: ASYNC110  what is waited for is on the other side of a socket
                await asyncio.sleep(0.005)
        return self.all(kind, **fields)[-1]

    async def order(self, **fields):
        self._number += 1
        given = {"symbol": SYMBOL, "role": "entry", "side": Side.BUY, "order_type": "market", "qty": Decimal("0.01")}
        command = SubmitOrder(client_order_id=f"hf00000100{self._number:03}0", **given | fields)
        await self.do(command)
        return command.client_order_id

    async def do(self, command):
        assert await self.session.send(self.translator.encode(command, self.clock.now_ns()).frame_text)


@contextlib.asynccontextmanager
async def trading(*prices, **options):
    clock = Clock()
    venue = SimulatedVenue([feed(*prices)], clock=clock, goes_on=False, **options)
    await venue.start()
    trader = Trader(venue, clock)
    tasks = [asyncio.create_task(trader.session.run()), asyncio.create_task(trader.listen())]
    try:
        await trader.hear(m.SnapshotTaken)
        await trader.hear(m.InstrumentsListed)
        yield trader
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await venue.stop()


async def test_it_comes_up_with_prices_balances_and_a_complete_truth():
    async with trading(60000, 60010, 60020) as trader:
        assert trader.all(m.SnapshotTaken)[0].trades_complete
        (listed,) = trader.all(m.InstrumentsListed)[0].instruments
        assert (listed.symbol, listed.price_increment, listed.size_increment) == (SYMBOL, Decimal("0.1"), Decimal("1e-8"))
        await trader.hear(m.QuoteChanged)
        await trader.hear(m.TradePrinted, px=Decimal(60020))
        await trader.hear(m.BalanceChanged, asset="USD")
        assert {each.channel for each in trader.all(m.SubscriptionAcked)} == {"instrument", "ticker", "trade", "balances", "executions"}
        assert trader.all(m.FrameRefused) == []


async def test_a_whole_life_fill_trail_tighten_cancel_exit():
    async with trading(*[60000] * 3) as trader:
        entry = await trader.order()
        filled = await trader.hear(f.OrderFilled, client_order_id=entry)
        assert (filled.side, filled.last_qty, filled.cum_qty) == (Side.BUY, Decimal("0.01"), Decimal("0.01"))
        assert filled.last_px > 0
        assert filled.fees
        await trader.hear(f.OrderCompleted, client_order_id=entry)

        stop = await trader.order(role="stop", side=Side.SELL, order_type="trailing-stop", trail_offset_bps=300)
        accepted = await trader.hear(f.OrderAccepted, client_order_id=stop)
        assert accepted.effective_stop == Decimal("58200.0")
        assert accepted.leaves_qty == Decimal("0.01")
        await trader.do(AmendOrder(client_order_id=stop, venue_order_id=accepted.venue_order_id, symbol=SYMBOL, trail_offset_bps=125))
        amended = await trader.hear(f.OrderAmended, client_order_id=stop)
        assert (amended.trail_offset_bps, amended.effective_stop, amended.by_venue) == (125, Decimal("59250.0"), False)

        # The stop holds the funds: an exit beside it is refused, and goes after it is cancelled (K3).
        early = await trader.order(role="exit", side=Side.SELL)
        assert (await trader.hear(f.OrderRejected, client_order_id=early)).reject_class == "funds"
        await trader.do(CancelOrder(client_order_id=stop, venue_order_id=accepted.venue_order_id, symbol=SYMBOL))
        assert (await trader.hear(f.OrderCanceled, client_order_id=stop)).cum_qty == 0
        await trader.do(CancelOrder(client_order_id=stop, venue_order_id=accepted.venue_order_id, symbol=SYMBOL))
        assert (await trader.hear(f.CancelRejected, client_order_id=stop)).reject_class == "gone"
        leave = await trader.order(role="exit", side=Side.SELL, deadline_ns=trader.clock.now_ns() + 5_000_000_000)
        await trader.hear(f.OrderCompleted, client_order_id=leave)
        assert trader.all(m.FrameRefused) == []
        assert trader.venue.books()["open_orders"] == []


async def test_an_attached_trailing_stop_is_found_tightened_and_fires():
    async with trading(*[60000] * 3, *[60000 - 10 * i for i in range(100)]) as trader:
        entry = await trader.order(attached=AttachedStop(trail_offset_bps=100))
        child = await trader.hear(f.ChildDiscovered)
        bound = trader.translator.known_venue_id(entry)
        assert (child.parent_venue_order_id, child.qty, child.order_type) == (bound, Decimal("0.01"), "trailing-stop")
        assert child.trail_offset_bps == 100
        await trader.hear(f.OrderAccepted, venue_order_id=child.venue_order_id)
        triggered = await trader.hear(f.OrderTriggered, venue_order_id=child.venue_order_id)
        sold = await trader.hear(f.OrderFilled, venue_order_id=child.venue_order_id)
        assert (triggered.client_order_id, sold.client_order_id, sold.side) == ("", "", Side.SELL)
        await trader.hear(f.OrderCompleted, venue_order_id=child.venue_order_id)
        assert trader.all(m.ForeignOrder) == trader.all(m.ForeignFill) == []


async def test_a_stop_that_follows_the_price_is_reported_as_it_moves():
    async with trading(*[60000] * 3, *[60000 + 20 * i for i in range(80)]) as trader:
        await trader.hear(f.OrderCompleted, client_order_id=await trader.order())
        stop = await trader.order(role="stop", side=Side.SELL, order_type="trailing-stop", trail_offset_bps=100)
        accepted = await trader.hear(f.OrderAccepted, client_order_id=stop)
        reported = await trader.hear(f.StopReported, client_order_id=stop)
        assert reported.effective_stop > accepted.effective_stop
        assert reported.peak is not None


async def test_after_the_link_is_cut_the_truth_comes_back_complete():
    async with trading(*[60000] * 3) as trader:
        entry = await trader.order()
        await trader.hear(f.OrderCompleted, client_order_id=entry)
        stop = await trader.order(role="stop", side=Side.SELL, order_type="stop-loss", trigger_price=Decimal(58000))
        await trader.hear(f.OrderAccepted, client_order_id=stop)
        trader.venue.faults.arm("close_before_reply", on="amend_order")
        await trader.do(AmendOrder(client_order_id=stop, venue_order_id="", symbol=SYMBOL, trigger_price=Decimal(59000)))
        await trader.hear(m.LinkChanged, channel="private", state="closed")
        taken = await trader.hear(m.SnapshotTaken, count=2)
        (order,) = taken.open_orders
        assert (order.client_order_id, order.is_ours, order.effective_stop) == (stop, True, Decimal(59000))
        assert taken.trades_complete
        again = await trader.hear(f.OrderFilled, count=2, client_order_id=entry)
        assert again.trade_id == trader.all(f.OrderFilled)[0].trade_id


async def test_a_lost_fill_is_found_by_the_gap_and_a_fresh_snapshot():
    async with trading(*[60000] * 3) as trader:
        trader.venue.faults.arm("drop_frame", on="executions:trade")
        entry = await trader.order()
        gap = await trader.hear(m.SequenceGap, channel="executions")
        assert gap.got == gap.expected + 1
        assert trader.all(f.OrderFilled) == []
        trader.session.refresh_truth()
        taken = await trader.hear(m.SnapshotTaken, count=2)
        assert trader.all(f.OrderFilled)[0].client_order_id == entry
        assert taken.open_orders == ()
        await trader.order()
        await trader.hear(f.OrderFilled, count=2)
        assert len(trader.all(m.SequenceGap)) == 1


@pytest.mark.parametrize("fault", ["duplicate_frame", "reorder_frames", "non_json", "zero_price", "split_fill", "base_fee", "delay_frame"])
async def test_faults_of_the_stream_lose_no_quantity(fault):
    async with trading(*[60000] * 50) as trader:
        trader.venue.faults.arm(fault, count=3, seconds=0.1)
        for _ in range(3):
            await trader.hear(f.OrderCompleted, client_order_id=await trader.order())
        await asyncio.sleep(0.2)
        fills = {each.trade_id: each for each in trader.all(f.OrderFilled)}
        booked = {fill["exec_id"]: fill for fill in trader.venue.books()["fills"]}
        assert {key: each.last_qty for key, each in fills.items()} == {key: Decimal(fill["qty"]) for key, fill in booked.items()}
        for trade_id, fill in fills.items():
            assert fill.last_px in (None, Decimal(booked[trade_id]["price"]))


async def test_an_order_by_the_owners_hand_is_foreign():
    async with trading(*[60000] * 20) as trader:
        order_id = trader.venue.trade_by_hand(SYMBOL, "buy", Decimal("0.02"))
        fill = await trader.hear(m.ForeignFill)
        assert (fill.venue_order_id, fill.last_qty, fill.side, fill.symbol) == (order_id, Decimal("0.02"), Side.BUY, SYMBOL)


async def test_a_token_that_the_venue_forgot_is_refused_and_replaced():
    async with trading(*[60000] * 20) as trader:
        trader.venue._gateway._tokens.clear()
        entry = await trader.order()
        await trader.hear(m.TokenRefused)
        assert (await trader.hear(f.OrderRejected, client_order_id=entry)).reject_class == "auth"
        trader.session._token_s -= 60
        trader.session.refresh_token()
        await trader.hear(m.SnapshotTaken, count=2)
        await trader.hear(f.OrderCompleted, client_order_id=await trader.order())


async def test_no_token_is_in_anything_that_came_in():
    async with trading(*[60000] * 5) as trader:
        await trader.hear(f.OrderCompleted, client_order_id=await trader.order())
        assert trader.session._token
        assert not any(trader.session._token in text for text in trader.texts)
