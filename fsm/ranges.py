"""How far trails are to stand, and in what kind of market, from the venue's own trades (A7, A11, A12): bars, range, distance, mode."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from events.facts import MarketMode, MarketModeChanged, Plan, TrailDistanceChanged
from events.values import Instrument

from .bars import ATR_INTERVAL_NS, MINUTE_NS, Bar, BarSeries
from .distance import Distance, DistancePolicy, emergency_distance, moded_distance, trail_distance
from .model import Position
from .modes import MINUTES_KEPT, Seen, mode_of
from .plans import MAX_TRAIL_OFFSET_BPS
from .timers import MISCONFIGURED_TIME_STOP_SECS


class KeptBars(NamedTuple):
    """The whole bars of a symbol, and the tick that their prices are counted in."""

    price_increment: Decimal
    bars: tuple[Bar, ...]


class Ranges:
    """The bars of every symbol that trades, and the distances and modes that follow from them."""

    def __init__(self, taker_fee_bps: Decimal) -> None:
        self._policy = DistancePolicy(taker_fee_bps=taker_fee_bps)
        self._quarters: dict[str, BarSeries] = {}
        self._minutes: dict[str, BarSeries] = {}
        self._increments: dict[str, Decimal] = {}

    def recall(self, symbol: str, price_increment: Decimal, interval_ns: int, bars: Iterable[Bar]) -> bool:
        """Take the bars of an earlier life before the first trade of this one; False if they cannot be used."""
        quarters = BarSeries()
        known = symbol in self._minutes or symbol in self._quarters
        if known or interval_ns != ATR_INTERVAL_NS or not price_increment > 0 or not quarters.recall(bars):
            return False
        self._quarters[symbol], self._increments[symbol] = quarters, price_increment
        return True

    def kept(self) -> dict[str, KeptBars]:
        """Return the whole bars of fifteen minutes that a later life may recall, by symbol."""
        out = {}
        for symbol in sorted(self._quarters):
            bars = self._quarters[symbol].closed_bars
            if bars:
                out[symbol] = KeptBars(self._increments[symbol], bars)
        return out

    def trade(self, instrument: Instrument, ts_event_ns: int, px: Decimal, qty: Decimal) -> bool:
        """Take a public trade; True if it began a new minute, so that range and mode may have changed."""
        minutes = self._minutes.get(instrument.symbol)
        if minutes is None:
            minutes = self._minutes[instrument.symbol] = BarSeries(MINUTE_NS, MINUTES_KEPT)
            if self._increments.get(instrument.symbol) != instrument.price_increment:
                # Nothing was recalled, or the venue counts in another tick since.
                self._quarters[instrument.symbol] = BarSeries()
                self._increments[instrument.symbol] = instrument.price_increment
        before = minutes.newest_open_ns
        ticks, lots = instrument.floor_ticks(px), instrument.floor_lots(qty)
        minutes.take(ts_event_ns, ticks, lots)
        self._quarters[instrument.symbol].take(ts_event_ns, ticks, lots)
        return minutes.newest_open_ns != before

    def interrupt(self, until_ns: int) -> None:
        """Trades may have been missed: the bars under way are not whole."""
        for bars in (*self._quarters.values(), *self._minutes.values()):
            bars.interrupt(until_ns)

    def atr_bps(self, symbol: str, now_ns: int) -> int | None:
        """Return the mean true range of fifteen minutes, None if there is too little history."""
        bars = self._quarters.get(symbol)
        return None if bars is None else bars.atr_bps(now_ns)

    def mode_of(self, symbol: str, now_ns: int) -> Seen | None:
        """Return the kind of market of a symbol, None if it is not known."""
        minutes = self._minutes.get(symbol)
        return None if minutes is None else mode_of(minutes, now_ns)

    def distance_of(self, plan: Plan, now_ns: int) -> Distance:
        """Return the trail of a plan at this moment; without enough history the other terms of the distance stand alone."""
        mode = self._mode(plan.symbol, now_ns)
        if plan.trail_auto or plan.trail_offset_bps is None:
            secs = plan.time_stop_secs
            horizon_secs = MISCONFIGURED_TIME_STOP_SECS if secs == 0 else secs
            return trail_distance(self._policy, self.atr_bps(plan.symbol, now_ns), horizon_secs, mode, plan.trail_floor_bps)
        return moded_distance(plan.trail_offset_bps, mode)

    def emergency_of(self, symbol: str, pnl_bps: int | None, truth_is_degraded: bool, now_ns: int) -> Distance:
        """Return the trail of exposure that was found without protection (A8)."""
        return emergency_distance(self._policy, pnl_bps, truth_is_degraded, self.atr_bps(symbol, now_ns), self._mode(symbol, now_ns))

    def changes_for(self, position: Position, now_ns: int) -> tuple[TrailDistanceChanged | MarketModeChanged, ...]:
        """Return the facts of a new minute for a position: a narrower trail (none ever widens, I3), and the mode if it decides."""
        return tuple(fact for fact in (self._distance_for(position, now_ns), self.mode_for(position, now_ns)) if fact is not None)

    def mode_for(self, position: Position, now_ns: int) -> MarketModeChanged | None:
        """Return the mode for an ignition position that does not know it, or that is still to be left for it."""
        seen = self.mode_of(position.plan.symbol, now_ns) if position.plan.strategy == "ignition" else None
        waits = position.is_tradable and not position.is_trail_active and not position.exit_reason
        if seen is None or (seen.mode == position.mode and not (waits and seen.mode in ("quiet", "compression"))):
            return None
        plan = position.plan
        trail: int | msgspec.UnsetType = msgspec.UNSET
        if plan.trail_offset_bps is not None and not plan.trail_auto and not position.has_stop:
            trail = min(moded_distance(plan.trail_offset_bps, seen.mode).trail_offset_bps, MAX_TRAIL_OFFSET_BPS)
        return MarketModeChanged(ts_recv_ns=now_ns, mode=seen.mode, basis=seen.basis, trail_offset_bps=trail)

    def _distance_for(self, position: Position, now_ns: int) -> TrailDistanceChanged | None:
        plan, wanted = position.plan, position.wanted_trail_offset_bps
        if wanted is None or not (plan.trail_auto or plan.strategy == "ignition"):
            return None
        distance = self.distance_of(plan, now_ns)
        if distance.trail_offset_bps >= wanted:
            return None
        return TrailDistanceChanged(ts_recv_ns=now_ns, trail_offset_bps=distance.trail_offset_bps, basis=distance.basis)

    def _mode(self, symbol: str, now_ns: int) -> MarketMode:
        seen = self.mode_of(symbol, now_ns)
        return "normal" if seen is None else seen.mode
