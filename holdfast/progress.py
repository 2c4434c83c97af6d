"""A progress bar on standard error, for work that turns out to take longer than a second, on a terminal only."""

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

AFTER_S = 1.0


class Progress:
    """Call it with how much is done and how much there is; leave the `with` block and the bar is gone."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._wanted = sys.stderr.isatty()
        self._began_s = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` is done; `total` None where it is not known."""
        if not self._wanted:
            return
        if self._bar is None:
            if time.monotonic() - self._began_s < AFTER_S:
                return
            self._bar = _bar()
            self._task = self._bar.add_task(self._label, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import Progress as Bar

    return Bar(console=Console(stderr=True), transient=True)
