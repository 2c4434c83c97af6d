import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from holdfast.config import Config, load_config
from holdfast.config.text import example_toml, json_schema, listing

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "holdfast.example.toml"


def test_the_example_file_is_what_the_settings_are() -> None:
    remedy = "write it anew: python3 run.py config example > docs/holdfast.example.toml"
    assert EXAMPLE.read_text(encoding="utf-8") == example_toml(), remedy


def test_the_example_loads_and_equals_the_defaults() -> None:
    assert load_config(EXAMPLE, environ={}).config == Config()


def test_the_example_position_loads_without_its_comment_signs(tmp_path: Path) -> None:
    path = tmp_path / "holdfast.toml"
    _, head, position = example_toml().rpartition("# [[positions]]\n")
    path.write_text("\n".join(line.removeprefix("# ") for line in (head + position).splitlines()))
    (plan,) = load_config(path, environ={}).config.positions
    assert plan.trail_offset_bps == 80


def test_the_listing_has_every_setting_with_its_source() -> None:
    rows = {row["setting"]: row for row in listing(load_config(EXAMPLE, environ={}, sets=["simulated.settings.balances.EUR=5"]))}
    assert rows["simulated.settings.balances.EUR"] == {
        "setting": "simulated.settings.balances.EUR",
        "value": Decimal(5),
        "source": "--set simulated.settings.balances.EUR",
    }
    assert rows["engine.namespace"]["source"] == str(EXAMPLE)
    assert set(rows) >= {"timing.ack_timeout_ms", "venue.symbols", "positions", "risk.unprotected_budget_ms"}


def test_the_schema_is_json_and_takes_numbers_where_prices_are() -> None:
    schema: Any = json.loads(json.dumps(json_schema()))
    definitions = schema["$defs"]
    assert definitions["Simulated"]["properties"]["speed"]["type"] == ["number", "string"]
    assert definitions["Engine"]["properties"]["namespace"]["description"]
    assert definitions["Engine"]["additionalProperties"] is False
