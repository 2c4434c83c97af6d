"""Who waits for the venue's rate limit, so that protection and exits of what is open can be paid (I14, P29); between desk and budget."""

from collections.abc import Sequence
from typing import NamedTuple

from events import commands as c
from events import facts as f
from events.errors import BadInput
from fsm.desk import Desk
from fsm.model import Position
from fsm.position import ENTRY_PENDING, HALTED
from fsm.timers import first_deadline
from venues.kraken.budget import OLD, RESTING, YOUNG, RateBudget, is_tightening

from .output import Refusal, RefusalCode

SECOND_NS = 1_000_000_000
# How soon it is looked again where no clock says when there will be room.
LOOK_NS = SECOND_NS
# An entry that is about to leave.
_ENTRY = 1


class Reserve:
    """What of `budget` is kept back for the positions of `desk`, pair by pair."""

    def __init__(self, desk: Desk, budget: RateBudget) -> None:
        self._desk, self._budget = desk, budget

    def wait_ns(self, command: c.SubmitOrder | c.AmendOrder, now_ns: int) -> int:
        """Return in how long to look again whether a command may leave; 0 if it may now, as may all that protects or exits."""
        if isinstance(command, c.AmendOrder):
            return self._tightening_wait_ns(command, now_ns) if is_tightening(command) else 0
        if not c.is_risk_increasing(command):
            return 0
        # Entries that wait themselves have nothing to leave yet; else none of them could ever go.
        here = [x for x in self._on_pair(command.symbol) if not _is_waiting(x)]
        wait_ns = self._entry_wait_ns(command.symbol, _new(command.order_type), here, now_ns)
        return LOOK_NS if wait_ns is None else wait_ns

    def sent(self, client_order_id: str, now_ns: int) -> None:
        """Count an order that has left, if it is an entry; all others were counted as they were encoded, for they never wait."""
        owner = self._desk.owner_of(client_order_id)
        position = None if owner is None else self._desk.get(owner)
        order = None if position is None else position.order(client_order_id)
        if position is not None and order is not None and order.role == "entry":
            self._budget.charge_entry(position.plan.symbol, client_order_id, now_ns)

    def refusal(self, position_id: str, plan: f.Plan, now_ns: int) -> Refusal | None:
        """Return why there is no room for a position, None if there is."""
        symbol, limit = plan.symbol, self._budget.limit
        here = self._on_pair(symbol)
        new = _new(plan.entry_type)
        wait_ns = self._entry_wait_ns(symbol, new, here, now_ns)
        if wait_ns == 0:
            return None
        kept = f"the venue's rate limit of {symbol}, {limit} points, is kept for the exits of the {len(here)} positions that are there"
        code: RefusalCode
        if wait_ns is not None:
            code, problem, remedy = "RATE_LIMIT_WAIT", kept, f"ask again in {_seconds(wait_ns)} s, or use another pair"
        elif new.points + sum(map(_least, here)) <= limit:
            under_way = [x for x in here if _least(x) < _stake(x).points]
            wait_ns = self._look_ns(under_way, now_ns)
            code, problem = "RATE_LIMIT_BUSY", f"{kept}, {len(under_way)} of which have no stop yet or any more"
            remedy = f"ask again when those are protected or gone, at the latest in {_seconds(wait_ns)} s, or use another pair"
        else:
            code, wait_ns = "RATE_LIMIT_FULL", 0
            limited = f"the venue's rate limit of {symbol}, {limit} points,"
            problem = f"{limited} never pays for one more exit beside those of the {len(here)} positions that are there"
            remedy = "close one of them, use another pair, or get a higher tier from the venue"
        return Refusal(position_id, str(BadInput(f"position {position_id}", problem, remedy)), wait_ns, code)

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

    def _tightening_wait_ns(self, command: c.AmendOrder, now_ns: int) -> int:
        # Where all positions together would not be too many, those of the pair need not be looked for.
        if not self._budget.tightening_wait_ns(command, len(self._desk.positions), now_ns):
            return 0
        return self._budget.tightening_wait_ns(command, len(self._on_pair(command.symbol)), now_ns)

    def _entry_wait_ns(self, symbol: str, new: "_Stake", others: Sequence[Position], now_ns: int) -> int | None:
        stakes = [new, *map(_stake, others)]
        points, cancels = sum(x.points for x in stakes), [order for x in stakes for order in x.cancels]
        return self._budget.entry_wait_ns(symbol, points, cancels, now_ns)

    def _look_ns(self, under_way: Sequence[Position], now_ns: int) -> int:
        """Return when the first of these has done something, by its own clock."""
        clocks = [clock.at_ns - now_ns for clock in map(first_deadline, under_way) if clock is not None]
        return max(LOOK_NS, min(clocks, default=LOOK_NS))

    def _on_pair(self, symbol: str) -> list[Position]:
        return [position for position in self._desk.positions.values() if position.plan.symbol == symbol]


class _Stake(NamedTuple):
    """What it takes to get out of one position: points, and the cancels of these orders, which become cheaper with time."""

    points: int
    cancels: tuple[str, ...]


def patience_ns(plan: f.Plan) -> int:
    """Return how long the entry of a plan may wait to be sent: not beyond the deadline in its frame, nor until nobody knows of it."""
    timing = plan.timing
    return min(timing.market_deadline_ms, timing.entry_ttl_ms, timing.ack_timeout_ms) * 1_000_000


def _new(entry_type: str) -> _Stake:
    """Return the stake of a position whose entry is about to leave; one that rests may have to be cancelled while it is young."""
    return _Stake(_ENTRY + YOUNG + (RESTING if entry_type == "limit" else 0), ())


def _stake(position: Position) -> _Stake:
    if _is_waiting(position):
        return _new(position.plan.entry_type)
    orders = position.open_orders()
    rests = tuple(x.client_order_id for x in orders if x.order_type != "market")
    return _Stake(OLD if any(x.role == "stop" for x in orders) else YOUNG, rests)


def _least(position: Position) -> int:
    """Return the points of the position once what is under way has ended: protected, if it is still there."""
    return YOUNG if position.state == HALTED and not position.open_orders("stop") else OLD


def _is_waiting(position: Position) -> bool:
    return position.state == ENTRY_PENDING and not any(order.sent_ns for order in position.orders)


def _seconds(ns: int) -> int:
    return -(-ns // SECOND_NS)
