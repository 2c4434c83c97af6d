"""Whether an order may enter: the market's mode, the limits of the account, prices against the book, funds and margin.

Pure; nothing changes here. The strings are Kraken's where a source has them (`venues.md` §1.11).
"""

from .account import Account
from .book import SyntheticBook
from .orders import Order
from .requests import AddOrder, Refused
from .settings import System, VenueSettings


def gate(system: System, operation: str, request: AddOrder | None = None) -> None:
    """Refuse an "add", "amend" or "cancel" that the market's mode does not take."""
    if system == "maintenance":
        raise Refused("EService:Unavailable")
    if operation == "cancel":
        return
    refused = system == "cancel_only"
    if request is not None:
        refused |= system == "post_only" and not request.post_only
        refused |= system == "limit_only" and request.order_type != "limit"
    if refused:
        raise Refused(f"EService:Market in {system} mode")


def order_of(request: AddOrder, rank: int, now_ns: int) -> Order:
    """Build the order that a checked request describes; it has no id yet, and its trigger is not armed."""
    return Order(
        order_id="",
        pair=request.pair,
        buying=request.buying,
        order_type=request.order_type,
        lots=request.lots,
        rank=rank,
        created_ns=now_ns,
        touched_ns=now_ns,
        limit_ticks=request.limit_ticks,
        time_in_force=request.time_in_force,
        post_only=request.post_only,
        reduce_only=request.reduce_only,
        margin=request.margin,
        fee_in_base=request.fee_in_base and not request.margin,
        cl_ord_id=request.cl_ord_id,
        order_userref=request.order_userref,
        trigger=request.trigger,
        conditional=request.conditional,
        expire_ns=request.expire_ns,
    )


def check_price(order: Order, last_ticks: int, price_ticks: int, book: SyntheticBook, settings: VenueSettings) -> None:
    """Refuse what costs too little, a post-only order that would take, a crossed stop where the venue is told to."""
    listed = order.pair.instrument
    trigger = order.trigger
    if trigger is not None and not trigger.trailing and trigger.reached(last_ticks) and settings.crossed_stop == "reject":
        raise Refused("EOrder:Invalid price:Stop price would trigger immediately")
    if listed.qty(order.lots) * listed.price(price_ticks) < listed.min_cost:
        raise Refused("EOrder:Cost minimum not met")
    if order.post_only and trigger is None and book.crosses(order.buying, price_ticks):
        raise Refused("EOrder:Post only order")


def check_funds(order: Order, price_ticks: int, account: Account) -> None:
    """Refuse what the balance, the margin or the position does not carry."""
    if not order.margin:
        if not account.affords(order, price_ticks):
            raise Refused("EOrder:Insufficient funds")
        return
    position = account.position(order.pair)
    if order.reduce_only:
        # A reduce-only trigger order is taken without a position and checked when it executes.
        if order.trigger is None and not position.closable(order.buying):
            raise Refused(f"EOrder:Reduce only:{'Non-PC' if position.lots else 'No position exists'}")
        return
    after = position.lots + (order.leaves_lots if order.buying else -order.leaves_lots)
    if order.pair.instrument.qty(abs(after)) > order.pair.position_limit:
        raise Refused("EOrder:Margin position size exceeded")
    if not account.has_margin(order, price_ticks):
        raise Refused("EOrder:Insufficient margin")
