import sys
from pathlib import Path

# Test modules are imported by path (importlib mode); what they share lies beside them.
sys.path.insert(0, str(Path(__file__).parent))
