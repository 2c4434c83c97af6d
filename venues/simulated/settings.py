"""How a simulated venue behaves: fees, latencies, depth, and every answer that Kraken's documentation leaves open."""

from decimal import Decimal
from typing import Literal

import msgspec

from .rates import Tier

System = Literal["online", "cancel_only", "post_only", "limit_only", "maintenance"]


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one venue. Times are market time unless the name says real.

    Args:
        balances: what the account starts with, by asset.
        taker_fee_bps, maker_fee_bps: fees in basis points of the cost.
        tier: rate limits of the account.
        spread_ticks: ticks between bid and ask.
        depth_cost: about this much (quote units) rests at the touch; deeper levels hold more.
        trigger_latency_ms: from the touch of a trigger price to the execution of its market order.
        trail_status_ms: least time between two `status` entries of one moving trailing stop; None sends none (cadence [NV]).
        stops_hold_funds: whether an untriggered spot stop holds its balance ([NV], K3).
        lists_empty_balances: whether a list of balances names an asset of which nothing is left ([NV]).
        crossed_stop: a stop whose level is already crossed is triggered at once, or refused ([NV], P21).
        heartbeat_ms: silence after which a heartbeat is due, in `heartbeat_time`; never more than 20 a real second.
        token_ttl_real_s, idle_close_real_s: transport limits, in real seconds whatever the clock's speed.
        snapshot_trades: past trades in a snapshot.
        rest_lag_ms: how old the lists of orders and trades by REST are (K9: up to a minute).
        key_lacks: permissions that a key does not have, by comma (`rest.PERMISSIONS`); what needs one of them is refused by REST.
        snapshot_userref: whether they carry their order's user reference ([NV]; the captured ones had none set).
    """

    balances: dict[str, Decimal] = msgspec.field(default_factory=lambda: {"USD": Decimal(1_000_000), "USDT": Decimal(1_000_000)})
    taker_fee_bps: Decimal = Decimal(26)
    maker_fee_bps: Decimal = Decimal(16)
    tier: Tier = "intermediate"
    spread_ticks: int = 1
    depth_cost: Decimal = Decimal(20_000)
    trigger_latency_ms: int = 50
    trail_status_ms: int | None = 1_000
    stops_hold_funds: bool = True
    lists_empty_balances: bool = True
    crossed_stop: Literal["trigger", "reject"] = "trigger"
    heartbeat_ms: int = 1_000
    heartbeat_time: Literal["market", "real"] = "market"
    token_ttl_real_s: int = 900
    idle_close_real_s: int = 60
    snapshot_trades: int = 50
    snapshot_userref: bool = True
    rest_lag_ms: int = 0
    key_lacks: str = ""
