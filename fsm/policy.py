"""From a row's command names to commands: sizes, prices and ids, taken from the booked position at the time of sending (I7).

Each builder looks at what is confirmed and in flight and returns only what is missing, so that naming it twice sends once.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

from msgspec import UNSET

from events import commands as c
from events import facts as f
from events.ids import client_order_id_from

from .booking import LACKING_NS
from .coverage import unprotected_lots
from .means import is_guaranteed, means_of, rate_points, wanted_trail_of
from .model import Order, Position, StaticStopId, TrailingStopId, static_stop_id, trailing_stop_id
from .order import ENDED, LIVE, SUBMITTED, TRIGGERED, UNKNOWN
from .position import (
    EMERGENCY_PROTECTING,
    ENTRY_CANCEL_PENDING,
    EXIT_ATTEMPTS,
    PROTECT_ATTEMPTS,
    PROTECTION_PENDING,
    is_to_wait,
    looser,
    misaligned,
    trims,
)

# Degraded trail where a plan gives none (A8).
EMERGENCY_TRAIL_OFFSET_BPS = 80
# How far through the market the third attempt of an exit goes: a marketable limit, where a plain market order is refused.
MARKETABLE_LIMIT_BPS = 100
# Watches in one state after which a person is woken, and woken again.
PAGE_AFTER_WATCHES = 3
PAGE_EVERY_WATCHES = 6


class Draft:
    """The commands of one event while they are made; hands out the derived ids."""

    def __init__(self, position: Position, fact: f.AnyFact) -> None:
        self.position, self.fact = position, fact
        self.now_ns = fact.ts_recv_ns
        self.commands: list[c.AnyCommand] = []

    def next_id(self) -> str:
        """Return the client order id of the command that is added next."""
        return client_order_id_from(self.position.position_id, self.position.epoch, self.position.version + 1, len(self.commands))

    def is_named(self, client_order_id: str) -> bool:
        """Whether a command of this event already concerns that order: one mutation per slot (I4)."""
        return any(isinstance(x, c.AmendOrder | c.CancelOrder) and x.client_order_id == client_order_id for x in self.commands)


def commands_for(names: tuple[str, ...], position: Position, fact: f.AnyFact) -> tuple[c.AnyCommand, ...]:
    """Return the commands that `names` stand for, for a booked position whose exit reason is already set."""
    draft = Draft(position, fact)
    for name in names:
        for command in BUILDERS[name](draft):
            draft.commands.append(command)
    return tuple(draft.commands)


Commands = Iterator[c.AnyCommand]

# --- entry ----------------------------------------------------------------------------------------------------------


def _submit_entry(d: Draft) -> Commands:
    p, plan = d.position, d.position.plan
    attached = None
    if plan.attach_stop and p.capabilities.attached_stop:
        trail = None if plan.stop_price is not None else plan.trail_offset_bps
        attached = c.AttachedStop(trigger_price=plan.stop_price, trail_offset_bps=trail)
    yield c.SubmitOrder(
        client_order_id=d.next_id(),
        symbol=plan.symbol,
        role="entry",
        side=plan.side.entry_side,
        order_type=plan.entry_type,
        qty=plan.qty,
        limit_price=plan.entry_price,
        margin=plan.margin,
        deadline_ns=d.now_ns + plan.timing.market_deadline_ms * 1_000_000,
        attached=attached,
    )


def _cancel_entry(d: Draft) -> Commands:
    for order in d.position.open_orders("entry"):
        # What was refused is asked for again by a clock only.
        is_due = not order.cancel_refused or isinstance(d.fact, f.DeadlinePassed)
        if order.pending != "cancel" and is_due and order.status != ENDED:
            yield _cancel(d, order)


def _cancel(d: Draft, order: Order) -> c.CancelOrder:
    return c.CancelOrder(client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, symbol=d.position.plan.symbol)


# --- protection -----------------------------------------------------------------------------------------------------


def _cover(d: Draft) -> Commands:
    """Move coverage towards what is held by the best means that the venue has (A10): amend in place, else a delta stop."""
    p = d.position
    yield from _ask_unlisted(d)
    missing = p.held_lots - sum(_leased(o) for o in p.orders) - _expected_children(d)
    if missing <= 0 or not p.is_tradable or (p.hold_ns and not p.exit_reason) or p.is_away(d.now_ns):
        return
    if isinstance(d.fact, f.OrderFilled) and d.fact.ahead_of_stop is True:
        # It comes with the same list: another one beside it could only be taken back by a cancel, and both may fire before (I2).
        return
    is_watch = isinstance(d.fact, f.DeadlinePassed)
    if p.capabilities.amend_in_place and not is_watch and any(o.status == SUBMITTED for o in p.open_orders("stop")):
        # The stop is on its way: once it is confirmed one amend takes in all that filled meanwhile, instead of a stop per fill.
        return
    amendable = [o for o in p.open_orders("stop") if o.status == LIVE and not o.is_triggered]
    # An amend that was refused is not tried again by a later look: then what is missing gets a stop of its own.
    is_look = isinstance(d.fact, f.DeadlinePassed | f.SnapshotAgreed | f.SnapshotDiffered)
    if amendable and p.capabilities.amend_in_place and not (is_look and p.tighten_attempts):
        # A mutation is in flight on each: its result settles the rest.
        for order in amendable:
            if not order.pending and not d.is_named(order.client_order_id):
                yield _amend_qty(d, order, order.qty_lots + missing)
                yield _note(d, "amend", order)
                return
        return
    if _has_ended_as_it_came(d):
        return
    is_loop = p.state in (PROTECTION_PENDING, EMERGENCY_PROTECTING) and p.protect_attempts >= PROTECT_ATTEMPTS
    if is_loop and isinstance(d.fact, f.OrderNotFound | f.SnapshotAgreed | f.SnapshotDiffered | f.OrderAccepted):
        # A stop that vanished is sent again at once. A venue that takes none would be sent one with each answer (I14): once the attempts
        # are used up the watch does it.
        return
    if missing >= p.min_lots:
        client_order_id = d.next_id()
        for command in _stop_order(d, missing):
            yield command
            if amendable:
                yield _note(d, "delta_stop", None, client_order_id)


def _has_ended_as_it_came(d: Draft) -> bool:
    """Whether the venue has just ended a stop that was placed a moment ago, and not for the first time.

    One at once for each would go round as fast as the link allows (I14): the watch makes the next attempt.
    """
    p, fact = d.position, d.fact
    order = p.order(fact.client_order_id, fact.venue_order_id) if isinstance(fact, f.OrderCanceled) else None
    if order is None or order.role != "stop" or p.stops_lost <= PROTECT_ATTEMPTS:
        return False
    return d.now_ns - order.decided_ns < p.plan.timing.protect_timeout_ms * 1_000_000


def _note(d: Draft, means: c.Means, order: Order | None, client_order_id: str = "") -> c.NoteCoverage:
    bare = order.protects_lots if order is not None and means == "cancel_create" else 0
    return c.NoteCoverage(
        client_order_id=client_order_id or (order.client_order_id if order is not None else ""),
        means=means,
        rate_points=rate_points(means, order, d.now_ns),
        bare_qty=d.position.instrument.qty(bare),
    )


def _leased(order: Order) -> int:
    if not order.is_open or order.role in ("entry", "flatten"):
        return 0
    if order.role == "stop" and order.status == LIVE and order.pending_qty_lots is not None:
        return max(0, order.pending_qty_lots - order.filled_lots)
    return order.leased_lots


def _expected_children(d: Draft) -> int:
    """Return the lots for which the venue's own attached stops are on their way: a second stop must not race them (A18)."""
    p, fact = d.position, d.fact
    # A clock sends a second one where the venue itself refuses or cuts it. Elsewhere two lists that lack the attached stop do, or, where
    # lists may lack what it has executed, the longest clock.
    is_waited_for = p.lacks_ns and d.now_ns - p.lacks_ns < LACKING_NS
    if (
        isinstance(fact, f.DeadlinePassed | f.SnapshotAgreed | f.SnapshotDiffered)
        and (p.state == EMERGENCY_PROTECTING or isinstance(fact, f.DeadlinePassed))
        and not is_waited_for
        and p.is_guarded(shared=fact.shared is True)
    ):
        return 0
    return p.unseen_child_lots


def _stop_order(d: Draft, lots: int) -> Commands:
    p = d.position
    trail = p.wanted_trail_offset_bps
    if trail is None and p.wanted_stop_ticks is None:
        trail = EMERGENCY_TRAIL_OFFSET_BPS
    native = trail is not None and p.capabilities.native_trail and p.plan.trail_style == "native"
    ticks = None if native else _static_ticks(p, trail)
    if not native and ticks is None:
        # No price is known at all: a stop at a guess would protect nothing. The watch comes again, with a price or the exit.
        return
    yield c.SubmitOrder(
        client_order_id=d.next_id(),
        symbol=p.plan.symbol,
        role="stop",
        side=p.side.exit_side,
        order_type="trailing-stop" if native else "stop-loss",
        qty=p.instrument.qty(lots),
        trigger_price=None if ticks is None else p.instrument.price(ticks),
        trail_offset_bps=trail if native else None,
        reduce_only=is_guaranteed(p),
        margin=p.plan.margin,
    )


def _static_ticks(p: Position, trail_offset_bps: int | None) -> int | None:
    """Return the level of a static stop: the wanted one, else the trail's distance from the last price or the entry, if any.

    Never looser than a stop before it: a stop may be lost or refused, and the price has gone on since (I3).
    """
    if p.wanted_stop_ticks is not None:
        return p.wanted_stop_ticks
    assert trail_offset_bps is not None
    reference = p.mark.px if p.mark is not None else p.avg_entry_px
    if reference is None:
        return None
    level = reference * (10_000 - p.side.sign * trail_offset_bps) / 10_000
    ticks = p.instrument.floor_ticks(level) if p.side.sign > 0 else p.instrument.ceil_ticks(level)
    before = [o.trigger_ticks for o in p.orders if o.role == "stop" and o.order_type == "stop-loss" and o.trigger_ticks is not None]
    best = max if p.side.sign > 0 else min
    return best([ticks, *before])


def amend_trail(d: Draft, stop_id: TrailingStopId, trail_offset_bps: int) -> c.AmendOrder:
    """Return the amend that narrows a trailing stop; a static one cannot be named here (A2)."""
    return c.AmendOrder(**_ids(d, stop_id), trail_offset_bps=trail_offset_bps)


def amend_static(d: Draft, stop_id: StaticStopId, trigger_price: Decimal) -> c.AmendOrder:
    """Return the amend that moves a static stop; a trailing one cannot be named here (A2)."""
    return c.AmendOrder(**_ids(d, stop_id), trigger_price=trigger_price)


def _amend_qty(d: Draft, order: Order, lots: int) -> c.AmendOrder:
    p = d.position
    # One of a level names none: late it tightens all the same. A late one of a size meets what was sent in its place.
    deadline_ns = d.now_ns + p.resize_ns if p.capabilities.amend_deadline is True else UNSET
    return c.AmendOrder(**_ids(d, order.client_order_id), order_qty=p.instrument.qty(lots), deadline_ns=deadline_ns)


def _ids(d: Draft, client_order_id: str) -> dict[str, Any]:
    order = d.position.order(client_order_id)
    venue_order_id = "" if order is None else order.venue_order_id
    return {"client_order_id": client_order_id, "venue_order_id": venue_order_id, "symbol": d.position.plan.symbol}


def _converge(d: Draft) -> Commands:
    """Bring confirmed stops to what is wanted: tighter where looser, smaller where larger than what is held."""
    p = d.position
    for order in misaligned(p):
        means = means_of(p)
        if means == "place_then_cancel":
            yield from _stop_order(d, order.protects_lots)
        elif means == "cancel_create":
            # What it protected is created anew at the wanted level once it is gone.
            yield _cancel(d, order)
        elif (trail := trailing_stop_id(order)) is not None and (offset_bps := wanted_trail_of(p, order)) is not None:
            yield amend_trail(d, trail, offset_bps)
        elif (static := static_stop_id(order)) is not None and p.wanted_stop_ticks is not None:
            yield amend_static(d, static, p.instrument.price(p.wanted_stop_ticks))
        yield _note(d, means, order)
    yield from _trim(d)


def _trim(d: Draft) -> Commands:
    p = d.position
    for order, lots in trims(p):
        if d.is_named(order.client_order_id):
            continue
        if lots:
            yield _amend_qty(d, order, lots)
            continue
        if order.cancel_refused and not isinstance(d.fact, f.DeadlinePassed):
            # Asked again by the watch, not by each look: a venue that is down refuses as fast as it is asked (I14).
            continue
        yield _cancel(d, order)
        if not order.cancel_refused and not any(o.client_order_id == order.client_order_id for o in looser(p)):
            # Not the one that a better stop has replaced: a stop that was given up for lost rests after all (P04).
            text = f"{p.position_id}: more is covered by stops than is held, {order.client_order_id} is cancelled"
            yield c.RaiseAlert(code="STOP_TWICE", text=text)


# --- exits ----------------------------------------------------------------------------------------------------------


def _cancel_rest(d: Draft) -> Commands:
    """Cancel every own order that could still fill and is not being cancelled yet; ask where there is no proof.

    A stop stays while the exit has to wait, also one of which there is no proof that it rests: it may be all that there is.
    """
    unproven = d.position.unseen_child_lots >= d.position.min_lots
    for order in d.position.open_orders():
        if order.is_triggered and d.position.exit_reason != "stop_unfilled":
            # An executing stop is the exit; it is called back only when it has not filled in time.
            continue
        unproven = unproven or order.status in (UNKNOWN, ENDED) or order.cancel_refused
        if _stays_meanwhile(d, order):
            continue
        if order.pending != "cancel" and not order.cancel_refused and order.status != ENDED:
            yield _cancel(d, order)
    if unproven:
        yield from _refresh(d)
    yield from _ask_unlisted(d)


def _cancel_again(d: Draft) -> Commands:
    """Repeat the cancels that have no proof: a cancel of an ended order does no harm. A market order in flight is left alone.

    Where only the entry is withdrawn what has filled stays, and so do its stops.
    """
    stays = d.position.state == ENTRY_CANCEL_PENDING and d.position.is_tradable
    for order in d.position.open_orders():
        market = order.order_type == "market"
        if _is_called_back(d, order) or (stays and order.role == "stop") or _stays_meanwhile(d, order):
            continue
        if order.status in (LIVE, TRIGGERED) or (order.status in (UNKNOWN, SUBMITTED) and not market):
            yield _cancel(d, order)


def _stays_meanwhile(d: Draft, order: Order) -> bool:
    p = d.position
    stops = order.role == "stop" and not order.is_triggered and not order.called_back
    return stops and is_to_wait(p) and p.is_tradable and not p.reverse_lots


def _is_called_back(d: Draft, order: Order) -> bool:
    """Whether a cancel is out that a mere sight of the order says nothing against: an order shows itself several times as it arrives."""
    is_seen = isinstance(d.fact, f.OrderAccepted | f.ChildDiscovered)
    return is_seen and order.pending == "cancel" and d.now_ns - order.pending_ns < d.position.plan.timing.cancel_timeout_ms * 1_000_000


def _exit_lots(d: Draft) -> int:
    p = d.position
    # What a fee may have taken waits for the ledger's word: sold now it may be the owner's, or be refused with all the rest.
    lots = p.sellable_lots - sum(_leased(o) for o in p.orders)
    return lots if lots >= p.min_lots and not p.is_away(d.now_ns) else 0


def _exit_market(d: Draft) -> Commands:
    p = d.position
    lots = _exit_lots(d)
    if not lots:
        return
    rung = p.exit_attempts % EXIT_ATTEMPTS
    limit = _marketable_limit(p, p.side.sign) if rung == EXIT_ATTEMPTS - 1 or p.venue_mode == "limit_only" else None
    yield _exit_order(d, lots, "exit", limit_price=limit, immediate_or_cancel=limit is not None)


def _marketable_limit(p: Position, sign: int) -> Decimal | None:
    """Return a limit that takes, for what closes a long (`sign` 1) or a short."""
    if p.mark is None:
        return None
    level = p.mark.px * (10_000 - sign * MARKETABLE_LIMIT_BPS) / 10_000
    return p.instrument.price(p.instrument.floor_ticks(level) if sign > 0 else p.instrument.ceil_ticks(level))


def _exit_order(
    d: Draft,
    lots: int,
    role: Literal["exit", "take_profit"],
    *,
    limit_price: Decimal | None,
    post_only: bool = False,
    immediate_or_cancel: bool = False,
) -> c.SubmitOrder:
    p = d.position
    return c.SubmitOrder(
        client_order_id=d.next_id(),
        symbol=p.plan.symbol,
        role=role,
        side=p.side.exit_side,
        order_type="market" if limit_price is None else "limit",
        qty=p.instrument.qty(lots),
        limit_price=limit_price,
        post_only=post_only,
        reduce_only=is_guaranteed(p),
        margin=p.plan.margin,
        immediate_or_cancel=immediate_or_cancel,
        deadline_ns=0 if post_only else d.now_ns + p.plan.timing.market_deadline_ms * 1_000_000,
    )


def _exit_take_profit(d: Draft) -> Commands:
    lots = _exit_lots(d)
    level = d.position.plan.take_profit_price
    if lots and level is not None:
        yield _exit_order(d, lots, "take_profit", limit_price=_on_grid(d.position, level), post_only=True)


def _exit_patient(d: Draft) -> Commands:
    p = d.position
    lots = _exit_lots(d)
    if lots and p.mark is not None:
        # One tick on our side of the last price: a post-only order that would take is refused, and then market follows.
        px = _on_grid(p, p.mark.px) + p.side.sign * p.instrument.price_increment
        yield _exit_order(d, lots, "take_profit", limit_price=px, post_only=True)


def _on_grid(p: Position, px: Decimal) -> Decimal:
    return p.instrument.price(p.instrument.ceil_ticks(px) if p.side.sign > 0 else p.instrument.floor_ticks(px))


def _flatten(d: Draft) -> Commands:
    p = d.position
    lots = p.reverse_lots - sum(o.leaves_lots for o in p.open_orders("flatten"))
    if lots < p.min_lots or p.is_away(d.now_ns):
        return
    limit = _marketable_limit(p, -p.side.sign) if p.venue_mode == "limit_only" else None
    yield c.SubmitOrder(
        client_order_id=d.next_id(),
        symbol=p.plan.symbol,
        role="flatten",
        side=p.side.entry_side,
        order_type="market" if limit is None else "limit",
        qty=p.instrument.qty(lots),
        limit_price=limit,
        immediate_or_cancel=limit is not None,
        reduce_only=is_guaranteed(p),
        margin=p.plan.margin,
        deadline_ns=d.now_ns + p.plan.timing.market_deadline_ms * 1_000_000,
    )


# --- questions and notices ------------------------------------------------------------------------------------------


def _refresh(d: Draft) -> Commands:
    # What a snapshot says asks for no other one, or the two would chase each other as fast as the link allows (I14).
    is_answer = isinstance(d.fact, f.SnapshotAgreed | f.SnapshotDiffered | f.OrderNotFound)
    if not is_answer and not any(isinstance(x, c.RefreshTruth) for x in d.commands):
        yield c.RefreshTruth(symbol=d.position.plan.symbol)
        for order in d.position.orders:
            # What the stream's snapshot may not show: the end of an order, and executions that are long past (P15).
            if order.status in (UNKNOWN, ENDED) or order.unlisted_ns:
                yield _query(d, order)


def _query(d: Draft, order: Order) -> c.QueryOrder:
    return c.QueryOrder(client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, symbol=d.position.plan.symbol)


def _ask_unlisted(d: Draft) -> Commands:
    """Ask at once for each order that the lists lack; later looks do it by their clocks (`_refresh`)."""
    if isinstance(d.fact, f.SnapshotAgreed | f.SnapshotDiffered | f.OrderNotFound):
        asked = {x.client_order_id for x in d.commands if isinstance(x, c.QueryOrder)}
        for order in d.position.open_orders():
            if order.unlisted_ns and order.client_order_id not in asked:
                yield _query(d, order)


def _alert(code: str, text: str) -> Callable[[Draft], Commands]:
    def build(d: Draft) -> Commands:
        yield c.RaiseAlert(code=code, text=text.format(p=d.position, fact=d.fact))

    return build


def _page(code: str, text: str) -> Callable[[Draft], Commands]:
    def build(d: Draft) -> Commands:
        yield c.Page(code=code, text=text.format(p=d.position, fact=d.fact))

    return build


def _alert_exposure(d: Draft) -> Commands:
    p = d.position
    if p.feeless and p.sellable_lots < p.min_lots:
        # All that is certain has left: the rest waits for the ledger's word.
        return
    if p.is_away(d.now_ns):
        if _is_first_or_due(p):
            text = f"{p.position_id}: it is to leave ({p.exit_reason}), a venue in {p.venue_mode} takes no exit, and nothing protects it"
            yield c.Page(code="EXIT_WAITS_FOR_VENUE", text=text)
        return
    yield from _alert("MARKET_FILL_TIMEOUT_EXPOSURE_RISK", "{p.position_id}: no fill of its exit in time ({p.exit_attempts})")(d)


def _alert_lost(d: Draft) -> Commands:
    p, fact = d.position, d.fact
    order = p.order(fact.client_order_id, fact.venue_order_id) if isinstance(fact, f.OrderCanceled) else None
    if order is None or order.role != "stop" or not p.stops_lost or p.exit_reason or p.hold_ns:
        return
    text = f"{p.position_id}: its stop was cancelled by somebody else ({p.stops_lost} times); a stop is put back"
    if _has_ended_as_it_came(d) and p.stops_lost % PAGE_EVERY_WATCHES:
        return
    if p.stops_lost > 1:
        yield c.Page(code="STOP_CANCELLED_AGAIN", text=text)
    else:
        yield c.RaiseAlert(code="STOP_CANCELLED", text=text)


def _page_taken(d: Draft) -> Commands:
    p = d.position
    if isinstance(d.fact, f.OrderCanceled) and p.hold_ns == d.now_ns:
        secs = p.hold_ms // 1_000
        text = (
            f"{p.position_id}: its stop was cancelled by hand again ({p.stops_lost} times); for {secs} s none is put back, its level is"
            f" only watched here: ask for protection or for the exit, or close it by hand; without an answer the stop is put back then"
        )
        yield c.Page(code="STOP_CANCELLED_AGAIN", text=text)


def _page_link(d: Draft) -> Commands:
    p = d.position
    # The link's own machine pages for the link; a position does once a minute, or as long as it is bare.
    if unprotected_lots(p) or _is_page_due(p):
        text = f"{p.position_id}: no truth from the venue for {p.watch_count} looks, {unprotected_lots(p)} lots without known protection"
        yield c.Page(code="LINK_DOWN_WITH_EXPOSURE", text=text)


def _is_page_due(p: Position) -> bool:
    return p.watch_count % PAGE_EVERY_WATCHES == PAGE_AFTER_WATCHES


def _is_first_or_due(p: Position) -> bool:
    return p.watch_count <= 1 or _is_page_due(p)


def _page_waiting(d: Draft) -> Commands:
    p = d.position
    if not isinstance(d.fact, f.DeadlinePassed) or d.fact.which != "watch" or _is_page_due(p):
        why = "only a balance tells of what is held" if p.takes_exits else f"a venue in {p.venue_mode} takes no exit"
        text = f"{p.position_id}: it is to leave ({p.exit_reason}), {why}; its stop stands"
        yield c.Page(code="EXIT_WAITS_FOR_VENUE", text=text)


def _page_triggered(d: Draft) -> Commands:
    p = d.position
    if _is_first_or_due(p):
        yield c.Page(code="STOP_TRIGGERED_UNFILLED", text=f"{p.position_id}: its stop fired and is not filled")


def _page_exposure(d: Draft) -> Commands:
    p = d.position
    if _is_first_or_due(p):
        text = f"{p.position_id}: {p.exit_attempts} exits have failed; a stop is put back and it goes on"
        yield c.Page(code="EXIT_NOT_POSSIBLE", text=text)


def _page_halted(d: Draft) -> Commands:
    p = d.position
    # Where something is unprotected its watch is short, for the sake of the attempts, not of the noise.
    if not isinstance(d.fact, f.DeadlinePassed) or not unprotected_lots(p) or _is_page_due(p):
        yield c.Page(code="HALTED", text=f"{p.position_id}: halted, waiting for a person")


def _page_long(d: Draft) -> Commands:
    p = d.position
    if _is_page_due(p):
        yield c.Page(code="STATE_TOO_LONG", text=f"{p.position_id} has been in {p.state} for {p.watch_count} watches")


def _check_stop(d: Draft) -> Commands:
    if any(order.stop_loosened for order in d.position.open_orders("stop")):
        fact = d.fact
        seen = fact.effective_stop if isinstance(fact, f.StopReported) else "?"
        text = f"{d.position.position_id}: the venue reports its stop at {seen}, looser than before"
        yield c.RaiseAlert(code="STOP_MOVED_THE_WRONG_WAY", text=text)


def _alert_plan(d: Draft) -> Commands:
    if d.position.plan.time_stop_secs == 0:
        yield c.RaiseAlert(code="EXIT_TIME_STOP_MISCONFIGURED", text=f"{d.position.position_id}: time_stop_secs is 0, 60 is used")


def _is_booked_whole(p: Position, order: Order, fact: f.AnyFact) -> bool:
    """Whether it says only that an order once rested, of which nothing is left: REST tells so. More than is booked is evidence."""
    if not isinstance(fact, f.OrderAccepted) or fact.leaves_qty != 0 or fact.cum_qty is None:
        return False
    return p.instrument.floor_lots(fact.cum_qty) <= order.filled_lots


def _alert_anomaly(d: Draft) -> Commands:
    p = d.position
    order = p.order(d.fact.client_order_id, d.fact.venue_order_id) if isinstance(d.fact, f.OrderAccepted | f.ChildDiscovered) else None
    if order is not None and _is_called_back(d, order):
        return
    if isinstance(d.fact, f.OrderFilled) and d.fact.tells_fee:
        # What an execution cost is no evidence against the end.
        return
    if order is not None and _is_booked_whole(p, order, d.fact):
        return
    text = f"{p.position_id}: {type(d.fact).__name__} in {p.state}"
    if type(d.fact).__name__ in ("OrderFilled", "ManualFillSeen", "OrderAccepted", "ChildDiscovered"):
        yield c.Page(code="LATE_EVIDENCE", text=text)
    else:
        yield c.RaiseAlert(code="ANOMALY", text=text)


BUILDERS: Mapping[str, Callable[[Draft], Commands]] = {
    "submit_entry": _submit_entry,
    "cancel_entry": _cancel_entry,
    "cover": _cover,
    "converge": _converge,
    "cancel_rest": _cancel_rest,
    "cancel_again": _cancel_again,
    "exit_market": _exit_market,
    "exit_take_profit": _exit_take_profit,
    "exit_patient": _exit_patient,
    "flatten": _flatten,
    "refresh": _refresh,
    "check_stop": _check_stop,
    "alert_plan": _alert_plan,
    "alert_adopted": _alert("EXPOSURE_ADOPTED", "{p.position_id}: exposure without protection is taken over: {fact.evidence}"),
    "alert_unprotected": _alert("UNPROTECTED", "{p.position_id}: held without confirmed protection, attempt {p.protect_attempts}"),
    "alert_exit_refused": _alert("EXIT_REFUSED", "{p.position_id}: the exit was refused: {fact.text}"),
    "alert_exposure": _alert_exposure,
    "alert_stale": _alert("PRICE_STALE", "{p.position_id}: a price of {fact.mark.age_ns} ns age decides nothing"),
    "alert_degraded": _alert("PRIVATE_STREAM_DEGRADED", "{p.position_id}: private truth is {fact.age_ns} ns old"),
    "alert_balance": _alert("BALANCE_SHORT", "{p.position_id}: {fact.asset} needed {fact.needed}, available {fact.available}"),
    "alert_manual": _alert("MANUAL_ORDER", "{p.position_id}: an order not ours on its symbol: {fact.venue_order_id}"),
    "alert_anomaly": _alert_anomaly,
    "page_long": _page_long,
    "page_triggered": _page_triggered,
    "page_exposure": _page_exposure,
    "page_waiting": _page_waiting,
    "page_link": _page_link,
    "alert_lost": _alert_lost,
    "page_taken": _page_taken,
    "page_halted": _page_halted,
}  # fmt: skip


def known_names() -> frozenset[str]:
    """Return every command name that a table may use."""
    return frozenset(BUILDERS)


__all__: list[Any] = ["BUILDERS", "commands_for", "known_names"]
