"""The demo's script: on any tape it asks for 24 positions that the venue could take, longs and shorts."""

from decimal import Decimal
from pathlib import Path

import pytest

from events.errors import BadInput
from events.values import Mark, PositionSide
from fsm.plans import check_plan
from holdfast.demo import tape as tapes
from holdfast.demo.script import plain_instead_of, script_for
from holdfast.demo.show import speed_for
from holdfast.demo.tape import Tape
from venues.kraken.capabilities import capabilities_of


@pytest.fixture(params=["seeded 7", "seeded 11", "three ticks", "flat", "cheap"], scope="module")
def tape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tape:
    name = str(request.param)
    if name.startswith("seeded"):
        return tapes.seeded(int(name.split()[1]))
    path = tmp_path_factory.mktemp("ticks") / f"{name.replace(' ', '_')}.csv"
    prices = {"three ticks": ["100.5", "100.6", "100.4"], "flat": ["2500.01"] * 400, "cheap": ["0.0000123", "0.0000125"] * 200}[name]
    path.write_text("".join(f"{1_700_000_000 + second},{px},1\n" for second, px in enumerate(prices)))
    return tapes.recorded(path)


def test_there_are_24_positions_longs_and_shorts(tape: Tape) -> None:
    acts = script_for(tape, 300.0)
    sides = [act.plan.side for act in acts]
    assert len(acts) == 24
    assert sides.count(PositionSide.SHORT) >= 8
    assert all(act.plan.margin for act in acts if act.plan.side is PositionSide.SHORT)
    assert [act.at_s for act in acts] == sorted(act.at_s for act in acts)


def test_each_plan_or_the_plain_one_instead_could_be_protected(tape: Tape) -> None:
    instrument = tape.pair.instrument
    for act in script_for(tape, 300.0):
        plan = plain_instead_of(act).plan
        mark = Mark(px=tape.ticks[0].px, ts_event_ns=0, ts_recv_ns=0)
        check_plan(plan, instrument, capabilities_of(plan.margin), mark)


def test_the_show_takes_under_a_minute_whatever_the_tape(tape: Tape) -> None:
    speed, market_s = speed_for(tape)
    assert market_s / speed < 50


def test_a_long_recording_is_cut_to_its_liveliest_window(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    quiet = [(second, Decimal("100.00")) for second in range(0, 20_000, 5)]
    wild = [(20_000 + second, Decimal("100.00") + Decimal(second % 40) / 10) for second in range(400)]
    path.write_text("".join(f"{1_700_000_000 + second},{px},1\n" for second, px in quiet + wild))
    tape = tapes.recorded(path)
    assert tape.duration_s <= tapes.WINDOW_S
    assert tape.range_bps > 300


def test_a_file_without_trades_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("time,price,quantity\n")
    with pytest.raises(BadInput):
        tapes.recorded(path)
