"""What a position holds in the venue's own quantities, and what its owner traded by hand: what `account.py` and `margin.py` share."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from events import facts as f
from events.values import Side

from .model import Position

SECOND_NS = 1_000_000_000
# How long an unproven difference waits for the next question; doubled each time up to a minute.
ASK_AGAIN_NS, ASK_AGAIN_MAX_NS = 6 * SECOND_NS, 60 * SECOND_NS


class OwnerTrade(NamedTuple):
    """An execution of an order that is not ours."""

    trade_id: str
    symbol: str
    base: str
    side: Side
    qty: Decimal
    px: Decimal | None
    fees: tuple[f.Fee, ...]
    margin: bool
    ts_event_ns: int
    ts_recv_ns: int

    def fees_of(self, qty: Decimal) -> tuple[f.Fee, ...]:
        """Return the fees that fall to `qty` of it."""
        return self.fees if qty == self.qty else tuple(f.Fee(asset=fee.asset, qty=fee.qty * qty / self.qty) for fee in self.fees)

    def manual_fill(self, qty: Decimal, now_ns: int) -> f.ManualFillSeen:
        """Return the fact that `qty` of it closed what a position held."""
        return f.ManualFillSeen(
            ts_event_ns=self.ts_event_ns,
            ts_recv_ns=now_ns,
            trade_id=self.trade_id,
            side=self.side,
            last_qty=qty,
            last_px=self.px,
            fees=self.fees_of(qty),
        )


def qty_of(position: Position) -> Decimal:
    """Return what a position holds."""
    return position.instrument.qty(position.held_lots)


def net_of(positions: Iterable[Position]) -> Decimal:
    """Return what positions add up to: shorts count below zero."""
    return sum((qty_of(p) * p.side.sign for p in positions), Decimal(0))


def newest_first(positions: Iterable[Position]) -> list[Position]:
    """Return positions in the order in which what is missing is taken off them: the older ones have been true for longer."""
    return sorted(positions, key=lambda p: (p.opened_ns, p.position_id), reverse=True)
