"""What one input decides is handed to the disk as one: a process that dies has all of it in its log, or nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from events.record import PositionEvent
from events.store.writer import Writer
from replay.intents import OpenPosition
from tests.holdfast.test_waiting_entries import OTHER, PLAN, engine, hear, status, until_all


async def test_what_one_input_decides_for_two_positions_is_committed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[list[str]] = []
    usual = Writer.submit

    def submit(writer: Writer, events: Sequence[PositionEvent], on_durable: Callable[[], None] | None = None) -> None:
        handed.append([event.position_id for event in events])
        usual(writer, events, on_durable)

    monkeypatch.setattr(Writer, "submit", submit)
    async with engine(tmp_path) as (assembled, told):
        ids = [assembled.next_position_id(), assembled.next_position_id()]
        for position_id, plan in zip(ids, (PLAN, OTHER), strict=True):
            assembled.engine.open(OpenPosition(position_id=position_id, epoch=assembled.lease.token, plan=plan))
        await until_all(told, ids)
        hear(assembled, "public", status("maintenance"))
        assert sorted(handed[-1]) == ids
