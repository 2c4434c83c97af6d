"""The tape of W1 and W2: the million prices that the peers were measured on, made without numpy.

    rng = numpy.random.default_rng(7); ticks = round(60000 * exp(cumsum(rng.normal(0, 1e-4, N))) / 0.1), 100 ms apart

numpy is not among our dependencies, and another generator would give other trips; so what `default_rng` does is written out
here: SeedSequence, PCG64 (O'Neill 2014, XSL-RR 128/64) and the ziggurat of 256 layers (Doornik 2005). `TAPE_SHA256` is the
digest of numpy's own result.
"""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate

from . import must_equal

TAPE_TICKS = 1_000_000
TAPE_SHA256 = "e90a5d5b9d6680b51fe0710e44925f775dec773970f73758c4b7e9601e133a7c"
TICK_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000

_M32, _M64, _M128 = (1 << 32) - 1, (1 << 64) - 1, (1 << 128) - 1
_PCG_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
_ZIGGURAT_R = 3.6541528853610087963519472518
_LAYERS = 256


def tape(count: int = TAPE_TICKS) -> "array[int]":
    """Return the first `count` prices of the tape, in ticks of 0.1. Takes about two seconds for all of them.

    Raises WrongResult if they are not numpy's.
    """
    normal = _standard_normal(_pcg64(7))
    logs = accumulate(1e-4 * normal() for _ in range(count))
    ticks = array("q", (round(60_000 * math.exp(log) / 0.1) for log in logs))
    if count == TAPE_TICKS:
        must_equal("tape", TAPE_SHA256, hashlib.sha256(ticks.tobytes()).hexdigest())
    return ticks


def _seed_words(seed: int) -> Iterator[int]:
    """Yield the 64-bit words of `SeedSequence(seed)`."""
    constant = 0x43B0D7E5

    def hashed(value: int) -> int:
        nonlocal constant
        value ^= constant
        constant = constant * 0x931E8875 & _M32
        value = value * constant & _M32
        return value ^ value >> 16

    pool = [hashed(seed if at == 0 else 0) for at in range(4)]
    for source in range(4):
        for target in range(4):
            if source != target:
                mixed = (0xCA01F9DD * pool[target] - 0x4973F715 * hashed(pool[source])) & _M32
                pool[target] = mixed ^ mixed >> 16
    constant, words = 0x8B51F9DD, []
    for at in range(8):
        value = pool[at % 4] ^ constant
        constant = constant * 0x58F38DED & _M32
        value = value * constant & _M32
        words.append(value ^ value >> 16)
    for low, high in zip(words[::2], words[1::2], strict=True):
        yield high << 32 | low


def _pcg64(seed: int) -> Callable[[], int]:
    """Return a source of 64-bit words."""
    seed_high, seed_low, sequence_high, sequence_low = _seed_words(seed)
    increment = (sequence_high << 64 | sequence_low) << 1 & _M128 | 1
    state = (increment + (seed_high << 64 | seed_low)) * _PCG_MULTIPLIER + increment & _M128

    def draw() -> int:
        nonlocal state
        state = state * _PCG_MULTIPLIER + increment & _M128
        word, turn = (state >> 64 ^ state) & _M64, state >> 122
        return (word >> turn | word << (64 - turn)) & _M64

    return draw


def _standard_normal(draw: Callable[[], int]) -> Callable[[], float]:
    widths, limits, heights = _layers()

    def uniform() -> float:
        return (draw() >> 11) * 2.0**-53

    def normal() -> float:
        while True:
            word = draw()
            layer = word & 0xFF
            magnitude = word >> 9 & 0xFFFFFFFFFFFFF
            x = magnitude * widths[layer]
            if word & 0x100:
                x = -x
            if magnitude < limits[layer]:
                return x
            if layer == 0:
                while True:
                    beyond = -math.log1p(-uniform()) / _ZIGGURAT_R
                    if -2 * math.log1p(-uniform()) > beyond * beyond:
                        return -(_ZIGGURAT_R + beyond) if magnitude >> 8 & 1 else _ZIGGURAT_R + beyond
            elif (heights[layer - 1] - heights[layer]) * uniform() + heights[layer] < math.exp(-0.5 * x * x):
                return x

    return normal


def _layers() -> tuple[list[float], list[int], list[float]]:
    """Return width per unit, limit and height of each layer; all have the same area."""
    one = float(1 << 52)
    widths, limits, heights = [0.0] * _LAYERS, [0] * _LAYERS, [1.0] * _LAYERS
    x, height = _ZIGGURAT_R, math.exp(-0.5 * _ZIGGURAT_R * _ZIGGURAT_R)
    area = x * height + math.sqrt(math.pi / 2) * math.erfc(x / math.sqrt(2))
    widths[0], limits[0] = area / height / one, int(x * height / area * one)
    widths[-1], heights[-1] = x / one, height
    for layer in range(_LAYERS - 2, 0, -1):
        inner = math.sqrt(-2 * math.log(area / x + math.exp(-0.5 * x * x)))
        limits[layer + 1] = int(inner / x * one)
        widths[layer], heights[layer] = inner / one, math.exp(-0.5 * inner * inner)
        x = inner
    return widths, limits, heights
