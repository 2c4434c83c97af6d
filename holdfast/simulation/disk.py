"""The disk of a simulated process: real files, and a crash that takes what such a crash takes.

Files are written for real, in a folder of the simulation (best in memory); the store is a real SQLite file. What is simulated is
time, trouble, and what is left after an end:

    kill      the operating system keeps every byte that was written; what the process still held is gone
    power     of the session and the spool only what was synced is sure to be there; of the rest a drawn number of bytes is, and the
              last of them may be wrong. The store keeps its commits: SQLite syncs each one.

From its death on, nothing that the process still does has an effect. What a loss of power does to the pages of SQLite itself is
not simulated here.
"""

import contextlib
import errno
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from events.store.disk import Commits, Disk


class SimulatedDisk(Disk):
    """The disk of one life of a process.

    `trouble` holds what the next calls of a kind meet, by `commit`, `write` and `sync`; it is spent as it strikes and counted in
    `struck`. `die_at_commit` lets the process die at the n-th commit from now, before or after it; `on_death` is called then.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._files: dict[int, tuple[Path, int, int]] = {}
        self.is_dead = False
        self.trouble: dict[str, list[str]] = {}
        self.struck: Counter[str] = Counter()
        # A commit is under way that stalls.
        self.is_stalling = False
        self.stall_s: list[float] = []
        self._dies_after: int | None = None
        self._dies_before = False
        self._on_death: Callable[[], None] = _nothing
        self.commits = 0

    def commit_s(self) -> float:
        """Draw how long the next commit takes."""
        if self.stall_s:
            self.struck["commit_stalls"] += 1
            self.is_stalling = True
            return self.stall_s.pop(0)
        return 0.0002 + self._rng.random() * (0.004 if self._rng.random() < 0.9 else 0.05)

    def die_at_commit(self, count: int, before: bool, on_death: Callable[[], None]) -> None:
        """Let the process die at the `count`-th commit from now."""
        self._dies_after, self._dies_before, self._on_death = count, before, on_death

    # --- what production code calls -------------------------------------------------------------------------------------

    def open_to_append(self, path: Path) -> int:
        """Open for real, and remember how much of the file is durable."""
        if self.is_dead:
            raise OSError(errno.EIO, "the process is dead")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        status = os.fstat(fd)
        self._files[fd] = (path, status.st_ino, status.st_size)
        return fd

    def write(self, fd: int, data: bytes) -> None:
        """Write, or fail having written half."""
        if self.is_dead:
            return
        if self._strikes("write_fails"):
            os.write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        """Note what is durable from now on."""
        if self.is_dead:
            return
        if self._strikes("sync_fails"):
            raise OSError(errno.EIO, "Input/output error")
        if fd in self._files:
            path, inode, _ = self._files[fd]
            self._files[fd] = (path, inode, os.fstat(fd).st_size)

    def sync_folder(self, folder: Path) -> None:
        """The names of files are durable at once."""

    def commit(self, connection: Commits) -> None:
        """Commit, fail before or after having committed, or die there."""
        assert isinstance(connection, sqlite3.Connection)
        if self.is_dead:
            connection.rollback()
            return
        self.commits += 1
        self.is_stalling = False
        if self._dies_after is not None:
            self._dies_after -= 1
            if self._dies_after <= 0:
                self._dies_after = None
                if self._dies_before:
                    connection.rollback()
                else:
                    connection.commit()
                self._on_death()
                return
        if self._strikes("commit_fails"):
            connection.rollback()
            raise sqlite3.OperationalError("disk I/O error")
        connection.commit()
        if self._strikes("commit_fails_after"):
            raise sqlite3.OperationalError("disk I/O error")

    def _strikes(self, name: str) -> bool:
        armed = self.trouble.get(name)
        if not armed:
            return False
        armed.pop()
        self.struck[name] += 1
        return True

    def arm(self, name: str) -> None:
        """Let the next call of that kind fail: write_fails, sync_fails, commit_fails, commit_fails_after."""
        self.trouble.setdefault(name, []).append(name)

    def spare(self) -> None:
        """Let the process die at no commit any more: it is stopping, and nobody would hear of its death."""
        self._dies_after = None

    # --- the end ----------------------------------------------------------------------------------------------------------

    def end(self, *, power: bool) -> None:
        """The process dies now; with `power`, the machine does. Its files are closed, and what it had not synced may be gone."""
        self.is_dead = True
        for fd in sorted(self._files):
            _, inode, durable = self._files[fd]
            with contextlib.suppress(OSError):
                if os.fstat(fd).st_ino != inode:
                    continue  # closed long ago, and the number went to another file
                if power:
                    self._lose(fd, durable)
                os.close(fd)
        self._files.clear()

    def _lose(self, fd: int, durable: int) -> None:
        size = os.fstat(fd).st_size
        if size <= durable:
            return
        kept = self._rng.randint(0, size - durable)
        os.ftruncate(fd, durable + kept)
        if kept and self._rng.random() < 0.5:
            # A sector that was under way. By path: this descriptor only appends.
            garbled = self._rng.randint(1, min(kept, 512))
            with open(self._files[fd][0], "r+b") as file:
                file.seek(durable + kept - garbled)
                file.write(self._rng.randbytes(garbled))


def _nothing() -> None:
    pass
