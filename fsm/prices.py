"""Armed prices of one symbol: a tick that crosses nothing costs two comparisons, however many positions are open.

Two kinds of armed price, both named by a key (position and level) that the caller chooses:

- a *level* is a fixed price, crossed at or below it, or at or above it;
- a *trail* follows the best price since it was set, its *peak*: the highest for a long, the lowest for a short. Its stop
  stands `trail_offset_bps` from the peak, rounded away from the market, and is crossed when the last price reaches it.

Whatever is crossed is reported once, by `on_tick`, and is no longer armed afterwards. Nothing here knows what a crossing
means, how old a price is, or whether it may be used: the caller does (A14). All prices are whole ticks; a price below one
tick triggers nothing and moves nothing (I15).

Theory of operation. Prices of the short side are negated, so that each half (`_Half`) trails upwards and is crossed from above.

1. Positions with the same peak share one *group*; in a group, positions with the same distance share one *bucket*. The
   nearest stop of a group is that of its smallest distance, so a group needs one number however many positions are in it.
2. The groups are a stack ordered by peak. A tick above the lowest peak (the *front* of the stack) raises it, and absorbs each
   group that it reaches, the smaller into the larger: a position is moved at most log2(n) times, then costs nothing.
3. Only the front's stop moves; the stops of the other groups lie in a heap, as do the levels. Entries that became wrong
   stay until they surface, or until they outnumber the right ones.
4. The open interval (`quiet_low`, `quiet_high`) holds the prices that change nothing, peaks included.

The order of what `on_tick` returns is that of the keys: neither history nor hashing shows in it.
"""

from bisect import bisect_left
from heapq import heappop, heappush
from typing import Literal

Direction = Literal["at_or_below", "at_or_above"]

BPS = 10_000
FAR = 1 << 62  # beyond every price in ticks: what is not below it is none, and must not be given to an index


def trail_stop_ticks(side: int, trail_offset_bps: int, peak_ticks: int) -> int:
    """Return the stop of a trail: `side` +1 rounds down for a long, -1 rounds up for a short, away from the market."""
    return side * (side * peak_ticks * (BPS - side * trail_offset_bps) // BPS)


class PriceIndex:
    """Armed levels and trails of one symbol, in ticks.

    `quiet_low` and `quiet_high` bound the prices that change nothing: whoever sees `quiet_low < ticks < quiet_high` need not
    call `on_tick`. They are read only, and move with every other call.
    """

    __slots__ = ("_buckets", "_falls", "_levels", "_rises", "quiet_high", "quiet_low")

    def __init__(self) -> None:
        self._levels: dict[str, tuple[_Half, int]] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._falls = _Half(1, self._levels, self._buckets)
        self._rises = _Half(-1, self._levels, self._buckets)
        self._set_bounds()

    def arm(self, key: str, direction: Direction, ticks: int) -> None:
        """Arm a level, in place of whatever `key` had. It may lie on the crossed side already: the next tick reports it."""
        self._drop(key)
        if direction == "at_or_below":
            self._falls.arm(key, ticks)
        else:
            self._rises.arm(key, -ticks)
        self._set_bounds()

    def trail(self, key: str, side: int, trail_offset_bps: int, peak_ticks: int) -> None:
        """Arm a trailing stop for a long (`side` +1) or a short (-1), in place of whatever `key` had.

        A trail that is set again starts from the better of its old peak and `peak_ticks`: peaks never move back (I3). A
        wider distance is taken as given; to refuse it is the caller's part. To start over, disarm the key first.
        """
        assert side in (1, -1)
        assert 0 < trail_offset_bps < BPS
        half = self._falls if side == 1 else self._rises
        peak = side * peak_ticks
        bucket = self._buckets.get(key)
        if bucket is not None:
            if bucket.group.half is half:
                peak = max(peak, bucket.group.peak)
            self._drop(key)
        elif key in self._levels:
            self._drop(key)
        if half.trail(key, trail_offset_bps, peak):
            self._set_bounds()

    def disarm(self, key: str) -> None:
        """Forget the level or trail of `key`; a key that is not armed is left so."""
        self._drop(key)
        self._set_bounds()

    def peak_of(self, key: str) -> int | None:
        """Return the exact peak of an armed trail, None for any other key."""
        bucket = self._buckets.get(key)
        return None if bucket is None else bucket.group.half.side * bucket.group.peak

    def on_tick(self, ticks: int) -> tuple[str, ...]:
        """Take a last price; return the keys that it crosses, in their order. They are disarmed."""
        if self.quiet_low < ticks < self.quiet_high or ticks <= 0:
            return ()
        falls, rises = self._falls, self._rises
        if ticks > falls.lowest_peak:
            falls.raise_to(ticks)
        if -ticks > rises.lowest_peak:
            rises.raise_to(-ticks)
        if falls.bound < ticks < -rises.bound:
            self._set_bounds()
            return ()
        fired = falls.fire(ticks) + rises.fire(-ticks)
        self._set_bounds()
        fired.sort()
        return tuple(fired)

    def pass_range(self, low_ticks: int, high_ticks: int) -> bool:
        """Take a run of ticks known only by its lowest and highest price, if no order of them could cross anything.

        Returns:
            True if nothing is crossed; the peaks are then those after the run. False if something may be: nothing has
            changed, and the caller looks closer (at half the run, or tick by tick).
        """
        if self.quiet_low < low_ticks and high_ticks < self.quiet_high:
            return True
        falls, rises = self._falls, self._rises
        if low_ticks <= 0 or low_ticks <= falls.bound_after(high_ticks) or -high_ticks <= rises.bound_after(-low_ticks):
            return False
        if high_ticks > falls.lowest_peak:
            falls.raise_to(high_ticks)
        if -low_ticks > rises.lowest_peak:
            rises.raise_to(-low_ticks)
        self._set_bounds()
        return True

    def _drop(self, key: str) -> None:
        level = self._levels.pop(key, None)
        if level is not None:
            level[0].refresh()
        bucket = self._buckets.pop(key, None)
        if bucket is not None:
            bucket.keys.remove(key)
            if not bucket.keys:
                bucket.group.half.settle(bucket.group)

    def _set_bounds(self) -> None:
        falls, rises = self._falls, self._rises
        low, high = -rises.lowest_peak - 1, falls.lowest_peak + 1
        if falls.bound > low:
            low = falls.bound
        if -rises.bound < high:
            high = -rises.bound
        self.quiet_low = low if low > 0 else 0
        self.quiet_high = high


class _Bucket:
    """The keys of one group that share a distance."""

    __slots__ = ("group", "keys", "offset_bps")

    def __init__(self, group: "_Group", offset_bps: int) -> None:
        self.group = group
        self.offset_bps = offset_bps
        self.keys: set[str] = set()


class _Group:
    """The trails that share a peak. `offsets` is a heap of the distances in `buckets`; `stop` is the nearest stop."""

    __slots__ = ("buckets", "half", "offsets", "peak", "stop")

    def __init__(self, half: "_Half", peak: int) -> None:
        self.half = half
        self.peak = peak
        self.stop = -FAR
        self.buckets: dict[int, _Bucket] = {}
        self.offsets: list[int] = []


class _Half:
    """Levels and trails that are crossed by a falling price; the rising half sees every price negated.

    `bound` is the highest price that crosses something, `lowest_peak` the highest that raises no peak. The dictionaries of
    what is armed belong to the index: a key is in one of them, of one half.
    """

    __slots__ = ("_buckets", "_fixed", "_groups", "_levels", "_serial", "_stops", "bound", "lowest_peak", "side")

    def __init__(self, side: int, levels: "dict[str, tuple[_Half, int]]", buckets: dict[str, _Bucket]) -> None:
        self.side = side
        self._levels = levels
        self._buckets = buckets
        self._fixed: list[tuple[int, str]] = []  # heap of (-level, key)
        self._groups: list[_Group] = []  # peaks strictly falling; the last one is the front
        self._stops: list[tuple[int, int, _Group]] = []  # heap of (-stop, serial, group), the front apart
        self._serial = 0  # so that two groups are never compared
        self.bound = -FAR
        self.lowest_peak = FAR

    def arm(self, key: str, level: int) -> None:
        self._levels[key] = (self, level)
        heappush(self._fixed, (-level, key))
        self.refresh()

    def trail(self, key: str, offset_bps: int, peak: int) -> bool:
        """Add a trail; tell whether the bounds may have moved."""
        groups = self._groups
        group = groups[-1] if groups and groups[-1].peak == peak else self._group_at(peak)
        bucket = group.buckets.get(offset_bps)
        known = bucket is not None
        if bucket is None:
            bucket = group.buckets[offset_bps] = _Bucket(group, offset_bps)
            heappush(group.offsets, offset_bps)
        bucket.keys.add(key)
        self._buckets[key] = bucket
        if not known:
            self.settle(group)
        return not known

    def bound_after(self, best: int) -> int:
        """Return what `bound` would be after a price of `best`. Raising a peak only raises its stop, so the old bound counts."""
        offset_bps = BPS
        for group in reversed(self._groups):
            if group.peak >= best:
                break
            offset_bps = min(offset_bps, group.offsets[0])
        return self.bound if offset_bps == BPS else max(self.bound, self._stop(best, offset_bps))

    def raise_to(self, price: int) -> None:
        """Raise every peak below `price` to it: the front absorbs the groups that it reaches."""
        groups = self._groups
        front = groups[-1]
        if len(groups) > 1 and groups[-2].peak <= price:
            groups.pop()
            while groups and groups[-1].peak <= price:
                front = self._merged(front, groups.pop())
            groups.append(front)
        front.peak = self.lowest_peak = price
        front.stop = stop = self._stop(price, front.offsets[0])
        if stop > self.bound:
            self.bound = stop

    def fire(self, price: int) -> list[str]:
        """Take out the keys that `price` crosses, in no order."""
        fired: list[str] = []
        while price <= self.bound:
            self.refresh()
            if self._fixed and -self._fixed[0][0] >= price:
                fired.append(self._fixed[0][1])
                del self._levels[heappop(self._fixed)[1]]
                self.refresh()
            elif price <= self.bound:
                front = self._groups[-1]
                self._fire_group(front if front.stop >= price else self._stops[0][2], price, fired)
        return fired

    def _fire_group(self, group: _Group, price: int, fired: list[str]) -> None:
        offsets = group.offsets
        while offsets and self._stop(group.peak, offsets[0]) >= price:
            keys = group.buckets.pop(heappop(offsets)).keys
            fired.extend(keys)
            for key in keys:
                del self._buckets[key]
        self.settle(group)

    def _stop(self, peak: int, offset_bps: int) -> int:
        return peak * (BPS - self.side * offset_bps) // BPS

    def _group_at(self, peak: int) -> _Group:
        """Return the group of `peak`, made where there is none."""
        groups = self._groups
        at = bisect_left(groups, -peak, key=_falling_peak)
        if at < len(groups) and groups[at].peak == peak:
            return groups[at]
        if at == len(groups) and groups:
            self._push_stop(groups[-1])  # it is the front no longer
        groups.insert(at, _Group(self, peak))
        return groups[at]

    def _merged(self, one: _Group, other: _Group) -> _Group:
        """Move the smaller group into the larger one and return that; the other one is dead."""
        large, small = (one, other) if len(one.buckets) >= len(other.buckets) else (other, one)
        for offset_bps, moved in small.buckets.items():
            kept = large.buckets.get(offset_bps)
            if kept is None:
                heappush(large.offsets, offset_bps)
            elif len(kept.keys) > len(moved.keys):
                kept, moved = moved, kept
            large.buckets[offset_bps] = moved
            moved.group = large
            if kept is not None:
                moved.keys |= kept.keys
                for key in kept.keys:
                    self._buckets[key] = moved
        small.stop = -FAR
        return large

    def settle(self, group: _Group) -> None:
        """Bring a group's stop and the bounds up to date after a bucket came or went; a group without keys leaves the stack."""
        offsets, buckets = group.offsets, group.buckets
        while offsets and not buckets[offsets[0]].keys:
            del buckets[heappop(offsets)]
        if offsets:
            stop = self._stop(group.peak, offsets[0])
            if stop != group.stop:
                group.stop = stop
                if group is not self._groups[-1]:
                    self._push_stop(group)
        else:
            group.stop = -FAR
            del self._groups[bisect_left(self._groups, -group.peak, key=_falling_peak)]
        self.refresh()

    def _push_stop(self, group: _Group) -> None:
        self._serial += 1
        heappush(self._stops, (-group.stop, self._serial, group))

    def refresh(self) -> None:
        """Set the bounds. Drops what is wrong on top of the heaps, and all that is wrong once it is the larger part."""
        fixed, stops, groups, levels = self._fixed, self._stops, self._groups, self._levels
        while fixed and levels.get(fixed[0][1]) != (self, -fixed[0][0]):
            heappop(fixed)
        while stops and stops[0][2].stop != -stops[0][0]:
            heappop(stops)
        if len(fixed) > 2 * len(levels) + 64:
            fixed[:] = sorted((-level, key) for key, (half, level) in levels.items() if half is self)
        if len(stops) > 2 * len(groups) + 64:
            stops.clear()
            for group in groups[:-1]:
                self._push_stop(group)
        bound = groups[-1].stop if groups else -FAR
        if stops and -stops[0][0] > bound:
            bound = -stops[0][0]
        if fixed and -fixed[0][0] > bound:
            bound = -fixed[0][0]
        self.bound = bound
        self.lowest_peak = groups[-1].peak if groups else FAR


def _falling_peak(group: _Group) -> int:
    return -group.peak
