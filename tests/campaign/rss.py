"""How much memory this process has now."""

import os
import resource
import sys
from pathlib import Path


def rss_mib() -> float:
    """Return the resident memory in MiB; where the system does not tell it, the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
