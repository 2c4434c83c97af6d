"""A14: a stale price decides nothing, and neither does one that is not of this market; what is late is late by the venue's own clock."""

import json

import pytest
from msgspec.structs import replace

from events import facts as f
from events.values import Mark, PositionSide
from fsm.lag import WINDOW_NS, Lag
from holdfast.scenario.floor import MS, SECOND, START_NS, Floor, replayed
from replay.intents import AdoptExposure, ExitPosition, Link, Restarted, payload_from
from tests.fsm.stage import D, Stage, assert_decision, mirrored
from tests.rows.test_a12_trail_distance import warmed
from venues.simulated.wire import time_text

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def printed(floor: Floor, px: object, late_s: float = 0.0) -> None:
    """A trade frame of the public stream whose venue time is `late_s` ago."""
    at = time_text(floor.now_ns - int(late_s * SECOND))
    data = [{"symbol": "BTC/USD", "side": "buy", "price": float(str(px)), "qty": 0.1, "ord_type": "market", "trade_id": 1, "timestamp": at}]
    floor.feed("frame", "public", json.dumps({"channel": "trade", "type": "update", "data": data}))


@both_sides
def test_a14_a_level_crossed_by_an_old_price_is_reported_and_decides_nothing(side: PositionSide) -> None:
    stage = Stage(side, panic_pnl_bps=-100).protected()
    made = stage.desk.price("BTC/USD", mirrored(side, D("98.5")), 0, stage.now_ns, 5_001 * MS)
    stage.book(made)
    assert_decision(stage, "Protected")
    assert "alert PRICE_STALE" in stage.said()
    stage.price("98.5")
    assert_decision(stage, "CancelPending", "cancel stop")


@both_sides
def test_a14_through_the_engine_prints_that_come_late_are_reported_once_and_decide_nothing(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, panic_pnl_bps=-100)
    for _ in range(3):
        printed(floor, floor.moved(side, -110), late_s=6)
    assert floor.state(position_id) == "Protected"
    assert (floor.alerts.count("PRICE_STALE"), floor.pipeline.counters["late_price"]) == (1, 3)
    printed(floor, floor.moved(side, -110))
    assert floor.reasons(position_id) == ["panic"]
    assert replayed(floor)


@both_sides
def test_a14_a_clock_that_is_1_3_seconds_behind_the_venues_sees_fresh_prices(side: PositionSide) -> None:
    # As in the recorded sessions of 2024: our stamp is before the venue's.
    floor = Floor(lag_ns=1_300 * MS)
    position_id = floor.protected(side, panic_pnl_bps=-100)
    floor.wait(30)
    assert "PRICE_STALE" not in floor.alerts
    assert floor.alerts == []
    floor.tick(floor.moved(side, -110))
    floor.wait(2)
    assert (floor.reasons(position_id), floor.state(position_id)) == (["panic"], "Closed")
    assert replayed(floor)


def test_a14_lag_is_what_a_message_has_beyond_the_least_of_its_stream_and_a_clock_that_jumps_is_believed_again() -> None:
    lag = Lag()
    assert [lag.of(at, at - 1_300 * MS) for at in range(START_NS, START_NS + 10 * SECOND, SECOND)] == [0] * 10
    assert lag.of(START_NS, START_NS + 5_000 * MS) == 6_300 * MS
    assert lag.of(0, START_NS) == 0
    jumped = [lag.of(at, at + 60 * SECOND) for at in range(START_NS + 20 * SECOND, START_NS + 3 * WINDOW_NS, SECOND)]
    assert (jumped[0], jumped[-1]) == (61_300 * MS, 0)
    assert len([x for x in jumped if x]) * SECOND <= 2 * WINDOW_NS


@both_sides
def test_a14_43_seconds_without_a_trade_are_no_fault_and_nothing_is_decided_on_the_old_price(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, panic_pnl_bps=-100)
    before = len(floor.events)
    floor.wait(43, trades=False)
    assert floor.state(position_id) == "Protected"
    assert (floor.alerts, floor.pages, floor.pipeline.link.state) == ([], [], "Live")
    assert all(not event.exit_reason for event in floor.events[before:])
    mark = floor.pipeline.desk.mark_of("BTC/USD", floor.now_ns)
    assert mark is not None
    assert mark.age_ns >= 42 * SECOND
    floor.tick(floor.moved(side, -110))
    floor.wait(2)
    assert floor.reasons(position_id) == ["panic"]


@both_sides
def test_a14_market_data_that_are_away_are_told_and_then_a_person_though_nothing_else_is_wrong(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, panic_pnl_bps=-100)
    floor.feed("link", "public", payload_from(Link(state="closed", reason="reset")))
    floor.wait(4, trades=False)
    assert (floor.alerts, floor.pages) == ([], [])
    floor.wait(50, trades=False)
    assert (floor.alerts, floor.pages) == (["PRICES_AWAY"], [])
    for _ in range(3):
        floor.feed("link", "public", payload_from(Link(state="connecting")))
        floor.feed("link", "public", payload_from(Link(state="closed", reason="refused")))
    floor.wait(7, trades=False)
    assert (floor.alerts, floor.pages) == (["PRICES_AWAY"], ["PRICES_AWAY"])
    floor.wait(600, trades=False)
    assert (floor.pages.count("PRICES_AWAY"), floor.state(position_id)) == (3, "Protected")
    floor.cut(back=True)
    floor.wait(600, trades=False)
    assert floor.pages.count("PRICES_AWAY") == 3
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("lost", ["ticker", "trade"])
def test_a14_a_channel_that_is_open_and_has_not_confirmed_a_subscription_is_away(side: PositionSide, lost: str) -> None:
    floor = Floor()
    position_id = floor.protected(side, panic_pnl_bps=-100)
    floor.altered = lambda text: '{"channel":"heartbeat"}' if f'"channel":"{lost}"' in text else text
    floor.cut(back=True)
    floor.wait(20, trades=False)
    assert (floor.alerts.count("PRICES_AWAY"), floor.pages) == (1, [])
    floor.wait(60, trades=False)
    assert (floor.pages, floor.state(position_id)) == (["PRICES_AWAY"], "Protected")
    floor.altered = lambda text: text
    if lost == "ticker":
        floor.cut(back=True)
    else:
        # Data prove it as well as a word.
        floor.tick(floor.px)
    floor.wait(600, trades=False)
    assert floor.pages == ["PRICES_AWAY"]
    assert replayed(floor)


def test_a14_a_restart_that_never_gets_market_data_is_told_and_an_empty_book_misses_none() -> None:
    floor = Floor()
    floor.feed("link", "public", payload_from(Link(state="closed", reason="reset")))
    floor.wait(100, trades=False)
    assert (floor.alerts, floor.pages) == ([], [])
    floor = Floor()
    floor.protected()
    floor.epoch += 1
    floor.intent(Restarted(epoch=floor.epoch))
    floor.wait(70, trades=False)
    assert "PRICES_AWAY" in floor.pages


@both_sides
def test_a14_a_stale_price_sends_no_patient_exit_to_rest_at_it(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.wait(10, trades=False)
    floor.intent(ExitPosition(position_id=position_id, reason="signal", patient=True))
    floor.wait(1, trades=False)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)
    assert "MakerExiting" not in floor.states(position_id)
    fresh = floor.protected(side)
    floor.intent(ExitPosition(position_id=fresh, reason="signal", patient=True))
    assert floor.state(fresh) == "MakerExiting"


@both_sides
@pytest.mark.parametrize(("silent_s", "trail"), [(0, 169), (10, 80)])
def test_a14_a_stale_price_gives_exposure_that_was_found_no_profit(side: PositionSide, silent_s: int, trail: int) -> None:
    floor = warmed(300)
    first = floor.open(side, entry_type="limit", entry_price=floor.moved(side, -400))
    floor.leave(first)
    floor.wait(1)
    floor.wait(silent_s, trades=False)
    found = AdoptExposure(position_id="hf000002", epoch=floor.epoch, of=first, side=side, qty=D("0.1"), px=floor.moved(side, -50))
    floor.intent(found)
    # By A8: with profit the range over 300 s, and with no price that can be believed the degraded trail.
    assert floor.position("hf000002").plan.trail_offset_bps == trail


@both_sides
def test_a14_a_print_two_percent_off_the_touch_crosses_nothing_and_moves_no_peak(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, panic_pnl_bps=-100)
    floor.wait(1)
    peak = floor.pipeline.desk.peak_ticks(position_id)
    for bps in (-200, 200):
        printed(floor, floor.moved(side, bps))
        printed(floor, floor.px)
    assert (floor.state(position_id), floor.pipeline.counters["off_band"]) == ("Protected", 2)
    assert floor.pipeline.desk.peak_ticks(position_id) == peak


@both_sides
def test_a14_a_jump_that_the_next_print_confirms_is_the_market(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, panic_pnl_bps=-100)
    floor.wait(1)
    printed(floor, floor.moved(side, -200))
    assert floor.reasons(position_id) == []
    printed(floor, floor.moved(side, -201))
    assert floor.reasons(position_id) == ["panic"]


def test_a14_no_price_that_is_none_ever_decides() -> None:
    floor = Floor()
    position_id = floor.protected(panic_pnl_bps=-100)
    for text in ("0", "-1", "1e400", '"NaN"', '"60000"', "null", '"1_000"', "[]"):
        entry = f'{{"symbol":"BTC/USD","side":"buy","price":{text},"qty":0.1,"trade_id":1,"timestamp":"2023-11-14T22:13:20Z"}}'
        floor.feed("frame", "public", f'{{"channel":"trade","type":"update","data":[{entry}]}}')
    assert floor.state(position_id) == "Protected"
    assert floor.facts(f.LevelCrossed) == []


@both_sides
def test_a22_private_words_that_come_late_degrade_the_link_and_halt_entries_only(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.faults.arm("delay_frame", on="executions", seconds=3, count=1)
    floor.leave(position_id)
    floor.wait(4)
    assert "PRIVATE_STREAM_DEGRADED" in floor.alerts
    floor.wait(10)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)


@pytest.mark.parametrize("px", ["Infinity", "0", "-1"])
def test_a14_a_level_that_no_price_has_crossed_is_reported_and_decides_nothing(px: str) -> None:
    stage = Stage(panic_pnl_bps=-100).protected()
    mark = Mark(px=D(px), ts_event_ns=stage.now_ns, ts_recv_ns=stage.now_ns, age_ns=0)
    stage.take(f.LevelCrossed(ts_recv_ns=stage.now_ns, level="panic", mark=mark))
    assert [text for text in stage.step if text.startswith("alert")], stage.step
    assert_decision(stage, "Protected")


def test_a14_an_old_price_narrows_no_trail_and_notes_no_level() -> None:
    stage = Stage(tighten=(f.TightenStep(profit_bps=100, trail_offset_bps=50),)).protected()
    old = Mark(px=D(102), ts_event_ns=0, ts_recv_ns=stage.now_ns, age_ns=3_600_000 * MS)
    for level in ("tighten", "stop", "activation"):
        stage.take(f.LevelCrossed(ts_recv_ns=stage.now_ns, level=level, mark=old))  # type: ignore[arg-type]
        assert_decision(stage, "Protected")
    position = stage.position
    assert (position.wanted_trail_offset_bps, position.tighten_done) == (300, 0)
    assert (position.shadow_ns, position.trail_activated_ns) == (0, 0)


def test_a14_a_position_of_a_pair_that_nobody_subscribes_to_is_told_though_other_prices_come() -> None:
    floor = Floor()
    position_id = floor.protected()
    floor.settings = replace(floor.settings, symbols=("ETH/USD",))
    floor.kill()
    floor.altered = lambda text: '{"channel":"heartbeat"}' if '"channel":"trade"' in text or '"channel":"ticker"' in text else text
    floor.wait(200)
    assert ("PRICES_AWAY" in floor.pages, floor.state(position_id)) == (True, "Protected")
