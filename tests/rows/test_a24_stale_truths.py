"""A24: whatever happens to the truth, and in whatever order, it leaves nothing without a stop for longer than a stated time.

What is measured is the venue's own books, not what the engine believes: held, and no stop resting for it. The bounds are in docs/kraken.md.
"""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import SECOND, D, Floor, replayed

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def without_proof(text: str) -> str:
    """A snapshot that holds no execution: its absences prove nothing."""
    return text.replace('"exec_type":"trade"', '"exec_type":"status"') if '"type":"snapshot"' in text else text


def as_it_is(text: str) -> str:
    return text


class Watch:
    """How long the venue's books showed something held without a stop for it."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.worst_ns = 0
        self._since_ns: int | None = None
        floor.looker = self._look

    @property
    def is_bare(self) -> bool:
        stops = [o for o in self.floor.gateway.exchange.open_orders() if o.order_type in ("trailing-stop", "stop-loss")]
        stopped = sum((o.pair.instrument.qty(o.leaves_lots) for o in stops), Decimal(0))
        return abs(self.floor.at_venue()) - stopped >= D("0.00005")

    def _look(self) -> None:
        if not self.is_bare:
            self._since_ns = None
            return
        self._since_ns = self.floor.now_ns if self._since_ns is None else self._since_ns
        self.worst_ns = max(self.worst_ns, self.floor.now_ns - self._since_ns)


@both_sides
def test_a24_the_first_start_on_an_account_with_a_past_soon_knows_what_is_proof(side: PositionSide) -> None:
    """Nothing of what a first snapshot lists is known, and all of it is older than any position."""
    floor = Floor(start=False)
    floor.tick(floor.px)
    for _ in range(3):
        floor.by_hand("buy", "0.01")
        floor.by_hand("sell", "0.01")
    floor.now_ns += 3_600 * SECOND
    floor.start()
    floor.wait(3)
    assert not floor.pipeline.translator._orders.has_gap
    watch = Watch(floor)
    floor.faults.arm("ack_lost_not_applied", on="add_order:trailing-stop")
    position_id = floor.open(side, "0.2")
    floor.wait(10)
    assert floor.state(position_id) == "Protected"
    assert watch.worst_ns <= 5 * SECOND


@both_sides
def test_a24_what_was_adopted_behind_an_end_is_not_bare_for_ever_because_its_execution_is_older_than_it(side: PositionSide) -> None:
    """Found by a random sequence: the only execution of the account was before the position, so that no list of REST reached it."""
    floor = Floor()
    watch = Watch(floor)
    floor.wait(1)
    floor.faults.arm("drop_frame", on="executions", count=9)
    floor.faults.arm("truncated_snapshot", on="snapshot:executions", count=9)
    ended = floor.open(side, "0.2")
    floor.wait(25)
    assert floor.state(ended) == "Abandoned"
    floor.faults.disarm()
    floor.faults.arm("ack_lost_not_applied", on="add_order:trailing-stop")
    floor.wait(30)
    adopted = floor.facts(f.PositionAdopted)
    assert [x.plan.qty for x in adopted] == [D("0.2")]
    assert (floor.state(adopted[0].position_id), watch.is_bare) == ("Protected", False)
    assert replayed(floor)
