"""The model checker: every state that the real machine and an adversarial venue can reach together, on small quantities.

    result = explore(QUICK[0], core=Core("flat"))      # result.violation is None, or names the property and the shortest trace
"""

from .configuration import ALL, QUICK, Configuration
from .explore import Result, Violation, explore

__all__ = ["ALL", "QUICK", "Configuration", "Result", "Violation", "explore"]
