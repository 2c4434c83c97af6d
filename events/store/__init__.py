"""The event store: where position events become durable. The only part of `events` that touches a disk or a database.

    mapper      a PositionEvent as a stored row, and back
    base        what every store promises: append under a lease, read, follow
    sqlite      a file (the default)          postgres    a schema of a PostgreSQL database
    writer      one thread that commits in groups, and what it does when the store fails
    outbox      which commands may leave at once, and which wait for the disk
    spool       the emergency file of a failed store, and its merge after the restart
    disk        every write and sync in one place, and the reserve for a full disk

How an engine uses it:

    store = open_store("var/events.db")
    lease = store.acquire_lease()                       # StoreLocked if another engine runs
    recovery = recover_spool(store, spool_path)         # what the last life could not store
    for event in store.all_events(): ...                # rebuild the positions
    writer = Writer(store, Spool(spool_path, store), on_failure=..., on_page=...)
    gate = OutboxGate()

    admission = gate.admit(event)                       # for every event that the core decided on
    writer.submit([event], on_durable=... if admission.waits else None)
    # send admission.send now; on_durable (from the writer's thread!) -> gate.durable(event) in the loop, send those
    # on_failure -> gate.store_failed(error) in the loop: entries are dropped, protection and exits go on
"""

from pathlib import Path

from ..errors import StoreProblem, Usage
from .base import Fenced, Holder, Lease, Store, VersionConflict
from .disk import Disk
from .outbox import Admission, OutboxGate, Outgoing
from .spool import Recovery, Spool, recover_spool
from .sqlite import open_sqlite
from .writer import Writer, WriterStats

__all__ = [
    "Admission",
    "Disk",
    "Fenced",
    "Holder",
    "Lease",
    "OutboxGate",
    "Outgoing",
    "Recovery",
    "Spool",
    "Store",
    "VersionConflict",
    "Writer",
    "WriterStats",
    "open_store",
    "recover_spool",
]


def open_store(url: str, *, create: bool = True, disk: Disk | None = None) -> Store:
    """Open the event store that `url` names, and make it if `create` is set and it does not exist.

    Args:
        url: a path (`var/events.db`), `sqlite:///` with a path after it, or
            `postgresql://user:password@host:5432/database?schema=name`.
        create: commands that only read pass False.
        disk: for tests of failing disks.

    Raises:
        NotFound: there is no store and `create` is not set.
        StoreProblem: it cannot be used; one sentence says why and what to do.
        UnknownSchema: it was written under another schema version.
        Usage: the URL is none of the three kinds.
    """
    scheme, separator, rest = url.partition("://")
    if not url or "\0" in url:
        raise Usage("store", "no store is named", "name a file or a postgresql:// address")
    if not separator:
        return open_sqlite(Path(url), create=create, disk=disk or Disk())
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return open_sqlite(Path(rest[1:]), create=create, disk=disk or Disk())
    if scheme in ("postgresql", "postgres"):
        try:
            from .postgres import open_postgres
        except ImportError as problem:
            raise StoreProblem("postgresql", f"{problem.name or 'psycopg'} is not installed", "pip install 'holdfast[postgres]'") from None
        return open_postgres(url, create=create, disk=disk or Disk())
    raise Usage("store", f"{scheme + '://'!r} is not a kind of store", "name a file or a postgresql:// address")
