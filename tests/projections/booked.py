"""Events for tests of the money projections: a position is requested, then facts happen to it."""

from decimal import Decimal

from hypothesis import strategies as st
from msgspec import UNSET

from events.commands import SubmitOrder
from events.facts import AnyFact, Fee, ManualFillSeen, OrderFilled, Plan, PositionAdopted, PositionRequested
from events.record import PositionEvent
from events.values import Capabilities, Instrument, PositionSide, Side

INSTRUMENT = Instrument(
    symbol="BTC/USD",
    base="BTC",
    quote="USD",
    price_increment=Decimal("0.1"),
    size_increment=Decimal("0.0001"),
    min_qty=Decimal("0.001"),
    marginable=True,
)
VENUE = Capabilities(
    venue="kraken",
    native_trail=True,
    amend_in_place=True,
    holds_funds=True,
    reduce_only=True,
    attached_stop=True,
    one_child_per_fill=True,
)
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


class History:
    """The events of several positions, in the order in which they are added; notification ids count from 1."""

    def __init__(self) -> None:
        self.events: list[tuple[int, PositionEvent]] = []
        self.versions: dict[str, int] = {}

    def add(self, position_id: str, fact: AnyFact, to: str = "Protected", **fields: object) -> PositionEvent:
        version = self.versions.get(position_id, 0) + 1
        self.versions[position_id] = version
        event = PositionEvent(position_id=position_id, version=version, fact=fact, to=to, **fields)  # type: ignore[arg-type]
        self.events.append((len(self.events) + 1, event))
        return event

    @property
    def now_ns(self) -> int:
        return START_NS + len(self.events) * SECOND_NS

    def request(self, position_id: str = "hf000001", side: PositionSide = PositionSide.LONG, qty: str = "1") -> None:
        plan = Plan(symbol="BTC/USD", side=side, qty=Decimal(qty), margin=side is PositionSide.SHORT, trail_offset_bps=80)
        fact = PositionRequested(position_id=position_id, plan=plan, instrument=INSTRUMENT, capabilities=VENUE, ts_recv_ns=self.now_ns)
        entry = SubmitOrder(
            client_order_id=f"{position_id}e", symbol="BTC/USD", role="entry", side=side.entry_side, order_type="market", qty=Decimal(qty)
        )
        self.add(position_id, fact, "EntryPending", commands=(entry,))

    def adopt(self, position_id: str, side: PositionSide, qty: str, px: str | None) -> None:
        plan = Plan(symbol="BTC/USD", side=side, qty=Decimal(qty), trail_offset_bps=80)
        fact = PositionAdopted(
            position_id=position_id,
            plan=plan,
            instrument=INSTRUMENT,
            capabilities=VENUE,
            px=None if px is None else Decimal(px),
            evidence="snapshot",
            ts_recv_ns=self.now_ns,
        )
        self.add(position_id, fact, "EmergencyProtecting")

    def fill(
        self,
        side: str,
        qty: str,
        px: str | None,
        fees: dict[str, str] | None = None,
        position_id: str = "hf000001",
        trade_id: str = "",
        to: str = "Protected",
        order_id: str = "",
        worth: str = "",
    ) -> str:
        """Add an execution; `worth`: what its fee is worth in quote, with no `fees` where it is not known of which asset it was taken."""
        trade_id = trade_id or f"T{len(self.events)}"
        fact = OrderFilled(
            client_order_id=order_id or f"{position_id}e",
            trade_id=trade_id,
            side=Side(side),
            last_qty=Decimal(qty),
            last_px=None if px is None else Decimal(px),
            fees=tuple(Fee(asset=asset, qty=Decimal(fee)) for asset, fee in (fees or {}).items()),
            fee_worth=Decimal(worth) if worth else UNSET,
            ts_recv_ns=self.now_ns,
        )
        self.add(position_id, fact, to)
        return trade_id

    def hand_fill(self, side: str, qty: str, px: str, position_id: str = "hf000001", trade_id: str = "") -> str:
        trade_id = trade_id or f"M{len(self.events)}"
        fact = ManualFillSeen(trade_id=trade_id, side=Side(side), last_qty=Decimal(qty), last_px=Decimal(px), ts_recv_ns=self.now_ns)
        self.add(position_id, fact)
        return trade_id


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(min_value=Decimal(low), max_value=Decimal(high), places=places, allow_nan=False, allow_infinity=False)


@st.composite
def fills(draw: st.DrawFn, with_pending: bool = True, with_third_asset: bool = True) -> tuple[str, str, str | None, dict[str, str]]:
    """Return side, quantity, price and fees of one fill: fees in base, quote or a third asset, rebates among them."""
    px = None if with_pending and draw(st.integers(0, 9)) == 0 else str(draw(decimals("0.1", "99999.9", 1)))
    assets = draw(st.lists(st.sampled_from(["BTC", "USD", "KFEE"] if with_third_asset else ["BTC", "USD"]), unique=True, max_size=2))
    fees = {asset: str(draw(decimals("-0.00000005", "0.00500000", 8))) for asset in assets}
    return draw(st.sampled_from(["buy", "sell"])), str(draw(decimals("0.0001", "3.0000", 4))), px, fees


@st.composite
def histories(draw: st.DrawFn, with_pending: bool = True, with_third_asset: bool = True) -> History:
    """Return a history of one to three positions whose fills, duplicates and late prices come in any order."""
    history = History()
    ids = [f"hf00000{n}" for n in range(1, draw(st.integers(1, 3)) + 1)]
    for position_id in ids:
        history.request(position_id, draw(st.sampled_from(list(PositionSide))))
    done: list[tuple[str, str, str, str | None, dict[str, str], str]] = []
    for _ in range(draw(st.integers(0, 14))):
        if done and draw(st.integers(0, 4)) == 0:
            position_id, side, qty, px, fees, trade_id = draw(st.sampled_from(done))
            history.fill(side, qty, px or str(draw(decimals("0.1", "99999.9", 1))), fees, position_id, trade_id)
        else:
            position_id = draw(st.sampled_from(ids))
            side, qty, px, fees = draw(fills(with_pending, with_third_asset))
            is_open = with_pending and px is not None and bool(fees) and draw(st.integers(0, 4)) == 0
            trade_id = history.fill(side, qty, px, {} if is_open else fees, position_id, worth="0.1" if is_open else "")
            done.append((position_id, side, qty, px, fees, trade_id))
    return history
