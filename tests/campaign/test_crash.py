"""A sample of kills, failing disks and losses of power; and two planted mistakes, which are found."""

import pytest

from tests.campaign.calls import build
from tests.campaign.crash import main


@pytest.fixture(autouse=True)
def _compiler(tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        build(tmp_path_factory.mktemp("calls"))
    except OSError as problem:
        pytest.skip(str(problem))


@pytest.mark.xdist_group("crash")
def test_kills_failing_disks_and_losses_of_power_cost_nothing_that_was_acknowledged(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--points", "20", "--doubles", "10", "--errors", "16", "--images", "2000"])
    out = capsys.readouterr().out
    assert code == 0, out
    # It struck: a sample in which nothing was hit would hold as well.
    assert "write before" in out
    assert "in recovery" in out
    assert "fails from there on" in out
