"""Kraken's names of assets and pairs: `BTC/USD` on WebSocket v2, `XXBTZUSD` or `XBTUSD` by REST. Pure, one table.

Older assets carry a letter of their kind in REST ids (X for coins, Z for money), and two have another code there. Newer ones
are called alike everywhere. A pair's id joins both ids where both are of the older kind, else their codes; its `altname`
always joins the codes. Ids with a suffix (`XBT.M`, `USD.F`) are balances that do not trade.
"""

from collections.abc import Iterable

_CODES = {"BTC": "XBT", "DOGE": "XDG"}
_COINS = frozenset(("XBT", "XDG", "ETH", "ETC", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC"))
_MONEY = frozenset(("USD", "EUR", "GBP", "CAD", "JPY", "AUD"))
_FROM_ID = {f"X{code}": code for code in _COINS} | {f"Z{code}": code for code in _MONEY}
_DISPLAYED = {code: asset for asset, code in _CODES.items()}


def code_of(asset: str) -> str:
    """Return an asset's code by REST: `BTC` -> `XBT`."""
    return _CODES.get(asset, asset)


def asset_id(asset: str) -> str:
    """Return an asset's id by REST: `BTC` -> `XXBT`, `USD` -> `ZUSD`, `SOL` -> `SOL`."""
    code = code_of(asset)
    return f"X{code}" if code in _COINS else f"Z{code}" if code in _MONEY else code


def asset_of(name: str) -> str:
    """Return the asset of a REST id or code: `XXBT` -> `BTC`; "" for a balance that does not trade."""
    if "." in name:
        return ""
    code = _FROM_ID.get(name, name)
    return _DISPLAYED.get(code, code)


def altname_of(symbol: str) -> str:
    """Return a pair's alternative name: `BTC/USD` -> `XBTUSD`."""
    base, _, quote = symbol.partition("/")
    return code_of(base) + code_of(quote)


def pair_id(symbol: str) -> str:
    """Return a pair's id: `BTC/USD` -> `XXBTZUSD`, `BTC/USDT` -> `XBTUSDT`."""
    base, _, quote = symbol.partition("/")
    ids = asset_id(base), asset_id(quote)
    is_old = all(len(one) == 4 and one in _FROM_ID for one in ids)
    return "".join(ids) if is_old else altname_of(symbol)


def symbols_by_name(symbols: Iterable[str]) -> dict[str, str]:
    """Return the symbol of every name by which REST may call its pair.

    Not every id follows the rule (`USDT/USD` is `USDTZUSD`), and a name that is not known would make a position look as if it were gone.
    """
    return {name: symbol for symbol in symbols for name in (symbol, *_joined(symbol))}


def _joined(symbol: str) -> list[str]:
    base, _, quote = symbol.partition("/")
    return [one + other for one in (code_of(base), asset_id(base)) for other in (code_of(quote), asset_id(quote))]
