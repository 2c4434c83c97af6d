"""Whether a plan can be protected at all: looked at before the entry is sent, refused with the reason."""

from events.errors import BadInput
from events.facts import Plan
from events.values import Capabilities, Instrument, Mark, positive_decimal_from

MAX_TRAIL_OFFSET_BPS = 5_000


def check_plan(plan: Plan, instrument: Instrument, capabilities: Capabilities, mark: Mark | None) -> None:
    """Return if the plan can be entered, protected and left on this instrument.

    Raises:
        BadInput: names the field, what is wrong with it and the remedy; nothing is sent.
    """
    place = f"plan for {plan.symbol}"
    qty = positive_decimal_from(plan.qty, f"{place}: qty")
    instrument.lots(qty, f"{place}: qty")
    if qty < instrument.min_qty:
        raise BadInput(f"{place}: qty", f"{qty} is under the venue's minimum {instrument.min_qty}", "ask for more")
    if plan.trail_offset_bps is None and plan.stop_price is None and not plan.trail_auto:
        raise BadInput(place, "it has no stop", "give trail_offset_bps, trail_auto or stop_price")
    trail = plan.trail_offset_bps
    if trail is not None and not 1 <= trail <= MAX_TRAIL_OFFSET_BPS:
        raise BadInput(f"{place}: trail_offset_bps", f"{trail} is not within 1 to {MAX_TRAIL_OFFSET_BPS}", "give basis points")
    if plan.side.value == "short" and not plan.margin:
        raise BadInput(f"{place}: side", "a short needs margin", "set margin = true")
    if plan.margin and not instrument.marginable:
        raise BadInput(f"{place}: margin", f"{plan.symbol} cannot be traded on margin", "use another symbol, or a long without margin")
    if plan.entry_type == "limit" and plan.entry_price is None:
        raise BadInput(f"{place}: entry_price", "a limit entry needs one", "give entry_price, or entry_type market")
    if plan.strategy == "ignition" and (plan.trail_activation_bps is None or plan.trail_activation_bps <= 0):
        problem = "an ignition needs the profit from which it has taken off"
        raise BadInput(f"{place}: trail_activation_bps", problem, "give basis points above 0")
    if plan.panic_pnl_bps is not None and plan.panic_pnl_bps >= 0:
        raise BadInput(f"{place}: panic_pnl_bps", f"{plan.panic_pnl_bps} is not below zero", "give a loss, for example -300")
    if plan.time_stop_secs is not None and plan.time_stop_secs < 0:
        raise BadInput(f"{place}: time_stop_secs", f"{plan.time_stop_secs} is negative", "give seconds, or leave it out")
    _check_levels(plan, instrument, place, mark)
    if plan.attach_stop and not capabilities.attached_stop:
        raise BadInput(f"{place}: attach_stop", f"{capabilities.venue} has no attached stops", "leave attach_stop out")


def _check_levels(plan: Plan, instrument: Instrument, place: str, mark: Mark | None) -> None:
    sign = plan.side.sign
    reference = plan.entry_price if plan.entry_type == "limit" else mark.px if mark is not None else None
    levels = (
        ("entry_price", plan.entry_price, 0),
        ("stop_price", plan.stop_price, -sign),
        ("take_profit_price", plan.take_profit_price, sign),
    )
    for name, price, side_of_entry in levels:
        if price is None:
            continue
        positive_decimal_from(price, f"{place}: {name}")
        instrument.ticks(price, f"{place}: {name}")
        if reference is not None and side_of_entry and (price - reference) * side_of_entry <= 0:
            wanted = "above" if side_of_entry > 0 else "below"
            problem = f"{price} is on the wrong side of {reference}"
            raise BadInput(f"{place}: {name}", problem, f"give a price {wanted} it for a {plan.side.value}")
    if reference is not None and plan.qty * reference < instrument.min_cost:
        problem = f"{plan.qty} costs less than the venue's minimum {instrument.min_cost} {instrument.quote}"
        raise BadInput(f"{place}: qty", problem, "ask for more")
