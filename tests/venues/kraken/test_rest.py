"""The REST client against a real HTTP server that answers as it is told to."""

import asyncio
import base64
import contextlib
import threading
import time
import urllib.parse
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import get_args

import pytest

from events.errors import BadInput, VenueProblem
from holdfast.config.tree import Venue
from venues.kraken import rest
from venues.kraken.codec_rest import balance_from
from venues.kraken.link import now_s
from venues.kraken.rest import TIERS, CallCounter, RestClient, errors_in

SECRET = base64.b64encode(b"a secret of ours").decode()
FINE = (200, '{"error":[],"result":{}}')


@pytest.fixture
def server():
    """Answers with `answers` in turn, the last one for ever; keeps the nonces that came."""
    kept = SimpleNamespace(answers=[FINE], nonces=[], paths=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kept.paths.append(self.path.rpartition("/")[2])
            kept.nonces.append(int(urllib.parse.parse_qs(body)["nonce"][0]))
            status, text = kept.answers.pop(0) if len(kept.answers) > 1 else kept.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    kept.url = f"http://127.0.0.1:{http.server_port}"
    yield kept
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rest, "DELAYS_S", (0.0, 0.01))


@pytest.mark.parametrize(
    "bad",
    [
        (429, ""),
        (503, ""),
        (200, '{"error":["EService:Unavailable"]}'),
        (200, '{"error":["EAPI:Rate limit exceeded"]}'),
        (200, '{"error":["EAPI:Invalid nonce"]}'),
        (200, '{"error":["EService:Throttled: 1500000000"]}'),
    ],
)
async def test_a_question_that_failed_is_asked_again_with_a_higher_nonce(server, bad):
    server.answers = [bad, bad, FINE]
    client = RestClient("key", SECRET, server.url, counter=CallCounter(limit=1000, decay_per_s=1e6))
    assert await client.post("/0/private/OpenOrders") == FINE[1]
    assert len(server.nonces) == 3
    assert server.nonces == sorted(set(server.nonces))


async def test_a_token_does_not_wait_behind_a_look_up_for_which_the_counter_is_full(server):
    counter = CallCounter(limit=15, decay_per_s=10)
    counter.exhausted(now_s())
    client = RestClient("key", SECRET, server.url, counter=counter)
    look_up = asyncio.create_task(client.post("/0/private/ClosedOrders", cost=2))
    await asyncio.sleep(0)
    await client.post("/0/private/GetWebSocketsToken", urgent=True)
    assert server.paths == ["GetWebSocketsToken"]
    assert await look_up == FINE[1]


async def test_a_token_does_not_wait_behind_a_look_up_that_is_asked_again_later(server, monkeypatch):
    monkeypatch.setattr(rest, "DELAYS_S", (0.0, 0.3))
    server.answers = [(503, ""), FINE]
    client = RestClient("key", SECRET, server.url)
    look_up = asyncio.create_task(client.post("/0/private/OpenOrders"))
    while not server.paths:  # noqa: ASYNC110, a look now and then will do
        await asyncio.sleep(0.01)
    await client.post("/0/private/GetWebSocketsToken", urgent=True)
    assert await look_up == FINE[1]
    assert server.paths == ["OpenOrders", "GetWebSocketsToken", "OpenOrders"]


async def test_look_ups_leave_a_part_of_the_counter_to_tokens(server):
    client = RestClient("key", SECRET, server.url, counter=CallCounter(limit=4, decay_per_s=0.001))
    for _ in range(4 - rest.KEPT_COST):
        await client.post("/0/private/OpenOrders")
    look_up = asyncio.create_task(client.post("/0/private/OpenOrders"))
    for _ in range(rest.KEPT_COST):
        await asyncio.wait_for(client.post("/0/private/GetWebSocketsToken", urgent=True), 5)
    assert not look_up.done()
    look_up.cancel()


async def test_what_asking_again_does_not_mend_is_asked_once(server):
    server.answers = [(200, '{"error":["EGeneral:Invalid arguments:txid"]}')]
    assert errors_in(await RestClient("key", SECRET, server.url).post("/0/private/QueryOrders")) == ["EGeneral:Invalid arguments:txid"]
    server.answers = [(403, "")]
    with pytest.raises(BadInput):
        await RestClient("key", SECRET, server.url).post("/0/private/QueryOrders")
    assert len(server.nonces) == 2


async def test_a_venue_that_stays_away_is_given_up_after_some_tries(server):
    server.answers = [(503, "")]
    with pytest.raises(VenueProblem, match="HTTP 503"):
        await RestClient("key", SECRET, server.url, counter=CallCounter(limit=100)).post("/0/private/OpenOrders", tries=3)
    assert len(server.nonces) == 3


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{",
        b"CloudFlare WebSocket proxy restarting\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b"",
    ],
    ids=["cut chunk", "no chunk", "no status", "long header", "closed"],
)
async def test_an_answer_that_is_no_http_or_ends_in_its_middle_is_a_venue_that_did_not_answer(said):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with pytest.raises(VenueProblem, match="the request OpenOrders failed"):
            await RestClient("key", SECRET, url).post("/0/private/OpenOrders", tries=2)


async def test_a_system_that_gives_no_thread_for_a_call_is_a_venue_that_did_not_answer(monkeypatch):
    def refused(timer):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Timer.start", refused)
    with pytest.raises(VenueProblem, match="the request OpenOrders failed"):
        await RestClient("key", SECRET, "http://127.0.0.1:9").post("/0/private/OpenOrders", tries=2)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 500 Oh\r\nX: ",
        b"",
    ],
    ids=["body", "body of a length", "header", "header of an error", "status"],
)
async def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_the_questions_behind_it(said, monkeypatch):
    monkeypatch.setattr("venues.kraken.rest.CALL_S", 0.5)
    is_over = asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        with contextlib.suppress(OSError):
            for _ in range(100):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        began_s = time.monotonic()
        with pytest.raises(VenueProblem, match=r"0\.5 s|HTTP 500"):
            await RestClient("key", SECRET, url).post("/0/private/OpenOrders", tries=1)
        assert time.monotonic() - began_s < 3
        await is_over.wait()


async def test_a_nonce_never_goes_back_with_the_clock(server, monkeypatch):
    client = RestClient("key", SECRET, server.url)
    await client.post("/0/private/Balance")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600 * 10**9)
    await client.post("/0/private/Balance")
    assert server.nonces[1] > server.nonces[0]


async def test_an_answer_longer_than_any_real_one_is_refused(server, monkeypatch):
    monkeypatch.setattr(rest, "MAX_REPLY_BYTES", 10)
    with pytest.raises(VenueProblem, match="longer than 10 bytes"):
        await RestClient("key", SECRET, server.url).post("/0/private/Balance", tries=1)


def test_calls_are_counted_as_the_venue_counts_them():
    counter = CallCounter(limit=15, decay_per_s=0.33)
    for _ in range(7):
        assert counter.wait_s(2, 0.0) == 0
        counter.note(2, 0.0)
    assert counter.wait_s(1, 0.0) == 0
    assert counter.wait_s(2, 0.0) == pytest.approx(1 / 0.33)
    assert counter.wait_s(2, 4.0) == 0
    counter.exhausted(10.0)
    assert counter.wait_s(1, 10.0) == pytest.approx(1 / 0.33)


@pytest.mark.parametrize("tier", get_args(get_args(Venue.__annotations__["rest_tier"])[0]))
def test_every_tier_of_the_settings_has_its_pace(tier):
    limit, decay_per_s = TIERS[tier]
    counter = CallCounter(*TIERS[tier])
    counter.exhausted(0.0)
    assert counter.wait_s(1, 0.0) == pytest.approx(1 / decay_per_s)
    assert counter.wait_s(int(limit), limit / decay_per_s + 1e-6) == 0


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ('{"XXBT":{"balance":"0.5","hold_trade":"0.2"},"ZUSD":{"balance":"9"}}', ("0.5", "0.2")),
        ('{"XBT.M":{"balance":"7","hold_trade":"7"},"XBT":{"balance":0.25}}', ("0.25", "0")),
        ('{"ZUSD":{"balance":"9","hold_trade":"9"}}', ("0", "0")),
    ],
)
def test_what_open_orders_hold_is_read_by_asset(rows, told):
    assert balance_from(f'{{"error":[],"result":{rows}}}', "BTC") == (Decimal(told[0]), Decimal(told[1]))


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"error":["EAPI:Invalid key"]}', '{"result":{"XXBT":{"balance":"NaN"}}}', '{"result":{"XXBT":{"balance":"1e999999"}}}'],
)
def test_a_balance_that_cannot_be_read_is_refused(text):
    with pytest.raises(BadInput):
        balance_from(text, "BTC")


def test_warnings_and_nonsense_are_no_refusals():
    assert errors_in('{"error":["WGeneral:Danger"],"result":{}}') == []
    assert errors_in("<html>") == []
    assert errors_in("[" * 100_000) == []
