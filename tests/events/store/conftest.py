"""Stores, events and failing disks for the tests of the store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from events.errors import StoreProblem
from events.store import Store, open_store
from tests.pg import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a SQLite store that does not exist yet."""
    return tmp_path / "events.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A new SQLite store whose lease is held."""
    with open_store(str(path)) as store:
        store.acquire_lease()
        yield store


class Reports:
    """What a writer reported, in order."""

    def __init__(self) -> None:
        self.failures: list[StoreProblem] = []
        self.pages: list[tuple[str, str]] = []
        self.durable: list[str] = []

    def on_failure(self, problem: StoreProblem) -> None:
        self.failures.append(problem)

    def on_page(self, code: str, text: str) -> None:
        self.pages.append((code, text))

    def on_durable(self, name: str) -> Callable[[], None]:
        return lambda: self.durable.append(name)

    @property
    def page_codes(self) -> list[str]:
        return [code for code, _ in self.pages]


@pytest.fixture
def reports() -> Reports:
    return Reports()
