"""What a key may do is found out by questions that change nothing."""

from decimal import Decimal

import pytest

from events.errors import BadInput, VenueProblem
from venues.kraken.permissions import lacking, missing_permissions
from venues.kraken.rest import RestClient
from venues.simulated import MarketFeed, SimulatedVenue, VenueSettings, pair_of
from venues.simulated.rest import PERMISSIONS
from venues.simulated.ticks import seeded_ticks

SECRET = "c2VjcmV0"
START_NS = 1_767_225_600_000_000_000
NAMES = {
    "query_funds": "Query funds",
    "query_open": "Query open orders & trades",
    "query_closed": "Query closed orders & trades",
    "create_orders": "Create & modify orders",
    "cancel_orders": "Cancel & close orders",
    "websockets": "Access WebSockets API",
}


async def missing(lacks: str) -> tuple[tuple[str, ...], dict[str, object]]:
    feed = MarketFeed(pair_of("BTC/USD"), seeded_ticks(1, Decimal(60_000), START_NS))
    venue = SimulatedVenue([feed], settings=VenueSettings(key_lacks=lacks))
    await venue.start()
    try:
        found = await missing_permissions(RestClient("key", SECRET, venue.http_url), "BTC/USD")
        return found, venue.books()
    finally:
        await venue.stop()


def test_every_permission_that_the_simulated_venue_knows_is_looked_for() -> None:
    # The ledger is asked where REST does not tell of which asset a fee was taken; without it a key goes on, and a person is told then.
    assert {name for names in PERMISSIONS.values() for name in names} == {*NAMES, "query_ledger"}


@pytest.mark.parametrize("lacks", ["", *NAMES, ",".join(NAMES)])
async def test_what_a_key_lacks_is_named_and_nothing_is_ordered(lacks: str) -> None:
    found, books = await missing(lacks)
    assert found == tuple(NAMES[name] for name in lacks.split(",") if name)
    assert (books["open_orders"], books["fills"]) == ([], [])


async def test_a_venue_that_does_not_answer_says_nothing_about_a_key() -> None:
    with pytest.raises(VenueProblem):
        await missing_permissions(RestClient("key", SECRET, "http://127.0.0.1:1"), "BTC/USD")


def test_what_is_lacking_is_one_sentence_with_the_remedy() -> None:
    problem = lacking(("Query funds", "Cancel & close orders"))
    assert isinstance(problem, BadInput)
    assert str(problem) == (
        "kraken key: it may not: Query funds, Cancel & close orders; give it these permissions in Kraken's settings, and none to withdraw"
        " (docs/kraken.md)"
    )
