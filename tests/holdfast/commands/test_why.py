import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from played import Played

from events.record import PositionEvent


def event_of(played: Played, position_id: str, version: int) -> PositionEvent:
    return next(event for _, event in played.events if (event.position_id, event.version) == (position_id, version))


def test_an_event_is_explained_by_fact_guards_row_and_commands(holdfast, log: Path, played: Played) -> None:
    event = event_of(played, "hf000001", 3)
    text = holdfast("why", "hf000001:3", "--store", log).out
    assert text.splitlines()[0].startswith("hf000001:3  2023-11-14T22:13:20.020Z, 20 ms after the request")
    assert f"fact      OrderFilled: entry {event.fact.client_order_id} bought 1 at 100" in text
    assert "state     ProtectedPendingFill -> ProtectionPending" in text
    assert "order     Live -> Filled: cumulative quantity decides" in text
    assert "guards    situation = BARE  where the evidence puts the position" in text
    assert f"row       {event.row}\n          held, with no confirmed protection\n" in text
    assert f"commands  submit stop {event.commands[0].client_order_id}, sell 1 trailing-stop trailing 80 bps" in text
    assert "because   :1 +0 ms  asked for: long 1 BTC/USD at market; trail 80 bps" in text


def test_the_chain_of_causes_goes_back_to_the_request(holdfast, log: Path) -> None:
    explained = json.loads(holdfast("why", "hf000002", "--store", log, "-o", "json").out)
    assert (explained["version"], explained["target"]) == (7, "Closed")
    assert [(step["version"], step["how"]) for step in explained["causes"]] == [(5, "sent the cancel"), (6, "sent the order")]
    assert explained["leaving"]["version"] == 5
    assert explained["leaving"]["how"] == "decided to leave because of signal"


def test_a_wish_came_from_outside(holdfast, log: Path) -> None:
    text = holdfast("why", "2:5", "--store", log).out
    assert "ExitRequested: an exit is asked for: signal" in text
    assert "to leave because of signal" in text
    assert "because   nothing before it in this position: it came from outside" in text


def test_an_order_leads_to_the_event_whose_command_made_it(holdfast, log: Path, played: Played) -> None:
    stop = played.order("stop", "hf00001a").client_order_id
    text = holdfast("why", stop, "--store", log).out
    assert text.startswith("hf00001a:3  ")
    assert f"submit stop {stop}" in text


def test_a_position_alone_means_its_last_change_of_state(holdfast, log: Path) -> None:
    assert holdfast("why", "hf000001", "--store", log).out.startswith("hf000001:5  ")
    assert holdfast("why", "1a", "--store", log).out.startswith("hf00001a:3  ")


def changed(played: Played, version: int, **fields: object) -> list[PositionEvent]:
    """Return the events of hf000001 up to `version`, that one with other fields."""
    events = [event for _, event in played.events if event.position_id == "hf000001"][:version]
    return [*events[:-1], msgspec.structs.replace(events[-1], **fields)]


def test_a_row_that_the_table_no_longer_has_is_said_with_what_takes_its_place(
    holdfast, played: Played, stored: Callable[..., Path]
) -> None:
    row = event_of(played, "hf000001", 3).row
    path = stored(changed(played, 3, row="position:999:ProtectedPendingFill:OrderFilled"))
    text = holdfast("why", "hf000001:3", "--store", path).out
    assert "position:999:ProtectedPendingFill:OrderFilled" in text
    assert f"today's table no longer has this row; {row} takes its place and leads to the same state" in text


def test_a_row_that_leads_elsewhere_today_is_not_passed_off_as_the_recorded_one(
    holdfast, played: Played, stored: Callable[..., Path]
) -> None:
    path = stored(changed(played, 3, to="Resizing"))
    explained = json.loads(holdfast("why", "hf000001:3", "--store", path, "-o", "json").out)
    assert explained["row_doc"] == ""
    assert "leads to ProtectionPending" in explained["row_today"]


def test_answers_to_questions_that_are_asked_no_more_stand_without_a_name(
    holdfast, played: Played, stored: Callable[..., Path]
) -> None:
    text = holdfast("why", "1:3", "--store", stored(changed(played, 3, guards=("BARE", "LOUD")))).out
    assert "? = LOUD" in text
    assert "today's table has no row for these answers here" in text


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("1:9", 4, "hf000001 has the versions 1 to 5"),
        ("1:0", 4, "has the versions"),
        ("1:x", 2, "write POSITION:VERSION"),
        ("hf000001000990", 4, "`holdfast orders hf000001` lists those"),
        ("hf00000z000990", 4, "`holdfast orders` lists them"),
        ("nothing", 4, "`holdfast positions` lists"),
    ],
)
def test_an_event_that_is_not_there_is_one_sentence(holdfast, log: Path, name: str, code: int, sentence: str) -> None:
    said = holdfast("why", name, "--store", log)
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1
