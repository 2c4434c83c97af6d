"""Real processes for end-to-end tests: the simulated venue, `holdfast run` against it, and what each says afterwards."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# Base64, as Kraken's secrets are, and unlike anything else, so that a search finds them wherever they leak to.
API_KEY = "CANARYkeyCANARYkeyCANARYkeyCANARY1234567"
API_SECRET = "Q0FOQVJZc2VjcmV0Q0FOQVJZc2VjcmV0Q0FOQVJZc2VjcmV0"
SESSION_KEY = "CANARYsessionCANARYsessionCANARY"
SECRETS = (API_KEY, API_SECRET, SESSION_KEY)
ENVIRONMENT = {"E2E_API_KEY": API_KEY, "E2E_API_SECRET": API_SECRET, "E2E_SESSION_KEY": SESSION_KEY}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of this process without settings of ours in it, with the test's keys."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST__", "KRAKEN_"))}
    return {**clean, **ENVIRONMENT, **(extra or {})}


class Addresses(NamedTuple):
    """Where a venue listens, or will."""

    url: str
    http_url: str


def free_addresses() -> tuple[Addresses, str]:
    """Return where a venue could listen, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Addresses(f"ws://127.0.0.1:{port}/v2", f"http://127.0.0.1:{port}"), str(port)


class Venue:
    """`python -m venues.simulated` as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "venues.simulated", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the venue did not start: {self.process.communicate()[1]}")
        ready = json.loads(line)
        self.addresses = Addresses(ready["url"], ready["http_url"])
        self.ready: dict[str, Any] = ready

    def books(self) -> dict[str, Any]:
        """Return the venue's own books."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.addresses.http_url}/books", timeout=10) as response:
            books: dict[str, Any] = json.load(response)
        return books

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def venue(*arguments: str) -> Iterator[Venue]:
    """Run a simulated venue."""
    running = Venue(*arguments)
    try:
        yield running
    finally:
        running.end()


class Engine:
    """One life of `holdfast run`. Its log lines are JSON on standard error, kept in `log_path`."""

    def __init__(self, config: Path, log_path: Path, *arguments: str) -> None:
        self.log_path = log_path
        log_path.touch()
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "holdfast", "run", "--config", str(config), "--output", "json", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        # A file of its own would fall under the limits that a test sets to the process.
        self._log = Thread(target=self._keep_log)
        self._log.start()

    def _keep_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr, self.log_path.open("wb") as log:
            for line in self.process.stderr:
                log.write(line)
                log.flush()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    @property
    def text(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def limit_file_size(self, limit: int) -> None:
        """Let no write of the process go beyond `limit` bytes of a file, as on a disk that is full."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (limit, limit))

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self._out()

    def _out(self) -> bytes:
        assert self.process.stdout is not None
        if self.process.stdout.closed:
            return b""
        with self.process.stdout:
            out = self.process.stdout.read()
        self.process.wait(20)
        self._log.join()
        return out

    def stop(self, exit_code: int = 0) -> dict[str, Any]:
        """SIGTERM; return what it printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(exit_code)

    def ended(self, exit_code: int = 0) -> dict[str, Any]:
        """Wait for its end with this exit code; return what it printed."""
        self.process.wait(30)
        out = self._out()
        assert self.process.returncode == exit_code, self.text
        printed: dict[str, Any] = json.loads(out)
        return printed


@contextmanager
def engine(*arguments: Any, **options: Any) -> Iterator[Engine]:
    """Run an engine; kill it at the end if it still runs."""
    running = Engine(*arguments, **options)
    try:
        yield running
    finally:
        running.kill()


def wait_for(condition: Callable[[], Any], seconds: float, what: str, pause_s: float = 0.02) -> Any:
    """Wait until `condition` gives something true, and return it."""
    end_s = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end_s:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause_s)
    return found


def config_text(folder: Path, at: Addresses, positions: str, *, store_url: str = "", extra: str = "") -> str:
    """Return the TOML of an engine on that venue."""
    return f"""
[engine]
data_dir = "{folder}"
[venue]
kind = "kraken"
symbols = ["BTC/USD"]
public_url = "{at.url.replace("/v2", "/public/v2")}"
private_url = "{at.url.replace("/v2", "/private/v2")}"
rest_url = "{at.http_url}"
api_key_env = "E2E_API_KEY"
api_secret_env = "E2E_API_SECRET"
[store]
url = "{store_url}"
[session]
key_env = "E2E_SESSION_KEY"
[log]
format = "json"
{extra}
{positions}
"""
