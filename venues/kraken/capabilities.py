"""What Kraken Spot can do, for spot and for margin positions.

Sources, read 2026: docs.kraken.com spot-websocket-v2 `add_order`, `amend_order`, `cancel_after`; guide "amends"; official
SDK (conditional close without client id). Not verified on a live account: that a resting sell stop holds the funds of its
whole quantity, and what an amend does to a trailing stop's peak.
"""

import msgspec

from events.values import Capabilities

SPOT = Capabilities(
    venue="kraken",
    native_trail=True,  # order types trailing-stop and trailing-stop-limit, offset in percent or quote
    amend_in_place=True,  # keeps id and fills; quantity, limit price and trigger price
    holds_funds=True,  # so a second stop for the same quantity is refused
    reduce_only=False,  # acts on margin positions only
    attached_stop=True,  # `conditional`
    one_child_per_fill=True,  # each fill of the primary makes a secondary of its size, without client id
    post_only=True,
    deadline=True,  # 0.5 s to 60 s ahead
    dead_man_switch_cancels_stops=True,  # cancel_all_orders_after takes every order of the account
    amend_deadline=True,  # 0.5 s to 60 s ahead
)

MARGIN = Capabilities(
    venue="kraken",
    native_trail=True,
    amend_in_place=True,
    holds_funds=False,
    reduce_only=True,
    attached_stop=True,
    one_child_per_fill=True,
    post_only=True,
    deadline=True,
    dead_man_switch_cancels_stops=True,
    amend_deadline=True,
)


def capabilities_of(margin: bool) -> Capabilities:
    """Return what Kraken can do for a margin position, or for spot."""
    return MARGIN if margin else SPOT


def without_amend_deadline(capabilities: Capabilities) -> Capabilities:
    """Return the same without deadlines of amends: what sessions of before decided by."""
    return msgspec.structs.replace(capabilities, amend_deadline=msgspec.UNSET)
