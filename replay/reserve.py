"""Who waits for the venue's rate limit, so that protection and exits of what is open can be paid (I14); between desk and budget."""

from collections.abc import Sequence

from events import commands as c
from events import facts as f
from events.errors import BadInput
from fsm.desk import Desk
from fsm.model import Position
from fsm.position import ENTRY_PENDING
from venues.kraken.budget import YOUNG, RateBudget

from .output import Refusal


class Reserve:
    """What of `budget` is kept back for the positions of `desk`, pair by pair."""

    def __init__(self, desk: Desk, budget: RateBudget) -> None:
        self._desk, self._budget = desk, budget

    def wait_ns(self, command: c.SubmitOrder | c.AmendOrder, now_ns: int) -> int:
        """Return how long a command has to wait; 0 for all that protects or exits."""
        budget = self._budget
        if not budget.wait_ns(command, len(self._desk.positions), now_ns):
            return 0
        here = self._on_pair(command.symbol)
        if isinstance(command, c.AmendOrder):
            return budget.wait_ns(command, len(here), now_ns)
        # Entries that wait themselves have nothing to leave yet; else none of them could ever go.
        return self._entry_wait_ns(command.symbol, [x for x in here if not _is_waiting(x)], now_ns)

    def refusal(self, position_id: str, symbol: str, now_ns: int) -> Refusal | None:
        """Return why a new position of a pair must wait, None if there is room for it."""
        here = self._on_pair(symbol)
        wait_ns = self._entry_wait_ns(symbol, here, now_ns)
        if not wait_ns:
            return None
        limit = f"the venue's rate limit of {symbol}, {self._budget.limit} points,"
        problem = f"{limit} is kept for the exits of the {len(here)} positions that are there"
        again = f"ask again in {-(-wait_ns // 1_000_000_000)} s, or use another pair"
        return Refusal(position_id, str(BadInput(f"position {position_id}", problem, again)), wait_ns)

    def left_out(self, command: c.AmendOrder, now_ns: int) -> f.AmendRejected | None:
        """Return the fact that a tightening is left out for now, None if there is room for it.

        The stop stands as it was, and the position tries again later, as after a refusal for rate.
        """
        if not self.wait_ns(command, now_ns):
            return None
        return f.AmendRejected(
            ts_recv_ns=now_ns,
            client_order_id=command.client_order_id,
            venue_order_id=command.venue_order_id,
            reject_class="rate",
            text="not sent: what is left of the rate limit is kept for protection and exits",
        )

    def _entry_wait_ns(self, symbol: str, others: Sequence[Position], now_ns: int) -> int:
        points = (self._budget.leave_points([stop.client_order_id for stop in x.open_orders("stop")], now_ns) for x in others)
        return self._budget.entry_wait_ns(symbol, YOUNG + sum(points) + sum(map(_is_waiting, others)), now_ns)

    def _on_pair(self, symbol: str) -> list[Position]:
        return [position for position in self._desk.positions.values() if position.plan.symbol == symbol]


def patience_ns(plan: f.Plan) -> int:
    """Return how long the entry of a plan may wait to be sent: not beyond the deadline in its frame, nor until nobody knows of it."""
    timing = plan.timing
    return min(timing.market_deadline_ms, timing.entry_ttl_ms, timing.ack_timeout_ms) * 1_000_000


def _is_waiting(position: Position) -> bool:
    return position.state == ENTRY_PENDING and not any(order.sent_ns for order in position.orders)
