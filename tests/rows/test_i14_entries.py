"""I14, P29: no risk is added before its exit could be paid; an entry for which there is no room is told what would cure that, and when."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import BALANCES, MS, SECOND, SYMBOL, Floor, replayed
from replay.intents import OpenPosition, TightenPosition, payload_from
from replay.output import Refusal
from replay.pipeline import Pipeline
from venues.kraken.budget import RESERVE
from venues.simulated.rates import LIMITS, Tier, cancel_points
from venues.simulated.settings import VenueSettings

RICH = {**BALANCES, "USD": Decimal(1_000_000_000)}


def floor_of(tier: Tier) -> Floor:
    return Floor(venue=VenueSettings(balances=dict(RICH), tier=tier))


def wish(number: int, **plan: Any) -> OpenPosition:
    asked = {"symbol": SYMBOL, "side": PositionSide.LONG, "qty": Decimal("0.01"), "trail_offset_bps": 900, **plan}
    return OpenPosition(position_id=f"hf{number:06d}", epoch=1, plan=f.Plan(**asked))


def asked_in_time(floor: Floor, number: int, patience_s: float, **plan: Any) -> tuple[Refusal, ...]:
    """Ask for a position as the engine does: again whenever it was told to."""
    until_ns = floor.now_ns + int(patience_s * SECOND)
    while (refusals := floor.intent(wish(number, **plan)).refusals) and refusals[0].again_ns and floor.now_ns < until_ns:
        floor.wait(refusals[0].again_ns / SECOND)
    return refusals


def test_a_pair_whose_limit_pays_for_no_further_exit_says_so_once_and_for_good_with_the_remedy() -> None:
    floor = floor_of("starter")
    for number in range(1, 26):
        assert asked_in_time(floor, number, 900) == (), f"position {number}"
        floor.wait(1)
    (refused,) = asked_in_time(floor, 26, 900)
    assert (refused.code, refused.again_ns) == ("RATE_LIMIT_FULL", 0)
    for word in ("60 points", "25 positions", "close", "another pair", "higher tier"):
        assert word in refused.reason
    floor.leave("hf000001")
    floor.wait(5)
    assert asked_in_time(floor, 26, 60) == (), "what has ended makes room"


def test_who_asks_again_when_he_was_told_to_is_taken_and_not_before() -> None:
    floor = floor_of("starter")
    cured = 0
    for number in range(1, 11):
        refusals = floor.intent(wish(number)).refusals
        if refusals:
            (refused,) = refusals
            assert refused.code == "RATE_LIMIT_WAIT"
            assert not takes(floor.pipeline, number, floor.now_ns + refused.again_ns - MS)
            assert takes(floor.pipeline, number, floor.now_ns + refused.again_ns)
            cured += 1
            floor.wait(refused.again_ns / SECOND)
            assert floor.intent(wish(number)).refusals == ()
        floor.wait(1)
    assert cured > 3


def takes(pipeline: Pipeline, number: int, now_ns: int) -> bool:
    """Whether the pipeline, to which nothing else happens until then, would take a plan at `now_ns`."""
    return not deepcopy(pipeline).feed("intent", now_ns, "", payload_from(wish(number))).refusals


def test_entries_that_rest_are_waited_for_as_long_as_they_rest_and_no_plan_is_given_up_for_them() -> None:
    floor = floor_of("starter")
    rests = {"entry_type": "limit", "entry_price": Decimal(50_000), "timing": f.Timing(entry_ttl_ms=600_000)}
    for number in range(1, 5):
        assert asked_in_time(floor, number, 300, **rests) == ()
    floor.wait(310)
    (refused,) = floor.intent(wish(5, **rests)).refusals
    assert (refused.code, 0 < refused.again_ns <= 60 * SECOND) == ("RATE_LIMIT_BUSY", True)
    assert "4 of which have no stop yet" in refused.reason
    assert asked_in_time(floor, 5, 400, **rests) == ()


def test_a_restart_knows_how_young_stops_are_and_how_full_the_pair_is() -> None:
    floor = floor_of("starter")
    positions = [floor.protected(qty="0.01", attach_stop=attached) for attached in (False, True, True)]
    stops = [order.client_order_id for x in positions for order in floor.position(x).open_orders("stop")]
    before = floor.pipeline.translator.budget
    floor.kill()
    budget = floor.pipeline.translator.budget
    assert budget.cancel_points(stops, floor.now_ns) == before.cancel_points(stops, floor.now_ns) == 24
    assert budget.count(SYMBOL, floor.now_ns) >= floor.gateway.exchange.markets[SYMBOL].rates.count(floor.now_ns)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("market"), st.just(0)),
        st.tuples(st.just("limit"), st.sampled_from((5, 40, 2_000))),
        st.tuples(st.just("tighten"), st.integers(1, 8)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("tick"), st.sampled_from((-60, -30, -6, 6, 30))),
        st.tuples(st.just("wait"), st.sampled_from((0.1, 0.1, 1, 6, 40, 310))),
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(tier=st.sampled_from(("starter", "intermediate")), steps=STEPS)
def test_whatever_is_asked_the_reserve_is_spent_on_no_entry_and_on_no_tightening_and_who_was_told_when_is_taken_then(
    tier: Tier, steps: list[tuple[str, Any]]
) -> None:
    floor = floor_of(tier)
    book = Book(floor, tier)
    number = 0
    for step, value in steps:
        held = sorted(floor.pipeline.desk.positions)
        if step in ("market", "limit"):
            plan = {} if step == "market" else {"entry_type": "limit", "entry_price": floor.moved(PositionSide.LONG, -value)}
            refusals = floor.intent(wish(number + 1, **plan)).refusals
            number += not refusals
            for refused in refusals:
                if refused.code == "RATE_LIMIT_WAIT":
                    later = deepcopy(floor.pipeline)
                    again = later.feed("intent", floor.now_ns + refused.again_ns, "", payload_from(wish(number + 1, **plan)))
                    assert again.refusals == ()
        elif step == "tick":
            floor.tick(floor.moved(PositionSide.LONG, value), "100")
        elif step == "wait":
            floor.wait(value)
        elif held:
            if step == "leave":
                floor.leave(held[value % len(held)])
            for position_id in held * value if step == "tighten" else []:
                offset = floor.position(position_id).wanted_trail_offset_bps or 900
                floor.intent(TightenPosition(position_id=position_id, trail_offset_bps=max(100, offset - 10)))
    assert book.problems == []
    floor.wait(1)
    assert replayed(floor)


class Book:
    """Looks, by the venue's own count, at what is left of the limit whenever an entry or a tightening has been carried out."""

    def __init__(self, floor: Floor, tier: Tier) -> None:
        self.floor, self.limit = floor, LIMITS[tier].threshold
        self.problems: list[str] = []
        floor.listener = self._hear

    def _hear(self, text: str) -> None:
        request = msgspec.json.decode(text)
        params = request["params"]
        if request["method"] == "add_order" and params["side"] == "buy":
            self.floor.queue(lambda: self._look("entry", self._to_leave(), 1))
        elif request["method"] == "amend_order" and "order_qty" not in params:
            positions = len(self.floor.pipeline.desk.positions)
            self.floor.queue(lambda: self._look("tightening", min(RESERVE * positions, self.limit // 2), 0))

    def _look(self, what: str, reserve: int, own: int) -> None:
        count = self.floor.gateway.exchange.markets[SYMBOL].rates.count(self.floor.now_ns)
        if count + reserve > self.limit:
            self.problems.append(f"{what}: {count} of {self.limit} spent, {reserve} are needed")

    def _to_leave(self) -> int:
        """Return the points with which every position leaves now: what rests is cancelled, an exit, a stop in its place."""
        points = 0
        for position in self.floor.pipeline.desk.positions.values():
            if not any(order.sent_ns for order in position.orders):
                continue
            resting = [o for o in self.floor.gateway.exchange.open_orders() if o.cl_ord_id in {x.client_order_id for x in position.orders}]
            points += sum(cancel_points(self.floor.now_ns - o.touched_ns) for o in resting)
            has_stop = any(o.order_type in ("trailing-stop", "stop-loss") for o in resting)
            points += 2 if has_stop else 11
        return points
