"""The determinism contract (docs/determinism.md) across processes: hash seed, time zone, locale and executor change no byte."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Lives of positions under an adversarial venue: their events, and the books that are folded from them.
LIVES = """
import hashlib, sys
import msgspec
from holdfast.simulation.adversary import MARGIN, NO_AMEND, SPOT, Life
from events.record import bytes_from
from fsm.core import Core, verify
from projections.books import VIEWS, Books

digest = hashlib.sha256()
count = 0
for seed in range(40):
    for capabilities in (SPOT, MARGIN, NO_AMEND):
        life = Life(seed, capabilities=capabilities)
        life.run()
        books = Books()
        for number, event in enumerate(life.events, 1):
            digest.update(bytes_from(event))
            books.apply(number, event)
        count += len(life.events)
        for view in VIEWS.values():
            digest.update(msgspec.json.encode(list(view.all(books))))
        assert verify(life.events, Core(sys.argv[1])) == []
print(count, digest.hexdigest())
"""


def lives(hash_seed: str, zone: str, locale: str, executor: str) -> str:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "TZ": zone,
        "LC_ALL": locale,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", LIVES, executor]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_lives_give_the_same_bytes_in_every_process() -> None:
    one = lives("0", "UTC", "C.UTF-8", "machine")
    other = lives("4242", "Asia/Kolkata", "tr_TR.UTF-8", "flat")
    assert int(one.split()[0]) > 1_000
    assert one == other
