import ast
from pathlib import Path

import venues.simulated

FOLDER = Path(venues.simulated.__file__).parent
SHELL = {"server.py", "__main__.py", "__init__.py", "ticks.py", "tick_formats.py"}
WORLD = {"asyncio", "time", "os", "sys", "socket", "secrets", "threading", "logging", "websockets", "uuid", "pathlib", "urllib"}


def test_all_but_the_shell_of_the_venue_is_free_of_clock_sockets_and_chance() -> None:
    for path in FOLDER.glob("*.py"):
        if path.name in SHELL:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if node.module != "random" else [f"random.{alias.name}" for alias in node.names]
            for name in names:
                assert name == "urllib.parse" or name.partition(".")[0] not in WORLD, f"{path.name} imports {name}"
                # A generator of its own class is passed in; the module's shared one is not reproducible.
                assert name != "random", path.name
                assert not name.startswith("random.") or name == "random.Random", path.name
