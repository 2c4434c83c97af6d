import json
from pathlib import Path

import pytest

from events.store import open_store


def test_a_row_says_what_is_held_covered_and_made(holdfast, log: Path) -> None:
    said = holdfast("positions", "--store", log, "--at", "last")
    assert said.code == 0
    head, first, second, third, blank, sums = said.out.splitlines()
    assert head.split() == ["position", "side", "qty", "held", "covered", "entry", "exit", "pnl", "state", "lasted", "uncovered"]
    assert first.split() == ["hf000001", "long", "1", "1", "1", "100.00", "-", "0.00", "Tightening", "2.020", "s", "40", "ms"]
    assert second.split()[:8] == ["hf000002", "long", "1", "-", "-", "100.00", "102.00", "1.47"]
    assert "Closed by signal" in second
    assert third.split()[-3:] == ["ms", "10", "ms"]
    assert blank == ""
    assert sums == "3 positions of BTC/USD, 2 open; realized +1.47 USD"


def test_open_leaves_out_what_has_ended_and_json_has_every_digit(holdfast, log: Path) -> None:
    rows = json.loads(holdfast("positions", "--store", log, "--open", "-o", "json").out)
    assert [row["position_id"] for row in rows] == ["hf000001", "hf00001a"]
    lines = holdfast("positions", "--store", log, "--all", "-o", "jsonl").out.splitlines()
    assert json.loads(lines[1])["realized_pnl"] == "1.4748"
    assert json.loads(lines[0])["protected_qty"] == "1.0000"


def test_moments_are_iso_or_raw_when_asked_for(holdfast, log: Path) -> None:
    assert "2023-11-14T22:13:22.000Z" in holdfast("positions", "--store", log, "--times", "iso").out
    assert "1700000002000000000" in holdfast("positions", "--store", log, "--times", "raw").out


def test_a_store_that_an_engine_writes_is_read_and_its_lease_left_alone(holdfast, log: Path) -> None:
    with open_store(str(log)) as store:
        lease = store.acquire_lease()
        assert "3 positions" in holdfast("positions", "--store", log).out
        token = lease.token
        lease.release()
        assert store.acquire_lease().token == token + 1


def test_files_have_every_column(holdfast, log: Path, tmp_path: Path) -> None:
    said = holdfast("positions", "--store", log, "--out", tmp_path / "out")
    assert said.code == 0
    assert said.out == ""
    assert [Path(line).name for line in said.err.splitlines()] == ["positions.csv", "pnl.csv", "exits.csv"]
    head, *rows = (tmp_path / "out" / "positions.csv").read_text().splitlines()
    assert head.startswith("position_id,venue,symbol")
    assert len(rows) == 3


def test_an_empty_store_says_so_beside_the_data(holdfast, stored) -> None:
    empty = stored([])
    said = holdfast("positions", "--store", empty)
    assert (said.code, said.out) == (0, "")
    assert said.err == f"{empty}: no position yet\n"
    assert holdfast("positions", "--store", empty, "-o", "json").out == "[]\n"


@pytest.mark.parametrize("arguments", [("--store", "absent.db"), (), ("--store", "no/folder/events.db")])
def test_a_store_that_is_not_there_is_one_sentence_and_not_found(holdfast, arguments: tuple[str, ...]) -> None:
    said = holdfast("positions", *arguments)
    assert said.code == 4
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "does not exist; check the path" in said.err


def test_a_moment_that_is_none_is_a_usage_error(holdfast, log: Path) -> None:
    said = holdfast("positions", "--store", log, "--at", "yesterday")
    assert said.code == 2
    assert "write it as" in said.err


def test_the_store_of_the_settings_is_the_usual_one(holdfast, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST__STORE__URL", str(log))
    assert "3 positions" in holdfast("positions").out


def test_rows_fit_a_hundred_columns(holdfast, log: Path) -> None:
    lines = holdfast("positions", "--store", log, "--at", "last").out.splitlines()
    assert max(map(len, lines)) <= 100, lines


