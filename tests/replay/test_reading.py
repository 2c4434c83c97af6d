"""Opening what is no session, archives, and sessions larger than memory."""

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from events.errors import BadInput, NotFound, Tampered, UnknownSchema
from replay.session import SessionWriter, read_session, verify_session
from tests.replay.sessions import FRAME, KEY, lines_of

Make = Callable[..., SessionWriter]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"not a session\n",
        b"{}\n",
        b"[1,2]\n",
        b'{"k":"frame","n":1}\n',
        b"\xff\xfe\x00\n",
        b"[" * 200_000,
        b'{"k":"manifest","schema":1}\n',
    ],
    ids=["empty", "blank", "text", "object", "list", "record", "binary", "nested", "schema"],
)
def test_a_file_that_is_no_session_is_named_at_once(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"x\.jsonl: (is empty|is not a session file)"):
        read_session(path)


def test_another_schema_version_is_named(closed: Path, key: bytes | None) -> None:
    closed.write_bytes(closed.read_bytes().replace(b"holdfast-session.1", b"holdfast-session.2", 1))
    with pytest.raises(
        UnknownSchema, match=r"schema 'holdfast-session\.2' is not 'holdfast-session\.1'; read it with the version that wrote it"
    ):
        read_session(closed, key)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"session file '.*nowhere\.jsonl' does not exist"):
        read_session(tmp_path / "nowhere.jsonl")


def test_a_directory_and_a_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a directory, not a session file"):
        read_session(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="is not a regular file"):
        read_session(tmp_path / "pipe")
    with pytest.raises(BadInput, match="cannot be opened"):
        read_session("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_file_without_permission_is_named(closed: Path) -> None:
    closed.chmod(0)
    with pytest.raises(BadInput, match="permission to read it is denied"):
        read_session(closed)


def test_a_session_of_a_manifest_cut_in_its_line_holds_nothing(closed: Path) -> None:
    closed.write_bytes(closed.read_bytes()[:100])
    with pytest.raises(BadInput, match="its first line is cut: nothing was recorded"):
        read_session(closed)


def test_an_anchor_file_that_was_named_must_exist(closed: Path, key: bytes | None) -> None:
    with pytest.raises(NotFound, match="anchor file"):
        read_session(closed, key, anchor=closed.with_name("missing.anchor"))


def test_broken_anchors_are_named(closed: Path, key: bytes | None) -> None:
    anchors = closed.with_name(closed.name + ".anchor")
    lines = anchors.read_bytes().splitlines(keepends=True)
    for broken in (b"nonsense\n", b"x" * 5_000, lines[-1]):
        anchors.write_bytes(lines[0] + broken + lines[1])
        with pytest.raises(Tampered, match=r"session\.jsonl"):
            verify_session(closed, key)
    anchors.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    assert verify_session(closed, key).anchored == 3


# --- archives -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(closed: Path) -> Path:
    path = closed.with_name(closed.name + ".gz")
    path.write_bytes(gzip.compress(closed.read_bytes(), mtime=0))
    return path


def test_a_compressed_archive_reads_like_its_session(closed: Path, archive: Path, key: bytes | None) -> None:
    assert list(read_session(archive, key)) == list(read_session(closed, key))
    assert verify_session(archive, key).anchored == 8


def test_a_damaged_archive_is_named(archive: Path, key: bytes | None) -> None:
    data = archive.read_bytes()
    for cut in range(0, len(data), 7):
        archive.write_bytes(data[:cut])
        with pytest.raises((BadInput, Tampered), match=r"session\.jsonl\.gz"):
            verify_session(archive, key)
    for at in range(10, len(data) - 8, 5):
        archive.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises((BadInput, Tampered), match=r"session\.jsonl\.gz"):
            verify_session(archive, key)


# --- memory ---------------------------------------------------------------------------------------------------------------


def test_a_large_session_is_read_in_flat_memory(make: Make) -> None:
    writer = make(key=KEY)
    text = FRAME * 10
    for count in range(20_000):
        writer.append("frame", count, count, "kraken.public", text)
    writer.close()
    assert writer.path.stat().st_size > 20 << 20
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_session(writer.path, KEY))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_001
    assert peak < 6 << 20


# --- the format as documented ---------------------------------------------------------------------------------------------


def test_the_verifier_of_the_documentation_agrees(closed: Path, key: bytes | None) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "session-format.md").read_text()
    program = text.split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(program, names)
    verify = cast(Callable[[list[bytes], bytes | None], str], names["verify"])
    lines = lines_of(closed)
    assert verify(lines, key) == verify_session(closed, key).head
    lines[4] = lines[4].replace(b'"version":1', b'"version":2')
    with pytest.raises(SystemExit, match="seal of record 3: the lines before it were changed"):
        verify(lines, key)
