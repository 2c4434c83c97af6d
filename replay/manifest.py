"""The manifest of a session: which program, which configuration, when, and what it continues."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

LIBRARIES = ("transitions", "eventsourcing", "msgspec", "websockets")


class Previous(TypedDict):
    """The session that this one continues after a restart: its file name, last record, and head (hexadecimal)."""

    file: str
    last_seq: int
    head: str


def versions() -> dict[str, str]:
    """Return the versions of what a session depends on: this package, its libraries, Python."""
    found = {name: _version(name) for name in ("holdfast", *LIBRARIES)}
    return {**found, "python": platform.python_version()}


def manifest_from(
    *, configuration: dict[str, object], table_hash: str, started_ns: int, namespace: str, previous: Previous | None = None, **more: object
) -> dict[str, object]:
    """Return the content of a manifest.

    Args:
        configuration: what decides, as a JSON object; secrets only by the names of their environment variables.
        table_hash: names the transition tables that decided.
        started_ns: UTC nanoseconds, on the clock of the records.
        previous: the session before a restart, if there was one.
        more: further members.
    """
    return {
        "versions": versions(),
        "started_ns": started_ns,
        "namespace": namespace,
        "table_hash": table_hash,
        "previous": previous,
        "configuration": configuration,
        **more,
    }


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
