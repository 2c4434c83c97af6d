"""What Kraken takes orders for now (X16), from its words about the whole venue (`status`) and about each pair (`instrument`). Pure."""

from collections.abc import Iterable

from events.facts import VenueMode
from events.values import Instrument

# The narrowest first. An unknown word is taken for online: then the venue's refusals tell. A pair that is `reduce_only` takes what
# protects and exits as if it were online, and no entry.
_MODES: tuple[VenueMode, ...] = ("maintenance", "cancel_only", "post_only", "limit_only")
_PAIR_MODES = {"delisted": "cancel_only", "work_in_progress": "cancel_only"}
REDUCE_ONLY = "reduce_only"


class VenueModes:
    """The last words: `system` of the venue, "" before the first one."""

    def __init__(self) -> None:
        self.system = ""
        self._pairs: dict[str, str] = {}

    def take_pairs(self, instruments: Iterable[Instrument], statuses: Iterable[str]) -> None:
        """Take the status of each instrument."""
        self._pairs.update((x.symbol, status) for x, status in zip(instruments, statuses, strict=True))

    def of_venue(self) -> VenueMode:
        """Return what the whole venue takes."""
        return _narrowest(self.system)

    def of(self, symbol: str, before: str = "") -> VenueMode:
        """Return the narrower of what the whole venue and this pair take; `before`: what stands until the pair is listed."""
        status = self._pairs.get(symbol, before)
        return _narrowest(self.system, _PAIR_MODES.get(status, status))

    def without_entries(self, symbol: str) -> str:
        """Return in what mode a pair is that takes no entry, "" if it takes them."""
        mode = self.of(symbol)
        if mode != "online":
            return mode
        return REDUCE_ONLY if self._pairs.get(symbol) == REDUCE_ONLY else ""


def _narrowest(*said: str) -> VenueMode:
    return next((mode for mode in _MODES if mode in said), "online")
