"""Stores with histories that the real core decided, and a session of a real engine."""

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

# What plays histories into the core lies beside the tests of the projections.
sys.path.insert(0, str(Path(__file__).parents[2] / "projections"))

from played import Played

from events import facts as f
from events.record import PositionEvent
from events.store import open_store
from events.values import PositionSide
from holdfast.cli import main
from tests.pg import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
ROOT = Path(__file__).resolve().parents[3]
LONG = f.Plan(
    symbol="BTC/USD",
    side=PositionSide.LONG,
    qty=Decimal(1),
    trail_offset_bps=80,
    take_profit_price=Decimal(110),
    take_profit_style="maker",
    time_stop_secs=600,
)


class Said(NamedTuple):
    """What a command wrote, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in list(os.environ):
        if name.startswith("HOLDFAST__"):
            monkeypatch.delenv(name)


@pytest.fixture
def holdfast(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs a command line in this process."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[list[PositionEvent]], Path]:
    """Return a function that writes events to a new store."""

    def write(events: list[PositionEvent]) -> Path:
        path = tmp_path / f"events{len(list(tmp_path.glob('*.db')))}.db"
        with open_store(str(path)) as store:
            lease = store.acquire_lease()
            store.append(events)
            lease.release()
        return path

    return write


@pytest.fixture
def played() -> Played:
    """Three positions: hf000001 protected and its stop being tightened, hf000002 closed at a profit, hf00001a filled and bare."""
    played = Played()
    played.protected(plan=LONG, fees={"USD": "0.26"})
    played.request(LONG, "hf000002")
    entry = played.order("entry", "hf000002")
    played.at(played.ms + 10).accept(entry)
    played.fill(played.order("entry", "hf000002"), "1", "100", {"USD": "0.26"})
    played.at(played.ms + 30).accept(played.order("stop", "hf000002"))
    played.at(played.ms + 1_000).exit("signal", "hf000002")
    played.at(played.ms + 20).canceled(played.order("stop", "hf000002"))
    played.at(played.ms + 20).fill(played.order("exit", "hf000002"), "1", "102", {"USD": "0.2652"})
    played.at(2_000).request(LONG, "hf00001a")
    played.at(2_010).accept(played.order("entry", "hf00001a"))
    played.at(2_010).fill(played.order("entry", "hf00001a"), "1", "101")
    played.at(2_020).take(f.PlanTightened(ts_recv_ns=played.now_ns, trail_offset_bps=50), "hf000001")
    return played


@pytest.fixture
def log(played: Played, stored: Callable[[list[PositionEvent]], Path]) -> Path:
    """Return the path of a store with the events of `played`."""
    return stored([event for _, event in played.events])


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an engine that ran for some seconds: its store (events.db) and its session (sessions)."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "holdfast.toml").write_text(
        f"""
[engine]
data_dir = "{folder}"
[simulated]
seed = 3
speed = 4
[[positions]]
symbol = "BTC/USD"
side = "long"
qty = "0.2"
trail_offset_bps = 80
[[positions]]
symbol = "BTC/USD"
side = "long"
qty = "0.3"
trail_offset_bps = 70
time_stop_secs = 2
"""
    )
    command = [sys.executable, "-m", "holdfast", "run", "--duration", "2.5", "--config", str(folder / "holdfast.toml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST__")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def session(engine_dir: Path) -> Path:
    """Return the session of that engine."""
    (path,) = (engine_dir / "sessions").glob("*.session")
    return path
