"""What every store promises, held against a SQLite file and a PostgreSQL server."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from events.errors import NotFound, StoreLocked, StoreProblem, Tampered, UnknownSchema
from events.record import SCHEMA, bytes_from
from events.store import Fenced, Store, VersionConflict, open_store
from events.store.base import READ_BATCH
from tests.events.samples import EVENTS, event, history


class StoreContract:
    """Each subclass gives `url`, a way to run SQL beside the store, and a way in which its lock is lost."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    def sql(self, url: str, statement: str, *parameters: object) -> None:
        raise NotImplementedError

    def lose_lock(self, url: str) -> None:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        with open_store(url) as store:
            store.acquire_lease()
            yield store

    @pytest.fixture
    def reader(self, store: Store, url: str) -> Iterator[Store]:
        with open_store(url, create=False) as reader:
            yield reader

    # --- what is written can be read ----------------------------------------------------------------------------------

    def test_new_store_is_empty(self, store: Store) -> None:
        assert store.position_ids() == []
        assert store.events_of("hf000001") == []
        assert list(store.all_events()) == []
        assert store.follow() == []
        assert store.last_notification_id() == 0

    def test_appended_events_are_read_again_in_another_connection(self, store: Store, reader: Store) -> None:
        store.append([*history("hf000001", 3), *history("hf000002", 1)])
        store.append([event("hf000001", 4)])
        assert reader.events_of("hf000001") == history("hf000001", 4)
        assert reader.events_of("hf000002") == history("hf000002", 1)
        assert list(reader.all_events()) == [*history("hf000001", 3), *history("hf000002", 1), event("hf000001", 4)]

    def test_stored_event_has_the_bytes_of_the_record(self, store: Store, reader: Store) -> None:
        sample = replace(EVENTS[0], version=1)
        store.append([sample])
        assert bytes_from(reader.events_of(sample.position_id)[0]) == bytes_from(sample)

    def test_positions_are_listed_in_the_order_in_which_they_were_opened(self, store: Store) -> None:
        opened = ["hf000007", "hf000001", "hf000003"]
        for position_id in opened:
            store.append(history(position_id, 2))
        store.append([event("hf000007", 3)])
        assert store.position_ids() == opened

    def test_log_longer_than_a_batch_is_read_whole(self, store: Store, reader: Store) -> None:
        written = history("hf000001", READ_BATCH * 2 + 1)
        store.append(written)
        assert list(reader.all_events()) == written

    def test_appending_nothing_changes_nothing(self, store: Store) -> None:
        store.append([])
        assert store.last_notification_id() == 0

    def test_closed_and_opened_again_nothing_is_lost(self, url: str) -> None:
        with open_store(url) as store:
            store.acquire_lease()
            store.append(history("hf000001", 2))
            store_id = store.store_id
        with open_store(url) as store:
            assert store.store_id == store_id
            assert store.events_of("hf000001") == history("hf000001", 2)
            store.acquire_lease()
            store.append([event("hf000001", 3)])
            assert store.events_of("hf000001") == history("hf000001", 3)

    # --- following ----------------------------------------------------------------------------------------------------

    def test_follower_sees_every_event_once_in_the_order_of_the_log(self, store: Store, reader: Store) -> None:
        written = []
        for version in range(1, 8):
            written += [event("hf000001", version), event("hf000002", version)]
            store.append(written[-2:])
        seen = []
        last = 0
        while batch := reader.follow(last, limit=3):
            assert len(batch) <= 3
            ids = [notification_id for notification_id, _ in batch]
            assert ids == sorted(set(ids))
            assert ids[0] > last
            last = ids[-1]
            seen += [followed for _, followed in batch]
        assert seen == written
        assert last == reader.last_notification_id()

    def test_follower_that_tails_a_busy_writer_misses_nothing(self, store: Store, reader: Store) -> None:
        count = 150

        def write() -> None:
            for version in range(1, count + 1):
                store.append([event("hf000001", version)])

        writer = threading.Thread(target=write)
        writer.start()
        seen: list[int] = []
        last = 0
        while len(seen) < count:
            batch = reader.follow(last, limit=7)
            seen += [followed.version for _, followed in batch]
            last = batch[-1][0] if batch else last
        writer.join()
        assert seen == list(range(1, count + 1))

    # --- versions -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("version", [0, 2, 3, 5, 6])
    def test_version_that_does_not_follow_is_refused_and_nothing_is_stored(self, store: Store, version: int) -> None:
        store.append(history("hf000001", 3))
        with pytest.raises(VersionConflict, match=f"hf000001 version {version} ") as refusal:
            store.append([event("hf000002", 1), event("hf000001", version)])
        assert (refusal.value.position_id, refusal.value.version) == ("hf000001", version)
        assert store.events_of("hf000001") == history("hf000001", 3)
        assert store.position_ids() == ["hf000001"]
        store.append([event("hf000001", 4)])
        assert store.events_of("hf000001") == history("hf000001", 4)

    @pytest.mark.parametrize("version", [0, 1, 3, 5, 6])
    def test_version_that_does_not_follow_is_refused_by_a_store_that_has_not_seen_the_position(self, url: str, version: int) -> None:
        with open_store(url) as store:
            store.acquire_lease()
            store.append(history("hf000001", 3))
        with open_store(url) as store:
            store.acquire_lease()
            with pytest.raises(VersionConflict):
                store.append([event("hf000002", 1), event("hf000001", version)])
            assert list(store.all_events()) == history("hf000001", 3)
            store.append([event("hf000001", 4)])

    def test_first_event_of_a_position_is_version_one(self, store: Store) -> None:
        with pytest.raises(VersionConflict, match="version 1, which is not there"):
            store.append([event("hf000001", 2)])
        assert list(store.all_events()) == []

    def test_hole_in_the_versions_is_noticed_on_every_way_of_reading(self, store: Store, url: str) -> None:
        store.append(history("hf000001", 4))
        self.sql(url, "DELETE FROM stored_events WHERE originator_version = 2")
        with pytest.raises(Tampered, match="hf000001"):
            store.events_of("hf000001")
        with pytest.raises(Tampered, match="hf000001"):
            list(store.all_events())

    def test_row_whose_content_is_another_event_is_noticed(self, store: Store, url: str) -> None:
        store.append(history("hf000001", 2))
        self.sql(url, "UPDATE stored_events SET state = {} WHERE originator_version = 2", bytes_from(event("hf000009", 2)))
        with pytest.raises(Tampered, match="hf000009"):
            store.events_of("hf000001")
        with pytest.raises(Tampered, match="hf000009"):
            store.follow()

    def test_row_of_another_topic_is_refused(self, store: Store, url: str) -> None:
        store.append(history("hf000001", 2))
        self.sql(url, "UPDATE stored_events SET topic = 'position_event.9' WHERE originator_version = 2")
        for read in (lambda: store.events_of("hf000001"), lambda: list(store.all_events()), store.follow):
            with pytest.raises(UnknownSchema, match=r"position_event\.9"):
                read()

    # --- one writer ---------------------------------------------------------------------------------------------------

    def test_append_without_the_lease_is_refused(self, url: str) -> None:
        with open_store(url) as store, pytest.raises(StoreProblem, match="without the writer lease"):
            store.append(history("hf000001", 1))

    def test_second_engine_is_refused_and_told_who_holds_the_store(self, store: Store, reader: Store) -> None:
        with pytest.raises(StoreLocked, match=r"process id \d+ on .+ since .+ UTC; end that engine first"):
            reader.acquire_lease()
        assert store.events_of("hf000001") == []

    def test_lease_is_taken_once_by_one_store_too(self, store: Store) -> None:
        with pytest.raises(StoreLocked):
            store.acquire_lease()

    def test_lease_that_was_given_back_can_be_taken_with_a_higher_token(self, url: str) -> None:
        with open_store(url) as first, open_store(url) as second:
            lease = first.acquire_lease()
            lease.release()
            lease.release()
            assert second.acquire_lease().token == lease.token + 1
            with pytest.raises(StoreProblem, match="without the writer lease"):
                first.append(history("hf000001", 1))

    def test_closing_gives_the_lease_back(self, url: str) -> None:
        tokens = []
        for _ in range(3):
            with open_store(url) as store:
                tokens.append(store.acquire_lease().token)
        assert tokens == [tokens[0], tokens[0] + 1, tokens[0] + 2]

    def test_engine_whose_lease_was_taken_over_can_append_nothing_more(self, store: Store, reader: Store, url: str) -> None:
        store.append(history("hf000001", 2))
        self.lose_lock(url)
        reader.acquire_lease()
        reader.append([event("hf000001", 3)])
        with pytest.raises(Fenced, match="taken over"):
            store.append([event("hf000002", 1)])
        with pytest.raises(Fenced):
            store.append([event("hf000001", 3)])
        assert list(reader.all_events()) == history("hf000001", 3)
        reader.append([event("hf000001", 4)])

    # --- schema -------------------------------------------------------------------------------------------------------

    def test_store_of_another_schema_version_is_refused(self, url: str) -> None:
        open_store(url).close()
        self.sql(url, "UPDATE holdfast_store SET schema = 'holdfast-event.0'")
        with pytest.raises(UnknownSchema, match=rf"'holdfast-event\.0' is not '{SCHEMA}'"):
            open_store(url)

    def test_event_table_without_our_mark_is_refused(self, url: str) -> None:
        open_store(url).close()
        self.sql(url, "DROP TABLE holdfast_store")
        with pytest.raises(UnknownSchema):
            open_store(url)

    def test_store_that_does_not_exist_is_not_made_by_a_reader(self, url: str) -> None:
        with pytest.raises(NotFound, match="does not exist"):
            open_store(url, create=False)
        with pytest.raises(NotFound):
            open_store(url, create=False)


class TestSQLite(StoreContract):
    @pytest.fixture
    def url(self, path: Path) -> str:
        return str(path)

    def sql(self, url: str, statement: str, *parameters: object) -> None:
        connection = sqlite3.connect(url)
        connection.execute(statement.format("?"), parameters)
        connection.commit()
        connection.close()

    def lose_lock(self, url: str) -> None:
        """Somebody deletes the lock file: the lock stays with the old file, which has no name any more."""
        Path(url + ".lock").unlink()


class TestPostgres(StoreContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url

    def sql(self, url: str, statement: str, *parameters: Any) -> None:
        address, _, schema = url.partition("&schema=")
        with psycopg.connect(address, options=f"-c search_path={schema}") as connection:
            connection.execute(statement.format("%s").encode(), parameters)

    def lose_lock(self, url: str) -> None:
        """The network cuts the session of the lease, and the sessions of the pool stay."""
        self.sql(url, "SELECT pg_terminate_backend(pid, 20000) FROM pg_locks WHERE locktype = 'advisory'")
