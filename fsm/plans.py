"""Whether a plan can be protected at all: looked at before the entry is sent, refused with the reason."""

from decimal import Decimal

from events.errors import BadInput
from events.facts import Plan
from events.values import Capabilities, Instrument, Mark, positive_decimal_from

MAX_TRAIL_OFFSET_BPS = 5_000
# Kraken takes deadlines of 0.5 s to 60 s (venues.md 1.6); no time limit of the machine may be nothing, or it would run for ever.
DEADLINE_MS = (500, 60_000)


def check_plan(
    plan: Plan, instrument: Instrument, capabilities: Capabilities, mark: Mark | None, taker_fee_bps: Decimal = Decimal(0)
) -> None:
    """Return if the plan can be entered, protected and left on this instrument; `taker_fee_bps` may be taken from what was bought.

    Raises:
        BadInput: names the field, what is wrong with it and the remedy; nothing is sent.
    """
    place = f"plan for {plan.symbol}"
    check_shape(plan)
    instrument.lots(plan.qty, f"{place}: qty")
    if plan.qty < instrument.min_qty:
        raise BadInput(f"{place}: qty", f"{plan.qty} is under the venue's minimum {instrument.min_qty}", "ask for more")
    if plan.margin and not instrument.marginable:
        raise BadInput(f"{place}: margin", f"{plan.symbol} cannot be traded on margin", "use another symbol, or a long without margin")
    _check_levels(plan, instrument, place, mark)
    _check_protectable(plan, instrument, place, mark, taker_fee_bps)
    if plan.attach_stop and not capabilities.attached_stop:
        raise BadInput(f"{place}: attach_stop", f"{capabilities.venue} has no attached stops", "leave attach_stop out")


def check_shape(plan: Plan) -> None:
    """Return if a plan makes sense by itself, whatever the venue. Raises BadInput as `check_plan` does."""
    place = f"plan for {plan.symbol}"
    positive_decimal_from(plan.qty, f"{place}: qty")
    for name in ("entry_price", "stop_price", "take_profit_price"):
        if (price := getattr(plan, name)) is not None:
            positive_decimal_from(price, f"{place}: {name}")
    _check_times(plan, place)
    if plan.trail_offset_bps is None and plan.stop_price is None and not plan.trail_auto:
        raise BadInput(place, "it has no stop", "give trail_offset_bps, trail_auto or stop_price")
    trail = plan.trail_offset_bps
    if trail is not None and not 1 <= trail <= MAX_TRAIL_OFFSET_BPS:
        raise BadInput(f"{place}: trail_offset_bps", f"{trail} is not within 1 to {MAX_TRAIL_OFFSET_BPS}", "give basis points")
    if not 0 <= plan.trail_floor_bps <= MAX_TRAIL_OFFSET_BPS:
        problem = f"{plan.trail_floor_bps} is not within 0 to {MAX_TRAIL_OFFSET_BPS}"
        raise BadInput(f"{place}: trail_floor_bps", problem, "give basis points")
    if plan.side.value == "short" and not plan.margin:
        raise BadInput(f"{place}: side", "a short needs margin", "set margin = true")
    if plan.entry_type == "limit" and plan.entry_price is None:
        raise BadInput(f"{place}: entry_price", "a limit entry needs one", "give entry_price, or entry_type market")
    if plan.entry_type == "market" and plan.entry_price is not None:
        raise BadInput(f"{place}: entry_price", "a market entry has none", "leave it out, or set entry_type limit")
    for step in plan.tighten:
        if step.profit_bps <= 0 or not 1 <= step.trail_offset_bps <= MAX_TRAIL_OFFSET_BPS:
            problem = f"profit {step.profit_bps}, trail {step.trail_offset_bps} is no step"
            raise BadInput(f"{place}: tighten", problem, f"give a profit above 0 and a trail of 1 to {MAX_TRAIL_OFFSET_BPS} basis points")
    if plan.strategy == "ignition" and (plan.trail_activation_bps is None or plan.trail_activation_bps <= 0):
        problem = "an ignition needs the profit from which it has taken off"
        raise BadInput(f"{place}: trail_activation_bps", problem, "give basis points above 0")
    for name in ("trail_activation_bps", "breakeven_profit_bps"):
        if (bps := getattr(plan, name)) is not None and bps <= 0:
            raise BadInput(f"{place}: {name}", f"{bps} is no profit", "give basis points above 0, or leave it out")
    if plan.take_profit_arm_bps < 0:
        raise BadInput(f"{place}: take_profit_arm_bps", f"{plan.take_profit_arm_bps} is below 0", "give basis points from 0 up")
    if plan.panic_pnl_bps is not None and plan.panic_pnl_bps >= 0:
        raise BadInput(f"{place}: panic_pnl_bps", f"{plan.panic_pnl_bps} is not below zero", "give a loss, for example -300")
    if plan.time_stop_secs is not None and plan.time_stop_secs < 0:
        raise BadInput(f"{place}: time_stop_secs", f"{plan.time_stop_secs} is negative", "give seconds, or leave it out")


def _check_protectable(plan: Plan, instrument: Instrument, place: str, mark: Mark | None, taker_fee_bps: Decimal) -> None:
    """A quantity whose stop the venue would refuse as too small is never bought (P22, P28)."""
    left = plan.qty if plan.margin else plan.qty * (10_000 - taker_fee_bps) / 10_000
    if instrument.floor_lots(left) < instrument.min_lots:
        problem = f"{plan.qty} less its fee is under the venue's minimum {instrument.min_qty}: no stop could protect it"
        raise BadInput(f"{place}: qty", problem, "ask for more")
    reference = _reference(plan, mark)
    if reference is None:
        return
    distance_bps = plan.trail_offset_bps or 0
    stop = plan.stop_price or reference * (10_000 - plan.side.sign * distance_bps) / 10_000
    if left * min(stop, reference) < instrument.min_cost:
        problem = f"{plan.qty} costs less than the venue's minimum {instrument.min_cost} {instrument.quote} at its stop"
        raise BadInput(f"{place}: qty", problem, "ask for more")
    if distance_bps and reference * distance_bps < instrument.price_increment * 10_000:
        problem = f"{distance_bps} of {reference} is less than the venue's tick {instrument.price_increment}"
        raise BadInput(f"{place}: trail_offset_bps", problem, "give more")


def _check_times(plan: Plan, place: str) -> None:
    for name in plan.timing.__struct_fields__:
        if getattr(plan.timing, name) <= 0:
            raise BadInput(f"{place}: timing.{name}", f"{getattr(plan.timing, name)} is not above zero", "give milliseconds above 0")
    if not DEADLINE_MS[0] <= plan.timing.market_deadline_ms <= DEADLINE_MS[1]:
        problem = f"{plan.timing.market_deadline_ms} is not within {DEADLINE_MS[0]} to {DEADLINE_MS[1]}"
        raise BadInput(f"{place}: timing.market_deadline_ms", problem, "give a deadline that the venue takes")


def _reference(plan: Plan, mark: Mark | None) -> Decimal | None:
    if plan.entry_type == "limit":
        return plan.entry_price
    return None if mark is None else mark.px


def _check_levels(plan: Plan, instrument: Instrument, place: str, mark: Mark | None) -> None:
    sign = plan.side.sign
    reference = _reference(plan, mark)
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
