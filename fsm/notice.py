"""What people should know and no position decides on: of the link, the market data, the account."""

from typing import NamedTuple


class Notice(NamedTuple):
    """One sentence under a code; `page` wakes a person."""

    page: bool
    code: str
    text: str
