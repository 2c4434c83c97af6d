"""A judge must be able to say no: mistakes of an engine whose orders close what other positions hold on margin."""

from pathlib import Path

import msgspec
import pytest

from fsm import margin
from holdfast.simulation.case import read_case
from holdfast.simulation.plants import PLANTS
from holdfast.simulation.world import simulate
from replay import pipeline
from replay.takeover import Passed

SEEDS = Path(__file__).parent / "seeds"
LATE_STOP = "late-stop-on-margin-closes-what-the-next-position-holds"
CLOSED_BY_ANOTHER = (LATE_STOP, "position-on-margin-closed-by-the-order-of-another")


@pytest.fixture(autouse=True)
def _tells_no_heir(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an heir is told of its ended position leaves nothing to be closed twice in one of the cases."""
    monkeypatch.setattr(pipeline, "passed_on", lambda ended, fact, known, awaited: Passed((), tuple(awaited)))


@pytest.mark.parametrize("stem", CLOSED_BY_ANOTHER)
def test_an_engine_that_takes_nothing_off_the_position_that_was_closed_is_found(stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(margin, "_shortfall", lambda *_: [])
    found = simulate(read_case(SEEDS / f"{stem}.json"), with_replay=False, patience_s=30.0).violations
    assert any("and the log took 0 off it" in text for text in found)


@pytest.mark.parametrize("stem", CLOSED_BY_ANOTHER)
def test_an_engine_that_takes_half_of_it_off_is_found(stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = margin._shortfall
    monkeypatch.setattr(margin, "_shortfall", lambda *rest: [(position, part / 2) for position, part in whole(*rest)])
    found = simulate(read_case(SEEDS / f"{stem}.json"), with_replay=False, patience_s=30.0).violations
    assert any(text.startswith("I9") and "orders of others closed" in text for text in found)


def test_an_exit_on_margin_that_is_sent_twice_is_found_also_where_the_owner_trades() -> None:
    case = read_case(SEEDS / f"{LATE_STOP}.json")
    by_hand = [happening for happening in case.happenings if happening.kind == "trade_by_hand"]
    case = msgspec.structs.replace(case, happenings=by_hand[:1])
    assert simulate(case, with_replay=False).violations == []
    with PLANTS["send exits twice under another id"]():
        found = simulate(case, with_replay=False, patience_s=30.0).violations
    assert any("closed by two of its orders for the same quantity" in text for text in found)
