"""`holdfast why`: one event, explained."""

import sys

from holdfast.inquiry.find import event_named
from holdfast.inquiry.why import why, why_text
from holdfast.output import print_object

from .options import Output, Settings, StoreOption, open_log


def command(event: str, /, *, store: StoreOption = None, output: Output = "table", settings: Settings = Settings()) -> None:
    """Explain one event: fact, guards, row, commands, and what led to it.

    Read from the record. What a question or a row means comes from today's
    table; where it has changed since, that is said.

    Parameters
    ----------
    event:
        POSITION:VERSION; or a client order id, for the event that made the
        order; or a position alone, for the last change of its state. The end
        of a position's id is enough.
    """
    with open_log(store, settings) as log:
        found = event_named(log, event)
    explained = why(found.events, found.at)
    if output == "table":
        sys.stdout.write(why_text(explained))
    else:
        print_object(explained, output)
