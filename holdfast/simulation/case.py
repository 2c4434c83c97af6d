"""One simulated life of an engine as plain data: what the venue is, who wants what when, and what goes wrong when.

A case is drawn from a seed, and can be written to a file, read again, and made smaller by leaving things out: it says all that
is not derived from `seed` alone. Times are milliseconds of virtual time since the venue opened; levels of a plan are basis points
from the last price, because what the price will be is not known here.
"""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import msgspec

from events.errors import BadInput
from events.facts import Plan, TightenStep, Timing
from events.values import PositionSide
from venues.simulated.faults import FAULTS
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings

SCHEMA = "holdfast-simulation.1"
SYMBOLS = ("BTC/USD", "ETH/USD")
START_PX = {"BTC/USD": Decimal(60_000), "ETH/USD": Decimal(3_000)}
# In how many lives the owner sells what a position of ours holds.
SALES_RATE = 0.03
# The kind of market is known after five quarters of an hour, and looked at with each new minute: behind this lead, 10 s later. It costs
# as much as two dozen seeds.
LEAD_S, LEAD_RATE = 4_530, 0.0005
# Time limits short enough for what a life of half a minute can hold; the others live with the usual ones.
_SHORT = Timing(
    ack_timeout_ms=3_000,
    entry_ttl_ms=5_000,
    cancel_timeout_ms=1_500,
    protect_timeout_ms=1_500,
    amend_timeout_ms=1_500,
    trigger_timeout_ms=2_000,
    take_profit_timeout_ms=6_000,
    maker_exit_timeout_ms=3_000,
    market_fill_timeout_ms=1_500,
    market_deadline_ms=1_500,
    reconcile_timeout_ms=3_000,
    audit_interval_ms=20_000,
    page_interval_ms=20_000,
)

HappeningKind = Literal[
    "fault",  # `text` is switched on at the venue
    "cut",  # connection `number` is reset
    "dark",  # connection `number` is half-open from now on
    "net_down",  # no connection is taken for `seconds`
    "slow",  # every piece takes up to `seconds` for a while
    "token",  # the next `number` tokens are refused
    "kill",  # the process dies, and begins again after `seconds`
    "power",  # its machine does
    "kill_before_commit",  # it dies at the `number`-th commit from now, before it
    "kill_after_commit",
    "restart",  # it is ended properly, and begins again after `seconds`
    "stand_still",  # nobody runs for `seconds`
    "commit_fails",
    "commit_fails_after",
    "commit_stalls",  # for `seconds`
    "write_fails",
    "sync_fails",
    "system",  # the venue is in the mode `text` for `seconds`
    "cancel_by_hand",  # the owner cancels our open order `number`
    "expire",  # our open order `number` expires at the venue; here, by hand and in a fill `text` may say `stop` or `rest`: one of those
    "trade_by_hand",  # the owner trades `number` basis points of what is his own
    "sell_by_hand",  # the owner closes `number + 1` tenths of what our position `number` holds; with an even one he cancels its stops first
    "move_funds",  # the owner withdraws a tenth of what is his own, or deposits as much, of the first symbol's base asset or its quote
    "price",  # somebody's trade prints `number` basis points from the last price
    "fill",  # our open order `number` executes at the venue, half of it if `text` says so: a limit at its price, a stop as if it had fired
]
WishKind = Literal["exit", "exit_patient", "halt", "tighten", "protect"]
WISHES = get_args(WishKind)
# What takes of what positions of ours hold, or may.
HANDS = ("trade_by_hand", "sell_by_hand")


class Market(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A seeded walk: a trade every `interval_ms` on average that moves the price by up to `step_bps`; at times it leaps by `leap_bps`."""

    seed: int
    interval_ms: int
    step_bps: int
    leap_bps: int


class Opening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A position that is asked for at `at_ms`, with levels in basis points from the last price of that moment."""

    at_ms: int
    plan: Plan
    entry_bps: int | None = None
    stop_bps: int | None = None
    take_profit_bps: int | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks of position `number` (by the order of the openings)."""

    at_ms: int
    number: int
    kind: WishKind


class Happening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong at `at_ms`."""

    at_ms: int
    kind: HappeningKind
    text: str = ""
    number: int = 0
    seconds: float = 0.0


class Ambush(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to a position `delay_ms` after it has come to `state`, the first `times` times that one does.

    It goes wrong there as `Happening` has it, at the position's own orders where the kind is about orders, or it is a wish. A price is in
    the position's favour where `number` is above zero.
    """

    state: str
    kind: HappeningKind | WishKind
    delay_ms: int = 0
    times: int = 1
    text: str = ""
    number: int = 0
    seconds: float = 0.0


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulated life. `faults_end_ms`: from then on nothing goes wrong any more.

    `lead_s`: for so long the market trades, and the engine listens, before all that is told here: its times count from then.
    """

    schema: str = SCHEMA
    seed: int
    symbols: tuple[str, ...]
    settings: VenueSettings
    markets: tuple[Market, ...]
    latency_ms: tuple[int, int]
    piece_bytes: int
    audit_interval_s: float
    faults_end_ms: int
    openings: tuple[Opening, ...]
    wishes: tuple[Wish, ...] = ()
    happenings: tuple[Happening, ...] = ()
    ambushes: tuple[Ambush, ...] = ()
    dead_man_secs: int = 0
    lead_s: int = 0


def draw(seed: int) -> Case:
    """Return the case of a seed: the same on every machine."""
    rng = Random(f"holdfast {seed}")
    symbols = SYMBOLS[: 1 if rng.random() < 0.7 else 2]
    faults_end_ms = rng.randint(8, 30) * 1_000
    # Kraken nets the margin positions of a pair: long and short at once would close each other there.
    margin_side = {symbol: rng.choice((PositionSide.LONG, PositionSide.SHORT)) for symbol in symbols}
    count = rng.randint(3, 14)
    last_ms = max(400, faults_end_ms * 2 // 3)
    openings = sorted((_opening(rng, symbols, margin_side, rng.randint(300, last_ms)) for _ in range(count)), key=lambda o: o.at_ms)
    wishes = [_wish(rng, number, opening.at_ms, faults_end_ms) for number, opening in enumerate(openings) if rng.random() < 0.5]
    intensity = rng.choice((0, 1, 1, 2, 2, 3, 5))
    happenings = [x for _ in range(rng.randint(0, 4 * intensity) if intensity else 0) for x in _happenings(rng, faults_end_ms)]
    happenings += _sales(Random(f"sales {seed}"), faults_end_ms)
    return Case(
        seed=seed,
        symbols=symbols,
        settings=_settings(rng, symbols),
        markets=tuple(
            Market(
                seed=rng.getrandbits(32),
                interval_ms=rng.choice((150, 400, 400, 900)),
                step_bps=rng.choice((2, 5, 10, 20)),
                leap_bps=rng.choice((0, 40, 150)),
            )
            for _ in symbols
        ),
        latency_ms=rng.choice(((0, 1), (1, 20), (1, 20), (20, 120), (50, 400))),
        piece_bytes=rng.choice((0, 0, 0, 0, 700, 64)),
        audit_interval_s=rng.choice((10.0, 60.0)),
        faults_end_ms=faults_end_ms,
        openings=tuple(openings),
        wishes=tuple(sorted(wishes, key=lambda w: w.at_ms)),
        happenings=tuple(sorted(happenings, key=lambda h: h.at_ms)),
        dead_man_secs=rng.choice((0, 0, 3, 10)),
        lead_s=LEAD_S if Random(f"lead {seed}").random() < LEAD_RATE else 0,
    )


def _settings(rng: Random, symbols: tuple[str, ...]) -> VenueSettings:
    balances = {"USD": Decimal(5_000_000)}
    for symbol in symbols:
        # What the owner holds beside: a venue that has it lets a stop or an exit be sold twice.
        balances[pair_of(symbol).instrument.base] = Decimal(rng.choice((0, 0, 5)))
    return VenueSettings(
        balances=balances,
        spread_ticks=rng.choice((1, 1, 5, 20)),
        depth_cost=Decimal(rng.choice((2_000, 20_000, 20_000, 200_000))),
        trigger_latency_ms=rng.choice((0, 50, 50, 400)),
        trail_status_ms=rng.choice((None, 500, 1_000)),
        stops_hold_funds=rng.random() < 0.8,
        crossed_stop=rng.choice(("trigger", "reject")),
        snapshot_trades=rng.choice((2, 50, 50)),
        snapshot_userref=rng.random() < 0.7,
    )


def _opening(rng: Random, symbols: tuple[str, ...], margin_side: dict[str, PositionSide], at_ms: int) -> Opening:
    symbol = rng.choice(symbols)
    margin = rng.random() < 0.45
    side = margin_side[symbol] if margin else PositionSide.LONG
    listed = pair_of(symbol).instrument
    notional = rng.choice((40, 500, 4_000, 15_000, 60_000))
    lots = max(listed.min_lots, int(Decimal(notional) / START_PX[symbol] / listed.size_increment))
    if rng.random() < 0.08:
        lots = listed.min_lots * rng.randint(1, 3)
    fields: dict[str, Any] = {"symbol": symbol, "side": side, "qty": listed.qty(lots), "margin": margin}
    fields |= {"time_stop_secs": rng.choice((None, 0, 5, 15, 40)), "timing": _SHORT if rng.random() < 0.7 else Timing()}
    levels: dict[str, int | None] = {"entry_bps": None, "stop_bps": None, "take_profit_bps": None}
    style = rng.choice(("trail", "trail", "static", "auto", "engine"))
    if style == "static":
        levels["stop_bps"] = rng.choice((15, 50, 200, 600))
    elif style == "auto":
        fields["trail_auto"] = True
    else:
        fields["trail_offset_bps"] = rng.choice((10, 30, 80, 300, 900))
        if style == "engine":
            fields |= {
                "trail_style": "engine",
                "trail_activation_bps": rng.choice((None, None, 15)),
                "breakeven_profit_bps": rng.choice((None, 20)),
            }
        if rng.random() < 0.15:
            levels["stop_bps"] = 1_200
    if style != "engine" and rng.random() < 0.25:
        fields["attach_stop"] = True
    if rng.random() < 0.3:
        fields["tighten"] = (TightenStep(profit_bps=rng.choice((5, 15, 40)), trail_offset_bps=rng.choice((8, 20, 60))),)
    if rng.random() < 0.4:
        levels["take_profit_bps"] = rng.choice((8, 25, 80, 300))
        fields["take_profit_style"] = rng.choice(("internal", "maker"))
        fields["take_profit_arm_bps"] = rng.choice((3, 10, 40))
    if rng.random() < 0.3:
        fields["panic_pnl_bps"] = -rng.choice((10, 40, 150))
    if rng.random() < 0.25:
        fields["entry_type"] = "limit"
        levels["entry_bps"] = rng.choice((-60, -10, -2, 3, 20))
    if rng.random() < 0.2:
        fields["strategy"] = "ignition"
    return Opening(at_ms=at_ms, plan=Plan(**fields), **levels)


def _wish(rng: Random, number: int, opened_ms: int, end_ms: int) -> Wish:
    kind: Any = rng.choice(("exit", "exit", "exit_patient", "tighten", "halt" if rng.random() < 0.4 else "exit"))
    return Wish(at_ms=opened_ms + rng.randint(50, max(100, end_ms - opened_ms)), number=number, kind=kind)


def _happenings(rng: Random, end_ms: int) -> list[Happening]:
    """Draw one thing that goes wrong, at times with a second one close behind: faults that meet are the ones that hurt."""
    at_ms = rng.randint(200, end_ms - 1)
    first = _happening(rng, at_ms)
    if rng.random() < 0.25:
        return [first, _happening(rng, min(end_ms - 1, at_ms + rng.choice((0, 1, 30, 300, 1_500))))]
    return [first]


def _sales(rng: Random, end_ms: int) -> list[Happening]:
    """Draw, seldom, an owner who sells what positions of ours hold. From a generator of its own: all else of a seed is as without it."""
    if rng.random() >= SALES_RATE:
        return []
    times = [rng.randint(1_000, end_ms - 1) for _ in range(rng.randint(1, 2))]
    return [Happening(at_ms=at_ms, kind="sell_by_hand", number=rng.randint(0, 9)) for at_ms in times]


def _happening(rng: Random, at_ms: int) -> Happening:
    roll = rng.random()
    if roll < 0.55:
        return Happening(at_ms=at_ms, kind="fault", text=_fault(rng))
    kind: HappeningKind
    if roll < 0.70:
        kind = rng.choice(("cut", "cut", "cut", "dark", "net_down", "slow", "token"))
        return Happening(at_ms=at_ms, kind=kind, number=rng.randint(0, 3), seconds=rng.choice((0.3, 1.0, 3.0, 7.0)))
    if roll < 0.85:
        kind = rng.choice(_ENDS)
        return Happening(at_ms=at_ms, kind=kind, number=rng.randint(1, 6), seconds=rng.choice((0.05, 0.5, 2.0, 6.0)))
    if roll < 0.92:
        kind = rng.choice(("commit_fails", "commit_fails_after", "commit_stalls", "write_fails", "sync_fails"))
        return Happening(at_ms=at_ms, kind=kind, seconds=rng.choice((0.3, 2.0, 45.0)))
    kind = rng.choice(("system", "cancel_by_hand", "cancel_by_hand", "trade_by_hand"))
    mode = rng.choice(("cancel_only", "post_only", "limit_only", "maintenance"))
    text = mode if kind == "system" else ""
    return Happening(at_ms=at_ms, kind=kind, text=text, number=rng.randint(0, 9), seconds=rng.choice((0.5, 3.0, 8.0)))


_ENDS: tuple[HappeningKind, ...] = (
    "kill", "kill", "power", "kill_before_commit", "kill_after_commit", "kill_after_commit", "restart", "stand_still",
)  # fmt: skip


def _fault(rng: Random) -> str:
    """Draw a fault of the venue: once at the next message that it may strike, a few times, or at a rate."""
    name = rng.choice(sorted(FAULTS))
    text = f"{name}/seconds={rng.choice((0.05, 0.4, 2.0, 6.0))}/n={rng.randint(2, 6)}"
    if name == "reject":
        text += f"/text={rng.choice(_REJECTIONS)}"
    if rng.random() < 0.6:
        return f"{text}/p=1/count={rng.choice((1, 1, 1, 2, 4))}"
    return f"{text}/p={rng.choice((0.02, 0.1, 0.3))}"


_REJECTIONS = (
    "EService:Unavailable",
    "EOrder:Insufficient funds",
    "EOrder:Rate limit exceeded",
    "EGeneral:Internal error",
    "EOrder:Unknown order",
    "EService:Market in cancel_only mode",
)


def case_text(case: Case) -> str:
    """Return a case as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(case), indent=1).decode() + "\n"


def read_case(path: Path) -> Case:
    """Read a case from its file. Raises BadInput where it is none."""
    try:
        case = msgspec.json.decode(path.read_bytes(), type=Case)
    except OSError as problem:
        raise BadInput(str(path), f"cannot be read ({problem.strerror})", "name a file that holdfast simulate has saved") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise BadInput(str(path), f"is no saved case ({problem})", "name a file that holdfast simulate has saved") from None
    if case.schema != SCHEMA:
        raise BadInput(str(path), f"was written as {case.schema!r}", f"this version reads {SCHEMA!r}")
    return case
