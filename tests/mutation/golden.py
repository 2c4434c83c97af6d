"""The golden hashes: one line a life, what today's core decides in it.

`python -m tests.mutation --renew-golden` writes them anew, after a change of decisions that is meant.
"""

from pathlib import Path

from .lives import digest_of, lives

FILE = Path(__file__).with_name("golden.txt")


def hashes() -> list[str]:
    """Live all lives with the core as it is and return their hashes."""
    out = []
    for life in lives():
        life.run()
        out.append(digest_of(life))
    return out


def read_golden() -> list[str]:
    """Return the stored hashes, in the order of `lives()`."""
    return FILE.read_text(encoding="utf-8").split()


def write_golden() -> int:
    """Store the hashes of the core as it is; return how many."""
    now = hashes()
    FILE.write_text("\n".join(now) + "\n", encoding="utf-8")
    return len(now)
