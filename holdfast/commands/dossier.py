"""`holdfast dossier`: one position's whole story."""

import sys
from typing import Annotated

from cyclopts import Parameter

from holdfast.inquiry.dossier import dossier_of
from holdfast.inquiry.dossier_text import dossier_text
from holdfast.inquiry.find import position_named
from holdfast.output import print_object
from holdfast.times import moment_from

from .options import AtOption, Output, Settings, StoreOption, TimesOption, open_log


def command(
    position: str,
    /,
    *,
    store: StoreOption = None,
    at: AtOption = None,
    times: TimesOption = "relative",
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object; the same as -o json.")] = False,
    output: Output = "table",
    settings: Settings = Settings(),
) -> None:
    """Tell one position's whole story: plan, path, orders, fills, money, gaps, pages.

    First what `show` says. Then the path: every state with its time, the fact
    that led to it, and the event that led to that one; every fill with its
    fees; every window without protection, its causes, and whether it was past
    the budget; every page and alert. Moments count from the request.

    Parameters
    ----------
    position:
        its id, its number, or how the id ends.
    """
    with open_log(store, settings) as log:
        events = position_named(log, position)
    at_ns = moment_from(at, max(event.fact.ts_recv_ns for event in events))
    found, books = dossier_of(events, at_ns, settings.load().config.risk.unprotected_budget_ms)
    if json or output != "table":
        print_object(found, "json" if json else output)
    else:
        sys.stdout.write(dossier_text(found, books, times))
