"""`python -m venues.simulated`: the simulated venue as a process of its own, so that an engine can die and the venue not.

When it listens it prints one JSON line: url, http_url, token, symbols, and the clock that an engine must share. It ends on
SIGTERM or SIGINT, or at the end of the ticks with `--stop-at-end`, and prints a last line with what it counted. Exit codes
are those of `events/errors.py`.
"""

import argparse
import asyncio
import base64
import os
import re
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from events.errors import HoldfastError, Usage
from events.values import decimal_from

from ..clock import Clock
from .faults import FAULTS
from .pairs import Pair, pair_of
from .playback import MarketFeed
from .server import SimulatedVenue
from .settings import VenueSettings
from .ticks import read_ticks, seeded_ticks
from .wire import encode_with_texts

# Where a seeded market starts: the magnitude that its pair's grid and minimums are made for.
_START_PX = {"BTC": "60000.0", "ETH": "2500.00", "SOL": "150.00", "XRP": "0.50000", "NEXO": "1.0000"}
_DEFAULT_SYMBOL = "BTC/USD"


def feed_of(symbol: str, path: str | None, seed: int, start_ns: int) -> MarketFeed:
    """Return the feed of a listed pair: a tick file, or the seeded market.

    Raises:
        BadInput: the pair is not listed, or has no usual price to start from.
    """
    pair: Pair = pair_of(symbol)
    if path is not None:
        return MarketFeed(pair, read_ticks(path))
    start_px = Decimal(_START_PX[pair.instrument.base])
    return MarketFeed(pair, seeded_ticks(seed, start_px, start_ns, pair.instrument.price_increment))


def settings_of(balances: Sequence[str], options: Sequence[str]) -> VenueSettings:
    """Build settings from `ASSET=AMOUNT` and `name=value` texts.

    Raises:
        Usage: a text that is not of that form, an unknown name, a value of another type.
    """
    values: dict[str, Any] = dict(_named(text, "setting") for text in options)
    if unknown := values.keys() - set(VenueSettings.__struct_fields__):
        raise Usage(f"setting {min(unknown)!r}", "there is none of that name", f"use one of {', '.join(VenueSettings.__struct_fields__)}")
    if balances:
        values["balances"] = {asset: decimal_from(amount, f"balance {asset}") for asset, amount in (_named(b, "balance") for b in balances)}
    try:
        return msgspec.convert({name: None if value == "none" else value for name, value in values.items()}, VenueSettings, strict=False)
    except msgspec.ValidationError as error:
        raise Usage("settings", str(error), "see docs/simulated-venue.md") from None


def _named(text: str, what: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise Usage(f"{what} {text!r}", "is not of the form NAME=VALUE", "write for example USD=100000")
    return name, value


def _key_of(text: str) -> tuple[str, str]:
    """Return key and secret from the two variables that `KEY_VARIABLE=SECRET_VARIABLE` names."""
    values = tuple(os.environ.get(name, "") for name in _named(text, "--key-env"))
    if not all(values):
        raise Usage("--key-env", "a variable that it names is not set", "export both, the secret in base64")
    try:
        base64.b64decode(values[1], validate=True)
    except ValueError:
        raise Usage("--key-env", "the secret is not base64", "encode it, as Kraken's are") from None
    return values[0], values[1]


def _venue(arguments: argparse.Namespace) -> SimulatedVenue:
    clock = Clock(arguments.speed)
    symbols: dict[str, str | None] = {}
    for text in arguments.ticks:
        named = re.fullmatch(r"([A-Z0-9]+/[A-Z0-9]+)=(.+)", text)
        symbols[named[1] if named else _DEFAULT_SYMBOL] = named[2] if named else text
    for symbol in arguments.symbol or ([] if symbols else [_DEFAULT_SYMBOL]):
        symbols.setdefault(symbol, None)
    return SimulatedVenue(
        [feed_of(symbol, path, arguments.seed + index, clock.start_ns) for index, (symbol, path) in enumerate(symbols.items())],
        clock=clock,
        settings=settings_of(arguments.balance, arguments.set),
        seed=arguments.seed,
        faults=[text for text in arguments.faults.split(",") if text],
        port=arguments.port,
        keys=dict(_key_of(text) for text in arguments.key_env),
        goes_on=not arguments.stop_at_end,
    )


def _parser() -> argparse.ArgumentParser:
    about = "A venue that speaks Kraken Spot WS v2, to test against."
    parser = argparse.ArgumentParser(prog="python -m venues.simulated", description=about)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--ticks", action="append", default=[], metavar="[SYMBOL=]FILE", help="tick file of a market; repeatable")
    parser.add_argument("--symbol", action="append", default=[], help=f"a market from the seed; repeatable (default {_DEFAULT_SYMBOL})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the market, the ids, the depth and the faults")
    parser.add_argument("--speed", type=float, default=1.0, help="market seconds per real second")
    parser.add_argument("--faults", default="", help=f"comma list of name[/p=P][/count=N][/on=LABEL]; names: all, {', '.join(FAULTS)}")
    parser.add_argument("--balance", action="append", default=[], metavar="ASSET=AMOUNT", help="what the account starts with; repeatable")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a venue setting; repeatable")
    parser.add_argument("--key-env", action="append", default=[], metavar="KEY=SECRET", help="variables of an API key to check; repeatable")
    parser.add_argument("--stop-at-end", action="store_true", help="end when the ticks end; else the market walks on")
    return parser


async def serve_until_told(venue: SimulatedVenue, stop_at_end: bool) -> None:
    """Run the venue, print where it is, and wait for a signal or the end of its market."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    url = await venue.start()
    ready = {
        "url": url,
        "http_url": venue.http_url,
        "token": venue.issue_token(),
        "symbols": venue.symbols,
        "clock": venue.clock.reading(),
    }
    _tell(ready)
    waits = [asyncio.create_task(told.wait())]
    waits.append(asyncio.create_task((venue.market_ended if stop_at_end else venue.market_broke).wait()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await venue.stop()
    books = venue.books()
    last = {"ended": True, "fills": len(books["fills"]), "open_orders": len(books["open_orders"]), "faults": books["faults"]}
    _tell(last)


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(encode_with_texts(line) + "\n")
    sys.stdout.flush()


def main(texts: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = _parser().parse_args(texts)
    try:
        if not 0 <= arguments.port <= 65_535:
            raise Usage("--port", f"{arguments.port} is not a port", "give 0 to 65535")
        asyncio.run(serve_until_told(_venue(arguments), arguments.stop_at_end))
    except HoldfastError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
