from benchmarks.w3_store import events_for, trip
from events.ids import position_id_from
from fsm.core import verify


def test_a_trip_is_what_the_tables_decide_for_every_position() -> None:
    events = list(events_for(3, first=40))
    assert verify(events) == []
    assert [event.position_id for event in events] == [position_id_from("bm", number) for number in (40, 41, 42) for _ in trip()]
    assert {event.to for event in events} >= {"Protected", "Closed"}
