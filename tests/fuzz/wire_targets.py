"""Fuzz targets for what comes over a wire: Kraken's frames, its REST answers, requests to the simulated venue, secrets in any of it."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from events.errors import HoldfastError
from events.facts import OrderFilled
from events.record import PositionEvent
from events.values import Side
from replay.intents import Link, payload_from
from replay.lines import body_from, line_from, records_from
from replay.pipeline import Pipeline
from replay.redact import REDACTED, Redactor
from tests.fuzz.life import RESTING, SETTINGS, SHARED, START_NS, SYMBOL, TOKEN, fixture
from venues.kraken.auth import TokenFetcher
from venues.kraken.codec import Unreadable, frame_from, outline_from
from venues.kraken.conflation import MarketQueue
from venues.kraken.fitting import fitted_from
from venues.kraken.rest import MAX_WAIT_S, RestClient
from venues.kraken.translate import KrakenTranslator
from venues.messages import FrameReceived, FrameRefused, QuestionAnswered
from venues.simulated.delivery import Send
from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings

SECRET = "S3cr3t/of+this=process"

Run = Callable[[bytes], None]


# --- frames ---------------------------------------------------------------------------------------------------------


def frame_seeds() -> list[bytes]:
    seeds = list(dict.fromkeys(text.encode() for _, text in fixture().frames))
    seeds = seeds[:60] + [text for text in seeds[60:] if b'"executions"' in text or b'"balances"' in text]
    for path in sorted((SHARED / "frames" / "kraken").glob("*.json")):
        seeds.append(path.read_bytes())
    recorded = SHARED / "data" / "ws" / "kraken_v2_private_frames.jsonl"
    if recorded.is_file():
        seeds += recorded.read_bytes().splitlines()
    return seeds


def _text_of(data: bytes) -> str:
    # As the link makes a text of what came (`venues.kraken.link`).
    return data.decode("utf-8", "backslashreplace")


def frames() -> Run:
    known = [("hf000003100010", "OSYSC6-Y5GR9-M7LY0F"), ("hf000001000010", "OK4GJX-KSTLS-7DZZO5")]

    def run(data: bytes) -> None:
        text = _text_of(data)
        translator = KrakenTranslator("hf")
        translator.restore(known, (), ("T6XHBV-1HNUP-RX8K4S",))
        for made in translator.decode(text, START_NS):
            assert not isinstance(made, FrameRefused) or made.raw == text, "a refused frame is not kept as it came"
        queue = MarketQueue((SYMBOL,), trades_kept=4, others_kept=4)
        for _ in range(3):
            queue.put(FrameReceived(channel="public", text=text, ts_recv_ns=START_NS), outline_from(text))
        while queue.pop() is not None:
            pass
        body = body_from(1, "frame", START_NS, 0, "private", text)
        (record,) = records_from(line_from(body, b"0" * 16))
        assert record.payload == text, "the record of a frame is not the frame"

    return run


def neighbours() -> Run:
    life = fixture()
    known = {life.trade_before, life.trade_after}
    links = [payload_from(Link(state=state)) for state in ("connecting", "open", "asked")]

    def run(data: bytes) -> None:
        text = _text_of(data)
        pipeline = Pipeline(SETTINGS, "flat")
        pipeline.restore(life.history)
        now_ns = life.history[-1].fact.ts_recv_ns
        events: list[PositionEvent] = []
        for link in links:
            pipeline.feed("link", now_ns, "private", link)
        pipeline.feed("frame", now_ns, "public", life.listed)
        pipeline.feed("frame", now_ns, "private", '{"channel":"executions","type":"snapshot","data":[],"sequence":16}')
        refused_before = _refused(pipeline)
        for frame in (*life.before, text, *life.after):
            now_ns += 1_000_000
            events += pipeline.feed("frame", now_ns, "private", frame).events
        if _is_refused(text):
            assert _refused(pipeline) > refused_before, "a frame that cannot be read was not counted"
        fills = {event.fact.trade_id: event.fact for event in reversed(events) if isinstance(event.fact, OrderFilled)}
        assert known <= fills.keys(), f"the fill {min(known - fills.keys())} of a neighbour was lost"
        position = pipeline.desk.get(RESTING)
        if position is not None:
            bought = sum(fill.last_qty for fill in fills.values() if fill.side is Side.BUY)
            assert position.instrument.qty(position.filled_lots) <= bought, "a fill was booked twice"
        at_ns = pipeline.next_deadline_ns()
        if at_ns is not None:
            pipeline.feed("timer", max(at_ns, now_ns), "", b"{}")

    return run


def _is_refused(text: str) -> bool:
    try:
        frame_from(text)
    except Unreadable as problem:
        fitted = fitted_from(text) if problem.code == "bad_body" else None
        return fitted is None or bool(fitted.oddities)
    return False


def _refused(pipeline: Pipeline) -> int:
    return sum(count for code, count in pipeline.counters.items() if code.startswith("refused_"))


def rest_seeds() -> list[bytes]:
    own = [
        b'{"error":[],"result":{"token":"1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw","expires":900}}',
        b'{"error":["EAPI:Invalid key"]}',
        b'{"error":["EGeneral:Permission denied"],"result":null}',
        b'{"error":["EAPI:Invalid nonce"]}',
        b'{"error":["EService:Throttled: 1700000000"]}',
        b'{"error":["EAPI:Rate limit exceeded"]}',
        b"<html>502</html>",
    ]
    files = sorted((SHARED / "frames" / "kraken").glob("*rest*.json")) + sorted((SHARED / "frames" / "kraken").glob("naut-http*.json"))
    return own + [path.read_bytes() for path in files]


class _Said(RestClient):
    """A client whose every answer is what the fuzzer says."""

    text = ""

    async def post(
        self, path: str, params: Mapping[str, str] | None = None, *, cost: int = 1, tries: int = 1, urgent: bool = False
    ) -> str:
        return self.text


def token_replies() -> Run:
    client = _Said("key", base64.b64encode(b"secret").decode())
    fetch = TokenFetcher(client)

    async def ask() -> str:
        pause_s = client._pause_s(client.text, 1)
        assert pause_s is None or 0 <= pause_s <= MAX_WAIT_S, "an answer can make the client wait for ever"
        try:
            return await fetch()
        except HoldfastError:
            return "none"

    def run(data: bytes) -> None:
        client.text = _text_of(data)
        assert asyncio.run(ask()), "a token of nothing"

    return run


def rest_answers() -> Run:
    def run(data: bytes) -> None:
        # Lists of orders by id, open and closed, pages of trades, balances: each question gets the same answer until none is left.
        for wish in ("order by id", "order", "trades", "balance"):
            translator = KrakenTranslator("hf", (SYMBOL,))
            translator.restore([("hf000003100010", "OSYSC6-Y5GR9-M7LY0F")], (), ())
            lookups, now_ns = translator.lookups, START_NS
            if wish == "trades":
                lookups.bridge(0, now_ns, now_ns)
            elif wish == "balance":
                lookups.balance("BTC", now_ns)
            else:
                lookups.order("hf000003100010", "OSYSC6-Y5GR9-M7LY0F" if wish == "order by id" else "", START_NS - 1, now_ns)
            for _ in range(4):
                if not lookups.questions:
                    break
                question, now_ns = lookups.questions.pop(), now_ns + 1_000_000_000
                lookups.questions.clear()
                lookups.answered(
                    QuestionAnswered(number=question.number, asked_ns=question.asked_ns, ts_recv_ns=now_ns, text=_text_of(data))
                )

    return run


def is_json(text: str) -> bool:
    """Whether a text is JSON at all."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def redacted() -> Run:
    redactor = Redactor([SECRET])

    def run(data: bytes) -> None:
        text = _text_of(data)
        once = redactor.redact(text)
        if is_json(text):
            # Where quotes do not pair, what is a name and what is a value is a guess.
            assert redactor.redact(once) == once, "taking secrets out twice changes the text again"
        at = len(text) // 2
        assert SECRET not in redactor.redact(text[:at] + SECRET + text[at:]), "a known secret is left in the text"
        assert SECRET.encode() not in redactor.redact_bytes(data + SECRET.encode())

    return run


def secret_seeds() -> list[bytes]:
    own = [
        f'{{"method":"add_order","params":{{"token":"{SECRET}","symbol":"BTC/USD"}}}}',
        f"API-Key: {SECRET}\r\nAPI-Sign: abc",
        f"nonce=1&otp=123456&token={SECRET}",
        json.dumps({"x": json.dumps({"token": SECRET, "passphrase": "12345678"})}),
        '{"listenKey":["a","b"],"password":1234}',
        REDACTED,
    ]
    return [text.encode() for text in own] + frame_seeds()[:40]


# --- the simulated venue ----------------------------------------------------------------------------------------------


def request_seeds() -> list[bytes]:
    life = fixture()
    own = [text.encode() for text in life.requests] + [b"\n".join(text.encode() for text in life.requests)]
    files = sorted((SHARED / "frames" / "kraken").glob("*request*.json"))
    return own + [json.dumps(json.loads(path.read_bytes())).encode() for path in files]


def requests() -> Run:
    def run(data: bytes) -> None:
        balances = {"USD": Decimal(1_000_000), "BTC": Decimal(5)}
        gateway = Gateway([pair_of(SYMBOL)], VenueSettings(balances=balances, tier="pro"), 1, Faults(1))
        now_ns = START_NS
        gateway.tick(SYMBOL, Decimal("60000.0"), Decimal(1), True, now_ns)
        gateway.issue_token(TOKEN, now_ns)
        number, _ = gateway.connect("both", now_ns)
        gateway.receive(
            number, json.dumps({"method": "subscribe", "params": {"channel": "executions", "token": TOKEN}, "req_id": 1}), now_ns
        )
        translator = KrakenTranslator("hf")
        for line in data.split(b"\n"):
            now_ns += 1_000_000
            effects = gateway.receive(number, line.decode("utf-8", "replace"), now_ns)
            effects += gateway.tick(SYMBOL, Decimal("59990.0"), Decimal("0.1"), False, now_ns)
            for effect in effects:
                if isinstance(effect, Send):
                    translator.decode(effect.text, now_ns)
        gateway.receive(number, data, now_ns)
        gateway.advance(now_ns + 10_000_000_000)
        json.dumps(gateway.exchange.account.books(), default=str)

    return run
