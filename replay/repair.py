"""Repairs the session file of a process that was killed: cuts the torn tail, and ends the file so that it is whole.

The repaired file ends in a record of kind `repaired` that says how much was cut, and in a seal over everything before.
Only a tail is cut: bytes of which nothing whole follows. Damage in front of whole records is not what a kill leaves, and
stays as it is, reported as `Tampered`.
"""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from events.errors import BadInput
from events.store.disk import Disk

from .anchor import AnchorFile, anchor_path_of
from .chain import check_of
from .lines import body_from, line_from
from .reading import anchors_of, open_session
from .walk import Walk


class Repaired(NamedTuple):
    """What a repair found. `last_seq` is the last record, with the `repaired` one that it appended; `head` proves it all.

    `was_whole` means that the session had been ended before: nothing was changed.
    """

    cut_bytes: int
    last_seq: int
    head: str
    was_whole: bool


def repair(path: str | Path, key: bytes | None = None, anchor: str | Path | None = None, disk: Disk | None = None) -> Repaired:
    """Cut the torn tail off a session file and end it. Repairing it again changes nothing.

    Args:
        key: the key that it was written with: without it a keyed session cannot be ended.
        anchor: the anchor file or its directory; beside the session if not given.

    Raises:
        NotFound, BadInput, UnknownSchema: the file cannot be used, or an engine is writing it. Nothing has changed.
        Tampered: there is damage that is no torn tail, or anchored records are missing. Nothing has changed.
    """
    path, disk = Path(path), disk or Disk()
    place = None if anchor is None else Path(anchor)
    if path.suffix == ".gz":
        raise BadInput(str(path), "is compressed", "decompress it first")
    with open_session(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(str(path), "is being written by an engine", "end that engine first") from None
        walk = Walk(path, file, key, anchors_of(path, place), cut_bad_lines=True)
        for _ in walk.records():
            pass
        if walk.ending != "open" and not walk.torn_bytes:
            return Repaired(0, walk.seq, walk.chain.head.hex(), was_whole=True)
        if walk.is_keyed and not walk.has_key:
            raise BadInput(str(path), "is keyed, and cannot be ended without its key", "give the key of the configuration")
        try:
            _end(path, walk, anchor_path_of(path, place), disk)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise BadInput(str(path), f"cannot be repaired ({reason})", "give permission and room to write it") from None
    return Repaired(walk.torn_bytes, walk.seq + 1, walk.chain.head.hex(), was_whole=False)


def _end(path: Path, walk: Walk, anchor_path: Path, disk: Disk) -> None:
    """Cut what the walk found torn, append the `repaired` record, seal and anchor it. Raises OSError."""
    lines = walk.chain.seal(0) if walk.sealed_seq < 0 else b""
    seq = walk.seq + 1
    ts_recv_ns, ts_event_ns = (walk.last.ts_recv_ns, walk.last.ts_event_ns) if walk.last is not None else (0, 0)
    payload = msgspec.json.encode({"cut_bytes": walk.torn_bytes, "records": walk.seq})
    body = body_from(seq, "repaired", ts_recv_ns, ts_event_ns, "session", payload)
    line = line_from(body, check_of(walk.chain.head, body))
    walk.chain.add(line)
    lines += line + walk.chain.seal(seq)
    fd = disk.open_to_append(path)
    try:
        os.ftruncate(fd, walk.offset)
        disk.write(fd, lines)
        disk.sync(fd)
    finally:
        os.close(fd)
    anchors = AnchorFile(anchor_path, path, disk)
    try:
        anchors.write(seq, walk.chain.head, walk.offset + len(lines))
        anchors.sync()
    finally:
        anchors.close()
