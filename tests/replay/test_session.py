"""Writing sessions: what is appended comes back, and a failing disk stops the recording, nothing else."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from events.errors import BadInput, NotFound
from events.store.disk import Disk
from replay.session import BLOCK_RECORDS, MAX_BODY_BYTES, Redactor, SessionWriter, manifest_from, read_session, repair, verify_session
from tests.replay.sessions import FRAME, KEY, RECORDS, append_all, content, lines_of

Make = Callable[..., SessionWriter]


class FailingDisk(Disk):
    """A disk that is full at the Nth write of a session file, after half of it, or whose Nth sync fails."""

    def __init__(self, write: int = 0, sync: int = 0) -> None:
        self.writes, self.syncs = write, sync

    def write(self, fd: int, data: bytes) -> None:
        self.writes -= 1
        if self.writes == 0:
            super().write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        self.syncs -= 1
        if self.syncs == 0:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)


def test_what_was_appended_comes_back_verbatim_and_in_order(make: Make, key: bytes | None) -> None:
    writer = make(key=key)
    append_all(writer)
    writer.close()
    *records, end = read_session(writer.path, key)
    assert [(r.kind, r.ts_recv_ns, r.ts_event_ns, r.source, r.payload) for r in records] == list(RECORDS)
    assert [r.seq for r in records] == list(range(1, len(RECORDS) + 1))
    assert (end.kind, end.payload) == ("end", b'{"records":7}')


def test_every_line_is_json_that_text_tools_can_read(closed: Path) -> None:
    manifest, seal, *rest = [json.loads(line) for line in lines_of(closed)]
    assert (manifest["k"], manifest["schema"], manifest["namespace"]) == ("manifest", "holdfast-session.1", "hf")
    assert manifest["configuration"] == {"symbol": "BTC/USD"}
    assert set(manifest["versions"]) == {"holdfast", "transitions", "eventsourcing", "msgspec", "websockets", "python"}
    assert (seal["k"], seal["n"]) == ("seal", 0)
    frames = [line["d"] for line in rest if line["k"] == "frame"]
    assert frames[0] == FRAME
    assert rest[0]["d"] == {"state": "live"}


def test_a_session_is_iterated_over_from_the_start_each_time(closed: Path, key: bytes | None) -> None:
    session = read_session(closed, key)
    assert session.manifest["table_hash"] == "abc"
    assert list(session) == list(session)


def test_the_file_is_its_owners_only(closed: Path) -> None:
    assert closed.stat().st_mode & 0o777 == 0o600


def test_the_same_records_make_the_same_bytes(make: Make, key: bytes | None) -> None:
    paths = []
    for name in ("one.jsonl", "two.jsonl"):
        writer = make(name, key=key)
        append_all(writer)
        writer.close()
        paths.append(writer.path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_append_returns_the_payload_as_it_was_recorded(make: Make) -> None:
    writer = make()
    assert writer.append("frame", 1, 1, "kraken.private", '{"token":"s3cr3t"}') == '{"token":"[redacted]"}'
    assert writer.append("sent", 1, 1, "", b'{"token":"s3cr3t"}') == b'{"token":"[redacted]"}'
    assert writer.append("frame", 1, 1, "kraken.private", FRAME) is FRAME


def test_no_secret_gets_into_file_or_anchor(make: Make) -> None:
    canary = "cAn4ry/Secret+Value=="
    writer = make("canary.jsonl", redactor=Redactor([canary]), key=KEY)
    in_address = "wss://host/ws?x=cAn4ry%2FSecret%2BValue%3D%3D"
    for text in (canary, f'["{canary}"]', canary.replace("/", "\\/"), in_address, f"API-Sign: {canary}"):
        writer.append("frame", 1, 1, "kraken.private", text)
        for kind in ("intent", "timer", "link", "sent", "event"):
            writer.append(kind, 1, 1, "s", json.dumps({"x": text, "password": "by-n4me"}).encode())
    writer.close()
    manifest = manifest_from(configuration={"venue": {"api_key": canary}}, table_hash="", started_ns=0, namespace="hf")
    other = SessionWriter.create(writer.path.with_name("two.jsonl"), manifest)
    other.close()
    for path in writer.path.parent.iterdir():
        for leak in (b"cAn4ry", b"Secret+Value", b"by-n4me", KEY):
            assert leak not in path.read_bytes()
    assert len(list(read_session(writer.path, KEY))) == 31


def test_flushed_records_can_be_read_while_the_session_is_written(make: Make, key: bytes | None) -> None:
    writer = make(key=key, anchor_every=100)
    for count in range(1, 700):
        writer.append("frame", count, count, "kraken.public", FRAME)
        if count % 97 == 0:
            writer.flush()
            assert [r.seq for r in read_session(writer.path, key)] == list(range(1, count + 1))
    report = verify_session(writer.path, key)
    assert (report.ending, report.torn_bytes, report.anchored) == ("open", 0, 600)


def test_a_reader_never_takes_a_growing_session_for_a_cut_one(make: Make) -> None:
    writer = make(anchor_every=50)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            writer.append("frame", 1, 1, "kraken.public", FRAME)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(12):
            assert verify_session(writer.path).ending == "open"
    finally:
        stop.set()
        thread.join()


def test_sync_in_a_thread_and_appends_lose_nothing(make: Make, key: bytes | None) -> None:
    writer = make(key=key)
    done = threading.Event()

    def sync() -> None:
        while not done.is_set():
            writer.sync()

    thread = threading.Thread(target=sync)
    thread.start()
    for count in range(3_000):
        writer.append("timer", count, count, "", b"{}")
    done.set()
    thread.join()
    writer.close()
    assert [r.ts_recv_ns for r in read_session(writer.path, key)][:-1] == list(range(3_000))


def test_sync_seals_so_that_nothing_on_the_disk_is_unproven(make: Make, key: bytes | None) -> None:
    writer = make(key=key)
    append_all(writer)
    writer.sync()
    report = verify_session(writer.path, key)
    assert (report.records, report.unsealed, report.head) == (7, 0, writer.head)


# --- a disk that fails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", range(3, 12))
def test_a_full_disk_never_raises_and_what_was_written_is_kept(make: Make, key: bytes | None, nth: int) -> None:
    told: list[str] = []
    writer = make(key=key, disk=FailingDisk(write=nth), on_failure=told.append, anchor_every=10_000)
    for count in range(2_000):
        assert writer.append("frame", count, count, "kraken.public", FRAME) is FRAME
        if count % 200 == 0:
            writer.flush()
    writer.close()
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert told[0] == writer.failure
    kept = [r.ts_recv_ns for r in read_session(writer.path, key)]
    assert kept == list(range(len(kept)))
    assert len(kept) + writer.lost >= 2_000
    whole = repair(writer.path, key)
    assert whole.last_seq == len(kept) + 1


def test_a_failed_sync_is_told_once_and_never_tried_again(make: Make) -> None:
    told: list[str] = []
    disk = FailingDisk(sync=5)  # two folders when the two files are made, then the session and its anchors
    writer = make(disk=disk, on_failure=told.append)
    append_all(writer)
    writer.sync()
    writer.sync()
    append_all(writer)
    writer.sync()
    assert told == [writer.failure]
    assert "may not be on the disk" in told[0]
    assert disk.syncs == 0
    assert writer.lost == 7


def test_failing_anchors_do_not_stop_the_session(make: Make) -> None:
    told: list[str] = []
    writer = make(disk=FailingDisk(write=4), on_failure=told.append, anchor_every=len(RECORDS))
    append_all(writer)
    append_all(writer)
    writer.close()
    assert len(told) == 1
    assert "a cut tail of the session will not be noticed" in told[0]
    assert writer.failure is None
    assert len(list(read_session(writer.path))) == 2 * len(RECORDS) + 1


def test_a_file_size_limit_of_the_system_is_survived(tmp_path: Path) -> None:
    program = f"""
import resource
from replay.session import SessionWriter
writer = SessionWriter.create({str(tmp_path / "s.jsonl")!r}, {{}}, on_failure=print)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for count in range(5_000):
    writer.append("frame", count, count, "kraken.public", "x" * 50)
writer.close()
print(writer.lost, "lost")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    told, lost = done.stdout.splitlines()
    assert "cannot be written (File too large)" in told
    assert int(lost.split()[0]) > 4_000
    repaired = repair(tmp_path / "s.jsonl")
    assert repaired.cut_bytes > 0
    assert repaired.last_seq > 500


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("frame", b"{}"),
        ("frame", "\ud800"),
        ("event", b'{\n"a":1}'),
        ("event", b""),
        ("nonsense", b"{}"),
        ("frame", "x" * (MAX_BODY_BYTES + 1)),
    ],
    ids=["bytes", "surrogate", "line break", "nothing", "kind", "size"],
)
def test_what_cannot_be_recorded_fails_the_session_and_not_the_engine(make: Make, kind: str, payload: str | bytes) -> None:
    told: list[str] = []
    writer = make(on_failure=told.append)
    append_all(writer)
    writer.append(kind, 1, 1, "kraken.public", payload)
    append_all(writer)
    writer.close()
    assert len(told) == 1
    assert "record 8" in told[0]
    assert writer.lost == 1 + len(RECORDS)
    assert len(list(read_session(writer.path))) == len(RECORDS)


def test_appending_after_the_close_is_counted_as_lost(make: Make) -> None:
    writer = make()
    writer.close()
    writer.append("timer", 1, 1, "", b"{}")
    writer.flush()
    writer.sync()
    writer.close()
    assert writer.lost == 1
    assert verify_session(writer.path).records == 1


# --- opening ------------------------------------------------------------------------------------------------------------


def test_an_existing_file_is_never_written_over(closed: Path, key: bytes | None) -> None:
    before = closed.read_bytes()
    with pytest.raises(BadInput, match=r"session\.jsonl: exists already.*name of its own"):
        SessionWriter.create(closed, content(), key=key)
    assert closed.read_bytes() == before


def test_anchors_of_another_session_are_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl.anchor").write_text("kept")
    with pytest.raises(BadInput, match=r"s\.jsonl\.anchor: exists already"):
        SessionWriter.create(tmp_path / "s.jsonl", content())
    assert [path.name for path in tmp_path.iterdir()] == ["s.jsonl.anchor"]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"directory '.*missing' does not exist; make it"):
        SessionWriter.create(tmp_path / "missing" / "s.jsonl", content())


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_directory_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match=r"cannot be written .Permission denied"):
        SessionWriter.create(tmp_path / "s.jsonl", content())


@pytest.mark.parametrize("nth", [1, 2])
def test_a_session_that_cannot_be_started_leaves_nothing(tmp_path: Path, nth: int) -> None:
    with pytest.raises(BadInput, match="No space left on device"):
        SessionWriter.create(tmp_path / "s.jsonl", content(), disk=FailingDisk(write=nth))
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="manifest: is no JSON object"):
        SessionWriter.create(tmp_path / "s.jsonl", {"x": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"key": b""}, {"anchor_every": 0}])
def test_a_useless_key_or_anchor_distance_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        SessionWriter.create(tmp_path / "s.jsonl", content(), **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_session_can_be_anchored_in_a_directory_of_its_own(make: Make, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    writer = make(anchor_path=outside)
    append_all(writer)
    writer.close()
    assert [path.name for path in outside.iterdir()] == ["session.jsonl.anchor"]
    assert verify_session(writer.path, anchor=outside).anchored == len(RECORDS) + 1
    assert verify_session(writer.path).anchored is None


def test_a_manifest_cannot_pass_for_another_schema(tmp_path: Path) -> None:
    SessionWriter.create(tmp_path / "s.jsonl", {"schema": "mine", "k": "frame", "x": 1}).close()
    assert read_session(tmp_path / "s.jsonl").manifest == {"k": "manifest", "schema": "holdfast-session.1", "chain": "sha256", "x": 1}


def test_a_path_that_no_file_can_have_is_named() -> None:
    with pytest.raises(BadInput, match=r"cannot be written .embedded null byte"):
        SessionWriter.create("a\0b", content())


def test_a_new_session_names_the_one_that_it_continues(make: Make, tmp_path: Path) -> None:
    writer = make()
    append_all(writer)
    writer.close()
    report = verify_session(writer.path)
    previous = {"file": writer.path.name, "last_seq": report.records, "head": report.head}
    manifest = manifest_from(configuration={}, table_hash="", started_ns=20, namespace="hf", previous=previous)  # type: ignore[arg-type]
    SessionWriter.create(tmp_path / "second.jsonl", manifest).close()
    assert read_session(tmp_path / "second.jsonl").manifest["previous"] == previous


def test_blocks_are_written_on_their_own_when_full(make: Make) -> None:
    writer = make()
    for count in range(BLOCK_RECORDS + 1):
        writer.append("timer", count, count, "", b"{}")
    assert verify_session(writer.path).records == BLOCK_RECORDS
