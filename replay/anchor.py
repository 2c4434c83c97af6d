"""Anchors: count and head of a session, kept outside of it, so that a tail that was cut off is missed.

A file of JSON lines beside the session, or in a directory of the configuration:

    {"k":"anchor","session":"20261121-0700.jsonl","n":1000,"h":"<the seal of record 1000>","at":<bytes of the file up to there>}

One line for the manifest, one every so many records, one at the close. An anchor is written after what it names, so a
process that is killed never leaves one ahead of its session; a loss of power may, and then records *are* missing.

Whoever can write to the anchors can cut them as well: to hold against somebody with access to the machine they belong on
another disk, or their last line into another system's log.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from events.errors import BadInput, NotFound, Tampered
from events.store.disk import Disk

MAX_ANCHOR_BYTES = 4096


class Anchor(msgspec.Struct, frozen=True, tag_field="k", tag="anchor", rename={"seq": "n", "head": "h", "offset": "at"}):
    """Record `seq` of `session` (a file name) was sealed by `head`; its seal line ends at byte `offset`."""

    session: str
    seq: int
    head: str
    offset: int


_decoder = msgspec.json.Decoder(Anchor)


def anchor_path_of(session: Path, place: Path | None = None) -> Path:
    """Return where the anchors of a session are: `place`, in it if it is a directory, or beside the session."""
    name = session.name.removesuffix(".gz") + ".anchor"
    if place is None:
        return session.with_name(name)
    return place / name if place.is_dir() else place


class AnchorFile:
    """Anchors of a session that is being written. Raises OSError where the disk does."""

    def __init__(self, path: Path, session: Path, disk: Disk) -> None:
        self.path = path
        self._session, self._disk = session.name, disk
        self._fd = disk.open_to_append(path)
        _cut_fragment(self._fd)

    def write(self, seq: int, head: bytes, offset: int) -> None:
        """Append one anchor."""
        self._disk.write(self._fd, msgspec.json.encode(Anchor(self._session, seq, head.hex(), offset)) + b"\n")

    def sync(self) -> None:
        """Return when the anchors are durable."""
        self._disk.sync(self._fd)

    def close(self) -> None:
        """Close the file. Nothing is written."""
        os.close(self._fd)


def _cut_fragment(fd: int) -> None:
    """Cut an unfinished last line, so that nothing is appended to it."""
    size = os.fstat(fd).st_size
    tail = os.pread(fd, MAX_ANCHOR_BYTES, max(0, size - MAX_ANCHOR_BYTES))
    fragment = len(tail) - (tail.rfind(b"\n") + 1)
    if fragment:
        os.ftruncate(fd, size - fragment)


def anchors_from(path: Path) -> Iterator[Anchor]:
    """Read the anchors that a file has when the first is asked for, in order; an unfinished last line is left out.

    Raises:
        NotFound, BadInput: there is no such file, or it cannot be read.
        Tampered: a line is no anchor, or older than the one before it.
    """
    last = -1
    try:
        with path.open("rb") as file:
            number, size = 0, os.fstat(file.fileno()).st_size
            while file.tell() < size and (line := file.readline(MAX_ANCHOR_BYTES)):
                number += 1
                if not line.endswith(b"\n") and len(line) < MAX_ANCHOR_BYTES:
                    return
                anchor = _anchor_from(line, path, number)
                if anchor.seq < last:
                    raise Tampered(f"{path}, line {number}", f"anchor {anchor.seq} follows anchor {last}")
                last = anchor.seq
                yield anchor
    except FileNotFoundError:
        raise NotFound("anchor file", str(path), "leave it out, or name the one that was written with the session") from None
    except (OSError, ValueError) as problem:
        raise BadInput(str(path), f"cannot be read ({problem})", "name the anchor file that was written with the session") from None


def _anchor_from(line: bytes, path: Path, number: int) -> Anchor:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Tampered(f"{path}, line {number}", "is not an anchor") from None
