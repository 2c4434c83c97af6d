import io
import sys

import pytest

from holdfast import progress as module
from holdfast.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_short_work_shows_nothing_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("reading") as progress:
        progress(1, 2)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_long_work_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("reading") as progress:
        progress(1, 2)
    assert "reading" in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_elsewhere_it_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress("reading") as progress:
        progress(1, 2)
        progress(2, None)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
