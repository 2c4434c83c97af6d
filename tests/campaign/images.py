"""Images of a disk after a loss of power, from the journal of a real life, and what recovery makes of each."""

import errno
import json
import random
import shutil
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from events.errors import HoldfastError
from events.record import bytes_from
from events.store import open_store, recover_spool
from replay.session import is_begun, read_session, repair
from tests.campaign.calls import SYNC
from tests.campaign.judge import Lives, trial
from tests.campaign.life import KEY, named
from tests.folders import memory_folder

SECTOR = 512
# Of a life that begins with nothing: they make the files.
SYNCS_BEFORE = 9
# So many images are made of one life, then comes the next.
A_LIFE = 20_000
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

    def whole(self) -> bytes:
        """Return what is there if all got there."""
        image = bytearray(self.durable)
        for entry in self.pending:
            _apply(image, entry)
        return bytes(image)

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


class Life:
    """A journal, and the disk as of each of its calls. `tried` holds what was made of it, `made` counts also what was made twice."""

    def __init__(self, journal: list[Entry]) -> None:
        self.journal = journal
        self.made = 0
        self.tried: set[int] = set()
        self._known: dict[int, tuple[dict[str, Blank], set[str]]] = {}

    def calls(self, prefix: str) -> list[int]:
        """Return the calls on a file, by the start of its name."""
        return [number for number, entry in enumerate(self.journal, 1) if entry.name.startswith(prefix)]

    def after(self, count: int) -> tuple[dict[str, Blank], set[str]]:
        """Return the files as of a number of calls, and what was told to be durable by then."""
        if count not in self._known:
            self._known[count] = disk_after(self.journal, count)
        return self._known[count]

    def is_new(self, *image: object) -> bool:
        """Count an image, and tell whether there was no such yet: recovery is the same each time."""
        self.made += 1
        known, seen = len(self.tried), hash(image)
        self.tried.add(seen)
        return len(self.tried) > known


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


def _store_of(files: dict[str, Blank], chance: random.Random) -> dict[str, bytes]:
    # Not the index of the write-ahead log: it is memory, and SQLite makes it anew after a loss of power.
    return {
        name: file.image(chance)
        for name, file in files.items()
        if name.startswith("events.db") and not name.endswith((".reserve", "-shm"))
    }


def _put(folder: Path, images: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, image in images.items():
        (folder / name).write_bytes(image)


def store_images(life: Life, count: int, chance: random.Random, folder: Path) -> Iterator[str]:
    """Open `count` images of the store, at calls all through its life; yield what was lost."""
    calls = sorted({*life.calls("events.db"), *(number for number, entry in enumerate(life.journal, 1) if entry.op == "N")})
    for number in range(count):
        at = calls[number * len(calls) // count]
        files, told = life.after(at)
        images = _store_of(files, chance)
        if not life.is_new("store", len(told), *sorted(images.items())):
            continue
        _put(folder, images)
        try:
            lost = told - _held(folder / "events.db") if told or files else set()
        except HoldfastError as problem:
            if told:
                yield f"store image {number}, after call {at}: {problem}"
        else:
            if lost:
                yield f"store image {number}, after call {at}: {len(lost)} acknowledged events are lost"
        shutil.rmtree(folder)


def spool_images(life: Life, count: int, chance: random.Random, folder: Path) -> Iterator[str]:
    """Merge `count` images of the spool, cut behind what was synced or with lost sectors; yield what was lost."""
    calls = life.calls("spool.jsonl")
    for _ in range(count):
        at = chance.choice(calls)
        files, _told = life.after(at)
        file = files.get("spool.jsonl")
        if file is None:
            continue  # it is removed once the store has taken its events
        synced, whole = bytes(file.durable), file.whole()
        image = file.image(chance) if chance.random() < 0.3 else whole[: chance.randint(len(synced), len(whole))]
        images = _store_of(files, chance)
        if not life.is_new("spool", synced, image, *sorted(images.items())):
            continue
        _put(folder, {**images, "spool.jsonl": image})
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


def session_images(life: Life, count: int, chance: random.Random, folder: Path) -> Iterator[str]:
    """Repair and read `count` images of the session: cut at each byte behind what was synced, or with lost sectors; yield what was lost."""
    (name,) = {entry.name for entry in life.journal if entry.name.endswith(".session")}
    calls = life.calls(name)
    files = {at: life.after(at)[0][name] for at in calls}
    ranges = {at: range(len(file.durable), len(file.whole()) + 1) for at, file in files.items()}
    cuts = [(at, cut) for at, ends in ranges.items() for cut in ends]
    chance.shuffle(cuts)
    for number in range(count):
        # One in five has lost sectors; once every cut was made, all have.
        if number % 5 and cuts:
            at, cut = cuts.pop()
            image = files[at].whole()[:cut]
        else:
            at = chance.choice(calls)
            image = files[at].image(chance)
        synced = bytes(files[at].durable)
        is_prefix = files[at].whole().startswith(image)
        if life.is_new("session", synced, image) and (problem := _session_problem(image, synced, is_prefix, folder / name)):
            yield f"session image after call {at}, {len(image)} bytes: {problem}"
    shutil.rmtree(folder)


def _session_problem(image: bytes, synced: bytes, is_prefix: bool, path: Path) -> str:
    """Repair an image. One with lost sectors may be left as evidence, unchanged; what was synced can be read in any case."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(image)
    try:
        repair(path, KEY)
        kept = path.read_bytes()
        for _ in read_session(path, key=KEY):
            pass
        promised = image[: image.rfind(b"\n") + 1] if is_prefix else synced
        return "" if kept.startswith(promised) else f"{len(promised)} bytes were whole or synced, and are not what is left"
    except HoldfastError as problem:
        if not is_begun(path):
            return str(problem) if synced else ""
        if is_prefix or path.read_bytes() != image:
            return f"{problem}; a file that is only cut is repaired, and any other is left as it is"
        read = 0
        with suppress(HoldfastError):
            for _ in read_session(path, key=KEY):
                read += 1
        promised_records = sum(not line.startswith((b'{"k":"seal"', b'{"k":"manifest"')) for line in synced.splitlines())
        return "" if read >= promised_records else f"{problem}; {promised_records} records were synced, {read} can be read"
    finally:
        path.with_name(path.name + ".anchor").unlink(missing_ok=True)


async def campaign(of: Lives, count: int, seed: int, say: Callable[[str], Any]) -> list[str]:
    """Make images of the disks of good engines, and of one that does not sync; return the problems."""
    problems: list[str] = []
    folder = memory_folder("images")
    made: Counter[str] = Counter()
    spent_s: dict[str, float] = defaultdict(float)
    for number, start in enumerate(range(0, count, A_LIFE)):
        chance = random.Random(seed * 1_000_003 + number)
        share = min(A_LIFE, count - start)
        good = Life(await _journal(of, chance.getrandbits(32), folder, ""))
        spooling = await _spooling(of, chance, folder)
        for title, images, life, part in (
            ("store", store_images, good, share // 5),
            ("spool", spool_images, spooling, share // 20),
            ("session", session_images, good, share - share // 5 - share // 20),
        ):
            began_s, before, distinct = time.monotonic(), life.made, len(life.tried)
            found = list(images(life, part, chance, folder / "image"))
            made[title] += life.made - before
            made[f"{title}, distinct"] += len(life.tried) - distinct
            made[f"{title}, problems"] += len(found)
            spent_s[title] += time.monotonic() - began_s
            problems += found[:20]
    for title in ("store", "spool", "session"):
        say(
            f"power lost: {made[title]} images of the {title}, {made[f'{title}, distinct']} of them distinct, {spent_s[title]:.0f} s, "
            f"{made[f'{title}, problems']} problems\n"
        )
    hollow = Life(await _journal(of, seed, folder, "hollow"))
    if any("acknowledged" in text for text in store_images(hollow, 200, chance, folder / "image")):
        say("planted: an engine that does not sync was found\n")
    else:
        problems.append("planted: an engine that does not sync was not found")
    shutil.rmtree(folder)
    return problems


async def _spooling(of: Lives, chance: random.Random, folder: Path) -> Life:
    """Return a life in which a sync of the store fails: from there on its events go to the spool."""
    for at in range(SYNCS_BEFORE + chance.randint(2, 6), 2 * SYNCS_BEFORE):
        fails = {"at": at, "how": "F", "error": errno.EIO, "mask": SYNC}
        life = Life(await _journal(of, chance.getrandbits(32), folder, "", fails))
        # The sync may have been that of the session, or of a folder.
        if life.calls("spool.jsonl"):
            return life
    raise RuntimeError("no failing sync made an engine spool")


async def _journal(of: Lives, seed: int, folder: Path, plant: str, strike: dict[str, Any] | None = None) -> list[Entry]:
    path = folder / "journal"
    outcome = await trial(of, [strike] if strike else [], seed, plant=plant, journal=path)
    assert not outcome.problems, outcome.problems
    return entries(path)
