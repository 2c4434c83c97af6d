from pathlib import Path

import pytest

from holdfast.cli import main

PLAN = '[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqty = 0.01\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no stop"),
        ("trail_offset_bps = 80\npanic_pnl_bps = 100", "panic_pnl_bps: 100 is not below zero"),
        ("stop_price = -5.0", "stop_price: -5.0 is not above zero"),
        ("trail_offset_bps = 80\nentry_price = 50.0", "entry_price: a market entry has none"),
        ("trail_offset_bps = 80\n[positions.timing]\nmarket_deadline_ms = 100", "timing.market_deadline_ms: 100 is not within"),
    ],
)
def test_the_check_finds_a_plan_that_no_venue_could_protect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    path = tmp_path / "holdfast.toml"
    path.write_text(PLAN + "trail_offset_bps = 80\n" + PLAN + text, encoding="utf-8")
    assert main(["config", "check", "--config", str(path)]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"holdfast: {path}: positions[1]: plan for BTC/USD: ")
    assert reason in said


def test_the_check_says_that_sound_settings_are_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "holdfast.toml"
    path.write_text(PLAN + "trail_offset_bps = 80\n", encoding="utf-8")
    assert main(["config", "check", "--config", str(path)]) == 0
    assert capsys.readouterr().err == "the settings are fine\n"


@pytest.mark.parametrize("text", ["-3", "0", "nan", "inf"])
def test_a_duration_that_is_no_time_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["run", "--duration", text]) == 3
    assert "--duration: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("gone.csv", "there is no file gone.csv; name a file that exists"),
        ("BTC/USD=gone.csv", "there is no file gone.csv; name a file that exists"),
        ("DOGE/USD=here.csv", "DOGE/USD is not among venue.symbols (BTC/USD)"),
        (".", "there is no file .;"),
    ],
)
def test_the_check_finds_a_tick_file_that_no_run_would_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, named: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.csv").write_text("", encoding="utf-8")
    path = tmp_path / "holdfast.toml"
    path.write_text(f'[venue]\nsymbols = ["BTC/USD"]\n[simulated]\nticks = ["here.csv", "{named}"]\n', encoding="utf-8")
    assert main(["config", "check", "--config", str(path)]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"holdfast: {path}: simulated.ticks[1]: {reason}")
    assert said.count("\n") == 1
