"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from holdfast.output import Format

if TYPE_CHECKING:
    from holdfast.config import Loaded

Output = Annotated[Format, Parameter(name=("--output", "-o"), help="How data is written.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the settings come from. `load` reads them, with the environment between file and `--set`."""

    config: Annotated[Path | None, Parameter(name=("--config", "-c"), help="TOML file; else holdfast.toml, if there is one.")] = None
    set: Annotated[tuple[str, ...], Parameter(name="--set", negative="", help="A setting as a.b=value; repeatable.")] = ()

    def load(self) -> "Loaded":
        """Return the settings and where each came from. Raises what `load_config` raises."""
        from holdfast.config import load_config

        return load_config(self.config, sets=self.set)
