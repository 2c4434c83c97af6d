"""The token of the private socket: one signed request, `POST /0/private/GetWebSocketsToken`.

    API-Sign = base64(HMAC-SHA512(key = b64decode(secret), msg = path + SHA256(nonce + body)))    (docs, guide spot-rest-auth)

A token must be used within 15 minutes and then lives as long as its connection keeps a private subscription, so each
connection fetches its own. Keys are read by whoever makes a `TokenFetcher` and are in no error, log or repr.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
import urllib.error
import urllib.parse
import urllib.request

import msgspec

from events.errors import BadInput, VenueProblem

API_URL = "https://api.kraken.com"
TOKEN_PATH = "/0/private/GetWebSocketsToken"
TIMEOUT_S = 5.0
MAX_REPLY_BYTES = 65_536


class _Result(msgspec.Struct):
    token: str = ""


class _Answer(msgspec.Struct):
    error: list[str] = []
    result: _Result | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)


def api_sign(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    """Return the value of the `API-Sign` header for exactly these bytes of `body`, which contains `nonce`."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.new(secret, path.encode() + digest, hashlib.sha512).digest()).decode()


class TokenFetcher:
    """Fetches tokens with one API key; call it. Needs the key's permission to use WebSockets, never one to withdraw.

    Raises:
        BadInput: no key, or a secret that is not base64.
    """

    def __init__(self, api_key: str, api_secret: str, api_url: str = API_URL) -> None:
        if not api_key or not api_secret:
            raise BadInput(
                "kraken key",
                "no API key and secret are configured",
                "create a key with order and WebSocket permissions (no withdrawal) and name the two environment variables that hold it",
            )
        try:
            self._secret = base64.b64decode(api_secret, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput("kraken key", "the API secret is not base64", "copy it as Kraken shows it") from None
        self._key, self._url = api_key, api_url.rstrip("/") + TOKEN_PATH
        self._last_nonce = 0

    async def __call__(self) -> str:
        """Return a fresh token.

        Raises:
            BadInput: the venue refuses the key; trying again does not help.
            VenueProblem: the venue cannot be reached or does not answer; trying again may help.
        """
        # urllib blocks, also in name resolution; the loop goes on reading prices meanwhile.
        return await asyncio.to_thread(self._fetch)

    def _fetch(self) -> str:
        # One nonce source per key, in microseconds; never twice the same, and never back when the clock is set back.
        self._last_nonce = max(self._last_nonce + 1, time.time_ns() // 1000)
        nonce = str(self._last_nonce)
        body = urllib.parse.urlencode({"nonce": nonce}).encode()
        headers = {
            "API-Key": self._key,
            "API-Sign": api_sign(self._secret, TOKEN_PATH, nonce, body),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")
        try:
            with opener.open(request, timeout=TIMEOUT_S) as response:
                raw = response.read(MAX_REPLY_BYTES)
        except urllib.error.HTTPError as problem:
            problem.close()
            raise self._problem(f"the token request was answered with HTTP {problem.code}", problem.code in (400, 401, 403, 404)) from None
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "reason", problem)
            raise self._problem(f"the token request failed ({type(problem).__name__}: {reason})", is_final=False) from None
        return self._token_from(raw)

    def _token_from(self, raw: bytes) -> str:
        try:
            answer = _answer_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._problem("the answer to the token request is not what the venue documents", is_final=False) from None
        errors = [text for text in answer.error if text.startswith("E")]
        if errors:
            # A nonce may be refused when two processes share a key and their requests cross; the next one is higher.
            is_final = any(text.startswith(("EAPI:Invalid key", "EAPI:Invalid signature", "EGeneral:Permission")) for text in errors)
            raise self._problem(f"the venue refuses the key ({errors[0][:80]})", is_final)
        if answer.result is None or not answer.result.token:
            raise self._problem("the answer to the token request holds no token", is_final=False)
        return answer.result.token

    def _problem(self, text: str, is_final: bool) -> BadInput | VenueProblem:
        if is_final:
            return BadInput("kraken key", text, "check the key, its permissions and its allowed addresses")
        return VenueProblem("kraken", text, "it is tried again; check the network if it lasts")

    def __repr__(self) -> str:
        return f"TokenFetcher({self._url})"
