"""The venue as a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from venues.clock import Clock

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    venue = subprocess.Popen(
        [sys.executable, "-m", "venues.simulated", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield venue
    finally:
        venue.kill()
        venue.communicate()


def ready(venue: subprocess.Popen[str]) -> dict:
    assert venue.stdout is not None
    return json.loads(venue.stdout.readline())


async def test_it_says_where_it_is_outlives_its_clients_and_ends_on_sigterm() -> None:
    with process("--speed", "20", "--symbol", "ETH/USD", "--balance", "USD=50000", "--set", "tier=pro") as venue:
        where = ready(venue)
        assert where["symbols"] == ["ETH/USD"]
        clock = Clock(**where["clock"])
        for _ in range(2):
            async with connect(where["url"], proxy=None) as ws, asyncio.timeout(10):
                await ws.send(
                    json.dumps({"method": "subscribe", "params": {"channel": "executions", "token": where["token"]}, "req_id": 1})
                )
                order = {"order_type": "market", "side": "buy", "order_qty": 0.1, "symbol": "ETH/USD", "token": where["token"]}
                await ws.send(json.dumps({"method": "add_order", "params": order, "req_id": 2}))
                while True:
                    frame = json.loads(await ws.recv())
                    if frame.get("channel") == "executions" and frame["data"] and frame["data"][0]["exec_type"] == "filled":
                        break
            assert frame["data"][0]["timestamp"][:10] == _day(clock.now_ns())
        venue.send_signal(signal.SIGTERM)
        out, problems = venue.communicate(timeout=10)
        assert venue.returncode == 0
        assert problems == ""
        last = json.loads(out)
        assert last["ended"] is True
        assert last["fills"] >= 2


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()[:10]


def test_it_plays_a_file_and_stops_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text("time,price,quantity\n" + "".join(f"{1_700_000_000 + n},{60_000 + n},0.5\n" for n in range(30)))
    with process("--ticks", f"BTC/USD={file}", "--speed", "30", "--stop-at-end") as venue:
        assert ready(venue)["symbols"] == ["BTC/USD"]
        venue.communicate(timeout=10)
        assert venue.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--ticks", "no-such-file.csv"], 4, "no-such-file.csv"),
        (["--symbol", "WWW/USD"], 3, "WWW/USD"),
        (["--speed", "0"], 3, "clock speed"),
        (["--port", "70000"], 2, "70000"),
        (["--faults", "lightning"], 2, "lightning"),
        (["--set", "tier=gold"], 2, "gold"),
        (["--set", "colour=red"], 2, "colour"),
        (["--balance", "USD"], 2, "NAME=VALUE"),
        (["--balance", "USD=NaN"], 3, "NaN"),
    ],
)
def test_bad_input_is_one_sentence_and_its_exit_code(arguments, code, says) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "venues.simulated", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, env=os.environ
    )
    assert done.returncode == code
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_file_that_breaks_in_the_middle_ends_it_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text("time,price,quantity\n1700000000,60000,1\n1700000001,60001,1\n1700000002,oops,1\n")
    with process("--ticks", str(file), "--speed", "100") as venue:
        ready(venue)
        _, problem = venue.communicate(timeout=10)
        assert venue.returncode == 3
        assert "ticks.csv:4" in problem
        assert "Traceback" not in problem
