"""P23: the fee of an entry was taken of what was bought, and only REST tells of the execution: which does not say so (N17)."""

import pytest
from msgspec.structs import replace

from events import facts as f
from holdfast.scenario.floor import Floor, replayed
from tests.fsm.stage import D
from venues.simulated.settings import VenueSettings

OWNERS = D(5)
FEE = D("0.00052")


def opened(*faults: str, fee: str = "base", owners: object = OWNERS, **settings: object) -> tuple[Floor, str]:
    """Return a floor with a position whose entry executed as the link was cut, and stands in no list of the stream any more."""
    venue = VenueSettings(balances={"USD": D(1_000_000), "BTC": D(str(owners))}, snapshot_trades=1, **settings)  # type: ignore[arg-type]
    floor = Floor(venue=venue)
    floor.wait(1)
    floor.by_hand("buy", "0.01")
    floor.wait(1)
    floor.faults.switch_on(faults)
    if fee == "base":
        floor.faults.arm("base_fee")
    usual, floor.altered = floor.altered, lambda text: '{"channel":"heartbeat"}' if '"channel":"executions"' in text else text
    position_id = floor.open(qty="0.2")
    floor.drop()
    floor.altered = usual
    for _ in range(2):
        floor.by_hand("buy", "0.005")
    floor.cut(back=True)
    return floor, position_id


def fees(floor: Floor, position_id: str) -> list[str]:
    entered = [x for x in floor.facts(f.OrderFilled, position_id) if x.side.value == "buy"]
    return [" ".join(fee.asset for fee in x.fees) for x in entered]


def left(floor: Floor) -> object:
    """Return what the account holds beyond what is its owner's."""
    return floor.at_venue() - OWNERS - D("0.02")


def test_p23_a_fee_that_rest_does_not_name_is_known_by_the_ledger_and_nothing_of_the_owners_is_sold() -> None:
    floor, position_id = opened()
    floor.wait(5)
    assert fees(floor, position_id) == ["", "BTC"]
    assert (floor.state(position_id), floor.resting()) == ("Protected", ["trailing-stop sell 0.19948"])
    floor.leave(position_id)
    floor.wait(5)
    assert (floor.state(position_id), left(floor), floor.pages) == ("Closed", 0, [])
    assert replayed(floor)


def test_p23_a_fee_of_the_quote_asset_is_known_too_and_the_whole_position_leaves() -> None:
    floor, position_id = opened(fee="quote")
    floor.wait(5)
    assert (fees(floor, position_id), floor.resting()) == (["", "USD"], ["trailing-stop sell 0.2"])
    floor.leave(position_id)
    floor.wait(5)
    assert (floor.state(position_id), left(floor)) == ("Closed", 0)


@pytest.mark.parametrize("fee", ["base", "quote"])
def test_p23_an_exit_does_not_wait_for_the_ledger_and_what_the_fee_may_have_taken_does(fee: str) -> None:
    floor, position_id = opened("rest_refused/on=rest:Ledgers/p=1/count=4", fee=fee)
    floor.wait(10)
    floor.leave(position_id)
    floor.wait(10)
    assert (floor.state(position_id), left(floor)) == ("MarketExiting", FEE if fee == "quote" else 0)
    floor.wait(60)
    assert (floor.state(position_id), left(floor)) == ("Closed", 0)
    assert "MARKET_FILL_TIMEOUT_EXPOSURE_RISK" not in floor.alerts
    assert replayed(floor)


def test_p23_a_stop_that_fired_for_the_whole_is_made_good_once_it_is_known_what_the_fee_had_taken() -> None:
    floor, position_id = opened("rest_refused/on=rest:Ledgers/p=1/count=4")
    floor.wait(10)
    floor.tick(58_000)
    floor.wait(1)
    assert (floor.state(position_id), left(floor)) == ("Closed", -FEE)
    floor.wait(90)
    assert abs(left(floor)) < D("0.00001")
    assert "EXPOSURE_ADOPTED" in floor.alerts
    assert "LATE_EVIDENCE" not in floor.pages
    assert replayed(floor)


def test_p23_a_restart_asks_the_ledger_again() -> None:
    floor, position_id = opened("rest_refused/on=rest:Ledgers/p=1/count=1")
    floor.wait(3)
    assert fees(floor, position_id) == [""]
    floor.kill()
    floor.wait(5)
    assert fees(floor, position_id) == ["", "BTC"]
    assert floor.resting() == ["trailing-stop sell 0.19948"]
    assert replayed(floor)


def test_p23_a_process_that_asks_nothing_by_rest_counts_a_fee_that_its_last_life_asked_for_as_of_the_quote_asset() -> None:
    floor, position_id = opened("rest_refused/on=rest:Ledgers/p=1/count=99")
    floor.wait(3)
    assert fees(floor, position_id) == [""]
    floor.settings = replace(floor.settings, asks_rest=False, asks_ledgers=False, asks_missing=False)
    floor.kill()
    floor.wait(1)
    assert fees(floor, position_id) == ["", "USD"]
    assert floor.alerts.count("FEE_ASSET_UNKNOWN") == 1


def test_p23_a_key_without_the_permission_counts_the_fee_as_of_the_quote_asset_and_says_so() -> None:
    floor, position_id = opened(key_lacks="query_ledger")
    floor.wait(5)
    assert fees(floor, position_id) == ["", "USD"]
    assert floor.alerts.count("FEE_ASSET_UNKNOWN") == 1


def test_p23_what_the_account_lacks_is_first_taken_for_a_fee_of_which_it_is_not_known() -> None:
    floor, first = opened("rest_refused/on=rest:Ledgers/p=1/count=99", owners=0, stops_hold_funds=False)
    floor.wait(3)
    second = floor.open(qty="0.1")
    floor.wait(5)
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("-0.02"), now_ns))
    floor.wait(20)
    assert [x.open_qty for x in floor.facts(f.PositionAdjusted, first)] == [D("0.2") - FEE]
    assert floor.facts(f.PositionAdjusted, second) == []
    floor.wait(200)
    assert floor.facts(f.PositionAdjusted) == floor.facts(f.PositionAdjusted, first)
    assert replayed(floor)
