"""Sessions in an empty directory, plain and keyed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replay.session import SessionWriter
from tests.replay.sessions import KEY, append_all, content


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SessionWriter]]:
    """Return a function that starts a session, and closes it in the end."""
    writers = []

    def started(name: str = "session.jsonl", **options: object) -> SessionWriter:
        writers.append(SessionWriter.create(tmp_path / name, content(), **options))  # type: ignore[arg-type]
        return writers[-1]

    yield started
    for writer in writers:
        writer.close()


@pytest.fixture(params=[None, KEY], ids=["plain", "keyed"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    """Return the session key: every test that asks for it runs without and with one."""
    found: bytes | None = request.param
    return found


@pytest.fixture
def closed(make: Callable[..., SessionWriter], key: bytes | None) -> Path:
    """Return a closed session of three blocks, with its anchors beside it."""
    writer = make(key=key, anchor_every=3)
    append_all(writer)
    writer.close()
    return writer.path
