"""The store fails while an engine is live: entries stop, protection and exits go on, and afterwards the log is whole again.

The failures are real: a limit of the kernel on the size of files, and a database server that dies.
"""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from replay.replay import replay
from tests.e2e.lives import LEFT, Log, fills_in, fills_of, held_at_venue, is_covered, market, oversized_in, plans_text
from tests.e2e.processes import SESSION_KEY, Addresses, Engine, Venue, config_text, engine, free_addresses, venue, wait_for
from tests.pg import server_or_skip

# After the store has failed the first two leave by their time stops, the third fills and is protected, the fourth is stopped.
PLANS: tuple[Mapping[str, Any], ...] = (
    {"side": "long", "qty": "0.02", "trail_offset_bps": 900, "time_stop_secs": 3},
    {"side": "short", "margin": True, "qty": "0.03", "trail_offset_bps": 900, "time_stop_secs": 3},
    {"side": "long", "qty": "0.06", "entry_type": "limit", "entry_price": "59900", "trail_offset_bps": 700, "time_stop_secs": 3},
    {"side": "long", "qty": "0.08", "stop_price": "59850"},
)
FALLS = ((0.0, 60_000), (2.5, 60_000), (3.5, 59_760), (4.0, 60_000), (40.0, 60_000))
OPEN = ["Protected", "Protected", "ProtectedPendingFill", "Protected"]
TIMING = "[timing]\nmarket_deadline_ms = 1500\nmarket_fill_timeout_ms = 1500\n"


def configured(folder: Path, at: Addresses, store_url: str = "") -> Path:
    config = folder / "holdfast.toml"
    config.write_text(config_text(folder, at, plans_text(PLANS), store_url=store_url, extra=TIMING))
    return config


@contextmanager
def live(folder: Path, store_url: str = "") -> Iterator[tuple[Engine, Venue]]:
    """Run an engine, and its venue as soon as the engine waits for it: the market begins when somebody looks."""
    at, port = free_addresses()
    ticks = market(folder / "market.csv", FALLS)
    with engine(configured(folder, at, store_url), folder / "first.log") as living:
        wait_for(lambda: '"event": "started"' in living.text, 15, "the engine has started")
        with venue("--ticks", f"BTC/USD={ticks}", "--seed", "3", "--port", port) as running:
            yield living, running


def opened(log: Log) -> None:
    wait_for(lambda: list(log.states().values()) == OPEN, 15, "three positions are protected, and an entry works")
    log.close()


def exits_and_protection_go_on(living: Engine, running: Venue) -> None:
    """Wait until two positions are left by time, one by its stop, and what filled in the meantime has a stop."""

    def seen() -> bool:
        books = running.books()
        return held_at_venue(books) == (Decimal("0.06"), 0) and is_covered(books)

    wait_for(seen, 20, "exits and protection go on without a store")
    assert living.is_running


def pages_of(living: Engine) -> list[str]:
    return [line["code"] for line in living.log if line["event"] == "page"]


def the_next_life_makes_the_log_whole(folder: Path, running: Venue, log: Log) -> Engine:
    """Start again, wait for every position's end, and compare the books with the venue's."""
    with engine(folder / "holdfast.toml", folder / "last.log") as living:
        wait_for(lambda: len(log.states()) == len(PLANS) and set(log.states().values()) <= LEFT, 30, "every position's end")
        living.stop()
    assert fills_in(log.events) == fills_of(running.books())
    assert oversized_in(log) == []
    assert running.books()["open_orders"] == []
    assert held_at_venue(running.books()) == (0, 0)
    assert log.books().ledger.is_balanced
    log.close()
    for session in (folder / "sessions").glob("*.session"):
        assert replay(session, key=SESSION_KEY.encode()).identical
    return living


@pytest.mark.parametrize("how", ["the store's disk is full", "nothing can be written"])
def test_on_a_full_disk_exits_and_protection_go_on_and_nothing_is_lost(tmp_path: Path, how: str) -> None:
    log = Log(str(tmp_path / "events.db"))
    spool = tmp_path / "spool.jsonl"
    with live(tmp_path) as (living, running):
        opened(log)
        is_spooled = how == "the store's disk is full"
        # The write-ahead log cannot grow any more; the spool, which is empty, can. Or nothing can.
        living.limit_file_size((tmp_path / "events.db-wal").stat().st_size if is_spooled else 1)
        exits_and_protection_go_on(living, running)
        pages = ["STORE_FAILED"] if is_spooled else ["STORE_FAILED", "SPOOL_FAILED"]
        assert [code for code in pages_of(living) if code.endswith("_FAILED")] == pages
        # What came of a write that failed is a torn line.
        assert (spool.stat().st_size > 1) == is_spooled
        living.kill()
        last = the_next_life_makes_the_log_whole(tmp_path, running, log)
    merged = [line for line in last.log if line["event"] == "spool merged"]
    assert len(merged) == is_spooled
    assert not spool.exists()


def test_when_the_database_server_dies_exits_and_protection_go_on_and_the_spool_is_merged(tmp_path: Path) -> None:
    server = server_or_skip()
    try:
        url = f"{server.url}&schema=dies"
        log = Log(url)
        with live(tmp_path, url) as (living, running):
            opened(log)
            server.stop(signal.SIGQUIT)
            exits_and_protection_go_on(living, running)
            assert "STORE_FAILED" in pages_of(living)
            # Told to stop it ends well; the events are in the spool.
            living.stop()
            assert (tmp_path / "spool.jsonl").stat().st_size
            server.start()
            last = the_next_life_makes_the_log_whole(tmp_path, running, log)
        assert any(line["event"] == "spool merged" for line in last.log)
    finally:
        server.remove()


def test_no_entry_leaves_once_the_store_has_failed(tmp_path: Path) -> None:
    at, port = free_addresses()
    with engine(configured(tmp_path, at), tmp_path / "log") as living:
        # The engine waits for its venue; when it comes, there is no room for the event that would explain an entry.
        wait_for(lambda: '"event": "started"' in living.text, 15, "the engine has started")
        living.limit_file_size((tmp_path / "events.db-wal").stat().st_size)
        with venue("--port", port, "--seed", "3") as running:
            wait_for(lambda: "STORE_FAILED" in pages_of(living), 20, "the store has failed")
            wait_for(lambda: living.text.count('"event": "dropped"') >= 1, 5, "what waited for the disk is dropped")
            assert running.books()["fills"] == []
            assert running.books()["open_orders"] == []
            printed = living.stop()
            assert "sent_submit" not in printed["counters"]
            assert running.books()["open_orders"] == []
    refused = [line["reason"] for line in living.log if line["event"] == "refused"]
    assert json.dumps(refused).count("entries are halted") == len(refused)
