"""One pass over a session file: verifies each block against chain and anchors, and names the place of what does not match.

What is wrong with a file is told apart like this:

- bytes behind the last line break are a *torn tail*: what a killed process leaves. Reading ends before it and counts it;
- any other line that does not match is `Tampered`, with record, line and byte offset;
- a session that ends before its last anchor is `Tampered` as well: its tail was cut off, or lost with the power.

A file that is being written is read up to the size that it has at the start.

The file is untrusted until a block has matched its seal: nothing of it is decoded before, and no more of it is held than
`MAX_UNSEALED_BYTES`.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, cast

import msgspec

from events.errors import BadInput, Tampered, UnknownSchema

from .anchor import Anchor
from .chain import Chain, check_of, seal_from
from .lines import KEYED, LAST_KINDS, MAX_LINE_BYTES, PLAIN, SCHEMA, SEAL_START, Record, parts_of, records_from

CHUNK_BYTES = 1 << 20
MAX_UNSEALED_BYTES = MAX_LINE_BYTES + (2 << 20)

Ending = Literal["end", "repaired", "open"]


class Walk:
    """One pass over an open session file. What it has verified so far stands in its attributes.

    Attributes:
        manifest: the content of the first line.
        chain: the chain after the last verified line.
        seq: the last verified record, `sealed_seq` the last sealed one (-1 before the seal of the manifest).
        offset: the bytes up to the end of the last verified line.
        torn_bytes: the bytes behind it, after the walk.
        last: the last record, None before the first.
    """

    def __init__(self, path: Path, file: BinaryIO, key: bytes | None, anchors: Iterator[Anchor], *, cut_bad_lines: bool = False) -> None:
        self._path, self._file, self._anchors, self._cut_bad_lines = path, file, anchors, cut_bad_lines
        # A live writer anchors after it has written. With the anchors opened first, what they name lies within the size seen then.
        self._anchor = next(anchors, None)
        self._size = os.fstat(file.fileno()).st_size if isinstance(file, io.BufferedReader) else None
        line = self._first_line()
        self.manifest = _manifest_from(line, path)
        self.is_keyed = self.manifest["chain"] == KEYED
        self.has_key = key is not None
        if self.has_key and not self.is_keyed:
            raise Tampered(str(path), "was written without a key, so that nothing proves who wrote it")
        self.chain = Chain(line, key)
        self.seq = 0
        self.sealed_seq = -1
        self.offset = len(line)
        self.torn_bytes = 0
        self.anchored: int | None = None
        self.last: Record | None = None
        self._line = 1

    def records(self) -> Iterator[Record]:
        """Yield every record, verified. Raises Tampered or BadInput."""
        for block, first_seq, offset, line in self._blocks():
            records = self._records_from(block, first_seq, offset, line)
            self.last = records[-1]
            yield from records

    @property
    def ending(self) -> Ending:
        """Return how the session ends, after the walk."""
        if self.last is None or self.sealed_seq < self.seq or self.last.kind not in LAST_KINDS:
            return "open"
        return cast(Ending, self.last.kind)

    # --- blocks -----------------------------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[tuple[bytes, int, int, int]]:
        """Yield blocks of records, each with the place of its first: sequence number, byte offset, line."""
        rest = b""
        while chunk := self._read():
            rest += chunk
            start = 0
            while (at := _seal_at(rest, start)) >= 0 and (end := rest.find(b"\n", at) + 1):
                block, place = rest[start:at], (self.seq + 1, self.offset, self._line + 1)
                self._verify(block, rest[at:end])
                start = end
                if block:
                    yield (block, *place)
            rest = rest[start:]
            if len(rest) > MAX_UNSEALED_BYTES:
                raise Tampered(self._place(self.seq + 1, self._line + 1, self.offset), f"no seal within {MAX_UNSEALED_BYTES} bytes")
        place = (self.seq + 1, self.offset, self._line + 1)
        if tail := self._verified_tail(rest):
            yield (tail, *place)
        if self._anchor is not None:
            problem = f"the session ends here, without the seal of record {self._anchor.seq} that is anchored: its tail was cut off or lost"
            raise Tampered(self._place(self.seq, self._line, self.offset), problem)

    def _verify(self, block: bytes, seal_line: bytes) -> None:
        """Take one block and its seal into the chain. Raises Tampered."""
        head = self.chain.head
        if (self.sealed_seq < 0) != (not block):
            missing = "the seal of the manifest is missing" if block else "a seal without records"
            raise Tampered(self._place(self.seq + 1, self._line + 1, self.offset), missing)
        self.chain.add(block)
        count = block.count(b"\n")
        seq = self.seq + count
        expected = self.chain.seal(seq)
        if seal_line != expected and not self._matches_without_key(seal_line, expected):
            self._blame(block, seal_line, expected, head)
        self.seq = self.sealed_seq = seq
        self.offset += len(block) + len(seal_line)
        self._line += count + 1
        self._meet_anchor()

    def _matches_without_key(self, seal_line: bytes, expected: bytes) -> bool:
        """Tell whether the seal of a keyed session is right as far as that can be told without its key."""
        if self.has_key or not self.is_keyed:
            return False
        seal = seal_from(seal_line)
        return seal is not None and seal.mac is not None and seal_line.startswith(expected[:-2])

    def _verified_tail(self, rest: bytes) -> bytes:
        """Take the whole lines behind the last seal into the chain and return them; count the torn rest."""
        lines = _lines_of(rest)
        for index, line in enumerate(lines):
            if self.sealed_seq < 0 or not _is_whole(line, self.chain.head):
                if self._cut_bad_lines and not any(_is_whole(later, self.chain.head) for later in lines[index + 1 :]):
                    lines = lines[:index]
                    break
                self._blame_line(line, self.seq + 1, self._line + 1, self.offset)
            self.seq += 1
            self._line += 1
            self.offset += len(line)
        tail = b"".join(lines)
        self.chain.add(tail)
        self.torn_bytes = len(rest) - len(tail)
        return tail

    def _meet_anchor(self) -> None:
        head = self.chain.head.hex()
        while self._anchor is not None and self._anchor.seq <= self.seq:
            if (self._anchor.seq, self._anchor.head, self._anchor.offset) != (self.seq, head, self.offset):
                found = f"seal {head[:12]}... of record {self.seq} at byte {self.offset}"
                wanted = f"{self._anchor.head[:12]}... of record {self._anchor.seq} at byte {self._anchor.offset}"
                raise Tampered(self._place(self.seq, self._line, self.offset), f"{found} is not the anchored {wanted}")
            self.anchored = self.seq
            self._anchor = next(self._anchors, None)

    # --- records ----------------------------------------------------------------------------------------------------

    def _records_from(self, block: bytes, first_seq: int, offset: int, line: int) -> list[Record]:
        """Decode a verified block, whose last record is `self.seq`."""
        try:
            records = records_from(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            records = []
        if [record.seq for record in records] != list(range(first_seq, self.seq + 1)):
            self._blame_records(block, first_seq, offset, line)
        return records

    # --- naming the place ---------------------------------------------------------------------------------------------

    def _blame(self, block: bytes, seal_line: bytes, expected: bytes, head: bytes) -> NoReturn:
        """Say which record of a block, or what else, does not match. Called before the block is counted."""
        offset, line = self.offset, self._line
        for seq, text in enumerate(_lines_of(block), self.seq + 1):
            line += 1
            if not _is_whole(text, head):
                self._blame_line(text, seq, line, offset)
            offset += len(text)
        seal = seal_from(seal_line)
        right = seal_from(expected)
        assert right is not None
        place = f"{self._path}, seal of record {right.seq} (line {line + 1}, byte {offset})"
        if seal is None or (seal.mac is None) == self.is_keyed:
            raise Tampered(place, "is not written as a seal of this session")
        if not block and seal[:2] != right[:2]:
            raise Tampered(f"{self._path}, manifest (line 1, byte 0)", "its bytes do not match its seal")
        if (seal.seq, seal.digest) != (right.seq, right.digest):
            records = f"records {self.seq + 1} to {right.seq}"
            raise Tampered(place, f"does not match {records}, which match their own checks: they were written anew, or the seal was")
        problem = f"was not made with this key: the session was written anew from record {self.seq + 1} on, or the key is another one"
        raise Tampered(place, problem)

    def _blame_line(self, text: bytes, seq: int, line: int, offset: int) -> NoReturn:
        problem = "is neither a record nor a seal" if parts_of(text) is None else "its bytes do not match its check"
        raise Tampered(self._place(seq, line, offset), problem)

    def _blame_records(self, block: bytes, first_seq: int, offset: int, line: int) -> NoReturn:
        """Say which line of a block that matches its seal is not the record that belongs there."""
        for seq, text in enumerate(_lines_of(block), first_seq):
            try:
                found = records_from(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
                raise Tampered(self._place(seq, line, offset), f"is not a record ({problem})") from None
            if len(found) != 1 or found[0].seq != seq:
                raise Tampered(self._place(seq, line, offset), f"is record {found[0].seq if found else 'nothing'}")
            offset += len(text)
            line += 1
        raise AssertionError("a block that does not decode has a line that does not")

    def _place(self, seq: int, line: int, offset: int) -> str:
        return f"{self._path}, record {seq} (line {line}, byte {offset})"

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _read(self) -> bytes:
        try:
            wanted = CHUNK_BYTES if self._size is None else min(CHUNK_BYTES, self._size - self._file.tell())
            return self._file.read(max(0, wanted))
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise Tampered(self._place(self.seq + 1, self._line + 1, self.offset), f"the compressed file is damaged ({problem})") from None
        except OSError as problem:
            raise BadInput(str(self._path), f"cannot be read ({problem})", "read a copy of it") from None

    def _first_line(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except (EOFError, zlib.error, OSError) as problem:
            raise BadInput(str(self._path), f"cannot be read ({problem})", "name a session file") from None
        if not line:
            raise BadInput(str(self._path), "is empty", "name a session file")
        return line


def is_manifest(line: bytes) -> bool:
    """Tell whether a line is a session's first, of whatever schema."""
    return _content_of(line).get("k") == "manifest"


def _content_of(line: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _manifest_from(line: bytes, path: Path) -> dict[str, object]:
    """Decode the first line. Raises BadInput or UnknownSchema."""
    content = _content_of(line)
    schema = content.get("schema")
    # Without its end it is not whole, however well it reads: what a repair appends would stand on the same line.
    cut = not line.endswith(b"\n") and (content.get("k") == "manifest" or line.startswith(b'{"k":"manifest"'))
    if cut or content.get("k") != "manifest" or not isinstance(schema, str):
        problem = "its first line is cut: nothing was recorded" if cut else "is not a session file: its first line is no manifest"
        raise BadInput(str(path), problem, "name a file that starts with a manifest")
    if schema != SCHEMA:
        raise UnknownSchema(str(path), schema, SCHEMA)
    if content.get("chain") not in (PLAIN, KEYED):
        raise BadInput(str(path), f"its chain {content.get('chain')!r} is not known", "read it with the version that wrote it")
    return content


def _seal_at(data: bytes, start: int) -> int:
    """Return where the next seal line starts, -1 if none does."""
    if data.startswith(SEAL_START, start):
        return start
    found = data.find(b"\n" + SEAL_START, start)
    return found + 1 if found >= 0 else -1


def _lines_of(block: bytes) -> list[bytes]:
    """Split at line breaks only, not at what else Python takes for one."""
    return [line + b"\n" for line in block.split(b"\n")[:-1]]


def _is_whole(line: bytes, head: bytes) -> bool:
    """Tell whether a line ends with the check of its body."""
    parts = parts_of(line)
    return parts is not None and check_of(head, parts[0]) == parts[1]
