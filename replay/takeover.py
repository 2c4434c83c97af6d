"""What the log does not know and the venue tells: an order of ours that rests (P08), an execution behind an end (A8). As facts."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from events import commands as c
from events import facts as f
from events.values import Mark, PositionSide, Side
from fsm.holdings import newest_first
from fsm.model import Order, Position
from fsm.order import CANCELED, EXPIRED, REJECTED
from fsm.ranges import Ranges
from venues import messages as m

from .intents import AdoptExposure
from .output import Exposure

_CALLED_OVER = (CANCELED, EXPIRED, REJECTED)
_OTHER_SIDE = {PositionSide.LONG: PositionSide.SHORT, PositionSide.SHORT: PositionSide.LONG}


def found_order(position: Position, order: m.OpenOrder, asked_ns: int, now_ns: int) -> f.ChildDiscovered | None:
    """Return the fact that an order of a position rests without its knowledge, None if it knows.

    It left in the instant before a crash (contract 4), or the venue called it over before the list was asked for, and lists it (P08), or
    it is larger than what filled it in our books (I6).
    """
    known = position.order(order.client_order_id, order.venue_order_id)
    if known is not None and not (known.status in _CALLED_OVER and known.ended_ns < asked_ns) and not _is_belied(position, known, order):
        return None
    if order.leaves_qty is None or order.side is None or (known is None and order.parent_venue_order_id):
        return None
    return f.ChildDiscovered(
        ts_recv_ns=now_ns,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        parent_venue_order_id="",
        qty=order.leaves_qty,
        cum_qty=order.cum_qty or None,
        trigger_price=order.effective_stop,
        trail_offset_bps=order.trail_offset_bps,
        role=_role_of(position, order),
        order_type=_order_type_of(order),
    )


def _is_belied(position: Position, known: Order, order: m.OpenOrder) -> bool:
    if order.leaves_qty is None or order.cum_qty is None:
        return False
    return known.is_belied(position.instrument.floor_lots(order.leaves_qty), position.instrument.floor_lots(order.cum_qty))


class Passed(NamedTuple):
    """What an execution behind an end did to heirs: facts by position, and what is `awaited` to be taken over now."""

    facts: tuple[tuple[str, f.ManualFillSeen], ...]
    awaited: tuple[Exposure, ...]


def passed_on(ended: Position, fact: f.OrderFilled, known: Iterable[Position], awaited: Sequence[Exposure]) -> Passed:
    """Return what an execution of the exit side, not booked yet, closes of what came to life behind the end of a position.

    What the books of the ended one hold, its heirs among `known` hold, or who is to take it over: it is taken off those first that were
    not born yet, then off the newest. What is beyond all that they hold was closed twice, and is booked in the newest (P24). Where an
    adjustment may have had it in it already nothing is: that would leave what is there without protection, and the account tells (A26).
    """
    heirs = newest_first(p for p in known if p.heir_of == ended.position_id)
    told = [heir for heir in heirs if fact.trade_id in heir.trade_ids]
    if told or fact.trade_id in ended.trade_ids:
        # Its price may come later than its quantity (A16).
        facts = [(heir.position_id, _closed_by(ended, fact, fact.last_qty)) for heir in told if fact.trade_id in heir.unpriced_ids]
        return Passed(tuple(facts), tuple(awaited))
    if fact.side is ended.side.entry_side or any(p.adjusted for p in (ended, *heirs)):
        return Passed((), tuple(awaited))
    lots_of, qty_of = ended.instrument.floor_lots, ended.instrument.qty
    left = min(lots_of(fact.last_qty), ended.held_lots)
    still: list[Exposure] = []
    for exposure in awaited:
        if exposure.of == ended.position_id and not exposure.reverses:
            part = min(left, lots_of(exposure.qty))
            left -= part
            exposure = exposure._replace(qty=exposure.qty - qty_of(part))
        if lots_of(exposure.qty) >= ended.min_lots or exposure.of != ended.position_id:
            still.append(exposure)
    parts: dict[str, int] = {}
    for heir in heirs:
        part = min(left, heir.held_lots)
        left -= part
        parts[heir.position_id] = part
    if heirs and left >= ended.min_lots:
        parts[heirs[0].position_id] += left
    return Passed(tuple([(key, _closed_by(ended, fact, qty_of(lots))) for key, lots in parts.items() if lots]), tuple(still))


def _closed_by(ended: Position, fact: f.OrderFilled, qty: Decimal) -> f.ManualFillSeen:
    return f.ManualFillSeen(
        ts_event_ns=fact.ts_event_ns,
        ts_recv_ns=fact.ts_recv_ns,
        trade_id=fact.trade_id,
        side=fact.side,
        last_qty=qty,
        last_px=fact.last_px,
        of=ended.position_id,
    )


def exposure_of(ended: Position, fact: f.OrderFilled | f.ManualFillSeen) -> list[Exposure]:
    """Return what an execution behind the end of a position has opened; nothing under the venue's smallest order.

    An execution of the exit side closed what was closed: on margin it opened the reverse, on spot it sold what was the owner's. Both are
    taken back at once (P24). Where the position was ever adjusted that cannot be known: on spot a person was paged, on margin what it
    opened is protected.
    """
    entered = fact.side is ended.side.entry_side
    if not entered and ended.adjusted and not ended.plan.margin:
        return []
    fees = sum((fee.qty for fee in fact.fees if fee.asset == ended.instrument.base), Decimal(0))
    lots = ended.instrument.floor_lots(max(Decimal(0), fact.last_qty - (fees if fact.side is Side.BUY else -fees)))
    reverses = not entered and not ended.adjusted
    if reverses:
        # Its dust was left to be closed.
        lots = min(lots, ended.reverse_lots)
    if lots < ended.min_lots:
        return []
    side = ended.side if entered else _OTHER_SIDE[ended.side]
    return [Exposure(ended.position_id, side, ended.instrument.qty(lots), fact.last_px, reverses)]


def exposure_of_fee(ended: Position, px: Decimal | None) -> list[Exposure]:
    """Return what fees, told behind the end of a position, make of its books: what they took was sold all the same.

    That was the owner's (I12), and is bought back at once, when the last of them is known; not under the venue's smallest order, nor where
    an adjustment had the fees in it. No more than the fees: what else was closed twice was taken back as it was told.
    """
    lots = min(abs(ended.fee_lots), ended.reverse_lots if ended.side is PositionSide.LONG else ended.held_lots)
    if ended.adjusted or ended.feeless or lots < ended.min_lots:
        return []
    return [Exposure(ended.position_id, PositionSide.SHORT, ended.instrument.qty(lots), px, True)]


def adoption_of(
    intent: AdoptExposure, ended: Position, mark: Mark | None, ranges: Ranges, truth_is_degraded: bool, names_ended: bool, now_ns: int
) -> f.PositionAdopted:
    """Return the birth of the position that takes exposure over, with an emergency trail."""
    symbol, sign = ended.plan.symbol, intent.side.sign
    believed = mark is not None and ended.is_fresh(mark)
    pnl_bps = None if mark is None or not believed or not intent.px else int((mark.px - intent.px) * sign * 10_000 / intent.px)
    distance = ranges.emergency_of(symbol, pnl_bps, truth_is_degraded, now_ns)
    what = "it was closed twice, and the reverse is closed at once" if intent.reverses else f"trail: {distance.basis}"
    plan = f.Plan(
        symbol=symbol,
        side=intent.side,
        qty=intent.qty,
        margin=ended.plan.margin,
        trail_offset_bps=distance.trail_offset_bps,
        timing=ended.plan.timing,
    )
    return f.PositionAdopted(
        ts_recv_ns=now_ns,
        position_id=intent.position_id,
        plan=plan,
        instrument=ended.instrument,
        capabilities=ended.capabilities,
        px=intent.px,
        evidence=f"an execution behind the end of {intent.of}; {what}",
        mark=mark,
        epoch=intent.epoch,
        reverses=True if intent.reverses else msgspec.UNSET,
        of=intent.of if names_ended else msgspec.UNSET,
    )


def _role_of(position: Position, order: m.OpenOrder) -> c.Role:
    if order.side is position.side.entry_side:
        return "entry"
    if order.order_type in ("stop-loss", "trailing-stop") or order.effective_stop is not None:
        return "stop"
    return "take_profit" if order.order_type == "limit" else "exit"


def _order_type_of(order: m.OpenOrder) -> c.OrderType:
    if order.order_type in ("trailing-stop", "trailing-stop-limit"):
        return "trailing-stop"
    if order.order_type in ("stop-loss", "stop-loss-limit"):
        return "stop-loss"
    return "limit" if order.order_type == "limit" else "market"
