import json
from decimal import Decimal

import msgspec
import pytest

from events.values import Side
from holdfast.output import print_object, print_rows, table


class Line(msgspec.Struct, frozen=True):
    symbol: str
    last_px: Decimal | None
    count: int
    is_open: bool = True
    side: Side = Side.BUY


ROWS = [Line("BTC/USD", Decimal("61800.30"), 3), Line("ETH/USD", None, 12, is_open=False)]


def test_a_table_is_aligned_with_numbers_to_the_right() -> None:
    text = table([{"symbol": "BTC/USD", "last_px": Decimal("1E+2"), "note": "a"}, {"symbol": "X", "last_px": None, "note": None}])
    assert text.splitlines() == [
        "symbol   last px  note",
        "BTC/USD      100  a",
        "X              -  -",
    ]


def test_structs_are_rows_and_json_keeps_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS)
    assert capsys.readouterr().out.splitlines()[1].split() == ["BTC/USD", "61800.30", "3", "yes", "buy"]
    print_rows(ROWS, "jsonl")
    assert [json.loads(line)["last_px"] for line in capsys.readouterr().out.splitlines()] == ["61800.30", None]
    print_rows(ROWS, "json")
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_columns_choose_what_a_table_shows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, "table", ["count", "symbol"])
    assert capsys.readouterr().out == "count  symbol\n    3  BTC/USD\n   12  ETH/USD\n"


def test_no_rows_print_nothing_but_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([])
    assert capsys.readouterr().out == ""
    print_rows([], "json")
    assert json.loads(capsys.readouterr().out) == []


def test_one_object_is_json_or_a_table_of_members(capsys: pytest.CaptureFixture[str]) -> None:
    print_object({"events": 12, "replay": "identical"}, "table")
    assert capsys.readouterr().out == "events  12\nreplay  identical\n"
    print_object({"events": 12}, "jsonl")
    assert capsys.readouterr().out == '{"events":12}\n'
