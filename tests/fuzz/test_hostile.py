"""Hostile input: every corpus, everything that once broke a decoder, and a short run of new inputs, for each decoder."""

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.campaign.rss import rss_mib
from tests.fuzz import hostile
from tests.fuzz.__main__ import PLANTED_INPUTS, engine_or_reason
from tests.fuzz.life import SHARED, fixture
from tests.fuzz.mutate import Mutator
from tests.fuzz.targets import TARGETS, planted
from tests.fuzz.wire_targets import Run
from venues.kraken.translate import KrakenTranslator

RUN_S = 0.5
SEED = 20_261_128


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_decoder(name: str) -> None:
    target = TARGETS[name]
    seeds, run = target.seeds(), target.prepare()
    for data in (*seeds, *target.crashers(), *hostile.small()):
        run(data)
    mutator, rng = Mutator(seeds), Random(SEED)
    end_s = time.monotonic() + RUN_S
    while time.monotonic() < end_s:
        run(mutator.any(rng))


def _found_after(run: Run, seeds: list[bytes]) -> int | None:
    mutator, rng = Mutator(seeds), Random(SEED)
    for number in range(PLANTED_INPUTS):
        try:
            run(mutator.any(rng))
        except ArithmeticError:
            return number
    return None


def test_a_planted_fault_is_found() -> None:
    assert _found_after(planted(), TARGETS["frames"].seeds()) is not None


def test_the_seeds_are_the_same_each_time_and_need_no_files() -> None:
    first, again = TARGETS["sessions"].seeds(), TARGETS["sessions"].seeds()
    assert first == again
    assert len(fixture().frames) > 500


@pytest.mark.skipif(not (SHARED / "frames").is_dir(), reason="the sample frames are not beside this checkout (../shared/frames)")
def test_the_sample_frames_are_among_the_seeds() -> None:
    assert (SHARED / "frames" / "kraken" / "gct-heartbeat.json").read_bytes() in TARGETS["frames"].seeds()


@pytest.mark.parametrize("size", [hostile.MB, 10 * hostile.MB], ids=["1 MiB", "10 MiB"])
def test_a_large_bad_frame_is_read_or_refused_in_time_and_without_growth(size: int) -> None:
    before_mib = rss_mib()
    for name, text in hostile.frames(size):
        began_s = time.perf_counter()
        KrakenTranslator("hf").decode(text, 1)
        # For busy machines; what it really takes is in docs/proof.md.
        assert time.perf_counter() - began_s < 2, name
    assert rss_mib() - before_mib < 20 + 3 * size / hostile.MB


def test_the_guided_engine_runs_or_says_why_not(tmp_path: Path) -> None:
    engine, reason = engine_or_reason("auto")
    if engine == "seeded":
        pytest.skip(reason)
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", "4000", "--targets", "tokens", "--out", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "planted fault found" in ended.stdout
    assert " 0 crashes" in ended.stdout
