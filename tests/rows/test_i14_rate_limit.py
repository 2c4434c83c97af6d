"""I14: what tightening may spend of the venue's rate limit, and what is there for protection and exits whatever it spent."""

from decimal import Decimal

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import BALANCES, Floor
from replay.intents import OpenPosition, TightenPosition
from replay.output import Refusal
from replay.reserve import patience_ns
from venues.kraken.budget import OLD, RESERVE
from venues.simulated.settings import VenueSettings

S = 1_000_000_000


def wish(position_id: str, **plan: object) -> OpenPosition:
    asked = {"symbol": "BTC/USD", "side": PositionSide.LONG, "qty": Decimal("0.01"), "trail_offset_bps": 900, **plan}
    return OpenPosition(position_id=position_id, epoch=1, plan=f.Plan(**asked))


def test_positions_tightened_as_fast_as_can_be_are_never_refused_and_all_get_out_at_once() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "USD": Decimal(10_000_000)}, tier="starter"))
    positions = [floor.protected(trail_offset_bps=900) for _ in range(3)]
    for step in range(120):
        for position_id in positions:
            floor.intent(TightenPosition(position_id=position_id, trail_offset_bps=890 - step))
        floor.wait(0.5)
    assert floor.pipeline.counters["tightening_left_out"] > 0
    sent = [fact for fact in floor.facts(f.AmendRejected) if not fact.text.startswith("not sent")]
    assert sent == [], "the venue refused a tightening for rate"
    assert floor.gateway.exchange.markets["BTC/USD"].rates.count(floor.now_ns) <= 60 - RESERVE * len(positions)
    assert [floor.state(position_id) for position_id in positions] == ["Protected"] * 3
    for position_id in positions:
        floor.leave(position_id)
    floor.wait(2)
    assert [floor.state(position_id) for position_id in positions] == ["Closed"] * 3
    assert floor.facts(f.CancelRejected) == floor.facts(f.OrderRejected) == []


def test_a_tightening_that_was_left_out_is_made_up_for_when_there_is_room_again() -> None:
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), tier="starter"))
    position_id = floor.protected(trail_offset_bps=900)
    floor.pipeline.translator.budget.learn_count("BTC/USD", 59, floor.now_ns)
    floor.intent(TightenPosition(position_id=position_id, trail_offset_bps=500))
    assert floor.facts(f.AmendRejected)[0].reject_class == "rate"
    floor.wait(40)
    (stop,) = floor.position(position_id).open_orders("stop")
    assert (stop.trail_offset_bps, floor.state(position_id)) == (500, "Protected")


def test_no_position_is_opened_whose_exit_the_rate_limit_would_not_pay_for_and_all_get_out_at_once() -> None:
    floor = Floor(venue=VenueSettings(balances={**BALANCES, "USD": Decimal(100_000_000)}, tier="intermediate"))
    refusals: list[Refusal] = []
    began_ns, asked = floor.now_ns, 0
    while floor.now_ns - began_ns < 60 * S:
        output = floor.intent(wish(f"hf{asked + 1:06d}"))
        refusals += output.refusals
        asked += not output.refusals
        floor.wait(1 if output.refusals else 0.1)
    floor.wait(1)
    assert asked > 12, "what has grown old makes room for others"
    assert refusals, "so many young positions are more than the limit pays for"
    assert "the venue's rate limit of BTC/USD, 125 points, is kept for the exits of the" in refusals[0].reason
    assert 0 < refusals[0].again_ns < 60 * S
    held = [key for key in floor.pipeline.desk.positions if floor.state(key) == "Protected"]
    assert len(held) == asked
    for position_id in held:
        floor.leave(position_id)
    floor.wait(3)
    assert {floor.state(position_id) for position_id in held} == {"Closed"}
    assert floor.facts(f.CancelRejected) == floor.facts(f.OrderRejected) == []


def test_a_refusal_of_a_link_in_doubt_says_when_to_ask_again_and_that_of_a_bad_plan_does_not() -> None:
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES)))
    bad = floor.intent(wish("hf000001", stop_price=Decimal(10_000_000))).refusals
    assert [refusal.again_ns for refusal in bad] == [0]
    floor.cut()
    assert floor.pipeline.link.entries_halted
    (refused,) = floor.intent(wish("hf000001")).refusals
    assert "the private link is" in refused.reason
    assert refused.again_ns > 0


@pytest.mark.parametrize("entry", [{}, {"entry_type": "limit", "entry_price": Decimal(59_000)}], ids=["market", "limit"])
def test_no_entry_is_kept_waiting_beyond_the_deadline_that_its_frame_names(entry: dict[str, object]) -> None:
    floor = Floor()
    (event,) = floor.intent(wish("hf000001", **entry)).events
    (command,) = event.commands
    assert isinstance(command, c.SubmitOrder)
    assert event.fact.ts_recv_ns + patience_ns(wish("hf000001", **entry).plan) <= command.deadline_ns


def test_a_young_attached_stop_costs_what_a_young_one_of_ours_costs() -> None:
    floor = Floor()
    position_id = floor.open(attach_stop=True)
    floor.wait(1)
    stops = [stop.client_order_id for stop in floor.position(position_id).open_orders("stop")]
    budget = floor.pipeline.translator.budget
    assert stops, floor.state(position_id)
    assert {budget.cancel_points([stop], floor.now_ns) + OLD for stop in stops} == {RESERVE}
    floor.wait(301)
    assert {budget.cancel_points([stop], floor.now_ns) for stop in stops} == {0}
