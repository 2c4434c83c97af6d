"""X14: the middle of the log is damaged. That position is left out, whole; the others go on being protected, and no entry leaves."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from events.errors import UnknownSchema
from events.store import open_store
from events.values import PositionSide
from holdfast.assembly import Assembled, Parts, assemble, live_histories
from holdfast.scenario.floor import SYMBOL, Floor
from replay.intents import OpenPosition
from replay.replay import replay
from tests.fsm.stage import plan_of
from venues.clock import Clock

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
DAMAGES = ("cut short", "no JSON", "another event", "missing")


def a_log(folder: Path, side: PositionSide) -> Path:
    """A store with two covered positions."""
    floor = Floor()
    floor.protected(side, qty="0.2")
    floor.protected(side, qty="0.3")
    path = folder / "events.db"
    store = open_store(str(path))
    lease = store.acquire_lease()
    store.append(floor.events)
    lease.release()
    store.close()
    return path


def damage(path: Path, how: str) -> None:
    """Damage the third event of the first position, as a bad sector or a hand would."""
    with sqlite3.connect(path) as db:
        where = "originator_version = 3 AND rowid = (SELECT min(rowid) FROM stored_events WHERE originator_version = 3)"
        (table,) = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%originator_version%'").fetchone()
        where = where.replace("stored_events", table)
        if how == "missing":
            db.execute(f"DELETE FROM {table} WHERE {where}")
            return
        (state,) = db.execute(f"SELECT state FROM {table} WHERE {where}").fetchone()
        other_version = state.replace(b'"version":3', b'"version":4')
        other = {"cut short": state[:-40], "no JSON": bytes(len(state)), "another event": other_version}[how]
        assert other != state
        db.execute(f"UPDATE {table} SET state = ? WHERE {where}", (other,))
    db.close()


async def token() -> str:
    return "a token of a test"


def parts_of(folder: Path) -> Parts:
    return Parts(
        store_url=str(folder / "events.db"), session_dir=folder, data_dir=folder, namespace="hf", symbols=(SYMBOL,),
        public_url="ws://127.0.0.1:1", private_url="ws://127.0.0.1:1", token_source=token, clock=Clock(),
    )  # fmt: skip


@both_sides
@pytest.mark.parametrize("how", DAMAGES)
def test_x14_a_damaged_history_is_left_out_whole_and_the_others_are_read(tmp_path: Path, side: PositionSide, how: str) -> None:
    damage(a_log(tmp_path, side), how)
    store = open_store(str(tmp_path / "events.db"))
    found = live_histories(store)
    store.close()
    assert {event.position_id for event in found.events} == {"hf000002"}
    # Its number is not given to another one.
    assert found.highest == 2
    (sentence,) = found.damaged
    assert sentence.startswith("position hf000001 is left out, and its orders at the venue as they are: ")
    assert "\n" not in sentence


@pytest.mark.parametrize("how", ["none", *DAMAGES])
def test_x14_the_engine_starts_protects_the_rest_pages_and_lets_no_entry_leave(tmp_path: Path, how: str) -> None:
    path = a_log(tmp_path, PositionSide.LONG)
    if how != "none":
        damage(path, how)
    pages: list[tuple[str, str]] = []

    async def live() -> tuple[Assembled, str]:
        assembled = assemble(parts_of(tmp_path), on_page=lambda code, text: pages.append((code, text)))
        stop = asyncio.Event()
        running = asyncio.create_task(assembled.engine.run(stop))
        await asyncio.sleep(0.2)
        output = assembled.engine.open(OpenPosition(position_id="hf000009", epoch=1, plan=plan_of()))
        stop.set()
        await running
        assembled.close()
        return assembled, output.refusals[0].reason

    assembled, refusal = asyncio.run(live())
    told = [text for code, text in pages if code == "LOG_DAMAGED"]
    if how == "none":
        assert (sorted(assembled.pipeline.desk.positions), told) == (["hf000001", "hf000002"], [])
        assert "damaged" not in refusal
    else:
        assert (sorted(assembled.pipeline.desk.positions), len(told)) == (["hf000002"], 1)
        assert "hf000001" in told[0]
        assert "restore the store from a copy" in told[0]
        assert "entries are halted: the records of 1 positions are damaged" in refusal
    assert replay(assembled.record.path).identical


def test_x14_a_log_of_another_version_is_not_damaged_but_refused(tmp_path: Path) -> None:
    path = a_log(tmp_path, PositionSide.LONG)
    with sqlite3.connect(path) as db:
        (table,) = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%originator_version%'").fetchone()
        db.execute(f"UPDATE {table} SET topic = 'holdfast-event.9' WHERE originator_version = 3")
    db.close()

    async def start() -> None:
        assemble(parts_of(tmp_path)).close()

    with pytest.raises(UnknownSchema):
        asyncio.run(start())
