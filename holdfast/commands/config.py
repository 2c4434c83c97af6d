"""`holdfast config`: check, show and describe the settings."""

import json
import sys
from pathlib import Path

from cyclopts import App

from events.errors import BadInput
from fsm.plans import check_shape
from holdfast.config import Loaded, secret_file_problem
from holdfast.config.text import example_toml, json_schema, listing
from holdfast.config.toml import toml_value
from holdfast.output import print_rows

from .options import Output, Settings

command = App(name="config", help="Check, show or describe the settings.")


@command.command
def check(*, settings: Settings = Settings()) -> None:
    """Read the settings as an engine would, and say on standard error what is wrong with the first that is."""
    loaded = settings.load()
    venue = loaded.config.venue
    for index, plan in enumerate(loaded.config.positions):
        try:
            check_shape(plan)
        except BadInput as refused:
            path = f"positions[{index}]"
            raise BadInput(f"{loaded.source_of(path)}: {path}: {refused.place}", refused.problem, refused.remedy) from None
    if venue.api_secret_file and (problem := secret_file_problem(venue.api_secret_file)):
        place = f"{loaded.source_of('venue.api_secret_file')}: venue.api_secret_file {venue.api_secret_file}"
        raise BadInput(place, problem, "make it yours alone: chmod 600")
    if venue.kind == "simulated":
        _check_ticks(loaded)
    sys.stderr.write("the settings are fine\n")


def _check_ticks(loaded: Loaded) -> None:
    from holdfast.live import symbol_and_file

    symbols = loaded.config.venue.symbols
    for index, text in enumerate(loaded.config.simulated.ticks):
        path = f"simulated.ticks[{index}]"
        symbol, file = symbol_and_file(text, symbols[0])
        if symbol not in symbols:
            remedy = "name it there, or leave the file out"
            raise BadInput(f"{loaded.source_of(path)}: {path}", f"{symbol} is not among venue.symbols ({', '.join(symbols)})", remedy)
        if not Path(file).is_file():
            remedy = "name a file that exists, from the folder in which the engine is started"
            raise BadInput(f"{loaded.source_of(path)}: {path}", f"there is no file {file}", remedy)


@command.command
def show(*, output: Output = "table", settings: Settings = Settings()) -> None:
    """List every setting with its value and where that came from."""
    rows = listing(settings.load())
    if output == "table":
        rows = ({**row, "value": toml_value(row["value"])} for row in rows)
    print_rows(rows, output)


@command.command
def schema() -> None:
    """Write the JSON schema of the settings, for editors that check TOML."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


@command.command
def example() -> None:
    """Write a configuration file with every setting at its default."""
    sys.stdout.write(example_toml())
