"""Commands: what is to be sent because of an event. Imperative, immutable, versioned by tag.

A command never says when it may leave: `is_risk_increasing` tells, and the engine holds such a command until the event
that explains it is durable (contract 4). Order ids are filled in by the position, derived from its version.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from .values import Side

Role = Literal["entry", "stop", "take_profit", "exit", "flatten"]
OrderType = Literal["market", "limit", "stop-loss", "trailing-stop"]


class AttachedStop(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that the venue creates on each fill of an entry (OTO). Exactly one of the two is set."""

    trigger_price: Decimal | None = None
    trail_offset_bps: int | None = None


class SubmitOrder(msgspec.Struct, frozen=True, kw_only=True, tag="submit_order.1"):
    """Place an order. `deadline_ns`: the venue must not match it later than this (A17), 0 for none."""

    client_order_id: str
    symbol: str
    role: Role
    side: Side
    order_type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    trail_offset_bps: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    margin: bool = False
    immediate_or_cancel: bool = False
    deadline_ns: int = 0
    attached: AttachedStop | None = None


class AmendOrder(msgspec.Struct, frozen=True, kw_only=True, tag="amend_order.1"):
    """Change a live order in place. None fields stay as they are; `order_qty` is the new total, fills included.

    `deadline_ns`: the venue must not apply it later than this; left out where it names none.
    """

    client_order_id: str
    venue_order_id: str
    symbol: str
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    trail_offset_bps: int | None = None
    deadline_ns: int | msgspec.UnsetType = msgspec.UNSET


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True, tag="cancel_order.1"):
    """Cancel an order. Only the stream says what became of it."""

    client_order_id: str
    venue_order_id: str
    symbol: str


class QueryOrder(msgspec.Struct, frozen=True, kw_only=True, tag="query_order.1"):
    """Ask the venue what became of one order."""

    client_order_id: str
    venue_order_id: str
    symbol: str


class RefreshTruth(msgspec.Struct, frozen=True, kw_only=True, tag="refresh_truth.1"):
    """Ask for a fresh snapshot of the account's orders and trades."""

    symbol: str


class RaiseAlert(msgspec.Struct, frozen=True, kw_only=True, tag="raise_alert.1"):
    """Tell the log and the metrics. `code` is stable (`EXIT_TIME_STOP_MISCONFIGURED`), `text` is for people."""

    code: str
    text: str


class Page(msgspec.Struct, frozen=True, kw_only=True, tag="page.1"):
    """Wake a person."""

    code: str
    text: str


Means = Literal["amend", "delta_stop", "place_then_cancel", "cancel_create"]


class NoteCoverage(msgspec.Struct, frozen=True, kw_only=True, tag="note_coverage.1"):
    """Say by which means coverage is moved in this event, and what it costs (A10). Nothing is sent for it.

    `rate_points`: what the venue's counter takes for it. `bare_qty`: what is without a stop until the move is done, 0 for nothing.
    """

    client_order_id: str
    means: Means
    rate_points: int
    bare_qty: Decimal


OrderCommand = SubmitOrder | AmendOrder | CancelOrder
QueryCommand = QueryOrder | RefreshTruth
NoticeCommand = RaiseAlert | Page | NoteCoverage
AnyCommand = OrderCommand | QueryCommand | NoticeCommand


def is_risk_increasing(command: AnyCommand) -> bool:
    """Tell whether a command adds risk and must wait for the disk: entries only. Exits and protection never wait."""
    return isinstance(command, SubmitOrder) and command.role == "entry"
