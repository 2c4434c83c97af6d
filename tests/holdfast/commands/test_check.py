import json
from collections.abc import Callable
from pathlib import Path

from played import MS, Played

from events import facts as f


def test_a_position_within_the_budget_is_fine_and_nothing_is_said(holdfast, log: Path, played: Played) -> None:
    assert holdfast("check", "--store", log, "--at", played.now_ns + 1_900 * MS) == (0, "", "")


def test_a_position_past_the_budget_is_named_with_exit_code_7(holdfast, log: Path, played: Played) -> None:
    said = holdfast("check", "--store", log, "--at", played.now_ns + 2_100 * MS)
    assert (said.code, said.out) == (7, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("holdfast: position hf00001a: unprotected for 2110 ms, budget 2000 ms; close it or place a stop")
    assert "(1.0000 of BTC/USD in ProtectionPending since 2023-11-14T22:13:22.010Z, entry_fill)" in said.err


def test_the_budget_is_that_of_the_settings(holdfast, log: Path, played: Played) -> None:
    at = ("--at", played.now_ns + 2_100 * MS)
    assert holdfast("check", "--store", log, *at, "--set", "risk.unprotected_budget_ms=3000").code == 0
    assert holdfast("check", "--store", log, *at, "--set", "risk.unprotected_budget_ms=0").code == 7


def test_the_clock_goes_on_when_the_engine_does_not(holdfast, log: Path) -> None:
    said = holdfast("check", "--store", log)
    assert said.code == 7
    assert "2 open positions, but its last event came" in said.err
    assert "a clock of hf000001, hf00001a is overdue; see whether the engine runs" in said.err


def test_a_stale_log_of_protected_positions_is_a_warning_and_no_failure(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    path = stored([event for _, event in played.events if event.position_id == "hf000001"])
    said = holdfast("check", "--store", path, "--at", played.now_ns + 90_000 * MS, "--stale-after", 60)
    assert (said.code, said.out) == (0, "")
    assert "1 open position, but its last event came 1 min 30 s ago" in said.err
    assert holdfast("check", "--store", path, "--at", played.now_ns + 4_000 * MS) == (0, "", "")


def test_json_says_the_same_to_programs(holdfast, log: Path, played: Played) -> None:
    said = holdfast("check", "--store", log, "--at", played.now_ns + 2_100 * MS, "-o", "json")
    assert said.code == 7
    found = json.loads(said.out)
    assert (found["open_positions"], found["over_budget"], found["budget_ms"]) == (2, 1, 2_000)
    (one,) = found["exposed"]
    assert (one["position_id"], one["counted_ms"], one["is_over"], one["causes"]) == ("hf00001a", 2_110, True, ["entry_fill"])


def resting(played: Played) -> None:
    """Let hf000001 rest a take-profit in place of its stop."""
    played.at(3_000).amended(played.order("stop"))
    played.take(f.LevelCrossed(level="take_profit", mark=played.mark("109.99"), ts_recv_ns=played.now_ns), "hf000001")
    played.at(3_050).canceled(played.order("stop"))
    played.at(3_100).accept(played.order("take_profit"))
    assert played.position().state == "TakeProfitWorking"


def test_a_resting_exit_is_uncovered_by_choice_for_the_time_of_its_plan(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    resting(played)
    path = stored([event for _, event in played.events if event.position_id == "hf000001"])
    assert holdfast("check", "--store", path, "--at", played.now_ns + 29_000 * MS).code == 0
    said = holdfast("check", "--store", path, "--at", played.now_ns + 33_000 * MS)
    assert said.code == 7
    assert "take_profit_working" in said.err


def test_without_open_positions_all_is_well_however_old_the_log(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    path = stored([event for _, event in played.events if event.position_id == "hf000002"])
    assert holdfast("check", "--store", path) == (0, "", "")
    assert holdfast("check", "--store", stored([])) == (0, "", "")


def test_a_store_that_cannot_be_read_is_not_a_clean_bill(holdfast, tmp_path: Path) -> None:
    assert holdfast("check", "--store", tmp_path / "absent.db").code == 4
    (tmp_path / "text.db").write_text("not a store, but long enough to be one")
    assert holdfast("check", "--store", tmp_path / "text.db").code == 3
