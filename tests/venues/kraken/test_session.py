"""The session against real WebSocket servers that behave, misbehave, fall silent and lie."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

import msgspec
import pytest
from websockets.asyncio.server import serve
from websockets.utils import accept_key

from events.errors import BadInput, VenueProblem
from venues.clock import Clock
from venues.kraken.link import LinkSettings
from venues.kraken.session import KrakenSession
from venues.messages import FrameReceived, LinkChanged

SYMBOL = "BTC/USD"
# A fifth of the real limits, so that the tests are quick; one test below uses the real ones.
QUICK = LinkSettings(
    ping_interval_s=0.8, ping_timeout_s=0.8, silence_s=0.8, heartbeat_silence_s=1.0, snapshot_timeout_s=0.8, open_timeout_s=2, healthy_s=0.3
)


def snapshot(sequence=1):
    return json.dumps({"channel": "executions", "type": "snapshot", "data": [], "sequence": sequence})


def trade(price):
    entry = {"symbol": SYMBOL, "side": "buy", "price": price, "qty": 1, "trade_id": price, "timestamp": "2026-01-01T00:00:00Z"}
    return json.dumps({"channel": "trade", "type": "update", "data": [entry]})


async def eventually(condition, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  what is waited for is on the other side of a socket
            await asyncio.sleep(0.005)


class Venue:
    """A server on one port for both sockets: answers as it is told to, and keeps what it was asked."""

    def __init__(self):
        self.asked: list[dict] = []
        self.opened = 0
        self.sockets = []
        self.beats = True
        self.answers_ping = True
        self.sends_snapshot = True
        self.unanswered = ""
        self.status: HTTPStatus | None = None
        self.on_open = None

    async def handle(self, ws):
        self.opened += 1
        self.sockets.append(ws)
        if self.on_open is not None:
            await self.on_open(ws)
        beating = asyncio.create_task(self.beat(ws)) if self.beats else None
        try:
            async for text in ws:
                await self.answer(ws, json.loads(text))
        finally:
            if beating is not None:
                beating.cancel()

    async def beat(self, ws):
        with contextlib.suppress(Exception):
            while self.beats:
                await ws.send('{"channel":"heartbeat"}')
                await asyncio.sleep(0.1)

    async def answer(self, ws, request):
        self.asked.append(request)
        if request["method"] == "ping" and self.answers_ping:
            await ws.send(json.dumps({"method": "pong", "req_id": request["req_id"]}))
        if request["method"] == "subscribe" and request["params"]["channel"] != self.unanswered:
            result = {"channel": request["params"]["channel"]}
            await ws.send(json.dumps({"method": "subscribe", "success": True, "req_id": request["req_id"], "result": result}))
        if request["method"] == "subscribe" and request["params"]["channel"] == "executions" and self.sends_snapshot:
            await ws.send(snapshot())

    def subscribed(self, channel):
        return [each for each in self.asked if each["method"] == "subscribe" and each["params"]["channel"] == channel]

    def refuse(self, connection, request):
        if self.status is not None:
            self.opened += 1
            return connection.respond(self.status, "no\n")
        return None

    @contextlib.asynccontextmanager
    async def serving(self, **options) -> AsyncIterator[str]:
        async with serve(self.handle, "127.0.0.1", 0, process_request=self.refuse, compression=None, **options) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Running:
    """A session that runs, and everything that came out of it."""

    def __init__(self, session):
        self.session = session
        self.inputs = []
        self.tasks = [asyncio.create_task(session.run()), asyncio.create_task(self.collect())]

    async def collect(self):
        async for item in self.session.inputs():
            self.inputs.append(item)

    def states(self, channel="private"):
        return [item.state for item in self.inputs if isinstance(item, LinkChanged) and item.channel == channel]

    def texts(self, channel="private"):
        return [item.text for item in self.inputs if isinstance(item, FrameReceived) and item.channel == channel]

    def ends(self, channel="private"):
        return [item for item in self.inputs if isinstance(item, LinkChanged) and item.channel == channel and item.state == "closed"]

    async def until(self, condition):
        await eventually(condition)

    async def close(self):
        await self.session.close()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 3)


async def give_token():
    return "SECRET+TOKEN/="


def session_for(private, public=None, **options):
    return KrakenSession(
        **{"settings": QUICK, "token_source": give_token, "symbols": [SYMBOL], "clock": Clock()}
        | options
        | {"private_url": private, "public_url": public or private}
    )


@contextlib.asynccontextmanager
async def running(session) -> AsyncIterator[Running]:
    run = Running(session)
    try:
        yield run
    finally:
        for task in run.tasks:
            task.cancel()
        await asyncio.gather(*run.tasks, return_exceptions=True)


@pytest.fixture
def venue():
    return Venue()


# --- the ordinary life ----------------------------------------------------------------------------------------------


async def test_it_subscribes_asks_for_the_truth_and_closes(venue):
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: snapshot() in run.texts())
        await run.until(lambda: len(venue.asked) == 5)
        await run.close()
    assert run.states() == ["connecting", "open", "asked", "closed"]
    assert run.states("public") == ["connecting", "open", "closed"]
    assert run.ends()[0].code == 1000
    (executions,) = venue.subscribed("executions")
    assert executions["params"] == {
        "channel": "executions",
        "snap_orders": True,
        "snap_trades": True,
        "order_status": True,
        "ratecounter": True,
        "token": "SECRET+TOKEN/=",
    }
    assert len(venue.subscribed("balances")) == 1
    assert [each["params"].get("symbol") for each in venue.asked if "token" not in each["params"]] == [None, [SYMBOL], [SYMBOL]]


async def test_the_token_is_put_in_as_a_request_leaves(venue):
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: run.session.is_private_open and bool(run.texts()))
        assert await run.session.send('{"method":"cancel_all","params":{"token":"@token@"},"req_id":1}')
        await run.until(lambda: any(each["method"] == "cancel_all" for each in venue.asked))
    (sent,) = [each for each in venue.asked if each["method"] == "cancel_all"]
    assert sent["params"]["token"] == "SECRET+TOKEN/="
    assert not any("SECRET" in repr(item) for item in run.inputs)


async def test_a_request_for_a_closed_channel_is_known_never_to_have_left(venue):
    session = session_for("ws://127.0.0.1:1")
    assert await session.send("{}") is False
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: bool(run.texts()))
        await run.session.close()
        assert await run.session.send("{}") is False


async def test_frames_that_are_no_json_or_no_text_are_handed_on_and_kill_nothing(venue):
    async def talk_nonsense(ws):
        await ws.send("CloudFlare WebSocket proxy restarting")
        await ws.send(b"\xff\xfe{")
        await ws.send("[" * 5000)
        await ws.send('{"channel":5,"data":"x"}')

    venue.on_open = talk_nonsense
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: snapshot() in run.texts() and len(run.texts("public")) >= 4)
        assert run.texts()[:2] == ["CloudFlare WebSocket proxy restarting", "\\xff\\xfe{"]
        assert run.ends() == []


# --- truth ----------------------------------------------------------------------------------------------------------


async def test_truth_is_asked_for_again_on_the_same_socket(venue):
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: run.texts().count(snapshot()) == 1)
        run.session.refresh_truth()
        await run.until(lambda: run.texts().count(snapshot()) == 2)
    private = [(each["method"], each["params"]["channel"]) for each in venue.asked if "token" in each.get("params", {})]
    asked = [("subscribe", "balances"), ("subscribe", "executions")]
    # One of the two is always there: a private socket without a subscription is closed.
    again = [("unsubscribe", "balances"), ("subscribe", "balances"), ("unsubscribe", "executions"), ("subscribe", "executions")]
    assert private == [*asked, *again]
    assert run.states()[:4] == ["connecting", "open", "asked", "asked"]


async def test_what_is_asked_while_an_answer_is_under_way_is_asked_once_more(venue):
    venue.sends_snapshot = False
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: len(venue.subscribed("executions")) == 1)
        for _ in range(20):
            run.session.refresh_truth()
            await asyncio.sleep(0.002)
        assert len(venue.subscribed("executions")) == 1
        venue.sends_snapshot = True
        await next(ws for ws in venue.sockets if ws.state.name == "OPEN").send(snapshot())
        for ws in venue.sockets:
            with contextlib.suppress(Exception):
                await ws.send(snapshot())
        await run.until(lambda: len(venue.subscribed("executions")) == 2)
        await asyncio.sleep(0.3)
        assert len(venue.subscribed("executions")) == 2


async def test_a_snapshot_that_does_not_come_ends_the_socket(venue):
    venue.sends_snapshot = False
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: bool(run.ends()))
        assert run.ends()[0].reason == "no snapshot within 0.8 s"
        venue.sends_snapshot = True
        await run.until(lambda: snapshot() in run.texts())


@pytest.mark.parametrize("channel", ["instrument", "ticker", "trade"])
async def test_a_public_socket_that_beats_and_does_not_answer_a_subscription_begins_again(venue, channel):
    venue.unanswered = channel
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: bool(run.ends("public")))
        assert run.ends("public")[0].reason == "1 subscriptions were not answered within 0.8 s"
        assert run.ends() == []
        venue.unanswered, reset_s = "", time.monotonic()
        # The next socket may have asked before that.
        await run.until(lambda: len(run.ends("public")) == 2 or time.monotonic() > reset_s + 1.2)
        await run.until(lambda: run.states("public")[-1] == "open")
        await asyncio.sleep(1.2)
        assert run.states("public")[-1] == "open"
        assert len(run.ends("public")) <= 2


async def test_a_refused_token_begins_again_with_a_fresh_one_but_not_twice_for_one_refusal(venue):
    tokens = iter(["first", "second", "third"])

    async def next_token():
        return next(tokens)

    async with venue.serving() as url, running(session_for(url, token_source=next_token)) as run:
        await run.until(lambda: run.texts().count(snapshot()) == 1)
        await asyncio.sleep(QUICK.snapshot_timeout_s + 0.05)
        run.session.refresh_token()
        await run.until(lambda: run.texts().count(snapshot()) == 2)
        run.session.refresh_token()
        await asyncio.sleep(0.1)
    assert [each["params"]["token"] for each in venue.subscribed("executions")] == ["first", "second"]
    assert run.ends()[0].reason == "the token was refused"


# --- dead and dying peers -------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def deaf_peer(hears_s: float = 0.0) -> AsyncIterator[str]:
    """A peer whose heartbeats go on, and which answers pings for `hears_s` and then hears nothing more, not even a close."""

    async def speak(reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(upgrade_of(request))
        beating = asyncio.create_task(beat(writer))
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(hears_s):
                while True:
                    await pong(reader, writer)
        await over.wait()
        beating.cancel()
        writer.close()

    async def beat(writer):
        text = b'{"channel":"heartbeat"}'
        while True:
            writer.write(bytes([0x81, len(text)]) + text)
            await asyncio.sleep(0.05)

    async def pong(reader, writer):
        head = await reader.readexactly(2)
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(size)))
        if head[0] == 0x89:
            writer.write(bytes([0x8A, len(data)]) + data)

    over = asyncio.Event()
    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def upgrade_of(request: str) -> bytes:
    key = next(line.split(": ")[1] for line in request.splitlines() if line.lower().startswith("sec-websocket-key"))
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_key(key)}"]
    return "\r\n".join([*head, "", ""]).encode()


async def test_a_peer_that_sends_but_hears_nothing_is_left_at_once_when_its_pong_is_due():
    """The library would wait for the answer to its close frame, and throw away what comes meanwhile."""
    settings = msgspec.structs.replace(QUICK, snapshot_timeout_s=60, close_timeout_s=60)
    async with deaf_peer() as url, running(session_for(url, settings=settings)) as run:
        await run.until(lambda: "open" in run.states())
        await eventually(lambda: bool(run.ends()), 4 * settings.ping_timeout_s)
        assert run.ends()[0].reason == "given up: keepalive ping timeout"
        await run.until(lambda: run.states().count("open") > 1)


@pytest.mark.parametrize("hears_s", [0.1, 1.0, 1.9])
async def test_a_peer_that_hears_nothing_is_noticed_within_four_seconds_whenever_it_went_deaf(hears_s):
    settings = LinkSettings(snapshot_timeout_s=60)
    assert settings.ping_interval_s + settings.ping_timeout_s + settings.look_interval_s < settings.silence_s
    async with deaf_peer(hears_s) as url, running(session_for(url, settings=settings)) as run:
        await run.until(lambda: "open" in run.states("public"))
        started = time.monotonic()
        await run.until(lambda: bool(run.ends("public")) and bool(run.ends("private")))
        assert time.monotonic() - started - hears_s < 4.3


async def test_a_half_open_socket_is_noticed_within_four_seconds_with_the_real_limits():
    # Accepts the handshake, then never reads nor writes again, as a peer behind a dead router does.
    async def answer_handshake_only(reader, writer):
        writer.write(upgrade_of((await reader.readuntil(b"\r\n\r\n")).decode()))
        await over.wait()
        writer.close()

    over = asyncio.Event()
    server = await asyncio.start_server(answer_handshake_only, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with running(session_for(url, settings=LinkSettings(snapshot_timeout_s=60))) as run:
            await run.until(lambda: "open" in run.states("public"))
            started = time.monotonic()
            await run.until(lambda: bool(run.ends("public")) and bool(run.ends("private")))
            assert time.monotonic() - started < 4.3
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_a_peer_that_answers_pings_of_the_protocol_only_is_dead_too(venue):
    venue.beats, venue.answers_ping = False, False
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: bool(run.ends()))
        assert run.ends()[0].reason == "nothing came for 0.8 s"


async def test_a_quiet_peer_that_answers_our_pings_lives(venue):
    venue.beats = False
    async with venue.serving() as url, running(session_for(url)) as run:
        await asyncio.sleep(2 * QUICK.silence_s)
        assert run.ends() == []
        assert run.session.is_private_open


async def test_heartbeats_that_stop_end_the_socket_also_while_pings_are_answered(venue):
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: '{"channel":"heartbeat"}' in run.texts())
        venue.beats = False
        await run.until(lambda: bool(run.ends()))
        assert run.ends()[0].reason == "no heartbeat for 1.0 s"


async def test_a_venue_that_accepts_and_drops_is_not_stormed(venue):
    async def drop(ws):
        await ws.close(1001)

    venue.on_open = drop
    async with venue.serving() as url, running(session_for(url)) as run:
        await asyncio.sleep(1)
        assert venue.opened <= 2 * 5
    assert len(run.ends()) == run.session.connect_count["private"]


async def test_after_a_reset_it_is_back_with_a_fresh_truth(venue):
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: run.texts().count(snapshot()) == 1)
        await asyncio.sleep(QUICK.healthy_s)
        for ws in list(venue.sockets):
            ws.transport.abort()
        await run.until(lambda: run.texts().count(snapshot()) == 2)
    assert run.states()[:6] == ["connecting", "open", "asked", "closed", "connecting", "open"]
    assert (run.ends()[0].code, run.ends()[0].reason) == (1006, "no close frame received")


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND])
async def test_a_refusal_that_will_not_change_ends_the_session_with_a_sentence(venue, status):
    venue.status = status
    async with venue.serving() as url:
        with pytest.raises(VenueProblem, match=f"socket was refused: HTTP {status.value} to the upgrade"):
            await asyncio.wait_for(session_for(url).run(), 3)


@pytest.mark.parametrize("status", [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_an_overloaded_venue_is_tried_again_with_patience(venue, status):
    venue.status = status
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: bool(run.ends()) and bool(run.ends("public")))
        await asyncio.sleep(0.6)
        assert venue.opened == 2
        assert run.ends()[0].reason == f"HTTP {status.value} to the upgrade"


async def test_a_close_for_policy_is_final(venue):
    async def close_for_policy(ws):
        await ws.close(1008, "banned")

    venue.on_open = close_for_policy
    async with venue.serving() as url:
        with pytest.raises(VenueProblem, match=r"closed for policy \(banned\)"):
            await asyncio.wait_for(session_for(url).run(), 3)


async def test_in_maintenance_it_waits_at_least_five_seconds(venue):
    async def announce(ws):
        await ws.send('{"channel":"status","type":"update","data":[{"system":"maintenance"}]}')
        await asyncio.sleep(0.05)
        await ws.close(1012)

    venue.on_open = announce
    async with venue.serving() as url, running(session_for(url)) as run:
        await run.until(lambda: bool(run.ends()) and bool(run.ends("public")))
        await asyncio.sleep(0.6)
        assert venue.opened == 2


async def test_a_refused_key_ends_the_session_and_a_failing_network_does_not(venue):
    async def refuse():
        raise BadInput("kraken key", "the venue refuses the key (EAPI:Invalid key)", "check it")

    failures = iter([VenueProblem("kraken", "no network", "it is tried again")])

    async def fail_once():
        for problem in failures:
            raise problem
        return "token"

    async with venue.serving() as url:
        with pytest.raises(BadInput, match="Invalid key"):
            await asyncio.wait_for(session_for(url, token_source=refuse).run(), 3)
        async with running(session_for(url, token_source=fail_once)) as run:
            await run.until(lambda: snapshot() in run.texts())
            assert "no network" in run.ends()[0].reason


async def test_an_address_that_is_none_says_so():
    with pytest.raises(BadInput, match=r"give one like wss://ws\.kraken\.com/v2"):
        await asyncio.wait_for(session_for("http://127.0.0.1").run(), 3)


# --- load -----------------------------------------------------------------------------------------------------------


async def test_a_slow_core_gets_private_inputs_first_and_market_data_conflated(venue):
    prices = [100 + (i * 37) % 201 for i in range(5000)]

    async def flood(ws):
        for price in prices:
            await ws.send(trade(price))
        for _ in range(100):
            await ws.send('{"channel":"executions","type":"update","data":[],"sequence":2}')

    async with venue.serving() as url:
        session = session_for(url)
        run = asyncio.create_task(session.run())
        await eventually(lambda: len(venue.sockets) == 2 and len(venue.asked) == 5)
        for ws in venue.sockets:
            await flood(ws)
        # The core takes nothing all the while.
        await eventually(lambda: min(stats.frame_count for stats in session.stats.values()) >= len(prices) + 100)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert session.waiting_count["private"] >= len(prices) + 100
    assert session.waiting_count["public"] < 250
    assert session.conflated_count > len(prices) - 100
    taken = list(iter(session.next_input, None))
    assert [item.channel for item in taken] == sorted(item.channel for item in taken)
    frames = [json.loads(item.text) for item in taken if isinstance(item, FrameReceived) and item.channel == "public"]
    seen = [frame["data"][0]["price"] for frame in frames if frame.get("channel") == "trade"]
    assert (seen[0], seen[-1]) == (prices[0], prices[-1])
    assert (min(seen), max(seen)) == (min(prices), max(prices))
    assert session.stats["public"].lag_ns_max > 0


async def test_a_core_that_is_slow_leaves_the_loop_to_the_sockets_between_two_market_frames():
    """The whole backlog was handed on in one go: an order event in the socket waited for all of it, once for each of its ways."""
    session = session_for("ws://127.0.0.1:1")
    for price in range(1, 61):
        session._on_public_frame(trade(price), price)
    gaps_s = []

    async def look():
        before_s = time.monotonic()
        while True:
            await asyncio.sleep(0)
            gaps_s.append(time.monotonic() - before_s)
            before_s = time.monotonic()

    looking = asyncio.create_task(look())
    taken = 0
    async for _ in session.inputs():
        time.sleep(0.005)  # noqa: ASYNC251  the core is slow
        taken += 1
        if taken == 60:
            break
    looking.cancel()
    assert max(gaps_s) < 0.1
    assert len(gaps_s) > 30
