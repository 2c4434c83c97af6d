"""A28: for any position one command shows each exit path that was taken, from the record alone."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from events.facts import ExitReason
from events.record import PositionEvent
from events.store import open_store
from events.values import PositionSide
from fsm.bars import MINUTE_NS
from holdfast.cli import main
from holdfast.scenario.floor import BALANCES, SYMBOL, D, Floor
from replay.intents import ExitPosition
from replay.pipeline import Settings
from venues.simulated.settings import VenueSettings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
Life = Callable[[PositionSide], tuple[Floor, str]]


def by_stop(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=100)
    floor.tick(floor.moved(side, -110))
    return floor, position_id


def by_take_profit(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, take_profit_price=floor.moved(side, 50))
    floor.tick(floor.moved(side, 51))
    return floor, position_id


def by_maker_timeout(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, take_profit_price=floor.moved(side, 50), take_profit_style="maker", take_profit_arm_bps=10)
    floor.tick(floor.moved(side, 42))
    floor.wait(35)
    return floor, position_id


def by_panic(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=900, panic_pnl_bps=-100)
    floor.tick(floor.moved(side, -101))
    return floor, position_id


def by_time(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, time_stop_secs=5)
    floor.wait(6)
    return floor, position_id


def by_signal(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side)
    floor.intent(ExitPosition(position_id=position_id, reason="signal", patient=True))
    floor.wait(12)
    return floor, position_id


def by_hard_take_profit(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), hard_take_profit_bps=100))
    position_id = floor.protected(side)
    floor.tick(floor.moved(side, 102))
    return floor, position_id


def by_ignition(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    for minute in range(90):
        floor.now_ns += MINUTE_NS
        floor.tick(D(60_000) * (10_000 + (40 if minute % 2 else 0)) // 10_000)
    floor.px = D(60_000)
    floor.wait(1)
    position_id = floor.protected(side, trail_offset_bps=300, strategy="ignition", trail_activation_bps=100)
    floor.wait(60 * 17)
    return floor, position_id


def by_failed_protection(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    floor.faults.arm("reject", on="add_order:trailing-stop", text="EOrder:Trading agreement required", count=None)
    position_id = floor.open(side)
    floor.wait(12)
    return floor, position_id


def by_operator(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side)
    floor.leave(position_id)
    return floor, position_id


def by_crossed_stop(side: PositionSide) -> tuple[Floor, str]:
    """The price has fallen through the stop before the venue takes it."""
    floor = Floor()
    floor.faults.arm("reject", on="add_order:stop-loss", text="EOrder:Stop would trigger immediately", count=1)
    position_id = floor.open(side, stop_price=floor.moved(side, -100))
    return floor, position_id


def by_unfilled_stop(side: PositionSide) -> tuple[Floor, str]:
    """The stop has fired and does not fill: it is called back, and the market is taken."""
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), trigger_latency_ms=600_000))
    position_id = floor.protected(side, trail_offset_bps=100)
    floor.tick(floor.moved(side, -110))
    floor.wait(20)
    return floor, position_id


def by_owner(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    floor.by_hand(side.exit_side.value, "0.5", margin=True)
    return floor, position_id


LIVES: dict[str, Life] = {
    "stop": by_stop, "take_profit": by_take_profit, "panic": by_panic, "time_stop": by_time, "signal": by_signal,
    "hard_take_profit": by_hard_take_profit, "ignition": by_ignition, "protection_failed": by_failed_protection, "manual": by_owner,
    "operator": by_operator, "stop_crossed": by_crossed_stop,
    "stop_unfilled": by_unfilled_stop,
}  # fmt: skip


def test_a28_every_reason_to_leave_has_its_life_here_or_its_row() -> None:
    # "reversed" is that of a position that nobody asked for (test_a27_reverse.py); nothing decides "shutdown": stopping closes nothing.
    assert set(get_args(ExitReason)) == {*LIVES, "reversed", "shutdown"} - {"stop", "manual"}


def stored(path: Path, events: list[PositionEvent]) -> Path:
    with open_store(str(path)) as store:
        lease = store.acquire_lease()
        store.append(events)
        lease.release()
    return path


@both_sides
@pytest.mark.parametrize("reason", LIVES)
def test_a28_each_way_out_is_shown_from_the_record(
    side: PositionSide, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    floor, position_id = LIVES[reason](side)
    floor.wait(3)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    store = stored(tmp_path / "events.db", floor.events)
    for command in (
        ["dossier", position_id], ["why", position_id], ["show", position_id], ["diagram", "--position", position_id, "--format", "text"],
    ):  # fmt: skip
        assert main([*command, "--store", str(store)]) == 0
        out = capsys.readouterr().out
        assert "Closed" in out
        if command[0] in ("show", "dossier"):
            assert reason in out, out


@both_sides
def test_a28_an_exit_that_was_refused_for_long_keeps_the_reason_for_which_it_was_decided(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=900, panic_pnl_bps=-100)
    floor.faults.arm("reject", on="add_order:market", text="EOrder:Trading agreement required", count=5)
    floor.faults.arm("reject", on="add_order:limit", text="EOrder:Trading agreement required", count=3)
    floor.tick(floor.moved(side, -101))
    floor.wait(40)
    assert "EmergencyProtecting" in floor.states(position_id)
    assert (floor.state(position_id), floor.reasons(position_id)) == ("Closed", ["panic"])


def test_a28_a_maker_exit_that_ran_out_of_time_shows_both_of_its_orders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floor, position_id = by_maker_timeout(PositionSide.LONG)
    store = stored(tmp_path / "events.db", floor.events)
    assert main(["show", position_id, "--store", str(store)]) == 0
    out = capsys.readouterr().out
    text = " ".join(out.split())
    assert "take_profit at :9, price 60252: CancelPending, TakeProfitWorking, CancelPending, MarketExiting, Closed" in text
    assert "take_profit Canceled" in text
