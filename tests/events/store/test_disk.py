import os
import threading
from pathlib import Path

import pytest

from events.store.disk import RESERVE_BYTES, Disk, Reserve, is_full


def test_all_is_written_also_where_the_system_takes_a_part_at_a_time() -> None:
    read_end, write_end = os.pipe()
    data = os.urandom(1 << 20)
    received = bytearray()

    def read() -> None:
        while part := os.read(read_end, 1 << 16):
            received.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    Disk().write(write_end, data)
    Disk().sync(write_end)  # a pipe has nothing to sync
    os.close(write_end)
    reader.join()
    os.close(read_end)
    assert received == data


def test_full_device_is_an_error() -> None:
    fd = Disk().open_to_append(Path("/dev/full"))
    try:
        with pytest.raises(OSError, match="No space left"):
            Disk().write(fd, b"x")
    finally:
        os.close(fd)


def test_sync_of_a_closed_file_is_an_error(tmp_path: Path) -> None:
    fd = Disk().open_to_append(tmp_path / "file")
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Disk().sync(fd)


def test_file_to_append_to_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in (b"a", b"b"):
        fd = Disk().open_to_append(path)
        Disk().write(fd, text)
        os.close(fd)
    assert path.read_bytes() == b"ab"
    assert path.stat().st_mode & 0o777 == 0o600


def test_reserve_takes_real_space_until_it_is_given_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.take()
    assert reserve.take()
    assert reserve.is_held
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    reserve.give_back()
    reserve.give_back()
    assert list(tmp_path.iterdir()) == []


def test_reserve_that_cannot_be_taken_leaves_nothing(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "missing" / "reserve")
    assert not reserve.take()
    assert not reserve.is_held


def test_folder_with_room_is_not_full(tmp_path: Path) -> None:
    assert not is_full(tmp_path)
    assert not is_full(tmp_path / "missing")


def test_folder_of_a_file_system_that_holds_nothing_is_not_full() -> None:
    assert not is_full(Path("/proc"))
