"""Refuse to run beside foreign packages that carry our names, and without assertions.

`events` is also a package of PyPI, and `fsm` or `replay` are names that anybody gives. Beside one of those, half of our
imports would be somebody else's code. The check costs a few directory look-ups and imports nothing, not even
`events.errors`: that could be the foreign one. So its errors stand outside the tree of `HoldfastError`.
"""

import importlib.util
import os
import sys
from pathlib import Path

PACKAGES = ("events", "fsm", "projections", "venues", "replay")
HOME = Path(__file__).resolve().parents[1]


class StartRefused(Exception):
    """Holdfast does not start in this environment; the text says why and what to do."""

    exit_code = 3


class ForeignPackage(StartRefused):
    """A package that carries one of our names is not ours."""

    def __init__(self, name: str, found: str) -> None:
        self.name, self.found = name, found
        super().__init__(
            f"the package {name!r} is {found}, not holdfast's own beside {HOME / 'holdfast'}; "
            "run holdfast in its own environment (python3 run.py makes one)"
        )


class AssertionsOff(StartRefused):
    """Python runs with -O, which removes the assertions that stop a broken engine."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__("python -O removes the assertions that stop a broken engine; start without -O and without PYTHONOPTIMIZE")


def refuse_foreign_packages() -> None:
    """Return if each of `PACKAGES` lies beside this package, and none of them was installed over.

    Raises:
        ForeignPackage: it names the package and where it was found.
    """
    for name in PACKAGES:
        found = _location(name)
        if found is None:
            raise ForeignPackage(name, "missing")
        if found.parent != HOME:
            raise ForeignPackage(name, str(found))
    for entry in os.listdir(HOME):
        # Installed into the same folder, a foreign distribution overwrites our files instead of hiding them.
        name = entry.partition("-")[0].lower()
        if name in PACKAGES and entry.endswith((".dist-info", ".egg-info")):
            raise ForeignPackage(name, str(HOME / entry))


def refuse_optimized() -> None:
    """Raise AssertionsOff under `python -O`. Whatever sends orders to a venue calls this first."""
    if sys.flags.optimize:
        raise AssertionsOff


def _location(name: str) -> Path | None:
    """Return the folder or file that `import name` takes, without importing it; None if there is none."""
    loaded = sys.modules.get(name)
    try:
        spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None
