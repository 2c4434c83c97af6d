import time

import pytest

from events.errors import BadInput
from venues.clock import Clock


def test_market_time_runs_at_its_speed_from_its_start() -> None:
    origin_ns = time.monotonic_ns() - 2_000_000_000
    clock = Clock(60, start_ns=1_000, origin_ns=origin_ns)
    assert 1_000 + 120_000_000_000 <= clock.now_ns() < 1_000 + 180_000_000_000


def test_two_clocks_of_one_reading_agree() -> None:
    clock = Clock(30)
    twin = Clock(**clock.reading())
    before, between, after = clock.now_ns(), twin.now_ns(), clock.now_ns()
    assert before <= between <= after


def test_market_time_is_exact_after_a_year() -> None:
    year_ns = 365 * 86_400 * 1_000_000_000
    clock = Clock(1, start_ns=0, origin_ns=time.monotonic_ns() - year_ns)
    assert 0 <= clock.now_ns() - year_ns < 1_000_000_000


async def test_sleeping_takes_market_seconds() -> None:
    clock = Clock(100)
    started_ns = clock.now_ns()
    await clock.sleep(1)
    assert clock.now_ns() - started_ns >= 1_000_000_000
    assert clock.real_seconds(-5) == 0


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf"), 1e9, 1e-9])
def test_a_speed_that_is_no_speed_is_refused(speed: float) -> None:
    with pytest.raises(BadInput, match="clock speed"):
        Clock(speed)
