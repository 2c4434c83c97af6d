"""The times without protection as text for people, held against the budget: window by window, and cause by cause."""

from collections.abc import Callable, Iterable

import msgspec

from holdfast.output import table
from holdfast.times import time_text
from projections.books import Books
from projections.windows import Level, Window, levels, over_budget

from .digits import even_columns
from .exposure import budgets_ms, counted_ns

_MS = 1_000_000


class CauseLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The service level of one cause ("all": whole windows): how many, nearest-rank percentiles, and how many past the budget."""

    cause: str
    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int
    over: int


def is_over(books: Books, window: Window, budget_ms: int, now_ns: int) -> bool:
    """Whether a window is longer than the budget, without the time that its position's plan leaves uncovered by choice."""
    return counted_ns(window, books.positions[window.position_id].plan.timing, now_ns) > budget_ms * _MS


def cause_levels(books: Books, windows: list[Window], budget_ms: int, now_ns: int) -> list[CauseLevel]:
    """Return the level of whole windows, then that of each cause that occurred; none without windows."""
    over: dict[str, int] = {}
    for window in windows:
        timing = books.positions[window.position_id].plan.timing
        over["all"] = over.get("all", 0) + is_over(books, window, budget_ms, now_ns)
        for _, segment in over_budget((window,), budgets_ms(timing, budget_ms), now_ns):
            over[segment.cause] = over.get(segment.cause, 0) + 1
    return [_with_over(level, over.get(level.cause, 0)) for level in levels(windows, now_ns)]


def _with_over(level: Level, over: int) -> CauseLevel:
    return CauseLevel(cause=level.cause, count=level.count, p50_ns=level.p50_ns, p99_ns=level.p99_ns, max_ns=level.max_ns, over=over)


def windows_table(
    books: Books, windows: Iterable[Window], budget_ms: int, now_ns: int, since: Callable[[int], str], *, of_one: bool = False
) -> str:
    """Return the windows as a table, one line for each cause that followed another.

    Args:
        since: how a moment is written.
        of_one: leave out the position: all are of the same one.
    """
    rows = [row for window in windows for row in _rows(books, window, budget_ms, now_ns, since)]
    shown = [name for name in rows[0] if not (of_one and name == "position")]
    return table(even_columns(rows, "qty"), shown, right=("window", "qty", "lasted"))


def _rows(books: Books, window: Window, budget_ms: int, now_ns: int, since: Callable[[int], str]) -> list[dict[str, object]]:
    causes = []
    for segment in window.segments:
        length_ns = max(0, (now_ns if segment.to_ns is None else segment.to_ns) - segment.from_ns)
        causes.append(f"{segment.cause} {time_text(length_ns)}" if len(window.segments) > 1 else segment.cause)
    row: dict[str, object] = {
        "position": window.position_id,
        "window": window.number,
        "since": since(window.opened_ns),
        "qty": window.qty,
        "lasted": time_text(window.duration_ns(now_ns)),
        "budget": "OVER" if is_over(books, window, budget_ms, now_ns) else "",
        "ended by": window.ended_by or "still runs",
        "causes": causes[0],
    }
    blank: dict[str, object] = dict.fromkeys(row, "")
    return [row, *({**blank, "causes": cause} for cause in causes[1:])]


def levels_text(found: list[CauseLevel], budget_ms: int) -> str:
    """Return the levels as a table, and one sentence that holds them against the budget."""
    rows = [
        {
            "cause": "all windows" if level.cause == "all" else level.cause,
            "count": level.count,
            "p50": time_text(level.p50_ns),
            "p99": time_text(level.p99_ns),
            "max": time_text(level.max_ns),
            "over budget": level.over,
        }
        for level in found
    ]
    kept = next((level for level in found if level.cause == "all"), None)
    share = f"; {kept.count - kept.over} of {kept.count} windows within it" if kept is not None else ""
    return table(rows, right=("p50", "p99", "max")) + f"\nbudget {time_text(budget_ms * _MS)}{share}\n"
