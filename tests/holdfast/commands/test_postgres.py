from played import Played

from events.store import open_store


def test_a_store_in_postgresql_is_asked_the_same_way_while_its_engine_holds_the_lease(holdfast, played: Played, postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        store.acquire_lease()
        store.append([event for _, event in played.events])
        assert "3 positions of BTC/USD, 2 open" in holdfast("positions", "--store", postgres_url).out
        assert holdfast("show", "1a", "--store", postgres_url).out.startswith("hf00001a")
        assert holdfast("why", "hf000002", "--store", postgres_url).out.startswith("hf000002:7")
        assert "15 alike, 0 otherwise" in holdfast("verify", "--store", postgres_url).out
        assert holdfast("check", "--store", postgres_url).code == 7


def test_a_schema_without_a_store_is_not_found(holdfast, postgres_url: str) -> None:
    said = holdfast("positions", "--store", postgres_url)
    assert said.code == 4
    assert said.err.count("\n") == 1
