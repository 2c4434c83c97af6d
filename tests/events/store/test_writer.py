import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from events.store import Spool, Store, Writer, open_store
from tests.events.samples import event, history
from tests.events.store.conftest import Reports
from tests.events.store.faults import StuckDisk


@pytest.fixture
def spool(store: Store, tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool.jsonl", store)


@pytest.fixture
def writer(store: Store, spool: Spool, reports: Reports) -> Iterator[Writer]:
    writer = Writer(store, spool, on_failure=reports.on_failure, on_page=reports.on_page)
    yield writer
    writer.close()
    assert reports.failures == []
    assert reports.pages == []


def test_submitted_events_are_durable_when_the_callback_comes(writer: Writer, store: Store) -> None:
    found: list[int] = []
    for version in range(1, 6):
        writer.submit([event("hf000001", version)], lambda: found.append(len(store.events_of("hf000001"))))
    assert writer.flush(10)
    assert all(count >= version for version, count in enumerate(found, start=1))
    assert store.events_of("hf000001") == history("hf000001", 5)


def test_callbacks_come_in_the_order_of_submission_and_outside_the_caller_s_thread(writer: Writer) -> None:
    called: list[tuple[int, bool]] = []
    caller = threading.current_thread()

    def note(number: int) -> Callable[[], None]:
        return lambda: called.append((number, threading.current_thread() is caller))

    for number in range(1, 2_001):
        writer.submit([event("hf000001", number)], note(number))
    assert writer.flush(10)
    assert called == [(number, False) for number in range(1, 2_001)]


def test_what_comes_together_while_the_disk_works_is_committed_together(writer: Writer) -> None:
    for version in range(1, 2_001):
        writer.submit([event("hf000001", version)])
    assert writer.flush(10)
    stats = writer.stats()
    assert (stats.state, stats.events, stats.backlog) == ("running", 2_000, 0)
    assert 4 <= stats.groups < 500
    assert 0 <= time.time_ns() - stats.last_commit_ns < 60_000_000_000


def test_submission_is_never_split(store: Store, spool: Spool, reports: Reports) -> None:
    writer = Writer(store, spool, on_failure=reports.on_failure, on_page=reports.on_page, max_group=2)
    writer.submit(history("hf000001", 7), reports.on_durable("seven"))
    writer.submit(history("hf000002", 1), reports.on_durable("one"))
    writer.close()
    assert reports.durable == ["seven", "one"]
    assert writer.stats().groups == 2


def test_several_threads_may_submit(writer: Writer, store: Store) -> None:
    def submit(position_id: str) -> None:
        for version in range(1, 201):
            writer.submit([event(position_id, version)])

    threads = [threading.Thread(target=submit, args=(f"hf00000{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(10)
    for number in range(4):
        assert store.events_of(f"hf00000{number}") == history(f"hf00000{number}", 200)


async def test_event_loop_is_entered_from_the_callback(writer: Writer) -> None:
    loop = asyncio.get_running_loop()
    durable = asyncio.Event()

    def on_durable() -> None:
        loop.call_soon_threadsafe(durable.set)

    writer.submit([event("hf000001", 1)], on_durable)
    await asyncio.wait_for(durable.wait(), 10)


async def test_event_loop_that_is_never_idle_does_not_starve_the_writer(writer: Writer) -> None:
    loop = asyncio.get_running_loop()
    waits_s: list[float] = []
    are_all_durable = asyncio.Event()

    async def work_without_a_pause() -> None:
        while True:
            end = time.perf_counter() + 0.002
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)

    def note(start: float) -> None:
        waits_s.append(time.perf_counter() - start)
        if len(waits_s) == 200:
            are_all_durable.set()

    def submit(version: int) -> None:
        start = time.perf_counter()

        def on_durable() -> None:
            loop.call_soon_threadsafe(note, start)

        writer.submit([event("hf000001", version)], on_durable)

    busy = asyncio.create_task(work_without_a_pause())
    for version in range(1, 201):
        submit(version)
        await asyncio.sleep(0.002)
    await are_all_durable.wait()
    busy.cancel()
    # 5 ms on an idle machine; 2 s with the interpreter's own switch interval and a statement a row.
    assert sorted(waits_s)[100] < 0.5


def test_callback_that_raises_is_counted_and_the_next_one_is_called(writer: Writer, reports: Reports) -> None:
    def fail() -> None:
        raise RuntimeError("event loop is closed")

    writer.submit([event("hf000001", 1)], fail)
    writer.submit([event("hf000001", 2)], reports.on_durable("second"))
    assert writer.flush(10)
    assert reports.durable == ["second"]
    assert writer.stats().callback_errors == 1


def test_closing_writes_what_is_left_and_leaves_no_empty_spool(store: Store, spool: Spool, reports: Reports) -> None:
    writer = Writer(store, spool, on_failure=reports.on_failure, on_page=reports.on_page)
    for version in range(1, 101):
        writer.submit([event("hf000001", version)])
    stats = writer.close()
    assert (stats.state, stats.events, stats.backlog) == ("running", 100, 0)
    assert writer.close().state == "closed"
    assert store.events_of("hf000001") == history("hf000001", 100)
    assert not spool.path.exists()


def test_submitting_does_not_wait_for_the_disk(path: Path, tmp_path: Path, reports: Reports) -> None:
    disk = StuckDisk()
    with open_store(str(path), disk=disk) as store:
        store.acquire_lease()
        writer = Writer(store, Spool(tmp_path / "spool", store), on_failure=reports.on_failure, on_page=reports.on_page)
        disk.arm()
        slowest = 0.0
        for version in range(1, 1_001):
            start = time.perf_counter()
            writer.submit([event("hf000001", version)], reports.on_durable("late"))
            slowest = max(slowest, time.perf_counter() - start)
        assert disk.is_stuck.wait(10)
        assert writer.stats().backlog == 1_000
        assert not writer.flush(0.05)
        assert reports.durable == []
        disk.release()
        assert writer.flush(10)
        assert writer.stats().backlog == 0
        writer.close()
        assert reports.durable == ["late"] * 1_000
        assert slowest < 0.2
