"""Data on standard output: as a table for people, or as JSON for programs.

Prices and quantities stay what they are: JSON has them as texts with all their digits, never as floats.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

Format = Literal["table", "json", "jsonl"]
Row = Mapping[str, object] | msgspec.Struct


def print_rows(rows: Iterable[Row], output: Format = "table", columns: Sequence[str] | None = None) -> None:
    """Write rows to standard output.

    Args:
        rows: dictionaries or Structs; JSON lines are written one by one as they come.
        output: "table" aligns columns, "json" is one array, "jsonl" one object a line.
        columns: which members a table shows, and in which order; those of the first row if None. JSON has all.
    """
    if output == "jsonl":
        for row in rows:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
    elif output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(list(rows)), indent=2).decode() + "\n")
    else:
        sys.stdout.write(table([_dictionary(row) for row in rows], columns))


def print_object(value: object, output: Format = "json") -> None:
    """Write one object to standard output: "jsonl" on one line, else indented, or as a table of name and value."""
    data = msgspec.json.encode(value)
    if output == "table":
        members = _dictionary(value) if isinstance(value, (Mapping, msgspec.Struct)) else {"value": value}
        sys.stdout.write(table([{"name": name, "value": member} for name, member in members.items()], ("name", "value"), head=False))
    else:
        sys.stdout.write((data if output == "jsonl" else msgspec.json.format(data, indent=2)).decode() + "\n")


def table(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None, *, head: bool = True, right: Collection[str] = ()
) -> str:
    """Return rows as aligned text, numbers and the columns of `right` to the right; "" for none."""
    if not rows:
        return ""
    names = list(columns or rows[0])
    lines = [[_cell(row.get(name)) for name in names] for row in rows]
    to_right = [name in right or all(isinstance(row.get(name), (int, Decimal, type(None))) for row in rows) for name in names]
    if head:
        lines.insert(0, [name.replace("_", " ") for name in names])
    widths = [max(len(line[index]) for line in lines) for index in range(len(names))]
    return "".join(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width) for cell, width, is_right in zip(line, widths, to_right, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (str, int)):
        return str(value)
    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _dictionary(row: object) -> Mapping[str, object]:
    if isinstance(row, msgspec.Struct):
        return {name: getattr(row, name) for name in row.__struct_fields__}
    assert isinstance(row, Mapping)
    return row
