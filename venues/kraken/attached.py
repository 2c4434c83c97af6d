"""Which entries may still have a stop of the venue's own making that nobody has named yet.

A stop that was attached to an entry has no client id, and past executions name no parent: an execution on the side of a stop may be
of one that came and went while nobody listened. Only an entry that such a stop can still be of is a reason to doubt it: one that may
execute, or has executed more than its stops account for, and not for ever (`UNNAMED_NS`).
"""

from collections.abc import Iterator, Set
from decimal import Decimal

import msgspec

from events.commands import SubmitOrder
from events.values import Side

# An entry that whole lists do not name as open has no more stops to show after this long; as late as REST may be (K9).
UNNAMED_NS = 60_000_000_000


class _Entry(msgspec.Struct):
    """One entry: the quantity of the stops that were told, and since when no whole list names it as open (0: one did, or none came).

    `is_whole`: all of its life was heard, so that its quantities prove something. `doubt_ns`: since when its stops say that it has
    executed more than was told, 0 while they do not.
    """

    sent: SubmitOrder
    is_whole: bool
    stops_qty: Decimal = Decimal(0)
    gone_ns: int = 0
    doubt_ns: int = 0


class Attached:
    """The entries with an attached stop that may have one without a name, by what an execution tells: symbol, and side."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # Of the venue's order nothing is known yet: it may itself be what is nameless.
        self._unclaimed: dict[str, dict[str, None]] = {}
        self._claimed: dict[tuple[str, Side], dict[str, None]] = {}

    def expect(self, sent: SubmitOrder, is_whole: bool) -> None:
        """Note an entry whose order at the venue is not known yet."""
        if sent.client_order_id not in self._entries:
            self._entries[sent.client_order_id] = _Entry(sent, is_whole)
            self._unclaimed.setdefault(sent.symbol, {})[sent.client_order_id] = None

    def claim(self, client_order_id: str) -> None:
        """Note that the venue's order of an entry is known."""
        entry = self._entries.get(client_order_id)
        if entry is not None and self._unclaimed[entry.sent.symbol].pop(client_order_id, "") is None:
            self._claimed.setdefault((entry.sent.symbol, entry.sent.side.opposite), {})[client_order_id] = None

    def forget(self, client_order_id: str) -> None:
        """Note that an entry has no stop to show any more."""
        entry = self._entries.pop(client_order_id, None)
        if entry is not None:
            self._unclaimed[entry.sent.symbol].pop(client_order_id, None)
            self._claimed.get((entry.sent.symbol, entry.sent.side.opposite), {}).pop(client_order_id, None)

    def told(self, client_order_id: str, qty: Decimal) -> None:
        """Note that a stop of an entry has shown itself, made for `qty`."""
        entry = self._entries.get(client_order_id)
        if entry is not None:
            entry.stops_qty += qty

    def is_covered(self, client_order_id: str, executed_qty: Decimal, is_over: bool) -> bool:
        """Tell whether every stop of an entry that has executed so much is known."""
        entry = self._entries.get(client_order_id)
        if entry is None:
            return True
        is_over = is_over or executed_qty >= entry.sent.qty
        return entry.is_whole and is_over and entry.stops_qty >= executed_qty

    def stops(self) -> Iterator[tuple[str, Decimal]]:
        """Yield each entry that was heard whole, and the quantity of its stops: the venue made them of as much that executed."""
        for client_order_id, entry in self._entries.items():
            if entry.is_whole:
                yield client_order_id, entry.stops_qty

    def doubt(self, beyond: Set[str], now_ns: int) -> bool:
        """Tell whether any of these entries, whose stops say that they have executed more than was told, is still to be waited for.

        Not for ever: the owner may have made a stop larger by hand before it was told.
        """
        for client_order_id, entry in self._entries.items():
            entry.doubt_ns = (entry.doubt_ns or now_ns) if client_order_id in beyond else 0
        return any(now_ns - entry.doubt_ns < UNNAMED_NS for entry in self._entries.values() if entry.doubt_ns)

    def unclaimed(self, symbol: str) -> bool:
        """Tell whether an order of a symbol ("": not known) may be an entry."""
        return bool(self._unclaimed.get(symbol)) if symbol else any(self._unclaimed.values())

    def claimed(self, symbol: str, side: Side | None) -> str:
        """Return the oldest entry of which an order of a symbol and side may be a stop, "" for none."""
        return "" if side is None else next(iter(self._claimed.get((symbol, side), ())), "")

    def listed(self, open_client_ids: frozenset[str], now_ns: int) -> None:
        """Take a list that lacks no execution, with the entries that it names as open."""
        for client_order_id, entry in list(self._entries.items()):
            if client_order_id in open_client_ids:
                entry.gone_ns = 0
            elif not entry.gone_ns:
                entry.gone_ns = now_ns
            elif now_ns - entry.gone_ns >= UNNAMED_NS:
                self.forget(client_order_id)
