"""A position's status as text for people, at most some hundred characters wide."""

from collections.abc import Iterable
from decimal import Decimal

from holdfast.output import table
from holdfast.times import Times, iso_text, moment_text, time_text
from holdfast.words import command_text, counted, number
from projections.fills import END_STATES

from .digits import money, price
from .layout import part
from .status import OrderState, Protection, Status


def status_text(status: Status, times: Times = "relative") -> str:
    """Return the status as text; moments as `times` asks, and once as ISO at the top."""
    row = status.position
    kind = "margin" if row.margin else "spot"
    blocks = [
        f"{row.position_id}  {row.side} {number(row.plan_qty)} {row.symbol}, {kind} at {row.venue}, as of {iso_text(status.at_ns)}",
        "\n".join([*_state(status), *part("plan", status.plan), *_held(status)]),
    ]
    if row.state not in END_STATES:
        blocks.append(_beside(status.confirmed, status.wanted))
    blocks.append(_orders(status, times))
    if status.clocks:
        blocks.append(_clocks(status, times))
    blocks.append("\n".join([*_armed(status), *_uncovered(status), *_pnl(status), *_exits(status), *_last(status, times)]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _ago(status: Status, ns: int, times: Times = "relative") -> str:
    return moment_text(ns, status.at_ns, times)


def _state(status: Status) -> list[str]:
    row = status.position
    has_ended = row.state in END_STATES
    lasted = f"after {time_text(status.state_ns - row.requested_ns)}" if has_ended else f"for {time_text(status.at_ns - status.state_ns)}"
    left = f" by {row.exit_path}" if row.state == "Closed" and row.exit_path else ""
    leaving = f", leaving because of {row.exit_reason}" if row.exit_reason and not has_ended else ""
    return part("state", f"{row.state}{left} {lasted}{leaving}: {status.state_doc}")


def _held(status: Status) -> list[str]:
    row, leases = status.position, status.leases
    entered = f"entered at {_px(row.avg_entry_px)}" if row.avg_entry_px is not None else "nothing has filled"
    exited = f", exited at {_px(row.avg_exit_px)}" if row.avg_exit_px is not None else ""
    lines = part("held", f"{number(leases.held)}, {entered}{exited}")
    shares = {"live stops": leases.stopped, "exits": leases.exiting, "unknown": leases.unknown, "dust": leases.dust, "bare": leases.bare}
    leased = ", ".join(f"{name} {number(qty)}" for name, qty in shares.items() if qty)
    if leases.held:
        lines += part("behind it", leased or "nothing")
    if leases.surplus:
        lines += part("surplus", f"{number(leases.surplus)} is leased beyond what is held")
    return lines


def _px(value: Decimal | None) -> str:
    rounded = price(value, Decimal(1))
    return "?" if rounded is None else format(rounded, "f")


def _beside(confirmed: Protection, wanted: Protection) -> str:
    rows = [
        {"protection": name, "venue confirmed": here, "engine wants": there}
        for name, here, there in (
            ("quantity", number(confirmed.qty), number(wanted.qty)),
            ("trail", _bps(confirmed.trail_offset_bps), _bps(wanted.trail_offset_bps)),
            ("stop", _level(confirmed.stop_price), _level(wanted.stop_price)),
        )
        if here != "-" or there != "-"
    ]
    return table(rows).rstrip("\n")


def _bps(value: int | None) -> str:
    return "-" if value is None else f"{value} bps"


def _level(value: Decimal | None) -> str:
    return "-" if value is None else number(value)


def _orders(status: Status, times: Times) -> str:
    rows = [
        {
            "order": order.client_order_id,
            "role": order.role,
            "status": order.status,
            "venue confirmed": _confirmed(order),
            "engine wants": _asked(order, status, times),
        }
        for order in sorted(status.orders, key=lambda order: not order.is_open)
    ]
    shown = [name for name in rows[0] if name != "engine wants" or any(row[name] for row in rows)] if rows else None
    return table(rows, shown).rstrip("\n")


def _confirmed(order: OrderState) -> str:
    if not order.is_open:
        filled = f"{number(order.filled_qty)} filled at {_px(order.avg_px)}" if order.filled_qty else "nothing filled"
        return f"{filled}{f'; {order.reason}' if order.reason and not order.filled_qty else ''}"
    if order.confirmed_qty is None:
        return "nothing yet"
    parts = [f"{number(order.confirmed_qty)} {order.order_type}"]
    parts += [f"trailing {order.confirmed_trail_offset_bps} bps"] if order.confirmed_trail_offset_bps is not None else []
    parts += [f"at {number(order.confirmed_price)}"] if order.confirmed_price is not None else []
    text = " ".join(parts)
    if order.effective_stop is not None and order.effective_stop != order.confirmed_price:
        text += f", stop at {number(order.effective_stop)}{' (LOOSER than before)' if order.stop_loosened else ''}"
    return text + (f", {number(order.filled_qty)} filled" if order.filled_qty else "")


def _asked(order: OrderState, status: Status, times: Times) -> str:
    if not order.is_open:
        return ""
    since = _ago(status, order.pending_ns, times)
    doubt = "; no answer in time, asked again" if order.is_unknown else ""
    if order.pending == "cancel":
        return f"cancelled: asked {since}{doubt}"
    wanted = [f"trail {order.wanted_trail_offset_bps} bps"] if order.wanted_trail_offset_bps != order.confirmed_trail_offset_bps else []
    if order.wanted_price is not None and order.wanted_price != order.confirmed_price:
        wanted.append(f"stop at {number(order.wanted_price)}")
    if order.pending == "submit":
        at = f" at {number(order.pending_price)}" if order.pending_price is not None else ""
        trail = f" trailing {order.pending_trail_offset_bps} bps" if order.pending_trail_offset_bps is not None else ""
        return f"{number(order.pending_qty)} {order.order_type}{trail}{at}: sent {since}{doubt}"
    if order.pending == "amend":
        asked = [f"{number(order.pending_qty)}"] if order.pending_qty is not None else []
        asked += [f"trail {order.pending_trail_offset_bps} bps"] if order.pending_trail_offset_bps is not None else []
        asked += [f"stop at {number(order.pending_price)}"] if order.pending_price is not None else []
        return f"{', '.join(asked)}: amend asked {since}{doubt}"
    return (", ".join(wanted) + ": not asked for yet" if wanted else "the same") + doubt


def _clocks(status: Status, times: Times) -> str:
    rows = [
        {
            "clock": f"{clock.which} {clock.client_order_id}".strip(),
            "runs out": _overdue(status, clock.at_ns) if times == "relative" else _ago(status, clock.at_ns, times),
            "runs out (ns)": str(clock.at_ns),
            "then, if nothing else happens": f"{clock.to}; {_commands(clock.commands)}",
        }
        for clock in status.clocks
    ]
    shown = [name for name in rows[0] if name != "runs out (ns)" or times == "relative"]
    return table(rows, shown).rstrip("\n")


def _commands(commands: Iterable[object]) -> str:
    return ", ".join(command_text(command) for command in commands) or "nothing is sent"  # type: ignore[arg-type]


def _overdue(status: Status, at_ns: int) -> str:
    if at_ns > status.at_ns:
        return f"in {time_text(at_ns - status.at_ns)}"
    return f"{time_text(status.at_ns - at_ns)} overdue"


def _armed(status: Status) -> list[str]:
    levels = [f"{one.level} at {number(one.price)} or {one.direction.removeprefix('at_or_')}" for one in status.armed]
    if status.trail_shadowed_bps is not None:
        levels.append(f"a shadow of the venue's trail, {status.trail_shadowed_bps} bps from the best price")
    return part("armed", ", ".join(levels)) if levels else []


def _uncovered(status: Status) -> list[str]:
    gap = status.uncovered
    now = "nothing now"
    if gap.qty:
        against = f"{time_text(gap.counted_ms * 1_000_000)} count against the budget of {time_text(gap.budget_ms * 1_000_000)}"
        now = f"{number(gap.qty)} for {time_text(max(0, status.at_ns - gap.since_ns))} ({gap.cause}); {against}"
    past = "not before" if gap.qty else "no window yet"
    if gap.windows > bool(gap.qty):
        causes = ", ".join(gap.longest_causes)
        past = f"{counted(gap.windows, 'window')}, {time_text(gap.total_ns)} in all, longest {time_text(gap.longest_ns)} ({causes})"
    return part("uncovered", f"{now}; {past}")


def _pnl(status: Status) -> list[str]:
    pnl, quote = status.pnl, status.position.quote
    if pnl is None:
        return part("profit", "nothing has traded")
    text = f"realized {money(pnl.realized_pnl, quote):+f} {quote} net of fees; fees {status.position.fees or 'none'}"
    if status.unrealized_pnl is not None and status.mark is not None:
        age = max(0, status.at_ns - status.mark.ts_recv_ns)
        at = f"at the last price that it decided on, {number(status.mark.px)}, {time_text(age)} old"
        text += f"; open {money(status.unrealized_pnl, quote):+f} {quote} {at}"
    if pnl.is_price_pending:
        text += "; the price of a fill is not known yet, so money stands as before it"
    return part("profit", text + ("; uncertain: the quantity was adjusted by hand" if pnl.is_uncertain else ""))


def _exits(status: Status) -> list[str]:
    lines = [
        f"{row.number}. {row.reason} at :{row.decided_version}"
        + (f", price {number(row.mark_px)}" if row.mark_px is not None else "")
        + f": {row.states.replace(' > ', ', ')}"
        + (f"; {number(row.exited_qty)} out at {_px(row.avg_px)} by {row.closed_by}" if row.exited_qty else "; nothing out")
        + (f"; {row.outcome}" if row.outcome else "; under way")
        for row in status.exits
    ]
    return part("exits", *lines) if lines else []


def _last(status: Status, times: Times) -> list[str]:
    event = status.last_event.split()[0]
    has_ended = status.position.state in END_STATES
    moment = _ago(status, status.last_event_ns, "iso" if has_ended and times == "relative" else times)
    return part("last", f"{status.last_event}, {moment}; `holdfast why {event}` explains it")
