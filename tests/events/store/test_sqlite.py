import ctypes
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from events.errors import HoldfastError, StoreLocked, StoreProblem, Usage
from events.store import Store, open_store
from events.store.disk import RESERVE_BYTES
from events.store.sqlite import SQLiteStore
from tests.events.samples import event, history

ROOT = Path(__file__).resolve().parents[3]


def refusal_of(url: str) -> str:
    with pytest.raises(HoldfastError) as refusal:
        open_store(url)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def without_privileges(code: str, *arguments: str) -> str:
    """Return what a Python program prints for which permissions count, also where the tests run as root."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, preexec_fn=_obey_permissions
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _obey_permissions() -> None:
    if os.geteuid() == 0:
        prctl, drop_from_bounding_set, override, read_search = ctypes.CDLL(None).prctl, 24, 1, 2
        for capability in (override, read_search):
            assert prctl(drop_from_bounding_set, capability, 0, 0, 0) == 0


OPEN = """
import sys
from events.errors import HoldfastError
from events.store import open_store
try:
    store = open_store(sys.argv[1])
    store.acquire_lease()
except HoldfastError as refusal:
    print(refusal)
"""


# --- durability -------------------------------------------------------------------------------------------------------


def test_every_connection_syncs_each_commit_to_a_write_ahead_log(store: Store) -> None:
    assert isinstance(store, SQLiteStore)
    pool = store._factory.datastore.pool
    with store._factory.datastore.get_connection(commit=False), store._factory.datastore.get_connection(commit=False) as second:
        pragmas = [second._sqlite_conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]
    assert pool.num_in_pool == 2


def test_event_is_in_the_file_of_another_process_as_soon_as_it_is_acknowledged(store: Store, path: Path) -> None:
    store.append(history("hf000001", 3))
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM stored_events").fetchone() == (3,)
    connection.close()


def test_long_reader_does_not_hold_up_the_writer(store: Store, path: Path) -> None:
    store.append(history("hf000001", 3))
    connection = sqlite3.connect(path)
    cursor = connection.execute("SELECT * FROM stored_events")
    cursor.fetchone()
    store.append([event("hf000001", 4)])
    assert len(store.events_of("hf000001")) == 4
    assert len(cursor.fetchall()) == 2
    connection.close()


# --- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "sqlite:///"])
def test_file_is_named_by_a_path_or_by_an_address(path: Path, prefix: str) -> None:
    with open_store(f"{prefix}{path}") as store:
        assert store.name == str(path)
    assert path.exists()


def test_relative_path_is_taken_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("relative.db").close()
    assert (tmp_path / "relative.db").exists()


def test_odd_characters_of_a_path_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("events ?mode=ro#1%20.db", "évènements.db"):
        with open_store(str(tmp_path / name)) as store:
            store.acquire_lease()
            store.append(history("hf000001", 1))
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("url", ["", "mysql://host/db", "sqlite:///", "sqlite://events.db", "a\0b"])
def test_address_of_no_known_kind_is_a_usage_error(url: str) -> None:
    with pytest.raises(Usage, match=r"name a file or a postgresql:// address"):
        open_store(url)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    sentence = f"the folder {tmp_path}/var does not exist; create it or name another file"
    assert refusal_of(str(tmp_path / "var" / "events.db")).endswith(sentence)


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert refusal_of(str(tmp_path)) == f"{tmp_path}: is a folder; name a file in it"


def test_memory_is_refused() -> None:
    assert "a store in memory is not durable" in refusal_of(":memory:")


def test_file_that_is_not_a_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.write_text("price,qty\n61800.3,0.01\n")
    assert "is not a SQLite database" in refusal_of(str(path))
    assert path.read_text() == "price,qty\n61800.3,0.01\n"


def test_database_of_another_program_is_refused_and_left_as_it_was(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    before = path.read_bytes()
    assert "is a database of another program" in refusal_of(str(path))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_damaged_database_is_refused(path: Path) -> None:
    with open_store(str(path)) as store:
        store.acquire_lease()
        store.append(history("hf000001", 200))
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)
    assert "restore it from a copy" in refusal_of(str(path))


def test_empty_file_is_no_store_for_a_reader(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreProblem, match="is an empty file"):
        open_store(str(path), create=False)
    assert path.stat().st_size == 0


def test_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    printed = without_privileges(OPEN, str(folder / "events.db"))
    assert printed.endswith(f"no permission to write in the folder {folder}; give this user write permission")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("mode", "sentence"), [(0o444, "no permission to write the file"), (0o000, "cannot be read: Permission denied")])
def test_file_without_permission_is_refused(path: Path, mode: int, sentence: str) -> None:
    open_store(str(path)).close()
    path.chmod(mode)
    assert sentence in without_privileges(OPEN, str(path))


def test_lock_file_of_another_user_is_refused(path: Path) -> None:
    open_store(str(path)).close()
    path.with_name("events.db.lock").touch(mode=0o000)
    assert "the lock file cannot be opened: Permission denied" in without_privileges(OPEN, str(path))


# --- the lock ---------------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from events.store import open_store
store = open_store(sys.argv[1])
print(store.acquire_lease().token, flush=True)
time.sleep(60)
"""


def test_engine_in_another_process_is_named_and_its_death_frees_the_store(path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        token = int(holder.stdout.readline())
        with open_store(str(path)) as store:
            with pytest.raises(StoreLocked, match=f"process id {holder.pid} on"):
                store.acquire_lease()
            holder.kill()
            holder.wait()
            assert store.acquire_lease().token == token + 1
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_lock_is_not_inherited_by_a_program_that_the_engine_starts(path: Path) -> None:
    with open_store(str(path)) as store:
        store.acquire_lease()
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    try:
        with open_store(str(path)) as store:
            store.acquire_lease()
    finally:
        child.kill()
        child.wait()


# --- the reserve ------------------------------------------------------------------------------------------------------


def test_reserve_is_taken_by_the_writer_and_not_by_a_reader(path: Path) -> None:
    reserve = path.with_name("events.db.reserve")
    with open_store(str(path)) as store:
        assert not reserve.exists()
        store.acquire_lease()
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
        assert not store.give_back_reserve()
    assert reserve.exists()
