"""A seeded market: endless trades from a seed, the same on every machine, in which every exit path can happen.

The price is a walk through regimes (`REGIMES`): calm and chop, in which a time stop or an ignition exit runs out; rises and
falls, which carry a trail, reach a take-profit or a panic level; spikes of a second or two, which jump over levels between
two ticks; silences, in which a last price becomes stale. Far from where it started the market turns back, so that it
neither dies out nor runs away.

All arithmetic is on integers: the price as parts per 10^12 of the start, the steps in parts per 10^9 of the price. The random
numbers are SplitMix64 (Steele, Lea, Flood 2014), written out below because the standard library does not promise its own
sequence across versions.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from events.errors import BadInput, OffGrid
from events.values import positive_decimal_from

from .tick_formats import Tick

_MASK = (1 << 64) - 1
_ONE = 10**12  # the start price
_PPB = 10**9  # 1 bp is 100_000 ppb


class Regime(NamedTuple):
    """`drift_ppb` and `noise_ppb` move the price with each trade; `interval_us` is the mean time between trades.

    It lasts `ticks_min` to `ticks_max` trades and starts after a pause of `pause_ms`. `after` lists the regimes that may
    follow; one that is listed twice follows twice as often.
    """

    name: str
    drift_ppb: int
    noise_ppb: int
    interval_us: int
    ticks_min: int
    ticks_max: int
    after: tuple[str, ...]
    pause_ms: int = 0


_ANY = ("calm", "chop", "chop", "rise", "rise", "fall", "fall", "spike_up", "spike_down", "silence")

REGIMES = {
    regime.name: regime
    for regime in (
        Regime("calm", 0, 2_000, 180_000, 40, 120, _ANY),
        Regime("chop", 0, 25_000, 45_000, 150, 500, _ANY),
        Regime("rise", 12_000, 35_000, 35_000, 250, 900, _ANY),
        Regime("fall", -12_000, 35_000, 35_000, 250, 900, _ANY),
        Regime("spike_up", 400_000, 150_000, 9_000, 8, 25, ("back_down", "chop", "rise")),
        Regime("spike_down", -400_000, 150_000, 9_000, 8, 25, ("back_up", "chop", "fall")),
        Regime("back_down", -150_000, 80_000, 15_000, 8, 30, ("calm", "chop")),
        Regime("back_up", 150_000, 80_000, 15_000, 8, 30, ("calm", "chop")),
        Regime("silence", 0, 20_000, 120_000, 5, 20, _ANY, pause_ms=7_000),
    )
}
_MIRROR = {"rise": "fall", "fall": "rise", "spike_up": "spike_down", "spike_down": "spike_up"}
_TURN_AT = _ONE // 12  # 8 % from the start, what would lead further away is turned round


def seeded_ticks(
    seed: int,
    start_px: Decimal,
    start_ns: int,
    price_increment: Decimal = Decimal("0.1"),
    size_increment: Decimal = Decimal("0.0001"),
) -> Iterator[Tick]:
    """Yield the trades of the market of `seed`, without end. The first is at `start_px` and `start_ns`.

    Every price and quantity is on the grid. Buyers pay the tick above the walk, sellers get the one below.

    Raises:
        BadInput: a price or an increment that is not above zero.
        OffGrid: `start_px` is not a multiple of `price_increment`, or less than 100 of them.
    """
    positive_decimal_from(price_increment, "price_increment")
    positive_decimal_from(size_increment, "size_increment")
    start_ticks, rest = divmod(positive_decimal_from(start_px, "start price"), price_increment)
    if rest:
        raise OffGrid("start price", start_px, price_increment)
    if start_ticks < 100:
        raise BadInput("start price", f"{start_px} is less than 100 increments of {price_increment}", "give a finer increment")
    return _walk(_split_mix(seed), int(start_ticks), start_ns, price_increment, size_increment)


def _walk(draw: Callable[[], int], start_ticks: int, start_ns: int, price_increment: Decimal, size_increment: Decimal) -> Iterator[Tick]:
    now_ns, level = start_ns, _ONE
    yield Tick(now_ns, price_increment * start_ticks, size_increment * _lots(draw()), "buy")
    regime = REGIMES["chop"]
    while True:
        now_ns += regime.pause_ms * 1_000_000
        for _ in range(regime.ticks_min + draw() % (regime.ticks_max - regime.ticks_min + 1)):
            now_ns += 1_000 * (1 + draw() % (2 * regime.interval_us))
            step_ppb = regime.drift_ppb + _bell(draw()) * regime.noise_ppb // 1_000
            level += level * step_ppb // _PPB
            buys = step_ppb > 0 or (step_ppb == 0 and draw() % 2 == 0)
            ticks = start_ticks * level // _ONE + (1 if buys else 0)
            yield Tick(now_ns, price_increment * max(1, ticks), size_increment * _lots(draw()), "buy" if buys else "sell")
        regime = REGIMES[_next_name(regime.after[draw() % len(regime.after)], level)]


def _next_name(name: str, level: int) -> str:
    drift = REGIMES[name].drift_ppb
    leads_away = level > _ONE + _TURN_AT if drift > 0 else level < _ONE - _TURN_AT
    return _MIRROR.get(name, name) if leads_away else name


def _bell(word: int) -> int:
    """Return a number between -2000 and 2000 with standard deviation about 1150, from four quarters of one random word."""
    return sum((word >> shift & 0xFFFF) * 1_001 >> 16 for shift in (0, 16, 32, 48)) - 2_000


def _lots(word: int) -> int:
    """Return a trade's size: mostly a few lots, seldom some thousands, as on a real tape."""
    return 1 + ((word & 0xFF) + 1 << (word >> 8 & 0xFF) * (word >> 16 & 0xFF) * 5 // 0x10000)


def _split_mix(seed: int) -> Callable[[], int]:
    """Return a source of random 64-bit words."""
    state = seed & _MASK

    def draw() -> int:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        word = (word ^ word >> 27) * 0x94D049BB133111EB & _MASK
        return word ^ word >> 31

    return draw
