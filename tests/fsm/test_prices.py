"""The price index against the plainest model that there is: every position looked at on every tick."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.prices import PriceIndex, trail_stop_ticks


@dataclass
class Naive:
    """Lists of what is armed, scanned on every tick."""

    levels: dict[str, tuple[str, int]] = field(default_factory=dict)
    trails: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def arm(self, key: str, direction: str, ticks: int) -> None:
        self.disarm(key)
        self.levels[key] = (direction, ticks)

    def trail(self, key: str, side: int, bps: int, peak: int) -> None:
        old = self.trails.get(key)
        if old is not None and old[0] == side:
            peak = max(old[2], peak) if side == 1 else min(old[2], peak)
        self.disarm(key)
        self.trails[key] = (side, bps, peak)

    def disarm(self, key: str) -> None:
        self.levels.pop(key, None)
        self.trails.pop(key, None)

    def peak_of(self, key: str) -> int | None:
        return self.trails[key][2] if key in self.trails else None

    def on_tick(self, ticks: int) -> tuple[str, ...]:
        if ticks <= 0:
            return ()
        fired = [k for k, (direction, level) in self.levels.items() if (ticks <= level if direction == "at_or_below" else ticks >= level)]
        for key, (side, bps, peak) in self.trails.items():
            peak = max(peak, ticks) if side == 1 else min(peak, ticks)
            self.trails[key] = (side, bps, peak)
            long_crossed = side == 1 and ticks <= peak * (10_000 - bps) // 10_000
            short_crossed = side == -1 and ticks >= -(-peak * (10_000 + bps) // 10_000)
            if long_crossed or short_crossed:
                fired.append(key)
        for key in fired:
            self.disarm(key)
        return tuple(sorted(fired))


KEYS = [f"p{n}" for n in range(9)]
keys = st.sampled_from(KEYS)
prices = st.integers(950, 1050)
# Few distances and few prices, so that groups share peaks, merge, and fire together.
steps = st.one_of(
    st.tuples(st.just("tick"), st.integers(-1, 1060) | prices | prices | prices),
    st.tuples(st.just("trail"), keys, st.sampled_from([1, -1]), st.sampled_from([1, 9, 50, 100, 200, 9_999]), prices),
    st.tuples(st.just("arm"), keys, st.sampled_from(["at_or_below", "at_or_above"]), prices),
    st.tuples(st.just("disarm"), keys),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=60))
def test_index_agrees_with_a_scan_of_all_positions(history: list[tuple]) -> None:
    index, naive = PriceIndex(), Naive()
    for name, *arguments in history:
        if name == "tick":
            (ticks,) = arguments
            before = {key: naive.peak_of(key) for key in KEYS}
            expected = naive.on_tick(ticks)
            if index.quiet_low < ticks < index.quiet_high:
                assert expected == (), "a quiet price crosses nothing"
                assert before == {key: naive.peak_of(key) for key in KEYS}, "a quiet price moves no peak"
            assert index.on_tick(ticks) == expected
        else:
            getattr(index, name)(*arguments)
            getattr(naive, name)(*arguments)
        assert {key: index.peak_of(key) for key in KEYS} == {key: naive.peak_of(key) for key in KEYS}


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25), st.lists(st.integers(970, 1030), min_size=1, max_size=12))
def test_passing_a_range_equals_taking_its_ticks_or_changes_nothing(history: list[tuple], run: list[int]) -> None:
    index, naive = PriceIndex(), Naive()
    for name, *arguments in history:
        target = "on_tick" if name == "tick" else name
        getattr(index, target)(*arguments)
        getattr(naive, target)(*arguments)
    before = {key: index.peak_of(key) for key in KEYS}
    bounds = (index.quiet_low, index.quiet_high)
    passed = index.pass_range(min(run), max(run))
    if passed:
        assert [naive.on_tick(ticks) for ticks in run] == [()] * len(run)
    else:
        assert (index.quiet_low, index.quiet_high) == bounds
        assert {key: index.peak_of(key) for key in KEYS} == before
        assert [index.on_tick(ticks) for ticks in run] == [naive.on_tick(ticks) for ticks in run]
    assert {key: index.peak_of(key) for key in KEYS} == {key: naive.peak_of(key) for key in KEYS}
    assert index.on_tick(1) == naive.on_tick(1), "what is still armed is the same"


def test_a_range_that_cannot_cross_is_passed_and_moves_the_peaks() -> None:
    index = PriceIndex()
    index.trail("long", 1, 100, 1000)
    index.trail("short", -1, 100, 1000)
    assert index.pass_range(999, 1005)
    assert (index.peak_of("long"), index.peak_of("short")) == (1005, 999)
    assert not index.pass_range(995, 1006), "1006 * 0.99 = 995.94, so 995 would cross if it came last"


def test_a_long_stop_is_rounded_down_and_a_short_stop_up() -> None:
    assert trail_stop_ticks(1, 50, 61_803) == 61_493  # 61493.985
    assert trail_stop_ticks(-1, 50, 61_803) == 62_113  # 62112.015


def test_a_level_fires_once() -> None:
    index = PriceIndex()
    index.arm("tp", "at_or_above", 100)
    assert index.on_tick(99) == ()
    assert index.on_tick(100) == ("tp",)
    assert index.on_tick(101) == ()


def test_keys_crossed_by_one_tick_come_in_the_order_of_the_keys() -> None:
    index = PriceIndex()
    for key in ("c", "a", "d", "b"):
        index.trail(key, 1, 50, 1000)
    index.arm("0", "at_or_below", 995)
    assert index.on_tick(995) == ("0", "a", "b", "c", "d")


def test_a_trail_set_again_keeps_its_peak_and_one_that_was_disarmed_does_not() -> None:
    index = PriceIndex()
    index.trail("p", 1, 100, 1000)
    index.on_tick(1100)
    index.trail("p", 1, 50, 1050)
    assert index.peak_of("p") == 1100
    index.disarm("p")
    index.trail("p", 1, 50, 1050)
    assert index.peak_of("p") == 1050


def test_a_price_of_zero_triggers_nothing_and_moves_no_peak() -> None:
    index = PriceIndex()
    index.trail("long", 1, 50, 1000)
    index.trail("short", -1, 50, 1000)
    index.arm("stop", "at_or_below", 900)
    assert index.on_tick(0) == ()
    assert index.on_tick(-5) == ()
    assert index.peak_of("short") == 1000


def test_what_was_armed_and_disarmed_leaves_nothing_behind() -> None:
    index = PriceIndex()
    index.trail("near", 1, 10, 1000)
    for n in range(5_000):
        index.arm(f"level{n % 7}", "at_or_below", 500 - n % 11)
        index.trail(f"trail{n % 5}", 1, 100 + n % 13, 1000 - n % 17)
        index.disarm(f"trail{n % 5}")
    half = index._falls  # how much is kept is the point of this test
    assert len(half._fixed) < 100
    assert len(half._stops) < 100
    assert len(half._groups) == 1
    assert len(half._groups[0].offsets) < 20


def test_a_price_of_nothing_is_never_quiet_and_one_tick_is_a_price_like_others() -> None:
    index = PriceIndex()
    assert not index.quiet_low < 0 < index.quiet_high
    index.arm("floor", "at_or_below", 1)
    assert not index.quiet_low < 1 < index.quiet_high
    assert index.on_tick(1) == ("floor",)
