"""What a scenario begins with: plan, venue and engine, from its header; and a check of the words that only running would find wrong."""

from decimal import Decimal

import msgspec

from events import facts as f
from events.errors import BadInput
from events.values import PositionSide
from holdfast.simulation.watch import NAMESPACE
from replay.pipeline import TODAY, Settings
from venues.simulated.faults import FAULTS
from venues.simulated.settings import VenueSettings

from .floor import D
from .text import Scenario

SYMBOL = "SOL/USD"
START_PX = D(100)
DEFAULT_PLAN = {"qty": "1", "stop_price": "97"}
PRICES = ("entry_price", "stop_price", "take_profit_price")


def mirrored(px: Decimal, side: PositionSide) -> Decimal:
    """Return a long's price as `side` plays it: a short's is mirrored at 100."""
    return px if side is PositionSide.LONG else 2 * START_PX - px


def venue_settings(scenario: Scenario) -> VenueSettings:
    """Return the settings of a scenario's venue. Raises BadInput."""
    given: dict[str, object] = {"balances": {"USD": D(1_000_000), "SOL": D(0)}, **scenario.venue}
    try:
        return msgspec.convert(given, VenueSettings, strict=False)
    except msgspec.ValidationError as problem:
        raise BadInput(f"{scenario.place}: venue", str(problem), "write fields of the simulated venue's settings") from None


def engine_settings(scenario: Scenario) -> Settings:
    """Return the settings of a scenario's engine. Raises BadInput."""
    given: dict[str, object] = {
        "namespace": NAMESPACE, "symbols": (SYMBOL,), "asks_rest": True, "asks_ledgers": True, "asks_missing": True, **TODAY,
        **scenario.engine,
    }
    unknown = sorted(set(given) - set(Settings.__struct_fields__))
    try:
        if unknown:
            raise ValueError(f"there is no field {unknown[0]}")
        return msgspec.convert(given, Settings, strict=False)
    except (msgspec.ValidationError, ValueError) as problem:
        raise BadInput(f"{scenario.place}: engine", str(problem), "write fields of the pipeline's settings") from None


def plan_fields(scenario: Scenario, side: PositionSide) -> dict[str, object]:
    """Return the fields of a scenario's plan for `side`, prices mirrored. Raises BadInput."""
    written = dict(scenario.plan)
    if "stop_price" not in written and not written.get("trail_offset_bps"):
        written["stop_price"] = DEFAULT_PLAN["stop_price"]
    written.setdefault("qty", DEFAULT_PLAN["qty"])
    timing = {key.removeprefix("timing."): written.pop(key) for key in list(written) if key.startswith("timing.")}
    tighten = [x.split(":") for x in written.pop("tighten", "").split("/") if x]
    given: dict[str, object] = {
        "symbol": SYMBOL,
        "side": side.value,
        "margin": side is PositionSide.SHORT,
        **{key: str(mirrored(D(text), side)) if key in PRICES else text for key, text in written.items()},
        "timing": timing,
    }
    unknown = sorted(set(given) - set(f.Plan.__struct_fields__))
    try:
        if unknown:
            raise ValueError(f"there is no field {unknown[0]}")
        if tighten:
            given["tighten"] = [{"profit_bps": int(profit), "trail_offset_bps": int(trail)} for profit, trail in tighten]
        plan = msgspec.convert(given, f.Plan, strict=False)
    except (msgspec.ValidationError, ArithmeticError, ValueError) as problem:
        raise BadInput(f"{scenario.place}: plan", str(problem)[:200], "write fields of a plan, see docs/scenarios.md") from None
    names = {*given, "margin"} - {"symbol", "side"}
    return {name: getattr(plan, name) for name in names}


def check_words(scenario: Scenario) -> None:
    """Check what only running would find: names of faults, modes and wishes. Raises BadInput."""
    known: dict[str, tuple[str, ...]] = {
        "fault": tuple(FAULTS),
        "mode": ("online", "cancel_only", "post_only", "limit_only", "maintenance"),
        "exit": f.ExitReason.__args__,  # type: ignore[attr-defined]
        "owner": ("buys", "sells", "withdraws", "cancels"),
        "clock": ("ahead", "back"),
        "says": ("new", "canceled", "expired", "filled"),
    }
    for step in scenario.steps:
        for clause in step.clauses:
            if step.mark in "!<" and clause.word in known and clause.values["WORD"] not in known[clause.word]:
                raise BadInput(
                    step.place, f"{clause.word} {clause.values['WORD']!r} is not known", f"use one of: {', '.join(known[clause.word])}"
                )
            if clause.word == "owner" and ("NAME" if clause.values["WORD"] == "cancels" else "QTY") not in clause.values:
                raise BadInput(step.place, "the owner's act lacks its value", "write `! owner sells QTY` or `! owner cancels NAME`")
    if not any(clause.word == "unprotected" for step in scenario.steps for clause in step.clauses):
        raise BadInput(scenario.place, "it does not bound the time without protection", "hold it somewhere: `= unprotected 1 s`")
    venue_settings(scenario)
    engine_settings(scenario)
    for side in PositionSide:
        plan_fields(scenario, side)
