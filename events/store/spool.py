"""The emergency spool: a plain file that takes the events when the store has failed, and its merge after the restart.

Format: JSON lines. The first names the store, every other one holds an event's bytes and a chain, the SHA-256 of the chain
before it and those bytes. Each append is synced. The file is opened when the engine starts, not when it is needed: a
folder that is missing or not writable is then found while there is still somebody to tell. A failed write or sync is not
tried again.

A torn tail (the last line of a process that was killed) is cut and reported; a wrong line before it is refused. One that holds
zero bytes lies in a sector that was lost with the power: it belongs to the last append, since each is synced before the next, and
is cut with all that follows.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..errors import StoreProblem, Tampered, UnknownSchema
from ..record import SCHEMA, PositionEvent, bytes_from, event_from
from .base import Store
from .disk import Disk

SPOOL_SCHEMA = "holdfast-spool.1"


class _Header(msgspec.Struct, frozen=True):
    spool: str
    events: str
    store_id: str


class _Line(msgspec.Struct, frozen=True):
    event: msgspec.Raw
    chain: str


_header_decoder = msgspec.json.Decoder(_Header)
_line_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


def _chained(before: str, data: bytes) -> str:
    return hashlib.sha256(before.encode() + data).hexdigest()


class Spool:
    """The file that takes events when the store cannot. Best kept on another disk than the store."""

    def __init__(self, path: Path, store: Store, *, disk: Disk | None = None) -> None:
        """Open the file, still empty.

        Raises:
            StoreProblem: it cannot be opened, another engine has it, or it holds events of an earlier failure.
        """
        self.path = path
        self._store_id = store.store_id
        self._disk = disk or Disk()
        self._chain = ""
        try:
            self._fd = self._disk.open_to_append(path)
        except OSError as problem:
            raise StoreProblem(str(path), f"the emergency spool cannot be opened: {problem.strerror}", "name another file") from None
        try:
            self._check()
        except BaseException:
            os.close(self._fd)
            raise

    def _check(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreProblem(str(self.path), "this emergency spool is another engine's", "give each engine its own") from None
        if os.fstat(self._fd).st_size:
            raise StoreProblem(str(self.path), "holds events that are not in the store yet", "merge it first with recover_spool")

    def append(self, events: Sequence[PositionEvent]) -> None:
        """Make `events` durable here. Raises OSError; an unknown part is then in the file, and it is not to be used again."""
        lines = []
        chain = self._chain
        if not chain:
            header = _encoder.encode(_Header(SPOOL_SCHEMA, SCHEMA, self._store_id))
            lines.append(header)
            chain = _chained("", header)
        for event in events:
            data = bytes_from(event)
            chain = _chained(chain, data)
            lines.append(_encoder.encode(_Line(msgspec.Raw(data), chain)))
        self._disk.write(self._fd, b"\n".join(lines) + b"\n")
        self._disk.sync(self._fd)
        self._chain = chain

    def close(self) -> None:
        """Close the file, and remove it if nothing was written."""
        with contextlib.suppress(OSError):
            status = os.fstat(self._fd)
            if stat.S_ISREG(status.st_mode) and not status.st_size:
                self.path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._fd)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover_spool` did. `torn_bytes` were cut off the end; `kept_as` is where the spool was put, None if there was none."""

    merged: int = 0
    already_stored: int = 0
    torn_bytes: int = 0
    kept_as: Path | None = None


def recover_spool(store: Store, path: Path, disk: Disk | None = None) -> Recovery:
    """Merge the events of an emergency spool into the store, in one transaction, and put the spool aside.

    Doing it again changes nothing: an event that is in the store already, byte for byte, is skipped. Needs the lease. If
    anything is refused the store and the spool are left as they are.

    Raises:
        StoreProblem: the spool belongs to another store, or the store holds another event of the same version.
        Tampered: a line before the last does not match its chain, and holds no zero bytes.
        UnknownSchema: it was written under another schema version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Recovery()
    except OSError as problem:
        raise StoreProblem(str(path), f"the emergency spool cannot be read: {problem.strerror}", "let this user read it") from None
    if not data:
        path.unlink()
        return Recovery()
    events, torn_bytes = _read(path, data, store)
    missing = list(_missing(path, events, store))
    store.append(missing)
    kept_as = _put_aside(path, disk or Disk())
    return Recovery(len(missing), len(events) - len(missing), torn_bytes, kept_as)


def _read(path: Path, data: bytes, store: Store) -> tuple[list[PositionEvent], int]:
    """Return the events and the number of torn bytes at the end."""
    lines = data.split(b"\n")
    torn = len(lines.pop())
    events: list[PositionEvent] = []
    chain = ""
    for number, line in enumerate(lines, start=1):
        if b"\0" in line:
            return events, torn + sum(len(rest) + 1 for rest in lines[number - 1 :])
        try:
            if number == 1:
                _check_header(path, line, store)
                chain = _chained("", line)
                continue
            entry = _line_decoder.decode(line)
            chain = _chained(chain, bytes(entry.event))
            intact = chain == entry.chain
        except (msgspec.MsgspecError, UnicodeDecodeError):
            intact = False
        if intact:
            events.append(event_from(bytes(entry.event)))
        elif number == len(lines):
            torn += len(line) + 1
        else:
            raise Tampered(f"{path} line {number}", "does not match its chain")
    return events, torn


def _check_header(path: Path, line: bytes, store: Store) -> None:
    header = _header_decoder.decode(line)
    if (header.spool, header.events) != (SPOOL_SCHEMA, SCHEMA):
        raise UnknownSchema(str(path), f"{header.spool} {header.events}", f"{SPOOL_SCHEMA} {SCHEMA}")
    if header.store_id != store.store_id:
        raise StoreProblem(str(path), "belongs to another store than " + store.name, "merge it into the store that failed")


def _missing(path: Path, events: Sequence[PositionEvent], store: Store) -> Iterator[PositionEvent]:
    """Yield what the store lacks. Raises StoreProblem where it holds something else instead."""
    stored: dict[str, list[PositionEvent]] = {}
    for event in events:
        history = stored.get(event.position_id)
        if history is None:
            history = stored[event.position_id] = store.events_of(event.position_id)
        if event.version > len(history):
            if event.version > len(history) + 1:
                raise _conflict(path, event, f"the store ends at version {len(history)}")
            history.append(event)
            yield event
        elif bytes_from(history[event.version - 1]) != bytes_from(event):
            raise _conflict(path, event, "the store holds another event of this version")


def _conflict(path: Path, event: PositionEvent, problem: str) -> StoreProblem:
    place = f"position {event.position_id} version {event.version}"
    return StoreProblem(str(path), f"{place} cannot be merged: {problem}", "keep both files and reconcile this position with the venue")


def _put_aside(path: Path, disk: Disk) -> Path:
    """Rename a merged spool so that it is kept and never merged again."""
    number = 1
    while (kept := path.with_name(f"{path.name}.merged-{number}")).exists():
        number += 1
    path.rename(kept)
    disk.sync_folder(kept.parent)
    return kept
