"""What the demo's record says, taken from the store alone, and compared with the venue's own books."""

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from events.facts import OrderFilled
from events.record import PositionEvent
from events.store import open_store
from events.values import Side
from fsm.order import END_STATUSES
from projections.books import VIEWS, Books
from projections.catchup import CatchUp
from projections.positions import PositionRow
from replay.replay import Verdict, replay

from .show import Shown

# The venue rounds each cost and fee to this; over some hundred fills the sums may differ by as many of them.
VENUE_ROUNDING = Decimal("0.00001")


class Story(NamedTuple):
    """One position for people: its row, what it was to show, how it left, and the sentence."""

    row: PositionRow
    title: str
    path: str
    sentence: str


class Report(NamedTuple):
    """Everything that the demo prints."""

    stories: list[Story]
    exit_paths: dict[str, int]
    events: int
    commands: int
    unprotected_ms: dict[str, float]
    violations: list[str]
    ledger_balanced: bool
    rebuilt_equal: bool
    venue_agrees: bool
    verdict: Verdict


def report_on(shown: Shown, *, session_key: bytes | None = None) -> Report:
    """Read the store and the session that the show left, rebuild the books, and replay."""
    live = Books()
    for number, event in enumerate(shown.events, 1):
        live.apply(number, event)
    with open_store(shown.store_url, create=False) as store:
        catch_up = CatchUp(store)
        catch_up.run()
    rebuilt = catch_up.books
    paths = {row.position_id: _path_of(rebuilt, row) for row in map(rebuilt.position_row, sorted(shown.acts)) }
    stories = []
    for position_id in sorted(shown.acts):
        row = rebuilt.position_row(position_id)
        title = shown.acts[position_id].title
        stories.append(Story(row, title, paths[position_id], _sentence(row, title, paths[position_id])))
    whole = next((level for level in rebuilt.unprotected_levels() if level.cause == "all"), None)
    return Report(
        stories=stories,
        exit_paths=dict(sorted(Counter(paths.values()).items())),
        events=len(shown.events),
        commands=sum(len(event.commands) for event in shown.events),
        unprotected_ms={
            "p50": 0.0 if whole is None else whole.p50_ns / 1e6,
            "p99": 0.0 if whole is None else whole.p99_ns / 1e6,
            "max": 0.0 if whole is None else whole.max_ns / 1e6,
        },
        violations=shown.violations,
        ledger_balanced=rebuilt.ledger.is_balanced,
        rebuilt_equal=all(live.position_row(key) == rebuilt.position_row(key) for key in shown.acts),
        venue_agrees=_venue_agrees(shown),
        verdict=replay(shown.session_path, key=session_key),
    )


def _path_of(books: Books, row: PositionRow) -> str:
    """Return how a position was left, by the order that executed last and by what was decided."""
    if row.state == "Abandoned":
        return "abandoned"
    if row.state != "Closed":
        return f"open ({row.state})"
    orders = [o for o in VIEWS["orders"].of(books, row.position_id) if o.role not in ("entry", "flatten") and o.filled_qty > 0]
    if not orders:
        return row.exit_path or "manual"
    last = max(orders, key=lambda o: (o.ended_ns, o.client_order_id))
    if last.role == "stop":
        return "trailing_stop" if last.order_type == "trailing-stop" else "stop_loss"
    if last.role == "take_profit":
        return "take_profit_maker" if row.exit_reason == "take_profit" else "patient_exit"
    rested = any(o.role == "take_profit" for o in VIEWS["orders"].of(books, row.position_id))
    if row.exit_reason == "take_profit" and rested:
        return "take_profit_timeout"
    return row.exit_reason or row.exit_path


def _sentence(row: PositionRow, title: str, path: str) -> str:
    if row.state == "Abandoned":
        return f"{row.position_id} {row.side} {row.plan_qty:f} {row.symbol}, {title}: asked for, never filled, cancelled; nothing is left."
    way = path.replace("_", " ")
    money = f"{row.realized_pnl:+.2f} {row.quote} net of fees"
    longest = f"longest without live protection {row.unprotected_max_ns / 1e6:.0f} ms"
    return (
        f"{row.position_id} {row.side} {row.plan_qty:f} {row.symbol}, {title}: in at {_px(row.avg_entry_px)}, out at {_px(row.avg_exit_px)} "
        f"by {way}, {money}; {longest}."
    )


def _px(px: Decimal | None) -> str:
    return "?" if px is None else f"{px:.2f}"


def _venue_agrees(shown: Shown) -> bool:
    """Whether our executions explain the change of the venue's balances, to the venue's rounding."""
    if any(event.order_to and event.order_to not in END_STATUSES for event in _last_events(shown.events)):
        return False
    instrument = next(iter(shown.acts.values())).plan.symbol
    base, quote = instrument.split("/")
    sums = {base: Decimal(0), quote: Decimal(0)}
    fills = 0
    seen: set[str] = set()
    margin = {event.position_id: event.fact.plan.margin for event in shown.events if event.version == 1 and hasattr(event.fact, "plan")}
    for event in shown.events:
        fact = event.fact
        if not isinstance(fact, OrderFilled) or fact.trade_id in seen or fact.last_px is None:
            continue
        seen.add(fact.trade_id)
        fills += 1
        sign = 1 if fact.side is Side.BUY else -1
        if not margin[event.position_id]:
            sums[base] += sign * fact.last_qty
        sums[quote] -= sign * fact.last_qty * fact.last_px
        for fee in fact.fees:
            sums[fee.asset] = sums.get(fee.asset, Decimal(0)) - fee.qty
    balances = shown.venue_books["balances"]
    rounding = VENUE_ROUNDING * max(1, 3 * fills)
    return all(
        abs(Decimal(balances.get(asset, 0)) - shown.start_balances.get(asset, Decimal(0)) - change) <= rounding for asset, change in sums.items()
    )


def _last_events(events: list[PositionEvent]) -> list[PositionEvent]:
    last: dict[str, PositionEvent] = {}
    for event in events:
        last[event.position_id] = event
    return [last[key] for key in sorted(last)]
