"""`holdfast show`: one position in full."""

import sys

from holdfast.inquiry.find import event_named, position_named
from holdfast.inquiry.status import status_of
from holdfast.inquiry.status_text import status_text
from holdfast.output import print_object
from holdfast.times import LAST, moment_from

from .options import AtOption, Output, Settings, StoreOption, TimesOption, open_log


def command(
    position: str,
    /,
    *,
    store: StoreOption = None,
    at: AtOption = None,
    times: TimesOption = "relative",
    output: Output = "table",
    settings: Settings = Settings(),
) -> None:
    """Show one position in full: what the venue confirmed beside what is wanted.

    Quantity, trail and stop, for the position and for each order; the clocks
    that run, and what the table does when each runs out (the first one is the
    next escalation); prices that are armed; time without protection; profit;
    and each exit path that was taken.

    Parameters
    ----------
    position:
        its id, its number, or how the id ends; with :VERSION behind it, as
        it was after that event.
    """
    with open_log(store, settings) as log:
        if ":" in position:
            found = event_named(log, position)
            events = found.events[: found.at + 1]
        else:
            events = position_named(log, position)
    last_ns = max(event.fact.ts_recv_ns for event in events)
    now_ns = moment_from(at or (LAST if ":" in position else None), last_ns)
    status = status_of(events, now_ns, settings.load().config.risk.unprotected_budget_ms)
    if output == "table":
        sys.stdout.write(status_text(status, times))
    else:
        print_object(status, output)
