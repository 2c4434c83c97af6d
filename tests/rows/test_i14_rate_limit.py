"""I14: what tightening may spend of the venue's rate limit, and what is there for protection and exits whatever it spent."""

from decimal import Decimal

from events import facts as f
from holdfast.scenario.floor import BALANCES, Floor
from replay.intents import TightenPosition
from venues.kraken.budget import RESERVE
from venues.simulated.settings import VenueSettings


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
