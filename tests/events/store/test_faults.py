"""What happens when the disk is full, a commit fails or hangs, the database goes away, and the emergency spool fails too.

Wherever the operating system can be made to fail for real, it is: a file size limit, a full file system, a full device, a killed
server. An error at the Nth commit or sync, and one after the commit, come from a failing `Disk`.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from events.errors import StoreFailed, StoreProblem
from events.store import Disk, Fenced, OutboxGate, Outgoing, Spool, Store, Writer, open_store, recover_spool
from tests.events.samples import ENTRY, STOP, event, history
from tests.events.store.conftest import Reports
from tests.events.store.faults import FailingDisk, StuckDisk, spooled_lines
from tests.pg import server_or_skip

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder / "spool.jsonl"


@contextlib.contextmanager
def writing(url: str, spool_path: Path, reports: Reports, disk: Disk, spool_disk: Disk | None = None, **options: float) -> Iterator[Writer]:
    """An engine's writer with a store and a spool; `disk` fails for the store, `spool_disk` for the spool."""
    with open_store(url, disk=disk) as store:
        store.acquire_lease()
        spool = Spool(spool_path, store, disk=spool_disk)
        writer = Writer(store, spool, on_failure=reports.on_failure, on_page=reports.on_page, **options)  # type: ignore[arg-type]
        yield writer
        writer.close()


def submit_one_by_one(writer: Writer, first: int, last: int, reports: Reports) -> None:
    for version in range(first, last + 1):
        writer.submit([event("hf000001", version)], reports.on_durable(str(version)))
        assert writer.flush(10)


def assert_recovered(url: str, spool_path: Path, count: int) -> None:
    """Start again: every event that was submitted is there, once and in order, and the store is written again."""
    with open_store(url) as store:
        store.acquire_lease()
        recover_spool(store, spool_path)
        assert store.events_of("hf000001") == history("hf000001", count)
        store.append([event("hf000001", count + 1)])


# --- the store fails, the spool takes over ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_error_at_the_nth_commit_loses_and_doubles_nothing(path: Path, spool_path: Path, reports: Reports, nth: int, how: str) -> None:
    disk = FailingDisk("commit", nth, how)
    with writing(str(path), spool_path, reports, disk) as writer:
        disk.arm()
        submit_one_by_one(writer, 1, 8, reports)
        stats = writer.stats()
    assert reports.durable == [str(version) for version in range(1, nth)]
    assert (stats.state, stats.events, stats.spooled, stats.backlog) == ("spooling", nth - 1, 9 - nth, 0)
    assert [type(failure) for failure in reports.failures] == [StoreFailed]
    assert reports.page_codes == ["STORE_FAILED"]
    assert "disk I/O error" in reports.pages[0][1]
    assert str(spool_path) in reports.pages[0][1]
    assert len(spooled_lines(spool_path)) == 9 - nth
    assert disk.count == nth
    assert_recovered(str(path), spool_path, 8)


def test_a_failed_store_is_not_written_again_by_anybody(path: Path) -> None:
    disk = FailingDisk("commit")
    with open_store(str(path), disk=disk) as store:
        store.acquire_lease()
        disk.arm()
        for _ in range(3):
            with pytest.raises(StoreFailed, match="disk I/O error"):
                store.append([event("hf000001", 1)])
        assert store.failure is not None
        assert disk.count == 1
        assert store.events_of("hf000001") == []


def test_backlog_of_a_failed_store_is_spooled_in_order(path: Path, spool_path: Path, reports: Reports) -> None:
    disk = FailingDisk("commit", 2)
    with writing(str(path), spool_path, reports, disk, max_group=10) as writer:
        disk.arm()
        for version in range(1, 501):
            writer.submit([event("hf000001", version)], reports.on_durable(str(version)))
    assert [json.loads(line)["event"]["version"] for line in spooled_lines(spool_path)] == list(range(len(reports.durable) + 1, 501))
    assert_recovered(str(path), spool_path, 500)


def test_file_that_may_not_grow_is_a_full_disk(path: Path, spool_path: Path, reports: Reports) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with writing(str(path), spool_path, reports, Disk()) as writer:
        submit_one_by_one(writer, 1, 3, reports)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("events.db-wal").stat().st_size, hard))
        try:
            submit_one_by_one(writer, 4, 6, reports)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert writer.stats().state == "spooling"
    assert reports.durable == ["1", "2", "3"]
    assert len(spooled_lines(spool_path)) == 3
    assert_recovered(str(path), spool_path, 6)


def test_store_that_is_closed_under_the_writer_is_a_failed_store(path: Path, spool_path: Path, reports: Reports) -> None:
    with open_store(str(path)) as store:
        lease = store.acquire_lease()
        writer = Writer(store, Spool(spool_path, store), on_failure=reports.on_failure, on_page=reports.on_page)
        submit_one_by_one(writer, 1, 2, reports)
        store.close()
        submit_one_by_one(writer, 3, 4, reports)
        writer.close()
        lease.release()
    assert reports.page_codes == ["STORE_FAILED"]
    assert_recovered(str(path), spool_path, 4)


def test_event_that_cannot_be_encoded_does_not_end_the_writer(path: Path, spool_path: Path, reports: Reports) -> None:
    broken = replace(event("hf000001", 1), guards=(object(),))
    with writing(str(path), spool_path, reports, Disk()) as writer:
        writer.submit([broken], reports.on_durable("broken"))
        assert writer.flush(10)
        writer.submit([event("hf000001", 2)], reports.on_durable("next"))
        assert writer.flush(10)
        assert writer.stats().unrecorded == 2
    assert reports.page_codes == ["STORE_FAILED", "SPOOL_FAILED"]
    assert reports.durable == []


def test_reader_of_a_store_that_is_gone_is_told_so(path: Path) -> None:
    store = open_store(str(path))
    store.close()
    whole = (lambda: store.events_of("hf000001"), lambda: list(store.all_events()))
    for read in (store.position_ids, store.follow, store.last_notification_id, *whole):
        with pytest.raises(StoreProblem, match="cannot be read"):
            read()


def test_lease_that_cannot_be_written_is_not_taken(path: Path) -> None:
    disk = FailingDisk("commit")
    with open_store(str(path), disk=disk) as store, open_store(str(path)) as other:
        disk.arm()
        with pytest.raises(StoreProblem, match="the lease cannot be written: disk I/O error"):
            store.acquire_lease()
        with pytest.raises(StoreProblem, match="without the writer lease"):
            store.append([event("hf000001", 1)])
        other.acquire_lease()


def test_store_that_cannot_be_made_is_refused(path: Path) -> None:
    disk = FailingDisk("commit")
    disk.arm()
    with pytest.raises(StoreProblem, match="cannot be opened: disk I/O error"):
        open_store(str(path), disk=disk)
    open_store(str(path)).close()


def test_version_conflict_goes_to_the_spool_and_is_refused_at_recovery(path: Path, spool_path: Path, reports: Reports) -> None:
    with writing(str(path), spool_path, reports, Disk()) as writer:
        writer.submit([event("hf000001", 1)])
        writer.submit([event("hf000001", 3)])
    assert "does not follow version 1" in str(reports.failures[0])
    with open_store(str(path)) as store:
        store.acquire_lease()
        with pytest.raises(StoreProblem, match="version 3 cannot be merged"):
            recover_spool(store, spool_path)


def test_engine_that_was_fenced_spools_and_says_that_it_was(path: Path, spool_path: Path, reports: Reports) -> None:
    with writing(str(path), spool_path, reports, Disk()) as writer:
        submit_one_by_one(writer, 1, 1, reports)
        path.with_name("events.db.lock").unlink()
        with open_store(str(path)) as other:
            other.acquire_lease()
            submit_one_by_one(writer, 2, 2, reports)
        assert isinstance(writer.failure, Fenced)
    assert "nothing is sent any more" in reports.pages[0][1]
    assert_recovered(str(path), spool_path, 2)


# --- a disk that hangs ------------------------------------------------------------------------------------------------


def test_commit_that_does_not_return_is_left_behind(path: Path, spool_path: Path, reports: Reports) -> None:
    disk = StuckDisk()
    with writing(str(path), spool_path, reports, disk, stall_timeout_s=0.1) as writer:
        submit_one_by_one(writer, 1, 2, reports)
        disk.arm()
        writer.submit([event("hf000001", 3)], reports.on_durable("3"))
        assert disk.is_stuck.wait(10)
        assert not writer.flush(0.2)
        writer.submit([event("hf000001", 4)], reports.on_durable("4"))
        assert writer.flush(10)
        assert writer.stats().spooled == 2
        assert reports.page_codes == ["STORE_FAILED"]
        assert "a commit has not returned for 0.1 s" in reports.pages[0][1]
        disk.release()
        submit_one_by_one(writer, 5, 6, reports)
    # The stuck commit came through in the end, which nobody was told: the spool holds its event too.
    assert reports.durable == ["1", "2"]
    assert len(spooled_lines(spool_path)) == 4
    assert_recovered(str(path), spool_path, 6)


def test_closing_does_not_wait_for_a_disk_that_hangs(path: Path, spool_path: Path, reports: Reports) -> None:
    disk = StuckDisk()
    with writing(str(path), spool_path, reports, disk) as writer:
        disk.arm()
        for version in range(1, 4):
            writer.submit([event("hf000001", version)])
        assert disk.is_stuck.wait(10)
        stats = writer.close(timeout_s=0.1)
        assert (stats.state, stats.spooled, stats.backlog) == ("spooling", 3, 0)
        disk.release()
    assert_recovered(str(path), spool_path, 3)


def test_queue_that_grows_too_long_is_a_stalled_store(path: Path, spool_path: Path, reports: Reports) -> None:
    disk = StuckDisk()
    with writing(str(path), spool_path, reports, disk, max_backlog=50) as writer:
        disk.arm()
        for version in range(1, 61):
            writer.submit([event("hf000001", version)])
        assert writer.flush(10)
        assert reports.page_codes == ["STORE_FAILED"]
        assert writer.stats().spooled == 60
        disk.release()
    assert_recovered(str(path), spool_path, 60)


# --- the spool fails too ----------------------------------------------------------------------------------------------


def test_full_spool_leaves_the_events_in_memory_and_pages(path: Path, reports: Reports) -> None:
    disk = FailingDisk("commit", 2)
    with writing(str(path), Path("/dev/full"), reports, disk) as writer:
        disk.arm()
        submit_one_by_one(writer, 1, 4, reports)
        stats = writer.stats()
        assert (stats.state, stats.events, stats.spooled, stats.unrecorded, stats.backlog) == ("unrecorded", 1, 0, 3, 0)
        assert writer.unrecorded == history("hf000001", 3, first=2)
    assert reports.page_codes == ["STORE_FAILED", "SPOOL_FAILED"]
    assert "No space left on device" in reports.pages[1][1]
    assert len(reports.failures) == 1
    assert Path("/dev/full").exists()


@pytest.mark.parametrize(("call", "how"), [("write", "before"), ("write", "half"), ("sync", "before")])
def test_spool_that_fails_is_not_written_again_and_keeps_what_it_had(
    path: Path, spool_path: Path, reports: Reports, call: str, how: str
) -> None:
    disk, spool_disk = FailingDisk("commit"), FailingDisk(call, 3, how)
    with writing(str(path), spool_path, reports, disk, spool_disk) as writer:
        disk.arm()
        spool_disk.arm()
        submit_one_by_one(writer, 1, 5, reports)
        assert writer.unrecorded == history("hf000001", 3, first=3)
        assert spool_disk.count == 3
    with open_store(str(path)) as store:
        store.acquire_lease()
        recovery = recover_spool(store, spool_path)
        # The line whose sync failed may be there: it is whole, so it is taken.
        assert recovery.merged == (3 if call == "sync" else 2)
        assert (recovery.torn_bytes > 0) == (how == "half")


def test_spool_that_hangs_lets_the_engine_go_on(path: Path, spool_path: Path, reports: Reports) -> None:
    class StuckSpool(StuckDisk):
        def sync(self, fd: int) -> None:
            if self.is_armed:
                self.is_stuck.set()
                assert self._released.wait(30)

    disk, spool_disk = FailingDisk("commit"), StuckSpool()
    with writing(str(path), spool_path, reports, disk, spool_disk, max_backlog=20) as writer:
        disk.arm()
        spool_disk.arm()
        writer.submit([event("hf000001", 1)])
        assert spool_disk.is_stuck.wait(10)
        for version in range(2, 101):
            writer.submit([event("hf000001", version)])
        stats = writer.stats()
        assert stats.backlog == 40
        assert stats.unrecorded == 60
        assert reports.page_codes == ["STORE_FAILED", "SPOOL_FAILED"]
        spool_disk.release()


# --- contract 4, whole ------------------------------------------------------------------------------------------------


def test_entries_stop_and_protection_and_exits_go_on_when_the_disk_fails(path: Path, spool_path: Path, reports: Reports) -> None:
    disk = FailingDisk("commit", 2)
    gate = OutboxGate()
    sent: list[Outgoing] = []
    with writing(str(path), spool_path, reports, disk) as writer:
        disk.arm()
        for number in range(1, 4):
            opened = event(f"hf00000{number}", 1, ENTRY)
            admission = gate.admit(opened)
            writer.submit([opened], lambda opened=opened: sent.extend(gate.durable(opened)))  # type: ignore[misc]
            assert writer.flush(10)
            assert admission.send == ()
        dropped = gate.store_failed(reports.failures[0])
        protected = event("hf000001", 2, STOP)
        sent.extend(gate.admit(protected).send)
        writer.submit([protected])
    assert [(one.event.position_id, one.command) for one in sent] == [("hf000001", ENTRY), ("hf000001", STOP)]
    assert [one.event.position_id for one in dropped] == ["hf000002", "hf000003"]
    with open_store(str(path)) as store:
        store.acquire_lease()
        assert recover_spool(store, spool_path).merged == 3
        assert store.events_of("hf000001") == [event("hf000001", 1, ENTRY), protected]


# --- a file system that is full ---------------------------------------------------------------------------------------

FULL_DISK = """
import json, os, sys
from pathlib import Path
from events.errors import StoreProblem
from events.store import Spool, Writer, open_store
from tests.events.samples import event, history

disk, spool_path = Path(sys.argv[1]), Path(sys.argv[2])
url, report = str(disk / "events.db"), {}

def fill():
    with open(disk / "ballast", "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass

durable, pages = [], []
with open_store(url) as store:
    store.acquire_lease()
    writer = Writer(store, Spool(spool_path, store), on_failure=lambda problem: None, on_page=lambda code, text: pages.append(text))
    version = 0
    while not pages:
        version += 1
        writer.submit([event("hf000001", version, size=2000)], lambda version=version: durable.append(version))
        if version % 50 == 0:
            writer.flush(10)
    report["submitted"] = version
    report["stats"] = writer.close().state
    report["page"] = pages[0]
    report["reserve_left"] = (disk / "events.db.reserve").exists()
with open_store(url, create=False) as store:
    report["durable"] = len(durable)
    report["stored"] = len(store.events_of("hf000001"))

for name in ("full", "reserve"):
    # A second store, closed in peace, on a disk that somebody else has filled since.
    (disk / "ballast").unlink(missing_ok=True)
    for path in disk.glob("events.db*"):
        path.unlink()
    with open_store(url) as store:
        store.acquire_lease()
        store.append(history("hf000002", 3))
    if name == "full":
        (disk / "events.db.reserve").unlink()
    fill()
    try:
        with open_store(url) as store:
            report[name] = [len(store.events_of("hf000002")), store.acquire_lease().token, (disk / "events.db.reserve").exists()]
            store.append(history("hf000003", 3))
    except StoreProblem as problem:
        report[name] = str(problem)
print(json.dumps(report))
"""


def test_full_file_system_is_survived_and_named(tmp_path: Path, spool_path: Path) -> None:
    unshare = shutil.which("unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    # The mount lives in a name space of the child, and is gone with it.
    script = 'mount -t tmpfs -o size=6m tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1" "$4"'
    arguments = [str(disk), sys.executable, FULL_DISK, str(spool_path)]
    if unshare is None:
        pytest.skip("unshare is not installed")
    done = subprocess.run(
        [unshare, *as_root, "--mount", "sh", "-c", script, "sh", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["stats"] == "spooling"
    assert "database or disk is full" in report["page"]
    assert report["stored"] == report["durable"] > 100
    assert not report["reserve_left"]
    assert len(spooled_lines(spool_path)) == report["submitted"] - report["durable"]
    assert report["full"] == f"{disk}/events.db: the disk is full; make some megabytes free and start again"
    assert report["reserve"] == [3, 2, False]


# --- a server that goes away ------------------------------------------------------------------------------------------


def test_killed_server_is_a_failed_store_and_its_log_is_completed_when_it_is_back(spool_path: Path, reports: Reports) -> None:
    server = server_or_skip()
    url = f"{server.url}&schema=engine_1"
    try:
        with writing(url, spool_path, reports, Disk()) as writer:
            submit_one_by_one(writer, 1, 3, reports)
            server.stop(signal.SIGQUIT)
            submit_one_by_one(writer, 4, 6, reports)
            assert writer.stats().state == "spooling"
        assert reports.durable == ["1", "2", "3"]
        with pytest.raises(StoreProblem, match="cannot be reached"):
            open_store(url)
        server.start()
        assert_recovered(url, spool_path, 6)
    finally:
        server.remove()


def test_recovery_that_fails_half_way_is_done_again(store: Store, path: Path, spool_path: Path) -> None:
    spool = Spool(spool_path, store)
    spool.append(history("hf000001", 4))
    spool.close()
    store.close()
    disk = FailingDisk("commit", how="after")
    with open_store(str(path), disk=disk) as failing:
        failing.acquire_lease()
        disk.arm()
        with pytest.raises(StoreFailed):
            recover_spool(failing, spool_path)
    assert_recovered(str(path), spool_path, 4)
