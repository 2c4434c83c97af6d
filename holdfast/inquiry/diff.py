"""Two events, field by field: what differs, with both sides."""

from typing import Any

import msgspec

MISSING = "nothing"


class Difference(msgspec.Struct, frozen=True):
    """A member of two JSON values that differs: its path (`commands[0].qty`), and both sides as JSON; "nothing" where absent."""

    path: str
    recorded: str
    decided: str


def differences(recorded: bytes, decided: bytes) -> list[Difference]:
    """Return what differs between two JSON documents, in the order of the recorded one; b"" is a document that is not there."""
    return list(_compared("", _decoded(recorded), _decoded(decided)))


class _Absent:
    pass


def _decoded(data: bytes) -> Any:
    return msgspec.json.decode(data) if data else _Absent()


def _compared(path: str, left: Any, right: Any) -> "list[Difference]":
    if isinstance(left, dict) and isinstance(right, dict):
        names = [*left, *(name for name in right if name not in left)]
        pairs = [(f"{path}.{name}" if path else name, left.get(name, _Absent()), right.get(name, _Absent())) for name in names]
    elif isinstance(left, list) and isinstance(right, list):
        longest = max(len(left), len(right))
        pairs = [(f"{path}[{at}]", _at(left, at), _at(right, at)) for at in range(longest)]
    else:
        # 1 is no true and no 1.0: what is compared is text that was written.
        alike = left == right and type(left) is type(right)
        return [] if alike else [Difference(path or "event", _json(left), _json(right))]
    return [difference for pair in pairs for difference in _compared(*pair)]


def _at(values: list[Any], at: int) -> Any:
    return values[at] if at < len(values) else _Absent()


def _json(value: Any) -> str:
    return MISSING if isinstance(value, _Absent) else msgspec.json.encode(value).decode()
