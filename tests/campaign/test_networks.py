"""Each fault of the network once, on a live engine; the engine as a slow consumer; and faults planted in both, which are found."""

from pathlib import Path

import pytest

from tests.campaign.faults import FAULTS
from tests.campaign.networks import main, play, rows


def test_an_engine_holds_under_every_fault_of_its_network_and_under_a_flood(tmp_path: Path) -> None:
    seen = play(list(FAULTS.values()), tmp_path)
    assert seen.problems == [], "\n".join(rows([seen]))
    assert [outcome.fault.name for outcome in seen.outcomes] == list(FAULTS)


def test_an_unknown_fault_is_answered_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--faults", "half_open,rain"])
    assert ended.value.code == 2
    assert "there is no fault 'rain'; use all, or none, short_stall" in capsys.readouterr().err
