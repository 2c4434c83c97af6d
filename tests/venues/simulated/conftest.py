"""A client of the pure gateway: no sockets, market time set by the test."""

import base64
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from venues.simulated.channels import Endpoint
from venues.simulated.delivery import Close, Effect, Send
from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway
from venues.simulated.pairs import pair_of
from venues.simulated.rest import PRIVATE, RestDesk
from venues.simulated.settings import VenueSettings

SECOND_NS = 1_000_000_000
Frame = dict[str, Any]
SECRET = base64.b64encode(b"the secret of the key").decode()


class PureClient:
    """One connection to a gateway of its own (or to another client's), and every frame that it got."""

    def __init__(self, gateway: Gateway, endpoint: Endpoint = "both", now_ns: int = 1_700_000_000 * SECOND_NS) -> None:
        self.gateway, self.now_ns = gateway, now_ns
        self.texts: list[str] = []
        # Those that are JSON, numbers as Decimal.
        self.frames: list[Frame] = []
        self.closed: Close | None = None
        self.others: list[PureClient] = []
        self.number, effects = gateway.connect(endpoint, now_ns)
        self._take(effects)

    def send(self, method: str, req_id: int = 1, **params: Any) -> list[Frame]:
        """Send a request and return the frames that came at once."""
        return self.send_text(_text({"method": method, "params": params, "req_id": req_id}))

    def send_text(self, text: str) -> list[Frame]:
        seen = len(self.frames)
        self._take(self.gateway.receive(self.number, text, self.now_ns))
        return self.frames[seen:]

    def trade(self, method: str, **params: Any) -> Frame:
        """Send a trading request with the token; return its answer."""
        answers = [frame for frame in self.send(method, token="token", **params) if frame.get("method") == method]
        return answers[0]

    def order(self, order_type: str, side: str, qty: str, **params: Any) -> Frame:
        """Place an order on BTC/USD; return the answer."""
        return self.trade("add_order", order_type=order_type, side=side, order_qty=Decimal(qty), symbol="BTC/USD", **params)

    def placed(self, order_type: str, side: str, qty: str, **params: Any) -> str:
        """Place an order that must be taken; return its id."""
        answer = self.order(order_type, side, qty, **params)
        assert answer["success"], answer
        order_id: str = answer["result"]["order_id"]
        return order_id

    def price(self, px: str, qty: str = "1", side: str = "sell", symbol: str = "BTC/USD", after_ms: int = 100) -> list[Frame]:
        """Let the market print, `after_ms` later; return the frames that came."""
        seen = len(self.frames)
        self.now_ns += after_ms * 1_000_000
        self._take(self.gateway.tick(symbol, Decimal(px), Decimal(qty), side == "buy", self.now_ns))
        return self.frames[seen:]

    def wait(self, seconds: float) -> list[Frame]:
        """Let time pass; return the frames that came."""
        seen = len(self.frames)
        self.now_ns += int(seconds * SECOND_NS)
        self._take(self.gateway.advance(self.now_ns))
        return self.frames[seen:]

    def take(self, effects: list[Effect]) -> None:
        self._take(effects)

    def entries(self, channel: str = "executions", *, of: str = "", kind: str = "") -> list[Frame]:
        """Entries of a private channel's updates: of one order, of one exec_type."""
        found = [e for frame in self.frames if frame.get("channel") == channel and frame["type"] == "update" for e in frame["data"]]
        return [e for e in found if (not of or e.get("order_id") == of) and (not kind or e.get("exec_type") == kind)]

    def kinds(self, order_id: str) -> list[str]:
        """The exec_types of one order, in order."""
        return [entry["exec_type"] for entry in self.entries(of=order_id)]

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            client = next((c for c in (self, *self.others) if c.number == effect.connection), None)
            if client is None:
                continue
            if isinstance(effect, Send):
                client.texts.append(effect.text)
                if effect.text.startswith("{"):
                    client.frames.append(json.loads(effect.text, parse_float=Decimal))
            else:
                client.closed = effect


def _text(value: Any) -> str:
    """JSON with bare numbers from Decimals."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return json.dumps(value)


class Asker:
    """Asks a client's venue by REST with one key."""

    def __init__(self, client: PureClient, **keys: str) -> None:
        gateway = client.gateway
        self.client = client
        self.desk = RestDesk(gateway.exchange, gateway.settings, gateway.faults, lambda now_ns: "TOKEN", keys)
        self.nonce = 1

    def ask(self, name: str, *, secret: str = SECRET, key: str = "key", nonce: int = 0, **params: str) -> dict[str, Any]:
        text = self.text(name, secret=secret, key=key, nonce=nonce, **params)
        answer: dict[str, Any] = json.loads(text) if text else {"status": 429}
        return answer

    def text(self, name: str, *, secret: str = SECRET, key: str = "key", nonce: int = 0, **params: str) -> str:
        """Ask; return the text of the answer, "" for one of HTTP alone."""
        self.nonce += 1
        number = str(nonce or self.nonce)
        body = urllib.parse.urlencode({"nonce": number, **params}).encode()
        digest = hashlib.sha256(number.encode() + body).digest()
        signed = hmac.new(base64.b64decode(secret), (PRIVATE + name).encode() + digest, hashlib.sha512).digest()
        headers = {"API-Key": key, "API-Sign": base64.b64encode(signed).decode()}
        reply = self.desk.answer(PRIVATE + name, "", headers, body, self.client.now_ns)
        assert reply is not None
        return reply.text

    def result(self, name: str, **params: str) -> Any:
        answer = self.ask(name, **params)
        assert answer["error"] == []
        return answer["result"]


MakeClient = Callable[..., PureClient]


@pytest.fixture
def make_client() -> MakeClient:
    """Make a client at a venue with BTC/USD at 60000.0, one tick spread, about 1 BTC at the touch, and its token "token"."""

    def make(*, faults: Faults | None = None, seed: int = 1, subscribed: bool = True, **settings: Any) -> PureClient:
        usual: dict[str, Any] = {
            "balances": {"USD": Decimal(1_000_000), "BTC": Decimal(5)},
            "depth_cost": Decimal(60_000),
            "trail_status_ms": 0,
            "tier": "pro",
        }
        gateway = Gateway(
            [pair_of("BTC/USD"), pair_of("ETH/USD")], VenueSettings(**usual | settings), seed, Faults(seed) if faults is None else faults
        )
        client = PureClient(gateway)
        client.price("60000.0", side="buy")
        client.price("2500.00", side="buy", symbol="ETH/USD")
        gateway.issue_token("token", client.now_ns)
        if subscribed:
            client.send("subscribe", channel="executions", token="token", ratecounter=True)
            client.send("subscribe", channel="balances", token="token")
        return client

    return make


@pytest.fixture
def client(make_client: MakeClient) -> PureClient:
    return make_client()
