"""Takes secrets out of text before it is recorded or logged; everything else stays as it is, to the last byte.

Two ways, because each misses what the other finds:

- by value: the secrets that the process knows (from its configuration, or fetched like a WebSocket token), wherever they
  stand, also with `/` written as `\\/`, percent-encoded, and with the escapes of JSON;
- by name: the values of fields called token, api key, secret, signature, password, passphrase, one-time password, listen key
  and so on, as JSON members, as JSON inside a JSON string, as `name=value` of an address, as a header line.

It runs on every frame. Whatever has none of the names pays for some searches of short strings and nothing else.

Deliberately absent: secrets that no name announces and nobody told us (the third argument of Bybit's `auth` request): add
them with `Redactor.add` before they are sent.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "[redacted]"

# Shorter than this, a secret is replaced only where it is a whole JSON string: "1234" may be part of a price.
MIN_FREE_LENGTH = 8

_NAME = (
    r"(?:[\w.-]{0,64}?(?:token|api[_-]?key|api[_-]?sign|api[_-]?secret|secret(?:[_-]?key)?|private[_-]?key|access[_-]?key|listen[_-]?key"
    r"|signature|passphrase|passw(?:or)?d|authorization)|(?:[\w.-]{0,64}[_-])?(?:sign|t?otp))"
)
_DIGITS_TOO = r"(?:[\w.-]{0,64}?(?:passphrase|passw(?:or)?d)|(?:[\w.-]{0,64}[_-])?t?otp)"  # elsewhere a number is a number: "sign":-1
_HEADER = r"(?:[\w-]{0,64}-(?:key|apikey|sign|signature|passphrase|token|secret)|authorization)"

# An unfinished value (a frame that was cut) is a secret as well: the end of the text ends it.
_STRING_OR_LIST = r'(?:"(?!\[redacted\]")[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|\[[^][{}]*(?:\]|\Z))'
_MEMBER = re.compile(rf'("{_NAME}"\s*:\s*){_STRING_OR_LIST}', re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(rf'("{_DIGITS_TOO}"\s*:\s*)-?\d[\d.eE+-]*', re.IGNORECASE)
_NESTED = re.compile(rf'((\\+")(?:{_NAME})\2\s*:\s*)(?:\2(?!\[redacted\]\2).*?(?:\2|\Z)|-?\d[\d.eE+-]*)', re.IGNORECASE | re.DOTALL)
_PAIR = re.compile(rf"((?<![\w.-]){_NAME}=)[^&\s\"'<>\\]+", re.IGNORECASE)
_HEADER_LINE = re.compile(rf"((?<![\w\"-]){_HEADER}'?[ \t]*:[ \t]*'?)[^\r\n\"',}}\\]+", re.IGNORECASE)


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
        self._values: tuple[tuple[str, str], ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Add a value that became known while the process runs, before it is sent or received for the first time."""
        if len(secret) >= MIN_FREE_LENGTH:
            in_json = json.dumps(secret, ensure_ascii=False)[1:-1]
            in_address = quote(secret, safe="")
            in_lower_address = re.sub("%..", lambda escape: escape[0].lower(), in_address)
            forms = {secret, in_json, in_json.replace("/", "\\/"), in_address, in_lower_address}
            new = {(form, REDACTED) for form in forms}
        elif secret:
            new = {(f'"{secret}"', f'"{REDACTED}"')}
        else:
            return
        # The longest first: a secret that contains another one must go as a whole.
        self._values = tuple(sorted({*self._values, *new}, key=lambda pair: (-len(pair[0]), pair)))

    def redact(self, text: str) -> str:
        """Return `text` without secrets; the same object if there are none."""
        for value, instead in self._values:
            if value in text:
                text = text.replace(value, instead)
        if not may_name_a_secret(text):
            return text
        text = _MEMBER.sub(rf'\1"{REDACTED}"', text)
        text = _NUMBER.sub(rf'\1"{REDACTED}"', text)
        text = _NESTED.sub(rf"\1\2{REDACTED}\2", text)
        text = _PAIR.sub(rf"\1{REDACTED}", text)
        return _HEADER_LINE.sub(rf"\1{REDACTED}", text)

    def redact_bytes(self, data: bytes) -> bytes:
        """Return UTF-8 `data` without secrets; the same object if there are none. Bytes that are no UTF-8 are kept."""
        text = data.decode("utf-8", "surrogateescape")
        redacted = self.redact(text)
        return data if redacted is text else redacted.encode("utf-8", "surrogateescape")


_by_name = Redactor()


def redact(text: str) -> str:
    """Return `text` without the values of fields whose name announces a secret."""
    return _by_name.redact(text)
