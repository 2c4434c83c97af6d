"""The golden hashes: one a life, what the core as it is decides in it. Each run makes them anew, so none is ever stale."""

from .lives import digest_of, lives


def hashes() -> list[str]:
    """Live all lives with the core as it is and return their hashes, in the order of `lives()`."""
    out = []
    for life in lives():
        life.run()
        out.append(digest_of(life))
    return out
