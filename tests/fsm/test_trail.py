"""The smart trailing stop: its table, its rules C1-C8, and that it needs to look only where it says."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import BadInput
from fsm.prices import PriceIndex
from fsm.trail import (
    ACTIVE,
    INACTIVE,
    SECOND_NS,
    TRAIL,
    TRIGGERED,
    FasterThan,
    Seen,
    SmartTrail,
    SmartTrails,
    TrailSpec,
    Watch,
    trail_from,
    watch,
)

LONG = TrailSpec(side=1, entry_ticks=100_000, opened_ns=0, trail_offset_bps=100)
SHORT = TrailSpec(side=-1, entry_ticks=100_000, opened_ns=0, trail_offset_bps=100)
TRAILS = SmartTrails("machine")


def run(spec: TrailSpec, *looks: tuple[int, int | None]) -> tuple[SmartTrail, list[tuple[str, ...]]]:
    """Step through (seconds, last price); return the trail after it and the commands of each look."""
    trail, commands = trail_from(spec), []
    for seconds, last in looks:
        step = TRAILS.step(trail, Seen(seconds * SECOND_NS, last))
        trail = step.trail
        commands.append(step.commands)
    return trail, commands


def test_every_cell_of_the_table_is_covered_exactly_once() -> None:
    assert TRAIL.problems() == []


@pytest.mark.parametrize(
    ("fields", "side", "waiting", "reached"),
    [
        ({"activation_ticks": 101_000}, 1, (0, 100_999), (1, 101_000)),
        ({"activation_ticks": 99_000}, -1, (0, 99_001), (1, 99_000)),
        ({"activation_profit_bps": 50}, 1, (0, 100_499), (1, 100_500)),
        ({"activation_profit_bps": 50}, -1, (0, 99_501), (1, 99_500)),
        ({"activation_secs": 30}, 1, (29, 99_000), (30, 99_000)),
        ({"activation_ticks": 101_000, "activation_secs": 30}, 1, (29, 100_000), (29, 101_000)),
        ({}, 1, (0, None), (0, 99_000)),
    ],
)
def test_a_trail_is_activated_by_price_profit_or_time(fields: dict[str, int], side: int, waiting: tuple, reached: tuple) -> None:
    spec = TrailSpec(side=side, entry_ticks=100_000, opened_ns=0, trail_offset_bps=100, **fields)  # type: ignore[arg-type]
    trail, commands = run(spec, waiting)
    assert (trail.state, commands) == (INACTIVE, [()])
    trail, commands = run(spec, waiting, reached)
    assert (trail.state, commands[-1]) == (ACTIVE, ("place_stop",))
    assert trail.peak_ticks == reached[1]


def test_time_alone_does_not_activate_without_a_fresh_price() -> None:
    trail, _ = run(TrailSpec(side=1, entry_ticks=100_000, opened_ns=0, trail_offset_bps=100, activation_secs=30), (31, None))
    assert trail.state == INACTIVE


def test_a_long_stop_is_peak_times_one_minus_the_distance_and_a_short_one_mirrored() -> None:
    assert run(LONG, (0, 100_000), (1, 104_001))[0].exact_stop_ticks == 102_960  # 102960.99 rounded down
    assert run(SHORT, (0, 100_000), (1, 96_001))[0].exact_stop_ticks == 96_962  # 96961.01 rounded up


def test_the_stop_never_loosens_when_the_price_comes_back() -> None:
    trail, commands = run(LONG, (0, 100_000), (61, 100_500), (122, 99_600))
    assert (trail.exact_stop_ticks, trail.placed_stop_ticks, commands[-1]) == (99_495, 99_495, ())


def test_updates_wait_a_minute_and_a_tenth_of_a_percent() -> None:
    _, commands = run(LONG, (0, 100_000), (59, 100_500), (60, 100_090), (60, 100_100), (119, 100_300), (120, 100_300))
    assert commands == [("place_stop",), (), ("move_stop",), (), (), ()], "the second gain is of the peak 100500, moved at 60 s"
    _, commands = run(LONG, (0, 100_000), (60, 100_099))
    assert commands[-1] == (), "less than 0.1 %"
    _, commands = run(LONG, (0, 100_000), (60, 100_100))
    assert commands[-1] == ("move_stop",)


def test_a_gain_held_back_is_placed_when_the_pause_is_over_without_a_new_price() -> None:
    _, commands = run(LONG, (0, 100_000), (10, 100_500), (59, None), (60, None))
    assert commands == [("place_stop",), (), (), ("move_stop",)]


def test_an_improvement_of_a_percent_goes_at_once() -> None:
    _, commands = run(LONG, (0, 100_000), (1, 101_010), (2, 102_031))
    assert commands == [("place_stop",), ("move_stop",), ("move_stop",)]
    _, commands = run(LONG, (0, 100_000), (1, 100_990))
    assert commands[-1] == ()


def test_the_exact_stop_triggers_even_where_the_placed_one_was_held_back() -> None:
    trail, commands = run(LONG, (0, 100_000), (10, 100_500), (11, 99_495))
    assert trail.placed_stop_ticks == 99_000
    assert (trail.state, commands[-1]) == (TRIGGERED, ("exit",))


def test_a_triggered_trail_absorbs_everything() -> None:
    trail, commands = run(LONG, (0, 100_000), (1, 99_000), (2, 200_000), (100, None))
    assert (trail.state, commands[-2:]) == (TRIGGERED, [(), ()])


@pytest.mark.parametrize(("side", "enough", "stop"), [(1, 100_600, 100_050), (-1, 99_400, 99_950)])
def test_breakeven_lifts_the_stop_to_the_entry_and_its_fees(side: int, enough: int, stop: int) -> None:
    spec = msgspec.structs.replace(LONG if side == 1 else SHORT, breakeven_profit_bps=60, breakeven_offset_bps=5)
    assert run(spec, (0, 100_000), (1, enough - side))[0].exact_stop_ticks != stop
    trail, commands = run(spec, (0, 100_000), (1, enough))
    assert trail.exact_stop_ticks == stop
    assert commands[-1] == ("move_stop",), "from 1 % under the entry to the entry is 1 % better: at once"


def test_the_distance_narrows_while_the_peak_runs_fast_and_the_stop_stays_when_it_slows() -> None:
    fast = msgspec.structs.replace(LONG, trail_offset_bps=200, acceleration=(FasterThan(50, 100), FasterThan(150, 40)))
    assert run(fast, (0, 100_000), (30, 100_400))[0].exact_stop_ticks == 98_392  # 40 bps in a minute: 200 bps
    assert run(fast, (0, 100_000), (30, 100_500))[0].exact_stop_ticks == 99_495  # 50: 100 bps
    assert run(fast, (0, 100_000), (30, 101_500))[0].exact_stop_ticks == 101_094  # 150: 40 bps
    assert run(fast, (0, 100_000), (30, 101_500), (600, 101_600))[0].exact_stop_ticks == 101_094


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"trail_offset_bps": 0}, "trail_offset_bps"),
        ({"acceleration": (FasterThan(1, 10_000),)}, "acceleration"),
        ({"entry_ticks": 0}, "entry_ticks"),
    ],
)
def test_numbers_that_cannot_protect_are_refused_by_name(fields: dict, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        trail_from(TrailSpec(**{"side": 1, "entry_ticks": 100_000, "opened_ns": 0, "trail_offset_bps": 100, **fields}))


specs = st.builds(
    TrailSpec,
    side=st.sampled_from([1, -1]),
    entry_ticks=st.just(10_000),
    opened_ns=st.just(0),
    trail_offset_bps=st.sampled_from([20, 100, 300]),
    activation_ticks=st.none() | st.integers(9_900, 10_100),
    activation_profit_bps=st.none() | st.integers(-50, 100),
    activation_secs=st.none() | st.integers(0, 200),
    breakeven_profit_bps=st.none() | st.integers(10, 150),
    breakeven_offset_bps=st.integers(0, 9),
)
moves = st.lists(st.tuples(st.integers(1, 40), st.integers(-60, 60)), max_size=60)


def walk(spec: TrailSpec, path: list[tuple[int, int]]) -> list[tuple[int, int]]:
    seconds, price, out = 0, spec.entry_ticks, []
    for wait, move in path:
        seconds, price = seconds + wait, price + move
        out.append((seconds * SECOND_NS, price))
    return out


@settings(max_examples=300, deadline=None)
@given(specs, moves)
def test_stops_only_improve_and_updates_keep_their_distance_in_time(spec: TrailSpec, path: list[tuple[int, int]]) -> None:
    trail = trail_from(spec)
    for ts_ns, price in walk(spec, path):
        before = trail
        step = TRAILS.step(before, Seen(ts_ns, price))
        trail = step.trail
        if before.state == ACTIVE:
            assert spec.side * trail.exact_stop_ticks >= spec.side * before.exact_stop_ticks
            assert spec.side * trail.placed_stop_ticks >= spec.side * before.placed_stop_ticks
            assert spec.side * trail.peak_ticks >= spec.side * before.peak_ticks
        if "move_stop" in step.commands:
            gain = spec.side * (trail.placed_stop_ticks - before.placed_stop_ticks) * 10_000 / before.placed_stop_ticks
            assert gain >= 100 or (gain >= 10 and ts_ns - before.placed_ns >= 60 * SECOND_NS)
        assert SmartTrails("flat").step(before, Seen(ts_ns, price)) == step, "the table as a dictionary gives the same row"


@settings(max_examples=300, deadline=None)
@given(specs, moves)
def test_looking_only_when_the_watch_says_gives_the_same_commands_at_the_same_times(spec: TrailSpec, path: list[tuple[int, int]]) -> None:
    ticks = walk(spec, path)
    assert commands_of(spec, ticks, watched=True) == commands_of(spec, ticks, watched=False)


def commands_of(spec: TrailSpec, ticks: list[tuple[int, int]], watched: bool) -> list[tuple[int, tuple[str, ...]]]:
    trail, index, out = trail_from(spec), PriceIndex(), []
    better = "at_or_above" if spec.side == 1 else "at_or_below"
    worse = "at_or_below" if spec.side == 1 else "at_or_above"
    due_ns: int | None = None

    def arm(now_ns: int) -> None:
        nonlocal due_ns
        due = watch(trail, now_ns)
        due_ns = due.at_ns
        for key in ("stop", "better", "trail"):
            index.disarm(key)
        if due.stop_ticks is not None:
            index.arm("stop", worse, due.stop_ticks)  # type: ignore[arg-type]
        if due.better_ticks is not None:
            index.arm("better", better, due.better_ticks)  # type: ignore[arg-type]
        if due.trail_offset_bps is not None:
            index.trail("trail", spec.side, due.trail_offset_bps, trail.peak_ticks)

    def look(ts_ns: int, last: int | None, best: int | None) -> None:
        nonlocal trail
        step = TRAILS.step(trail, Seen(ts_ns, last, best))
        trail = step.trail
        if step.commands:
            out.append((ts_ns, step.commands))
        arm(ts_ns)

    arm(-1)
    # Without a level or a time the first price activates; after the time, the next fresh price does.
    at_next_price = spec.activation_ticks is None and spec.activation_profit_bps is None and spec.activation_secs is None
    for ts_ns, price in ticks:
        best = index.peak_of("trail")
        if due_ns is not None and due_ns <= ts_ns:
            if trail.state == INACTIVE:
                at_next_price, due_ns = True, None
            else:
                look(due_ns, None, best)
        crossed = index.on_tick(price)
        if crossed or not watched or (at_next_price and trail.state == INACTIVE):
            look(ts_ns, price, index.peak_of("trail") or best)
    return out


def test_a_trail_whose_stop_was_crossed_arms_nothing_any_more() -> None:
    trail, commands = run(LONG, (0, 100_000), (1, 99_000))
    assert (trail.state, commands[-1]) == (TRIGGERED, ("exit",))
    assert watch(trail, 3_600 * SECOND_NS) == Watch(None, None, None, None)


def test_a_trail_that_waits_for_its_activation_is_looked_at_there_and_arms_no_stop() -> None:
    spec = TrailSpec(side=1, entry_ticks=100_000, opened_ns=0, trail_offset_bps=100, activation_ticks=101_000, activation_secs=30)
    assert watch(trail_from(spec), 0) == Watch(None, None, 101_000, 30 * SECOND_NS)


def test_a_trail_whose_pause_is_over_needs_no_clock() -> None:
    trail, _ = run(msgspec.structs.replace(LONG, update_interval_secs=10), (0, 100_000), (1, 102_000))
    assert trail.placed_ns == SECOND_NS
    assert watch(trail, 11 * SECOND_NS - 1).at_ns == 11 * SECOND_NS
    assert watch(trail, 11 * SECOND_NS).at_ns is None
