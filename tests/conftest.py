"""What every test needs: our own packages, and nobody else's."""

import pytest

from holdfast.guard import StartRefused, refuse_foreign_packages


def pytest_configure() -> None:
    try:
        refuse_foreign_packages()
    except StartRefused as refusal:
        pytest.exit(str(refusal), returncode=refusal.exit_code)
