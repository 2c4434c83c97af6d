"""orders, ledger and windows: rows of the books, for people and for programs."""

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from played import Played


def test_orders_say_what_became_of_each_and_how_fast(holdfast, log: Path, played: Played) -> None:
    said = holdfast("orders", "--store", log, "--at", "last")
    lines = {line.split()[0]: line.split() for line in said.out.splitlines() if line.startswith("hf")}
    stop = played.order("stop").client_order_id
    assert lines[stop][:7] == [stop, "stop", "sell", "trailing-stop", "Live", "1", "0"]
    assert lines[played.order("exit", "hf000002").client_order_id][4:8] == ["Filled", "1", "1", "102.00"]
    assert lines[played.order("stop", "hf00001a").client_order_id][4] == "Submitted"
    assert said.out.splitlines()[-1] == "7 orders, 2 may still fill"


def test_orders_of_one_position_are_its_own(holdfast, log: Path) -> None:
    rows = [json.loads(line) for line in holdfast("orders", "2", "--store", log, "-o", "jsonl").out.splitlines()]
    assert [row["role"] for row in rows] == ["entry", "stop", "exit"]
    assert {row["position_id"] for row in rows} == {"hf000002"}


def test_the_ledger_shows_postings_balances_and_that_they_balance(holdfast, log: Path) -> None:
    said = holdfast("ledger", "2", "--store", log)
    assert said.code == 0
    postings, balances, verdict = said.out.split("\n\n")
    assert len(postings.splitlines()) == 13
    assert "position:hf000002   1.4748  USD" in balances
    assert "commission:kraken   0.5252  USD" in balances
    assert verdict == "balanced: BTC sums to 0, USD sums to 0\n"


def test_the_ledger_as_json_has_postings_balances_and_totals(holdfast, log: Path) -> None:
    whole = json.loads(holdfast("ledger", "--store", log, "-o", "json").out)
    assert whole["balanced"] is True
    assert {asset: Decimal(amount) for asset, amount in whole["totals"].items()} == {"BTC": 0, "USD": 0}
    assert sum(Decimal(row["amount"]) for row in whole["balances"] if row["asset"] == "USD") == 0
    assert len(whole["postings"]) == 22
    lines = holdfast("ledger", "--balances", "--store", log, "-o", "jsonl").out.splitlines()
    assert {"account": "commission:kraken", "asset": "USD", "amount": "0.7852"} in [json.loads(line) for line in lines]


def test_an_empty_ledger_is_balanced_and_says_that_it_is_empty(holdfast, stored: Callable[..., Path]) -> None:
    said = holdfast("ledger", "--store", stored([]))
    assert (said.code, said.out) == (0, "")
    assert "nothing has been booked yet" in said.err


def test_windows_are_listed_with_causes_and_what_still_runs(holdfast, log: Path, played: Played) -> None:
    said = holdfast("windows", "--store", log, "--at", played.now_ns + 2_500_000_000)
    rows = [line.split() for line in said.out.splitlines() if line.startswith("hf")]
    assert [(row[0], row[-1]) for row in rows] == [
        ("hf000001", "entry_fill"),
        ("hf000002", "entry_fill"),
        ("hf000002", "cancel_first_exit"),
        ("hf00001a", "entry_fill"),
    ]
    assert "2.510 s  OVER    still runs  entry_fill" in said.out
    assert said.out.endswith("budget 2.000 s; 3 of 4 windows within it\n")


@pytest.mark.parametrize("form", [(), ("--summary",), ("-o", "json"), ("--summary", "-o", "jsonl")])
def test_windows_end_with_7_if_one_is_over_the_budget_and_with_0_if_none_is(holdfast, log: Path, played: Played, form: tuple[str]) -> None:
    just_over, within = (("--at", played.position("hf00001a").watch_ns + ns) for ns in (2_000_000_001, 2_000_000_000))
    assert holdfast("windows", "--store", log, *just_over, *form).code == 7
    assert holdfast("windows", "--store", log, *within, *form).code == 0
    assert holdfast("windows", "2", "--store", log, *just_over, *form).code == 0
    assert holdfast("windows", "--store", log, *just_over, "--set", "risk.unprotected_budget_ms=3000", *form).code == 0


def test_each_cause_of_a_window_has_a_line_of_its_own(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.at(2_500).rejected(played.order("stop", "hf00001a"))
    text = holdfast("windows", "1a", "--store", stored([event for _, event in played.events]), "--at", "last").out
    first, second = text.splitlines()[1:3]
    assert first.endswith("entry_fill 490 ms")
    assert second.split()[0] == "protection_rejected"
    assert second.index("protection_rejected") == first.index("entry_fill")


def test_the_summary_has_percentiles_for_each_cause(holdfast, log: Path, played: Played) -> None:
    at = ("--at", played.now_ns + 2_500_000_000)
    rows = json.loads(holdfast("windows", "--summary", "--store", log, *at, "-o", "json").out)
    assert [(row["cause"], row["count"], row["over"]) for row in rows] == [("all", 4, 1), ("entry_fill", 3, 1), ("cancel_first_exit", 1, 0)]
    text = holdfast("windows", "--summary", "--store", log, *at, "--set", "risk.unprotected_budget_ms=3000").out
    assert "4 of 4 windows within it" in text
    assert "hf0" not in text


def test_segments_are_rows_for_programs(holdfast, log: Path) -> None:
    rows = [json.loads(line) for line in holdfast("windows", "1a", "--store", log, "-o", "jsonl").out.splitlines()]
    assert [(row["cause"], row["to_ns"]) for row in rows] == [("entry_fill", None)]


@pytest.mark.parametrize(
    ("name", "files"), [("orders", ["orders", "fills"]), ("ledger", ["ledger", "fills"]), ("windows", ["windows", "unprotected"])]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_files_are_written_in_each_format(holdfast, log: Path, tmp_path: Path, name: str, files: list[str], kind: str) -> None:
    folder = tmp_path / "out"
    # hf00001a has been bare since the log ended, years ago: the files of the windows are written, and the code says so.
    assert holdfast(name, "--store", log, "--out", folder, "--format", kind).code == (7 if name == "windows" else 0)
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{file}.{kind}" for file in files)
    if kind == "csv":
        with (folder / f"{files[0]}.csv").open() as file:
            assert list(csv.DictReader(file))


def test_files_of_one_position_are_refused_with_the_way_to_get_them(holdfast, log: Path, tmp_path: Path) -> None:
    for name in ("orders", "ledger", "windows"):
        said = holdfast(name, "1", "--store", log, "--out", tmp_path / "out")
        assert said.code == 2
        assert "-o jsonl" in said.err
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_written_are_one_sentence(holdfast, log: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    said = holdfast("orders", "--store", log, "--out", tmp_path / "taken")
    assert said.code == 3
    assert "name a folder that can be written" in said.err
