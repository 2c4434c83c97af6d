"""What a key may do, found out by questions that change nothing (docs, guide rest/api-keys, read 2026).

A key that lacks a permission gets `EGeneral:Permission denied`; any other answer means that it has it. Lists are asked for and thrown
away; an order below every minimum is only validated; the order that is to be cancelled does not exist. [NV] is that Kraken looks at the
permission before it looks at the rest: if it does not, nothing is found missing, and the first real question is refused.
"""

from collections.abc import Mapping
from typing import NamedTuple

from events.errors import BadInput

from .auth import TOKEN_PATH
from .names import altname_of
from .rest import KEY_PLACE, RestClient, errors_in

DENIED = "EGeneral:Permission denied"
NO_ORDER = "OAAAAA-AAAAA-AAAAAA"


class _Probe(NamedTuple):
    permission: str
    path: str
    params: Mapping[str, str]
    # Points of the call counter; orders count elsewhere.
    cost: int = 1


async def missing_permissions(client: RestClient, symbol: str) -> tuple[str, ...]:
    """Return the permissions, as Kraken calls them, that the key needs and does not have. `symbol`: a pair that Kraken trades.

    Raises:
        BadInput: the venue refuses the key.
        VenueProblem: the venue cannot be reached, or does not answer.
    """
    order = {"pair": altname_of(symbol), "type": "buy", "ordertype": "limit", "price": "1", "volume": "0.00000001", "validate": "true"}
    probes = (
        _Probe("Query funds", "/0/private/BalanceEx", {}),
        _Probe("Query open orders & trades", "/0/private/OpenOrders", {}),
        _Probe("Query closed orders & trades", "/0/private/ClosedOrders", {}),
        _Probe("Create & modify orders", "/0/private/AddOrder", order, 0),
        _Probe("Cancel & close orders", "/0/private/CancelOrder", {"txid": NO_ORDER}, 0),
        _Probe("Access WebSockets API", TOKEN_PATH, {}),
    )
    missing = []
    for probe in probes:
        text = await client.post(probe.path, probe.params, cost=probe.cost, tries=1)
        if any(refused.startswith(DENIED) for refused in errors_in(text)):
            missing.append(probe.permission)
    return tuple(missing)


def lacking(permissions: tuple[str, ...]) -> BadInput:
    """Return the error for a key that lacks these."""
    problem = f"it may not: {', '.join(permissions)}"
    return BadInput(KEY_PLACE, problem, "give it these permissions in Kraken's settings, and none to withdraw (docs/kraken.md)")
