"""Writes views as CSV, JSON lines, Parquet or Arrow files, and gives them as Arrow tables.

CSV and JSON lines need the standard library alone and keep every digit: a Decimal is written as plain text, None as an
empty cell or null. Arrow and Parquet need pyarrow (extra `data`); there a Decimal is a decimal128 with 38 digits and 18
places, and a number that does not fit exactly is refused rather than rounded. The columns are in `docs/data.md`.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TextIO, get_args

import msgspec

from events.errors import BadInput, Usage

from .books import Books, view_named
from .exact import PLACES

if TYPE_CHECKING:
    import pyarrow

Rows = Iterable[msgspec.Struct]


def export(books: Books, names: Iterable[str], folder: Path, kind: str) -> list[Path]:
    """Write the named views into `folder`, one file each; return the files.

    Args:
        kind: "csv", "jsonl", "parquet" or "arrow".

    Raises:
        Usage: a view or a kind that there is not; nothing is written.
        BadInput: the folder cannot be written, pyarrow is missing, or a number does not fit; says which.
    """
    views = [view_named(name) for name in names]
    if kind not in _WRITERS:
        raise Usage("format", f"{kind!r} is not a format", f"choose one of {', '.join(_WRITERS)}")
    files = []
    for view in views:
        path = folder / f"{view.name}.{kind}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _WRITERS[kind](path, view.row_type, view.all(books))
        except OSError as problem:
            raise BadInput(str(path), problem.strerror or str(problem), "name a folder that can be written") from None
        files.append(path)
    return files


def table_from(books: Books, name: str) -> "pyarrow.Table":
    """Return a view as an Arrow table, which also speaks `__arrow_c_stream__` to polars, duckdb and others.

    Raises:
        Usage: there is no such view.
        BadInput: pyarrow is missing, or a number does not fit.
    """
    view = view_named(name)
    return _table(view.row_type, view.all(books))


def columns_of(name: str) -> list[tuple[str, str]]:
    """Return name and kind ("text", "int", "bool", "decimal") of every column of a view, with "?" where it may be missing."""
    return [(column, _KINDS[kind] + ("?" if is_optional else "")) for column, kind, is_optional in _columns(view_named(name).row_type)]


def write_csv(stream: TextIO, row_type: type[msgspec.Struct], rows: Rows) -> None:
    """Write rows as CSV with a header line; lines end with a newline alone."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(row_type.__struct_fields__)
    writer.writerows([_text(value) for value in msgspec.structs.astuple(row)] for row in rows)


def write_jsonl(stream: TextIO, row_type: type[msgspec.Struct], rows: Rows) -> None:
    """Write rows as one JSON object a line; Decimals are strings, so that no reader makes floats of them."""
    for row in rows:
        values = {name: _plain(getattr(row, name)) for name in row_type.__struct_fields__}
        stream.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else _plain(value)


def _csv_file(path: Path, row_type: type[msgspec.Struct], rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        write_csv(stream, row_type, rows)


def _jsonl_file(path: Path, row_type: type[msgspec.Struct], rows: Rows) -> None:
    with path.open("w", encoding="utf-8") as stream:
        write_jsonl(stream, row_type, rows)


def _parquet_file(path: Path, row_type: type[msgspec.Struct], rows: Rows) -> None:
    table = _table(row_type, rows)
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, path)


def _arrow_file(path: Path, row_type: type[msgspec.Struct], rows: Rows) -> None:
    table = _table(row_type, rows)
    import pyarrow

    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


_WRITERS: Mapping[str, Callable[[Path, type[msgspec.Struct], Rows], None]] = {
    "csv": _csv_file,
    "jsonl": _jsonl_file,
    "parquet": _parquet_file,
    "arrow": _arrow_file,
}
_KINDS: Mapping[type, str] = {str: "text", int: "int", bool: "bool", Decimal: "decimal"}


def _columns(row_type: type[msgspec.Struct]) -> list[tuple[str, type, bool]]:
    """Return name, Python type and whether it may be missing, of every column; a Literal of texts is text."""
    columns = []
    for field in msgspec.structs.fields(row_type):
        kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        columns.append((field.name, next((kind for kind in kinds if kind in _KINDS), str), type(None) in kinds))
    return columns


def _table(row_type: type[msgspec.Struct], rows: Rows) -> "pyarrow.Table":
    try:
        import pyarrow
    except ImportError:
        raise BadInput("Arrow and Parquet", "pyarrow is not installed", "pip install 'holdfast[data]', or choose csv or jsonl") from None
    types = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_(), Decimal: pyarrow.decimal128(38, PLACES)}
    taken = list(rows)
    fields, columns = [], []
    for name, kind, is_optional in _columns(row_type):
        values = [getattr(row, name) for row in taken]
        try:
            columns.append(pyarrow.array(values, type=types[kind]))
        except pyarrow.ArrowInvalid:
            raise BadInput(
                f"column {name}", f"a number does not fit {types[kind]}", "export csv or jsonl, which keep every digit"
            ) from None
        fields.append(pyarrow.field(name, types[kind], nullable=is_optional))
    return pyarrow.Table.from_arrays(columns, schema=pyarrow.schema(fields))
