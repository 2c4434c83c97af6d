"""A killed process leaves a session that is cut, reported, and loses nothing that was whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from events.errors import BadInput, NotFound, Tampered
from events.store.disk import Disk
from replay.session import Repaired, SessionWriter, read_session, repair, verify_session
from tests.replay.sessions import KEY, RECORDS, append_all, lines_of

Make = Callable[..., SessionWriter]


class UnsyncedDisk(Disk):
    """A disk that is not waited for: two thousand repairs are."""

    def sync(self, fd: int) -> None:
        pass


@pytest.fixture
def killed(make: Make, key: bytes | None, tmp_path: Path) -> Path:
    """Return a session as it stands when its process is killed: sealed, unsealed, not ended, and without anchors."""
    writer = make("living.jsonl", key=key)
    append_all(writer)
    writer.sync()
    for record in RECORDS[:3]:
        writer.append(*record)
    writer.flush()
    path = tmp_path / "killed.jsonl"
    path.write_bytes(writer.path.read_bytes())
    return path


def test_cut_at_every_byte_nothing_whole_is_lost(killed: Path, key: bytes | None) -> None:
    data = killed.read_bytes()
    anchors = killed.with_name(killed.name + ".anchor")
    starts = [0]
    for line in lines_of(killed):
        starts.append(starts[-1] + len(line))
    records = list(read_session(killed, key))
    assert len(records) == 10
    for cut in range(starts[1], len(data) + 1):
        killed.write_bytes(data[:cut])
        anchors.unlink(missing_ok=True)
        repaired = repair(killed, key, disk=UnsyncedDisk())
        whole_lines = sum(start <= cut for start in starts) - 1
        whole = whole_lines - 1 - (whole_lines > 1) - (whole_lines > 9)
        *kept, last = read_session(killed, key)
        assert kept == records[:whole]
        assert (last.kind, last.payload) == ("repaired", b'{"cut_bytes":%d,"records":%d}' % (repaired.cut_bytes, whole))
        torn = cut - max(start for start in starts if start <= cut)
        assert (repaired.cut_bytes, repaired.last_seq, repaired.was_whole) == (torn, whole + 1, False)
        if torn < 2:
            report = verify_session(killed, key)
            assert (report.ending, report.unsealed, report.torn_bytes, report.anchored) == ("repaired", 0, 0, whole + 1)
            assert repair(killed, key) == Repaired(0, whole + 1, report.head, was_whole=True)


def test_a_session_cut_in_its_manifest_is_refused_and_left_as_it_is(killed: Path, key: bytes | None) -> None:
    data = killed.read_bytes()[:50]
    killed.write_bytes(data)
    with pytest.raises(BadInput, match="nothing was recorded"):
        repair(killed, key)
    assert killed.read_bytes() == data


def test_a_tail_of_zeros_or_garbage_lines_is_cut(killed: Path, key: bytes | None) -> None:
    data = killed.read_bytes()
    for garbage in (b"\0" * 5_000, b"\0\n\0", b"\n", b'{"k":"frame"}\n\n\n'):
        killed.write_bytes(data + garbage)
        killed.with_name(killed.name + ".anchor").unlink(missing_ok=True)
        assert repair(killed, key)[:2] == (len(garbage), 11)
        assert len(list(read_session(killed, key))) == 11


def test_damage_in_front_of_whole_records_is_not_cut(killed: Path, key: bytes | None) -> None:
    lines = lines_of(killed)
    for at in (2, 5, 8, 10, -2):
        broken = [*lines[:at], lines[at][:20] + b"\0" + lines[at][21:], *lines[at:][1:]]
        killed.write_bytes(b"".join(broken))
        with pytest.raises(Tampered, match=f"line {len(lines) + at + 1 if at < 0 else at + 1}, byte"):
            repair(killed, key)
        assert killed.read_bytes() == b"".join(broken)


def test_an_anchored_record_that_is_missing_is_not_repaired_away(closed: Path, key: bytes | None) -> None:
    data = b"".join(lines_of(closed)[:-3])
    closed.write_bytes(data)
    with pytest.raises(Tampered, match="cut off or lost"):
        repair(closed, key)
    assert closed.read_bytes() == data


def test_a_whole_session_is_left_as_it_is(closed: Path, key: bytes | None) -> None:
    before = closed.read_bytes()
    assert repair(closed, key) == Repaired(0, 8, verify_session(closed, key).head, was_whole=True)
    assert closed.read_bytes() == before


def test_a_living_session_is_not_repaired(make: Make) -> None:
    writer = make()
    append_all(writer)
    writer.flush()
    with pytest.raises(BadInput, match="is being written by an engine"):
        repair(writer.path)


def test_a_keyed_session_is_not_ended_without_its_key(make: Make, tmp_path: Path) -> None:
    writer = make(key=KEY)
    append_all(writer)
    writer.flush()
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(writer.path.read_bytes())
    with pytest.raises(BadInput, match="cannot be ended without its key"):
        repair(copy)


def test_what_is_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        repair(tmp_path / "missing.jsonl")
    with pytest.raises(BadInput, match="decompress it first"):
        repair(tmp_path / "x.jsonl.gz")


def test_anchors_go_on_behind_a_fragment(make: Make, tmp_path: Path) -> None:
    writer = make()
    append_all(writer)
    writer.flush()
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(writer.path.read_bytes())
    anchors = copy.with_name("copy.jsonl.anchor")
    anchors.write_bytes(writer.path.with_name("session.jsonl.anchor").read_bytes() + b'{"k":"anch')
    repair(copy)
    assert verify_session(copy).anchored == 8


KILLED = """
import sys
from pathlib import Path
from replay.session import SessionWriter
key = bytes.fromhex(sys.argv[2]) or None
writer = SessionWriter.create(Path(sys.argv[1]), {"run": 1}, key=key, anchor_every=100)
count = 0
while True:
    for _ in range(37):
        count += 1
        writer.append("frame", count, count, "kraken.public", "x" * (count % 500))
    writer.flush()
    print(count, flush=True)
"""


@pytest.mark.parametrize("after", [1, 30, 120])
def test_a_process_killed_while_it_appends_loses_nothing_that_it_had_flushed(tmp_path: Path, key: bytes | None, after: int) -> None:
    path = tmp_path / "killed.jsonl"
    arguments = [sys.executable, "-c", KILLED, str(path), (key or b"").hex()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        for _ in range(after):
            flushed = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        flushed = max([flushed, *(int(line) for line in process.stdout if line.endswith(b"\n"))])
    repaired = repair(path, key)
    *records, last = read_session(path, key)
    assert last.kind == "repaired"
    assert len(records) >= flushed
    assert [(r.seq, r.ts_recv_ns, r.payload) for r in records] == [(n, n, "x" * (n % 500)) for n in range(1, len(records) + 1)]
    assert repaired.last_seq == len(records) + 1
    assert verify_session(path, key).anchored == repaired.last_seq


def test_a_manifest_without_its_line_break_is_cut_and_nothing_is_appended_to_it(killed: Path) -> None:
    """The repair wrote its record behind the manifest on the same line, and made a file of it that nobody could read."""
    first = killed.read_bytes().split(b"\n")[0]
    # Its names may stand in another order where it was not written by us.
    for cut in (first, msgspec.json.encode(dict(reversed(msgspec.json.decode(first).items())))):
        killed.write_bytes(cut)
        with pytest.raises(BadInput, match="its first line is cut: nothing was recorded"):
            repair(killed)
        assert killed.read_bytes() == cut
