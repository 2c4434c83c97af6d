"""The command line: which commands there are, and how each ends.

Guarding comes first, before anything of ours is imported that a foreign package could be in place of. A command is imported
only when it runs (`holdfast.commands` says how to add one), so that `holdfast --help` is there at once.

Data goes to standard output, everything else to standard error. Whatever goes wrong is one sentence there, and the exit code:

    0 fine                                      4 not found
    1 unexpected error                          5 venue or network
    2 usage                                     6 replay diverged, or a record was tampered with
    3 bad configuration or input, no space      7 a position is unprotected past its budget
                                                8 a property was found that does not hold

`--debug` anywhere shows the traceback of an error; without it an unexpected one is kept in a file that the sentence names.
"""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .guard import StartRefused, refuse_foreign_packages, refuse_optimized

if TYPE_CHECKING:
    from cyclopts import App

# One line a command: `name` is the function or App `command` in `holdfast/commands/<name>.py`.
COMMANDS = {
    "demo": "Run the main job end to end on recorded or seeded ticks.",
    "run": "Run the live engine.",
    "check": "Say whether a position is unprotected past the budget now; for cron.",
    "positions": "List the positions.",
    "show": "Show one position in full: what the venue confirmed beside what is wanted.",
    "dossier": "Tell one position's whole story: path, causes, orders, fills, money, gaps, pages.",
    "why": "Explain one event: fact, guards, row, commands, and what led to it.",
    "orders": "List the orders.",
    "ledger": "List postings and balances, and whether they balance.",
    "windows": "List the times without protection, with causes.",
    "verify": "Decide the whole log again, or check the chain of session files.",
    "replay": "Run recorded sessions again and compare every event.",
    "prove": "Explore every state that the machine and an adversarial venue can reach.",
    "simulate": "Live whole lives of the engine in virtual time, with every fault that a seed draws.",
    "scenarios": "Play what went wrong elsewhere, message by message, and say what holds.",
    "diagram": "Draw the machines from their tables, the way of a position, or a log in figures.",
    "config": "Check, show or describe the settings.",
}

EPILOGUE = (
    "Exit codes: 0 fine, 1 unexpected error, 2 usage, 3 bad configuration or input, 4 not found, 5 venue or network, "
    "6 replay diverged or record tampered with, 7 unprotected past the budget, 8 a property does not hold. --debug shows tracebacks."
)
INTERRUPTED = 130
_FULL = {errno.ENOSPC, errno.EDQUOT}
_PATH = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}
_NETWORK = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Raises nothing, and says at most one sentence of what went wrong."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    try:
        refuse_foreign_packages()
        refuse_optimized()
    except StartRefused as refusal:
        return _said(str(refusal), refusal.exit_code)
    from cyclopts import CycloptsError

    try:
        code = _app(tokens[0] if tokens else "")(tokens)
        # What is still in the buffer may fail to leave it: better here than in the interpreter's last breath.
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _said(f"{_one_line(error).partition(' Available commands:')[0]}; see holdfast --help", 2)
    except BrokenPipeError:
        # The reader of a pipe has what it wanted (holdfast orders | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1
    except Exception as error:
        if debug:
            from holdfast.secrets import SECRETS

            sys.stderr.write(SECRETS.redact(traceback.format_exc()))
        return _ended_by(error, debug)


def _app(asked: str) -> "App":
    """Return the application. Of the command that is asked for the own text is shown: it says more than its line here."""
    from cyclopts import App

    app = App(
        name="holdfast",
        help="Keep every trading position protected, and prove it from the record.",
        help_epilogue=EPILOGUE,
        version=_version,
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for number, (name, about) in enumerate(COMMANDS.items()):
        app.command(f"holdfast.commands.{name}:command", name=name, help=None if name == asked else about, sort_key=number)
    app.register_install_completion_command()
    return app


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "not installed"


def _ended_by(error: Exception, debug: bool) -> int:
    """Say what ended the command, and return its exit code. Secrets that a message may quote are taken out."""
    from events.errors import HoldfastError
    from holdfast.secrets import SECRETS

    redact = SECRETS.redact
    if isinstance(error, HoldfastError):
        return _said(redact(str(error)), error.exit_code)
    if isinstance(error, OSError) and error.errno in _FULL:
        return _said(f"{error.filename or 'disk'}: there is no space left; free some and start again", 3)
    if isinstance(error, OSError) and error.errno in _PATH and error.filename:
        return _said(f"{error.filename}: {error.strerror}; name a path that exists and that you may use", 3)
    if isinstance(error, OSError) and error.errno in _NETWORK:
        return _said(f"network: {error.strerror or error}; free the port or check the address", 5)
    where = "shown above" if debug else f"in {_kept(redact(''.join(traceback.format_exception(error))))}"
    return _said(redact(f"unexpected {type(error).__name__}: {_one_line(error)}; its traceback is {where}, please report it"), 1)


def _kept(text: str) -> str:
    """Write a traceback to a file of the user's own and return its path."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="holdfast-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return "no file, for want of a place to write it (use --debug)"
    return path


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or "no more is known"


def _said(sentence: str, code: int) -> int:
    sys.stderr.write(f"holdfast: {' '.join(sentence.split())}\n")
    return code
