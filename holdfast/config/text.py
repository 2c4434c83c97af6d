"""The settings as text: the example file, the listing with sources, and the JSON schema for editors."""

from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect as mi

from .load import Loaded
from .paths import all_paths, bare, description, joined, members, root, value_at
from .toml import toml_value
from .tree import Config

EXAMPLE_HEAD = """\
# Settings of Holdfast, with their defaults. Read as holdfast.toml from the working directory, or named by --config.
# An environment variable goes before the file (HOLDFAST__SIMULATED__SEED=7), --set before both (--set simulated.seed=7).
# Secrets are never written here: only the names of the variables or files that hold them.
"""
EXAMPLE_POSITION = """\
# Positions to open at the start, each as a plan; qty, prices and offsets are read exactly as written.
#
# [[positions]]
# symbol = "BTC/USD"
# side = "long"                     # or "short", which needs margin = true
# qty = 0.01                        # in the base asset
# trail_offset_bps = 80             # trailing stop, 80 basis points below the peak; or stop_price = 59000.0
# take_profit_price = 62000.0
# panic_pnl_bps = -300
# time_stop_secs = 3600
"""


def example_toml() -> str:
    """Return a file with every setting at its default, which loads as `Config()`."""
    return EXAMPLE_HEAD + "".join(_sections(root(), "")) + "\n" + EXAMPLE_POSITION


def listing(loaded: Loaded) -> Iterator[dict[str, object]]:
    """Yield path, value and source of every setting, in the order of the example file."""
    for path in all_paths():
        value = value_at(loaded.config, path)
        if isinstance(value, dict) and value:
            for key, below in value.items():
                yield {"setting": joined(path, key), "value": below, "source": loaded.source_of(joined(path, key))}
        else:
            yield {"setting": path, "value": value, "source": loaded.source_of(path)}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the settings, for editors that complete and check TOML."""
    schema = msgspec.json.schema(Config)
    _write_decimals_as_numbers(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "holdfast.toml", **schema}


def _sections(kind: mi.Type, path: str) -> Iterator[str]:
    """Yield the text of a section and of those below it."""
    own: list[str] = []
    below: list[tuple[mi.Type, str]] = []
    for name, member in members(kind).items():
        inner = joined(path, name)
        if members(member) or isinstance(bare(member), mi.DictType):
            below.append((member, inner))
        elif inner != "positions":
            own.append(_line(name, member, value_at(Config(), inner)))
    if path:
        yield f"\n{_about(kind)}[{path}]\n"
    if isinstance(bare(kind), mi.DictType):
        yield "".join(f"{key} = {toml_value(value)}\n" for key, value in value_at(Config(), path).items())
    yield "".join(own)
    for member, inner in below:
        yield from _sections(member, inner)


def _about(kind: mi.Type) -> str:
    text = description(kind)
    if not text:
        struct = bare(kind)
        doc = struct.cls.__doc__ if isinstance(struct, mi.StructType) else ""
        text = (doc or "").strip().partition("\n")[0]
    return f"# {text}\n" if text else ""


def _line(name: str, kind: mi.Type, value: object) -> str:
    text = f"{name} = {toml_value(value)}"
    about = description(kind)
    choices = bare(kind)
    if isinstance(choices, mi.LiteralType) and len(choices.values) > 1:
        others = " or ".join(f'"{other}"' for other in sorted(choices.values, key=str) if other != value)
        about = "; ".join(part for part in (f"or {others}", about) if part)
    return f"{text:<40}  # {about}\n" if about else f"{text}\n"


def _write_decimals_as_numbers(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            del schema["format"]
            schema["type"] = ["number", "string"]
        for below in schema.values():
            _write_decimals_as_numbers(below)
    elif isinstance(schema, list):
        for below in schema:
            _write_decimals_as_numbers(below)
