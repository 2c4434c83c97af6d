"""What one proof is about: venue, side, plan, and how often each fault may happen. Many small budgets beat one large."""

from decimal import Decimal
from typing import Any

import msgspec

from events import facts as f
from events.values import Capabilities, Instrument, PositionSide

from .venue import MID, STEP, Rules

# What may happen besides the normal course, and how often: see `moves.py` for what each does.
FAULTS = (
    "lost", "dup", "swap", "delay", "cut", "reject", "crash", "hang", "short", "price", "exit", "patient", "tighten", "halt",
    "cancel", "sell", "foreign", "stale", "truncated", "old_answer", "mode", "adjust", "report", "loosen", "unsent", "funds", "through",
    "protect", "unlisted",
)  # fmt: skip
SHORT = f.Timing(
    ack_timeout_ms=5_000, entry_ttl_ms=5_000, cancel_timeout_ms=3_000, protect_timeout_ms=2_000, amend_timeout_ms=3_000,
    trigger_timeout_ms=3_000, take_profit_timeout_ms=4_000, maker_exit_timeout_ms=3_000, market_fill_timeout_ms=3_000,
    market_deadline_ms=3_000, reconcile_timeout_ms=4_000, audit_interval_ms=4_000, page_interval_ms=4_000, max_price_age_ms=60_000,
)  # fmt: skip
# The product's own limits, but for the three that only say how often a covered position is looked at.
PRODUCT = f.Timing(entry_ttl_ms=20_000, audit_interval_ms=20_000, page_interval_ms=20_000, max_price_age_ms=60_000)


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """One space of states. `holds_funds` False: the owner has as much again on spot, so that what the venue holds back guards nothing, and
    each look says so. `budgets` names faults of `FAULTS` and how often each may happen; times are in ticks.

    `adopted`: held when it begins; `reverses`: as the reverse of a position that was closed twice. `fee` is what the first execution of
    an entry costs, in lots of the base asset. `age` is how long a message may be under way, `down` the link, `lag` how far the disk may
    be behind. `clock`: time unprotected lots by the "venue"'s book, or not at all ("").
    """

    name: str
    short: bool = False
    margin: bool = False
    amend: bool = True
    holds_funds: bool = True
    native: bool = True
    attach: bool = False
    adopted: bool = False
    reverses: bool = False
    lots: int = 2
    fee: int = 0
    plan: dict[str, Any] = {}
    budgets: dict[str, int] = {}
    clock: str = ""
    product_timing: bool = False
    age: int = 1
    down: int = 2
    lag: int = 1
    tick_ms: int = 1_000

    @property
    def rules(self) -> Rules:
        return Rules(-1 if self.short else 1, self.holds_funds and not self.margin, 1, self.margin, self.fee)

    @property
    def is_krakens(self) -> bool:
        """Whether the venue can do what Kraken can: amend a stop in place, and trail one itself where the plan does not have us do it."""
        return self.amend and (self.native or self.plan.get("trail_style") == "engine")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            venue="proof", native_trail=self.native, amend_in_place=self.amend, holds_funds=not self.margin, reduce_only=self.margin,
            attached_stop=self.attach, one_child_per_fill=self.attach, amend_deadline=self.amend,
        )  # fmt: skip

    @property
    def instrument(self) -> Instrument:
        return Instrument(
            symbol="BTC/USD", base="BTC", quote="USD", price_increment=Decimal(1), size_increment=Decimal(1), min_qty=Decimal(1),
            marginable=True,
        )  # fmt: skip

    def plan_of(self) -> f.Plan:
        """Return the plan: a market entry under a trail of 300 bps, unless `plan` says otherwise."""
        fields: dict[str, Any] = {
            "symbol": "BTC/USD", "side": PositionSide.SHORT if self.short else PositionSide.LONG, "qty": Decimal(self.lots),
            "margin": self.margin, "trail_offset_bps": 300, "attach_stop": self.attach, "timing": PRODUCT if self.product_timing else SHORT,
        }  # fmt: skip
        return msgspec.convert({**fields, **self.plan}, f.Plan, strict=False)

    def price(self, level: int) -> Decimal:
        """Return the price of a level as a plan writes it."""
        return Decimal(self.rules.px(level))


def static_plan(sign: int) -> dict[str, Any]:
    """Return the fields of a plan with a static stop that the worse level crosses."""
    return {"trail_offset_bps": None, "stop_price": Decimal(MID - sign * (STEP - 10))}


def maker_plan(sign: int) -> dict[str, Any]:
    """Return the fields of a plan with a resting take-profit at the better level."""
    return {"take_profit_price": Decimal(MID + sign * STEP), "take_profit_style": "maker"}


LIMIT: dict[str, Any] = {"entry_type": "limit", "entry_price": Decimal(MID)}
VENUES: dict[str, dict[str, Any]] = {
    "spot": {},
    "margin": {"margin": True},
    "margin short": {"margin": True, "short": True},
    "no amend": {"amend": False},
    "margin no amend": {"margin": True, "amend": False},  # the better stop rests before the old one goes
    "free": {"holds_funds": False},  # spot beside the owner's own coins: nothing but our own accounting stops a second exit
}


def sign_of(venue: dict[str, Any]) -> int:
    """Return +1 where a venue of `VENUES` is for a long, -1 for a short."""
    return -1 if venue.get("short") else 1


def _said(budgets: dict[str, int]) -> str:
    return " ".join(f"{what}{times}" if times > 1 else what for what, times in budgets.items())


def _windows() -> list[Configuration]:
    out = []
    for venue, fields in VENUES.items():
        for fault, budgets in (("no fault", {}), ("1 lost", {"lost": 1}), ("1 crash", {"crash": 1})):
            out.append(
                Configuration(name=f"window {venue}, {fault}", **fields, budgets=budgets, clock="venue", product_timing=True)
            )
        # What else takes protection away, by itself: the way out, a stop that fires, a stop that is moved, a stop that the owner cancels.
        for what, lots in (("exit", 2), ("price", 1), ("tighten", 2), ("cancel", 1)):
            for fault, budgets in (("no fault", {}), ("1 lost", {"lost": 1})):
                name = f"window {venue}, {what}, {fault}"
                more = {**fields, "budgets": {what: 1, **budgets}, "lots": lots if not budgets else 1}
                out.append(Configuration(name=name, **more, clock="venue", product_timing=True))
        # With a crash these are too many from the entry on: here the position is held when it begins.
        for what in ("exit", "price", "tighten", "cancel"):
            more = {**fields, "adopted": True, "lots": 1, "budgets": {what: 1, "crash": 1}}
            out.append(Configuration(name=f"window {venue}, held, {what}, 1 crash", **more, clock="venue", product_timing=True))
    sign = 1
    for what, plan in (("maker take profit", maker_plan(sign)), ("patient exit", {})):
        more = {"price": 1} if plan else {"patient": 1}
        out.append(
            Configuration(name=f"window spot, {what}, no fault", lots=1, plan=plan, budgets=more, clock="venue", product_timing=True)
        )
    return out


def _singles() -> list[Configuration]:
    """One fault at a time, with an exit or a crossed price, on every kind of venue."""
    out = []
    pairs: tuple[dict[str, int], ...] = (
        {"lost": 1, "exit": 1}, {"dup": 1, "swap": 1}, {"cut": 1, "exit": 1}, {"reject": 1, "exit": 1}, {"crash": 1, "exit": 1},
        {"hang": 1, "price": 1}, {"price": 1, "lost": 1}, {"short": 1, "exit": 1}, {"tighten": 1, "lost": 1}, {"halt": 1, "exit": 1},
        {"cancel": 1, "sell": 1}, {"truncated": 1, "lost": 1}, {"old_answer": 1, "lost": 1}, {"delay": 1, "exit": 1},
        {"reject": 4}, {"mode": 1, "exit": 1}, {"dup": 1, "swap": 1, "exit": 1},
    )  # fmt: skip
    for venue, fields in VENUES.items():
        for budgets in pairs:
            out.append(Configuration(name=f"{venue}, {_said(budgets)}", **fields, budgets=budgets))
    return out


def _plans() -> list[Configuration]:
    """Every way out and every style of protection, long and short."""
    out = []
    for side in ("spot", "margin short"):
        fields = VENUES[side]
        sign = sign_of(fields)
        plans: tuple[tuple[str, dict[str, Any], dict[str, Any], dict[str, int]], ...] = (
            ("static stop", static_plan(sign), {}, {"price": 1, "reject": 1}),
            ("engine trail", {"trail_style": "engine"}, {"native": False}, {"price": 2, "lost": 1}),
            ("take profit", {"take_profit_price": Decimal(MID + sign * STEP)}, {}, {"price": 1, "lost": 1}),
            ("maker take profit", maker_plan(sign), {}, {"price": 2, "lost": 1}),
            ("maker take profit refused", maker_plan(sign), {}, {"price": 2, "reject": 1, "exit": 1}),
            ("panic", {"panic_pnl_bps": -400, "trail_offset_bps": 900}, {}, {"price": 1, "lost": 1}),
            ("time stop", {"time_stop_secs": 3}, {}, {"lost": 1}),
            ("patient exit", {}, {}, {"patient": 1, "exit": 1, "price": 1}),
            ("patient exit, lost", {}, {}, {"patient": 1, "lost": 1}),
            ("limit entry", LIMIT, {}, {"lost": 1, "exit": 1}),
            ("limit entry, crash", LIMIT, {}, {"crash": 1}),
            ("attached stop, no fault", {}, {"attach": True}, {}),
            ("attached stop", {}, {"attach": True}, {"lost": 1}),
            ("attached stop, exit", {}, {"attach": True}, {"exit": 1, "price": 1}),
            ("tighten steps", {"tighten": (f.TightenStep(profit_bps=400, trail_offset_bps=100),)}, {}, {"price": 2, "reject": 1}),
            ("adopted", {}, {"adopted": True}, {"lost": 1, "reject": 1}),
            ("adopted, tighten", {}, {"adopted": True}, {"tighten": 2, "halt": 1}),
            ("adopted reverse, refused", {}, {"adopted": True, "reverses": True}, {"reject": 4, "lost": 1}),
            ("adopted reverse, shut", {}, {"adopted": True, "reverses": True}, {"mode": 1, "crash": 1}),
            ("adopted, loosen", {}, {"adopted": True}, {"loosen": 1, "tighten": 1, "cancel": 1}),
            ("loosen, static stop", static_plan(sign), {}, {"loosen": 1, "tighten": 1, "lost": 1}),
            ("fee in lots", {}, {"fee": 1, "margin": False, "short": False}, {"lost": 1}),
            ("fee in lots, no fault", {}, {"fee": 1, "margin": False, "short": False}, {}),
            ("ends in maintenance", {}, {}, {"mode": 1, "price": 1}),
            ("halted, lost", {}, {}, {"halt": 1, "lost": 1, "exit": 1}),
            ("halted, refused", {}, {}, {"halt": 1, "reject": 2}),
            ("halted, cancelled", {}, {}, {"halt": 1, "cancel": 1, "tighten": 1}),
            ("taken away again", {}, {"adopted": True}, {"cancel": 2, "price": 1}),
            ("taken away again, lost", {}, {"adopted": True}, {"cancel": 2, "lost": 1}),
            ("taken away again, asked for", {}, {"adopted": True}, {"cancel": 2, "protect": 1, "exit": 1}),
            ("taken away again, crash", {}, {"adopted": True}, {"cancel": 2, "crash": 1}),
            ("taken away again, halted", {}, {"adopted": True}, {"cancel": 2, "halt": 1}),
            ("ignition", {"strategy": "ignition", "trail_activation_bps": 400}, {}, {"report": 1, "price": 1, "halt": 1}),
            ("notices", {}, {}, {"stale": 1, "foreign": 1, "report": 1, "adjust": 1}),
        )
        for name, plan, more, budgets in plans:
            out.append(Configuration(name=f"{name}, {side}", **{**fields, **more}, plan=plan, budgets=budgets))
    return out


def _adopted() -> list[Configuration]:
    """What begins held, without the many ways of an entry: small spaces that most faults exhaust."""
    out = []
    faults: tuple[dict[str, int], ...] = (
        {"lost": 1}, {"dup": 1, "swap": 1}, {"reject": 1, "exit": 1}, {"lost": 1, "exit": 1}, {"cut": 1, "exit": 1},
        {"crash": 1, "exit": 1}, {"hang": 1, "price": 1}, {"short": 1, "exit": 1}, {"dup": 1, "swap": 1, "exit": 1}, {"reject": 4},
        {"halt": 1, "cancel": 1}, {"halt": 1, "lost": 1}, {"halt": 1, "reject": 1}, {"tighten": 1, "lost": 1}, {"sell": 1, "lost": 1},
        {"old_answer": 1, "lost": 1}, {"foreign": 1}, {"stale": 1}, {"loosen": 1, "tighten": 1}, {"tighten": 2, "reject": 1},
    )  # fmt: skip
    for venue in ("spot", "free"):
        for budgets in faults:
            out.append(Configuration(name=f"adopted {venue}, {_said(budgets)}", adopted=True, **VENUES[venue], budgets=budgets))
    # Lists that lack executions and an order, again and again: of a stop that rests, or whose end nobody was told of.
    again: tuple[dict[str, int], ...] = (
        {"unlisted": 9}, {"unlisted": 4, "exit": 1}, {"unlisted": 3, "cancel": 1, "lost": 1}, {"unlisted": 3, "price": 1, "lost": 1},
    )  # fmt: skip
    for venue in ("spot", "free", "margin short"):
        for budgets in again:
            out.append(Configuration(name=f"adopted {venue}, {_said(budgets)}", adopted=True, lots=1, **VENUES[venue], budgets=budgets))
    return out


def _unguarded() -> list[Configuration]:
    """Where nothing but our own accounting stops a second exit: stops that the venue makes itself, and more closed than was open."""
    out = []
    for budgets in (
        {"lost": 1}, {"lost": 1, "truncated": 1}, {"lost": 1, "delay": 1}, {"exit": 1, "price": 1}, {"cut": 1, "exit": 1},
        {"truncated": 1, "cut": 1}, {"cancel": 1, "lost": 1}, {"price": 1, "lost": 1, "cut": 1},
    ):  # fmt: skip
        for means, amend in (("", True), (", no amend", False)):
            name = f"attached free{means}, {_said(budgets)}"
            out.append(Configuration(name=name, attach=True, lots=1, amend=amend, **VENUES["free"], budgets=budgets))
    out.append(Configuration(name="attached free, two lots, cancel", attach=True, **VENUES["free"], budgets={"cancel": 1}))
    for budgets in ({"sell": 1, "exit": 1, "lost": 1}, {"sell": 1, "exit": 1, "reject": 1}):
        out.append(Configuration(name=f"closed beyond, {_said(budgets)}", lots=1, **VENUES["free"], budgets=budgets))
    return out


def _doubles() -> list[Configuration]:
    """Two and three faults at once: the longer campaign."""
    out = []
    for venue, fields in VENUES.items():
        for budgets in (
            {"lost": 2, "exit": 1}, {"crash": 1, "lost": 1, "exit": 1}, {"cut": 2, "exit": 1}, {"crash": 2, "exit": 1},
            {"cut": 1, "reject": 1, "price": 1}, {"truncated": 1, "cut": 1, "exit": 1}, {"tighten": 1, "price": 1, "lost": 1},
        ):  # fmt: skip
            out.append(Configuration(name=f"{venue}, {_said(budgets)}", **fields, budgets=budgets))
        out.append(
            Configuration(name=f"window {venue}, 2 lost", **fields, budgets={"lost": 2}, clock="venue", product_timing=True)
        )
        out.append(
            Configuration(name=f"window {venue}, 1 cut", **fields, budgets={"cut": 1}, clock="venue", product_timing=True)
        )
    return out


QUICK: tuple[Configuration, ...] = (*_windows(), *_singles(), *_adopted(), *_unguarded(), *_plans())
ALL: tuple[Configuration, ...] = (*QUICK, *_doubles())
