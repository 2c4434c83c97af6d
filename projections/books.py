"""All projections together: one fold of the notification log.

`Books.apply` takes events in the order of their notification ids. An event whose id or version was seen before changes
nothing; a hole in a position's versions is refused, because books over a hole would be wrong and look right.
Books that are rebuilt from the log equal the live ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from events.errors import BadInput, Usage
from events.facts import PositionAdopted, PositionRequested
from events.record import PositionEvent
from fsm.core import evolve
from fsm.model import Position

from . import fills, lots, positions, windows
from .equity import Equity, EquityPoint
from .exits import ExitRow, Exits
from .fills import Fill, FillBook, FillPriced
from .ledger import Ledger, Posting
from .orders import OrderRow, Orders
from .pnl import Pnl, PnlRow
from .windows import Windows


class Books:
    """Every projection of one log. `notification_id` is the last event that was taken, 0 before the first."""

    def __init__(self) -> None:
        self.notification_id = 0
        self.last_ns = 0
        self.positions: dict[str, Position] = {}
        self.fills = FillBook()
        self.ledger = Ledger()
        self.pnl = Pnl()
        self.orders = Orders()
        self.windows = Windows()
        self.exits = Exits()
        self.equity = Equity()
        self._last_ns: dict[str, int] = {}

    def apply(self, notification_id: int, event: PositionEvent) -> tuple[str, ...]:
        """Take one event; return the positions whose rows it may have changed, none if it was seen before.

        Raises:
            BadInput: an event of the position is missing before this one, and nothing is changed; or its numbers are beyond all
                measure, and these books have taken half of it: read the log anew once it is mended.
        """
        position_id = event.position_id
        before = self.positions.get(position_id)
        expected = 1 if before is None else before.version + 1
        if notification_id <= self.notification_id or event.version < expected:
            self.notification_id = max(self.notification_id, notification_id)
            return ()
        if event.version > expected or (before is None and not isinstance(event.fact, PositionRequested | PositionAdopted)):
            raise BadInput(f"position {position_id}", f"event {event.version} follows event {expected - 1}", "restore the missing events")
        try:
            after = evolve(before, event)
            entries = self.fills.apply(notification_id, event)
            for entry in entries:
                self.ledger.apply(entry)
                self.pnl.apply(entry)
            self.orders.apply(event, after, entries)
            self.windows.apply(event, before, after)
            self.exits.apply(event, before, after, entries)
            instrument = after.instrument
            self.equity.apply(notification_id, event, after.capabilities.venue, instrument.symbol, instrument.quote, entries)
        except ArithmeticError:
            place = f"stored event, position {position_id} version {event.version}"
            raise BadInput(place, "its numbers are beyond all measure", "restore the store from a copy") from None
        self.positions[position_id] = after
        self.notification_id = notification_id
        self.last_ns = self._last_ns[position_id] = event.fact.ts_recv_ns
        priced = {entry.fill.position_id for entry in entries if isinstance(entry, FillPriced)}
        return (position_id, *sorted(priced - {position_id}))

    def position_row(self, position_id: str) -> positions.PositionRow:
        """Return the row of a position that the books know."""
        return positions.row_from(
            self.positions[position_id],
            self._last_ns[position_id],
            self.pnl.positions.get(position_id),
            self.exits.way_out(self.positions[position_id]),
            self.windows.of(position_id),
        )

    def lot_rows(self, method: lots.Method) -> Iterator[lots.LotRow]:
        """Return the matches of all disposals under one method."""
        return lots.matches_from(self.fills.entries, method)

    def unprotected_levels(self) -> list[windows.Level]:
        """Return the service level of protection over all positions, up to the last event."""
        return windows.levels(self.windows.all(), self.last_ns)


@dataclass(frozen=True)
class View:
    """One table of rows: their type, and where they come from. `of` gives those of one position, None if it has no such part."""

    name: str
    row_type: type[msgspec.Struct]
    all: Callable[[Books], Iterable[msgspec.Struct]]
    of: Callable[[Books, str], Iterable[msgspec.Struct]] | None = None


def _each(of: Callable[[Books, str], Iterable[msgspec.Struct]]) -> Callable[[Books], Iterable[msgspec.Struct]]:
    return lambda books: (row for position_id in sorted(books.positions) for row in of(books, position_id))


def _view(name: str, row_type: type[msgspec.Struct], of: Callable[[Books, str], Iterable[msgspec.Struct]]) -> View:
    return View(name, row_type, _each(of), of)


def _fills_of(books: Books, position_id: str) -> Iterator[fills.FillRow]:
    pnl = books.pnl.positions.get(position_id)
    return (fills.row_from(fill) for fill in (pnl.fills if pnl else ()))


def _pnl_of(books: Books, position_id: str) -> tuple[PnlRow, ...]:
    row = books.pnl.row(position_id)
    return () if row is None else (row,)


def _lots_under(method: lots.Method) -> Callable[[Books], Iterable[msgspec.Struct]]:
    return lambda books: books.lot_rows(method)


VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        _view("positions", positions.PositionRow, lambda books, position_id: (books.position_row(position_id),)),
        _view("orders", OrderRow, lambda books, position_id: books.orders.rows(books.positions[position_id])),
        View(
            "fills",
            fills.FillRow,
            lambda books: (fills.row_from(entry) for entry in books.fills.entries if isinstance(entry, Fill)),
            _fills_of,
        ),
        View(
            "ledger",
            Posting,
            lambda books: books.ledger.postings,
            lambda books, position_id: books.ledger.by_position.get(position_id, ()),
        ),
        _view("pnl", PnlRow, _pnl_of),
        _view("windows", windows.WindowRow, lambda books, position_id: windows.rows_from(books.windows.of(position_id))),
        _view("exits", ExitRow, lambda books, position_id: books.exits.rows(position_id)),
        View("equity", EquityPoint, lambda books: books.equity.points),
        *(View(f"lots_{method}", lots.LotRow, _lots_under(method)) for method in lots.METHODS),
        View("unprotected", windows.Level, lambda books: books.unprotected_levels()),
    )
}


def view_named(name: str) -> View:
    """Return a view. Raises Usage with the names that there are."""
    try:
        return VIEWS[name]
    except KeyError:
        raise Usage("view", f"{name!r} is not a view", f"choose one of {', '.join(VIEWS)}") from None
