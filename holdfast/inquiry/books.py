"""The projections of a store, folded anew from the first event: of all positions, or of one alone."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from events.record import PositionEvent
from events.store import Store
from holdfast.progress import Progress
from projections.books import Books
from projections.catchup import CatchUp
from projections.export import export

FileFormat = Literal["csv", "jsonl", "parquet"]


def books_from(events: Iterable[PositionEvent]) -> Books:
    """Return the books of events alone. Raises BadInput where an event of a position is missing."""
    books = Books()
    for number, event in enumerate(events, 1):
        books.apply(number, event)
    return books


def books_of(store: Store, position_id: str | None = None) -> Books:
    """Return the books of everything that a store has when it is asked, or of one position alone.

    Raises what reading the store raises, and BadInput where an event of a position is missing.
    """
    if position_id is not None:
        return books_from(store.events_of(position_id))
    total = store.last_notification_id()
    catch_up = CatchUp(store)
    with Progress("reading events") as progress:
        while catch_up.books.notification_id < total and catch_up.step():
            progress(catch_up.books.notification_id, total)
    return catch_up.books


def write_files(books: Books, names: tuple[str, ...], folder: Path, kind: FileFormat, said: Callable[[str], object]) -> None:
    """Write views as files and say which. Raises what `projections.export.export` raises."""
    for path in export(books, names, folder, kind):
        said(f"{path}\n")
