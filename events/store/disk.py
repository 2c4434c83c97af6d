"""What the store asks of the disk, in one place: write, sync, commit, and a reserve for the day on which it is full.

Every call that makes something durable goes through a `Disk`. Production uses this one; a test passes one whose Nth call
fails, so that the code behind a failed write or sync is the code that runs when a disk fails.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Protocol

RESERVE_BYTES = 1 << 20

# SQLite cannot create its side files below this, and says only "unable to open database file" or "disk I/O error".
FULL_BELOW_BYTES = 64 << 10


class Commits(Protocol):
    """A database connection, as far as a commit needs one."""

    def commit(self) -> None: ...


class Disk:
    """The real disk."""

    def open_to_append(self, path: Path) -> int:
        """Open or create a file for appending, readable by its owner only, and return its descriptor. Raises OSError."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.sync_folder(path.parent)
        return fd

    def write(self, fd: int, data: bytes) -> None:
        """Write all of `data`. Raises OSError; an unknown part of it may then be in the file."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """Return when what was written is durable. Raises OSError; it is then never tried again on this file."""
        try:
            os.fsync(fd)
        except OSError as problem:
            if problem.errno != errno.EINVAL:  # a pipe or a device has nothing to sync
                raise

    def sync_folder(self, folder: Path) -> None:
        """Make the names of new and renamed files durable. Raises OSError."""
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.sync(fd)
        finally:
            os.close(fd)

    def commit(self, connection: Commits) -> None:
        """Commit the open transaction of a database connection. Raises what its driver raises."""
        connection.commit()


class Reserve:
    """A file that only takes space. Given back when the disk is full, it lets the store be opened, read and closed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_held(self) -> bool:
        """Tell whether the space is taken."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_size >= RESERVE_BYTES
        return False

    def take(self) -> bool:
        """Take the space if it is not taken yet; return False, with nothing taken, where there is none to take."""
        if self.is_held:
            return True
        try:
            with open(self._path, "wb") as file:
                # Written rather than allocated: not every file system allocates, and a hole reserves nothing.
                file.write(bytes(RESERVE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.give_back()
            return False
        return True

    def give_back(self) -> None:
        """Free the space. Nothing happens if it is not taken."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def is_full(folder: Path) -> bool:
    """Tell whether the file system of `folder` has no room left for a database's side files."""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        # A file system without any size (/proc) is not full, it takes no files at all.
        return usage.total > 0 and usage.free < FULL_BELOW_BYTES
    return False
