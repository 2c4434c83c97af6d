"""The three places that settings come from, each read into the same shape of tree: file, environment, `--set`.

Later ones win: a TOML file, then `HOLDFAST__STORE__URL`, then `--set store.url=...`. Texts of the last two are read as what
the setting is: a text as it stands, a list of texts with commas, everything else as TOML writes it.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec.inspect as mi

from events.errors import BadInput, NotFound, Usage

from .paths import allows_none, bare, child, joined, root

PREFIX = "HOLDFAST__"
MAX_BYTES = 1 << 20
DEFAULT_FILE = Path("holdfast.toml")


@dataclass(frozen=True)
class Layer:
    """Settings of one place. `source` names it, for errors and for `config show`."""

    source: str
    tree: dict[str, Any]


def file_layer(path: Path) -> Layer:
    """Read a TOML file.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read, or is not TOML; the sentence has line and column.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("configuration file", source, "write one with: holdfast config example > holdfast.toml") from None
    except OSError as problem:
        raise BadInput(source, f"it cannot be read ({problem.strerror})", "name a TOML file that you may read") from None
    if len(data) > MAX_BYTES:
        raise BadInput(source, f"it is larger than {MAX_BYTES} bytes", "name a configuration file")
    try:
        text = data.decode()
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise BadInput(f"{source}, line {line}", "it is not UTF-8 text", "save the file as UTF-8") from None
    try:
        tree = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as problem:
        raise _not_toml(source, text, str(problem)) from None
    except (ArithmeticError, RecursionError, ValueError) as problem:
        raise BadInput(source, f"it is not TOML ({type(problem).__name__})", "see holdfast config example") from None
    return Layer(source, tree)


def _not_toml(source: str, text: str, problem: str) -> BadInput:
    what, _, where = problem.rpartition(" (at ")
    where = where.rstrip(")")
    if where == "end of document" or not what:
        what, where = what or problem, f"line {text.count(chr(10)) + 1} (its end)"
    return BadInput(f"{source}, {where}", what[:1].lower() + what[1:], "write it as TOML, see holdfast config example")


def environment_layers(environ: Mapping[str, str]) -> Iterator[Layer]:
    """Yield one layer for each variable `HOLDFAST__SECTION__NAME`, in the order of their names.

    Raises:
        BadInput: a variable that names no setting, or whose text cannot be its value.
    """
    for name in sorted(environ):
        if name.startswith(PREFIX):
            keys = name.removeprefix(PREFIX).split("__")
            yield _text_layer(f"environment {name}", keys, environ[name], lower=True)


def set_layers(texts: Sequence[str]) -> Iterator[Layer]:
    """Yield one layer for each `a.b=value`, in the order in which they were given.

    Raises:
        Usage: a text without "=".
        BadInput: it names no setting, or its value cannot be that setting's.
    """
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise Usage(f"--set {text!r}", "it is not of the form NAME=VALUE", "write for example --set simulated.seed=7")
        yield _text_layer(f"--set {path.strip()}", path.strip().split("."), value, lower=False)


def _text_layer(source: str, keys: list[str], text: str, *, lower: bool) -> Layer:
    kind, path = root(), ""
    tree: dict[str, Any] = {}
    below = tree
    if not _is_unicode(source + text):
        raise BadInput(f"{source}: {'.'.join(keys).lower()}", "it is not UTF-8 text", "write it in UTF-8")
    for index, raw in enumerate(keys):
        # The keys of a table of the user's, such as balances, are names of his own: "USD" stays "USD".
        key = raw.lower() if lower and not isinstance(bare(kind), mi.DictType) else raw
        kind, path = child(kind, key, path, source), joined(path, key)
        if index == len(keys) - 1:
            below[key] = _value_from(text, kind, f"{source}: {path}")
        else:
            below = below.setdefault(key, {})
    return Layer(source, tree)


def _is_unicode(text: str) -> bool:
    # Bytes of the command line or the environment that are no UTF-8 are half surrogate pairs here.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value_from(text: str, kind: mi.Type, place: str) -> Any:
    """Return the value that a text writes for a setting of this kind."""
    if text == "none" and allows_none(kind):
        return None
    kind = bare(kind)
    quoted = text[:1] in ('"', "'")
    if isinstance(kind, (mi.StrType, mi.LiteralType, mi.EnumType)) and not quoted:
        return text
    if isinstance(kind, mi.VarTupleType) and isinstance(bare(kind.item_type), mi.StrType) and not quoted and text[:1] != "[":
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        parsed = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError, ValueError):
        parsed = {}
    if parsed.keys() != {"value"}:
        raise BadInput(place, "that is not a value as TOML writes it", "write for example 7, 0.5, true or [\"a\", \"b\"]")
    return parsed["value"]
