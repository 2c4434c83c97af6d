"""What a plan is refused for, field by field, and what is just right."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from events import facts as f
from events.errors import BadInput
from events.values import Mark, PositionSide
from fsm.plans import check_plan
from tests.fsm.stage import INSTRUMENT, SPOT, D, plan_of

LISTED = replace(INSTRUMENT, min_cost=D(50))
MARK = Mark(px=D(100), ts_event_ns=1, ts_recv_ns=1)


def check(plan: f.Plan, mark: Mark | None = MARK, **of_the_pair: object) -> None:
    check_plan(plan, replace(LISTED, **of_the_pair), SPOT, mark, Decimal(26))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trail_offset_bps": None}, "it has no stop"),
        ({"trail_floor_bps": -1}, "trail_floor_bps: -1 is not within 0 to 5000"),
        ({"trail_floor_bps": 5_001}, "trail_floor_bps: 5001 is not within 0 to 5000"),
        ({"time_stop_secs": -1}, "time_stop_secs: -1 is negative"),
        ({"qty": D("0.499")}, "costs less than the venue's minimum 50 USD"),
        ({"qty": D("0.510")}, "costs less than the venue's minimum 50 USD at its stop"),
        ({"trail_offset_bps": None, "stop_price": D(100)}, "stop_price: 100 is on the wrong side of 100"),
        ({"take_profit_price": D(100)}, "take_profit_price: 100 is on the wrong side of 100"),
        ({"qty": D("1.0"), "trail_offset_bps": 9}, "9 of 100 is less than the venue's tick 0.1"),
        ({"tighten": (f.TightenStep(profit_bps=1, trail_offset_bps=5_001),)}, "profit 1, trail 5001 is no step"),
        ({"strategy": "ignition", "trail_activation_bps": 0}, "an ignition needs the profit"),
    ],
    ids=str,
)
def test_a_plan_that_cannot_be_entered_protected_or_left_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        check(plan_of(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"trail_offset_bps": None, "trail_auto": True},
        {"trail_offset_bps": 5_000, "qty": D("1.1")},
        {"trail_floor_bps": 5_000},
        {"time_stop_secs": 0},
        {"qty": D("0.517")},
        {"trail_offset_bps": None, "stop_price": D("99.9")},
        {"take_profit_price": D("100.1")},
        {"trail_offset_bps": 10},
        {"tighten": (f.TightenStep(profit_bps=1, trail_offset_bps=5_000),)},
        {"strategy": "ignition", "trail_activation_bps": 1},
    ],
    ids=str,
)
def test_what_is_just_within_its_bounds_is_taken(fields: dict[str, object]) -> None:
    check(plan_of(**fields))


def test_a_short_needs_margin_and_margin_a_pair_that_has_it() -> None:
    with pytest.raises(BadInput, match="side: a short needs margin"):
        check(plan_of(PositionSide.SHORT))
    check(plan_of(PositionSide.SHORT, margin=True))
    with pytest.raises(BadInput, match="BTC/USD cannot be traded on margin"):
        check(plan_of(margin=True), marginable=False)


def test_a_short_is_as_large_at_its_entry_as_the_venue_asks_though_its_stop_is_dearer() -> None:
    with pytest.raises(BadInput, match="costs less than the venue's minimum"):
        check(plan_of(PositionSide.SHORT, margin=True, qty=D("0.499")))
    check(plan_of(PositionSide.SHORT, margin=True, qty=D("0.500")))


def test_without_a_price_only_what_needs_none_is_looked_at() -> None:
    check(plan_of(qty=D("0.003")), mark=None)
    with pytest.raises(BadInput, match=r"0\.002 less its fee is under the venue's minimum 0\.002: no stop could protect it"):
        check(plan_of(qty=D("0.002")), mark=None)
    with pytest.raises(BadInput, match="side of 100"):
        check(plan_of(entry_type="limit", entry_price=D(100), stop_price=D(101)), mark=None)
