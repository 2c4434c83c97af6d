"""Where a demo leaves its files: a new folder each time, and one name that stays for the latest."""

from datetime import UTC, datetime
from pathlib import Path

LAST = "last"


def new_folder(out: Path) -> Path:
    """Make a folder inside `out` that is named by the moment, and return it. Raises OSError where it cannot be made."""
    base = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for number in range(1, 100):
        folder = out / (base if number == 1 else f"{base}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("a hundred demos began in the same second")


def name_last(folder: Path) -> Path | None:
    """Make `last` beside the folder name it, so that its files have a path that stays; None where that cannot be done."""
    link, made = folder.with_name(LAST), folder.with_name(f".{LAST}-{folder.name}")
    try:
        made.symlink_to(folder.name, target_is_directory=True)
        made.replace(link)
    except OSError:
        made.unlink(missing_ok=True)
        return None
    return link
