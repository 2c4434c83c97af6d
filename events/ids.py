"""Identifiers that are derived, never drawn: sending again after a crash is the same order (contract 5).

    position_id       namespace (2) + number in base 36 (6)                                  hf00001a
    client_order_id   position_id (8) + epoch (1) + version in base 36 (4) + index (1)       hf00001a2000c0

14 characters of [a-z0-9]: fits Kraken (18 ASCII), BingX (lower-cases what it gets) and leaves 4 for a router's suffix.

The epoch is the store's fencing token, modulo 36. Protection and exits leave before their event is durable; after a crash
the version of a lost event is used again by another one, and without the epoch two different orders would share an id.
"""

from functools import lru_cache

from .errors import BadInput

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
NAMESPACE_LENGTH = 2
POSITION_ID_LENGTH = 8
EPOCHS = 36
VERSION_LENGTH = 4
CLIENT_ORDER_ID_LENGTH = POSITION_ID_LENGTH + 1 + VERSION_LENGTH + 1


@lru_cache(maxsize=4_096)
def base36(number: int, length: int) -> str:
    """Return `number` in base 36, padded to `length` characters. Raises BadInput if it does not fit."""
    digits = []
    rest = max(number, 0)
    while rest:
        rest, digit = divmod(rest, 36)
        digits.append(_DIGITS[digit])
    text = "".join(reversed(digits)).rjust(length, "0")
    if number < 0 or len(text) > length:
        raise BadInput("id", f"{number} does not fit {length} characters of base 36", "start a new namespace")
    return text


def position_id_from(namespace: str, number: int) -> str:
    """Return the id of the `number`-th position of an engine's `namespace` (2 characters of [a-z0-9])."""
    if len(namespace) != NAMESPACE_LENGTH or any(c not in _DIGITS for c in namespace):
        raise BadInput("namespace", f"{namespace!r} is not two characters of [a-z0-9]", "set namespace = \"hf\"")
    return namespace + base36(number, POSITION_ID_LENGTH - NAMESPACE_LENGTH)


def client_order_id_from(position_id: str, epoch: int, version: int, index: int) -> str:
    """Return the client order id of command `index` of the event that made `version` of a position, in a store's `epoch`."""
    return position_id + base36(epoch % EPOCHS, 1) + base36(version, VERSION_LENGTH) + base36(index, 1)


def position_id_of(client_order_id: str, namespace: str) -> str | None:
    """Return the position that a client order id belongs to, or None if it is not ours (I12)."""
    if not client_order_id.startswith(namespace) or len(client_order_id) < CLIENT_ORDER_ID_LENGTH:
        return None
    if client_order_id[:CLIENT_ORDER_ID_LENGTH].strip(_DIGITS):
        return None
    return client_order_id[:POSITION_ID_LENGTH]
