"""dossier: one position's whole story from the record."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from played import MS, Played


def block(text: str, first: str) -> list[str]:
    """Return the lines of the block whose first line begins so."""
    return next(part.splitlines() for part in text.split("\n\n") if part.startswith(first))


def test_the_path_has_each_state_with_its_time_and_what_led_to_it(holdfast, log: Path, played: Played) -> None:
    lines = block(holdfast("dossier", "2", "--store", log, "--at", "last").out, "path")
    stages = [line.split() for line in lines if line.startswith(" :")]
    states = ["EntryPending", "ProtectedPendingFill", "ProtectionPending", "Protected", "CancelPending", "MarketExiting", "Closed"]
    assert [words[3] for words in stages] == states
    assert stages[4][1:] == ["+1.040", "s", "CancelPending", "for", "20", "ms,", "leaving", "because", "of", "signal"]
    closed = lines[lines.index(" :7 +1.080 s  Closed") + 1]
    assert closed == f"     exit {played.order('exit', 'hf000002').client_order_id} sold 1 at 102; :6 sent the order"
    assert any(line.startswith("     -> submit stop") for line in lines)


def test_orders_fills_money_and_the_way_out_stand_in_it(holdfast, log: Path, played: Played) -> None:
    text = holdfast("dossier", "2", "--store", log, "--at", "last").out
    entry, out = (line.split() for line in block(text, "filled")[1:])
    assert entry[2:8] == [played.order("entry", "hf000002").client_order_id, "entry", "buy", "1", "100", "0.26"]
    assert out[2:9] == [played.order("exit", "hf000002").client_order_id, "exit", "sell", "1", "102", "0.2652", "USD"]
    assert "realized +1.47 USD net of fees; fees 0.5252 USD" in text
    assert "exits     1. signal at :5" in text
    assert "Canceled  nothing filled" in text


def test_windows_stand_with_causes_against_the_budget(holdfast, log: Path, played: Played) -> None:
    closed = block(holdfast("dossier", "2", "--store", log, "--at", "last").out, "window")
    assert [line.split()[-1] for line in closed[1:]] == ["entry_fill", "cancel_first_exit"]
    running = holdfast("dossier", "1a", "--store", log, "--at", played.position("hf00001a").watch_ns + 2_001 * MS).out
    assert block(running, "window")[1].split() == ["1", "+10", "ms", "1", "2.001", "s", "OVER", "still", "runs", "entry_fill"]
    assert "budget 2.000 s; 0 of 1 windows within it" in running


def test_pages_and_alerts_stand_with_their_moment_and_none_is_said(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.at(2_500).rejected(played.order("stop", "hf00001a"), "funds")
    path = stored([event for _, event in played.events])
    (_, alert, *_) = block(holdfast("dossier", "1a", "--store", path, "--at", "last").out, "pages and alerts")
    assert alert.startswith(" :4 +500 ms  alert UNPROTECTED: hf00001a: ")
    assert holdfast("dossier", "2", "--store", path, "--at", "last").out.endswith("pages     none, and no alert\n")


def test_what_is_sent_without_a_change_of_state_stands_in_the_path(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.request(position_id="hf000003")
    played.accept(played.order("entry", "hf000003"))
    played.fill(played.order("entry", "hf000003"), "0.4", "100")
    played.accept(played.order("stop", "hf000003"))
    played.fill(played.order("entry", "hf000003"), "0.3", "100", cum="0.7")
    played.fill(played.order("entry", "hf000003"), "0.3", "100", cum="1.0")
    played.amended(played.order("stop", "hf000003"))
    path = stored([event for _, event in played.events])
    found = json.loads(holdfast("dossier", "3", "--store", path, "--at", "last", "--json").out)
    sent = [stage for stage in found["path"] if not stage["is_change"]]
    assert sent
    assert all(any(text.startswith(("submit", "amend", "cancel")) for text in stage["commands"]) for stage in sent)
    assert "Resizing, as before" in holdfast("dossier", "3", "--store", path, "--at", "last").out
    assert sum(1 + stage["others"] for stage in found["path"]) == found["status"]["position"]["version"]


def test_json_has_the_whole_story_with_every_digit(holdfast, log: Path, played: Played) -> None:
    found = json.loads(holdfast("dossier", "2", "--store", log, "--at", "last", "--json").out)
    assert found == json.loads(holdfast("dossier", "2", "--store", log, "--at", "last", "-o", "jsonl").out)
    assert [fill["fees"] for fill in found["fills"]] == ["0.26 USD", "0.2652 USD"]
    assert found["status"]["position"]["exit_path"] == "signal"
    assert [stage["led_by"]["version"] for stage in found["path"][1:4]] == [1, 1, 3]
    assert found["path"][0]["led_by"] is None
    assert [gap["is_over"] for gap in found["windows"]] == [False, False]
    assert found["notices"] == []


@pytest.mark.parametrize("times", ["relative", "iso", "raw"])
@pytest.mark.parametrize("name", ["1", "2", "1a"])
def test_a_dossier_fits_into_100_characters(holdfast, log: Path, monkeypatch: pytest.MonkeyPatch, name: str, times: str) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    # An order of an open position has two columns of its own words; `show` is as wide, and is not broken.
    text = holdfast("dossier", name, "--store", log, "--at", "last").out
    for first in ("path", "window", "filled", "pages"):
        assert max(map(len, block(text, first))) <= 100


def test_time_without_protection_counts_once_where_windows_run_together(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.request(position_id="hf000003")
    played.accept(played.order("entry", "hf000003"))
    start = played.ms
    played.fill(played.order("entry", "hf000003"), "0.5", "100")
    played.at(start + 100).fill(played.order("entry", "hf000003"), "0.5", "100", cum="1.0")
    path = stored([event for _, event in played.events])
    at = played.now_ns + 100 * MS
    found = json.loads(holdfast("show", "3", "--store", path, "--at", at, "-o", "json").out)
    assert found["uncovered"]["windows"] == 2
    assert found["uncovered"]["total_ns"] == 200 * MS


def test_a_position_that_is_not_there_has_no_dossier(holdfast, log: Path) -> None:
    said = holdfast("dossier", "zz", "--store", log)
    assert said.code == 4
    assert said.err.count("\n") == 1
