"""kill -9 in the middle of appending: what was acknowledged is there, and nothing after a gap."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from events.store import open_store, recover_spool
from tests.events.samples import event, history

ROOT = Path(__file__).resolve().parents[3]
LIVES = 4

ENGINE = """
import sys
from pathlib import Path
from events.store import Spool, Writer, open_store
from tests.events.samples import event

url, spool_path = sys.argv[1], Path(sys.argv[2])
store = open_store(url)
store.acquire_lease()
writer = Writer(store, Spool(spool_path, store), on_failure=print, on_page=print)
version = len(store.events_of("hf000001"))
acknowledge = sys.stdout.write
while True:
    for _ in range(version % 7 + 1):
        version += 1
        writer.submit([event("hf000001", version)], lambda line=f"{version}\\n": (acknowledge(line), sys.stdout.flush()))
    if version % 5 == 0:
        writer.flush(10)
"""


def live_and_die(url: str, spool_path: Path, acknowledgements: int) -> int:
    """Run an engine until it has acknowledged so many events, kill it, and return the last version that it acknowledged."""
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, url, str(spool_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    last = 0
    for _ in range(acknowledgements):
        last = int(engine.stdout.readline())
    engine.kill()
    # What it said before it died counts too; a line without its end was not said.
    for line in engine.stdout.read().splitlines(keepends=True):
        if line.endswith("\n"):
            last = int(line)
    engine.stdout.close()
    engine.wait()
    return last


@pytest.mark.parametrize("url_fixture", ["path", "postgres_url"], ids=["sqlite", "postgresql"])
def test_what_was_acknowledged_before_a_kill_is_there_after_it(url_fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = str(request.getfixturevalue(url_fixture))
    spool_path = tmp_path / "spool.jsonl"
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    last = 0
    for _ in range(LIVES):
        acknowledged = live_and_die(url, spool_path, moments.randrange(1, 400))
        assert acknowledged > last, f"seed {seed}"
        with open_store(url) as store:
            store.acquire_lease()
            assert recover_spool(store, spool_path).merged == 0
            events = store.events_of("hf000001")
            assert len(events) >= acknowledged, f"seed {seed}"
            assert events == history("hf000001", len(events))
            assert list(store.all_events()) == events
            # The tail is consistent: the next life goes on behind it.
            store.append([event("hf000001", len(events) + 1)])
            last = len(events) + 1
