"""Whatever happened to a position can be shown, explained and decided again: acks, fills, refusals, hands and silence in any order."""

from hypothesis import HealthCheck, given, settings
from played import Played, played_histories

from events.record import PositionEvent
from fsm.coverage import unprotected_lots
from holdfast.inquiry.causes import chain_of
from holdfast.inquiry.diff import differences
from holdfast.inquiry.dossier import dossier_of
from holdfast.inquiry.dossier_text import dossier_text
from holdfast.inquiry.exposure import exposure_at, watched_from
from holdfast.inquiry.status import status_of
from holdfast.inquiry.status_text import status_text
from holdfast.inquiry.why import why, why_text
from projections.fills import END_STATES

BUDGET_MS = 2_000
usual = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def by_position(played: Played) -> dict[str, list[PositionEvent]]:
    histories: dict[str, list[PositionEvent]] = {}
    for _, event in played.events:
        histories.setdefault(event.position_id, []).append(event)
    return histories


@usual
@given(played_histories())
def test_every_position_can_be_shown_at_its_end_and_half_way(played: Played) -> None:
    for events in by_position(played).values():
        for upto in {len(events), (len(events) + 1) // 2}:
            part = events[:upto]
            status = status_of(part, part[-1].fact.ts_recv_ns + 1, BUDGET_MS)
            assert status.position.version == upto
            assert bool(status.clocks) is (part[-1].to not in END_STATES)
            assert status_text(status).startswith(part[0].position_id)


@usual
@given(played_histories())
def test_every_position_has_a_dossier_that_counts_every_event(played: Played) -> None:
    for events in by_position(played).values():
        found, books = dossier_of(events, events[-1].fact.ts_recv_ns + 1, BUDGET_MS)
        assert sum(1 + stage.others for stage in found.path) == len(events)
        assert [stage.step.target for stage in found.path if stage.is_change][-1] == events[-1].to
        assert dossier_text(found, books).startswith(events[0].position_id)


@usual
@given(played_histories())
def test_every_event_can_be_explained_by_the_row_that_was_recorded(played: Played) -> None:
    for events in by_position(played).values():
        for index, event in enumerate(events):
            explained = why(events, index)
            assert explained.row_today == ""
            assert explained.row_doc
            assert all(guard.question for guard in explained.guards)
            assert event.row in why_text(explained)


@usual
@given(played_histories())
def test_a_cause_lies_before_what_it_led_to(played: Played) -> None:
    for events in by_position(played).values():
        for index in range(len(events)):
            places = [index, *(cause.at for cause in chain_of(events, index))]
            assert places == sorted(set(places), reverse=True)


@usual
@given(played_histories())
def test_exposure_is_what_the_positions_themselves_say(played: Played) -> None:
    watched = watched_from(event for _, event in played.events)
    bare = {key for key, position in played.desk.positions.items() if unprotected_lots(position)}
    exposure = exposure_at(watched, played.now_ns + 60_000_000_000, BUDGET_MS, 0)
    assert exposure.open_positions == len(played.desk.positions)
    assert {one.position_id for one in exposure.exposed} == bare


def test_a_difference_names_the_member_and_both_sides() -> None:
    found = differences(b'{"a":1,"b":[1,{"c":"x"}],"d":1}', b'{"a":1,"b":[1,{"c":"y"},3],"e":2}')
    assert [(d.path, d.recorded, d.decided) for d in found] == [
        ("b[1].c", '"x"', '"y"'),
        ("b[2]", "nothing", "3"),
        ("d", "1", "nothing"),
        ("e", "nothing", "2"),
    ]
    assert differences(b"", b'{"a":1}')[0].recorded == "nothing"
    assert differences(b'{"a":1}', b'{"a":1}') == []
    assert differences(b'{"a":1}', b'{"a":true}') != []
