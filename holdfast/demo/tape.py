"""The demo's ticks: a window of a recording, or of the seeded market, and how far prices move from any moment of it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, takewhile
from pathlib import Path

from events.values import Instrument
from venues.simulated.pairs import Pair
from venues.simulated.ticks import Tick, read_ticks, seeded_ticks, summary_of

SECOND = 1_000_000_000
WINDOW_S = 420
# A recording shorter than this leaves no room for 24 positions.
SHORT_S = 180
CONTINUED_SEED = 7
# Of a file with more than this many trades only the first ones are looked at: a demo shows, it does not study.
MAX_TICKS = 3_000_000
BUCKETS = 400
SEED_START_NS = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


@dataclass(frozen=True)
class Move:
    """From one moment of the tape: the price then, and the highest and lowest within the horizon."""

    at_s: float
    px: Decimal
    high: Decimal
    low: Decimal


@dataclass(frozen=True)
class Tape:
    """The ticks of the demo's window, their market's grid, and the name of where they come from."""

    name: str
    ticks: tuple[Tick, ...]
    pair: Pair

    @property
    def start_ns(self) -> int:
        return self.ticks[0].ts_event_ns

    @property
    def duration_s(self) -> float:
        return (self.ticks[-1].ts_event_ns - self.start_ns) / SECOND

    @property
    def range_bps(self) -> int:
        low, high = min(t.px for t in self.ticks), max(t.px for t in self.ticks)
        return int((high / low - 1) * 10_000)

    def moves(self, horizon_s: float, until_s: float) -> list[Move]:
        """Return a look ahead from each of `BUCKETS` moments before `until_s`."""
        buckets = self._buckets()
        width = max(self.duration_s, 1.0) / BUCKETS
        reach = max(1, int(horizon_s / width))
        out = []
        for index in range(len(buckets)):
            if index * width > until_s:
                break
            ahead = [b for b in buckets[index : index + reach] if b is not None]
            here = buckets[index]
            if here is not None and ahead:
                out.append(Move(index * width, here[0], max(b[2] for b in ahead), min(b[1] for b in ahead)))
        return out

    def _buckets(self) -> list[tuple[Decimal, Decimal, Decimal] | None]:
        width_ns = max(1, int(max(self.duration_s, 1.0) * SECOND) // BUCKETS)
        out: list[tuple[Decimal, Decimal, Decimal] | None] = [None] * (BUCKETS + 1)
        for tick in self.ticks:
            index = min(BUCKETS, (tick.ts_event_ns - self.start_ns) // width_ns)
            known = out[index]
            out[index] = (tick.px, tick.px, tick.px) if known is None else (known[0], min(known[1], tick.px), max(known[2], tick.px))
        return out


def recorded(path: Path) -> Tape:
    """Return the liveliest window of a tick file; a short one goes on with the seeded market. Raises what `read_ticks` raises."""
    ticks = _liveliest(islice(read_ticks(path), MAX_TICKS))
    if ticks[-1].ts_event_ns - ticks[0].ts_event_ns >= SHORT_S * SECOND:
        return _tape(path.name, ticks, _symbol_of(path.name))
    return _tape(f"{path.name} and then a seeded market", _continued(ticks), _symbol_of(path.name))


def _continued(ticks: list[Tick]) -> list[Tick]:
    """Return the ticks with a seeded market after them, on their own grid, so that the demo has room."""
    last, grid = ticks[-1], summary_of(ticks)
    if last.px < 100 * grid.price_increment:
        return ticks
    end_ns = ticks[0].ts_event_ns + WINDOW_S * SECOND
    more = seeded_ticks(CONTINUED_SEED, last.px, last.ts_event_ns + SECOND, grid.price_increment, grid.size_increment)
    return ticks + list(takewhile(lambda tick: tick.ts_event_ns < end_ns, more))


def seeded(seed: int) -> Tape:
    """Return a window of the built-in market of `seed`."""
    end_ns = SEED_START_NS + WINDOW_S * SECOND
    ticks = list(takewhile(lambda tick: tick.ts_event_ns <= end_ns, seeded_ticks(seed, Decimal("60000.0"), SEED_START_NS)))
    return _tape(f"seeded market {seed}", ticks, ("BTC", "USD"))


def _liveliest(ticks: Iterable[Tick]) -> list[Tick]:
    """Return the window with the widest range of prices, of those that are tried every tenth of a window."""
    window: deque[Tick] = deque()
    best: list[Tick] = []
    best_range = Decimal(-1)
    next_look_ns = 0
    for tick in ticks:
        window.append(tick)
        while tick.ts_event_ns - window[0].ts_event_ns > WINDOW_S * SECOND:
            window.popleft()
        if tick.ts_event_ns >= next_look_ns:
            next_look_ns = tick.ts_event_ns + WINDOW_S * SECOND // 10
            best, best_range = _better(window, best, best_range)
    return _better(window, best, best_range)[0]


def _better(window: deque[Tick], best: list[Tick], best_range: Decimal) -> tuple[list[Tick], Decimal]:
    low, high = min(t.px for t in window), max(t.px for t in window)
    # A long quiet window is worth more than three wild ticks: the demo needs prices to act on.
    value = (high / low - 1) * min(len(window), 500)
    return (list(window), value) if value > best_range else (best, best_range)


def _tape(name: str, ticks: list[Tick], assets: tuple[str, str]) -> Tape:
    summary = summary_of(ticks)
    base, quote = assets
    size = min(Decimal("0.0001"), summary.size_increment)
    instrument = Instrument(
        symbol=f"{base}/{quote}",
        base=base,
        quote=quote,
        price_increment=summary.price_increment,
        size_increment=size,
        min_qty=size * 10,
        min_cost=Decimal("0.5"),
        marginable=True,
    )
    return Tape(name, tuple(ticks), Pair(instrument=instrument))


def _symbol_of(file_name: str) -> tuple[str, str]:
    """Guess base and quote from a file's name (`usdm_btcusdt_20240808.gz`); a name that does not tell is called BTC/USD."""
    for part in file_name.lower().replace("-", "_").replace(".", "_").split("_"):
        for quote in ("usdt", "usdc", "usd", "eur"):
            if part.endswith(quote) and 2 <= len(part) - len(quote) <= 6 and part[: -len(quote)].isalnum():
                return part[: -len(quote)].upper(), quote.upper()
    return "BTC", "USD"
