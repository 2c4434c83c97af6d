"""A seeded mutator: changes JSON by its structure, everything else by lines and bytes. The same seed gives the same inputs."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from .hostile import BYTES, VALUES

_RAW = "@@raw:{}@@"


class Mutator:
    """Makes inputs out of `seeds`, at most `max_bytes` long."""

    def __init__(self, seeds: Sequence[bytes], max_bytes: int = 16_384) -> None:
        self._seeds, self._max_bytes = list(seeds) or [b""], max_bytes

    def any(self, rng: Random) -> bytes:
        """Return a changed seed."""
        return self.changed(rng.choice(self._seeds), rng)

    def changed(self, data: bytes, rng: Random) -> bytes:
        """Return `data`, changed once to four times."""
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = (self._json_or_bytes if rng.random() < 0.7 else self._bytes)(data, rng)
        return data[: self._max_bytes]

    # --- JSON ---------------------------------------------------------------------------------------------------------

    def _json_or_bytes(self, data: bytes, rng: Random) -> bytes:
        lines = data.split(b"\n")
        index = rng.randrange(len(lines))
        try:
            tree = json.loads(lines[index])
        except (ValueError, RecursionError):
            return self._lines(lines, rng)
        if not isinstance(tree, (dict, list)):
            return self._lines(lines, rng)
        raws: list[str] = []
        _change(tree, rng, raws)
        try:
            text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            return self._bytes(data, rng)
        for number, raw in enumerate(raws):
            text = text.replace(f'"{_RAW.format(number)}"', raw, 1)
        lines[index] = text.encode("utf-8", "surrogatepass")
        return b"\n".join(lines)

    def _lines(self, lines: list[bytes], rng: Random) -> bytes:
        index, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        step = rng.randrange(6)
        if step == 0:
            del lines[index]
        elif step == 1:
            lines.insert(other, lines[index])
        elif step == 2:
            lines[index], lines[other] = lines[other], lines[index]
        elif step == 3:
            lines = lines[:index]
        else:
            # As TOML, a table and an environment write it: a value after an equals sign or a comma.
            sign = rng.choice((b"=", b","))
            head, found, _ = lines[index].partition(sign)
            value = rng.choice(VALUES).encode("utf-8", "surrogatepass")
            lines[index] = head + found + value if found else value
        return b"\n".join(lines)

    # --- bytes --------------------------------------------------------------------------------------------------------

    def _bytes(self, data: bytes, rng: Random) -> bytes:
        at = rng.randrange(len(data) + 1)
        step = rng.randrange(7)
        if step == 0:
            return data[:at]
        if step == 1:
            return data[:at] + data[at + rng.randrange(1, 9) :]
        if step == 2:
            return data[:at] + rng.choice(BYTES) + data[at:]
        if step == 3:
            return data[:at] + rng.choice(BYTES) + data[at + 1 :]
        if step == 4 and data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :]
        if step == 5:
            piece = data[at : at + rng.randrange(1, 65)]
            return data[:at] + piece * rng.choice((2, 3, 50)) + data[at:]
        other = rng.choice(self._seeds)
        start = rng.randrange(len(other) + 1)
        return data[:at] + other[start:]


def _change(tree: Any, rng: Random, raws: list[str]) -> None:
    """Change one place of a decoded JSON value."""
    holder, key = _place(tree, rng)
    if holder is None:
        return
    _STEPS[rng.randrange(len(_STEPS))](holder, key, rng, raws)


def _place(tree: Any, rng: Random) -> tuple[Any, Any]:
    # Down from the top, so that the many leaves of a large list do not hide the few fields above it.
    holder, key = None, None
    while isinstance(tree, (dict, list)) and tree:
        holder, key = tree, rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        tree = holder[key]
        if rng.random() < 0.15:
            break
    return holder, key


def _raw(raws: list[str], text: str) -> str:
    raws.append(text)
    return _RAW.format(len(raws) - 1)


def _replaced(holder: Any, key: Any, rng: Random, raws: list[str]) -> None:
    holder[key] = _raw(raws, rng.choice(VALUES))


def _removed(holder: Any, key: Any, rng: Random, raws: list[str]) -> None:
    del holder[key]


def _doubled(holder: Any, key: Any, rng: Random, raws: list[str]) -> None:
    if isinstance(holder, list):
        holder.insert(key, holder[key])
        return
    # The same name twice in one object, which a dictionary cannot hold.
    name, value = json.dumps(key), json.dumps(holder[key])
    holder[_raw(raws, f'{name}:{value},"x"')] = 1


def _swapped(holder: Any, key: Any, rng: Random, raws: list[str]) -> None:
    other = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    holder[key], holder[other] = holder[other], holder[key]


def _nudged(holder: Any, key: Any, rng: Random, raws: list[str]) -> None:
    value = holder[key]
    if isinstance(value, (int, float)):
        holder[key] = value * rng.choice((-1, 0, 2, 1000, 0.5)) if value == value and abs(value) < 1e300 else 1
    elif isinstance(value, str):
        holder[key] = rng.choice((value.upper(), value[:-1], value + "0", value[::-1], value * 3))
    else:
        holder[key] = [value]


def _renamed(holder: Any, key: Any, rng: Random, raws: list[str]) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(("", key + "x", key[:-1], "channel", "method", "type", "data", "k", "result", "error"))] = holder.pop(key)
    else:
        holder *= rng.choice((2, 3))


_STEPS: tuple[Callable[[Any, Any, Random, list[str]], None], ...] = (
    _replaced,
    _replaced,
    _replaced,
    _removed,
    _doubled,
    _swapped,
    _nudged,
    _renamed,
)
