"""How far trails are to stand, symbol by symbol, from the venue's own trades (A11, A12): bars, their range, the distance."""

from decimal import Decimal

from events.facts import Plan, TrailDistanceChanged
from events.values import Instrument

from .bars import BarSeries
from .distance import Distance, DistancePolicy, trail_distance
from .model import Position


class Ranges:
    """The bars of every symbol that trades, and the distances that follow from them."""

    def __init__(self, taker_fee_bps: Decimal) -> None:
        self._policy = DistancePolicy(taker_fee_bps=taker_fee_bps)
        self._bars: dict[str, BarSeries] = {}

    def trade(self, instrument: Instrument, ts_event_ns: int, px: Decimal, qty: Decimal) -> bool:
        """Take a public trade; True if it began a new bar, so that the range may have changed."""
        bars = self._bars.get(instrument.symbol)
        if bars is None:
            bars = self._bars[instrument.symbol] = BarSeries()
        before = bars.newest_open_ns
        bars.take(ts_event_ns, instrument.floor_ticks(px), instrument.floor_lots(qty))
        return bars.newest_open_ns != before

    def interrupt(self, until_ns: int) -> None:
        """Trades may have been missed: the bars under way are not whole."""
        for bars in self._bars.values():
            bars.interrupt(until_ns)

    def distance_of(self, plan: Plan, now_ns: int) -> Distance:
        """Return the trail of a plan at this moment; without enough history the other terms of the distance stand alone."""
        bars = self._bars.get(plan.symbol)
        atr_bps = None if bars is None else bars.atr_bps(now_ns)
        return trail_distance(self._policy, atr_bps, plan.time_stop_secs or None)

    def change_for(self, position: Position, now_ns: int) -> TrailDistanceChanged | None:
        """Return the fact that a position's trail is narrower now, None where it is not (a trail never widens, I3)."""
        wanted = position.wanted_trail_offset_bps
        if not position.plan.trail_auto or wanted is None:
            return None
        distance = self.distance_of(position.plan, now_ns)
        if distance.trail_offset_bps >= wanted:
            return None
        return TrailDistanceChanged(ts_recv_ns=now_ns, trail_offset_bps=distance.trail_offset_bps, basis=distance.basis)
