"""Signing and the token request, against the documented vector and a real HTTP server."""

import base64
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from events.errors import BadInput, VenueProblem
from venues.kraken.auth import TOKEN_PATH, TokenFetcher
from venues.kraken.rest import RestClient, api_sign

SECRET = base64.b64encode(b"a secret of ours").decode()


@pytest.fixture
def answer():
    """A server that answers every request with `answer.status` and `answer.body`, and keeps what it was asked."""

    answer = SimpleNamespace(status=200, body='{"error":[],"result":{"token":"TOKEN","expires":900}}', asked=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer.asked.append((self.path, self.headers, body))
            raw = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answer.url = f"http://127.0.0.1:{server.server_port}"
    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_documented_vector_is_signed_as_documented():
    # docs.kraken.com, guide spot-rest-auth
    secret = base64.b64decode("kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==")
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    expected = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    assert api_sign(secret, "/0/private/AddOrder", "1616492376594", body) == expected


async def test_a_token_is_fetched_with_a_signed_request_and_a_rising_nonce(answer):
    fetch = TokenFetcher(RestClient("key", SECRET, answer.url))
    assert [await fetch(), await fetch()] == ["TOKEN", "TOKEN"]
    nonces = []
    for path, headers, body in answer.asked:
        nonce = urllib.parse.parse_qs(body.decode())["nonce"][0]
        nonces.append(int(nonce))
        assert (path, headers["API-Key"]) == (TOKEN_PATH, "key")
        assert headers["API-Sign"] == api_sign(b"a secret of ours", TOKEN_PATH, nonce, body)
    assert nonces[0] < nonces[1]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, '{"error":["EAPI:Invalid key"]}', BadInput),
        (200, '{"error":["EGeneral:Permission denied"]}', BadInput),
        (403, "", BadInput),
        (200, '{"error":["EAPI:Invalid nonce"]}', VenueProblem),
        (200, '{"error":["EAPI:Rate limit exceeded"]}', VenueProblem),
        (200, '{"error":[],"result":{}}', VenueProblem),
        (200, "<html>", VenueProblem),
        (200, '{"a":' + "[" * 60_000, VenueProblem),
        (503, "", VenueProblem),
        (429, "", VenueProblem),
    ],
)
async def test_a_refused_key_ends_it_and_anything_else_may_be_tried_again(answer, status, body, error):
    answer.status, answer.body = status, body
    with pytest.raises(error) as caught:
        await TokenFetcher(RestClient("key", SECRET, answer.url))()
    assert SECRET not in str(caught.value)


async def test_no_network_is_a_problem_of_the_venue():
    with pytest.raises(VenueProblem, match="GetWebSocketsToken failed"):
        await TokenFetcher(RestClient("key", SECRET, "http://127.0.0.1:1"))()


def test_without_a_key_it_says_what_it_needs_in_one_sentence():
    with pytest.raises(BadInput, match="no API key and secret are configured; create a key with order and WebSocket permissions"):
        RestClient("", "")
    with pytest.raises(BadInput, match="not base64"):
        RestClient("key", "not base64!")


def test_a_fetcher_shows_neither_key_nor_secret():
    shown = repr(RestClient("my-key", SECRET))
    assert "my-key" not in shown
    assert SECRET not in shown
