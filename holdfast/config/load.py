"""Build the settings from their layers, and say of each where it came from.

Nothing is half accepted: an unknown name, a value of another type, a number out of range or a text that would be a secret
ends with one sentence that names the place, the path and the remedy.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import msgspec.inspect as mi

from events.errors import BadInput
from events.values import decimal_from
from venues.simulated.faults import Faults
from venues.simulated.pairs import pair_of

from .layers import DEFAULT_FILE, Layer, environment_layers, file_layer, set_layers
from .paths import bare, child, joined, kind_at, root, value_at
from .toml import toml_value
from .tree import Config

DEFAULT = "default"
MAX_SPEED = 10_000
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# What `events.store.open_store` opens.
STORES = ("sqlite", "postgresql", "postgres")
# msgspec speaks of JSON's and Python's types, a user of what he wrote.
_WORDS = {
    "Invalid decimal string": "expected a number, got a text", "Invalid enum value": "there is no choice",
    "Object missing required field": "it lacks", "matching regex": "of the form", "object": "a section", "array": "a list",
    "int": "a whole number", "decimal": "a fraction", "float": "a fraction", "str": "a text", "bool": "true or false",
}  # fmt: skip
_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?(.*?)`)?", re.DOTALL)


@dataclass(frozen=True)
class Loaded:
    """Settings, and for each path that is set the place that set it; what is not in `sources` is the default."""

    config: Config
    sources: Mapping[str, str]

    def source_of(self, path: str) -> str:
        """Return where the value at `path` came from: "default", a file, a variable, or an option."""
        return _source_of(self.sources, path)


def load_config(path: Path | None = None, *, environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()) -> Loaded:
    """Return the settings of file < environment < `--set`.

    Args:
        path: the TOML file; None reads `holdfast.toml` of the working directory if there is one.
        environ: the environment, the process's own if None.
        sets: texts `a.b=value`.

    Raises:
        NotFound: `path` does not exist.
        BadInput: a setting that cannot be; names place and path.
        Usage: a text of `sets` without "=".
    """
    layers: list[Layer] = []
    if path is not None or DEFAULT_FILE.is_file():
        layers.append(file_layer(path or DEFAULT_FILE))
    layers += environment_layers(os.environ if environ is None else environ)
    layers += set_layers(sets)
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        _check_names(layer.tree, root(), "", layer.source)
        _merge(tree, layer.tree, layer.source, "", sources)
    config = _built(tree, sources)
    config = _with_timing(config, tree)
    _check_values(config, sources)
    return Loaded(config, sources)


def _check_names(value: object, kind: mi.Type, path: str, source: str) -> None:
    """Raise BadInput at the first name that is none."""
    kind = bare(kind)
    if isinstance(value, dict) and isinstance(kind, (mi.StructType, mi.DictType)):
        for key, below in value.items():
            _check_names(below, child(kind, key, path, source), joined(path, key), source)
    elif isinstance(value, list) and isinstance(kind, mi.VarTupleType):
        for index, below in enumerate(value):
            _check_names(below, kind.item_type, f"{path}[{index}]", source)


def _merge(into: dict[str, Any], new: dict[str, Any], source: str, parent: str, sources: dict[str, str]) -> None:
    for key, value in new.items():
        path = joined(parent, key)
        if isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], value, source, path, sources)
        else:
            into[key] = value
            sources[path] = source


def _built(tree: dict[str, Any], sources: Mapping[str, str]) -> Config:
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        found = _AT.fullmatch(str(error))
        assert found is not None
        problem, path = found[1].replace("`", ""), (found[2] or "").replace("[...]", "")
        for theirs, ours in _WORDS.items():
            problem = re.sub(rf"\b{theirs}\b", ours, problem)
        raise BadInput(_place(sources, path), problem[:1].lower() + problem[1:], _remedy(problem, path)) from None


def _remedy(problem: str, path: str) -> str:
    if problem.startswith("it lacks"):
        return "add it"
    kind = bare(kind_at(path))
    if isinstance(kind, mi.LiteralType):
        return f"use one of {', '.join(sorted(map(str, kind.values)))}"
    if isinstance(kind, mi.EnumType):
        return f"use one of {', '.join(sorted(str(member.value) for member in kind.cls))}"
    if isinstance(kind, mi.StructType):
        return f"write it as a section, [{path}]"
    try:
        return f"write it like the default, {toml_value(value_at(Config(), path))}"
    except (AttributeError, IndexError, KeyError):
        return "see holdfast config example"


def _with_timing(config: Config, tree: dict[str, Any]) -> Config:
    """Give the time limits of `[timing]` to the positions that name none of their own."""
    plans = (
        plan if "timing" in given else msgspec.structs.replace(plan, timing=config.timing)
        for plan, given in zip(config.positions, tree.get("positions", ()), strict=True)
    )
    return msgspec.structs.replace(config, positions=tuple(plans))


def _check_values(config: Config, sources: Mapping[str, str]) -> None:
    """Raise BadInput for what types and ranges cannot say."""
    for path, value in _decimals(config, ""):
        decimal_from(value, _place(sources, path))
    speed = config.simulated.speed
    if not 0 < speed <= MAX_SPEED:
        raise BadInput(_place(sources, "simulated.speed"), f"{speed} is not above 0 and up to {MAX_SPEED}", "write for example 20")
    for section, least in (("timing", 1), ("simulated.settings", 0)):
        struct = value_at(config, section)
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if type(value) in (int, Decimal) and value < least:
                raise BadInput(_place(sources, f"{section}.{name}"), f"{value} is below {least}", f"write {least} or more")
    for asset, amount in config.simulated.settings.balances.items():
        if amount < 0:
            place = _place(sources, f"simulated.settings.balances.{asset}")
            raise BadInput(place, f"{amount} is below 0", "write 0 or more")
    for name, schemes in (("public_url", ("wss", "ws")), ("private_url", ("wss", "ws")), ("rest_url", ("https", "http"))):
        _check_address(getattr(config.venue, name), schemes, _place(sources, f"venue.{name}"))
    _check_store(config.store.url, _place(sources, "store.url"))
    for text in config.simulated.faults:
        try:
            Faults().switch_on([text])
        except BadInput as error:
            raise BadInput(f"{_place(sources, 'simulated.faults')}: {error.place}", error.problem, error.remedy) from None
    if config.venue.kind == "simulated":
        for symbol in config.venue.symbols:
            try:
                pair_of(symbol)
            except BadInput as error:
                raise BadInput(f"{_place(sources, 'venue.symbols')}: {error.place}", error.problem, error.remedy) from None
    for index, plan in enumerate(config.positions):
        if plan.symbol not in config.venue.symbols:
            place = _place(sources, f"positions[{index}].symbol")
            raise BadInput(place, f"{plan.symbol!r} is not among venue.symbols", f"use one of {', '.join(config.venue.symbols)}, or add it")


def _decimals(value: object, path: str) -> Iterator[tuple[str, Decimal]]:
    if isinstance(value, Decimal):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _decimals(getattr(value, name), joined(path, name))
    elif isinstance(value, dict):
        for name, below in value.items():
            yield from _decimals(below, joined(path, name))
    elif isinstance(value, tuple):
        for index, below in enumerate(value):
            yield from _decimals(below, f"{path}[{index}]")


def _check_store(url: str, place: str) -> None:
    if "://" not in url:
        return
    scheme = url.partition("://")[0]
    if scheme not in STORES:
        raise BadInput(place, f"{scheme + '://'!r} is not a kind of store", "name a file or a postgresql:// address")
    try:
        password = urlsplit(url).password
    except ValueError:
        raise BadInput(place, "it is not an address", "write postgresql://USER@HOST/DATABASE, or the path of a file") from None
    if password is not None:
        raise BadInput(place, "it contains a password", "leave it out, and name the variable that holds it in store.password_env")


def _check_address(address: str, schemes: tuple[str, str], place: str) -> None:
    secure, plain = schemes
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in schemes:
        raise BadInput(place, f"it is not an address of kind {secure}://", f"write {secure}://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise BadInput(place, "it contains a user or password", "leave them out; keys go by venue.api_key_env")
    if parts.scheme == plain and host not in LOOPBACK:
        raise BadInput(place, f"{plain}:// would send the orders of this account unencrypted to {host}", f"use {secure}://")


def _source_of(sources: Mapping[str, str], path: str) -> str:
    while path:
        if path in sources:
            return sources[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return DEFAULT


def _place(sources: Mapping[str, str], path: str) -> str:
    source = _source_of(sources, path)
    if source == DEFAULT and path:
        # A whole table in place of a value, or a missing value: the source is that of something below or beside it.
        parent = path[: max(path.rfind("."), path.rfind("["), 0)]
        source = next((found for other, found in sources.items() if other.startswith((path + ".", parent + "."))), DEFAULT)
    return f"{source}: {path}" if path else source
