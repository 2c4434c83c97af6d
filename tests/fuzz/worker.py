"""One fuzz target in a process of its own: feeds it inputs, and says how many, what broke, how slow and how large it became.

Two engines give the inputs: `atheris` (libFuzzer, led by the coverage of our decoders; Linux), whose inputs are changed by
its own mutator and by ours in turn, and `seeded`, ours alone, the same inputs for the same seed on every machine. Every input
that breaks something is kept, once for each place in the code, and the run goes on.

`python -m tests.fuzz.worker TARGET ENGINE SEED INPUTS SECONDS FOLDER` writes `FOLDER/TARGET.json`; `tests.fuzz` calls it.
"""

import contextlib
import hashlib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.campaign.rss import rss_mib

MAX_BYTES = 16_384
# What decodes untrusted bytes: the coverage of the rest says nothing about an input.
INSTRUMENTED = (
    "venues.kraken",
    "venues.messages",
    "events.values",
    "events.record",
    "events.store.spool",
    "replay.walk",
    "replay.lines",
    "replay.chain",
    "replay.anchor",
    "replay.reading",
    "replay.repair",
    "replay.redact",
    "replay.intents",
    "holdfast.config",
    "venues.simulated.wire",
    "venues.simulated.requests",
    "venues.simulated.channels",
    "venues.simulated.trading",
    "venues.simulated.tick_formats",
    "venues.simulated.ticks",
    "fsm.booking",
    "fsm.desk",
)
PLANTED = "planted"


class Report(msgspec.Struct):
    """What one process did. `growth_mib` is from a tenth of the way to the end; `crashes` name place and file of each."""

    target: str
    engine: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    crashes: list[str] = []
    slowest_ms: float = 0.0
    growth_mib: float = 0.0
    features: int = 0


def place_of(error: BaseException) -> str:
    """Return what tells one fault from another: the error, and where in our code it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:]))
    text = f": {error}" if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__}{text[:80]} at {where}"


class Counting:
    """Runs a target on each input, and keeps count. `is_over` is true once the wanted number or the time is reached."""

    def __init__(self, report: Report, run: Callable[[bytes], None], inputs: int, seconds: float, folder: Path) -> None:
        self.report = report
        self._run, self._inputs, self._seconds, self._folder = run, inputs, seconds, folder
        self._began_s = time.monotonic()
        self._first_mib = 0.0
        self._warm_at = 0
        self._seen: set[str] = set()

    def __call__(self, data: bytes) -> None:
        report = self.report
        began_s = time.perf_counter()
        try:
            self._run(data)
        except Exception as error:
            self._keep(data, error)
        report.slowest_ms = max(report.slowest_ms, 1_000 * (time.perf_counter() - began_s))
        report.inputs += 1
        if self._warm_at and not self._first_mib and report.inputs >= self._warm_at and self.share >= 0.1:
            self._first_mib = rss_mib()

    def begin(self) -> None:
        """Note that the engine makes the inputs from here on; soon after, its own tables stand."""
        self._warm_at = self.report.inputs + 1_000

    @property
    def share(self) -> float:
        """How much of the work is done."""
        if self.report.target == PLANTED and self.report.crashes:
            return 1.0
        elapsed = (time.monotonic() - self._began_s) / self._seconds if self._seconds else 0.0
        return max(elapsed, self.report.inputs / self._inputs if self._inputs else 0.0)

    def _keep(self, data: bytes, error: Exception) -> None:
        place = place_of(error)
        if place in self._seen:
            return
        self._seen.add(place)
        name = f"{self.report.target}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self._folder / name).write_bytes(data)
        self.report.crashes.append(f"{place} ({name})")

    def write(self) -> None:
        """Write the report."""
        self.report.seconds = time.monotonic() - self._began_s
        self.report.growth_mib = max(0.0, rss_mib() - self._first_mib) if self._first_mib else 0.0
        (self._folder / f"{self.report.target}.json").write_bytes(msgspec.json.encode(self.report))


def seeded(take: Counting, mutator: Any, seed: int) -> None:
    """Feed inputs of our own mutator."""
    rng = Random(seed)
    take.begin()
    while take.share < 1.0:
        take(mutator.any(rng))


def guided(take: Counting, mutator: Any, seeds: list[bytes], seed: int, folder: Path) -> None:
    """Feed inputs that libFuzzer finds by coverage. Never returns: libFuzzer ends the process, so we do it first."""
    atheris = importlib.import_module("atheris")
    corpus = folder / f"{take.report.target}.corpus"
    corpus.mkdir(exist_ok=True)
    for data in seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    take.begin()

    def one(data: bytes) -> None:
        take(data)
        if take.share >= 1.0:
            take.report.features = len(list(corpus.iterdir()))
            take.write()
            sys.stdout.flush()
            os._exit(0)

    def changed(data: bytes, max_bytes: int, number: int) -> bytes:
        rng = Random(number)
        made = mutator.changed(data, rng) if rng.random() < 0.6 else atheris.Mutate(data, max_bytes)
        return bytes(made[:max_bytes])

    options = [f"-seed={seed}", f"-max_len={MAX_BYTES}", "-timeout=60", "-rss_limit_mb=4096", "-verbosity=0", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=changed, internal_libfuzzer=True)
    atheris.Fuzz()


@contextlib.contextmanager
def _instrumented(engine: str) -> Iterator[None]:
    if engine != "atheris":
        yield
        return
    with importlib.import_module("atheris").instrument_imports(include=list(INSTRUMENTED)):
        yield


def main(arguments: list[str]) -> int:
    """Run one target as the command line says."""
    name, engine, seed, inputs, seconds, folder = arguments
    with _instrumented(engine):
        from tests.fuzz import hostile
        from tests.fuzz.mutate import Mutator
        from tests.fuzz.targets import TARGETS, planted
    target = TARGETS["frames" if name == PLANTED else name]
    seeds = target.seeds()
    run = planted() if name == PLANTED else target.prepare()
    take = Counting(Report(name, engine, int(seed)), run, int(inputs), float(seconds), Path(folder))
    if name != PLANTED:
        for data in (*seeds, *hostile.small(), *target.crashers()):
            take(data)
    mutator = Mutator(seeds, MAX_BYTES)
    if engine == "atheris":
        guided(take, mutator, seeds, int(seed), Path(folder))
    seeded(take, mutator, int(seed))
    take.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
