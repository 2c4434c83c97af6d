"""The JSON of Kraken's WebSocket v2: numbers are bare numbers with the engine's digits, both ways; times are RFC 3339.

Pure. `decode` never gives a float (a JSON number with a point or an exponent becomes a Decimal) and bounds what a
hostile client can make it do: length, digits, exponent (depth is bounded by the parser, which raises RecursionError).
"""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from events.errors import NotFinite
from events.values import decimal_from

MAX_TEXT = 1 << 20

# Raw, because a text from `decimal_format` is written in quotes; Kraken's numbers are bare.
_encoder = msgspec.json.Encoder(decimal_format=lambda number: msgspec.Raw(format(number, "f").encode()))
# Not "string": that writes a zero of eight digits as 0E-8.
_text_encoder = msgspec.json.Encoder(decimal_format=lambda number: format(number, "f"))
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WireError(Exception):
    """A text that is not a JSON object this venue can read. The text of the error is what the client is told."""


def encode(frame: Any) -> str:
    """Return `frame` as compact JSON text, each Decimal as a bare number with its own digits."""
    return _encoder.encode(frame).decode()


def encode_with_texts(value: Any) -> str:
    """Return `value` as compact JSON text, each Decimal as a string: exact for any reader, as REST answers are."""
    return _text_encoder.encode(value).decode()


def decode(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object that `text` writes; numbers are int or Decimal.

    Raises:
        WireError: not text, too long, not an object, or a number outside of what a venue means.
    """
    if isinstance(text, bytes):
        raise WireError("Binary frames are not supported")
    if len(text) > MAX_TEXT:
        raise WireError("Message too large")
    try:
        value = _decoder.decode(text)
    except (ValueError, NotFinite, RecursionError):
        raise WireError("Malformed JSON") from None
    if not isinstance(value, dict) or ("\\u" in text and not _is_text(value)):
        raise WireError("Malformed JSON")
    return value


def _is_text(value: Any) -> bool:
    # Half a surrogate pair is JSON, but no text that an answer could quote.
    try:
        encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _number(text: str) -> Decimal:
    return decimal_from(text, "number")


def _integer(text: str) -> int:
    if len(text) > 24:
        raise ValueError("number too long")
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse)


def time_text(ns: int) -> str:
    """Return UTC nanoseconds as `2024-05-18T12:05:50.293682Z`, cut to microseconds."""
    seconds, rest_ns = divmod(ns, 1_000_000_000)
    return f"{_second_text(seconds)}.{rest_ns // 1000:06d}Z"


def time_text_seconds(ns: int) -> str:
    """Return UTC nanoseconds as `2024-05-19T19:22:20Z`, cut to seconds."""
    return f"{_second_text(ns // 1_000_000_000)}Z"


@lru_cache(maxsize=256)
def _second_text(seconds: int) -> str:
    # What is told together is mostly of the same second.
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


def ns_from_time(text: str) -> int:
    """Return the UTC nanoseconds of an RFC 3339 time.

    Raises:
        ValueError: not such a time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
