"""Bad input through the real command line: one sentence that names the place and the remedy, its exit code, no traceback.

Each case is a process of its own. It says how the folder looks before, what is typed, the exit code, and what the sentence names.
"""

import gzip
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from events.store import open_store
from replay.session import SessionWriter, manifest_from
from tests.e2e.processes import API_SECRET, ROOT, environment

TICKS = "time,price,quantity\n" + "".join(f"{1_700_000_000 + n},{60_000 + n % 7},0.5\n" for n in range(50))
CUT = gzip.compress(TICKS.encode())[:-20]


@dataclass(frozen=True)
class Case:
    """`before` prepares the folder that the process runs in, and may stay (a lock, a port) until it has ended."""

    name: str
    typed: str
    code: int
    says: tuple[str, ...]
    before: Callable[[Path], object] = lambda folder: None


# --- how a folder looks ---------------------------------------------------------------------------------------------


def file(name: str, data: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def toml(text: str) -> Callable[[Path], object]:
    return file("holdfast.toml", text)


def position(line: str) -> Callable[[Path], object]:
    """Settings with one position: a long of 0.02 BTC but for this line."""
    usual = {"symbol": '"BTC/USD"', "side": '"long"', "qty": '"0.02"', "trail_offset_bps": "300"}
    given = dict([line.split(" = ", 1)])
    return toml("[[positions]]\n" + "\n".join(f"{name} = {value}" for name, value in {**usual, **given}.items()))


def csv(line: str) -> Callable[[Path], object]:
    """A file of 50 good trades and this line."""
    return file("ticks.csv", f"{TICKS}{line}\n")


def session(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """A session file of three records, then changed."""

    def write(folder: Path) -> None:
        path = folder / "one.session"
        settings = {"namespace": "hf", "symbols": []}
        manifest = manifest_from(configuration={}, table_hash="x", started_ns=1, namespace="hf", previous=None, pipeline=settings)
        with_records = SessionWriter.create(path, manifest)
        for number in range(3):
            with_records.append("timer", number + 1, 0, "", b"{}")
        with_records.close()
        changed = change(path.read_bytes())
        assert changed != path.read_bytes()
        path.write_bytes(changed)

    return write


def without_line(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:2] + lines[3:])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with open_store(str(folder / "events.db")) as store:
        store.acquire_lease()
        yield


@contextmanager
def taken_port(folder: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        (folder / "holdfast.toml").write_text(f"[simulated]\nport = {listening.getsockname()[1]}\n")
        yield


def unreachable(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        at = f"127.0.0.1:{free.getsockname()[1]}"
    text = f'[venue]\nkind = "kraken"\npublic_url = "ws://{at}/v2"\nprivate_url = "ws://{at}/v2"\nrest_url = "http://{at}"\n'
    (folder / "holdfast.toml").write_text(text + 'api_key_env = "E2E_API_KEY"\napi_secret_env = "E2E_API_SECRET"\n[log]\nlevel = "error"\n')


def foreign_database(folder: Path) -> None:
    with sqlite3.connect(folder / "events.db") as database:
        database.execute("CREATE TABLE cats (name TEXT)")
    database.close()


def other_schema(folder: Path) -> None:
    with open_store(str(folder / "events.db")):
        pass
    with sqlite3.connect(folder / "events.db") as database:
        database.execute("UPDATE holdfast_store SET schema = 'events.99'")
    database.close()


def secret_file(folder: Path) -> None:
    path = folder / "secret"
    path.write_text(API_SECRET)
    path.chmod(0o644)
    (folder / "holdfast.toml").write_text('[venue]\nkind = "kraken"\napi_key_env = "E2E_API_KEY"\napi_secret_file = "secret"\n')


# --- the list -------------------------------------------------------------------------------------------------------

KRAKEN = '[venue]\nkind = "kraken"\n'
NO_BASE64 = KRAKEN + 'api_key_env = "E2E_API_KEY"\napi_secret_env = "NO_SECRET"\n'
RUN = "run --duration 4 --set log.level=error"
RUN_DB = f"{RUN} --set store.url=events.db"
RUN_CSV = f"{RUN} --set simulated.ticks=ticks.csv --set simulated.speed=100"
CSV = "demo --ticks ticks.csv"
# bash counts in KiB: no file of the process may grow beyond that.
NO_ROOM = "ulimit -f 1; exec "

CASES = (
    # settings
    Case("TOML that is none", "run", 3, ("holdfast.toml", "line 2"), toml("[engine]\nnamespace : hf\n")),
    Case("TOML that ends in the middle", "run", 3, ("holdfast.toml", "line 2"), toml('[engine]\nnamespace = "h')),
    Case("TOML that is no text", "run", 3, ("holdfast.toml", "UTF-8"), file("holdfast.toml", b'x = "\xff"')),
    Case("an unknown key", "run", 3, ("engine.namespaec", "did you mean engine.namespace"), toml('[engine]\nnamespaec = "hf"\n')),
    Case("a value of another kind", "run", 3, ("simulated.seed", "whole number"), toml('[simulated]\nseed = "x"\n')),
    Case("a number out of range", "run", 3, ("simulated.port", "65535"), toml("[simulated]\nport = 70000\n")),
    Case("an unknown fault", "run", 3, ("simulated.faults", "lightning"), toml('[simulated]\nfaults = ["lightning"]\n')),
    Case("settings that are not there", "run --config no.toml", 4, ("no.toml", "config example")),
    Case("settings that are a folder", "run --config .", 3, ("Is a directory", "name a TOML file")),
    Case("a variable that names no setting", "HOLDFAST__ENGINE__NAMESPAEC=hf run", 3, ("HOLDFAST__ENGINE__NAMESPAEC",)),
    Case("--set without a value", "run --set simulated.seed", 2, ("simulated.seed", "NAME=VALUE")),
    Case("an unknown command", "rnu", 2, ("rnu", "Did you mean")),
    Case("an unknown option", "run --fast", 2, ("--fast",)),
    # symbols and plans
    Case("a symbol that is not listed", "run --set venue.symbols=WWW/USD", 3, ("WWW/USD", "use one of BTC/EUR")),
    Case("a symbol that is not followed", "run", 3, ("positions[0].symbol", "ETH/USD"), position('symbol = "ETH/USD"')),
    Case("a quantity under the minimum", "run", 3, ("positions[0]", "qty", "0.00005", "ask for more"), position('qty = "0.00001"')),
    Case("a quantity off the grid", "run", 3, ("positions[0]", "qty", "not a multiple"), position('qty = "0.0200000001"')),
    Case("a quantity of 0", "run", 3, ("positions[0]", "qty", "not above zero"), position("qty = 0")),
    Case("a price of 0", "run", 3, ("positions[0]", "stop_price", "not above zero"), position("stop_price = 0")),
    Case("a price that is no number", "run", 3, ("positions[0].stop_price", "NaN"), position('stop_price = "NaN"')),
    Case("a price that is TOML's nan", "run", 3, ("positions[0].stop_price",), position("stop_price = nan")),
    Case("a price without end", "run", 3, ("positions[0].stop_price",), position("stop_price = 1e999999")),
    Case("a short without margin", "run", 3, ("positions[0]", "set margin = true"), position('side = "short"')),
    # ticks
    Case("ticks that are not there", "demo --ticks no.csv", 4, ("no.csv", "give a recorded session")),
    Case("ticks that are a folder", "demo --ticks .", 3, ("is a directory", "give a recorded session")),
    Case("ticks without a line", CSV, 3, ("ticks.csv: is empty",), file("ticks.csv", "")),
    Case("ticks with a head only", CSV, 3, ("ticks.csv: holds no trades",), file("ticks.csv", "time,price,quantity\n")),
    Case("ticks with a broken line", CSV, 3, ("ticks.csv:52", "cut it out"), csv("oops")),
    Case("ticks whose time runs backwards", CSV, 3, ("ticks.csv:52", "backwards", "sort"), csv("1600000000,60000,1")),
    Case("ticks with a price of 0", CSV, 3, ("ticks.csv:52", "price"), csv("1700000060,0,1")),
    Case("ticks with a price that is no number", CSV, 3, ("ticks.csv:52", "price", "NaN"), csv("1700000060,NaN,1")),
    Case("ticks that are no gzip file", "demo --ticks t.gz", 3, ("t.gz",), file("t.gz", "plain")),
    Case("ticks whose gzip file is cut", "demo --ticks t.csv.gz", 3, ("t.csv.gz", "whole"), file("t.csv.gz", CUT)),
    Case("ticks that are no parquet file", "demo --ticks t.parquet", 3, ("t.parquet",), file("t.parquet", "PAR1 not")),
    Case("ticks that break under a live engine", RUN_CSV, 3, ("ticks.csv:52",), csv("oops")),
    # sessions
    Case("a session that is not there", "replay no.session", 4, ("no.session", "check the path")),
    Case("a session without a line", "replay one.session", 3, ("one.session", "is empty"), session(lambda data: b"")),
    Case("a session that is none", "replay one.session", 3, ("one.session", "manifest"), session(lambda data: b"hello\n" * 9)),
    Case(
        "a session of another schema", "replay one.session", 3, ("one.session", "schema", "read it with the version that wrote it"),
        session(lambda data: data.replace(b"session.1", b"session.9", 1)),
    ),
    Case(
        "a session with a changed byte", "replay one.session", 6, ("one.session", "record 2"),
        session(lambda data: data.replace(b'"t":2', b'"t":3', 1)),
    ),
    Case("a session that lacks a record", "replay one.session", 6, ("one.session",), session(without_line)),
    # stores
    Case("a store that another engine holds", RUN_DB, 3, ("locked by the engine with process id", "end that engine first"), locked),
    Case("a store that is not there", "positions --store no.db", 4, ("no.db", "check the path")),
    Case("a store that is a text", RUN_DB, 3, ("events.db", "name another file"), file("events.db", "hello" * 500)),
    Case("a store that is cut", RUN_DB, 3, ("events.db", "restore it"), file("events.db", b"SQLite format 3\0" + bytes(200))),
    Case("a store that is a folder", f"{RUN} --set store.url=.", 3, ("is a folder",)),
    Case("a database of somebody else", RUN_DB, 3, ("events.db", "another program"), foreign_database),
    Case("a store of another schema", RUN_DB, 3, ("events.db", "events.99", "the version that wrote it"), other_schema),
    Case(
        "a database server that is not there", f"{RUN} --set store.url=postgresql://nobody@127.0.0.1:1/none", 3,
        ("postgresql://127.0.0.1/none", "cannot be reached", "start the server"),
    ),
    Case("a store of an unknown kind", f"{RUN} --set store.url=mysql://host/db", 3, ("mysql", "postgresql://")),
    Case("a password in the store's address", f"{RUN} --set store.url=postgresql://me:pw@host/db", 3, ("store.url", "password_env")),
    # places that cannot be written, and no room
    Case("a folder of data that cannot be made", f"{RUN} --set engine.data_dir=/proc/x", 3, ("/proc/x", "may write")),
    Case("a folder of sessions that cannot be made", f"{RUN} --set session.path=/proc/x", 3, ("/proc/x", "may write")),
    Case("a store in a folder that cannot be written", f"{RUN} --set store.url=/proc/events.db", 3, ("/proc/events.db", "permissions")),
    Case("a folder of data that is a file", f"{RUN} --set engine.data_dir=plain", 3, ("plain", "may write"), file("plain", "")),
    Case("a folder of output that cannot be made", "demo --out /proc/x", 3, ("/proc/x", "that you may use")),
    Case("no room for the output", "config example >/dev/full", 3, ("no space left", "free some")),
    Case("no room for the store", f"{NO_ROOM}{RUN}", 3, ("events.db", "see to the disk")),
    # ports, keys, venues
    Case("a port that is taken", RUN, 5, ("port", "give another port"), taken_port),
    Case("no API key", "run", 3, ("venue.api_key_env", "KRAKEN_API_KEY", "export both", "not withdraw"), toml(KRAKEN)),
    Case("a secret that others may read", "run", 3, ("secret", "0644", "chmod 600"), secret_file),
    Case("a secret that is not base64", "NO_SECRET=:-) run", 3, ("base64", "copy it"), toml(NO_BASE64)),
    Case("an address in the clear", "run", 3, ("venue.private_url", "wss://"), toml(KRAKEN + 'private_url = "ws://example.com/v2"\n')),
    Case("a venue that cannot be reached", RUN, 5, ("kraken", "Connection refused", "check the network"), unreachable),
)  # fmt: skip


# --- the processes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit code, both texts, and which files of before are not as they were."""

    code: int
    out: str
    errors: str
    changed: list[str]


def ended(case: Case, folder: Path) -> Ended:
    words = case.typed.split(" ")
    variables = dict(word.split("=", 1) for word in words if word.partition("=")[0].isupper())
    limit, _, typed = " ".join(word for word in words if not word.partition("=")[0].isupper()).rpartition("exec ")
    with ExitStack() as stack:
        prepared = case.before(folder)
        if isinstance(prepared, AbstractContextManager):
            stack.enter_context(prepared)
        before = contents(folder)
        done = subprocess.run(
            ["bash", "-c", f"{limit}exec {sys.executable} -m holdfast {typed}"],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False, env=environment({"PYTHONPATH": str(ROOT), **variables}),
        )  # fmt: skip
        after = contents(folder)
    return Ended(done.returncode, done.stdout, done.stderr, [name for name, data in before.items() if after.get(name) != data])


def contents(folder: Path) -> dict[str, bytes]:
    # A database changes its own files when it is opened; what it holds is looked at elsewhere.
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("events.db-")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if not is_in_use(path)}


def is_in_use(path: Path) -> bool:
    """Whether another process of the case goes on writing this database (its log beside it shows that): that one changes it."""
    return path.with_name(f"{path.name}-wal").exists()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Ended]]]:
    """The cases that were asked for, some at a time."""
    own = [item for item in request.session.items if isinstance(item, pytest.Function) and item.module is request.module]
    wanted = [cast(Case, item.callspec.params["case"]) for item in own]
    with ThreadPoolExecutor(4) as pool:
        yield {case.name: pool.submit(ended, case, tmp_path_factory.mktemp("case")) for case in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.xdist_group("bad_input")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_sentence_with_place_and_remedy(runs: dict[str, Future[Ended]], case: Case) -> None:
    done = runs[case.name].result()
    assert done.code == case.code, done
    assert "Traceback" not in done.errors + done.out
    assert done.errors.startswith("holdfast: ")
    assert done.errors.endswith("\n")
    assert done.errors.count("\n") == 1
    for words in case.says:
        assert words in done.errors
    # What was there before is there still, as it was.
    assert done.changed == []
