"""Where the engine's log lines go: standard error for a live engine, a file beside the record for the demo."""

import contextlib
import logging
import sys
from pathlib import Path
from typing import Literal, TextIO, cast

import structlog

from holdfast.secrets import SECRETS


def quiet_logs(path: Path) -> None:
    """Write log lines as JSON to `path` instead of standard error."""
    file = path.open("a", encoding="utf-8")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=file),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def live_logs(form: Literal["console", "json"], level: str) -> None:
    """Write log lines to standard error, for people or one JSON object a line."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), _without_secrets, renderer],
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Lossy(sys.stderr))),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
    )


class _Lossy:
    """A stream whose failure costs lines and not the engine: a disk that is full, a terminal or a pipe that is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _without_secrets(logger: object, method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    # A venue may quote a key or a token in what it says.
    return {name: SECRETS.redact(value) if isinstance(value, str) else value for name, value in line.items()}
