"""Facts and commands in a few words, for tables, explanations and pictures. Plain numbers: no trailing zeros."""

from decimal import Decimal

from events import commands as c
from events import facts as f
from fsm.model import Position
from projections.exact import plain

from .times import time_text


def number(value: Decimal | None) -> str:
    """Return a number without trailing zeros, "?" for none."""
    return "?" if value is None else format(plain(value), "f")


def counted(number: int, name: str) -> str:
    """Return a count with its noun: 1 position, 2 positions."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def command_text(command: c.AnyCommand) -> str:
    """Return a command in a few words, without characters that Mermaid reads as syntax."""
    match command:
        case c.SubmitOrder():
            price = command.limit_price if command.trigger_price is None else command.trigger_price
            trail = f" trailing {command.trail_offset_bps} bps" if command.trail_offset_bps else ""
            at = f" at {number(price)}" if price is not None else trail
            order = f"{command.side.value} {number(command.qty)} {command.order_type}"
            return f"submit {command.role} {command.client_order_id}, {order}{at}"
        case c.AmendOrder():
            prices = {"limit": command.limit_price, "trigger": command.trigger_price}
            named = [f"{name} {number(value)}" for name, value in {"qty": command.order_qty, **prices}.items() if value is not None]
            named += [f"trail bps {command.trail_offset_bps}"] if command.trail_offset_bps is not None else []
            return f"amend {command.client_order_id}, " + ", ".join(named)
        case c.CancelOrder():
            return f"cancel {command.client_order_id}"
        case c.QueryOrder():
            return f"query {command.client_order_id}"
        case c.RefreshTruth():
            return "refresh truth"
        case c.RaiseAlert():
            return f"alert {command.code}"
        case c.NoteCoverage():
            gap = f", {number(command.bare_qty)} bare meanwhile" if command.bare_qty else ""
            return f"by {command.means.replace('_', ' ')}, {command.rate_points} points{gap}"
        case c.Page():
            return f"page {command.code}"


def fact_text(fact: f.AnyFact, position: Position | None) -> str:
    """Return what a fact says; `position` knows what its orders are for."""
    if isinstance(fact, f.OrderFact):
        return _order_fact(fact, _name(fact, position))
    match fact:
        case f.PositionRequested():
            return f"asked for: {plan_text(fact.plan)}"
        case f.PositionAdopted():
            return f"found and taken over: {plan_text(fact.plan)}; {fact.evidence}"
        case f.ExitRequested():
            return f"an exit is asked for: {fact.reason}{', it may rest first' if fact.patient else ''}"
        case f.PlanTightened():
            wanted = f"a trail of {fact.trail_offset_bps} bps" if fact.stop_price is None else f"a stop at {number(fact.stop_price)}"
            return f"{'the trail' if fact.by_trail else 'somebody'} wants {wanted}"
        case f.HaltRequested():
            return f"a halt is asked for: {fact.reason}"
        case f.ProtectionRequested():
            return f"protection is asked for: {fact.reason}"
        case f.LevelCrossed():
            return f"the {fact.level} level was crossed at {number(fact.mark.px)}, a price {time_text(fact.mark.age_ns)} old"
        case f.TrailDistanceChanged():
            return f"the trail may be {fact.trail_offset_bps} bps: {fact.basis}"
        case f.MarketModeChanged():
            return f"the market is {fact.mode}: {fact.basis}"
        case f.VenueModeChanged():
            return f"the venue is {fact.mode} for this symbol"
        case f.DeadlinePassed():
            return f"{_CLOCKS[fact.which]} ran out, seen {time_text(max(0, fact.ts_recv_ns - fact.at_ns))} later"
        case f.ChannelClosed():
            return f"the private channel is gone: {fact.reason or 'no reason given'}"
        case f.ChannelLive():
            return "the private channel delivers again"
        case f.SnapshotAgreed():
            return "a fresh snapshot says the same as the log"
        case f.SnapshotDiffered():
            return f"a fresh snapshot differed in {counted(fact.differences, 'order')}, booked before this"
        case f.TruthStale():
            return f"nothing was heard of the account for {time_text(fact.age_ns)}"
        case f.BalanceShort():
            return f"{number(fact.available)} {fact.asset} are there, {number(fact.needed)} are needed"
        case f.ManualOrderSeen():
            return f"an order that is not ours appeared: {fact.side.value} {number(fact.qty)} ({fact.venue_order_id})"
        case f.ManualFillSeen(of=str()):
            return f"a late order of {fact.of} closed {number(fact.last_qty)} of it at {number(fact.last_px)}"
        case f.ManualFillSeen():
            return f"the owner traded by hand: {fact.side.value} {number(fact.last_qty)} at {number(fact.last_px)}"
        case f.PositionAdjusted(unheard=True):
            return f"{number(fact.open_qty)} count as held: {fact.evidence}"
        case f.PositionAdjusted():
            return f"the open quantity was set to {number(fact.open_qty)}: {fact.reason}"


_CLOCKS = {"entry": "the entry's time", "time_stop": "the position's time", "watch": "the state's watch"}


def _name(fact: f.OrderFact, position: Position | None) -> str:
    order = None if position is None else position.order(fact.client_order_id, fact.venue_order_id)
    known = fact.client_order_id or (order.client_order_id if order else "") or fact.venue_order_id
    return f"{order.role} {known}" if order else f"order {known}"


def _order_fact(fact: f.OrderFact, name: str) -> str:
    match fact:
        case f.OrderSubmitted():
            return f"{name} was handed to the socket"
        case f.OrderNotSent():
            return f"the {fact.operation} of {name} never left"
        case f.OrderAccepted():
            left = f", {number(fact.leaves_qty)} left" if fact.leaves_qty is not None else ""
            return f"{name} rests at the venue{left}{_stop(fact.effective_stop)}"
        case f.OrderRejected():
            return f"{name} was refused ({fact.reject_class}): {fact.text}"
        case f.OrderFilled() if fact.tells_fee:
            charged = " and ".join(f"{number(fee.qty)} {fee.asset}" for fee in fact.fees)
            return f"the fee of execution {fact.trade_id} of {name} is known: {charged}"
        case f.OrderFilled():
            return f"{name} {'bought' if fact.side.value == 'buy' else 'sold'} {number(fact.last_qty)} at {number(fact.last_px)}"
        case f.OrderCompleted():
            return f"{name} is filled, says the venue"
        case f.OrderTriggered():
            return f"{name} fired{f' at {number(fact.px)}' if fact.px is not None else ''}"
        case f.OrderAmended():
            prices = {"qty": fact.order_qty, "limit": fact.limit_price, "trigger": fact.trigger_price}
            named = [f"{key} {number(value)}" for key, value in prices.items() if value is not None]
            named += [f"trail {fact.trail_offset_bps} bps"] if fact.trail_offset_bps is not None else []
            who = " by the venue" if fact.by_venue else ""
            return f"{name} was amended{who}{': ' if named else ''}{', '.join(named)}{_stop(fact.effective_stop)}"
        case f.AmendRejected():
            return f"the amend of {name} was refused ({fact.reject_class}): {fact.text}"
        case f.OrderCanceled():
            return f"{name} was cancelled, {number(fact.cum_qty)} of it had filled{f'; {fact.reason}' if fact.reason else ''}"
        case f.CancelRejected():
            return f"the cancel of {name} was refused ({fact.reject_class}): {fact.text}"
        case f.OrderExpired():
            return f"{name} expired, {number(fact.cum_qty)} of it had filled{f'; {fact.reason}' if fact.reason else ''}"
        case f.ChildDiscovered():
            where = f"from a fill of {fact.parent_venue_order_id}" if fact.parent_venue_order_id else "sent before a crash"
            return f"{name} ({fact.order_type}, {number(fact.qty)}) was found at the venue, {where}"
        case f.OrderNotFound():
            known = "whose trades are complete" if fact.trades_complete else "whose trades may be incomplete: no proof"
            return f"{name} is not in a fresh snapshot, {known}"
        case f.OutcomeUnknown():
            return f"no proof of what became of the {fact.operation} of {name}: {fact.reason}"
        case f.StopReported():
            return f"the venue has the stop of {name} at {number(fact.effective_stop)}"
    raise AssertionError(type(fact).__name__)


def _stop(px: Decimal | None) -> str:
    return f", stop at {number(px)}" if px is not None else ""


def plan_text(plan: f.Plan) -> str:
    """Return a plan in a few words: what is asked for, how it is protected, how it may end."""
    entry = "at market" if plan.entry_type == "market" else f"at {number(plan.entry_price)}"
    parts = [f"{plan.side.value} {number(plan.qty)} {plan.symbol} {entry}{' on margin' if plan.margin else ''}"]
    if plan.trail_offset_bps is not None:
        kept = ", kept by the engine" if plan.trail_style == "engine" else ""
        parts.append(f"trail {plan.trail_offset_bps} bps{', narrowed by fees and range' if plan.trail_auto else ''}{kept}")
    if plan.stop_price is not None:
        parts.append(f"stop at {number(plan.stop_price)}")
    if plan.attach_stop:
        parts.append("stop attached to the entry")
    if plan.tighten:
        steps = ", ".join(f"{step.trail_offset_bps} bps from a profit of {step.profit_bps} bps" for step in plan.tighten)
        parts.append(f"tighten to {steps}")
    if plan.take_profit_price is not None:
        rests = " as a resting order" if plan.take_profit_style == "maker" else ""
        parts.append(f"take profit at {number(plan.take_profit_price)}{rests}")
    if plan.panic_pnl_bps is not None:
        parts.append(f"panic at {plan.panic_pnl_bps} bps")
    if plan.time_stop_secs is not None:
        parts.append(f"time stop after {plan.time_stop_secs} s")
    return "; ".join(parts)
