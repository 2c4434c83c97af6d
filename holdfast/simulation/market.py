"""The trades of a simulated market: a sparse seeded walk, so that virtual time costs little and levels are crossed all the same."""

from collections.abc import Iterator
from decimal import Decimal
from random import Random

from events.values import Instrument
from venues.simulated.tick_formats import Tick

from .case import Market

_ONE_BPS = 10_000
# So many times as far apart are the trades before anything happens.
_SPARSE = 25


def ticks_of(market: Market, instrument: Instrument, start_px: Decimal, start_ns: int, lead_s: int = 0) -> Iterator[Tick]:
    """Yield the trades of a market without end. It drifts one way for a while, then the other, and comes back from afar.

    They are sparse for the first `lead_s`.
    """
    rng = Random(market.seed)
    # Finer than the grid: rounding each step would hold the price in place.
    scaled = start = int(start_px / instrument.price_increment) * _ONE_BPS
    now_ns, drift = start_ns, 0
    awake_ns = start_ns + lead_s * 1_000_000_000
    yield _tick(instrument, now_ns, scaled, 100, True)
    while True:
        apart_ms = market.interval_ms if now_ns >= awake_ns else _SPARSE * market.interval_ms
        now_ns += 1_000_000 * rng.randint(1, 2 * apart_ms)
        if rng.random() < 0.05:
            drift = rng.randint(-market.step_bps, market.step_bps) // 2
        bps = drift + rng.randint(-market.step_bps, market.step_bps)
        if market.leap_bps and rng.random() < 0.01:
            bps += rng.choice((-1, 1)) * market.leap_bps
        if abs(scaled - start) > start // 12:
            bps = -abs(bps) if scaled > start else abs(bps)
            drift = 0
        scaled += scaled * bps // _ONE_BPS
        yield _tick(instrument, now_ns, scaled, rng.randint(1, 300), bps > 0)


def _tick(instrument: Instrument, now_ns: int, scaled: int, size: int, buys: bool) -> Tick:
    return Tick(now_ns, instrument.price(scaled // _ONE_BPS), Decimal(size) / 1_000, "buy" if buys else "sell")
