"""Positions under trailing stops that enter again as they are stopped out: the work of W1 and W2, through the real desk.

One trip is nine events: requested, submitted, accepted, filled, stop submitted and accepted, stop crossed, triggered, filled.
The venue answers at once and fills at the last price. Clocks are not run: what is measured is prices and decisions, and at
100 ms a tick the routine looks of W2 alone would be 16 million events.
"""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from events import commands as c
from events import facts as f
from events.ids import position_id_from
from events.record import PositionEvent, bytes_from
from events.values import Instrument, PositionSide
from fsm.desk import Desk
from fsm.prices import PriceIndex
from venues.kraken.capabilities import SPOT

NAMESPACE = "bm"
BITCOIN = Instrument(
    symbol="BTC/USD",
    base="BTC",
    quote="USD",
    price_increment=Decimal("0.1"),
    size_increment=Decimal("0.00000001"),
    min_qty=Decimal("0.00005"),
    min_cost=Decimal("0.5"),
)
_QTY = Decimal("0.01")


class Trips:
    """Positions on one desk, each with its own distance, each entered again when its stop has filled.

    `count` is the number of trips that ended. `events` keeps what they left if `keep` is set, else only `event_count` grows.
    """

    def __init__(
        self, desk: Desk, offsets_bps: Iterable[int], keep: bool = True, trail_style: Literal["native", "engine"] = "native"
    ) -> None:
        self.desk = desk
        self.count = 0
        self.event_count = 0
        self.events: list[PositionEvent] = []
        self._keep = keep
        self._number = 0
        self._slot_of: dict[str, int] = {}
        self._plans = [
            f.Plan(symbol=BITCOIN.symbol, side=PositionSide.LONG, qty=_QTY, trail_offset_bps=offset_bps, trail_style=trail_style)
            for offset_bps in offsets_bps
        ]

    @property
    def peaks(self) -> list[int | None]:
        """The exact peak of each position, in the order of the distances."""
        return [self.desk.peak_ticks(position_id) for position_id, _ in sorted(self._slot_of.items(), key=lambda item: item[1])]

    @property
    def index(self) -> PriceIndex:
        """The armed prices of the desk, for whoever skips over recorded ticks. Known once a position has been entered."""
        index = self.desk.index_of(BITCOIN.symbol)
        assert index is not None
        return index

    def enter_all(self, px: Decimal, now_ns: int) -> None:
        """Enter every position at one price."""
        for slot in range(len(self._plans)):
            self.enter(slot, px, now_ns)

    def price(self, px: Decimal, now_ns: int) -> None:
        """Take a price, and fill the stops that it crosses."""
        crossed = self.desk.price(BITCOIN.symbol, px, now_ns, now_ns)
        if crossed:
            self.stopped(crossed, px, now_ns)

    def stopped(self, crossed: Iterable[PositionEvent], px: Decimal, now_ns: int) -> None:
        """Fill the stops of the positions that were crossed, and enter them again at the same price."""
        for event in crossed:
            self._left([event])
            position = self.desk.positions[event.position_id]
            for stop in position.open_orders("stop"):
                ids = {"client_order_id": stop.client_order_id, "venue_order_id": stop.venue_order_id}
                self._take(f.OrderTriggered(ts_event_ns=now_ns, ts_recv_ns=now_ns, px=px, **ids))
                self._fill(stop.client_order_id, event.position_id, px, now_ns)
            self.count += 1
            self.enter(self._slot_of.pop(event.position_id), px, now_ns)

    def amended(self, events: Iterable[PositionEvent], now_ns: int) -> int:
        """Confirm the stops that these events move; return how many they are."""
        count = 0
        for event in list(events):
            self._left([event])
            for command in event.commands:
                if isinstance(command, c.AmendOrder):
                    count += 1
                    moved = f.OrderAmended(
                        ts_event_ns=now_ns,
                        ts_recv_ns=now_ns,
                        client_order_id=command.client_order_id,
                        venue_order_id=command.venue_order_id,
                        trigger_price=command.trigger_price,
                    )
                    self._take(moved)
        return count

    def enter(self, slot: int, px: Decimal, now_ns: int) -> None:
        """Enter one position: request, fill, stop."""
        position_id = position_id_from(NAMESPACE, self._number)
        self._number += 1
        self._slot_of[position_id] = slot
        requested = f.PositionRequested(
            ts_recv_ns=now_ns, position_id=position_id, plan=self._plans[slot], instrument=BITCOIN, capabilities=SPOT
        )
        entry = self._sent(self.desk.take(requested))
        stop = self._sent(self._accepted_and_filled(entry, position_id, px, now_ns))
        self._take(f.OrderSubmitted(ts_recv_ns=now_ns, client_order_id=stop))
        self._take(f.OrderAccepted(ts_event_ns=now_ns, ts_recv_ns=now_ns, client_order_id=stop, venue_order_id=f"V{stop}"))

    def digest(self) -> str:
        """Return a digest over the bytes of all events, in order."""
        return hashlib.sha256(b"\n".join(bytes_from(event) for event in self.events)).hexdigest()

    def _accepted_and_filled(self, order_id: str, position_id: str, px: Decimal, now_ns: int) -> list[PositionEvent]:
        self._take(f.OrderSubmitted(ts_recv_ns=now_ns, client_order_id=order_id))
        self._take(f.OrderAccepted(ts_event_ns=now_ns, ts_recv_ns=now_ns, client_order_id=order_id, venue_order_id=f"V{order_id}"))
        return self._fill(order_id, position_id, px, now_ns)

    def _fill(self, order_id: str, position_id: str, px: Decimal, now_ns: int) -> list[PositionEvent]:
        position = self.desk.positions[position_id]
        order = position.order(order_id)
        assert order is not None
        side = position.side.entry_side if order.role == "entry" else position.side.exit_side
        filled = f.OrderFilled(
            ts_event_ns=now_ns,
            ts_recv_ns=now_ns,
            client_order_id=order_id,
            venue_order_id=order.venue_order_id,
            trade_id=f"T{order_id}",
            side=side,
            last_qty=_QTY,
            last_px=px,
            cum_qty=_QTY,
        )
        return self._take(filled)

    def _sent(self, events: list[PositionEvent]) -> str:
        """Return the id of the one order that these events send."""
        if events and events[0].version == 1:
            self._left(events)
        (order_id,) = (x.client_order_id for event in events for x in event.commands if isinstance(x, c.SubmitOrder))
        return order_id

    def _take(self, fact: f.AnyFact) -> list[PositionEvent]:
        events = self.desk.take(fact)
        self._left(events)
        return events

    def _left(self, events: list[PositionEvent]) -> None:
        self.event_count += len(events)
        if self._keep:
            self.events += events
