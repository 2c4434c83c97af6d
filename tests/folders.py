"""Folders of campaigns and fuzzing, in memory where there is such. Their names hold the process that owns them.

They go when their owner says so or ends. What an owner that was killed left behind goes when the next one asks for a folder.
"""

import atexit
import contextlib
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

_NAME = re.compile(r"holdfast-(?:[a-z]+)-p([0-9]+)-\w+")


def memory_folder(about: str) -> Path:
    """Return a new folder `holdfast-<about>-p<process>-...`, deleted at the end of this process at the latest."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"holdfast-{about}-p{os.getpid()}-", dir=_base()))
    atexit.register(_end, os.getpid(), folder)
    return folder


def kept(folder: Path) -> Path:
    """Move a folder to where it stays, for whoever looks at what went wrong; return its new place."""
    place = Path(tempfile.mkdtemp(prefix="holdfast-kept-")) / folder.name
    shutil.move(folder, place)
    return place


def remove_stale() -> list[Path]:
    """Delete the folders whose owner has ended; return them."""
    stale, base = [], _base()
    for folder in base.glob("holdfast-*-p*"):
        found = _NAME.fullmatch(folder.name)
        if found and not _is_running(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)
            stale.append(folder)
    return stale


def _base() -> Path:
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


@cache
def _sweep() -> None:
    remove_stale()


def _is_running(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        with contextlib.suppress(PermissionError):
            os.kill(process, 0)
        return True
    return False


def _end(owner: int, folder: Path) -> None:
    # A forked child inherits the list of what is to be done at the end.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
