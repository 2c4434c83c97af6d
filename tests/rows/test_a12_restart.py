"""A12: bars outlive the process. After a restart a range is known at once, from what was recorded; gaps and doubts count as ever."""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from events.errors import BadInput
from events.values import PositionSide
from fsm.bars import ATR_INTERVAL_NS, MINUTE_NS, Bar, BarSeries
from fsm.distance import DEGRADED_TRAIL_BPS
from fsm.ranges import KeptBars, Ranges
from holdfast.assembly import Parts, assemble
from holdfast.bars import BARS_FILE, keep_bars, recalled_bars
from holdfast.scenario.floor import SYMBOL, replayed
from replay.intents import BarsRecalled, intent_from, payload_from
from replay.replay import replay
from replay.session import read_session
from tests.rows.test_a12_trail_distance import quarters, trail_of, warmed
from venues.clock import Clock

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
START_NS = 1_700_000_100_000_000_000 // ATR_INTERVAL_NS * ATR_INTERVAL_NS


def bars(count: int, *, swing: int = 100, from_ns: int = START_NS) -> tuple[Bar, ...]:
    return tuple(Bar(from_ns + n * ATR_INTERVAL_NS, 10_000, 10_000 + swing, 10_000, 10_000, 15, 30) for n in range(count))


@both_sides
def test_a12_after_a_restart_the_distance_follows_the_range_of_before_at_once(side: PositionSide) -> None:
    floor = warmed(150)
    before = trail_of(floor, floor.protected(side, trail_auto=True))
    assert before != DEGRADED_TRAIL_BPS
    floor.kill()
    assert trail_of(floor, floor.protected(side, trail_auto=True)) == before
    assert replayed(floor)


@both_sides
def test_a12_what_traded_between_the_lives_is_a_gap_and_the_bar_of_the_restart_is_not_whole(side: PositionSide) -> None:
    floor = warmed(150)
    floor.kill(meanwhile=lambda: setattr(floor, "now_ns", floor.now_ns + 2 * ATR_INTERVAL_NS + 7 * MINUTE_NS))
    floor.tick(floor.px)
    restart_ns = floor.now_ns - floor.now_ns % ATR_INTERVAL_NS
    known = floor.pipeline.kept_bars()[SYMBOL].bars
    quarters(floor, 2, 150)
    now = floor.pipeline.kept_bars()[SYMBOL].bars
    fresh = [bar for bar in now if bar not in known]
    assert known[-1].open_ns < restart_ns - 2 * ATR_INTERVAL_NS
    assert [bar.open_ns for bar in fresh] == [restart_ns + ATR_INTERVAL_NS]
    assert trail_of(floor, floor.protected(side, trail_auto=True)) != DEGRADED_TRAIL_BPS


def test_a12_bars_of_yesterday_say_nothing_about_today() -> None:
    floor = warmed(150)
    floor.kill(meanwhile=lambda: setattr(floor, "now_ns", floor.now_ns + 86_400_000_000_000))
    assert trail_of(floor, floor.protected(trail_auto=True)) == DEGRADED_TRAIL_BPS


@pytest.mark.parametrize(
    "wrong",
    [
        bars(2)[::-1],
        (bars(1)[0], bars(1)[0]),
        (bars(1)[0]._replace(open_ns=START_NS + 1),),
        (bars(1)[0]._replace(low=0),),
        (bars(1)[0]._replace(high=9_999),),
        (bars(1)[0]._replace(close=10_101),),
        (bars(1)[0]._replace(trade_count=0),),
    ],
    ids=["backwards", "twice", "off the hour", "a price of nothing", "high under low", "close over high", "no trade"],
)
def test_a12_bars_that_no_trades_make_are_not_taken(wrong: tuple[Bar, ...]) -> None:
    series = BarSeries()
    assert not series.recall(wrong)
    assert series.closed_bars == ()
    assert not Ranges(Decimal(26)).recall(SYMBOL, Decimal("0.1"), ATR_INTERVAL_NS, wrong)


def test_a12_bars_are_recalled_only_before_the_first_trade_and_only_once() -> None:
    series = BarSeries()
    assert series.recall(bars(3))
    assert not series.recall(bars(3))
    traded = BarSeries()
    traded.take(START_NS, 10_000, 1)
    assert not traded.recall(bars(3))


def test_a12_bars_ahead_of_what_trades_are_forgotten() -> None:
    series = BarSeries()
    series.recall(bars(20))
    series.take(START_NS + 3 * ATR_INTERVAL_NS, 10_000, 1)
    assert series.closed_bars == ()


def test_a12_where_the_venue_counts_in_another_tick_nothing_is_recalled() -> None:
    floor = warmed(150)
    floor.kill()
    floor.pipeline.kept_bars()
    ranges = Ranges(Decimal(26))
    assert ranges.recall(SYMBOL, Decimal("0.5"), ATR_INTERVAL_NS, bars(20))
    ranges.trade(floor.pipeline.instruments[SYMBOL], START_NS + 20 * ATR_INTERVAL_NS, Decimal(60_000), Decimal(1))
    assert ranges.kept() == {}


def test_a12_the_file_gives_back_what_was_kept_of_the_symbols_that_are_followed(tmp_path: Path) -> None:
    path = tmp_path / BARS_FILE
    assert recalled_bars(path, (SYMBOL,)) == ()
    keep_bars(path, "20231114.session", {SYMBOL: KeptBars(Decimal("0.1"), bars(3)), "ETH/USD": KeptBars(Decimal("0.01"), bars(2))})
    (found,) = recalled_bars(path, (SYMBOL,))
    assert found == BarsRecalled(
        symbol=SYMBOL, price_increment=Decimal("0.1"), interval_ns=ATR_INTERVAL_NS, bars=bars(3), source="session 20231114.session"
    )
    assert intent_from(payload_from(found)) == found


@pytest.mark.parametrize(
    "left", [b"", b"{", b"[]", b'{"schema":"holdfast-bars.2"}', b'{"schema":"holdfast-bars.1","session":"x","symbols":{"A":1}}']
)
def test_a12_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / BARS_FILE
    path.write_bytes(left)
    with pytest.raises(BadInput, match="a range is known again after some hours"):
        recalled_bars(path, (SYMBOL,))


@pytest.mark.parametrize("left", ["good", "broken"])
def test_a12_an_engine_takes_the_file_as_inputs_of_its_session_and_starts_without_it_too(tmp_path: Path, left: str) -> None:
    if left == "good":
        keep_bars(tmp_path / BARS_FILE, "before.session", {SYMBOL: KeptBars(Decimal("0.1"), bars(3))})
    else:
        (tmp_path / BARS_FILE).write_bytes(b"{")

    async def token() -> str:
        return "a token of a test"

    async def live() -> Path:
        parts = Parts(
            store_url=str(tmp_path / "events.db"), session_dir=tmp_path, data_dir=tmp_path, namespace="hf", symbols=(SYMBOL,),
            public_url="ws://127.0.0.1:1", private_url="ws://127.0.0.1:1", token_source=token, clock=Clock(),
        )  # fmt: skip
        assembled = assemble(parts)
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, stop.set)
        await assembled.engine.run(stop)
        assert assembled.pipeline.counters["bars_recalled"] == (3 if left == "good" else 0)
        assembled.close()
        return assembled.record.path

    path = asyncio.run(live())
    intents = [msgspec.json.decode(record.payload) for record in read_session(path) if record.kind == "intent"]
    assert [x.get("source") for x in intents] == ([None, "session before.session"] if left == "good" else [None])
    assert replay(path).identical
