"""The one HTTP home: signed requests to Kraken's REST interface, one at a time for a key, paced and tried again.

    API-Sign = base64(HMAC-SHA512(key = b64decode(secret), msg = path + SHA256(nonce + body)))    (docs, guide spot-rest-auth)

Nonces of a key must rise, so whatever uses a key shares one client, which sends one request at a time. What it asks only
reads (the token, lists, balances): a question whose answer was lost is asked again. Calls are counted as Kraken counts them
(`TIERS`; the lowest unless told otherwise). Time here is real time. The key is
in no error, log or repr.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any

import msgspec

from events.errors import BadInput, VenueProblem

from .errors import Reaction, refusal_from, throttled_until_s
from .link import now_s

API_URL = "https://api.kraken.com"
TIMEOUT_S = 5.0
# For one call with all that belongs to it: each byte that comes begins a socket's own timeout anew.
CALL_S = 10.0
# A page of 50 closed orders has some 40 kB.
MAX_REPLY_BYTES = 2 * 1024 * 1024
MAX_TRIES = 5
DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0)
# A wait that the venue names is kept, within reason: who asks has clocks of his own.
MAX_WAIT_S = 30.0
# A wait that a float has left of nothing must still pass.
SHORTEST_WAIT_S = 0.001
# What of the call counter only tokens may spend: a link that is lost once and again comes back, whatever was looked up meanwhile.
KEPT_COST = 2
_FINAL_HTTP = (400, 401, 403, 404)
# Reactions to a refusal that asking again may mend.
_AGAIN: tuple[Reaction, ...] = ("wait", "ask_and_slow_down", "ask", "next_nonce")

KEY_PLACE = "kraken key"
KEY_REMEDY = "check the key, its permissions and its allowed addresses"


class _Errors(msgspec.Struct):
    error: list[str] = []


_errors_decoder = msgspec.json.Decoder(_Errors)


def api_sign(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    """Return the value of the `API-Sign` header for exactly these bytes of `body`, which contains `nonce`."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.new(secret, path.encode() + digest, hashlib.sha512).digest()).decode()


# Calls at once and what decays in a second, by the tier of the account (docs, guide spot-rest-ratelimits).
TIERS: Mapping[str, tuple[float, float]] = {"starter": (15.0, 0.33), "intermediate": (20.0, 0.5), "pro": (20.0, 1.0)}


class CallCounter:
    """Kraken's counter of REST calls of a key. Pure; time comes in, in seconds."""

    def __init__(self, limit: float = TIERS["starter"][0], decay_per_s: float = TIERS["starter"][1]) -> None:
        self._limit, self._decay_per_s = limit, decay_per_s
        self._level, self._at_s = 0.0, 0.0

    def wait_s(self, cost: int, now_s: float) -> float:
        """Return how long to wait until a call of that cost fits."""
        return max(0.0, (self._decayed(now_s) + cost - self._limit) / self._decay_per_s)

    def note(self, cost: int, now_s: float) -> None:
        """Count a call."""
        self._level, self._at_s = self._decayed(now_s) + cost, now_s

    def exhausted(self, now_s: float) -> None:
        """Note that the venue counts more than we do: other programs use the key too."""
        self._level, self._at_s = self._limit, now_s

    def _decayed(self, now_s: float) -> float:
        return max(0.0, self._level - (now_s - self._at_s) * self._decay_per_s)


class RestClient:
    """Asks with one API key, which needs permission to query and to use WebSockets, never one to withdraw.

    Raises:
        BadInput: no key, or a secret that is not base64.
    """

    def __init__(self, api_key: str, api_secret: str, api_url: str = API_URL, *, counter: CallCounter | None = None) -> None:
        if not api_key or not api_secret:
            raise BadInput(
                KEY_PLACE,
                "no API key and secret are configured",
                "create a key with order and WebSocket permissions (no withdrawal) and name the two environment variables that hold it",
            )
        try:
            self._secret = base64.b64decode(api_secret, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput(KEY_PLACE, "the API secret is not base64", "copy it as Kraken shows it") from None
        self._key, self._url = api_key, api_url.rstrip("/")
        self._counter = counter or CallCounter()
        self._last_nonce = 0
        self._turn = asyncio.Lock()

    async def post(
        self, path: str, params: Mapping[str, str] | None = None, *, cost: int = 1, tries: int = MAX_TRIES, urgent: bool = False
    ) -> str:
        """Ask, and return the text of the answer, which may be a refusal.

        Args:
            cost: points of the call counter.
            tries: how often the question is asked where that may help.
            urgent: without its answer nothing can be protected: it may spend what the counter keeps (`KEPT_COST`).

        Raises:
            BadInput: the venue refuses the key; trying again does not help.
            VenueProblem: the venue cannot be reached, or does not answer; trying again later may help.
        """
        kept = 0 if urgent else KEPT_COST
        for attempt in range(1, tries + 1):
            try:
                text = await self._asked(path, dict(params or {}), cost, kept)
            except VenueProblem:
                if attempt == tries:
                    raise
                await asyncio.sleep(DELAYS_S[min(attempt, len(DELAYS_S) - 1)])
                continue
            pause_s = self._pause_s(text, attempt)
            if pause_s is None or attempt == tries:
                return text
            await asyncio.sleep(pause_s)
        raise AssertionError("tries is at least 1")

    async def _asked(self, path: str, params: dict[str, str], cost: int, kept: int) -> str:
        while True:
            async with self._turn:
                wait_s = self._counter.wait_s(cost + kept, now_s())
                if not wait_s:
                    self._counter.note(cost, now_s())
                    # urllib blocks, also in name resolution; the loop goes on reading prices meanwhile.
                    return await asyncio.to_thread(self._post, path, params)
            # Nobody waits while it is his turn: a link without its token would wait behind a look-up for which the counter is full.
            await asyncio.sleep(max(wait_s, SHORTEST_WAIT_S))

    def _pause_s(self, text: str, attempt: int) -> float | None:
        """Return after how long to ask again, None for an answer that stands."""
        refusals = errors_in(text)
        if not refusals or refusal_from(refusals[0]).reaction not in _AGAIN:
            return None
        reaction = refusal_from(refusals[0]).reaction
        if reaction == "wait":
            self._counter.exhausted(now_s())
            until_s = throttled_until_s(refusals[0])
            if until_s is not None:
                return min(max(0.0, until_s - time.time()), MAX_WAIT_S)
        # A nonce may be refused when two processes share a key and their requests cross; the next one is higher.
        return 0.0 if reaction == "next_nonce" else DELAYS_S[min(attempt, len(DELAYS_S) - 1)]

    def _post(self, path: str, params: dict[str, str]) -> str:
        # One nonce source per key, in microseconds; never twice the same, and never back when the clock is set back.
        self._last_nonce = max(self._last_nonce + 1, time.time_ns() // 1000)
        nonce = str(self._last_nonce)
        body = urllib.parse.urlencode({"nonce": nonce, **params}).encode()
        headers = {
            "API-Key": self._key,
            "API-Sign": api_sign(self._secret, path, nonce, body),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._exchange(path, body, headers)

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> str:
        """Send one signed request and return the text of its answer. A simulation asks its venue here."""
        name, timer = path.rpartition("/")[2], _CallTimer(CALL_S)
        request = urllib.request.Request(self._url + path, data=body, headers=headers, method="POST")
        try:
            with timer, timer.opener().open(request, timeout=TIMEOUT_S) as response:
                raw: bytes = response.read(MAX_REPLY_BYTES + 1)
        except urllib.error.HTTPError as problem:
            problem.close()
            text = f"the request {name} was answered with HTTP {problem.code}"
            if problem.code in _FINAL_HTTP:
                raise BadInput(KEY_PLACE, text, KEY_REMEDY) from None
            raise unreached(text) from None
        except (OSError, ValueError, HTTPException, RuntimeError) as problem:
            # HTTPException: an answer that is none, or that is cut in its middle. RuntimeError: the system gives no thread for the timer.
            reason = getattr(problem, "reason", problem)
            took = f" after {CALL_S:g} s" if timer.is_up else ""
            raise unreached(f"the request {name} failed{took} ({type(problem).__name__}: {reason})") from None
        if timer.is_up:
            # An answer without a length looks whole where it is cut.
            raise unreached(f"the request {name} was not answered within {CALL_S:g} s")
        if len(raw) > MAX_REPLY_BYTES:
            raise unreached(f"the answer to {name} is longer than {MAX_REPLY_BYTES} bytes")
        return raw.decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        return f"RestClient({self._url})"


class _CallTimer:
    """Ends the connections of one call when its time is up, wherever it waits: for a handshake, a header, a byte of the answer."""

    def __init__(self, seconds: float) -> None:
        self.is_up = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def opener(self) -> urllib.request.OpenerDirector:
        """Return an opener without proxies whose connections this timer ends."""
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), _TimedHTTP(self), _TimedHTTPS(self))

    def connect(self, *args: Any) -> socket.socket:
        """Connect as `socket.create_connection` does."""
        connected = socket.create_connection(*args)
        with self._lock:
            # TLS takes the socket over, so that the one at hand here would be of no use.
            self._sockets.append(connected.dup())
        if self.is_up:
            self._end()
        return connected

    def _end(self) -> None:
        with self._lock:
            self.is_up = True
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "_CallTimer":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()


class _Timed(urllib.request.AbstractHTTPHandler):
    def __init__(self, timer: _CallTimer) -> None:
        super().__init__()
        self._timer = timer

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        def timed(host: str, **more: Any) -> HTTPConnection:
            connection: HTTPConnection = http_class(host, **more)
            connection._create_connection = self._timer.connect  # type: ignore[attr-defined]
            return connection

        return super().do_open(timed, req, **options)


class _TimedHTTP(_Timed, urllib.request.HTTPHandler):
    pass


class _TimedHTTPS(_Timed, urllib.request.HTTPSHandler):
    pass


def errors_in(text: str) -> list[str]:
    """Return the refusals of an answer; warnings (`W...`) are none. An answer that cannot be read has none either."""
    try:
        answer = _errors_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []
    return [each for each in answer.error if each.startswith("E")]


def unreached(problem: str) -> VenueProblem:
    """Return the error for a venue that did not answer as it should."""
    return VenueProblem("kraken", problem, "it is tried again; check the network if it lasts")
