"""The writer of a simulated process: the production code, with the loop in the place of its thread.

A commit begins when the loop comes to it and ends after the time that the disk takes for it; what is submitted meanwhile waits
for the next one. A stalled commit is left behind as in production: it may still go through, and nobody is told.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from events.store import Writer, WriterStats
from events.store.writer import _Batch

from .disk import SimulatedDisk
from .loop import VirtualLoop


class LoopWriter(Writer):
    """Use it as `Parts.writer`, by `functools.partial(LoopWriter, disk)`."""

    def __init__(self, disk: SimulatedDisk, *arguments: Any, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._loop, self._disk = loop, disk
        self._owner = self._acting = 0
        self._is_busy = False
        self._is_begun = False
        super().__init__(*arguments, monotonic_ns=lambda: loop.now_ns, **options)
        self._is_begun = True

    # --- what the thread is in production ---------------------------------------------------------------------------------

    def _start(self, run: Callable[[], None], name: str) -> None:
        self._owner += 1
        self._is_busy = False
        if self._is_begun:
            self._is_busy = True
            self._loop.call_soon(self._rescue_with, self._owner, run)

    def _owns_queue(self) -> bool:
        return self._acting == self._owner

    def _run(self) -> None:
        """What a thread would do for ever is done batch by batch."""
        self._is_busy = False
        self._wake()

    def _rescue_with(self, owner: int, run: Callable[[], None]) -> None:
        if not self._disk.is_dead:
            self._acting = owner
            run()

    def _wake(self) -> None:
        if self._is_busy or not self._queue or self._disk.is_dead:
            return
        self._is_busy = True
        self._loop.call_soon(self._begin, self._owner)

    def _begin(self, owner: int) -> None:
        self._acting = owner
        if self._disk.is_dead or not self._owns_queue():
            return
        batch = self._next_batch()
        assert batch is not None
        self._loop.call_later(self._disk.commit_s() if self._failure is None else 0.001, self._end, owner, batch)

    def _end(self, owner: int, batch: _Batch) -> None:
        self._acting = owner
        if self._disk.is_dead or self._state == "closed":
            return
        if self._owns_queue() and self._failure is not None:
            self._rescue(batch)
        elif not self._commit(batch):
            return
        self._finish(batch)
        self._run()

    # --- what the engine calls ----------------------------------------------------------------------------------------------

    def submit(self, events: Any, on_durable: Callable[[], None] | None = None) -> None:
        """As in production; a dead process submits nothing."""
        if not self._disk.is_dead:
            super().submit(events, on_durable)
            self._wake()

    def close(self, timeout_s: float = 10.0) -> WriterStats:
        """Write what is left, at once."""
        self._acting = self._owner
        batch = self._in_flight if self._is_busy else None
        while batch is not None or self._queue:
            batch = batch or self._next_batch()
            assert batch is not None
            if self._failure is not None:
                self._rescue(batch)
            else:
                self._commit(batch)
            batch = None
        stats = self.stats()
        self._state = "closed"
        self._spool.close()
        return stats

    def _owns_last(self) -> bool:
        self._acting = self._owner
        return True
