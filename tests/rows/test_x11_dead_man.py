"""K10, X11: the venue's dead-man switch takes every order of the account, stops too. It is on only while it could bare nothing."""

from typing import Any

import msgspec
import pytest

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import MS, SYMBOL, Floor, replayed
from replay.pipeline import Settings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
SECS = 60


class Switch:
    """What was asked of the switch, and what left around it, in order: `on`, `off`, or the type of an order."""

    def __init__(self, **options: Any) -> None:
        self.floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), dead_man_secs=SECS), **options)
        self.sent: list[str] = []
        self.floor.listener = self._hear
        # A start counts with a switch that a life before left on, twice; what follows is the business of a test.
        self.floor.wait(6)
        self.sent.clear()

    def _hear(self, text: str) -> None:
        request = msgspec.json.decode(text)
        if request["method"] == "cancel_all_orders_after":
            self.sent.append("on" if request["params"]["timeout"] else "off")
        elif request["method"] == "add_order":
            self.sent.append(request["params"]["order_type"])

    def resting_entry(self, side: PositionSide, **plan: object) -> str:
        return self.floor.open(side, entry_type="limit", entry_price=self.floor.moved(side, -20), **plan)

    @property
    def is_on(self) -> bool:
        return self.floor.gateway.exchange._dead_man_ns is not None


def off_requests(text: str) -> bool:
    return "cancel_all_orders_after" in text and '"timeout":0' in text


@both_sides
def test_x11_it_is_on_while_only_an_entry_rests_is_kept_on_and_off_before_the_stop_leaves(side: PositionSide) -> None:
    switch = Switch()
    position_id = switch.resting_entry(side)
    switch.floor.wait(50)
    assert (switch.is_on, switch.sent) == (True, ["on", "limit", "on", "on"])
    switch.floor.tick(switch.floor.moved(side, -30))
    switch.floor.wait(1)
    assert switch.floor.state(position_id) == "Protected"
    assert (switch.is_on, switch.sent[-2:]) == (False, ["off", "trailing-stop"])
    switch.floor.wait(2 * SECS)
    assert switch.floor.state(position_id) == "Protected"
    assert switch.sent.count("off") == 1
    assert replayed(switch.floor)


@both_sides
def test_x11_an_outage_longer_than_it_leaves_no_entry_behind(side: PositionSide) -> None:
    switch = Switch()
    position_id = switch.resting_entry(side)
    switch.floor.wait(1)
    switch.floor.cut()
    switch.floor.wait(SECS + 1)
    assert switch.floor.resting() == []
    switch.floor.connect()
    switch.floor.wait(3)
    assert (switch.floor.state(position_id), switch.floor.at_venue()) == ("Abandoned", 0)
    assert replayed(switch.floor)


@both_sides
def test_x11_what_filled_during_the_outage_is_protected_first_and_stays_so(side: PositionSide) -> None:
    switch = Switch()
    position_id = switch.resting_entry(side)
    switch.floor.wait(1)
    switch.floor.cut()
    switch.floor.wait(30)
    switch.floor.tick(switch.floor.moved(side, -30))
    switch.floor.wait(15)
    switch.sent.clear()
    switch.floor.connect()
    switch.floor.wait(2)
    assert switch.floor.state(position_id) == "Protected"
    # What the outage did is not known before the snapshot: until then it is not set again.
    assert switch.sent == ["off", "trailing-stop"]
    switch.floor.wait(SECS)
    assert switch.floor.resting() == [f"trailing-stop {side.exit_side.value} 0.5"]


@both_sides
@pytest.mark.parametrize("cut", [False, True], ids=["told", "found out after an outage"])
def test_x11_a_switch_that_fires_over_a_stop_costs_a_bounded_time_and_a_person_knows(side: PositionSide, cut: bool) -> None:
    switch = Switch()
    floor = switch.floor
    position_id = switch.resting_entry(side)
    floor.wait(1)
    floor.holds_back = off_requests
    floor.tick(floor.moved(side, -30))
    floor.wait(5)
    assert (floor.state(position_id), switch.is_on) == ("Protected", True)
    assert "DEAD_MAN_STILL_ON" in floor.pages
    if cut:
        floor.cut()
    bare_before_ns = floor.bare_ns
    floor.wait(SECS)
    assert not switch.is_on
    if cut:
        assert floor.resting() == []
        floor.connect()
    floor.wait(3)
    assert floor.resting() == [f"trailing-stop {side.exit_side.value} 0.5"]
    assert floor.state(position_id) == "Protected"
    assert cut or floor.bare_ns - bare_before_ns <= 200 * MS
    canceled = [x for x in floor.events if isinstance(x.fact, f.OrderCanceled | f.OrderNotFound) and x.position_id == position_id]
    assert canceled
    assert switch.sent.count("trailing-stop") == 2
    assert replayed(floor)


@both_sides
def test_x11_an_entry_with_an_attached_stop_never_switches_it_on(side: PositionSide) -> None:
    switch = Switch()
    switch.resting_entry(side, attach_stop=True)
    switch.floor.wait(SECS)
    assert switch.sent == ["limit"]


def test_x11_a_second_entry_beside_a_protected_position_does_not_switch_it_on() -> None:
    switch = Switch()
    switch.floor.protected()
    switch.resting_entry(PositionSide.LONG)
    switch.floor.wait(30)
    assert "on" not in switch.sent


def test_x11_what_an_earlier_life_left_on_is_switched_off_before_anything_is_sent() -> None:
    switch = Switch()
    floor = switch.floor
    position_id = switch.resting_entry(PositionSide.LONG)
    floor.wait(1)

    def filled() -> None:
        floor.tick(floor.moved(PositionSide.LONG, -30))

    floor.kill(meanwhile=filled)
    floor.wait(2)
    assert (switch.is_on, floor.state(position_id)) == (False, "Protected")
    assert switch.sent.index("off") < switch.sent.index("trailing-stop")


@both_sides
def test_x11_a_stop_that_the_crash_took_out_of_the_log_is_no_reason_to_set_it_again(side: PositionSide) -> None:
    """A stop leaves before its event is durable: after a kill -9 the log may say that only an entry rests, and be wrong."""
    switch = Switch()
    floor = switch.floor
    position_id = switch.resting_entry(side)
    floor.wait(1)
    kept = len(floor.events)
    floor.tick(floor.moved(side, -30))
    floor.wait(1)
    assert floor.state(position_id) == "Protected"
    switch.sent.clear()
    del floor.events[kept:]
    floor.kill()
    floor.wait(1)
    assert (floor.state(position_id), "on" in switch.sent, switch.is_on) == ("Protected", False, False)
    assert floor.resting() == [f"trailing-stop {side.exit_side.value} 0.5"]


@both_sides
def test_x11_a_request_of_the_link_before_that_arrives_late_takes_no_stop(side: PositionSide) -> None:
    switch = Switch()
    floor = switch.floor
    position_id = switch.resting_entry(side)
    late: list[str] = []

    def delays(text: str) -> bool:
        if '"timeout":60' not in text:
            return False
        late.append(text)
        return True

    floor.holds_back = delays
    floor.wait(21)
    assert late
    floor.cut()
    floor.tick(floor.moved(side, -30))
    floor.connect()
    floor.wait(1)
    assert (floor.state(position_id), switch.is_on) == ("Protected", False)
    floor.holds_back = lambda text: False
    floor._send_frame(late[-1])
    assert switch.is_on
    floor.wait(2 * SECS)
    assert (floor.state(position_id), switch.is_on) == ("Protected", False)
    assert floor.resting() == [f"trailing-stop {side.exit_side.value} 0.5"]
    assert not floor.pages


def test_x11_while_the_truth_is_in_doubt_it_is_left_as_it_is_and_no_clock_spins() -> None:
    switch = Switch()
    floor = switch.floor
    switch.resting_entry(PositionSide.LONG)
    floor.wait(1)
    floor.cut()
    floor.altered = lambda text: '{"channel":"heartbeat"}' if '"type":"snapshot"' in text else text
    floor.connect()
    switch.sent.clear()
    floor.wait(5)
    assert switch.sent == []
    assert floor.pipeline.dead_man.deadline_ns() is None


@pytest.mark.parametrize("answer", ["lost", "refused"])
def test_x11_off_is_asked_for_until_it_is_confirmed(answer: str) -> None:
    switch = Switch()
    floor = switch.floor
    position_id = switch.resting_entry(PositionSide.LONG)
    floor.wait(1)
    if answer == "refused":
        floor.faults.arm("reject", on="cancel_all_orders_after", text="EService:Unavailable", count=2)
    else:
        lost = iter((True, True))
        floor.holds_back = lambda text: off_requests(text) and next(lost, False)
    floor.tick(floor.moved(PositionSide.LONG, -30))
    floor.wait(4)
    assert (floor.state(position_id), switch.is_on, switch.sent.count("off")) == ("Protected", False, 3)
    assert ("DEAD_MAN_REFUSED" in floor.alerts) == (answer == "refused")


def test_x11_without_the_setting_nothing_of_it_is_sent() -> None:
    sent: list[str] = []
    floor = Floor()
    floor.listener = sent.append
    floor.open(entry_type="limit", entry_price=59_000)
    floor.wait(30)
    assert not any("cancel_all_orders_after" in text for text in sent)
    assert floor.pipeline.dead_man.deadline_ns() is None


@pytest.mark.parametrize("secs", [0, SECS])
def test_x11_a_tick_that_changes_nothing_looks_at_no_position(secs: int) -> None:
    looks: list[int] = []

    class Positions(dict[str, Any]):
        def values(self) -> Any:
            looks.append(len(self))
            return super().values()

    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), dead_man_secs=secs))
    floor.protected(PositionSide.LONG)
    floor.wait(10)
    floor.pipeline.desk.positions = Positions(floor.pipeline.desk.positions)
    quote = {"symbol": SYMBOL, "bid": 60_000, "bid_qty": 1, "ask": 60_001, "ask_qty": 1, "last": 60_000}
    text = msgspec.json.encode({"channel": "ticker", "type": "update", "data": [quote]}).decode()
    for _ in range(3):
        floor.feed("frame", "public", text)
    assert looks == []


@both_sides
def test_x11_one_that_is_not_to_be_used_any_more_is_switched_off_at_the_start_and_that_is_told(side: PositionSide) -> None:
    switch = Switch()
    floor = switch.floor
    position_id = switch.resting_entry(side)
    floor.wait(1)
    assert switch.is_on

    def filled() -> None:
        floor.tick(floor.moved(side, -30))
        floor.settings = msgspec.structs.replace(floor.settings, dead_man_secs=0, dead_man_left_secs=SECS)

    floor.kill(meanwhile=filled)
    floor.wait(2)
    assert (switch.is_on, floor.state(position_id)) == (False, "Protected")
    assert switch.sent.index("off") < switch.sent.index("trailing-stop")
    floor.wait(2 * SECS)
    assert floor.resting() == [f"trailing-stop {side.exit_side.value} 0.5"]
    assert (floor.alerts.count("DEAD_MAN_SWITCHED_OFF"), switch.sent.count("off")) == (1, 2)
    switch.sent.clear()
    switch.resting_entry(side)
    floor.wait(SECS)
    assert (switch.sent, floor.pipeline.dead_man.deadline_ns()) == (["limit"], None)
    assert replayed(floor)
