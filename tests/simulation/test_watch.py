"""The judge of the simulation: what it makes of executions, by the venue's own books."""

from decimal import Decimal

from events.ids import client_order_id_from, position_id_from
from events.values import PositionSide
from holdfast.simulation.watch import Watch
from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway, owner_order
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings
from venues.simulated.wire import encode

D = Decimal
SECOND = 1_000_000_000
FIRST, OTHER = (position_id_from("hf", number) for number in (1, 2))


class Venue:
    """A venue with two positions of ours, each of them planned with 1 BTC, and what the judge says of what they execute."""

    def __init__(self, *sides: PositionSide, margin: bool = True, has_hand: bool = False) -> None:
        settings = VenueSettings(balances={"USD": D(1_000_000), "BTC": D(5)}, tier="unlimited", depth_cost=D(10_000_000))
        self.gateway = Gateway([pair_of("BTC/USD")], settings, 1, Faults(1))
        self.now_ns, self.count, self.margin = 10**18, 0, margin
        self.number, _ = self.gateway.connect("both", self.now_ns)
        self.gateway.issue_token("token", self.now_ns)
        self.gateway.tick("BTC/USD", D("60000.0"), D(1), True, self.now_ns)
        self.watch = Watch(self.gateway.exchange, 30, has_hand)
        self.watch.sides = dict(zip((FIRST, OTHER), sides, strict=True))
        self.watch.planned = {FIRST: D(1), OTHER: D(1)}

    def executes(self, position_id: str, side: str, qty: str) -> None:
        """Let an order of a position execute."""
        self.count += 1
        self.now_ns += SECOND
        params = {"symbol": "BTC/USD", "order_type": "market", "side": side, "order_qty": D(qty), "margin": self.margin, "token": "token"}
        params["cl_ord_id"] = client_order_id_from(position_id, 1, self.count, 0)
        self.gateway.receive(self.number, encode({"method": "add_order", "params": params, "req_id": 1}), self.now_ns)
        self.watch.look_at_books(self.now_ns)

    def left(self) -> list[Decimal]:
        """Return what the venue holds of both, by the judge."""
        return [self.watch.books.held[position_id].net for position_id in (FIRST, OTHER)]


def test_what_an_order_on_margin_closes_beyond_its_own_position_is_closed_of_the_other_one_of_its_side() -> None:
    venue = Venue(PositionSide.LONG, PositionSide.LONG, has_hand=True)
    venue.executes(FIRST, "buy", "1")
    venue.executes(FIRST, "sell", "1")
    venue.executes(OTHER, "buy", "1")
    venue.executes(FIRST, "sell", "0.4")
    assert venue.left() == [D(0), D("0.6")]
    assert venue.watch.violations == []


def test_what_is_closed_beyond_all_that_is_held_on_margin_stays_with_the_position_whose_order_it_was() -> None:
    venue = Venue(PositionSide.LONG, PositionSide.LONG, has_hand=True)
    venue.executes(FIRST, "buy", "0.5")
    venue.executes(OTHER, "buy", "0.2")
    venue.executes(FIRST, "sell", "1")
    assert venue.left() == [D("-0.3"), D(0)]


def test_an_order_that_closes_what_another_position_holds_is_a_violation_all_the_same_where_no_owner_trades() -> None:
    venue = Venue(PositionSide.LONG, PositionSide.LONG)
    venue.executes(FIRST, "buy", "0.5")
    venue.executes(OTHER, "buy", "0.2")
    venue.executes(FIRST, "sell", "0.6")
    assert [text.split(" at ")[0] for text in venue.watch.violations] == ["I2"]
    assert f"{FIRST}: 0.60000000 left at the venue, 0.50000000 had entered" in venue.watch.violations[0]


def test_what_closes_a_long_closes_nothing_of_a_short_and_on_spot_nothing_of_another_position() -> None:
    margin = Venue(PositionSide.LONG, PositionSide.SHORT, has_hand=True)
    spot = Venue(PositionSide.LONG, PositionSide.LONG, margin=False, has_hand=True)
    for venue in (margin, spot):
        venue.executes(FIRST, "buy", "0.5")
        venue.executes(OTHER, "sell" if venue.margin else "buy", "0.2")
        venue.executes(FIRST, "sell", "0.6")
        assert venue.left() == [D("-0.1"), D("0.2")]


def test_where_the_owner_has_sold_each_position_may_leave_less_than_the_smallest_order_and_no_more_together() -> None:
    dust, more = (Venue(PositionSide.LONG, PositionSide.LONG, has_hand=True) for _ in range(2))
    sale = {"symbol": "BTC/USD", "side": "sell", "order_type": "market", "order_qty": D("0.5"), "margin": True}
    for venue, left, qty in ((dust, "0", "0.49996"), (more, "0.00010", "0.49994")):
        books, pair = venue.watch.books, ("BTC/USD", True)
        venue.executes(FIRST, "buy", "1")
        venue.executes(OTHER, "buy", "1")
        owner_order(venue.gateway.exchange, sale, venue.now_ns)
        books.take_sale(pair, is_long=True)
        venue.executes(FIRST, "sell", "0.99996")
        assert books.bare() == {OTHER: D(1)}
        venue.executes(OTHER, "sell", qty)
        assert [books.left_of(key) for key in (FIRST, OTHER)] == [D(left), D(left)]
        assert bool(books.bare()) is (left != "0")
