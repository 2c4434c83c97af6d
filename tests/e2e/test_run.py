"""`holdfast run` as a process: what it survives, what it refuses, and how it hands over."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.session import verify_session
from tests.e2e.lives import LEFT, Log, fills_in, fills_of, is_covered, stops_at_venue
from tests.e2e.processes import ROOT, SESSION_KEY, Engine, Venue, config_text, engine, environment, venue, wait_for

TWO = """
[[positions]]
symbol = "BTC/USD"
side = "long"
qty = "0.02"
trail_offset_bps = 900

[[positions]]
symbol = "BTC/USD"
side = "short"
qty = "0.03"
margin = true
trail_offset_bps = 900
"""


def configured(folder: Path, running: Venue, positions: str = TWO) -> Path:
    config = folder / "holdfast.toml"
    config.write_text(config_text(folder, running.addresses, positions))
    return config


def both_protected(folder: Path) -> None:
    log = Log(str(folder / "events.db"))
    wait_for(lambda: list(log.states().values()) == ["Protected", "Protected"], 15, "both positions are protected")
    log.close()


def test_a_second_engine_on_the_same_store_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with venue() as running, engine(configured(tmp_path, running), tmp_path / "first.log") as first:
        both_protected(tmp_path)
        before = running.books()
        with engine(tmp_path / "holdfast.toml", tmp_path / "second.log") as second:
            assert second.process.wait(20) == 3
        assert second.text.count("\n") == 1
        assert f"locked by the engine with process id {first.process.pid}" in second.text
        assert "end that engine first, or give this one a store of its own" in second.text
        after = running.books()
        assert after["fills"] == before["fills"]
        assert [order["order_id"] for order in after["open_orders"]] == [order["order_id"] for order in before["open_orders"]]
        assert sorted(first.stop()["open_positions"]) == ["hf000001", "hf000002"]
        assert is_covered(running.books())


@pytest.mark.parametrize("how", ["its reader is gone", "its disk is full"])
def test_an_engine_outlives_its_log(tmp_path: Path, how: str) -> None:
    with venue() as running:
        command = [sys.executable, "-m", "holdfast", "run", "--config", str(configured(tmp_path, running))]
        with open("/dev/full", "wb") as full:
            errors = full if how == "its disk is full" else subprocess.PIPE
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, env=environment())
        if process.stderr is not None:
            process.stderr.readline()
            process.stderr.close()
        try:
            both_protected(tmp_path)
            assert process.poll() is None
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.stdout.close()


def test_an_engine_that_was_stopped_leaves_protection_and_the_next_takes_over(tmp_path: Path) -> None:
    with venue() as running:
        with engine(configured(tmp_path, running), tmp_path / "first.log") as first:
            both_protected(tmp_path)
            first.stop()
        stops = stops_at_venue(running.books())
        with engine(tmp_path / "holdfast.toml", tmp_path / "second.log", "--duration", "2") as second:
            printed = second.ended()
        assert (printed["restored"], printed["open_positions"]) == (2, ["hf000001", "hf000002"])
        assert "sent_submit" not in printed["counters"]
        assert stops_at_venue(running.books()) == stops
        assert len(running.books()["fills"]) == 2
        for path in (tmp_path / "sessions").glob("*.session"):
            assert verify_session(path, SESSION_KEY.encode()).ending == "end"


def test_a_tampered_last_session_is_left_as_evidence_and_keeps_nobody_from_the_positions(tmp_path: Path) -> None:
    with venue() as running:
        with engine(configured(tmp_path, running), tmp_path / "first.log") as first:
            both_protected(tmp_path)
            first.stop()
        (session,) = (tmp_path / "sessions").glob("*.session")
        data = session.read_bytes()
        forged = data.replace(b"hf000001", b"hf000009", 1)
        assert forged != data
        session.write_bytes(forged)
        with engine(tmp_path / "holdfast.toml", tmp_path / "second.log", "--duration", "2") as second:
            assert second.ended()["restored"] == 2
        said = [line["problem"] for line in second.log if line["event"] == "the last session is left as it is"]
        assert len(said) == 1
        assert session.name in said[0]
        assert session.read_bytes() == forged


def test_engines_that_are_killed_in_their_first_second_open_each_position_once(tmp_path: Path) -> None:
    with venue() as running:
        config = configured(tmp_path, running)
        for number in range(3):
            living = Engine(config, tmp_path / f"{number}.log")
            time.sleep(0.15 * (number + 1))
            living.kill()
        with engine(config, tmp_path / "last.log") as last:
            both_protected(tmp_path)
            last.stop()
        log = Log(str(tmp_path / "events.db"))
        assert fills_in(log.read()) == fills_of(running.books())
        assert not set(log.states().values()) & LEFT


def test_the_record_of_a_running_engine_is_sealed_and_synced_about_once_a_second(tmp_path: Path) -> None:
    with venue() as running, engine(configured(tmp_path, running), tmp_path / "log"):
        both_protected(tmp_path)
        (session,) = (tmp_path / "sessions").glob("*.session")

        def sealed() -> int:
            report = verify_session(session, SESSION_KEY.encode())
            return report.records - report.unsealed

        before = wait_for(sealed, 3, "the first seal")
        # Long before a block of 256 records is full.
        assert wait_for(lambda: sealed() > before, 3, "the next seal")
        assert before < 200


def test_a_key_that_may_not_do_what_is_needed_ends_the_start_with_a_sentence_and_nothing_is_opened(tmp_path: Path) -> None:
    with venue("--set", "key_lacks=query_closed,cancel_orders") as running:
        with engine(configured(tmp_path, running), tmp_path / "first.log") as first:
            assert first.process.wait(20) == 3
            assert "it may not: Query closed orders & trades, Cancel & close orders; give it these permissions" in first.text
        assert running.books()["fills"] == []


def test_a_plan_that_is_refused_for_good_ends_with_3_and_the_others_are_opened(tmp_path: Path) -> None:
    bad = '\n[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqty = "0.02"\nstop_price = "900000"\n'
    with venue() as running, engine(configured(tmp_path, running, bad + TWO), tmp_path / "first.log") as first:
        log = Log(str(tmp_path / "events.db"))
        wait_for(lambda: list(log.states().values()) == ["Protected", "Protected"], 15, "both positions are protected")
        assert sorted(log.states()) == ["hf000002", "hf000003"]
        log.close()
        first.process.terminate()
        assert first.process.wait(30) == 3
        assert "1 plans were refused for good; the first: " in first.text
