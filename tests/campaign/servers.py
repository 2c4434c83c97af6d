"""PostgreSQL killed with -9 under a live engine, and started again: what was acknowledged is there, and the rest comes from the spool."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Iterator

from tests.campaign.judge import Lives, Outcome, trial
from tests.pg import START_TIMEOUT_S, Server

WORDS = 34
BEGINS_S = 8.0


async def kill(of: Lives, server: Server, number: int) -> Outcome:
    """Kill the server at a moment of a life, start it again at once or when that life is over, and let the next life take over."""
    chance = random.Random(number)
    is_back = False

    async def strike() -> None:
        # So many words are what a life says that is left alone; one that said too little to reach the number has ended.
        said = chance.randint(1, WORDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEGINS_S):
                while len(of.latest) < said:  # noqa: ASYNC110, words come over a socket
                    await asyncio.sleep(0.002)
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        if number % 2:
            await come_back()

    async def come_back() -> None:
        nonlocal is_back
        if not is_back:
            await start(server)
            is_back = True

    url = f"{server.url}&schema=crash_{number}"
    return await trial(of, [{"how": "L"}], number, store_url=url, beside=strike, between=come_back)


async def start(server: Server) -> None:
    """Start a server whose children may not have ended yet. Raises OSError."""
    end_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            await asyncio.to_thread(server.start)
        except OSError:
            if time.monotonic() > end_s:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def rows(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the lines of a table: how the lives ended whose server was killed."""
    paged = sum("STORE_FAILED" in outcome.lives[0].said("page") for outcome in outcomes if outcome.lives)
    refused = sum(bool(outcome.lives[0].said("refused")) for outcome in outcomes if outcome.lives)
    problems = sum(len(outcome.problems) for outcome in outcomes)
    yield f"  {len(outcomes)} servers killed: {paged} engines paged and went on, {refused} refused to start; {problems} problems"
