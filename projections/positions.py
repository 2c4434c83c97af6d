"""One row per position: what it is, what it holds, what it made, how it ended, and how long it was unprotected."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from fsm.coverage import protected_lots
from fsm.model import Position

from .exact import ZERO, decimal_from_fraction
from .fills import END_STATES, fees_text
from .pnl import PositionPnl
from .windows import Window, any_ns


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One position. Money in `quote`, net of fees; `qty` is signed and net of base fees.

    `exit_path` is how it was left in the end, `exit_reason` what was last decided. `unprotected_ns` is how long any of it was
    unprotected (windows side by side count once), `unprotected_max_ns` the longest window; what still runs counts up to the
    position's last event.
    """

    position_id: str
    venue: str
    symbol: str
    side: str
    margin: bool
    strategy: str
    adopted: bool
    state: str
    version: int
    plan_qty: Decimal
    qty: Decimal
    protected_qty: Decimal
    avg_entry_px: Decimal | None
    avg_exit_px: Decimal | None
    quote: str
    realized_pnl: Decimal
    fees: str
    is_price_pending: bool
    is_uncertain: bool
    exit_reason: str
    exit_path: str
    fills: int
    orders: int
    requested_ns: int
    opened_ns: int
    closed_ns: int
    unprotected_ns: int
    unprotected_max_ns: int


def row_from(position: Position, last_ns: int, pnl: PositionPnl | None, exit_path: str, windows: Iterable[Window]) -> PositionRow:
    """Return the row of a position whose last event was received at `last_ns`."""
    known = list(windows)
    entry_px = None if pnl is None else pnl.avg_entry_px
    exit_px = None if pnl is None else pnl.avg_exit_px
    return PositionRow(
        position_id=position.position_id,
        venue=position.capabilities.venue,
        symbol=position.plan.symbol,
        side=position.side.value,
        margin=position.plan.margin,
        strategy=position.plan.strategy,
        adopted=position.adopted,
        state=position.state,
        version=position.version,
        plan_qty=position.plan.qty,
        qty=ZERO if pnl is None else pnl.qty,
        protected_qty=position.instrument.qty(protected_lots(position)),
        avg_entry_px=None if entry_px is None else decimal_from_fraction(entry_px),
        avg_exit_px=None if exit_px is None else decimal_from_fraction(exit_px),
        quote=position.instrument.quote,
        realized_pnl=ZERO if pnl is None else decimal_from_fraction(pnl.realized_pnl()),
        fees="" if pnl is None else fees_text(fee for fill in pnl.fills for fee in fill.fees),
        is_price_pending=pnl is not None and pnl.is_price_pending,
        is_uncertain=pnl is not None and pnl.is_uncertain,
        exit_reason=position.exit_reason,
        exit_path=exit_path,
        fills=0 if pnl is None else len(pnl.fills),
        orders=len(position.orders),
        requested_ns=position.requested_ns,
        opened_ns=position.opened_ns,
        closed_ns=position.state_ns if position.state in END_STATES else 0,
        unprotected_ns=any_ns(known, last_ns),
        unprotected_max_ns=max((window.duration_ns(last_ns) for window in known), default=0),
    )
