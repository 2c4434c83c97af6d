"""Images of a disk after a loss of power, from the journal of a real life, and what recovery makes of each."""

import errno
import json
import random
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from events.errors import HoldfastError
from events.record import bytes_from
from events.store import open_store, recover_spool
from replay.session import read_session, repair
from tests.campaign.calls import SYNC
from tests.campaign.judge import Lives, trial
from tests.campaign.life import KEY, named
from tests.folders import memory_folder

SECTOR = 512
# Of a life that begins with nothing: they make the files.
SYNCS_BEFORE = 9
_HEAD = struct.Struct("<qqqq")


@dataclass(frozen=True)
class Entry:
    """One call of the journal: W written, T cut, S synced, U deleted, N a word that names what was told to be durable."""

    op: str
    name: str
    offset: int
    size: int
    data: bytes


def entries(path: Path) -> list[Entry]:
    """Read a journal."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        op, length, offset, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = Path(data[at : at + length].decode()).name
        at += length
        held = size if chr(op) in "WN" else 0
        found.append(Entry(chr(op), name, offset, size, data[at : at + held]))
        at += held
    return found


@dataclass
class Blank:
    """A file as a disk may hold it: what was synced, and what was asked for since, in its order."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)

    def sync(self) -> None:
        """Everything asked for is on the disk."""
        for entry in self.pending:
            _apply(self.durable, entry)
        self.pending.clear()

    def image(self, chance: random.Random) -> bytes:
        """Return what may be there: each sector of each write got there or did not; or a first part of all of it did."""
        image, how = bytearray(self.durable), chance.randrange(3)
        kept = chance.randint(0, len(self.pending))
        for number, entry in enumerate(self.pending):
            if how == 0 and number >= kept:
                if number == kept:
                    _apply(image, entry, chance.randint(0, entry.size))
                break
            if how == 0 or entry.op == "T":
                if how == 0 or chance.random() < 0.5:
                    _apply(image, entry)
                continue
            sectors = range(0, entry.size, SECTOR)
            for start in sectors:
                if chance.random() < (0.5 if how == 1 else 0.9):
                    part = entry.data[start : start + SECTOR]
                    _apply(image, Entry("W", entry.name, entry.offset + start, len(part), part))
        return bytes(image)


def _apply(image: bytearray, entry: Entry, size: int | None = None) -> None:
    if entry.op == "T":
        del image[entry.offset :]
        image.extend(bytes(entry.offset - len(image)))
        return
    data = entry.data if size is None else entry.data[:size]
    if len(image) < entry.offset:
        image.extend(bytes(entry.offset - len(image)))
    image[entry.offset : entry.offset + len(data)] = data


def disk_after(journal: list[Entry], count: int) -> tuple[dict[str, Blank], set[str]]:
    """Return the files as of a number of calls, and what was told to be durable by then."""
    files: dict[str, Blank] = {}
    told: set[str] = set()
    for entry in journal[:count]:
        if entry.op == "N":
            told.update(json.loads(entry.data))
        elif entry.op == "U":
            # SQLite syncs the folder right behind it.
            files.pop(entry.name, None)
        elif entry.op == "S":
            if entry.name in files:
                files[entry.name].sync()
        else:
            files.setdefault(entry.name, Blank()).pending.append(entry)
    return files, told


def _held(path: Path) -> set[str]:
    """Open a store as a start does and return what it holds."""
    with open_store(str(path)) as store:
        return {named(event) for position_id in store.position_ids() for event in store.events_of(position_id)}


def store_images(journal: list[Entry], count: int, chance: random.Random, folder: Path) -> Iterator[str]:
    """Open `count` images of the store, at calls all through its life; yield what was lost."""
    calls = [number for number, entry in enumerate(journal, 1) if entry.op == "N" or entry.name.startswith("events.db")]
    for number in range(count):
        at = calls[number * len(calls) // count]
        files, told = disk_after(journal, at)
        folder.mkdir()
        for name, file in files.items():
            # Not the index of the write-ahead log: it is memory, and SQLite makes it anew after a loss of power.
            if name.startswith("events.db") and not name.endswith((".reserve", "-shm")):
                (folder / name).write_bytes(file.image(chance))
        try:
            lost = told - _held(folder / "events.db") if told or files else set()
        except HoldfastError as problem:
            if told:
                yield f"store image {number}, after call {at}: {problem}"
        else:
            if lost:
                yield f"store image {number}, after call {at}: {len(lost)} acknowledged events are lost"
        shutil.rmtree(folder)


def spool_images(journal: list[Entry], count: int, chance: random.Random, folder: Path) -> Iterator[str]:
    """Merge `count` images of the spool, cut at each byte behind what was synced or with lost sectors; yield what was lost."""
    calls = [number for number, entry in enumerate(journal, 1) if entry.name == "spool.jsonl"]
    images: list[tuple[int, bytes, bytes]] = []
    for at in calls:
        file = disk_after(journal, at)[0]["spool.jsonl"]
        synced, whole = bytes(file.durable), Blank(bytearray(file.durable), list(file.pending))
        whole.sync()
        images += [(at, synced, bytes(whole.durable[:cut])) for cut in range(len(synced), len(whole.durable) + 1)]
        images += [(at, synced, file.image(chance)) for _ in range(20)]
    for at, synced, image in chance.sample(images, min(count, len(images))):
        folder.mkdir()
        for name, held in disk_after(journal, at)[0].items():
            if name.startswith("events.db") and not name.endswith((".reserve", "-shm")):
                (folder / name).write_bytes(held.image(chance))
        (folder / "spool.jsonl").write_bytes(image)
        promised = {bytes(msgspec.json.decode(line, type=_Spooled).event) for line in synced.splitlines()[1:]}
        try:
            with open_store(str(folder / "events.db")) as store:
                store.acquire_lease()
                recover_spool(store, folder / "spool.jsonl")
                kept = {bytes_from(event) for position_id in store.position_ids() for event in store.events_of(position_id)}
            if lost := promised - kept:
                yield f"spool image after call {at}, {len(image)} bytes: {len(lost)} synced events are lost"
        except HoldfastError as problem:
            yield f"spool image after call {at}, {len(image)} bytes: {problem}"
        shutil.rmtree(folder)


class _Spooled(msgspec.Struct):
    event: msgspec.Raw


def session_images(journal: list[Entry], count: int, chance: random.Random, folder: Path) -> Iterator[str]:
    """Repair and read `count` images of the session: cut at each byte behind what was synced, or with lost sectors; yield what was lost."""
    names = {entry.name for entry in journal if entry.name.endswith(".session")}
    for name in sorted(names):
        calls = [number for number, entry in enumerate(journal, 1) if entry.name == name]
        done = 0
        while done < count:
            for at in calls:
                files, _ = disk_after(journal, at)
                file = files[name]
                whole = Blank(bytearray(file.durable), list(file.pending))
                whole.sync()
                synced = bytes(file.durable)
                cuts = range(len(file.durable), len(whole.durable) + 1)
                some = chance.sample(cuts, min(len(cuts), max(1, (count - done) // 4 + 1)))
                for image in (*(bytes(whole.durable[:cut]) for cut in some), *(file.image(chance) for _ in range(len(some) // 4))):
                    if (done := done + 1) > count:
                        break
                    if problem := _session_problem(image, synced, folder / name):
                        yield f"session image after call {at}, {len(image)} bytes: {problem}"


def _session_problem(image: bytes, synced: bytes, path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(image)
    try:
        repair(path, KEY)
        kept = path.read_bytes()
        for _ in read_session(path, key=KEY):
            pass
        return "" if kept.startswith(synced) else f"{len(synced)} bytes were synced, and are not what is left"
    except HoldfastError as problem:
        return str(problem) if synced else ""
    finally:
        shutil.rmtree(path.parent)


async def campaign(of: Lives, count: int, seed: int, say: Callable[[str], Any]) -> list[str]:
    """Make images of the disk of a good engine, and of one that does not sync; return the problems."""
    chance, problems, folder = random.Random(seed), [], memory_folder("images")
    journal = await _journal(of, seed, folder, "")
    # A sync of the store fails: from there on events go to the spool.
    spooling = await _journal(of, seed, folder, "", {"at": SYNCS_BEFORE + 4, "how": "F", "error": errno.EIO, "mask": SYNC})
    assert any(entry.name == "spool.jsonl" for entry in spooling)
    for title, made, held, share in (
        ("store", store_images, journal, count // 5),
        ("spool", spool_images, spooling, count // 20),
        ("session", session_images, journal, count - count // 5 - count // 20),
    ):
        began_s = time.monotonic()
        found = list(made(held, share, chance, folder / "image"))
        say(f"power lost: {share} images of the {title}, {time.monotonic() - began_s:.0f} s, {len(found)} problems\n")
        problems += found[:20]
    hollow = await _journal(of, seed, folder, "hollow")
    if any("acknowledged" in text for text in store_images(hollow, 200, chance, folder / "image")):
        say("planted: an engine that does not sync was found\n")
    else:
        problems.append("planted: an engine that does not sync was not found")
    if not problems:
        shutil.rmtree(folder)
    return problems


async def _journal(of: Lives, seed: int, folder: Path, plant: str, strike: dict[str, Any] | None = None) -> list[Entry]:
    path = folder / "journal"
    outcome = await trial(of, [strike] if strike else [], seed, plant=plant, journal=path)
    assert not outcome.problems, outcome.problems
    return entries(path)
