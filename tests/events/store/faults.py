"""Disks that fail where real ones do."""

import errno
import sqlite3
import threading
from pathlib import Path

from events.store import Disk
from events.store.disk import Commits


class FailingDisk(Disk):
    """Fails at the `nth` call of one kind, counted from 1 and from `arm` on, and at every later one.

    `how` is "before" (nothing was done), "after" (it was done and the answer was lost) or, for a write, "half".
    """

    def __init__(self, call: str, nth: int = 1, how: str = "before") -> None:
        self.call, self.nth, self.how = call, nth, how
        self.is_armed = False
        self.count = 0

    def arm(self) -> None:
        self.is_armed = True

    def _is_due(self, call: str) -> bool:
        if not self.is_armed or call != self.call:
            return False
        self.count += 1
        return self.count >= self.nth

    def write(self, fd: int, data: bytes) -> None:
        if self._is_due("write"):
            if self.how == "half":
                super().write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self._is_due("sync"):
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)

    def commit(self, connection: Commits) -> None:
        if self._is_due("commit"):
            if self.how == "after":
                super().commit(connection)
            raise sqlite3.OperationalError("disk I/O error")
        super().commit(connection)


class StuckDisk(Disk):
    """A disk whose commits do not return until `release`, from `arm` on. `is_stuck` is set while one waits."""

    def __init__(self) -> None:
        self.is_armed = False
        self.is_stuck = threading.Event()
        self._released = threading.Event()

    def arm(self) -> None:
        self.is_armed = True

    def release(self) -> None:
        self._released.set()

    def commit(self, connection: Commits) -> None:
        if self.is_armed:
            self.is_stuck.set()
            assert self._released.wait(30)
        super().commit(connection)


def spooled_lines(path: Path) -> list[bytes]:
    """Return the lines of a spool after its header."""
    return path.read_bytes().splitlines()[1:]
