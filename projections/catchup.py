"""Follows a store and keeps books, and a file of view rows beside them that others may read.

The books are in memory and are folded anew from the first event at each start: that costs some tens of microseconds per
event, and a state that is never stored can never disagree with the code. What is persisted are the *rows*: those of every position that
a batch touched, and the tracking position, in one transaction. A reader of the file sees rows and position that belong
together; a crash leaves neither ahead of the other; a batch that is read twice writes the same rows.

Rows of a log that is another one (`source`), is behind the file, or was written with other columns are made anew.
Money is text in the file, so that no sum is ever done there.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, Protocol, get_args

import msgspec

from events.errors import StoreProblem
from events.record import PositionEvent

from .books import VIEWS, Books, View
from .equity import EquityPoint

BATCH = 500
PERSISTED = ("positions", "orders", "fills", "ledger", "pnl", "windows", "exits")


class Log(Protocol):
    """What is followed: `events.store.Store` is one."""

    def follow(self, after: int, limit: int, /) -> Sequence[tuple[int, PositionEvent]]:
        """Return up to `limit` events after a notification id, each with its own, in order; none at the end."""


class ViewFile:
    """A SQLite file with one table per view, and the notification id up to which they are true."""

    def __init__(self, path: Path, source: str) -> None:
        """Open or make the file. Raises StoreProblem if it cannot be used."""
        self._path, self._source = path, source
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # The rows can be made anew from the log at any time: they need not survive a power loss.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS tracking (notification_id INTEGER, source TEXT, shape TEXT)")
            known = self._connection.execute("SELECT notification_id, source, shape FROM tracking").fetchone()
            if known is None or known[1:] != (source, _shape()):
                self.reset()
            else:
                self.notification_id = int(known[0])
        except (sqlite3.Error, OSError) as problem:
            remedy = "name a file in a folder that can be written, or remove it: it is made anew from the log"
            raise StoreProblem(str(path), str(problem), remedy) from None

    def reset(self) -> None:
        """Drop all rows; the file is true up to notification 0. Raises StoreProblem if it fails; the file is as it was."""
        with self._transaction() as execute:
            for name in (*PERSISTED, "equity"):
                columns = ", ".join(f"{field.name} {_column_type(field.type)}" for field in msgspec.structs.fields(VIEWS[name].row_type))
                execute(f"DROP TABLE IF EXISTS {name}")
                execute(f"CREATE TABLE {name} ({columns})")
                key = "notification_id" if name == "equity" else "position_id"
                execute(f"CREATE INDEX {name}_{key} ON {name} ({key})")
            execute("DELETE FROM tracking")
            execute("INSERT INTO tracking VALUES (0, ?, ?)", (self._source, _shape()))
        self.notification_id = 0

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as problem:
            raise StoreProblem(str(self._path), str(problem), "free space or fix the permissions; nothing of this batch is in it") from None

    def write(self, books: Books, touched: Iterable[str]) -> None:
        """Write the rows of the touched positions, the new equity points and the books' position, all or nothing.

        Raises StoreProblem if it fails; the file is as it was.
        """
        points = books.equity.points
        with self._transaction() as execute:
            for position_id in touched:
                for name in PERSISTED:
                    self._replace(VIEWS[name], books, position_id)
            self._insert("equity", points[bisect_right(points, self.notification_id, key=_notification_id) :])
            execute("UPDATE tracking SET notification_id = ?", (books.notification_id,))
        self.notification_id = books.notification_id

    def _replace(self, view: View, books: Books, position_id: str) -> None:
        assert view.of is not None
        self._connection.execute(f"DELETE FROM {view.name} WHERE position_id = ?", (position_id,))
        self._insert(view.name, list(view.of(books, position_id)))

    def _insert(self, name: str, rows: Sequence[msgspec.Struct]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0].__struct_fields__))
            cells = [tuple(map(_cell, msgspec.structs.astuple(row))) for row in rows]
            self._connection.executemany(f"INSERT INTO {name} VALUES ({marks})", cells)

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        """Return all rows of a view, as stored."""
        with closing(self._connection.execute(f"SELECT * FROM {name} ORDER BY rowid")) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class CatchUp:
    """Keeps `books` up to the end of a log, and a view file with them where one is given. One thread."""

    def __init__(self, log: Log, books: Books | None = None, views: ViewFile | None = None) -> None:
        self._log = log
        self.books = books or Books()
        self._views = views

    def step(self, limit: int = BATCH) -> int:
        """Take the next events, at most `limit`, write their rows; return how many there were."""
        batch = self._log.follow(self.books.notification_id, limit)
        written = self._views.notification_id if self._views is not None else 0
        touched: dict[str, None] = {}
        for notification_id, event in batch:
            changed = self.books.apply(notification_id, event)
            if notification_id > written:
                touched.update(dict.fromkeys(changed))
        if self._views is not None:
            if batch and self.books.notification_id > written:
                self._views.write(self.books, touched)
            elif not batch and self.books.notification_id < written:
                # The log was put back to an earlier state; what the file says of the rest never happened.
                self._views.reset()
                self._views.write(self.books, self.books.positions)
        return len(batch)

    def run(self, limit: int = BATCH) -> int:
        """Take events until the log has no more; return how many there were."""
        count = 0
        while taken := self.step(limit):
            count += taken
        return count


def _notification_id(point: EquityPoint) -> int:
    return point.notification_id


def _cell(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value


def _column_type(annotation: Any) -> str:
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return "INTEGER" if int in kinds or bool in kinds else "TEXT"


def _shape() -> str:
    """Return the columns of every table: another version's file is made anew instead of being half understood."""
    return "; ".join(f"{name}({', '.join(VIEWS[name].row_type.__struct_fields__)})" for name in (*PERSISTED, "equity"))
