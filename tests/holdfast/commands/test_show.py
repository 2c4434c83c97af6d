import json
from collections.abc import Callable
from pathlib import Path

import pytest
from played import MS, Played


def part_of(text: str, name: str) -> str:
    """Return what stands under a name at the left, on one line."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(name))
    taken = [lines[start][len(name) :]]
    for line in lines[start + 1 :]:
        if not line.startswith(" "):
            break
        taken.append(line)
    return " ".join(" ".join(taken).split())


def test_an_amend_in_flight_stands_beside_what_the_venue_confirmed(holdfast, log: Path) -> None:
    text = holdfast("show", "hf000001", "--store", log, "--at", "last").out
    assert "hf000001  long 1 BTC/USD, spot at kraken" in text
    assert part_of(text, "state").startswith("Tightening for 0 ms: an amend is in flight; the old stop stands")
    (stop,) = [line for line in text.splitlines() if " stop " in line and "Live" in line]
    assert "1 trailing-stop trailing 80 bps" in stop
    assert stop.endswith("trail 50 bps: amend asked 0 ms ago")
    (trail,) = [line for line in text.splitlines() if line.startswith("trail ")]
    assert trail.split() == ["trail", "80", "bps", "50", "bps"]


def test_the_clocks_say_when_they_run_out_and_what_then(holdfast, log: Path, played: Played) -> None:
    text = holdfast("show", "1a", "--store", log, "--at", played.now_ns - 10 * MS).out
    watch, answer, time_stop = (
        next(line for line in text.splitlines() if line.startswith(name)) for name in ("watch", "answer to submit", "time_stop")
    )
    assert watch.split()[1:4] == ["in", "2.000", "s"]
    assert str(played.position("hf00001a").watch_ns + 2_000 * MS) in watch
    assert "EmergencyProtecting; " in watch
    assert played.order("stop", "hf00001a").client_order_id in answer
    assert "in 10 min 00 s" in time_stop
    assert text.index("watch") < text.index("answer to submit") < text.index("time_stop")


def test_a_clock_that_nobody_looked_at_is_overdue(holdfast, log: Path, played: Played) -> None:
    text = holdfast("show", "1a", "--store", log, "--at", played.now_ns + 5_000 * MS).out
    assert "3.010 s overdue" in text
    assert part_of(text, "uncovered").startswith("1 for 5.010 s (entry_fill); 5.010 s count against the budget of 2.000 s")


def test_an_ended_position_shows_profit_and_the_exit_path_it_took(holdfast, log: Path) -> None:
    text = holdfast("show", "2", "--store", log).out
    assert part_of(text, "state").startswith("Closed by signal after ")
    assert " ago" not in part_of(text, "last")
    assert part_of(text, "profit").startswith("realized +1.47 USD net of fees; fees 0.5252 USD")
    assert part_of(text, "exits").startswith("1. signal at :5, price 101: CancelPending, MarketExiting, Closed; 1 out at 102.00 by exit")
    assert "clock" not in text


def test_json_has_confirmed_and_wanted_as_members(holdfast, log: Path) -> None:
    status = json.loads(holdfast("show", "hf000001", "--store", log, "--at", "last", "-o", "json").out)
    assert status["confirmed"] == {"qty": "1.0000", "trail_offset_bps": 80, "stop_price": None}
    assert status["wanted"]["trail_offset_bps"] == 50
    (stop,) = [order for order in status["orders"] if order["role"] == "stop"]
    assert (stop["pending"], stop["pending_trail_offset_bps"], stop["confirmed_trail_offset_bps"]) == ("amend", 50, 80)
    assert status["clocks"][0]["at_ns"] < status["clocks"][-1]["at_ns"]
    assert status["uncovered"]["budget_ms"] == 2_000


def test_a_position_is_shown_as_it_was_after_an_event(holdfast, log: Path) -> None:
    text = holdfast("show", "2:4", "--store", log).out
    assert part_of(text, "state").startswith("Protected for 0 ms")
    assert "hf000002:4" in part_of(text, "last")


def test_profit_that_is_open_is_at_the_last_price_of_a_decision(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.exit("operator")
    path = stored([event for _, event in played.events])
    text = holdfast("show", "hf000001", "--store", path, "--at", played.now_ns + 1_000 * MS).out
    assert "open +0.74 USD at the last price that it decided on, 101, 1.000 s old" in part_of(text, "profit")


@pytest.mark.parametrize("name", ["hf00001a", "HF00001A", "1a", "00001a", "a", " 1a "])
def test_a_position_is_found_by_id_number_or_end_of_its_id(holdfast, log: Path, name: str) -> None:
    assert holdfast("show", name, "--store", log).out.startswith("hf00001a")


def test_a_number_goes_before_the_end_of_another_id(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.request(position_id="hf000011")
    path = stored([event for _, event in played.events])
    assert holdfast("show", "1", "--store", path).out.startswith("hf000001")


def test_an_end_that_fits_several_names_them(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.request(position_id="hf00002a")
    said = holdfast("show", "a", "--store", stored([event for _, event in played.events]))
    assert said.code == 2
    assert "'a' may be hf00001a, hf00002a; write more of the id" in said.err


@pytest.mark.parametrize("name", ["zz", "0", "", "hf000009", "x" * 300])
def test_a_position_that_is_not_there_is_not_found(holdfast, log: Path, name: str) -> None:
    said = holdfast("show", name, "--store", log)
    assert said.code == 4
    assert "`holdfast positions` lists those" in said.err
    assert said.err.count("\n") == 1
