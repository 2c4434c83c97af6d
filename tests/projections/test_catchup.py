import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from booked import INSTRUMENT
from played import PLAN, Played

from events.errors import StoreProblem
from events.record import PositionEvent
from events.store import Store, open_store
from projections.books import VIEWS, Books
from projections.catchup import PERSISTED, CatchUp, ViewFile

D = Decimal


class Kept:
    """A log in memory, to put back and to compare with."""

    def __init__(self, events: Sequence[tuple[int, PositionEvent]]) -> None:
        self.events = list(events)

    def follow(self, after: int, limit: int, /) -> list[tuple[int, PositionEvent]]:
        return [pair for pair in self.events if pair[0] > after][:limit]


@pytest.fixture
def played() -> Played:
    played = Played()
    played.protected(fees={"USD": "0.26"})
    played.request(msgspec.structs.replace(PLAN, qty=INSTRUMENT.qty(5000)), "hf000002")
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.at(170).fill(played.order("exit"), "0.4", "101")
    played.at(180).fill(played.order("entry", "hf000002"), "0.5", "102")
    played.at(190).fill(played.order("exit"), "0.6", "101.5")
    return played


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "events.db")) as store:
        store.acquire_lease()
        yield store


def stored(views: ViewFile) -> dict[str, list[tuple[str, ...]]]:
    """Return every persisted table as sorted text."""
    return {
        name: sorted(tuple("" if cell is None else str(cell) for cell in row) for row in views.rows(name))
        for name in (*PERSISTED, "equity")
    }


def expected(books: Books) -> dict[str, list[tuple[str, ...]]]:
    """Return the same of books."""
    return {
        name: sorted(tuple(map(_text, msgspec.structs.astuple(row))) for row in VIEWS[name].all(books)) for name in (*PERSISTED, "equity")
    }


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def test_following_a_store_gives_the_books_of_its_log(store: Store, played: Played) -> None:
    store.append([event for _, event in played.events[:5]])
    catch_up = CatchUp(store)
    assert catch_up.run() == 5
    store.append([event for _, event in played.events[5:]])
    assert catch_up.run(limit=2) == len(played.events) - 5
    rebuilt = CatchUp(store)
    rebuilt.run()
    assert expected(rebuilt.books) == expected(catch_up.books)
    assert catch_up.books.ledger.is_balanced


@pytest.mark.parametrize("limit", [1, 3, 500])
def test_rows_and_position_in_the_file_are_those_of_the_books(tmp_path: Path, played: Played, limit: int) -> None:
    views = ViewFile(tmp_path / "views.db", "log")
    catch_up = CatchUp(Kept(played.events), views=views)
    while catch_up.step(limit):
        assert stored(views) == expected(catch_up.books)
        assert views.notification_id == catch_up.books.notification_id
    views.close()


def test_a_restart_goes_on_where_the_file_is(tmp_path: Path, played: Played) -> None:
    views = ViewFile(tmp_path / "views.db", "log")
    CatchUp(Kept(played.events[:6]), views=views).run(2)
    views.close()
    views = ViewFile(tmp_path / "views.db", "log")
    assert views.notification_id == 6
    catch_up = CatchUp(Kept(played.events), views=views)
    catch_up.run(4)
    assert stored(views) == expected(catch_up.books)
    assert views.notification_id == len(played.events)
    views.close()


def test_a_write_that_fails_leaves_rows_and_position_as_they_were(tmp_path: Path, played: Played) -> None:
    views = ViewFile(tmp_path / "views.db", "log")
    catch_up = CatchUp(Kept(played.events), views=views)
    catch_up.step(6)
    before = stored(views)
    other = sqlite3.connect(tmp_path / "views.db")
    other.execute("ALTER TABLE exits RENAME TO gone")
    other.commit()
    with pytest.raises(StoreProblem, match=r"views\.db: no such table: exits; free space"):
        catch_up.step(500)
    other.execute("ALTER TABLE gone RENAME TO exits")
    other.commit()
    other.close()
    assert stored(views) == before
    views.close()
    views = ViewFile(tmp_path / "views.db", "log")
    assert views.notification_id == 6
    again = CatchUp(Kept(played.events), views=views)
    again.run()
    assert stored(views) == expected(again.books)
    views.close()


def test_a_log_that_was_put_back_takes_the_rows_of_what_never_happened_along(tmp_path: Path, played: Played) -> None:
    views = ViewFile(tmp_path / "views.db", "log")
    CatchUp(Kept(played.events), views=views).run()
    shorter = CatchUp(Kept(played.events[:4]), views=views)
    shorter.run()
    assert stored(views) == expected(shorter.books)
    assert views.notification_id == 4
    views.close()


def test_the_rows_of_another_log_are_made_anew(tmp_path: Path, played: Played) -> None:
    views = ViewFile(tmp_path / "views.db", "log")
    CatchUp(Kept(played.events), views=views).run()
    views.close()
    views = ViewFile(tmp_path / "views.db", "another log")
    assert views.notification_id == 0
    assert views.rows("fills") == []
    views.close()


def test_a_file_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match="unable to open database file; name a file in a folder that can be written"):
        ViewFile(tmp_path / "missing" / "views.db", "log")
    (tmp_path / "text.db").write_text("this is not a database, but long enough to be looked at" * 20)
    with pytest.raises(StoreProblem, match="file is not a database"):
        ViewFile(tmp_path / "text.db", "log")


def test_money_is_text_in_the_file(tmp_path: Path, played: Played) -> None:
    views = ViewFile(tmp_path / "views.db", "log")
    CatchUp(Kept(played.events), views=views).run()
    types = {kind for (kind,) in sqlite3.connect(tmp_path / "views.db").execute("SELECT DISTINCT typeof(amount) FROM ledger")}
    assert types == {"text"}
    views.close()
