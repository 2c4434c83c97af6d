"""The preloaded library that strikes a process at its Nth write, sync or send: built, loaded, and its plan."""

import ctypes
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("calls.c")
WRITE, SYNC, SEND = 1, 2, 4
KINDS = {0: "none", WRITE: "write", SYNC: "sync", SEND: "send"}


class Plan(ctypes.Structure):
    """See `struct plan` in calls.c: `at` the Nth call of the kinds in `mask`, `how` B, A or H killed, F or L failed with `error`."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("count", "at", "how", "error", "mask", "hit", "failed"))
    count: int
    at: int
    how: int
    error: int
    mask: int
    hit: int
    failed: int


def build(folder: Path) -> Path:
    """Compile the library into a folder. Raises OSError where there is no C compiler or it fails."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise OSError("no C compiler is installed (cc, gcc or clang), and the library that strikes calls must be built")
    library = folder / "calls.so"
    command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"the library that strikes calls cannot be built: {done.stderr.strip()[-300:]}")
    return library


class Calls:
    """The library in a process that was started with it preloaded."""

    def __init__(self) -> None:
        """Find the library. Raises AttributeError where it is not preloaded."""
        self._library = ctypes.CDLL(None)
        self._library.calls_fresh.restype = ctypes.POINTER(Plan)
        self._library.calls_note.argtypes = (ctypes.c_char_p, ctypes.c_int64)

    def fresh(self) -> Plan:
        """Return an empty plan, which the children that are forked from here on share."""
        plan: Plan = self._library.calls_fresh().contents
        return plan

    def done(self, plan: Plan) -> None:
        """Give the page of a plan back."""
        self._library.calls_done(ctypes.byref(plan))

    def keep_journal(self, path: Path) -> None:
        """Keep every write, cut and sync of files from here on."""
        self._library.calls_journal(str(path).encode())

    def note(self, text: bytes) -> None:
        """Put a word into the journal, in its order."""
        self._library.calls_note(text, len(text))
