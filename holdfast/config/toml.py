"""Values as TOML writes them."""

from decimal import Decimal
from enum import Enum

import msgspec


def toml_value(value: object) -> str:
    """Return how TOML writes a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Enum):
        return toml_value(value.value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml_value(one)}' for key, one in value.items() if one is not None)} }}"
    return msgspec.json.encode(value).decode()
