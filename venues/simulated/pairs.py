"""The pairs a simulated venue lists, as Kraken's `instrument` channel describes them, and the channel's data.

Numbers of the listed pairs are of Kraken's magnitude, not a copy of its current list: the channel is what a client must
read.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from events.errors import BadInput
from events.values import Instrument

# Digits of a balance: what the captures of the balances channel show for a currency of fiat kind, and for the others.
QUOTE_PRECISION = 4
BASE_PRECISION = 10
FIAT = ("USD", "EUR", "USDT", "USDC", "GBP")


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One listed pair: grid and minimums as `Instrument` has them, and what only a venue needs.

    `cost_precision`: digits of costs and quote fees on the wire. `margin_initial`: share of a margin position's cost that
    must be there. Position limits in base units.
    """

    instrument: Instrument
    cost_precision: int = 5
    has_index: bool = True
    margin_initial: Decimal = Decimal("0.20")
    position_limit: Decimal = Decimal(10_000_000)

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    @property
    def price_precision(self) -> int:
        return _digits(self.instrument.price_increment)

    @property
    def qty_precision(self) -> int:
        return _digits(self.instrument.size_increment)

    def cost(self, value: Decimal) -> Decimal:
        """Return `value` (quote units) with the digits of a cost on the wire."""
        return value.quantize(Decimal(1).scaleb(-self.cost_precision))


def _pair(symbol: str, price_increment: str, min_qty: str, size_increment: str = "0.00000001", *, cost_min: str = "0.5") -> Pair:
    base, quote = symbol.split("/")
    instrument = Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        price_increment=Decimal(price_increment),
        size_increment=Decimal(size_increment),
        min_qty=Decimal(min_qty),
        min_cost=Decimal(cost_min),
        marginable=True,
    )
    return Pair(instrument=instrument)


_LISTED = {
    pair.symbol: pair
    for quote in ("USD", "USDT", "EUR")
    for pair in (
        _pair(f"BTC/{quote}", "0.1", "0.00005"),
        _pair(f"ETH/{quote}", "0.01", "0.001"),
        _pair(f"SOL/{quote}", "0.01", "0.02"),
        _pair(f"XRP/{quote}", "0.00001", "2"),
        _pair(f"NEXO/{quote}", "0.0001", "4"),
    )
}


def pair_of(symbol: str) -> Pair:
    """Return the listed pair of that name (`BTC/USD`).

    Raises:
        BadInput: no such pair is listed.
    """
    if symbol not in _LISTED:
        raise BadInput(f"symbol {symbol!r}", "no such pair is listed here", f"use one of {', '.join(sorted(_LISTED))}")
    return _LISTED[symbol]


def instrument_data(pairs: Iterable[Pair], status: str) -> dict[str, Any]:
    """Return the `data` object of the instrument channel: assets and pairs, each pair with `status`."""
    rows = list(pairs)
    assets = sorted({asset for pair in rows for asset in (pair.instrument.base, pair.instrument.quote)})
    return {"assets": [_asset(asset) for asset in assets], "pairs": [_row(pair, status) for pair in rows]}


def asset_precision(asset: str) -> int:
    """Return the digits of a balance of `asset`."""
    return QUOTE_PRECISION if asset in FIAT else BASE_PRECISION


def _asset(asset: str) -> dict[str, Any]:
    fiat = asset in FIAT
    return {
        "id": asset,
        "status": "enabled",
        "precision": asset_precision(asset),
        "precision_display": 2 if fiat else 5,
        "borrowable": True,
        "collateral_value": Decimal("1.00"),
        "margin_rate": Decimal("0.025000") if fiat else Decimal("0.020000"),
    }


def _row(pair: Pair, status: str) -> dict[str, Any]:
    listed = pair.instrument
    return {
        "symbol": listed.symbol,
        "base": listed.base,
        "quote": listed.quote,
        "status": status,
        "qty_precision": pair.qty_precision,
        "qty_increment": listed.size_increment,
        "price_precision": pair.price_precision,
        "cost_precision": pair.cost_precision,
        "marginable": listed.marginable,
        "has_index": pair.has_index,
        "cost_min": listed.min_cost,
        "margin_initial": pair.margin_initial,
        "position_limit_long": int(pair.position_limit),
        "position_limit_short": int(pair.position_limit),
        "tick_size": listed.price_increment,
        "price_increment": listed.price_increment,
        "qty_min": listed.min_qty,
    }


def _digits(increment: Decimal) -> int:
    exponent = increment.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
