"""A recorded session runs through the decision code again: identical, or the first difference is shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events.errors import BadInput
from events.record import bytes_from, event_from
from events.store import open_store
from replay.pipeline import Settings
from replay.replay import replay, replay_records, settings_from
from replay.session import Record, SessionWriter, manifest_from, read_session
from tests.replay.recorded import KEY, Recorded, record

FAULTS = ("duplicate_frame/p=0.1", "drop_frame/p=0.05", "non_json/p=0.05", "close_mid_stream/count=1/p=0.05", "split_fill")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("recorded"))


def settings_of(path: Path) -> Settings:
    return settings_from(read_session(path).manifest, str(path))


def changed(records: Iterator[Record], seq: int, old: bytes, new: bytes) -> Iterator[Record]:
    for item in records:
        if item.seq == seq:
            assert isinstance(item.payload, bytes)
            assert old in item.payload
            item = Record(item.seq, item.kind, item.ts_recv_ns, item.ts_event_ns, item.source, item.payload.replace(old, new))
        yield item


def test_a_session_replays_identical_by_both_executors(recorded: Recorded) -> None:
    for executor in ("machine", "flat"):
        verdict = replay(recorded.session, executor=executor)
        assert verdict.identical
        assert verdict.events > 10
        assert verdict.frames > 100


def test_the_session_holds_the_events_of_the_store(recorded: Recorded) -> None:
    with open_store(str(recorded.store), create=False) as store:
        stored = [bytes_from(event) for _, event in store.follow(0, 10_000)]
    in_session = [item.payload for item in read_session(recorded.session) if item.kind == "event"]
    assert stored == in_session


def test_a_session_with_faults_and_a_key_replays_identical(tmp_path: Path) -> None:
    faulty = record(tmp_path, faults=FAULTS, key=KEY)
    assert replay(faulty.session, key=KEY).identical


def test_a_changed_event_is_the_first_divergence(recorded: Recorded) -> None:
    events = [item for item in read_session(recorded.session) if item.kind == "event"]
    victim = events[4]
    records = changed(iter(read_session(recorded.session)), victim.seq, b'"ts_recv_ns":1', b'"ts_recv_ns":2')
    verdict = replay_records(records, settings_of(recorded.session))
    assert verdict.divergence is not None
    assert verdict.divergence.record == victim.seq
    assert verdict.divergence.recorded != verdict.divergence.replayed


def test_a_changed_input_is_found_where_it_first_matters(recorded: Recorded) -> None:
    wish = next(item for item in read_session(recorded.session) if item.kind == "intent" and b'"open"' in bytes(str(item.payload), "utf-8"))
    records = changed(iter(read_session(recorded.session)), wish.seq, b'"trail_offset_bps":400', b'"trail_offset_bps":399')
    verdict = replay_records(records, settings_of(recorded.session))
    assert verdict.divergence is not None
    assert verdict.divergence.record == wish.seq + 1


def test_an_event_that_the_record_lacks_is_a_divergence(recorded: Recorded) -> None:
    events = [item.seq for item in read_session(recorded.session) if item.kind == "event"]
    records = (item for item in read_session(recorded.session) if item.seq != events[2])
    verdict = replay_records(records, settings_of(recorded.session))
    assert verdict.divergence is not None


def test_a_second_life_replays_from_what_it_restored(recorded: Recorded, tmp_path: Path) -> None:
    """A session after a restart begins with the histories that it took over; the same inputs give the same events."""
    records = list(read_session(recorded.session))
    cut = next(n for n, item in enumerate(records) if item.kind == "event" and event_from(bytes(item.payload)).to == "Protected") + 1  # type: ignore[arg-type]
    path = tmp_path / "second.session"
    pipeline = {"namespace": "hf", "symbols": ["BTC/USD"]}
    writer = SessionWriter.create(path, manifest_from(configuration={}, table_hash="", started_ns=0, namespace="hf", pipeline=pipeline))
    for item in records[:cut]:
        if item.kind == "event":
            writer.append("event", item.ts_recv_ns, 0, "restored", item.payload)
    writer.append("timer", records[cut].ts_recv_ns, 0, "", b"{}")
    writer.close()
    assert replay(path).identical


def test_a_session_without_settings_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "odd.session"
    SessionWriter.create(path, manifest_from(configuration={}, table_hash="", started_ns=0, namespace="hf")).close()
    with pytest.raises(BadInput, match="manifest has no usable pipeline settings"):
        replay(path)


@pytest.mark.parametrize("kind", ["intent", "sent", "link"])
@pytest.mark.parametrize("payload", [b'{"type":"halt","position_id":"\xff"}', b'{"x":' + b"[" * 100_000], ids=["no text", "deep"])
def test_an_input_that_is_no_json_text_is_refused(kind: str, payload: bytes) -> None:
    settings = Settings(namespace="hf", symbols=("BTC/USD",))
    with pytest.raises(BadInput):
        replay_records([Record(1, kind, 1, 0, "private", payload)], settings)


def test_an_event_whose_bytes_are_no_text_is_a_divergence() -> None:
    settings = Settings(namespace="hf", symbols=("BTC/USD",))
    verdict = replay_records([Record(1, "event", 1, 0, "", b'{"\xff":1}')], settings)
    assert verdict.divergence is not None
    assert verdict.divergence.recorded == '{"\\xff":1}'
