from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInput, Tampered, UnknownSchema
from events.record import bytes_from
from events.store.mapper import POSITION_NAMESPACE, TOPIC, EventMapper, originator_id_from
from tests.events.samples import EVENTS, event


def test_row_is_the_position_the_version_the_topic_and_the_bytes() -> None:
    row = EventMapper().to_stored_event(EVENTS[0])
    assert row == StoredEvent(originator_id_from("hf000001"), 7, "position_event.1", bytes_from(EVENTS[0]))


def test_keys_of_stored_rows_never_change() -> None:
    # Every log was written with these: another namespace would orphan it.
    assert uuid5(NAMESPACE_URL, "https://holdfast.example/position") == POSITION_NAMESPACE
    assert originator_id_from("hf000001") == UUID("b19a2108-5e48-598c-abbb-029972f7327d")


@given(st.text(min_size=1, max_size=8), st.integers(1, 2**31))
def test_event_comes_back_from_its_row(position_id: str, version: int) -> None:
    mapper = EventMapper()
    written = event(position_id, version)
    assert mapper.to_domain_event(mapper.to_stored_event(written)) == written


@pytest.mark.parametrize("topic", ["position_event.2", "events.record:PositionEvent", ""])
def test_unknown_topic_is_refused(topic: str) -> None:
    row = EventMapper().to_stored_event(EVENTS[0])
    with pytest.raises(UnknownSchema) as refusal:
        EventMapper().to_domain_event(StoredEvent(row.originator_id, row.originator_version, topic, row.state))
    assert (refusal.value.found, refusal.value.expected) == (topic, TOPIC)


def test_bytes_that_do_not_decode_are_refused() -> None:
    row = EventMapper().to_stored_event(EVENTS[0])
    with pytest.raises(BadInput, match="stored event"):
        EventMapper().to_domain_event(StoredEvent(row.originator_id, row.originator_version, row.topic, row.state[:-5]))


@pytest.mark.parametrize("other", [event("hf000001", 8), event("hf000002", 7)])
def test_row_that_holds_another_event_than_its_key_says_is_refused(other: object) -> None:
    row = EventMapper().to_stored_event(EVENTS[0])
    with pytest.raises(Tampered):
        EventMapper().to_domain_event(StoredEvent(row.originator_id, row.originator_version, row.topic, bytes_from(other)))  # type: ignore[arg-type]
