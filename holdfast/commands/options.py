"""Options that several commands share."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from holdfast.output import Format
from holdfast.times import Times

if TYPE_CHECKING:
    from events.store import Store
    from holdfast.config import Loaded

Output = Annotated[Format, Parameter(name=("--output", "-o"), help="How data is written.")]
StoreOption = Annotated[
    str | None, Parameter(name="--store", help="Store to read; else that of the settings. A running engine is not disturbed.")
]
TimesOption = Annotated[Times, Parameter(name="--times", help="How a table writes moments; JSON always has nanoseconds.")]
AtOption = Annotated[
    str | None,
    Parameter(name="--at", help='The moment that counts as now: 2026-11-21T08:30:00Z, nanoseconds, or "last" for the last event.'),
]
FolderOption = Annotated[Path | None, Parameter(name="--out", help="Write files with every column to this folder instead.")]
FileOption = Annotated[Literal["csv", "jsonl", "parquet"], Parameter(name="--format", help="Of the files in --out.")]
KeyOption = Annotated[
    str | None, Parameter(name="--key-env", help="Environment variable with the key of the chain; else that of session.key_env.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the settings come from. `load` reads them, with the environment between file and `--set`."""

    config: Annotated[Path | None, Parameter(name=("--config", "-c"), help="TOML file; else holdfast.toml, if there is one.")] = None
    set: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", show_default=False, help="A setting as a.b=value; repeatable.")
    ] = ()

    def load(self) -> "Loaded":
        """Return the settings and where each came from. Raises what `load_config` raises."""
        from holdfast.config import load_config

        return load_config(self.config, sets=self.set)


def open_log(store: str | None, settings: Settings) -> "Store":
    """Open the store to read it: the one that is named, else that of the settings.

    Raises what reading the settings or opening the store raises.
    """
    from events.store import open_store
    from holdfast.config import store_address

    return open_store(store or store_address(settings.load().config), create=False)


def check_folder(option: str, folder: Path) -> None:
    """Return if files can be written to a folder: what is found after hours must have a place. Raises BadInput, before anything is done."""
    from events.errors import BadInput

    if not folder.is_dir():
        raise BadInput(option, f"{folder} is no folder", "make it first, or name another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(option, f"{folder} may not be written to by this user", "name a folder that may")


def no_files_of_one(position: str | None, out: Path | None) -> None:
    """Refuse files for one position: they hold whole tables. Raises Usage."""
    if position is not None and out is not None:
        from events.errors import Usage

        raise Usage("--out", "files hold all positions", "leave the position out, or take its rows with -o jsonl")
