"""What the tree of settings looks like from outside: which paths there are, and of which kind each is.

A path is written as in TOML: `simulated.seed`, `positions[0].qty`, `simulated.settings.balances.USD`.
"""

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec.inspect as mi

from events.errors import BadInput

from .tree import Config

# Of a name that is none, that much is quoted.
MAX_NAME = 120


@cache
def root() -> mi.Type:
    """Return what msgspec knows of the whole tree."""
    return mi.type_info(Config)


def bare(kind: mi.Type) -> mi.Type:
    """Return a kind without its description and without `None` beside it."""
    while isinstance(kind, mi.Metadata):
        kind = kind.type
    if isinstance(kind, mi.UnionType):
        others = [one for one in kind.types if not isinstance(one, mi.NoneType)]
        if len(others) == 1:
            return bare(others[0])
    return kind


def members(kind: mi.Type) -> dict[str, mi.Type]:
    """Return the settings of a section by name; none for anything else."""
    kind = bare(kind)
    return {field.encode_name: field.type for field in kind.fields} if isinstance(kind, mi.StructType) else {}


def allows_none(kind: mi.Type) -> bool:
    while isinstance(kind, mi.Metadata):
        kind = kind.type
    return isinstance(kind, mi.UnionType) and kind.includes_none


def child(kind: mi.Type, key: str, parent: str, place: str) -> mi.Type:
    """Return the kind of the setting `key` of a section.

    Raises:
        BadInput: there is none of that name; the sentence has the nearest one that exists.
    """
    kind = bare(kind)
    if isinstance(kind, mi.DictType):
        return kind.value_type
    names = members(kind)
    if key in names:
        return names[key]
    path = joined(parent, key)[:MAX_NAME]
    if not names:
        raise BadInput(f"{place}: {path}", f"{parent} is one value and has no settings below it", f"set {parent}")
    raise BadInput(f"{place}: {path}", "there is no such setting", nearest(key, parent, names))


def kind_at(path: str) -> mi.Type:
    """Return the kind of the setting at a path that exists."""
    kind, parent = root(), ""
    for part in path.replace("[", ".[").split("."):
        if part.startswith("["):
            listed = bare(kind)
            assert isinstance(listed, mi.VarTupleType)
            kind = listed.item_type
        elif part:
            kind = child(kind, part, parent, path)
        parent = joined(parent, part)
    return kind


def nearest(key: str, parent: str, names: dict[str, mi.Type]) -> str:
    """Return the remedy for a name that does not exist: a similar one here, the same one elsewhere, or what there is."""
    if close := difflib.get_close_matches(key, names, n=1):
        return f"did you mean {joined(parent, close[0])}?"
    leaves = {path: path.rpartition(".")[2] for path in all_paths()}
    if close := difflib.get_close_matches(key, sorted(set(leaves.values())), n=1, cutoff=0.75):
        return f"did you mean {min(path for path, leaf in leaves.items() if leaf == close[0])}?"
    return f"{parent} has {', '.join(names)}" if parent else f"the sections are {', '.join(names)}"


@cache
def all_paths() -> tuple[str, ...]:
    """Return the path of every setting, in the order of the file; what is below a list or table of the user's is left out."""
    return tuple(_paths(root(), ""))


def _paths(kind: mi.Type, parent: str) -> Iterator[str]:
    for name, below in members(kind).items():
        path = joined(parent, name)
        if members(below):
            yield from _paths(below, path)
        else:
            yield path


def joined(parent: str, key: str) -> str:
    return f"{parent}.{key}" if parent else key


def description(kind: mi.Type) -> str:
    """Return the sentence that belongs to a setting, "" if it has none."""
    found = ""
    while isinstance(kind, mi.Metadata):
        found = str((kind.extra_json_schema or {}).get("description", "")) or found
        kind = kind.type
    return found


def value_at(tree: Any, path: str) -> Any:
    """Return what a built tree of Structs, lists and tables has at `path`."""
    for part in path.replace("[", ".").replace("]", "").split("."):
        tree = tree[part] if isinstance(tree, dict) else tree[int(part)] if isinstance(tree, (list, tuple)) else getattr(tree, part)
    return tree
