"""Reads session files: every block is verified against the chain before a record of it is handed out.

Memory is flat: one block and one megabyte of file are held, whatever the size of the session. What is wrong with a file, and
what is only torn, is told apart in `walk.py`. A session that another process is writing can be read: reading ends with what is there.
"""

import gzip
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from events.errors import BadInput, NotFound

from .anchor import Anchor, anchor_path_of, anchors_from
from .lines import MAX_LINE_BYTES, Record
from .walk import Ending, Walk, is_manifest


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified session is.

    `head` is the last seal (hexadecimal); `records` counts all records, `unsealed` those behind the last seal. `key_checked`
    is False where a keyed session was read without its key. `anchored` is the last record that an anchor confirms, None
    without anchors. `ending` is "open" while the engine writes it, or after a crash that nobody repaired.
    """

    path: str
    records: int
    head: str
    keyed: bool
    key_checked: bool
    unsealed: int
    torn_bytes: int
    anchored: int | None
    ending: Ending
    bytes: int


class Session:
    """A session file, open for reading: its manifest, and its records as often as they are iterated over."""

    def __init__(self, path: Path, key: bytes | None, anchor: Path | None) -> None:
        self.path = path
        self._key, self._anchor = key, anchor
        with open_session(path) as file:
            self.manifest = Walk(path, file, key, anchors_of(path, anchor)).manifest

    def __iter__(self) -> Iterator[Record]:
        with open_session(self.path) as file:
            yield from Walk(self.path, file, self._key, anchors_of(self.path, self._anchor)).records()


def read_session(path: str | Path, key: bytes | None = None, anchor: str | Path | None = None) -> Session:
    """Return a session, whose iterator gives the verified records in order; `manifest` is its first line.

    Args:
        path: the file, or a `.gz` of it.
        key: the key it was written with. Without it a keyed session is read, but not proven.
        anchor: the anchor file or its directory; the one beside the session if not given, and then only if it exists.

    Raises:
        NotFound, BadInput, UnknownSchema: at once, if the file cannot be used.
        Tampered: while reading, at the first block that does not match; none of its records was handed out.
    """
    return Session(Path(path), key, None if anchor is None else Path(anchor))


def verify_session(path: str | Path, key: bytes | None = None, anchor: str | Path | None = None) -> Report:
    """Read a whole session and say what it is. Arguments and errors as for `read_session`."""
    path = Path(path)
    with open_session(path) as file:
        walk = Walk(path, file, key, anchors_of(path, None if anchor is None else Path(anchor)))
        for _ in walk.records():
            pass
    return Report(
        path=str(path),
        records=walk.seq,
        head=walk.chain.head.hex(),
        keyed=walk.is_keyed,
        key_checked=walk.has_key,
        unsealed=walk.seq - max(0, walk.sealed_seq),
        torn_bytes=walk.torn_bytes,
        anchored=walk.anchored,
        ending=walk.ending,
        bytes=walk.offset + walk.torn_bytes,
    )


def is_begun(path: Path) -> bool:
    """Tell whether a session file holds anything: False where its process was killed, or its power lost, within its first write.

    A file that cannot be opened is not judged: True.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_LINE_BYTES)
    except OSError:
        return True
    # A sector that was lost with the power reads as zeros or as anything, line breaks too: only a whole manifest is a beginning.
    return line.endswith(b"\n") and is_manifest(line)


def anchors_of(path: Path, place: Path | None) -> Iterator[Anchor]:
    """Return the anchors of a session; none if no place is named and none are beside it."""
    found = anchor_path_of(path, place)
    if place is None and not found.exists():
        return iter(())
    return anchors_from(found)


def open_session(path: Path) -> BinaryIO:
    """Open a session file, decompressing a `.gz`. Raises NotFound or BadInput."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BadInput(str(path), "is a directory, not a session file", "name one of the files in it")
        if not stat.S_ISREG(mode):
            raise BadInput(str(path), "is not a regular file", "name a session file")
        if path.suffix == ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("session file", str(path), "check the path") from None
    except PermissionError:
        raise BadInput(str(path), "permission to read it is denied", "read it as its owner") from None
    except (OSError, ValueError) as problem:
        raise BadInput(str(path), f"cannot be opened ({problem})", "check the path") from None
