import re
from pathlib import Path

from venues.simulated.faults import FAULTS
from venues.simulated.rest import PATHS
from venues.simulated.server import BOOKS_PATH, ENDPOINTS
from venues.simulated.settings import VenueSettings

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "simulated-venue.md").read_text()


def test_every_fault_is_documented_with_its_usual_probability() -> None:
    documented = {name: float(p) for name, p in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", TEXT.partition("## Faults")[2], re.MULTILINE)}
    assert documented == {name: fault.probability for name, fault in FAULTS.items()}


def test_every_setting_and_path_is_documented() -> None:
    missing = [name for name in (*VenueSettings.__struct_fields__, *ENDPOINTS, BOOKS_PATH, *PATHS) if f"`{name}`" not in TEXT]
    assert missing == []
