"""Sessions verified and replayed: one pass each, in flat memory, with what was found as data.

A session that is still being written is taken up to where it is; a torn tail is counted and left out. What is wrong with a file
(tampered, of another schema, not a session) is a verdict of its own where several are asked about, so that the others get theirs.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from events.errors import BadInput, HoldfastError, NotFound, Tampered
from events.record import event_from
from holdfast.config import Config, read_key
from replay.reading import anchors_of, open_session
from replay.replay import Divergence, replay_records, settings_from
from replay.session import Record, Report, verify_session
from replay.walk import Walk

from .diff import Difference, differences

SUFFIXES = (".session", ".session.gz")
ANCHOR_SUFFIX = ".anchor"
_PROGRESS_EVERY = 256

Outcome = Literal["identical", "diverged", "tampered", "unusable"]


class Diverging(msgspec.Struct, frozen=True, kw_only=True):
    """The first event that came out otherwise: after which input, at which record, and what differs."""

    record: int
    input: str
    position_id: str
    version: int
    fact: str
    recorded: str
    replayed: str
    differences: tuple[Difference, ...]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the replay of one session found. `problem` is the sentence of an outcome that is no verdict of replay itself.

    `ending` is "open" while an engine writes the session, or after a crash that nobody repaired, and "" where replay stopped
    before the end; `torn_bytes` were left out.
    `is_proven` if the chain was checked with its key, or needs none.
    """

    session: str
    outcome: Outcome
    problem: str
    inputs: int
    frames: int
    events: int
    seconds: float
    frames_per_s: int
    records: int
    ending: str
    torn_bytes: int
    is_proven: bool
    table_hash: str
    divergence: Diverging | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What checking the chain of one session found. `report` is None where `problem` says why there is none."""

    session: str
    outcome: Literal["sound", "tampered", "unusable"]
    problem: str
    report: Report | None


def sessions_of(places: Sequence[Path], usual: Path) -> list[Path]:
    """Return the session files that are named: files as they are, of a folder its sessions by name; those of `usual` if none is.

    Anchor files among several names are left out: `sessions/*` names them too.

    Raises:
        NotFound: a place does not exist, or a folder has no session.
    """
    found: list[Path] = []
    for place in places or (usual,):
        if place.is_dir():
            inside = sorted(path for path in place.iterdir() if path.name.endswith(SUFFIXES))
            if not inside:
                raise NotFound("session in folder", str(place), "name a session file, or a folder that has some")
            found += inside
        elif not places and not place.exists():
            raise NotFound("folder of sessions", str(place), "name a session file, or run an engine that writes one")
        elif len(places) == 1 or not place.name.endswith(ANCHOR_SUFFIX):
            found.append(place)
    return found


def key_from(config: Config, key_env: str | None) -> bytes | None:
    """Return the chain's key from the variable that is named, else from that of the settings; None if neither names one.

    Raises BadInput if the variable is not set or empty.
    """
    if key_env is not None:
        return read_key("--key-env", env=key_env).encode()
    return read_key("session.key_env", env=config.session.key_env).encode() if config.session.key_env else None


def replayed(path: Path, key: bytes | None, on_progress: Callable[[int, int | None], object]) -> Replayed:
    """Replay one session.

    Raises:
        NotFound, BadInput, UnknownSchema: the file cannot be used.
        Tampered: its bytes do not match its chain.
    """
    began_s = time.perf_counter()
    with open_session(path) as file:
        walk = Walk(path, file, key, anchors_of(path, None))
        settings = settings_from(walk.manifest, str(path))
        total = None if path.suffix == ".gz" else path.stat().st_size
        verdict = replay_records(_watched(walk, total, on_progress), settings)
    seconds = time.perf_counter() - began_s
    return Replayed(
        session=str(path),
        outcome="identical" if verdict.identical else "diverged",
        problem="",
        inputs=verdict.inputs,
        frames=verdict.frames,
        events=verdict.events,
        seconds=round(seconds, 3),
        frames_per_s=round(verdict.frames / seconds),
        records=walk.seq,
        ending=walk.ending if verdict.identical else "",
        torn_bytes=walk.torn_bytes,
        is_proven=walk.has_key or not walk.is_keyed,
        table_hash=str(walk.manifest.get("table_hash", "")),
        divergence=None if verdict.divergence is None else _diverging(verdict.divergence),
    )


def _watched(walk: Walk, total: int | None, on_progress: Callable[[int, int | None], object]) -> Iterator[Record]:
    for number, record in enumerate(walk.records()):
        if number % _PROGRESS_EVERY == 0:
            on_progress(walk.offset, total)
        yield record


def _diverging(found: Divergence) -> Diverging:
    recorded, replayed = found.recorded.encode(), found.replayed.encode()
    position_id, version, fact = "", 0, ""
    with suppress(BadInput):
        event = event_from(recorded or replayed)
        position_id, version, fact = event.position_id, event.version, type(event.fact).__name__
    return Diverging(
        record=found.record,
        input=found.input,
        position_id=position_id,
        version=version,
        fact=fact,
        recorded=found.recorded,
        replayed=found.replayed,
        differences=tuple(differences(recorded, replayed)),
    )


def replayed_each(paths: Sequence[Path], key: bytes | None, on_progress: Callable[[int, int | None], object]) -> Iterator[Replayed]:
    """Yield the verdict of each session; a file that cannot be replayed has one too."""
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    for number, path in enumerate(paths):
        try:
            yield replayed(path, key, partial(_shared, on_progress, sum(sizes[:number]), sum(sizes)))
        except HoldfastError as problem:
            outcome: Outcome = "tampered" if isinstance(problem, Tampered) else "unusable"
            yield _not_replayed(path, outcome, str(problem))


def _shared(on_progress: Callable[[int, int | None], object], before: int, total: int, done: int, _: int | None) -> None:
    """Tell the progress through one file as progress through all."""
    on_progress(min(before + done, total), total)


def _not_replayed(path: Path, outcome: Outcome, problem: str) -> Replayed:
    return Replayed(
        session=str(path), outcome=outcome, problem=problem, inputs=0, frames=0, events=0, seconds=0.0, frames_per_s=0,
        records=0, ending="", torn_bytes=0, is_proven=False, table_hash="", divergence=None,
    )  # fmt: skip


def checked_each(paths: Iterable[Path], key: bytes | None, anchor: Path | None) -> Iterator[Checked]:
    """Yield what checking the chain and the anchors of each session finds."""
    for path in paths:
        try:
            yield Checked(session=str(path), outcome="sound", problem="", report=verify_session(path, key, anchor))
        except HoldfastError as problem:
            outcome: Literal["tampered", "unusable"] = "tampered" if isinstance(problem, Tampered) else "unusable"
            yield Checked(session=str(path), outcome=outcome, problem=str(problem), report=None)
