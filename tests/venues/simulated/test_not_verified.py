"""What is not verified about Kraken is listed in docs/kraken.md: all of it, each point with an answer that runs here."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from events import commands as c
from events.values import PositionSide
from holdfast.scenario.floor import BALANCES, Floor, commands_of
from venues.simulated.faults import FAULTS
from venues.simulated.settings import VenueSettings

D = Decimal
ROOT = Path(__file__).resolve().parents[3]
# Questions of the design's eight entries on Kraken, entry by entry, the one in its text, one on its lists of balances, one on its ledger.
QUESTIONS = (3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1)


def rows() -> list[list[str]]:
    section = (ROOT / "docs" / "kraken.md").read_text().partition("## What is not verified about Kraken")[2]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| N")]


def test_the_list_is_complete_by_number() -> None:
    assert [row[0] for row in rows()] == [f"N{number}" for number in range(1, sum(QUESTIONS) + 1)]
    assert all(all(row) and len(row) == 5 for row in rows())


def test_every_test_setting_and_fault_that_the_list_names_exists() -> None:
    tests = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    named = [name for row in rows() for name in re.findall(r"`(test_\w+)`", row[4])]
    assert set(named) <= tests, sorted(set(named) - tests)
    assert all("test_" in row[4] for row in rows())
    others = {name for row in rows() for name in re.findall(r"`([a-z]+_[a-z_]+)(?:=\w+)?`", row[2])}
    assert others <= {*FAULTS, *VenueSettings.__struct_fields__}


def test_n8_an_amended_order_keeps_its_conditional(client) -> None:
    close = {"order_type": "stop-loss", "trigger_price": D("59000.0")}
    order_id = client.placed("limit", "buy", "0.5", limit_price=D("59900.0"), conditional=close)
    assert client.trade("amend_order", order_id=order_id, limit_price=D("59950.0"))["success"]
    client.price("59940.0")
    children = [entry for entry in client.entries(kind="pending_new") if entry.get("ord_ref_id") == order_id]
    assert [child["order_qty"] for child in children] == [D("0.5")]


@pytest.mark.parametrize(("count", "taken"), [(1, False), (2, True), (50, True), (51, False)])
def test_n14_a_batch_of_cancels_has_two_to_fifty_orders(make_client, count: int, taken: bool) -> None:
    client = make_client(tier="unlimited")
    ids = [client.placed("limit", "buy", "0.001", limit_price=D("50000.0")) for _ in range(count)]
    assert client.trade("batch_cancel", orders=ids)["success"] is taken


@pytest.mark.parametrize("holds", [True, False], ids=["held", "not held"])
def test_n12_a_life_on_a_venue_whose_stops_hold_nothing_sells_once(holds: bool) -> None:
    """The owner's own coins lie beside the position: a second sell would be taken from them."""
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "BTC": D(5)}, stops_hold_funds=holds))
    position_id = floor.protected(PositionSide.LONG)
    floor.faults.arm("ack_lost_applied", on="cancel_order")
    floor.leave(position_id)
    floor.wait(20)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", D(5), [])
    assert [x.role for x in commands_of(floor, position_id, c.SubmitOrder)] == ["entry", "stop", "exit"]
