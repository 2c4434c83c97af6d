"""The session file of a live engine: every input in the order in which the core took it, and the events that it made.

    writer = SessionWriter.create(path, manifest_from(...), key=key)
    payload = writer.append("frame", ts_recv_ns, ts_event_ns, "kraken.public", text)
    writer.flush()                                    # what a kill -9 does not take back from here on
    writer.close()
    for record in read_session(path, key=key): ...

Rules:

- Recording never stops the engine. After opening, a disk that fails puts the writer into its failed state: `failure` says why,
  `lost` counts the records that may be missing from the file, `on_failure` is told once. The file ends where it ended.
- Secrets are taken out before anything is written. `append` returns the payload as it was recorded: what the core gets must
  be that, or replay would feed it something else.
- A file belongs to one process. After a restart a new one is written, whose manifest names the old one and its head
  (`Previous`); the old one is cut and ended by `repair`.

Deliberately absent: a clock. Times are the caller's.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import TypeVar

import msgspec

from events.errors import BadInput, NotFound
from events.store.disk import Disk

from .anchor import AnchorFile, anchor_path_of
from .chain import Chain, check_of
from .lines import MAX_LINE_BYTES, SCHEMA, Record, body_from, line_from, manifest_line
from .manifest import Previous, manifest_from
from .reading import Report, Session, is_begun, read_session, verify_session
from .redact import Redactor
from .repair import Repaired, repair

__all__ = [
    "SCHEMA",
    "Previous",
    "Record",
    "Redactor",
    "Repaired",
    "Report",
    "Session",
    "SessionWriter",
    "is_begun",
    "manifest_from",
    "read_session",
    "repair",
    "verify_session",
]

# A block is hashed, sealed and written as one: small enough to search for the record that was changed, and for its loss in a
# kill -9 between two flushes; large enough that the seal costs nothing.
BLOCK_RECORDS = 256
BLOCK_BYTES = 256 << 10
MAX_BODY_BYTES = MAX_LINE_BYTES - 64

P = TypeVar("P", bound=str | bytes)


class SessionWriter:
    """Appends records to a session file. Safe from several threads; the order is that of the calls.

    Attributes:
        seq: the last record, 0 before the first.
        head: the last seal (hexadecimal), which proves everything up to it.
        lost: the records that may be missing from the file after a failure.
        failure: the sentence of the failure, None while all is well.
    """

    def __init__(
        self,
        path: Path,
        fd: int,
        anchor: AnchorFile,
        manifest: bytes,
        key: bytes | None,
        anchor_every: int,
        on_failure: Callable[[str], None] | None,
        redactor: Redactor,
        disk: Disk,
    ) -> None:
        """Use `create`. Raises OSError."""
        self.path = path
        self.seq = 0
        self.lost = 0
        self.failure: str | None = None
        self._fd, self._disk, self._anchor, self._anchor_every = fd, disk, anchor, anchor_every
        self._on_failure, self._redactor = on_failure, redactor
        self._lock, self._sync_lock = RLock(), RLock()
        self._lines: list[bytes] = []
        self._block_bytes = 0
        self._last_ns = (0, 0)
        self._closed = False
        self._anchor_failed = False

        self._chain = Chain(manifest, key)
        start = manifest + self._chain.seal(0)
        disk.write(fd, start)
        self._offset = len(start)
        self._sealed_seq = self._written_seq = self._anchored_seq = 0
        self._seal_at = min(BLOCK_RECORDS, anchor_every)
        anchor.write(0, self._chain.head, self._offset)

    @classmethod
    def create(
        cls,
        path: str | Path,
        manifest: dict[str, object],
        *,
        key: bytes | None = None,
        anchor_path: str | Path | None = None,
        anchor_every: int = 1000,
        on_failure: Callable[[str], None] | None = None,
        redactor: Redactor | None = None,
        disk: Disk | None = None,
    ) -> "SessionWriter":
        """Start a session file, readable by its owner only, with its manifest sealed.

        Args:
            path: a file that does not exist, in a directory that does.
            manifest: what `manifest_from` returns.
            key: makes the chain keyed; any bytes, better 32 random ones.
            anchor_path: the anchor file or a directory for it; beside the session if not given.
            anchor_every: records between two anchors.
            on_failure: called with a sentence, once when the session fails and once when its anchors do.
            redactor: knows the secrets of the configuration; fields with telling names are redacted in any case.
            disk: what writes and syncs.

        Raises:
            NotFound: the directory does not exist.
            BadInput: the file exists, or cannot be written; or the manifest is no JSON object. Nothing is left behind.
        """
        path, disk, redactor = Path(path), disk or Disk(), redactor or Redactor()
        if anchor_every < 1:
            raise BadInput("anchor_every", f"{anchor_every} is less than 1", "give the records between two anchors, for example 1000")
        anchor_path = anchor_path_of(path, None if anchor_path is None else Path(anchor_path))
        if key == b"":
            raise BadInput("session key", "is empty", "give at least 16 random bytes, or no key")
        line = redactor.redact_bytes(_manifest_line(manifest, key is not None))
        with contextlib.ExitStack() as undo:
            try:
                _reserve(path, undo)
                _reserve(anchor_path, undo)
                fd = disk.open_to_append(path)
                undo.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                anchor = AnchorFile(anchor_path, path, disk)
                undo.callback(anchor.close)
                writer = cls(path, fd, anchor, line, key, anchor_every, on_failure, redactor, disk)
            except FileNotFoundError as problem:
                raise NotFound("directory", str(Path(problem.filename or path).parent), "make it") from None
            except FileExistsError as problem:
                remedy = "give the session a name of its own"
                raise BadInput(problem.filename, "exists already, and a session is never written over", remedy) from None
            except (OSError, ValueError) as problem:
                place = getattr(problem, "filename", None) or str(path)
                raise BadInput(place, f"cannot be written ({_reason(problem)})", "choose a directory that can be written") from None
            undo.pop_all()
        return writer

    @property
    def head(self) -> str:
        return self._chain.head.hex()

    def append(self, kind: str, ts_recv_ns: int, ts_event_ns: int, source: str, payload: P) -> P:
        """Append one record and return its payload as recorded. It is in the file after the next `flush`, or earlier.

        Never raises. Costs a few microseconds, and a write for every block of 256 records or 256 KiB.

        Args:
            kind: "frame", "intent", "timer", "link", "sent", "answer" or "event".
            ts_recv_ns: UTC nanoseconds at which the core took it.
            ts_event_ns: the venue's time, 0 if it has none.
            source: where it came from, for example "kraken.public".
            payload: the text of a frame; of all other kinds canonical JSON on one line.
        """
        payload = self._redactor.redact(payload) if isinstance(payload, str) else self._redactor.redact_bytes(payload)  # type: ignore[assignment]
        with self._lock:
            if self.failure is not None or self._closed:
                self.lost += 1
                return payload
            try:
                body = body_from(self.seq + 1, kind, ts_recv_ns, ts_event_ns, source, payload)
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as problem:
                self._refuse(f"({kind}) cannot be recorded: {problem}")
                return payload
            if len(body) > MAX_BODY_BYTES:
                self._refuse(f"({kind}) has {len(body)} bytes, more than {MAX_BODY_BYTES}")
                return payload
            self.seq += 1
            self._last_ns = (ts_recv_ns, ts_event_ns)
            line = line_from(body, check_of(self._chain.head, body))
            self._lines.append(line)
            self._block_bytes += len(line)
            if self.seq >= self._seal_at or self._block_bytes >= BLOCK_BYTES:
                self._write(seal=True)
        return payload

    def flush(self) -> None:
        """Hand everything to the operating system: it survives the end of this process, not the loss of power."""
        with self._lock:
            self._write(seal=False)

    def sync(self) -> None:
        """Seal, flush, and return when it is on the disk. Takes milliseconds: call it in a thread of its own, appending goes on."""
        with self._sync_lock:
            with self._lock:
                self._write(seal=True)
                if self.failure is not None or self._closed:
                    return
            self._sync()

    def close(self) -> None:
        """Append the `end` record, seal, anchor and sync. A failed session is only closed. Nothing happens the second time."""
        with self._sync_lock, self._lock:
            if self._closed:
                return
            if self.failure is None:
                self.append("end", *self._last_ns, "session", msgspec.json.encode({"records": self.seq}))
                self._write(seal=True)
            if self.failure is None:
                if self._anchored_seq < self._sealed_seq:
                    self._write_anchor()
                self._sync()
            self._closed = True
            self._anchor.close()
            os.close(self._fd)

    # --- below the lock ---------------------------------------------------------------------------------------------

    def _write(self, *, seal: bool) -> None:
        """Write what is held back; with `seal`, end the block. Failing, it fails the session."""
        if self.failure is not None or self._closed or not (self._lines or seal):
            return
        data = b"".join(self._lines)
        self._lines.clear()
        if data:
            self._chain.add(data)
        if seal and self.seq > self._sealed_seq:
            data += self._chain.seal(self.seq)
            self._sealed_seq = self.seq
            self._block_bytes = 0
        if not data:
            return
        try:
            self._disk.write(self._fd, data)
        except OSError as problem:
            self._fail(f"{self.path}: records {self._written_seq + 1} to {self.seq} cannot be written ({_reason(problem)})")
            return
        self._offset += len(data)
        self._written_seq = self.seq
        if seal:
            if self._sealed_seq - self._anchored_seq >= self._anchor_every:
                self._write_anchor()
            self._seal_at = min(self._sealed_seq + BLOCK_RECORDS, self._anchored_seq + self._anchor_every)

    def _write_anchor(self) -> None:
        self._anchored_seq = self._sealed_seq
        if self._anchor_failed:
            return
        try:
            self._anchor.write(self._sealed_seq, self._chain.head, self._offset)
        except OSError as problem:
            self._fail_anchor(problem)

    def _sync(self) -> None:
        try:
            self._disk.sync(self._fd)
        except OSError as problem:
            with self._lock:
                self._fail(f"{self.path}: records up to {self._written_seq} may not be on the disk ({_reason(problem)})")
            return
        try:
            self._anchor.sync()
        except OSError as problem:
            self._fail_anchor(problem)

    def _refuse(self, problem: str) -> None:
        """Fail at a record that cannot be written: a session with a hole would replay to something else. What was before is kept."""
        self._write(seal=True)
        self.lost += 1
        self._fail(f"{self.path}: record {self.seq + 1} {problem}")

    def _fail(self, sentence: str) -> None:
        """Enter the failed state for good. A write that failed once may be followed by worse: nothing is tried again."""
        if self.failure is not None:
            return
        self.lost += self.seq - self._written_seq
        self.failure = f"{sentence}; the session ends there, the engine goes on"
        self._lines.clear()
        if self._on_failure is not None:
            self._on_failure(self.failure)

    def _fail_anchor(self, problem: OSError) -> None:
        if not self._anchor_failed and self._on_failure is not None:
            self._on_failure(f"{self._anchor.path}: cannot be written ({_reason(problem)}); a cut tail of the session will not be noticed")
        self._anchor_failed = True


def _reserve(path: Path, undo: contextlib.ExitStack) -> None:
    """Make an empty file that was not there before. Raises OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    undo.callback(path.unlink, missing_ok=True)


def _manifest_line(content: dict[str, object], is_keyed: bool) -> bytes:
    try:
        line = manifest_line(content, is_keyed)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
        raise BadInput("manifest", f"is no JSON object ({problem})", "give it texts, numbers, lists and objects only") from None
    if len(line) > MAX_LINE_BYTES:
        raise BadInput("manifest", f"has {len(line)} bytes, more than {MAX_LINE_BYTES}", "leave out what does not decide anything")
    return line


def _reason(problem: OSError | ValueError) -> str:
    return getattr(problem, "strerror", None) or str(problem)
