"""A venue of our own: a WebSocket server that speaks Kraken Spot WS v2, with a market, an account, books and faults.

`SimulatedVenue` runs in this process, `python -m venues.simulated` in one of its own. What it implements, what it assumes
where Kraken's documentation is silent, and what each fault does: `docs/simulated-venue.md`.

From the wire inward: `server` (sockets, HTTP, the clock), `gateway` and `delivery` (frames, subscriptions, faults of the
way), `trading` (requests and answers), `exchange` (orders, matching, timers), `book`, `armed`, `account`, `rates`. All
but `server` and `__main__` are pure: market time and a seeded generator are passed in.
"""

from .pairs import Pair, pair_of
from .playback import MarketFeed
from .server import SimulatedVenue
from .settings import VenueSettings

__all__ = ["MarketFeed", "Pair", "SimulatedVenue", "VenueSettings", "pair_of"]
