"""`holdfast config`: check, show and describe the settings."""

import json
import sys

from cyclopts import App

from events.errors import BadInput
from fsm.plans import check_shape
from holdfast.config import secret_file_problem
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
    sys.stderr.write("the settings are fine\n")


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
