"""A23: a restart resumes the whole life cycle of an open position: timers, take-profit, peak, tightening; from every state."""

from pathlib import Path

import pytest

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from events.store import Store, open_store
from events.values import PositionSide
from fsm.monitor import BOUND_NS
from fsm.position import LIVE_STATES
from holdfast.assembly import live_histories
from holdfast.scenario.floor import MS, SYMBOL, Floor, replayed
from replay.intents import HaltPosition
from replay.pipeline import Settings
from replay.takeover import found_order
from tests.fsm.stage import D, Stage, assert_decision, checked
from tests.rows.ways import WAYS, covered
from venues.messages import OpenOrder
from venues.simulated.settings import VenueSettings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
SAFE = ("Protected", "Closed", "ProtectedPendingFill", "Abandoned", "TakeProfitWorking", "Halted")


class Disk:
    """A store in a file: what a life made is appended by its writer, and the next life reads it, as the process does."""

    def __init__(self, path: Path, lost: int = 0) -> None:
        self._path, self._lost = path, lost
        self._stored = 0
        self._store = self._opened()

    def _opened(self) -> Store:
        store = open_store(str(self._path))
        self.epoch = store.acquire_lease().token
        return store

    def recalled(self, events: list[PositionEvent]) -> list[PositionEvent]:
        """Store what is new, but for the last `lost` events if no entry waits for them, and read the log in the next life."""
        durable = len(events) - self._lost
        if any(isinstance(x, c.SubmitOrder) and x.role == "entry" for event in events[durable:] for x in event.commands):
            durable = len(events)
        del events[durable:]
        self._store.append(events[self._stored :])
        self._stored = len(events)
        self._store.close()
        self._store = self._opened()
        return live_histories(self._store)[0]


def killed(floor: Floor, disk: Disk, owners_trades: int = 0) -> None:
    """Kill and restart through the store, while the owner trades."""

    def meanwhile() -> None:
        for _ in range(owners_trades):
            floor.by_hand("buy", "0.001")

    floor.recalled = disk.recalled
    floor.kill(meanwhile)
    floor.holds_back = lambda text: False
    assert disk.epoch == floor.epoch


def assert_ended(floor: Floor, position_id: str, of_the_owner: object = 0) -> None:
    assert floor.state(position_id) in ("Closed", "Abandoned")
    assert (floor.at_venue(), floor.resting()) == (D(str(of_the_owner)), [])
    entries = [e for e in floor.events if any(getattr(x, "role", "") == "entry" for x in e.commands)]
    assert len(entries) == 1
    assert replayed(floor)


def test_a23_every_state_of_a_life_is_killed_here_or_below() -> None:
    assert {*WAYS, "Flattening"} == set(LIVE_STATES)


@both_sides
@pytest.mark.parametrize("lost", [0, 1], ids=["all durable", "the last event not durable"])
@pytest.mark.parametrize("state", WAYS)
def test_a23_a_kill_in_any_state_costs_no_protection_and_the_life_goes_on_to_its_end(
    side: PositionSide, state: str, lost: int, tmp_path: Path
) -> None:
    floor, position_id = WAYS[state](side, Floor)
    assert state in floor.states(position_id)[-2:], floor.states(position_id)
    killed(floor, Disk(tmp_path / "events.db", lost))
    floor.wait(12)
    assert floor.state(position_id) in SAFE, floor.state(position_id)
    assert floor.bare_ns <= 12_000 * MS or state == "TakeProfitWorking"
    # The time stop was set before the kill, and still runs from then.
    floor.wait(75)
    assert_ended(floor, position_id)


@pytest.mark.parametrize("rest", ["answers", "is a minute behind", "is empty", "is cut short", "refuses"])
@pytest.mark.parametrize("state", WAYS)
def test_a23_more_trades_than_a_snapshot_lists_and_a_rest_that_is_no_help_delay_but_lose_nothing(
    state: str, rest: str, tmp_path: Path
) -> None:
    def floor_of(**options: object) -> Floor:
        venue = VenueSettings(balances={"USD": D(1_000_000), "BTC": D(0)}, rest_lag_ms=60_000 if rest == "is a minute behind" else 0)
        return Floor(venue=venue, settings=Settings(namespace="hf", symbols=(SYMBOL,), asks_rest=True), **options)  # type: ignore[arg-type]

    side = PositionSide.LONG if (len(state) + len(rest)) % 2 else PositionSide.SHORT
    floor, position_id = WAYS[state](side, floor_of)
    fault = {"is empty": "rest_empty", "is cut short": "rest_partial", "refuses": "rest_refused"}.get(rest)
    if fault:
        floor.faults.arm(fault, count=4)
    killed(floor, Disk(tmp_path / "events.db"), owners_trades=60)
    floor.wait(30)
    # An entry whose fate nobody can tell yet, with nothing held, wakes nobody.
    assert floor.state(position_id) in (*SAFE, "EntryPending") or floor.pages, floor.state(position_id)
    assert floor.bare_ns <= BOUND_NS or state == "TakeProfitWorking"
    floor.wait(120)
    assert_ended(floor, position_id, "0.06")


@both_sides
def test_a23_a_halted_position_stays_halted_and_protected(side: PositionSide) -> None:
    stage = Stage(side).protected().halt().restart().link_live().snapshot("stop")
    assert (stage.state, stage.bare) == ("Halted", 0)


@both_sides
def test_a23_a_stop_that_the_log_forgot_with_the_execution_that_it_protects_gets_no_second_one_beside_it(side: PositionSide) -> None:
    floor = Floor()
    entry_price = floor.moved(side, -100)
    position_id = floor.open(side, attach_stop=False, entry_type="limit", entry_price=entry_price)
    floor.wait(1)
    floor.holds_back = lambda text: "cancel" in text
    floor.intent(HaltPosition(position_id=position_id, reason="a person asked for it"))
    floor.tick(floor.moved(side, -110), 5)
    floor.wait(1)
    stops = floor.resting()
    assert [stop.split()[0] for stop in stops] == ["trailing-stop"]
    filled = next(place for place, event in enumerate(floor.events) if isinstance(event.fact, f.OrderFilled))
    floor.lose(len(floor.events) - filled)
    floor.kill()
    floor.wait(5)
    assert (floor.state(position_id), floor.resting()) == ("Halted", stops)
    assert not [x for event in floor.events[floor.lived_from :] for x in event.commands if isinstance(x, c.SubmitOrder | c.CancelOrder)]
    assert replayed(floor)


@both_sides
def test_a23_a_reverse_that_was_being_closed_is_closed_after_the_restart(side: PositionSide, tmp_path: Path) -> None:
    stage = Stage(side).protected().leave().canceled("stop").filled("stop", "1.0", cum="1.0").filled("exit", "1.0")
    assert stage.state == "Flattening"
    stage.events = Disk(tmp_path / "events.db").recalled(stage.events)
    stage.restart().link_live().filled("flatten", "1.0").snapshot()
    assert stage.state == "Closed"


@both_sides
def test_a23_the_time_stop_counts_from_the_entry_and_not_from_the_restart(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, time_stop_secs=40)
    floor.wait(25)
    floor.kill()
    floor.wait(12)
    assert floor.state(position_id) == "Protected"
    floor.wait(6)
    assert (floor.reasons(position_id), floor.state(position_id)) == (["time_stop"], "Closed")


@both_sides
def test_a23_take_profit_panic_and_tightening_are_armed_again(side: PositionSide) -> None:
    plan = {"panic_pnl_bps": -150, "tighten": (f.TightenStep(profit_bps=50, trail_offset_bps=90),)}
    for bps, reason in ((100, "take_profit"), (-160, "panic")):
        floor = Floor()
        position_id = floor.protected(side, take_profit_price=floor.moved(side, 90), **plan)
        floor.kill()
        floor.wait(2)
        if bps > 0:
            floor.tick(floor.moved(side, 60))
            floor.wait(2)
            assert floor.position(position_id).open_orders("stop")[0].trail_offset_bps == 90
        floor.tick(D(60_000) * (10_000 + side.sign * bps) / 10_000)
        floor.wait(3)
        assert (floor.reasons(position_id), floor.state(position_id)) == ([reason], "Closed")


@both_sides
def test_a23_an_engine_kept_trail_does_not_begin_anew(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_style="engine", trail_offset_bps=100)
    floor.tick(floor.moved(side, 140))
    floor.wait(3)
    stop = floor.position(position_id).wanted_stop_ticks
    assert stop is not None
    floor.tick(floor.px)
    floor.kill()
    floor.wait(3)
    after = floor.position(position_id).wanted_stop_ticks
    assert after is not None
    assert (after - stop) * side.sign >= 0


@both_sides
def test_a23_a_second_kill_during_the_recovery_changes_nothing(side: PositionSide) -> None:
    floor, position_id = covered(side, Floor)
    floor.kill()
    floor.kill()
    floor.wait(0.2)
    floor.kill()
    floor.wait(3)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert_decision(Stage(side).protected().restart().restart().link_live().snapshot("stop"), "Protected")


# --- an amend to a larger size that the log has lost ------------------------------------------------------------------------------


def made_larger_unlogged(side: PositionSide) -> Stage:
    """The stop of a half was made one of the whole by an amend, and the log knows of neither that nor the fill that it was for."""
    stage = Stage(side).accepted("entry").filled("entry", "0.5").accepted("stop").filled("entry", "0.5", trade_id="T-second")
    assert stage.sent()[-1] == "amend stop qty 1.0"
    stage.restart(lost=1).filled("entry", "0.5", trade_id="T-second")
    stage.said()
    return stage


def listed(stage: Stage, leaves: str, cum: str, name: str = "stop") -> Stage:
    """A list names an order as open, fired and with a half of it executed: what the pipeline makes of it."""
    ids = stage.ids(name)
    order = OpenOrder(
        client_order_id=str(ids["client_order_id"]), venue_order_id=str(ids["venue_order_id"]), is_ours=True, symbol=SYMBOL,
        side=stage.side.exit_side, order_type="market", order_qty=D(leaves) + D(cum), cum_qty=D(cum), leaves_qty=D(leaves),
        is_triggered=True,
    )  # fmt: skip
    fact = found_order(stage.position, order, stage.now_ns, stage.now_ns)
    return stage if fact is None else stage.take(fact)


@both_sides
def test_a23_a_stop_that_a_lost_amend_made_larger_is_not_called_filled_by_what_filled_a_half_of_it(side: PositionSide) -> None:
    stage = made_larger_unlogged(side).filled("stop", "0.5")
    assert stage.order("stop").status == "Filled"
    listed(stage, "0.5", "0.5").wait(100).snapshot("stop")
    assert (stage.state, stage.order("stop").status, stage.order("stop").leaves_lots) == ("StopTriggered", "Live", 500)
    assert not any(text.startswith("submit") for text in stage.sent())
    stage.filled("stop", "0.5", trade_id="T-third")
    assert (stage.state, stage.held, stage.sent()) == ("Closed", 0, [])
    checked(stage)


@both_sides
def test_a23_a_stop_that_a_lost_amend_made_larger_and_that_fires_has_the_size_that_the_list_says(side: PositionSide) -> None:
    stage = made_larger_unlogged(side).triggered("stop")
    listed(stage, "1.0", "0").wait(100).snapshot("stop").filled("stop", "0.5")
    assert (stage.state, stage.order("stop").status, stage.order("stop").leaves_lots) == ("StopTriggered", "Triggered", 500)
    assert not any(text.startswith("submit") for text in stage.sent())


@both_sides
@pytest.mark.parametrize(("leaves", "cum"), [("0.5", "0"), ("0", "0.5")], ids=["older", "over"])
def test_a23_a_list_that_is_older_than_the_execution_or_names_nothing_open_revives_no_filled_stop(
    side: PositionSide, leaves: str, cum: str
) -> None:
    stage = made_larger_unlogged(side).filled("stop", "0.5")
    assert listed(stage, leaves, cum).order("stop").status == "Filled"
