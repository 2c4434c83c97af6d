import sys
from pathlib import Path

# What plays histories into the core lies beside the tests of the projections.
sys.path.insert(0, str(Path(__file__).parents[2] / "projections"))
