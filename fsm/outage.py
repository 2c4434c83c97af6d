"""How long market data have been away (A14, A15): told after a moment, and a person after a minute, again and again.

Native stops stand meanwhile. What the engine itself watches for (panic, an internal take-profit, its own trail, the shadow of a stop) sees
nothing without prices, and a price that does not come has no age that anybody would look at. A channel is back when the venue has confirmed
what was subscribed to, not when its socket is open. A silence after that is honest: the session gives up a socket that does not even beat.
"""

from .notice import Notice

TOLD_NS, PAGE_NS, AGAIN_NS = 5_000_000_000, 60_000_000_000, 300_000_000_000


class Outage:
    """The clock of one public channel that is away."""

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._next_ns = 0

    def began(self, now_ns: int) -> None:
        """Take the channel's end; one that is away already stays away since then."""
        if self._since_ns is None:
            self._since_ns, self._next_ns = now_ns, now_ns + TOLD_NS

    def ended(self) -> None:
        """Take its return."""
        self._since_ns = None

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to say."""
        return None if self._since_ns is None else self._next_ns

    def due(self, now_ns: int, of: str = "") -> Notice | None:
        """Return what is to be told now; `of`: of which symbols nothing comes, "" for all."""
        if self._since_ns is None or now_ns < self._next_ns:
            return None
        away_ns = now_ns - self._since_ns
        is_page = away_ns >= PAGE_NS
        self._next_ns = now_ns + AGAIN_NS if is_page else self._since_ns + PAGE_NS
        secs, which = away_ns // 1_000_000_000, f" of {of}" if of else ""
        text = f"no market data{which} for {secs} s: no price decides anything; the stops at the venue stand"
        return Notice(is_page, "PRICES_AWAY", text)
