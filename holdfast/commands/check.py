"""`holdfast check`: whether a position is unprotected past the budget now, for cron."""

import sys
from typing import Annotated

from cyclopts import Parameter

from events.errors import Unprotected
from holdfast.inquiry.exposure import Exposed, Exposure, exposure_at, watched_from
from holdfast.output import Format, print_object
from holdfast.times import iso_text, moment_from, time_text
from holdfast.words import counted

from .options import AtOption, Settings, StoreOption, open_log

_SECOND, _MS = 1_000_000_000, 1_000_000


def command(
    *,
    store: StoreOption = None,
    at: AtOption = None,
    stale_after: Annotated[
        int, Parameter(name="--stale-after", help="Seconds without an event, while positions are open, after which a warning is due.")
    ] = 180,
    output: Annotated[
        Format | None, Parameter(name=("--output", "-o"), help="How the result is written; without it only what is wrong is said.")
    ] = None,
    settings: Settings = Settings(),
) -> int:
    """Say whether a position is unprotected past the budget now. Made for cron.

    Ends with 7 if an open position has had no confirmed stop for longer than
    risk.unprotected_budget_ms, one sentence for each on standard error; else
    with 0, and silent. A resting exit is uncovered by choice: its plan's own
    time comes on top. Needs no engine: it reads the store, and time goes on
    also when the engine does not. A log without news while positions are open
    is a warning on standard error, and changes nothing in the exit code.
    """
    budget_ms = settings.load().config.risk.unprotected_budget_ms
    with open_log(store, settings) as log:
        watched = watched_from(log.all_events())
        name = log.name
    found = exposure_at(watched, moment_from(at, watched.last_ns), budget_ms, stale_after * _SECOND)
    warning = _warning(name, found, stale_after)
    for one in found.over:
        sys.stderr.write(f"holdfast: {_sentence(one, budget_ms)}\n")
    if warning:
        sys.stderr.write(f"holdfast: {warning}\n")
    if output is not None:
        print_object(_object(found, budget_ms, warning), output)
    elif sys.stdout.isatty() and not found.over:
        seen = counted(found.open_positions, "open position")
        sys.stdout.write(f"{seen}, none is unprotected for longer than {time_text(budget_ms * _MS)}\n")
    return Unprotected.exit_code if found.over else 0


def _sentence(one: Exposed, budget_ms: int) -> str:
    what = f"{one.qty} of {one.symbol} in {one.state} since {iso_text(one.since_ns)}, {', '.join(one.causes)}"
    return f"{Unprotected(one.position_id, one.counted_ms, budget_ms)} ({what})"


def _warning(name: str, found: Exposure, stale_after: int) -> str:
    quiet_ns = found.at_ns - found.last_ns
    if not found.open_positions or (quiet_ns <= stale_after * _SECOND and not found.overdue):
        return ""
    clocks = f", and a clock of {', '.join(found.overdue[:3])} is overdue" if found.overdue else ""
    news = f"its last event came {time_text(max(0, quiet_ns))} ago"
    return f"{name}: {counted(found.open_positions, 'open position')}, but {news}{clocks}; see whether the engine runs"


def _object(found: Exposure, budget_ms: int, warning: str) -> dict[str, object]:
    return {
        "at_ns": found.at_ns,
        "budget_ms": budget_ms,
        "open_positions": found.open_positions,
        "over_budget": len(found.over),
        "exposed": found.exposed,
        "overdue": found.overdue,
        "last_ns": found.last_ns,
        "warning": warning,
    }
