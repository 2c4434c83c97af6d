"""Which machines are drawn, and which of their states are marked as unprotected."""

from collections.abc import Mapping

from events.errors import NotFound
from fsm import position as p
from fsm.link import LINK
from fsm.order import ORDER
from fsm.position import POSITION
from fsm.trail import TRAIL

from .chart import Chart

# States in which quantity is, or may be, held without a live stop at the venue: there the unprotected clock runs.
_UNPROTECTED = frozenset(
    (
        p.PROTECTION_PENDING,
        p.STOP_TRIGGERED,
        p.EMERGENCY_PROTECTING,
        p.AWAITING_OWNER,
        p.CANCEL_PENDING,
        p.TAKE_PROFIT_WORKING,
        p.MAKER_EXITING,
        p.MARKET_EXITING,
        p.FLATTENING,
    )
)

CHARTS: Mapping[str, Chart] = {
    chart.table.name: chart for chart in (Chart(POSITION, _UNPROTECTED), Chart(ORDER), Chart(TRAIL), Chart(LINK))
}


def chart_of(name: str) -> Chart:
    """Return the chart of a machine. Raises NotFound, naming those that there are."""
    if name not in CHARTS:
        raise NotFound("machine", name, f"choose one of {', '.join(CHARTS)}")
    return CHARTS[name]
