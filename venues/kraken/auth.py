"""The token of the private socket: `POST /0/private/GetWebSocketsToken`.

A token must be used within 15 minutes and then lives as long as its connection keeps a private subscription, so each
connection fetches its own.
"""

import msgspec

from events.errors import BadInput

from .errors import refusal_from
from .rest import KEY_PLACE, KEY_REMEDY, RestClient, errors_in, unreached

TOKEN_PATH = "/0/private/GetWebSocketsToken"


class _Result(msgspec.Struct):
    token: str = ""


class _Answer(msgspec.Struct):
    result: _Result | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)


class TokenFetcher:
    """Fetches tokens; call it."""

    def __init__(self, client: RestClient) -> None:
        self._client = client

    async def __call__(self) -> str:
        """Return a fresh token. Asked for once: a link that waits for its token tries again by itself.

        Raises:
            BadInput: the venue refuses the key; trying again does not help.
            VenueProblem: the venue cannot be reached or does not answer; trying again may help.
        """
        text = await self._client.post(TOKEN_PATH, tries=1, urgent=True)
        for refused in errors_in(text):
            problem = f"the venue refuses the key ({refused[:80]})"
            if refusal_from(refused).reaction == "stop":
                raise BadInput(KEY_PLACE, problem, KEY_REMEDY)
            raise unreached(problem)
        try:
            answer = _answer_decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise unreached("the answer to the token request is not what the venue documents") from None
        if answer.result is None or not answer.result.token:
            raise unreached("the answer to the token request holds no token")
        return answer.result.token
