"""A24: whatever happens to the truth, and in whatever order, it leaves nothing without a stop for longer than a stated time.

What is measured is the venue's own books, not what the engine believes: held, and no stop resting for it. The bounds are in docs/kraken.md.
"""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events import facts as f
from events.values import PositionSide
from fsm.monitor import BOUND_NS
from holdfast.scenario.floor import SECOND, D, Floor, replayed

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def without_proof(text: str) -> str:
    """A snapshot that holds no execution: its absences prove nothing."""
    return text.replace('"exec_type":"trade"', '"exec_type":"status"') if '"type":"snapshot"' in text else text


def as_it_is(text: str) -> str:
    return text


# Once the truth is honest again, and requests arrive: until what is held has its stop, or is sold. The routine look comes every 10 s here.
CALM_NS = 15 * SECOND
# The vigil counts from what the engine knows, which is later than what the venue's books show by one doubt.
TOLD_NS = BOUND_NS + 10 * SECOND


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

    def _look(self) -> bool:
        if not self.is_bare:
            self._since_ns = None
            return False
        self._since_ns = self.floor.now_ns if self._since_ns is None else self._since_ns
        self.worst_ns = max(self.worst_ns, self.floor.now_ns - self._since_ns)
        return True


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
    # On margin: on spot the balance that comes with each truth belies such a list, and the entry is not believed absent.
    ended = floor.open(side, "0.2", margin=True)
    floor.wait(25)
    assert floor.state(ended) == "Abandoned"
    floor.faults.disarm()
    floor.faults.arm("ack_lost_not_applied", on="add_order:trailing-stop")
    floor.wait(30)
    adopted = floor.facts(f.PositionAdopted)
    assert [x.plan.qty for x in adopted] == [D("0.2")]
    assert (floor.state(adopted[0].position_id), watch.is_bare) == ("Protected", False)
    assert replayed(floor)


STEPS = (
    "cut", "away", "silence", "gap", "dropped", "late", "reordered", "cut short", "no proof", "proof again",
    "reply lost", "stop lost", "stop taken", "nothing",
)  # fmt: skip


def step(floor: Floor, name: str, seconds: float) -> None:
    """Let one thing happen to the truth, and `seconds` pass."""
    faults = floor.faults
    match name:
        case "cut" if floor.is_connected:
            floor.cut(back=True)
        case "away" if floor.is_connected:
            floor.cut()
        case "silence":
            faults.arm("stall", on="executions", seconds=seconds)
        case "gap":
            faults.arm("sequence_gap")
        case "dropped":
            faults.arm("drop_frame", on="executions", count=max(1, int(seconds)))
        case "late":
            faults.arm("delay_frame", on="executions", seconds=seconds)
        case "reordered":
            faults.arm("reorder_frames")
        case "cut short":
            faults.arm("truncated_snapshot")
        case "no proof":
            floor.altered = without_proof
        case "proof again":
            floor.altered = as_it_is
        case "reply lost":
            faults.arm("ack_lost_applied")
        case "stop lost":
            faults.arm("ack_lost_not_applied", on="add_order:trailing-stop")
        case "stop taken":
            for order in floor.gateway.exchange.open_orders():
                if order.order_type == "trailing-stop":
                    floor.owner(lambda exchange, now_ns, taken=order.order_id: exchange.cancel(taken, "", now_ns))  # type: ignore[misc]
    floor.wait(seconds)
    if name == "away":
        floor.connect()


durations = st.sampled_from((0.5, 1, 2, 3, 4, 5, 8))


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(PositionSide),
    st.lists(st.tuples(st.sampled_from(STEPS), durations), max_size=6),
    st.lists(st.tuples(st.sampled_from(STEPS), durations), min_size=1, max_size=10),
)
@example(PositionSide.SHORT, [("dropped", 5)], [("cut short", 5), ("cut short", 5), ("stop lost", 2), ("away", 8), ("late", 2)])
def test_a24_no_sequence_of_stale_truths_leaves_exposure_bare_for_longer_than_the_bound(
    side: PositionSide, before: list[tuple[str, float]], after: list[tuple[str, float]]
) -> None:
    floor = Floor()
    # An account without any execution is a case of its own: an empty list is all that it can show.
    floor.by_hand("buy", "0.01")
    floor.by_hand("sell", "0.01")
    floor.wait(1)
    watch = Watch(floor)
    for name, seconds in before:
        step(floor, name, seconds)
    position_id = floor.open(side, "0.2")
    for name, seconds in after:
        step(floor, name, seconds)
    assert watch.worst_ns <= TOLD_NS or "UNPROTECTED_TOO_LONG" in floor.pages, (watch.worst_ns, floor.states(position_id))
    floor.altered = as_it_is
    floor.faults.disarm()
    floor.wait(CALM_NS / SECOND)
    assert not watch.is_bare, floor.states(position_id)
    states = {position.state for position in floor.pipeline.desk.positions.values()}
    assert states <= {"Protected"}, states
    assert replayed(floor)
