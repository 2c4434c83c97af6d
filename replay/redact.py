"""Takes secrets out of text before it is recorded or logged; everything else stays as it is, to the last byte.

Two ways, because each misses what the other finds:

- by value: the secrets that the process knows (from its configuration, or fetched like a WebSocket token), wherever they
  stand, also percent-encoded, and with the backslashes of JSON in JSON;
- by name: the values of fields called token, api key, secret, signature, password, passphrase, one-time password, listen key
  and so on, as JSON members, as JSON inside a JSON string, as `name=value` of an address, as a header line.

It runs on every frame. Whatever has none of the names pays for some searches of short strings and nothing else.

Deliberately absent: secrets that no name announces and nobody told us (the third argument of Bybit's `auth` request): add
them with `Redactor.add` before they are sent.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote

REDACTED = "[redacted]"

# Shorter than this, a secret is replaced only where it is a whole JSON string: "1234" may be part of a price.
MIN_FREE_LENGTH = 8

# What every telling name has in it. Searched for in text in lower case.
_STEMS = ("token", "key", "sign", "secret", "pass", "otp", "authorization")

_NAME = re.compile(
    r".*(?:token|api[_-]?key|api[_-]?sign|secret|secret[_-]?key|private[_-]?key|access[_-]?key|listen[_-]?key"
    r"|signature|passphrase|passw(?:or)?d|authorization)|(?:.*[_-])?(?:sign|t?otp)",
    re.IGNORECASE,
)
_NUMERIC_NAME = re.compile(r".*(?:passphrase|passw(?:or)?d)|(?:.*[_-])?t?otp", re.IGNORECASE)  # elsewhere a number is a number: "sign":-1
_HEADER_NAME = re.compile(r".*-(?:key|apikey|sign|signature|passphrase|token|secret)|authorization", re.IGNORECASE)
MAX_NAME_LENGTH = 80
# No frame names more secrets than this. A text that does costs about a second a megabyte, and is withheld as a whole.
MAX_NAMED = 1_000

# From the end of a name on: group 1 stays, the rest goes. A value that the text's end cuts is a secret as well.
_MEMBER = re.compile(r'("\s*:\s*)(?:"(?!\[redacted\]")[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|\[[^][{}]*(?:\]|\Z))', re.DOTALL)
_NUMBER = re.compile(r'("\s*:\s*)-?\d[\d.eE+-]*')
_NESTED = re.compile(r'((\\+")\s*:\s*)(?:\2(?!\[redacted\]\2).*?(?:\2|\Z)|-?\d[\d.eE+-]*)', re.DOTALL)
_PAIR = re.compile(r"(=)[^&\s\"'<>\\]+")
_HEADER = re.compile(r"('?[ \t]*:[ \t]*'?)[^\r\n\"',}\\]+")

_WORD = re.compile(r"[\w.-]*")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def may_name_a_secret(text: str) -> bool:
    """Tell, fast, whether one of the names can be in `text`. The single letters are there to skip the searches after them."""
    low = text.lower()
    return (
        ("k" in low and ("token" in low or "key" in low))
        or ("g" in low and "sign" in low)
        or "secret" in low
        or "pass" in low
        or "otp" in low
        or ("z" in low and "authorization" in low)
    )


class Redactor:
    """Replaces secrets by `[redacted]`. Doing it twice changes nothing more.

    Args:
        secrets: values that must never be recorded. Empty ones are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self._values: tuple[tuple[str, str], ...] = ()
        self._escaped: tuple[re.Pattern[str], ...] = ()
        self._know(secrets)

    def add(self, secret: str) -> None:
        """Add a value that became known while the process runs, before it is sent or received for the first time."""
        self._know((*self._secrets, secret))

    def discard(self, secret: str) -> None:
        """Forget a value that opens nothing any more: a process that runs for months must not search for all it ever had."""
        self._know(kept for kept in self._secrets if kept != secret)

    def _know(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(dict.fromkeys(secret for secret in secrets if secret))
        values: set[tuple[str, str]] = set()
        escaped: set[re.Pattern[str]] = set()
        for secret in self._secrets:
            if len(secret) < MIN_FREE_LENGTH:
                values.add((f'"{secret}"', f'"{REDACTED}"'))
                continue
            in_address = quote(secret, safe="")
            in_lower_address = re.sub("%..", lambda escape: escape[0].lower(), in_address)
            values |= {(form, REDACTED) for form in (secret, in_address, in_lower_address)}
            # JSON in JSON in JSON: however many backslashes the escapes have become, they stand before characters of the secret.
            escaped.add(re.compile(r"\\*".join(re.escape(character) for character in secret if character != "\\")))
        # The longest first: a secret that contains another one must go as a whole.
        self._values = tuple(sorted(values, key=lambda pair: (-len(pair[0]), pair)))
        self._escaped = tuple(sorted(escaped, key=lambda pattern: (-len(pattern.pattern), pattern.pattern)))

    def redact(self, text: str) -> str:
        """Return `text` without secrets; the same object if there are none."""
        for value, instead in self._values:
            if value in text:
                text = text.replace(value, instead)
        if self._escaped and "\\" in text:
            for pattern in self._escaped:
                text = pattern.sub(REDACTED, text)
        return _without_named(text) if may_name_a_secret(text) else text

    def redact_bytes(self, data: bytes) -> bytes:
        """Return UTF-8 `data` without secrets; the same object if there are none. Bytes that are no UTF-8 are kept."""
        text = data.decode("utf-8", "surrogateescape")
        redacted = self.redact(text)
        return data if redacted is text else redacted.encode("utf-8", "surrogateescape")


def _without_named(text: str) -> str:
    """Replace the values of telling names. Looks only at the places that have a stem in them: a frame may have a megabyte."""
    low = text.lower()
    if len(low) != len(text):
        low = text.translate(_LOWER)  # a few letters become two in lower case, and the places would not fit
    kept: list[str] = []
    done = seen = 0
    for at in sorted({at for stem in _STEMS for at in _places(low, stem)}):
        if at < seen:
            continue
        start = at
        while start > done and at - start < MAX_NAME_LENGTH and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
            start -= 1
        word = _WORD.match(text, at)
        assert word is not None
        seen = word.end()
        found = _value(text, start, seen)
        if found is not None:
            pattern, instead = found
            value = pattern.match(text, seen)
            if value is not None:
                kept += (text[done:seen], value.expand(instead))
                done = seen = value.end()
                if len(kept) > 2 * MAX_NAMED:
                    return REDACTED
    kept.append(text[done:])
    return "".join(kept) if done else text


def _places(low: str, stem: str) -> Iterator[int]:
    at = low.find(stem)
    while at >= 0:
        yield at
        at = low.find(stem, at + len(stem))


def _value(text: str, start: int, end: int) -> tuple[re.Pattern[str], str] | None:
    """Return how the value of the name at `start` to `end` is found and replaced, None if the name tells of no secret."""
    name = text[start : min(end, start + MAX_NAME_LENGTH + 1)]
    is_secret, is_numeric, is_header = _kind_of(name)
    before, after = text[start - 1 : start], text[end : end + 1]
    if after == '"' and before == '"' and is_secret:
        is_number = is_numeric and _NUMBER.match(text, end) is not None
        return (_NUMBER if is_number else _MEMBER), rf'\1"{REDACTED}"'
    if after == "\\" and before == '"' and is_secret:
        return _NESTED, rf"\1\2{REDACTED}\2"
    if after == "=" and is_secret:
        return _PAIR, rf"\1{REDACTED}"
    if before != '"' and is_header:
        return _HEADER, rf"\1{REDACTED}"
    return None


@lru_cache(4096)
def _kind_of(name: str) -> tuple[bool, bool, bool]:
    """Tell whether a name announces a secret, one that may be a number, and whether it is that of a header."""
    if len(name) > MAX_NAME_LENGTH:
        return False, False, False
    return tuple(pattern.fullmatch(name) is not None for pattern in (_NAME, _NUMERIC_NAME, _HEADER_NAME))  # type: ignore[return-value]


_by_name = Redactor()


def redact(text: str) -> str:
    """Return `text` without the values of fields whose name announces a secret."""
    return _by_name.redact(text)
