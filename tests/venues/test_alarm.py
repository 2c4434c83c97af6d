"""Waiting for a ring or a time: what `asyncio.timeout` around an `asyncio.Event` does, in the same rounds of the loop."""

import asyncio
import contextlib

import pytest

from holdfast.simulation.loop import VirtualLoop
from venues.alarm import Alarm


async def test_a_ring_wakes_who_waits_without_end() -> None:
    alarm = Alarm()
    task = asyncio.create_task(alarm.wait(None))
    await asyncio.sleep(0)
    alarm.ring()
    await asyncio.wait_for(task, 5)


async def test_a_ring_that_nobody_waited_for_counts_until_it_is_cleared() -> None:
    alarm = Alarm()
    alarm.ring()
    await asyncio.wait_for(alarm.wait(None), 5)
    alarm.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alarm.wait(None), 0.01)


async def test_the_time_ends_the_waiting_and_a_later_ring_wakes_nobody() -> None:
    alarm = Alarm()
    await alarm.wait(0.001)
    alarm.ring()
    alarm.clear()
    await alarm.wait(0.001)


async def test_a_cancellation_that_comes_together_with_a_ring_is_not_swallowed() -> None:
    alarm = Alarm()
    task = asyncio.create_task(alarm.wait(60))
    await asyncio.sleep(0)
    alarm.ring()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class _Plain:
    """The same of asyncio's own parts."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.ring, self.clear = self._event.set, self._event.clear

    async def wait(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


def _story(make: type[Alarm] | type[_Plain]) -> list[tuple[str, int]]:
    """Tell who ran when, where rings, times and other tasks meet in the same moments."""
    loop, told = VirtualLoop(), []

    async def wait(alarm: Alarm | _Plain) -> None:
        for number in range(40):
            alarm.clear()
            told.append((f"waits {number}", loop.now_ns))
            await alarm.wait((None, 0.001, 0.004, 0.01)[number % 4])

    async def ring(alarm: Alarm | _Plain) -> None:
        for number in range(200):
            await asyncio.sleep((0, 0.001, 0.001, 0.003)[number % 4])
            told.append((f"rings {number}", loop.now_ns))
            if number % 3 == 0:
                alarm.ring()

    async def run() -> None:
        alarm = make()
        waiting = asyncio.create_task(wait(alarm))
        await asyncio.gather(ring(alarm), ring(alarm))
        waiting.cancel()

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    return told


def test_it_waits_in_the_same_rounds_as_asyncio_does() -> None:
    assert _story(Alarm) == _story(_Plain)
    assert len(_story(Alarm)) > 400
