"""`holdfast simulate`: what a user sees of many lives."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.simulation.plants import PLANTS
from holdfast.simulation.reached import reached, reached_at_kraken


def test_many_seeds_on_several_processes_give_what_one_process_gives(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for jobs in ("1", "2"):
        assert main(["simulate", "--level", "core", "--seed", "5", "--seeds", "30", "--jobs", jobs, "--json"]) == 0
        one = json.loads(capsys.readouterr().out)
        shown.append({key: one[key] for key in ("seeds", "events", "ends", "rows_taken", "transitions", "failed", "laws_broken", "faults")})
    assert shown[0]["seeds"] == 30
    assert {"cut", "lose_message", "lose_request", "refuse_order", "repeat_message", "restarts"} <= set(shown[0]["faults"])
    assert shown[0] == shown[1]


def test_coverage_says_which_steps_of_the_checker_no_seed_took_and_which_the_checker_does_not_reach(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["simulate", "--level", "core", "--seed", "5", "--seeds", "30", "--jobs", "1", "--coverage"]
    assert main([*asked, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    taken, of = map(int, shown["transitions_reached_at_kraken"].split(" of "))
    assert taken <= int(shown["transitions_reached"].split()[0])
    assert of == len(reached_at_kraken()) < len(reached())
    never, beyond = shown["transitions_never_taken"], shown["transitions_beyond"]
    assert ["Halted", "MarketModeChanged", "Halted"] in never
    assert int(shown["transitions_reached"].split()[0]) + len(beyond) == shown["transitions"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "no step     Halted MarketModeChanged Halted" in said
    assert f"{taken} of {of} seen at a venue that can do what Kraken can" in said
    assert said.count("\nno step ") == of - taken
    assert said.count("\nelsewhere ") == len(never) - (of - taken)


@pytest.mark.parametrize(
    ("more", "remedy"), [(["sideways"], "name one of halted, hands"), (["halted", "--level", "core"], "leave --level out")]
)
def test_a_direction_that_leads_nowhere_is_one_sentence(capsys: pytest.CaptureFixture[str], more: list[str], remedy: str) -> None:
    assert main(["simulate", "--direction", *more]) == 3
    assert remedy in capsys.readouterr().err


def test_a_duration_ends_without_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--level", "core", "--duration", "0.3", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "seeds       1 to without end, level core" in said
    assert "violations  0" in said


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_with_what_was_shown_by_then(jobs: str) -> None:
    command = [sys.executable, "-m", "holdfast", "simulate", "--seed", "1", "--seeds", "100000", "--jobs", jobs, "--no-self-check"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline().startswith("seeds       1 to 100000")
        time.sleep(4)
        os.killpg(run.pid, signal.SIGINT)
        said, warned = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "violations  0" in said
    assert re.fullmatch(r"holdfast: interrupted behind \d+ seeds?; what they showed stands above\n", warned)


def test_until_failure_ends_with_the_first_seed_that_breaks_something(capsys: pytest.CaptureFixture[str]) -> None:
    with PLANTS["forget the second fill"]():
        assert main(["simulate", "--level", "core", "--until-failure", "--jobs", "1", "--json"]) == 8
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["failed"]) == [str(shown["seeds"])]


@pytest.mark.parametrize(
    ("command", "save"),
    [(["simulate", "--seed", "1", "--seeds", "400"], "gone"), (["prove", "--all"], "gone/found.json")],
    ids=["simulate", "prove"],
)
def test_a_place_to_save_that_is_not_there_is_one_sentence_before_anything_is_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str], save: str
) -> None:
    assert main([*command, "--save", str(tmp_path / save)]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"holdfast: --save: {tmp_path / 'gone'} is no folder; make it first, or name another one\n"
