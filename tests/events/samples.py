"""Events and commands for tests, and one sample of every stored shape for the golden files.

In a sample every field differs from its default, so that a field that is lost or renamed changes the bytes.
`python -m tests.events.samples` writes the golden files that are missing; one that exists is never written again, because a
log that holds such an event exists too.
"""

from decimal import Decimal
from pathlib import Path

from events import commands as c
from events import facts as f
from events.record import PositionEvent, bytes_from
from events.values import Capabilities, Instrument, Mark, PositionSide, Side

GOLDEN = Path(__file__).parent / "golden"

ENTRY = c.SubmitOrder(
    client_order_id="hf00000120010", symbol="BTC/EUR", role="entry", side=Side.BUY, order_type="market", qty=Decimal("0.5")
)
STOP = c.SubmitOrder(
    client_order_id="hf00000120011", symbol="BTC/EUR", role="stop", side=Side.SELL, order_type="stop-loss", qty=Decimal("0.5")
)


def event(position_id: str, version: int, *commands: c.AnyCommand, size: int = 0) -> PositionEvent:
    """Return a plausible event; `size` makes it larger by that many bytes."""
    fact = f.OrderRejected(
        ts_event_ns=1_723_075_200_000_000_000 + version,
        ts_recv_ns=1_723_075_200_000_500_000 + version,
        client_order_id=f"{position_id}0000c0",
        reject_class="funds",
        text="EOrder:Insufficient funds" + "." * size,
    )
    to = "EmergencyProtecting"
    return PositionEvent(position_id=position_id, version=version, fact=fact, to=to, commands=commands, order_to="rejected")


def history(position_id: str, count: int, first: int = 1) -> list[PositionEvent]:
    """Return `count` events of a position, from version `first` on."""
    return [event(position_id, version) for version in range(first, first + count)]


_TIMES = {"ts_event_ns": 1_723_075_200_123_456_789, "ts_recv_ns": 1_723_075_200_123_999_999}
_ORDER = {**_TIMES, "client_order_id": "hf0000012000c0", "venue_order_id": "OABCDE-FGHIJ-KLMNOP"}
_MARK = Mark(px=Decimal("61800.3"), ts_event_ns=1_723_075_200_100_000_000, ts_recv_ns=1_723_075_200_100_400_000, age_ns=23_000_000)
_FEES = (f.Fee(asset="EUR", qty=Decimal("0.31")), f.Fee(asset="BTC", qty=Decimal("-0.00000001")))
_INSTRUMENT = Instrument(
    symbol="BTC/EUR",
    base="BTC",
    quote="EUR",
    price_increment=Decimal("0.1"),
    size_increment=Decimal("0.00000001"),
    min_qty=Decimal("0.00005"),
    min_cost=Decimal("0.45"),
    marginable=True,
)
_CAPABILITIES = Capabilities(
    venue="kraken",
    native_trail=True,
    amend_in_place=True,
    holds_funds=True,
    reduce_only=True,
    attached_stop=True,
    one_child_per_fill=True,
    post_only=False,
    deadline=False,
    dead_man_switch_cancels_stops=False,
)
_TIMING = f.Timing(
    ack_timeout_ms=15_001,
    entry_ttl_ms=60_001,
    cancel_timeout_ms=5_001,
    protect_timeout_ms=2_001,
    amend_timeout_ms=5_002,
    trigger_timeout_ms=5_003,
    take_profit_timeout_ms=30_001,
    maker_exit_timeout_ms=5_004,
    market_fill_timeout_ms=5_005,
    market_deadline_ms=5_006,
    reconcile_timeout_ms=10_001,
    audit_interval_ms=60_002,
    page_interval_ms=60_003,
    max_price_age_ms=5_007,
)
_PLAN = f.Plan(
    symbol="BTC/EUR",
    side=PositionSide.SHORT,
    qty=Decimal("0.0125"),
    margin=True,
    entry_type="limit",
    entry_price=Decimal("61900.0"),
    attach_stop=True,
    trail_offset_bps=80,
    stop_price=Decimal("62500.5"),
    tighten=(f.TightenStep(profit_bps=100, trail_offset_bps=40), f.TightenStep(profit_bps=200, trail_offset_bps=20)),
    take_profit_price=Decimal("60000"),
    take_profit_style="maker",
    take_profit_arm_bps=7,
    panic_pnl_bps=-150,
    time_stop_secs=3_600,
    strategy="ignition",
    timing=_TIMING,
)
_OPENING = {**_TIMES, "position_id": "hf000001", "plan": _PLAN, "instrument": _INSTRUMENT, "capabilities": _CAPABILITIES, "epoch": 2}

_SUBMIT = c.SubmitOrder(
    client_order_id="hf0000012000c1",
    symbol="BTC/EUR",
    role="take_profit",
    side=Side.SELL,
    order_type="limit",
    qty=Decimal("0.0125"),
    limit_price=Decimal("61900.0"),
    trigger_price=Decimal("61000.5"),
    trail_offset_bps=80,
    post_only=True,
    reduce_only=True,
    margin=True,
    immediate_or_cancel=True,
    deadline_ns=1_723_075_205_000_000_000,
    attached=c.AttachedStop(trigger_price=Decimal("61000.5"), trail_offset_bps=80),
)
_NAMED = {"client_order_id": "hf0000012000c0", "venue_order_id": "OABCDE-FGHIJ-KLMNOP", "symbol": "BTC/EUR"}

COMMANDS: tuple[c.AnyCommand, ...] = (
    _SUBMIT,
    c.AmendOrder(
        **_NAMED,
        order_qty=Decimal("0.02"),
        limit_price=Decimal("61900.1"),
        trigger_price=Decimal("61000.6"),
        trail_offset_bps=40,
        deadline_ns=1723075201373456789,
    ),
    c.CancelOrder(**_NAMED),
    c.QueryOrder(**_NAMED),
    c.RefreshTruth(symbol="BTC/EUR"),
    c.RaiseAlert(code="EXIT_TIME_STOP_MISCONFIGURED", text="a time stop of 0 s is taken as 60 s"),
    c.Page(code="PROTECTION_FAILED", text="0.0125 BTC without a stop for 3 s"),
)

FACTS: tuple[f.AnyFact, ...] = (
    f.PositionRequested(**_OPENING, owned=f.Owned(qty=Decimal("5.25"), ts_event_ns=1723075200123456789)),  # type: ignore[arg-type]
    f.PositionAdopted(  # type: ignore[arg-type]
        **_OPENING, px=Decimal("61750.0"), evidence="trades TABCDE, TFGHIJ", mark=_MARK, reverses=True, of="hf000000"
    ),
    f.ExitRequested(**_TIMES, reason="operator", patient=True, mark=_MARK),
    f.PlanTightened(**_TIMES, trail_offset_bps=40, stop_price=Decimal("61200.0"), by_trail=True),
    f.HaltRequested(**_TIMES, reason="looking at it by hand"),
    f.OrderSubmitted(**_ORDER),  # type: ignore[arg-type]
    f.OrderNotSent(**_ORDER, operation="amend"),  # type: ignore[arg-type]
    f.OrderAccepted(
        **_ORDER,  # type: ignore[arg-type]
        leaves_qty=Decimal("0.0125"),
        cum_qty=Decimal("0.005"),
        effective_stop=Decimal("61305.8"),
    ),
    f.OrderRejected(**_ORDER, reject_class="funds", text="EOrder:Insufficient funds"),  # type: ignore[arg-type]
    f.OrderFilled(
        **_ORDER,  # type: ignore[arg-type]
        trade_id="TABCDE-FGHIJ-KLMNOP",
        side=Side.SELL,
        last_qty=Decimal("0.0125"),
        last_px=Decimal("61800.3"),
        cum_qty=Decimal("0.0125"),
        fees=_FEES,
        liquidity_side="maker",
        behind_gap=True,
        fee_worth=Decimal("0.93"),
        ahead_of_stop=True,
    ),
    f.OrderCompleted(**_ORDER, cum_qty=Decimal("0.0125")),  # type: ignore[arg-type]
    f.OrderTriggered(**_ORDER, px=Decimal("61305.8")),  # type: ignore[arg-type]
    f.OrderAmended(
        **_ORDER,  # type: ignore[arg-type]
        order_qty=Decimal("0.02"),
        limit_price=Decimal("61900.1"),
        trigger_price=Decimal("61000.6"),
        trail_offset_bps=40,
        effective_stop=Decimal("61552.7"),
        by_venue=True,
    ),
    f.AmendRejected(**_ORDER, reject_class="gone", text="EOrder:Unknown order"),  # type: ignore[arg-type]
    f.OrderCanceled(**_ORDER, cum_qty=Decimal("0.005"), reason="User requested", by_hand=True),  # type: ignore[arg-type]
    f.CancelRejected(**_ORDER, reject_class="gone", text="EOrder:Unknown order"),  # type: ignore[arg-type]
    f.OrderExpired(**_ORDER, cum_qty=Decimal("0.005"), reason="Deadline elapsed"),  # type: ignore[arg-type]
    f.ChildDiscovered(
        **_ORDER,  # type: ignore[arg-type]
        parent_venue_order_id="OPAREN-TPAREN-TPAREN",
        qty=Decimal("0.0125"),
        role="exit",
        order_type="trailing-stop",
        trigger_price=Decimal("61305.8"),
        trail_offset_bps=80,
        cum_qty=Decimal("0.0025"),
    ),
    f.OrderNotFound(**_ORDER, asked_ns=1_723_075_200_000_000_000, trades_complete=True, shared=True, repeated=True),  # type: ignore[arg-type]
    f.OutcomeUnknown(**_ORDER, operation="cancel", reason="no answer in 15 s"),  # type: ignore[arg-type]
    f.StopReported(**_ORDER, effective_stop=Decimal("61305.8"), peak=Decimal("61800.3")),  # type: ignore[arg-type]
    f.LevelCrossed(**_TIMES, level="tighten", mark=_MARK, step=1),
    f.MarketModeChanged(**_TIMES, mode="compression", basis="range 31 ticks in 15 min, usually 90", trail_offset_bps=390),
    f.VenueModeChanged(**_TIMES, mode="cancel_only"),
    f.TrailDistanceChanged(**_TIMES, trail_offset_bps=62, basis="ATR 15m 41 bps, horizon 300 s"),
    f.DeadlinePassed(**_TIMES, which="watch", at_ns=1_723_075_200_120_000_000, mark=_MARK, shared=True),
    f.ChannelClosed(**_TIMES, reason="no pong in 5 s", epoch=3),
    f.ChannelLive(**_TIMES),
    f.SnapshotAgreed(**_TIMES, asked_ns=1_723_075_200_000_000_000, mark=_MARK, shared=True, lacking=True),
    f.SnapshotDiffered(**_TIMES, asked_ns=1_723_075_200_000_000_000, differences=2, mark=_MARK, shared=True, lacking=True),
    f.TruthStale(**_TIMES, age_ns=12_000_000_000),
    f.BalanceShort(**_TIMES, asset="BTC", needed=Decimal("0.0125"), available=Decimal("0.0124")),
    f.ManualOrderSeen(**_TIMES, venue_order_id="OMANUA-LMANUA-LMANUA", side=Side.BUY, qty=Decimal("0.1")),
    f.ManualFillSeen(
        **_TIMES,
        trade_id="TMANUA-LMANUA-LMANUA",
        side=Side.BUY,
        last_qty=Decimal("0.005"),
        last_px=Decimal("61700.0"),
        fees=_FEES,
        of="hf000000",
    ),
    f.PositionAdjusted(**_TIMES, open_qty=Decimal("0.0075"), reason="venue holds less", evidence="balance 2024-08-08", unheard=True),
    f.ProtectionRequested(**_TIMES, reason="the owner wants it back"),
)

EVENTS: tuple[PositionEvent, ...] = (
    PositionEvent(
        position_id="hf000001",
        version=7,
        fact=FACTS[9],
        to="Protected",
        commands=COMMANDS,
        order_to="filled",
        row="EntryPending/OrderFilled/last_fill",
        guards=("last_fill", "spot"),
        exit_reason="take_profit",
    ),
)

# Newer than the sample of an event, which holds those above.
NEWER: tuple[c.AnyCommand, ...] = (
    c.NoteCoverage(client_order_id="hf0000012000c0", means="cancel_create", rate_points=9, bare_qty=Decimal("0.5")),
)

SAMPLES: tuple[PositionEvent | f.AnyFact | c.AnyCommand, ...] = EVENTS + FACTS + COMMANDS + NEWER


def tag_of(sample: PositionEvent | f.AnyFact | c.AnyCommand) -> str:
    """Return the tag under which a sample is stored."""
    return str(sample.__struct_config__.tag)


def write_missing() -> None:
    """Write the golden files that do not exist yet."""
    GOLDEN.mkdir(exist_ok=True)
    for sample in SAMPLES:
        path = GOLDEN / f"{tag_of(sample)}.json"
        if not path.exists():
            path.write_bytes(bytes_from(sample) + b"\n")


if __name__ == "__main__":
    write_missing()
