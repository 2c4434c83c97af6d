import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.errors import HoldfastError, StoreProblem, Tampered, UnknownSchema
from events.store import Recovery, Spool, Store, open_store, recover_spool
from tests.events.samples import event, history
from tests.events.store.faults import spooled_lines


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    return tmp_path / "spool.jsonl"


def spool_of(path: Path, store: Store, *groups: list[object]) -> None:
    spool = Spool(path, store)
    for group in groups:
        spool.append(group)  # type: ignore[arg-type]
    spool.close()


def test_spooled_events_are_merged_and_the_spool_is_put_aside(store: Store, spool_path: Path) -> None:
    store.append(history("hf000001", 2))
    spool_of(spool_path, store, [event("hf000001", 3), event("hf000002", 1)], [event("hf000001", 4)])
    assert recover_spool(store, spool_path) == Recovery(3, 0, 0, spool_path.with_name("spool.jsonl.merged-1"))
    assert store.events_of("hf000001") == history("hf000001", 4)
    assert store.events_of("hf000002") == history("hf000002", 1)
    assert not spool_path.exists()
    assert recover_spool(store, spool_path) == Recovery()


def test_events_that_are_in_the_store_already_are_passed_over(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, list(history("hf000001", 4)))
    store.append(history("hf000001", 2))
    assert recover_spool(store, spool_path).merged == 2
    spool_path.with_name("spool.jsonl.merged-1").rename(spool_path)
    recovery = recover_spool(store, spool_path)
    assert (recovery.merged, recovery.already_stored) == (0, 4)
    assert store.events_of("hf000001") == history("hf000001", 4)


def test_each_merged_spool_is_kept(store: Store, spool_path: Path) -> None:
    for version in (1, 2):
        spool_of(spool_path, store, [event("hf000001", version)])
        kept = recover_spool(store, spool_path).kept_as
        assert kept == spool_path.with_name(f"spool.jsonl.merged-{version}")
        assert len(spooled_lines(kept)) == 1


def test_without_a_spool_there_is_nothing_to_merge(store: Store, spool_path: Path) -> None:
    assert recover_spool(store, spool_path) == Recovery()
    spool_path.touch()
    assert recover_spool(store, spool_path) == Recovery()
    assert not spool_path.exists()


def test_spool_is_text_with_one_event_a_line(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, list(history("hf000001", 2)))
    header, *lines = (json.loads(line) for line in spool_path.read_text().splitlines())
    assert header == {"spool": "holdfast-spool.1", "events": "holdfast-event.1", "store_id": store.store_id}
    assert [line["event"]["version"] for line in lines] == [1, 2]
    assert [len(line["chain"]) for line in lines] == [64, 64]
    assert spool_path.stat().st_mode & 0o777 == 0o600


def test_spool_that_cannot_be_read_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match="the emergency spool cannot be read: Is a directory"):
        recover_spool(store, tmp_path)


# --- what is refused leaves both files as they were --------------------------------------------------------------------


def refuses(store: Store, path: Path, kind: type[HoldfastError], sentence: str) -> None:
    data, log = path.read_bytes(), list(store.all_events())
    with pytest.raises(kind, match=sentence):
        recover_spool(store, path)
    assert path.read_bytes() == data
    assert list(store.all_events()) == log


def test_another_event_of_the_same_version_is_refused(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, [event("hf000002", 1), event("hf000001", 1)])
    store.append([event("hf000001", 1, size=1)])
    refuses(store, spool_path, StoreProblem, "position hf000001 version 1 cannot be merged: the store holds another event of this version")


def test_gap_between_store_and_spool_is_refused(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, [event("hf000001", 3)])
    store.append([event("hf000001", 1)])
    refuses(store, spool_path, StoreProblem, "position hf000001 version 3 cannot be merged: the store ends at version 1")


def test_spool_of_another_store_is_refused(store: Store, spool_path: Path, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "other.db")) as other:
        spool_of(spool_path, other, [event("hf000001", 1)])
    refuses(store, spool_path, StoreProblem, "belongs to another store")


def test_spool_of_another_schema_is_refused(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, [event("hf000001", 1)])
    spool_path.write_bytes(spool_path.read_bytes().replace(b"holdfast-event.1", b"holdfast-event.0"))
    refuses(store, spool_path, UnknownSchema, r"holdfast-event\.0")


@pytest.mark.parametrize("line", [1, 2, 3])
def test_changed_byte_before_the_last_line_is_named(store: Store, spool_path: Path, line: int) -> None:
    spool_of(spool_path, store, list(history("hf000001", 4)))
    lines = spool_path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"Insufficient", b"Insufficienz")
    spool_path.write_bytes(b"".join(lines))
    refuses(store, spool_path, Tampered, f"line {line + 1}: does not match its chain")


@pytest.mark.parametrize("removed", [1, 2])
def test_removed_line_is_noticed(store: Store, spool_path: Path, removed: int) -> None:
    spool_of(spool_path, store, list(history("hf000001", 4)))
    lines = spool_path.read_bytes().splitlines(keepends=True)
    del lines[removed]
    spool_path.write_bytes(b"".join(lines))
    refuses(store, spool_path, Tampered, f"line {removed + 1}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 10_000))
def test_spool_cut_anywhere_gives_its_whole_lines_and_reports_the_rest(store: Store, spool_path: Path, cut: int) -> None:
    spool_path.unlink(missing_ok=True)
    position_id = f"hf{cut:06d}"
    written = history(position_id, 6)
    spool_of(spool_path, store, list(written))
    data = spool_path.read_bytes()
    kept = data[: 1 + cut % (len(data) - 1)]
    spool_path.write_bytes(kept)
    whole_lines = kept.count(b"\n")
    before = len(store.events_of(position_id))
    recovery = recover_spool(store, spool_path)
    assert recovery.merged + recovery.already_stored == max(whole_lines - 1, 0)
    assert recovery.torn_bytes == len(kept) - (kept.rfind(b"\n") + 1)
    assert store.events_of(position_id) == written[: max(before, whole_lines - 1)]


def test_last_line_that_was_half_overwritten_is_cut(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, list(history("hf000001", 3)))
    data = spool_path.read_bytes()
    last = len(data.splitlines(keepends=True)[-1])
    spool_path.write_bytes(data[:-last] + b"\0" * (last - 1) + b"\n")
    recovery = recover_spool(store, spool_path)
    assert (recovery.merged, recovery.torn_bytes) == (2, last)


# --- opening ----------------------------------------------------------------------------------------------------------


def test_spool_that_holds_events_is_not_written_again(store: Store, spool_path: Path) -> None:
    spool_of(spool_path, store, [event("hf000001", 1)])
    data = spool_path.read_bytes()
    with pytest.raises(StoreProblem, match="holds events that are not in the store yet; merge it first"):
        Spool(spool_path, store)
    assert spool_path.read_bytes() == data


def test_spool_in_a_missing_folder_is_refused_at_the_start(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match="the emergency spool cannot be opened: No such file or directory"):
        Spool(tmp_path / "missing" / "spool", store)


def test_spool_of_a_running_engine_is_refused(store: Store, spool_path: Path) -> None:
    spool = Spool(spool_path, store)
    with pytest.raises(StoreProblem, match="is another engine's"):
        Spool(spool_path, store)
    spool.close()


def test_unused_spool_leaves_no_file(store: Store, spool_path: Path) -> None:
    spool = Spool(spool_path, store)
    assert spool_path.exists()
    spool.close()
    assert not spool_path.exists()


@pytest.mark.parametrize("lost", ["of the first event", "of the header", "of the last event"])
def test_sectors_lost_with_the_power_within_the_last_append_are_cut_with_what_follows(store: Store, spool_path: Path, lost: str) -> None:
    """An append is synced before the next: what was lost was never promised, and nothing behind it was."""
    spool = Spool(spool_path, store)
    synced = 0
    if lost != "of the header":
        spool.append([event("hf000001", 1)])
        synced = spool_path.stat().st_size
    spool.append(list(history("hf000002", 3)))
    spool.close()
    data = bytearray(spool_path.read_bytes())
    start = {"of the first event": synced + 40, "of the header": 10, "of the last event": len(data) - 40}[lost]
    data[start : start + 30] = bytes(30)
    spool_path.write_bytes(data)
    recovery = recover_spool(store, spool_path)
    assert recovery.merged == {"of the first event": 1, "of the header": 0, "of the last event": 3}[lost]
    assert recovery.torn_bytes > 0
    assert recovery.kept_as is not None
    assert recovery.kept_as.read_bytes() == data
