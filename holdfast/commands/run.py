"""`holdfast run`: the live engine."""

import asyncio
from math import inf
from typing import Annotated

from cyclopts import Parameter

from events.errors import BadInput, VenueProblem
from holdfast.commands.options import Output, Settings
from holdfast.config import Config
from holdfast.output import Format, print_object, print_rows


def command(
    *,
    duration: Annotated[float | None, Parameter(help="Real seconds after which it stops by itself; else on SIGTERM or Ctrl-C.")] = None,
    validate: Annotated[bool, Parameter(negative="", help="Ask the venue whether it would take each order; place none.")] = False,
    output: Output = "table",
    settings: Settings = Settings(),
) -> int:
    """Run the engine: open the positions of the settings, protect what is open, record everything.

    Stopping closes nothing: what is open stays protected by its orders at the venue, and the next start takes it over, as
    it does after a crash. A venue that cannot be reached is tried again for as long as the engine runs; if it never
    answered, the exit code is 5. A plan that is refused for good is told once, the others go on, and the exit code at the end is
    3. With venue.kind "simulated" the venue runs inside this process and needs no key.

    With --validate nothing is opened: each order of each plan (entry, stop, exit) is checked by the venue and shown with its
    verdict; if one is refused the exit code is 3, else if one could not be checked it is 5.
    """
    from holdfast.live import run_live
    from holdfast.quiet import live_logs

    if duration is not None and not 0 < duration < inf:
        raise BadInput("--duration", f"{duration} is no time above 0", "give seconds, or leave it out")
    config = settings.load().config
    live_logs(config.log.format, config.log.level)
    if validate:
        return _validate(config, output)
    ended = asyncio.run(run_live(config, duration_s=duration))
    print_object(
        {
            "restored": ended.restored,
            "open_positions": list(ended.open_positions),
            "refused": list(ended.refused),
            "counters": ended.counters,
            "session": str(ended.session),
            "store": config.store_url,
        },
        output,
    )
    if ended.unreached:
        raise VenueProblem(config.venue.kind, f"it never said what the account holds ({ended.unreached})", "check the network and [venue]")
    if ended.refused:
        problem = f"{len(ended.refused)} plans were refused for good; the first: {ended.refused[0]}"
        raise BadInput("positions", problem, "change the plans as the reasons in the log say")
    return 0


def _validate(config: Config, output: Format) -> int:
    from holdfast.dry import check_plans

    rows = asyncio.run(check_plans(config))
    print_rows(rows, output)
    refused, unchecked = (sum(row.verdict == verdict for row in rows) for verdict in ("refused", "unchecked"))
    if refused:
        raise BadInput("positions", f"the venue refuses {refused} of {len(rows)} orders", "change the plans as the reasons say")
    if unchecked:
        problem = f"it could not check {unchecked} of {len(rows)} orders, which sell what the entry has yet to buy"
        raise VenueProblem(config.venue.kind, problem, "validate while the account holds it, or begin with what you can lose")
    return 0
