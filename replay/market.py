"""Market data on their way to the desk: which prices may decide, and what becomes of bars and trails with them (A12, A14, I15)."""

from collections import Counter
from collections.abc import Mapping, Sequence

from events.values import Instrument
from fsm.band import Band
from fsm.desk import Desk
from fsm.lag import Lag
from fsm.notice import Notice
from fsm.outage import Outage
from fsm.ranges import Ranges
from venues import messages as m

from .output import Made

# A print that comes later than this decides nothing, whatever a plan allows; venues.md: a stalled socket tells everything at once.
LATE_NS = 5_000_000_000


class Markets:
    """The public streams of all symbols. `counters` counts the prints that decide nothing, by why."""

    def __init__(
        self, symbols: Sequence[str], desk: Desk, ranges: Ranges, instruments: Mapping[str, Instrument], counters: Counter[str]
    ) -> None:
        self._symbols, self._desk, self._ranges, self._instruments, self._counters = symbols, desk, ranges, instruments, counters
        self._is_open = False
        # (channel, symbol) of what was asked for and is not confirmed.
        self._awaited: set[tuple[str, str]] = set()
        self._markets: dict[str, _Market] = {}
        # The second for pairs of positions that nobody subscribes to.
        self._outage, self._unfollowed = Outage(), Outage()

    def trade(self, made: Made, trade: m.TradePrinted, now_ns: int) -> None:
        """Take a print of the market; one that is too old, or not of this market, moves no price."""
        if self._awaited:
            self.confirmed("trade", trade.symbol)
        market = self._market_of(trade.symbol)
        lag_ns = market.lag.of(trade.ts_event_ns, now_ns)
        if not market.band.admits(trade.px, now_ns):
            self._counters["off_band"] += 1
            return
        if lag_ns <= LATE_NS:
            market.is_late = False
            made.events += self._desk.price(trade.symbol, trade.px, trade.ts_event_ns, now_ns, lag_ns)
        else:
            self._counters["late_price"] += 1
            if not market.is_late:
                text = f"{trade.symbol}: prices come {lag_ns // 1_000_000} ms late and decide nothing; the stops at the venue stand"
                made.notices.append(Notice(False, "PRICE_STALE", text))
            market.is_late = True
        self._range(made, trade, now_ns)

    def quote(self, made: Made, quote: m.QuoteChanged, now_ns: int) -> None:
        """Take the touch of a market."""
        if self._awaited:
            self.confirmed("ticker", quote.symbol)
        self._market_of(quote.symbol).band.quote(quote.bid, quote.ask, now_ns)
        # The last price of a ticker may lag the trades: it only serves until the first trade has come.
        if not self._desk.has_price(quote.symbol):
            made.events += self._desk.price(quote.symbol, quote.last, quote.ts_event_ns, now_ns)

    def away(self, now_ns: int) -> None:
        """Take it that no market data come from now on."""
        self._is_open = False
        self._outage.began(now_ns)

    def opened(self, now_ns: int) -> None:
        """Take it that the channel is open: market data come again once the venue has confirmed each subscription."""
        self._is_open = True
        self._awaited = {(channel, symbol) for channel in ("ticker", "trade") for symbol in self._symbols}
        self._outage.began(now_ns)
        # What traded meanwhile is not known: the bars under way are not whole.
        self._ranges.interrupt(now_ns)

    def confirmed(self, channel: str, symbol: str) -> None:
        """Take the venue's word that a subscription stands, or data of it; "" for all symbols."""
        self._awaited = {x for x in self._awaited if x[0] != channel or (symbol and x[1] != symbol)}
        if self._is_open and not self._awaited:
            self._outage.ended()

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to do. Without a position nobody needs prices."""
        if not self._desk.positions:
            return None
        return min((at_ns for x in (self._outage, self._unfollowed) if (at_ns := x.deadline_ns()) is not None), default=None)

    def due(self, made: Made, now_ns: int) -> None:
        """Tell what is due at `now_ns`."""
        if not self._desk.positions:
            return
        self._look_for_unfollowed(made, now_ns)
        lacking = {symbol for _, symbol in self._awaited} if self._is_open else set(self._symbols)
        is_partial = lacking != set(self._symbols)
        told = self._outage.due(now_ns, ", ".join(sorted(lacking)) if is_partial else "")
        if told is not None and (not is_partial or any(x.plan.symbol in lacking for x in self._desk.positions.values())):
            made.notices.append(told)

    def _look_for_unfollowed(self, made: Made, now_ns: int) -> None:
        """Tell of positions whose pair is not subscribed to at all, whatever the settings name."""
        unfollowed = {x.plan.symbol for x in self._desk.positions.values()} - set(self._symbols) - self._markets.keys()
        if not unfollowed:
            self._unfollowed.ended()
            return
        self._unfollowed.began(now_ns)
        told = self._unfollowed.due(now_ns, ", ".join(sorted(unfollowed)))
        made.notices += [] if told is None else [told]

    def _range(self, made: Made, trade: m.TradePrinted, now_ns: int) -> None:
        """Keep the symbol's bars; with a new minute trails may become narrower, and an ignition may have to be left."""
        instrument = self._instruments.get(trade.symbol)
        if instrument is None or not self._ranges.trade(instrument, trade.ts_event_ns, trade.px, trade.qty):
            return
        for key in sorted(self._desk.positions):
            position = self._desk.positions[key]
            for fact in self._ranges.changes_for(position, now_ns) if position.plan.symbol == trade.symbol else ():
                made.events += self._desk.take(fact, key)

    def _market_of(self, symbol: str) -> "_Market":
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = _Market()
        return market


class _Market:
    """What is known of one symbol's public stream."""

    __slots__ = ("band", "is_late", "lag")

    def __init__(self) -> None:
        self.lag, self.band, self.is_late = Lag(), Band(), False
