"""The layers and the purity of the core, read from the imports and calls of every module (architecture.md, contract 1).

The core is what decides: `CORE` below and, since an import runs what it imports, every module that those reach. It may use
the modules of `ALLOWED` and nothing else from outside; what reads a clock, draws a number, logs or does I/O fails here.
"""

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A folder imports only folders before it. Venues and projections do not know each other.
LAYERS = ("events", "fsm", "projections", "venues", "replay", "holdfast")
STRANGERS = {("venues", "projections")}

CORE = (
    "events/*.py",
    "fsm/*.py",
    "projections/*.py",
    "venues/messages.py",
    "venues/*/codec*.py",
    "venues/*/translate*.py",
    "replay/pipeline.py",
)
NOT_CORE = {
    "projections/export.py": "writes files",
    "projections/catchup.py": "reads the store and writes rows",
}

ALLOWED = {
    "__future__", "abc", "array", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "heapq", "itertools", "json", "math", "msgspec", "operator", "re", "transitions", "types", "typing", "zlib",
}  # fmt: skip

# Within allowed modules and builtins: what answers differently each time, or touches the world. `hash` of a str differs
# from process to process, `id` from run to run.
FORBIDDEN_METHODS = {"now", "utcnow", "today", "fromtimestamp"}
FORBIDDEN_BUILTINS = {"open", "print", "input", "id", "hash", "eval", "exec", "__import__", "breakpoint", "globals", "vars"}

Sources = Mapping[str, str]


def read_sources() -> dict[str, str]:
    """Return the text of every module of the layers, by its path from the root ("fsm/order.py")."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))
    }


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_modules(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for every import, `from a import b` as "a" and as "a.b": b may be a module."""
    package = module_name(path).split(".")
    if not path.endswith("/__init__.py"):
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield node.lineno, source
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def layer_faults(sources: Sources) -> list[str]:
    """Return one sentence for every import that goes up, or to a stranger."""
    faults = []
    for path, source in sources.items():
        layer = path.split("/")[0]
        for line, module in imported_modules(path, ast.parse(source)):
            target = module.split(".")[0]
            if target not in LAYERS or target == layer:
                continue
            if LAYERS.index(target) > LAYERS.index(layer) or (layer, target) in STRANGERS:
                faults.append(f"{path}:{line}: {layer} may not import {module}")
    return list(dict.fromkeys(faults))


def core_paths(sources: Sources) -> dict[str, str]:
    """Return the modules of the core, each with the module that brought it in."""
    by_module = {module_name(path): path for path in sources}
    reached = {path: path for path in sources if path not in NOT_CORE and any(_matches(path, pattern) for pattern in CORE)}
    todo = list(reached)
    while todo:
        path = todo.pop()
        for _, module in imported_modules(path, ast.parse(sources[path])):
            parts = module.split(".")
            for count in range(1, len(parts) + 1):
                target = by_module.get(".".join(parts[:count]))
                if target is not None and target not in reached:
                    reached[target] = path
                    todo.append(target)
    return reached


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatch(path, pattern)


def purity_faults(sources: Sources) -> list[str]:
    """Return one sentence for every import and every call in the core that is not a function of its arguments."""
    faults = []
    for path, because in core_paths(sources).items():
        tree = ast.parse(sources[path])
        origin = "" if because == path else f" (part of the core because {because} imports it)"
        for line, module in imported_modules(path, tree):
            root = module.split(".")[0]
            if root not in LAYERS and root not in ALLOWED:
                faults.append(f"{path}:{line}: the core may not import {module}{origin}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_METHODS:
                faults.append(f"{path}:{node.lineno}: the core may not call .{node.attr}(): time comes inside facts{origin}")
            elif isinstance(node, ast.Name) and node.id in FORBIDDEN_BUILTINS and isinstance(node.ctx, ast.Load):
                faults.append(f"{path}:{node.lineno}: the core may not call {node.id}(){origin}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, float):
                faults.append(f"{path}:{node.lineno}: no float in the core, prices and quantities are exact: {node.value}{origin}")
    return list(dict.fromkeys(faults))


def test_a_folder_imports_only_folders_before_it() -> None:
    assert layer_faults(read_sources()) == []


def test_the_core_has_no_clock_no_randomness_and_no_io() -> None:
    assert purity_faults(read_sources()) == []


def test_every_layer_and_every_part_of_the_core_is_seen() -> None:
    sources = read_sources()
    assert {path.split("/")[0] for path in sources} == set(LAYERS)
    core = core_paths(sources)
    for pattern in CORE:
        assert any(_matches(path, pattern) for path in core), pattern
    assert not any(path.startswith("events/store/") for path in core)
    assert NOT_CORE.keys() <= sources.keys() - core.keys()


@pytest.mark.parametrize(
    ("path", "source", "sentence"),
    [
        ("events/planted.py", "from fsm.order import X", "events/planted.py:1: events may not import fsm.order"),
        ("venues/planted.py", "import projections", "venues/planted.py:1: venues may not import projections"),
        ("projections/planted.py", "def f():\n    import replay.lab", "projections/planted.py:2: projections may not import replay.lab"),
        ("fsm/planted.py", "from holdfast import engine", "fsm/planted.py:1: fsm may not import holdfast"),
    ],
)
def test_a_planted_import_against_the_layers_is_found(path: str, source: str, sentence: str) -> None:
    faults = layer_faults({**read_sources(), path: source})
    assert sentence in faults


def test_a_planted_relative_import_is_resolved() -> None:
    sources = {"fsm/__init__.py": "", "fsm/planted.py": "from .helper import f", "fsm/helper.py": "import random"}
    assert purity_faults(sources)[0].startswith("fsm/helper.py:1: the core may not import random")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import time", "the core may not import time"),
        ("import random", "the core may not import random"),
        ("import uuid", "the core may not import uuid"),
        ("import logging", "the core may not import logging"),
        ("import os", "the core may not import os"),
        ("import asyncio", "the core may not import asyncio"),
        ("from socket import socket", "the core may not import socket"),
        ("from pathlib import Path", "the core may not import pathlib"),
        ("import structlog", "the core may not import structlog"),
        ("from datetime import datetime\nx = datetime.now()", "the core may not call .now()"),
        ("import datetime as d\nx = d.date.today", "the core may not call .today()"),
        ("x = open('f')", "the core may not call open()"),
        ("x = hash('f')", "the core may not call hash()"),
        ("x = 0.5", "no float in the core"),
        ("from events.store import base", "(part of the core because fsm/planted.py imports it)"),
    ],
)
def test_a_planted_impurity_is_found(source: str, problem: str) -> None:
    sources = {"events/store/__init__.py": "", "events/store/base.py": "import sqlite3", "fsm/planted.py": source}
    assert any(problem in fault for fault in purity_faults(sources)), purity_faults(sources)


def test_what_the_core_reaches_is_held_to_the_same_rule() -> None:
    sources = {"venues/x/__init__.py": "", "venues/x/codec.py": "from . import times", "venues/x/times.py": "import time"}
    assert purity_faults(sources) == [
        "venues/x/times.py:1: the core may not import time (part of the core because venues/x/codec.py imports it)"
    ]
