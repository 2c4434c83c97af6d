"""Coverage accounting: each unit of an open position is leased to exactly one of stop, exit, unknown, dust or bare (I1, I2)."""

import msgspec

from .model import Position
from .order import ENDED, LIVE, SUBMITTED, UNKNOWN


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Leases in lots. `held = stopped + exiting + unknown + dust + bare` when nothing is leased twice.

    `stopped`: live stops. `exiting`: exits that work, and stops that fired. `unknown`: sent, no proof either way.
    `dust`: held, but under the venue's smallest order. `bare`: held with nothing behind it. `surplus`: leased beyond
    what is held; above zero a second exit could fire (I2).
    """

    held_lots: int
    stopped_lots: int
    exiting_lots: int
    unknown_lots: int
    dust_lots: int
    bare_lots: int
    surplus_lots: int


def coverage(position: Position) -> Coverage:
    """Return the leases of a position."""
    held = position.held_lots
    stopped = exiting = unknown = 0
    for order in position.orders:
        if not order.is_open or order.role in ("entry", "flatten"):
            continue
        if order.status in (SUBMITTED, UNKNOWN, ENDED):
            unknown += order.leased_lots
        elif order.role == "stop" and order.status == LIVE:
            stopped += order.protects_lots
        else:
            exiting += order.leased_lots
    leased = stopped + exiting + unknown
    rest = max(0, held - leased)
    dust = rest if rest < position.min_lots and (leased or held < position.min_lots) else 0
    return Coverage(
        held_lots=held,
        stopped_lots=stopped,
        exiting_lots=exiting,
        unknown_lots=unknown,
        dust_lots=dust,
        bare_lots=rest - dust,
        surplus_lots=max(0, leased - held),
    )


def protected_lots(position: Position) -> int:
    """Return the held quantity that has live protection at the venue right now, by confirmed evidence."""
    return min(position.held_lots, sum([o.protects_lots for o in position.orders]))


def unprotected_lots(position: Position) -> int:
    """Return the held quantity, dust aside, without live protection: what the unprotected clock counts."""
    if not position.is_tradable:
        return 0
    missing = position.held_lots - protected_lots(position)
    # A remainder under the venue's smallest order cannot carry a stop of its own; beside a live stop it is dust.
    return 0 if missing < position.min_lots and missing < position.held_lots else missing


