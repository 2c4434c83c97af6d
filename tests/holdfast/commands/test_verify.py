import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from played import Played

from events.commands import AmendOrder, SubmitOrder
from events.record import PositionEvent
from replay.session import SessionWriter, manifest_from


def test_a_log_of_today_is_decided_alike(holdfast, log: Path) -> None:
    said = holdfast("verify", "--store", log)
    assert said.code == 0
    assert "events    15 of 3 positions, versions without holes" in said.out
    assert "decided   15 alike, 0 otherwise" in said.out
    assert "promises  0 broken" in said.out
    assert "ledger    balanced: BTC sums to 0, USD sums to 0" in said.out


def test_a_real_engine_s_log_is_sound(holdfast, engine_dir: Path) -> None:
    found = json.loads(holdfast("verify", "--store", engine_dir / "events.db", "-o", "json").out)
    assert found["sound"] is True
    assert found["positions"] == 2
    assert found["disagreed"] == found["broken_count"] == found["renamed"] == 0


def with_change(played: Played, position_id: str, version: int, **fields: object) -> list[PositionEvent]:
    """Return all events of `played`, one of them with other fields, and none of its position after it."""
    events = [event for _, event in played.events if event.position_id != position_id or event.version <= version]
    meant = (position_id, version)
    return [msgspec.structs.replace(event, **fields) if (event.position_id, event.version) == meant else event for event in events]


def test_an_event_that_today_is_decided_otherwise_is_shown_with_both_sides(
    holdfast, played: Played, stored: Callable[..., Path]
) -> None:
    path = stored(with_change(played, "hf000001", 3, to="Halted", commands=()))
    said = holdfast("verify", "--store", path)
    assert said.code == 6
    assert "decided   12 alike, 1 otherwise" in said.out
    assert "OTHERWISE  hf000001:3 OrderFilled, led to Halted" in said.out
    assert 'to: recorded "Halted", today "ProtectionPending"' in said.out
    assert 'commands[0]: recorded nothing, today {"type":"submit_order.1"' in said.out


def test_only_so_many_are_shown_and_all_are_counted(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    events = [msgspec.structs.replace(event, order_to="Absent") for _, event in played.events if event.version == 1]
    said = holdfast("verify", "--store", stored(events), "--most", 1)
    assert said.code == 6
    assert said.out.count("OTHERWISE") == 1
    assert "and 2 more events" in said.out


def test_another_row_s_name_for_the_same_decision_is_counted_and_no_failure(
    holdfast, played: Played, stored: Callable[..., Path]
) -> None:
    said = holdfast("verify", "--store", stored(with_change(played, "hf000001", 5, row="position:999:Protected:PlanTightened")))
    assert said.code == 0
    assert "15 alike, 0 otherwise; 1 of them under another row's name" in said.out


def test_a_loosened_stop_in_the_log_breaks_a_promise(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    stop = played.order("stop")
    loosened = AmendOrder(client_order_id=stop.client_order_id, venue_order_id="", symbol="BTC/USD", trail_offset_bps=500)
    said = holdfast("verify", "--store", stored(with_change(played, "hf000001", 5, commands=(loosened,))))
    assert said.code == 6
    assert "promises  1 broken" in said.out
    assert "BROKEN  I3 at hf000001:5" in said.out


def test_a_second_exit_in_the_log_breaks_a_promise(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    (stop,) = [x for x in played.events[2][1].commands if isinstance(x, SubmitOrder)]
    again = msgspec.structs.replace(stop, client_order_id="hf000001100050")
    said = holdfast("verify", "--store", stored(with_change(played, "hf000001", 5, commands=(again,))))
    assert said.code == 6
    assert "BROKEN  I2 at hf000001:5" in said.out


def test_a_missing_version_is_a_hole(holdfast, log: Path) -> None:
    with sqlite3.connect(log) as connection:
        connection.execute("DELETE FROM stored_events WHERE rowid = 3")
    connection.close()
    said = holdfast("verify", "--store", log)
    assert said.code == 6
    assert "NOT WHOLE" in said.out
    assert "HOLE" in said.out
    assert "position hf000001: version 4 stands where version 3 must be" in said.out


def test_an_event_after_the_end_is_decided_on_the_ended_position(holdfast, played: Played, stored: Callable[..., Path]) -> None:
    played.at(9_000).fill(played.order("exit", "hf000002"), "0.5", "101")
    said = holdfast("verify", "--store", stored([event for _, event in played.events]))
    assert "decided   16 alike, 0 otherwise" in said.out


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_s_chain_and_anchors_are_checked(holdfast, session: Path) -> None:
    said = holdfast("verify", session)
    assert said.code == 0
    assert "chain     every byte matches; head " in said.out
    assert "closed by its engine" in said.out
    assert "anchors   up to record" in said.out
    (row,) = json.loads(holdfast("verify", session.parent, "-o", "json").out)
    assert (row["outcome"], row["report"]["ending"], row["report"]["torn_bytes"]) == ("sound", "end", 0)


def test_a_changed_byte_is_named(holdfast, session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "changed.session"
    data = bytearray(session.read_bytes())
    at = data.index(b'"position_requested.1"')
    data[at + 1] ^= 1
    copy.write_bytes(data)
    said = holdfast("verify", copy, session)
    assert said.code == 6
    assert "chain     tampered: " in said.out
    assert "its bytes do not match its check" in said.out
    assert "every byte matches" in said.out


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a session that was written with the key in CHAIN_KEY."""
    monkeypatch.setenv("CHAIN_KEY", "0123456789abcdef")
    manifest = manifest_from(configuration={}, table_hash="abc", started_ns=1, namespace="hf")
    writer = SessionWriter.create(tmp_path / "keyed.session", manifest, key=b"0123456789abcdef")
    writer.append("timer", 2, 0, "", b"{}")
    writer.close()
    return writer.path


def test_a_keyed_session_is_proven_with_its_key_alone(holdfast, keyed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "made with this key" in holdfast("verify", keyed, "--key-env", "CHAIN_KEY").out
    assert "made with this key" in holdfast("verify", keyed, "--set", "session.key_env=CHAIN_KEY").out
    said = holdfast("verify", keyed)
    assert said.code == 0
    assert "keyed, but read without the key" in said.out
    monkeypatch.setenv("CHAIN_KEY", "another key, as long")
    assert holdfast("verify", keyed, "--key-env", "CHAIN_KEY").code == 6
    assert holdfast("verify", keyed, "--key-env", "NO_SUCH").code == 3


def test_a_file_that_is_no_session_is_unusable_input(holdfast, log: Path, tmp_path: Path) -> None:
    said = holdfast("verify", log)
    assert said.code == 3
    assert "unusable: " in said.out
    assert holdfast("verify", tmp_path / "absent.session").code == 3
    (tmp_path / "empty").mkdir()
    assert holdfast("verify", tmp_path / "empty").code == 4
