"""Recorded or seeded ticks laid onto market time, several markets merged, going on after the last one where that is wanted.

A recording keeps its own spacing: its first tick is at the start of the venue, the others as long after it as they were.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from events.errors import BadInput

from .pairs import Pair
from .ticks import Tick, seeded_ticks


class DueTick(NamedTuple):
    """A tick of one market and when it is due in market time."""

    due_ns: int
    symbol: str
    tick: Tick


@dataclass(frozen=True)
class MarketFeed:
    """One listed pair and where its prices come from."""

    pair: Pair
    ticks: Iterable[Tick]


class Playback:
    """Ticks of all markets in order of time. `ended` is set when the last recorded one has been given.

    Args:
        feeds: at least one; each gives at least one tick.
        start_ns: market time of every feed's first tick.
        goes_on: after a feed's end its market walks on, seeded, from its last price.

    Raises:
        BadInput: a feed without a tick, or what reading its file raises.
    """

    def __init__(self, feeds: Iterable[MarketFeed], start_ns: int, *, seed: int, goes_on: bool) -> None:
        self.ended = False
        self._feeds = list(feeds)
        self._open = len(self._feeds)
        streams = [self._timed(feed, start_ns, seed + index, goes_on) for index, feed in enumerate(self._feeds)]
        self._merged = heapq.merge(*streams)
        self._next: DueTick | None = None
        self.first = [self._first_of(stream, feed) for stream, feed in zip(streams, self._feeds, strict=True)]
        self.step()

    @property
    def next_due_ns(self) -> int | None:
        """When the next tick is due; None after the end."""
        return self._next.due_ns if self._next is not None else None

    def step(self) -> DueTick | None:
        """Return the next tick and move on; None after the end."""
        current, self._next = self._next, next(self._merged, None)
        return current

    def _first_of(self, stream: Iterator[DueTick], feed: MarketFeed) -> DueTick:
        first = next(stream, None)
        if first is None:
            raise BadInput(f"ticks of {feed.pair.symbol}", "there are none", "give a file with at least one trade, or a seed")
        return first

    def _timed(self, feed: MarketFeed, start_ns: int, seed: int, goes_on: bool) -> Iterator[DueTick]:
        due_ns, offset_ns, px = start_ns, None, Decimal(0)
        for tick in feed.ticks:
            offset_ns = start_ns - tick.ts_event_ns if offset_ns is None else offset_ns
            due_ns, px = max(due_ns, tick.ts_event_ns + offset_ns), tick.px
            yield DueTick(due_ns, feed.pair.symbol, tick)
        self._open -= 1
        self.ended = self._open == 0
        if goes_on and px:
            listed = feed.pair.instrument
            start_px = listed.price(max(100, listed.floor_ticks(px)))
            for tick in seeded_ticks(seed, start_px, due_ns + 1_000_000, listed.price_increment):
                yield DueTick(tick.ts_event_ns, feed.pair.symbol, tick)
