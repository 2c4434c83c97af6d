"""The dry mode against the venue in this process, and what a start without any key says."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from events.facts import Plan
from events.values import PositionSide
from holdfast.config.tree import Config
from holdfast.dry import check_plans

ROOT = Path(__file__).resolve().parents[2]


def config_of(*plans: Plan) -> Config:
    return Config(positions=plans)


def plan(side: PositionSide = PositionSide.LONG, qty: str = "0.3", **fields: object) -> Plan:
    usual = {"symbol": "BTC/USD", "side": side, "qty": Decimal(qty), "trail_offset_bps": 300, "margin": side is PositionSide.SHORT}
    return Plan(**{**usual, **fields})  # type: ignore[arg-type]


async def test_each_order_of_each_plan_has_its_verdict() -> None:
    rows = await check_plans(config_of(plan(), plan(PositionSide.SHORT), plan(PositionSide.SHORT, "300")))
    assert [(row.position, row.order, row.verdict) for row in rows] == [
        ("hf000001", "entry", "accepted"),
        # It would sell what the entry has yet to buy.
        ("hf000001", "stop", "unchecked"),
        ("hf000001", "exit", "unchecked"),
        ("hf000002", "entry", "accepted"),
        ("hf000002", "stop", "accepted"),
        ("hf000002", "exit", "unchecked"),
        ("hf000003", "entry", "refused"),
        ("hf000003", "stop", "accepted"),
        ("hf000003", "exit", "unchecked"),
    ]
    assert rows[6].reason == "EOrder:Insufficient margin"
    assert {row.order_type for row in rows if row.order == "stop"} == {"trailing-stop"}


async def test_a_plan_that_the_engine_itself_refuses_is_told_as_refused() -> None:
    (row,) = await check_plans(config_of(plan(trail_offset_bps=None, stop_price=Decimal(90_000))))
    assert (row.order, row.verdict) == ("entry", "refused")
    assert "stop" in row.reason


@pytest.mark.parametrize(
    ("qty", "there", "code", "said"),
    [
        ("0.3", "0", 5, "could not check 2 of 3 orders"),
        ("0.3", "0.3", 0, ""),
        ("0.00001", "0", 3, "under the venue's minimum"),
        ("300", "0", 3, "refuses 1 of 3 orders"),
    ],
)
def test_only_a_run_whose_orders_were_all_checked_and_taken_ends_with_0(tmp_path: Path, qty: str, there: str, code: int, said: str) -> None:
    position = f'[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqty = "{qty}"\ntrail_offset_bps = 300\n'
    balances = f'[simulated.settings.balances]\nUSD = "1000000"\nBTC = "{there}"\n'
    (tmp_path / "holdfast.toml").write_text(f"{balances}\n{position}")
    command = [sys.executable, "-m", "holdfast", "run", "--validate", "--set", "log.level=error"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST__")}
    ended = subprocess.run(command, cwd=tmp_path, env={**clean, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert ended.stderr.count("\n") == (code != 0)


@pytest.mark.parametrize("option", [(), ("--validate",)])
def test_without_a_key_kraken_is_not_asked_and_one_sentence_says_what_is_needed(tmp_path: Path, option: tuple[str, ...]) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST__", "KRAKEN_"))}
    command = [sys.executable, "-m", "holdfast", "run", "--set", "venue.kind=kraken", *option]
    environment = {**clean, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.count("\n") == 1
    needed = ("KRAKEN_API_KEY", "KRAKEN_API_SECRET", "query", "create and cancel orders", "WebSockets", "not withdraw", "docs/kraken.md")
    for word in needed:
        assert word in ended.stderr
    assert list(tmp_path.iterdir()) == []
