"""By which means coverage is moved (A10), best first, chosen from what the venue declares; and what each costs.

    amend              in place: nothing is ever without its stop
    delta_stop         a stop of its own for the quantity that has none yet
    place_then_cancel  the better stop first, the old one goes once it rests; only where the venue guarantees that both together
                       close no more than is held (reduce-only)
    cancel_create      the old one goes, then the better one is placed: what it protected is bare until then, and the clock runs

A replacement must be better where it stands now: a trailing stop that is placed anew begins at the last price, not at the peak.
"""

from events.commands import Means

from .model import Order, Position
from .order import END_STATUSES, SUBMITTED, UNKNOWN
from .prices import BPS, trail_stop_ticks

# Points that a transaction adds to Kraken's counter of the pair, by the age of the order in seconds (venues.md 1.12).
CANCEL_POINTS = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
AMEND_POINTS = ((5, 3), (10, 2), (15, 1))
SECOND_NS = 1_000_000_000


def is_guaranteed(position: Position) -> bool:
    """Whether the venue lets stops and exits together close no more than is held, whatever their sum."""
    return position.plan.margin and position.capabilities.reduce_only


def means_of(position: Position) -> Means:
    """Return how a stop comes to another level or to another size at this venue."""
    if position.capabilities.amend_in_place:
        return "amend"
    return "place_then_cancel" if is_guaranteed(position) else "cancel_create"


def rate_points(means: Means, order: Order | None, now_ns: int) -> int:
    """Return what `means` costs on `order`, created or last changed when it was accepted, for all we remember."""
    age_ns = 0 if order is None else max(0, now_ns - order.accepted_ns)
    if means == "delta_stop":
        return 1
    return 1 + _points(AMEND_POINTS if means == "amend" else CANCEL_POINTS, age_ns)


def _points(table: tuple[tuple[int, int], ...], age_ns: int) -> int:
    return next((points for secs, points in table if age_ns < secs * SECOND_NS), 0)


def is_replacing(position: Position) -> bool:
    """Whether a better stop is on its way while the old one stands."""
    return means_of(position) == "place_then_cancel" and any(o.role == "stop" and o.status in (SUBMITTED, UNKNOWN) for o in position.orders)


def wanted_trail_of(position: Position, order: Order) -> int | None:
    """Return the distance that a live trailing stop is to have: the wanted one, or nearer where it stands looser than one that was lost.

    A stop that is put back begins at the price of that moment: with its old distance it would stand looser (I3). The price follows from
    where the venue says that it stands. Only where a stop is amended: another one in its place would begin anew again.
    """
    wanted, stands, trail = position.wanted_trail_offset_bps, order.effective_stop_ticks, order.trail_offset_bps
    sign = position.side.sign
    if wanted is None or stands is None or not trail or not position.capabilities.amend_in_place:
        return wanted
    if trail != order.effective_trail_bps or trail < wanted:
        # The report is from before a change of the distance, or it has come nearer for this already.
        return wanted
    lost = [
        o.effective_stop_ticks * sign
        for o in position.orders
        if o.role == "stop" and o.status in END_STATUSES and not o.filled_lots and o.effective_stop_ticks is not None
    ]
    best = max(lost, default=None)
    if best is None or stands * sign >= best:
        return wanted
    peak = stands * BPS // (BPS - sign * trail)
    return min(wanted, max(1, (peak * sign - best) * BPS // peak))


def is_better_anew(position: Position, order: Order, trail_offset_bps: int) -> bool:
    """Whether a trailing stop of `trail_offset_bps`, placed now, stands nearer than the one that `order` has reached."""
    if position.mark is None:
        return False
    sign, floor = position.side.sign, position.instrument.floor_ticks
    reached = order.effective_stop_ticks
    if reached is None:
        peak = position.best_px if position.best_px is not None else position.mark.px
        reached = trail_stop_ticks(sign, order.trail_offset_bps or trail_offset_bps, floor(peak))
    return (trail_stop_ticks(sign, trail_offset_bps, floor(position.mark.px)) - reached) * sign > 0
