"""The adversary's venue: its own book, as plain tuples that are compared and hashed; every rule of it is a function here.

The venue does nothing by itself. `moves.py` decides what happens and when; this says what that does to the book, and which words
follow. Quantities are lots, prices ticks. An order is named by its `ref`: the number under which the explorer knows it, from
`CHILD` on for stops that the venue made itself from an attached one, which carry no client id.
"""

from typing import NamedTuple

CHILD = 100
MID, STEP = 1_000, 50
BPS = 10_000
Message = tuple[object, ...]
Words = tuple[Message, ...]


class Rest(NamedTuple):
    """One order in the book. `kind`: market, ioc, limit, post, static or trailing; `status`: open, fired, hung or over.

    `price` is the limit, or the level of a static stop; a trailing one follows `peak`. `fills` are its executions, `due` the ticks
    for which the venue has owed it one. `attached` is the stop that each of its fills makes: (price, trail).
    """

    ref: int
    role: str
    kind: str
    qty: int
    price: int = 0
    trail: int = 0
    reduce_only: bool = False
    attached: tuple[int, int] | None = None
    parent: int = -1
    peak: int = 0
    fills: tuple[int, ...] = ()
    status: str = "open"
    due: int = 0

    @property
    def is_open(self) -> bool:
        return self.status != "over"

    @property
    def filled(self) -> int:
        return sum(self.fills)

    @property
    def leaves(self) -> int:
        return self.qty - sum(self.fills) if self.status != "over" else 0

    @property
    def enters(self) -> bool:
        """Whether it is on the entry's side."""
        return self.role in ("entry", "flatten")

    @property
    def protects(self) -> int:
        """Lots for which it is a live stop."""
        return self.leaves if self.role == "stop" and self.status == "open" and not self.fills else 0


class Venue(NamedTuple):
    """The venue's truth. `level` is the last price: -1 worse than the entry, 0 at it, 1 better.

    `entered` and `exited` count executions of our orders, `manual` what the owner traded by hand: (number, enters, lots).
    `by_hand` is how much the owner has sold in all; `mode` says which orders the market takes.
    """

    held: int = 0
    orders: tuple[Rest, ...] = ()
    level: int = 0
    entered: int = 0
    exited: int = 0
    manual: tuple[tuple[int, bool, int], ...] = ()
    by_hand: int = 0
    mode: str = "online"

    def find(self, ref: int) -> Rest | None:
        """Return an order by its number, None if the venue has never seen it."""
        return next((o for o in self.orders if o.ref == ref), None)

    def put(self, order: Rest) -> "Venue":
        """Return the venue with `order` in the place of the one of the same number."""
        return self._replace(orders=tuple([order if o.ref == order.ref else o for o in self.orders]))

    @property
    def covered(self) -> int:
        """Lots under a live stop."""
        return sum([o.protects for o in self.orders])


class Rules(NamedTuple):
    """What kind of venue it is, and for which side: `sign` +1 for a long."""

    sign: int
    holds_funds: bool
    min_lots: int
    reduces: bool  # stops that it makes itself are reduce-only, as those that we send
    fee: int = 0  # what the first execution of an order on the entry's side costs, in lots of the base asset

    def fee_of(self, enters: bool, lots: int, cum: int) -> int:
        """Return the lots that an execution costs; `cum` is the total of its order with it."""
        return self.fee if enters and lots == cum else 0

    def px(self, level: int) -> int:
        """Return the price of a level in ticks."""
        return MID + self.sign * STEP * level

    # --- what it is asked --------------------------------------------------------------------------------------------

    def take(self, venue: Venue, command: Message, refuse: str = "") -> tuple[Venue, Words]:
        """Take one command off the wire; `refuse` is the class of the reason why it says no to what it could do."""
        kind, ref = command[0], command[1]
        assert isinstance(ref, int)
        if kind == "submit":
            return self._submit(venue, command, refuse)
        order = venue.find(ref)
        if kind == "cancel":
            if order is None or not order.is_open:
                return venue, (("cancel-rejected", ref, "gone"),)
            if refuse:
                return venue, (("cancel-rejected", ref, refuse),)
            return venue.put(order._replace(status="over", due=0)), (("canceled", ref, order.filled),)
        if order is None or not order.is_open:
            return venue, (("amend-rejected", ref, "gone"),)
        return self._amend(venue, order, command, refuse)

    def _submit(self, venue: Venue, command: Message, refuse: str) -> tuple[Venue, Words]:
        _, ref, role, kind, qty, price, trail, reduce_only, attached = command
        if venue.find(ref) is not None:  # type: ignore[arg-type]
            return venue, ()
        order = Rest(ref, role, kind, qty, price, trail, reduce_only, attached, peak=self.px(venue.level))  # type: ignore[arg-type]
        reason = refuse or self._refusal(venue, order)
        if reason:
            return venue, (("rejected", ref, reason),)
        return venue._replace(orders=(*venue.orders, order)), (("accepted", ref),)

    def _refusal(self, venue: Venue, order: Rest) -> str:
        if venue.mode == "cancel_only" or (venue.mode == "post_only" and order.kind != "post"):
            return "venue_state"
        if order.reduce_only and venue.held <= 0 and not order.enters:
            return "reduce_only"
        if not order.enters and not self._has_funds(venue, order.qty):
            return "funds"
        if order.kind == "static" and self.is_crossed(venue, order):
            return "through_market"
        if order.kind == "post" and (self.px(venue.level) - order.price) * self.sign >= 0:
            return "post_only"
        return ""

    def _has_funds(self, venue: Venue, lots: int) -> bool:
        return not self.holds_funds or sum(o.leaves for o in venue.orders if not o.enters) + lots <= venue.held

    def _amend(self, venue: Venue, order: Rest, command: Message, refuse: str) -> tuple[Venue, Words]:
        _, ref, qty, price, trail = command
        assert isinstance(qty, int)
        assert isinstance(price, int)
        assert isinstance(trail, int)
        if refuse or order.status != "open":
            return venue, (("amend-rejected", ref, refuse or "other"),)
        if qty > order.qty and not order.enters and not self._has_funds(venue, qty - order.qty):
            return venue, (("amend-rejected", ref, "funds"),)
        order = order._replace(qty=max(qty, order.filled) if qty else order.qty, price=price or order.price, trail=trail or order.trail)
        if order.leaves <= 0:
            return venue.put(order._replace(status="over", due=0)), (("canceled", ref, order.filled),)
        return venue.put(order), (("amended", ref, order.qty, price, trail),)

    # --- what happens in the market ----------------------------------------------------------------------------------

    def is_crossed(self, venue: Venue, order: Rest) -> bool:
        """Whether the last price is at or past the level of a stop."""
        px = self.px(venue.level)
        if order.kind == "static":
            return (px - order.price) * self.sign <= 0
        return (px * BPS - order.peak * (BPS - self.sign * order.trail)) * self.sign <= 0

    def owes(self, venue: Venue, order: Rest) -> bool:
        """Whether a venue without faults fires or fills the order within its time."""
        if order.status == "fired":
            return True
        if order.status != "open":
            return False
        if order.role == "stop":
            return self.is_crossed(venue, order)
        if order.kind == "post":
            return (self.px(venue.level) - order.price) * self.sign >= 0
        return order.kind in ("market", "ioc")

    def may_fill(self, venue: Venue, order: Rest) -> bool:
        """Whether the order may get an execution now."""
        if order.status not in ("open", "fired") or (order.role == "stop" and order.status != "fired"):
            return False
        # A resting exit one tick from the last price may be taken at any time, a limit entry too.
        return order.kind != "post" or (self.px(venue.level) - order.price) * self.sign >= -1

    def move(self, venue: Venue, level: int) -> Venue:
        """Return the venue with another last price; trails follow it."""
        px = self.px(level)
        best = max if self.sign > 0 else min
        orders = tuple([o._replace(peak=best(o.peak, px)) if o.kind == "trailing" and o.status == "open" else o for o in venue.orders])
        return venue._replace(level=level, orders=orders)

    def fire(self, venue: Venue, order: Rest, hang: bool) -> tuple[Venue, Words]:
        """Fire a stop; one that hangs never fills."""
        return venue.put(order._replace(status="hung" if hang else "fired", due=0)), (("triggered", order.ref),)

    def end(self, venue: Venue, order: Rest, word: str = "canceled") -> tuple[Venue, Words]:
        """End an order that nobody of ours asked to end."""
        return venue.put(order._replace(status="over", due=0)), ((word, order.ref, order.filled),)

    def fill(self, venue: Venue, order: Rest, lots: int) -> tuple[Venue, Words]:
        """Execute `lots` of an order; what is marked reduce-only never turns the position round."""
        if order.reduce_only and not order.enters:
            lots = min(lots, max(0, venue.held))
            if not lots:
                return self.end(venue, order)
        order = order._replace(fills=(*order.fills, lots), due=0)
        words: list[Message] = [("filled", order.ref, order.enters, lots, order.filled)]
        venue = venue._replace(
            held=venue.held + (lots if order.enters else -lots) - self.fee_of(order.enters, lots, order.filled),
            entered=venue.entered + (lots if order.enters else 0),
            exited=venue.exited + (0 if order.enters else lots),
        )
        venue = venue.put(order)
        if order.attached is not None:
            venue, said = self._attach(venue, order, lots)
            words += said
        if order.filled >= order.qty:
            venue = venue.put(order._replace(status="over"))
            words.append(("completed", order.ref, order.filled))
        return venue, tuple(words)

    def _attach(self, venue: Venue, parent: Rest, lots: int) -> tuple[Venue, Words]:
        """Make the attached stop of one fill: not at all under the venue's minimum."""
        if lots < self.min_lots or not self._has_funds(venue, lots):
            return venue, ()
        assert parent.attached is not None
        price, trail = parent.attached
        number = 1 + max((o.ref for o in venue.orders if o.ref >= CHILD), default=CHILD - 1)
        kind = "trailing" if trail else "static"
        child = Rest(number, "stop", kind, lots, price, trail, self.reduces, parent=parent.ref, peak=self.px(venue.level))
        return venue._replace(orders=(*venue.orders, child)), (child_word(child),)

    def by_hand(self, venue: Venue) -> tuple[Venue, Words] | None:
        """Let the owner sell one lot by hand, None where nothing is free to be sold."""
        if venue.held <= 0 or not self._has_funds(venue, 1):
            return None
        number = 1 + max((m[0] for m in venue.manual), default=0)
        trade = (number, False, 1)
        venue = venue._replace(held=venue.held - 1, manual=(*venue.manual, trade), by_hand=venue.by_hand + 1)
        return venue, (("manual", *trade),)


def child_word(child: Rest) -> Message:
    """Return what the venue says of a stop that it made itself."""
    return ("child", child.ref, child.parent, child.leaves, child.price, child.trail)


def snapshot_of(venue: Venue, without: int = -1, complete: bool = True) -> Message:
    """Return the whole truth as one word: executions, the owner's trades, open orders; `without` an order that it leaves out."""
    executions = []
    for order in venue.orders:
        cum = 0
        for lots in order.fills:
            cum += lots
            executions.append((order.ref, order.enters, lots, cum, order.parent, order.qty))
    listed = tuple(
        (o.ref, o.role, o.kind, o.qty, o.filled, o.price, o.trail, o.status == "open", o.parent)
        for o in venue.orders
        if o.is_open and o.ref != without
    )
    return ("snapshot", complete, tuple(executions) if complete else (), venue.manual, listed)
