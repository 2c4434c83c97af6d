import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from events.errors import NotFound, StoreProblem, Usage
from events.store import Fenced, Store, open_store, postgres
from events.store.postgres import PostgresStore
from tests.events.samples import event, history
from tests.pg import Server, server_or_skip


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    with open_store(postgres_url) as store:
        store.acquire_lease()
        yield store


def test_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreProblem, match=r"postgresql://localhost/books\?schema=public: cannot be reached") as refusal:
        open_store("postgresql://me:s3cret@localhost:1/books")
    assert "s3cret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("address", ["u:s3cret@host:port/db", "u:s3cret@h/db?nonsense=1", "u:s3 cret@h /x y"])
def test_address_that_is_none_is_refused_without_its_password(address: str) -> None:
    with pytest.raises((Usage, StoreProblem)) as refusal:
        open_store(f"postgresql://{address}")
    assert "s3" not in str(refusal.value)


def test_missing_database_is_refused(postgres_server: Server) -> None:
    with pytest.raises(StoreProblem, match='database "nowhere" does not exist'):
        open_store(postgres_server.url.replace("/postgres?", "/nowhere?"))


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "events.store.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreProblem, match=r"psycopg is not installed; pip install 'holdfast\[postgres\]'"):
        open_store("postgresql://localhost/books")


def test_user_who_may_not_make_a_schema_is_told_so(postgres_server: Server) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    url = postgres_server.url.replace("postgres@", "guest@") + "&schema=not_mine"
    with pytest.raises(StoreProblem, match="permission denied for database postgres; let this user create a schema"):
        open_store(url)


def test_server_that_may_lose_a_commit_is_refused(postgres_server: Server, postgres_url: str) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        _set(connection, "ALTER SYSTEM SET full_page_writes = off", "off")
        try:
            with pytest.raises(StoreProblem, match="the server runs with full_page_writes = off; turn it on"):
                open_store(postgres_url)
        finally:
            _set(connection, "ALTER SYSTEM RESET full_page_writes", "on")


def _set(connection: psycopg.Connection[tuple[str]], statement: str, expected: str) -> None:
    connection.execute(statement.encode())
    connection.execute("SELECT pg_reload_conf()")
    while connection.execute("SHOW full_page_writes").fetchone() != (expected,):
        time.sleep(0.01)


def test_commits_are_synchronous_whatever_the_database_says(postgres_server: Server, postgres_url: str) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres SET synchronous_commit = off")
        try:
            with open_store(postgres_url) as store:
                assert isinstance(store, PostgresStore)
                with store._factory.datastore.get_connection() as pooled:
                    assert pooled.execute("SHOW synchronous_commit").fetchone() == {"synchronous_commit": "on"}
        finally:
            connection.execute("ALTER DATABASE postgres RESET synchronous_commit")


def test_database_functions_that_lose_events_stay_off(postgres_store: Store, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    with open_store(postgres_url) as store:
        assert isinstance(store, PostgresStore)
        assert not store._factory.datastore.enable_db_functions


def test_stores_in_two_schemas_know_nothing_of_each_other(postgres_server: Server, postgres_url: str) -> None:
    with open_store(postgres_url) as first, open_store(postgres_url + "b") as second:
        first.acquire_lease()
        second.acquire_lease()
        first.append(history("hf000001", 2))
        second.append([event("hf000001", 1)])
        assert len(first.events_of("hf000001")) == 2
        assert len(second.events_of("hf000001")) == 1
        assert first.store_id != second.store_id


@pytest.mark.parametrize("schema", ["Odd", "a%20b", "x%22%3B--", "1st", ""])
def test_schema_whose_name_would_need_quotes_is_refused(postgres_server: Server, schema: str) -> None:
    with pytest.raises(Usage, match="name it with lower case letters, digits and _"):
        open_store(f"{postgres_server.url}&schema={schema}&application_name=x")


def test_half_made_store_is_completed(postgres_server: Server, postgres_url: str) -> None:
    open_store(postgres_url).close()
    schema = postgres_url.rpartition("=")[2]
    with psycopg.connect(postgres_server.url) as connection:
        connection.execute(f"DROP TABLE {schema}.stored_events".encode())
    with pytest.raises(NotFound):
        open_store(postgres_url, create=False)
    with open_store(postgres_url) as store:
        store.acquire_lease()
        store.append(history("hf000001", 1))


def test_take_over_waits_for_an_append_that_is_under_way(postgres_store: Store, postgres_server: Server, postgres_url: str) -> None:
    schema = postgres_url.rpartition("=")[2]
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 20000) FROM pg_locks WHERE locktype = 'advisory'")
    with open_store(postgres_url) as other, psycopg.connect(postgres_server.url) as appending:
        # As an append does: else it could commit after the new engine has read the log.
        appending.execute(f"LOCK TABLE {schema}.stored_events IN EXCLUSIVE MODE".encode())
        taking_over = threading.Thread(target=other.acquire_lease)
        taking_over.start()
        taking_over.join(0.3)
        assert taking_over.is_alive()
        appending.commit()
        taking_over.join(10)
        with pytest.raises(Fenced):
            postgres_store.append(history("hf000001", 1))
        other.append(history("hf000001", 1))


@pytest.mark.parametrize("step", ["_check_server", "_store_id", "_factory"])
def test_a_server_that_dies_while_the_store_is_opened_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    server = server_or_skip()
    try:
        open_store(f"{server.url}&schema=dying").close()
        take = getattr(postgres, step)

        def taken_as_the_server_dies(*arguments: Any) -> Any:
            server.stop(signal.SIGQUIT)
            return take(*arguments)

        monkeypatch.setattr(postgres, step, taken_as_the_server_dies)
        with pytest.raises(StoreProblem, match="was lost while the store was opened") as refusal:
            open_store(f"{server.url}&schema=dying")
        assert "\n" not in str(refusal.value)
    finally:
        server.remove()
