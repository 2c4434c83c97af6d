"""What every test needs: our own packages, and nobody else's."""

import os

import pytest
from hypothesis import settings

from holdfast.guard import StartRefused, refuse_foreign_packages

# No test is timed: the machine is shared. In CI the examples are the same in each run, at a desk they are new ones.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_configure() -> None:
    try:
        refuse_foreign_packages()
    except StartRefused as refusal:
        pytest.exit(str(refusal), returncode=refusal.exit_code)
