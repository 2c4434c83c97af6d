"""What the demo's record says, taken from the store alone, and compared with the venue's own books."""

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from events.facts import OrderFilled
from events.store import open_store
from holdfast.times import time_text
from projections.books import Books
from projections.catchup import CatchUp
from projections.positions import PositionRow
from projections.windows import Level
from replay.replay import Verdict, replay

from .show import Shown


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
    unprotected_by_cause: dict[str, dict[str, float]]
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
    stories = []
    for row in map(rebuilt.position_row, sorted(shown.acts)):
        title, path = shown.acts[row.position_id].title, _path_of(row)
        stories.append(Story(row, title, path, _sentence(row, title, path)))
    levels = {level.cause: _milliseconds(level) for level in rebuilt.unprotected_levels()}
    return Report(
        stories=stories,
        exit_paths=dict(sorted(Counter(story.path for story in stories).items())),
        events=len(shown.events),
        commands=sum(len(event.commands) for event in shown.events),
        unprotected_ms=levels.pop("all", {"p50": 0.0, "p99": 0.0, "max": 0.0}),
        unprotected_by_cause=levels,
        violations=shown.violations,
        ledger_balanced=rebuilt.ledger.is_balanced,
        rebuilt_equal=all(live.position_row(key) == rebuilt.position_row(key) for key in shown.acts),
        venue_agrees=_venue_agrees(shown),
        verdict=replay(shown.session_path, key=session_key),
    )


def _milliseconds(level: Level) -> dict[str, float]:
    return {"p50": level.p50_ns / 1e6, "p99": level.p99_ns / 1e6, "max": level.max_ns / 1e6}


def _path_of(row: PositionRow) -> str:
    if row.state == "Abandoned":
        return "abandoned"
    return row.exit_path if row.state == "Closed" else f"open ({row.state})"


def _sentence(row: PositionRow, title: str, path: str) -> str:
    if row.state == "Abandoned":
        return f"{row.position_id} {row.side} {row.plan_qty:f} {row.symbol}, {title}: asked for, never filled, cancelled; nothing is left."
    way = path.replace("_", " ")
    money = f"{row.realized_pnl:+.2f} {row.quote} net of fees"
    longest = f"longest without live protection {time_text(row.unprotected_max_ns)}"
    return (
        f"{row.position_id} {row.side} {row.plan_qty:f} {row.symbol}, {title}: "
        f"in at {_px(row.avg_entry_px)}, out at {_px(row.avg_exit_px)} "
        f"by {way}, {money}; {longest}."
    )


def _px(px: Decimal | None) -> str:
    return "?" if px is None else f"{px:.2f}"


def _venue_agrees(shown: Shown) -> bool:
    """Whether the venue's books and ours hold the same executions, and the venue holds nothing of ours any more."""
    ours = {
        event.fact.trade_id: (event.fact.client_order_id, event.fact.side.value, event.fact.last_qty, event.fact.last_px)
        for event in shown.events
        if isinstance(event.fact, OrderFilled)
    }
    theirs = {fill["exec_id"]: (fill["cl_ord_id"], fill["side"], fill["qty"], fill["price"]) for fill in shown.venue_books["fills"]}
    if ours.keys() != theirs.keys() or shown.venue_books["open_orders"]:
        return False
    # Attached stops have no client id at the venue, ours was derived here.
    return all(ours[key][1:] == theirs[key][1:] and theirs[key][0] in ("", ours[key][0]) for key in ours)
