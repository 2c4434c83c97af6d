"""Small mistakes in the text of the core, found in its syntax tree: each is one place and one change.

Imports nothing of the core, so that a process can change a module before it is imported.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# What decides: every module of `fsm/` itself. The runner of the tables is held by its own tests, cell by cell.
MODULES = tuple(f"fsm/{path.name}" for path in sorted((ROOT / "fsm").glob("*.py")) if path.name not in ("__init__.py", "table.py"))

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.LShift: ast.RShift,
}  # fmt: skip
_REMOVED = (ast.Assign, ast.AugAssign, ast.Expr, ast.If, ast.For, ast.Raise, ast.Return, ast.Continue, ast.Break, ast.Assert)
Change = Callable[[], None]


class Mutation(NamedTuple):
    """The `number`-th place of a module (a path from the root): what is changed there, and in which line."""

    module: str
    number: int
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.text}"


def mutations_of(module: str) -> list[Mutation]:
    """Return every mutation of a module, in the order of its text."""
    places = _places(ast.parse((ROOT / module).read_text(encoding="utf-8")))
    return [Mutation(module, number, line, text) for number, (line, text, _) in enumerate(places)]


def mutated(module: str, number: int, source: str) -> ast.Module:
    """Return the syntax tree of a module with one mutation in it."""
    tree = ast.parse(source)
    for place, (_, _, change) in enumerate(_places(tree)):
        if place == number:
            change()
            return ast.fix_missing_locations(tree)
    raise ValueError(f"{module} has no mutation {number}")


def plant(module: str, number: int) -> None:
    """Let this process import `module` with one mutation in it. It must not have been imported yet."""
    name = module.removesuffix(".py").replace("/", ".")
    assert name not in sys.modules, f"{name} is imported already"
    sys.meta_path.insert(0, _Finder(name, module, number))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, module: str, number: int) -> None:
        super().__init__(name, str(ROOT / module))
        # Made here: what cannot be compiled is a fault of the operators, not a mutant that was found.
        self._code: CodeType = compile(mutated(module, number, Path(self.path).read_text(encoding="utf-8")), self.path, "exec")

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, module: str, number: int) -> None:
        self._name, self._loader = name, _Loader(name, module, number)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self._loader) if fullname == self._name else None


# --- where, and what --------------------------------------------------------------------------------------------------


def _places(tree: ast.AST) -> Iterator[tuple[int, str, Change]]:
    for parent in _walk(tree):
        yield from _removals(parent)
        yield from _changes(parent)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs: no annotations, no docstrings, no imports, no names of types."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "keywords" if isinstance(node, ast.ClassDef) else ""):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Import | ast.ImportFrom):
                yield from _walk(child)


def _removals(parent: ast.AST) -> Iterator[tuple[int, str, Change]]:
    if isinstance(parent, ast.Module | ast.ClassDef):
        return
    for name in ("body", "orelse"):
        body = getattr(parent, name, None)
        if not isinstance(body, list):
            continue
        for index, statement in enumerate(body):
            if isinstance(statement, _REMOVED) and not _is_text(statement) and not _is_binding(statement):
                yield statement.lineno, f"removed: {ast.unparse(statement).splitlines()[0]}", _put(body, index, ast.Pass())


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_binding(statement: ast.stmt) -> bool:
    """Whether it gives a name its value: without it there is no name, and any test finds that."""
    return isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name | ast.Tuple)


def _changes(node: ast.AST) -> Iterator[tuple[int, str, Change]]:
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            other = _COMPARED[type(operator)]()
            yield node.lineno, f"{ast.unparse(node)}: {type(operator).__name__} to {type(other).__name__}", _put(node.ops, index, other)
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node.lineno, f"{ast.unparse(node)}: to {type(swapped).__name__}", _set(node, "op", swapped)
        for index, value in enumerate(node.values):
            # A tree has no "and" of one: what is left stands twice.
            rest = [v for place, v in enumerate(node.values) if place != index]
            yield node.lineno, f"{ast.unparse(node)}: without {ast.unparse(value)}", _set(node, "values", [*rest, rest[-1]])
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not isinstance(node.op, ast.BitOr):
        other_op = _COMPUTED[type(node.op)]()
        yield node.lineno, f"{ast.unparse(node)}: {type(node.op).__name__} to {type(other_op).__name__}", _set(node, "op", other_op)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.lineno, f"{ast.unparse(node)}: turned round", _set(node, "operand", ast.UnaryOp(node.op, node.operand))
    elif isinstance(node, ast.IfExp):
        yield node.lineno, f"{ast.unparse(node)}: always the first", _set(node, "test", ast.Constant(True))
        yield node.lineno, f"{ast.unparse(node)}: always the second", _set(node, "test", ast.Constant(False))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node.lineno, f"{node.value}: to {not node.value}", _set(node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield node.lineno, f"{node.value}: to {node.value + 1}", _set(node, "value", node.value + 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Row" and len(node.args) > 3:
        yield from _row(node.args, 3)
    elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[1], ast.Tuple) and isinstance(node.elts[0], ast.Name):
        yield from _row(node.elts, 0)


def _row(row: list[ast.expr], at: int) -> Iterator[tuple[int, str, Change]]:
    """Another target for a row of a table, and each of its commands dropped."""
    target = row[at]
    name = ast.unparse(target)
    if isinstance(target, ast.Name) and name.isupper() and name != "ANY":
        other = "Halted" if name == "SAME" else "="
        yield target.lineno, f"row to {name}: to {other}", _put(row, at, ast.Constant(other))
    if len(row) > at + 1 and isinstance(commands := row[at + 1], ast.Tuple):
        for index, command in enumerate(commands.elts):
            rest = [x for place, x in enumerate(commands.elts) if place != index]
            yield command.lineno, f"row to {name}: without {ast.unparse(command)}", _set(commands, "elts", rest)


def _put(items: list[Any], index: int, value: Any) -> Change:
    def change() -> None:
        items[index] = value

    return change


def _set(node: ast.AST, name: str, value: Any) -> Change:
    return lambda: setattr(node, name, value)
