import csv
import io
import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from booked import History
from played import Played

from events.errors import BadInput, Usage
from events.store import open_store
from projections.books import VIEWS, Books
from projections.export import columns_of, export, table_from, write_csv, write_jsonl

D = Decimal
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"


@pytest.fixture
def books() -> Books:
    played = Played()
    played.protected(px="60000.1", fees={"USD": "31.2", "KFEE": "4"})
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(170).fill(played.order("exit"), "0.3", None)
    books = Books()
    for number, event in played.events:
        books.apply(number, event)
    return books


def test_every_view_is_written_as_csv_with_a_header_and_every_digit(books: Books, tmp_path: Path) -> None:
    files = export(books, VIEWS, tmp_path / "out", "csv")
    assert [path.name for path in files] == [f"{name}.csv" for name in VIEWS]
    with (tmp_path / "out" / "ledger.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    usd = [D(row["amount"]) for row in rows if row["account"] == "position:hf000001" and row["asset"] == "USD"]
    assert usd == [D("-60000.1"), D("-31.2")]
    with (tmp_path / "out" / "fills.csv").open(newline="") as file:
        assert [row["last_px"] for row in csv.DictReader(file)] == ["60000.1", ""]


def test_json_lines_hold_money_as_text_and_what_is_missing_as_null(books: Books, tmp_path: Path) -> None:
    export(books, ["positions", "fills"], tmp_path, "jsonl")
    (position,) = [json.loads(line) for line in (tmp_path / "positions.jsonl").read_text().splitlines()]
    assert position["avg_entry_px"] == "60000.1"
    assert position["is_price_pending"] is True
    fills = [json.loads(line) for line in (tmp_path / "fills.jsonl").read_text().splitlines()]
    assert fills[1]["last_px"] is None


def test_numbers_are_never_written_with_an_exponent() -> None:
    history = History()
    history.request()
    history.fill("buy", "0.00000001", "0.00000002")
    books = Books()
    for number, event in history.events:
        books.apply(number, event)
    stream = io.StringIO()
    write_csv(stream, VIEWS["ledger"].row_type, VIEWS["ledger"].all(books))
    write_jsonl(stream, VIEWS["ledger"].row_type, VIEWS["ledger"].all(books))
    assert "-0.0000000000000002" in stream.getvalue()
    assert "E-" not in stream.getvalue()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_arrow_and_parquet_keep_columns_types_and_numbers(books: Books, tmp_path: Path, kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    files = export(books, VIEWS, tmp_path, kind)
    for path, name in zip(files, VIEWS, strict=True):
        table = parquet.read_table(path) if kind == "parquet" else pyarrow.ipc.open_file(path).read_all()
        assert table.schema.names == [column for column, _ in columns_of(name)]
        assert table.num_rows == len(list(VIEWS[name].all(books)))
    table = table_from(books, "ledger")
    assert table.schema.field("amount").type == pyarrow.decimal128(38, 18)
    assert table.column("amount").to_pylist() == [row.amount for row in books.ledger.postings]
    assert hasattr(table, "__arrow_c_stream__")


def test_a_number_that_arrow_would_round_is_refused() -> None:
    pytest.importorskip("pyarrow")
    history = History()
    history.request()
    history.fill("buy", "0.0000000000001", "0.0000001")
    books = Books()
    for number, event in history.events:
        books.apply(number, event)
    with pytest.raises(BadInput, match=r"column amount: a number does not fit decimal128.*; export csv or jsonl"):
        table_from(books, "ledger")


def test_without_pyarrow_arrow_is_refused_in_one_sentence(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"pyarrow is not installed; pip install 'holdfast\[data\]', or choose csv or jsonl"):
        export(books, ["fills"], tmp_path, "parquet")
    assert export(books, ["fills"], tmp_path, "csv")


def test_what_there_is_not_is_refused_before_anything_is_written(books: Books, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="'xlsx' is not a format; choose one of csv, jsonl, parquet, arrow"):
        export(books, ["fills"], tmp_path / "out", "xlsx")
    with pytest.raises(Usage, match="'trades' is not a view"):
        export(books, ["fills", "trades"], tmp_path / "out", "csv")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(books: Books, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="name a folder that can be written"):
        export(books, ["fills"], tmp_path / "file", "csv")


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    played = Played()
    played.protected()
    with open_store(str(tmp_path / "events.db")) as store:
        store.acquire_lease()
        store.append([event for _, event in played.events])
    example = DOCUMENT.read_text(encoding="utf-8").split("```python\n", 1)[1].split("```", 1)[0]
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ledger.parquet", "positions.parquet", "windows.parquet"]


@pytest.mark.parametrize("name", VIEWS)
def test_the_columns_are_documented(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"\n### {'lots' if name.startswith('lots_') else name}\n", 1)[1].split("\n### ", 1)[0]
    documented = [line.split("|")[1].strip().strip("`") for line in section.splitlines() if line.startswith("| `")]
    assert documented == [column for column, _ in columns_of(name)]
    kinds = [line.split("|")[2].strip() for line in section.splitlines() if line.startswith("| `")]
    assert kinds == [kind for _, kind in columns_of(name)]
