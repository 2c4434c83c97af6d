from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from events.errors import BadInput, HoldfastError, NotFound, Usage
from events.facts import Timing
from holdfast.config import Config, load_config

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "holdfast.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_without_any_layer_everything_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_config(environ={})
    assert loaded.config == Config()
    assert loaded.source_of("simulated.seed") == "default"


def test_the_file_of_the_working_directory_is_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write("[simulated]\nseed = 3").parent)
    loaded = load_config(environ={})
    assert loaded.config.simulated.seed == 3
    assert loaded.source_of("simulated.seed") == "holdfast.toml"


def test_environment_goes_before_the_file_and_set_before_both(write: Write) -> None:
    path = write("[simulated]\nseed = 1\nport = 1\nspeed = 1")
    environ = {"HOLDFAST__SIMULATED__PORT": "2", "HOLDFAST__SIMULATED__SPEED": "2", "UNRELATED": "x"}
    loaded = load_config(path, environ=environ, sets=["simulated.speed=3"])
    simulated = loaded.config.simulated
    assert (simulated.seed, simulated.port, simulated.speed) == (1, 2, Decimal(3))
    assert loaded.source_of("simulated.seed") == str(path)
    assert loaded.source_of("simulated.port") == "environment HOLDFAST__SIMULATED__PORT"
    assert loaded.source_of("simulated.speed") == "--set simulated.speed"


def test_numbers_are_taken_exactly_as_written(write: Write) -> None:
    path = write('[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqty = 0.100000000000000006\nstop_price = "59000.10"')
    (plan,) = load_config(path, environ={}).config.positions
    assert plan.qty == Decimal("0.100000000000000006")
    assert str(plan.stop_price) == "59000.10"


def test_positions_take_the_configured_timing_unless_they_have_their_own(write: Write) -> None:
    position = '[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqty = 1\n'
    path = write("[timing]\nack_timeout_ms = 7\n" + position + position + "timing = { ack_timeout_ms = 9 }\n")
    first, second = load_config(path, environ={}).config.positions
    assert first.timing == Timing(ack_timeout_ms=7)
    assert second.timing == Timing(ack_timeout_ms=9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("simulated.faults=drop_frame, stall", ("drop_frame", "stall")),
        ('simulated.faults=["stall"]', ("stall",)),
        ("simulated.faults=", ()),
        ("simulated.settings.trail_status_ms=none", None),
        ("simulated.settings.balances.EUR=0.10", Decimal("0.10")),
        ("simulated.settings.stops_hold_funds=false", False),
        ("engine.namespace=12", "12"),
        ('engine.data_dir="with = and spaces"', "with = and spaces"),
        ("log.level=debug", "debug"),
    ],
)
def test_texts_are_read_as_what_the_setting_is(text: str, expected: object) -> None:
    config: object = load_config(environ={}, sets=[text]).config
    for name in text.partition("=")[0].split("."):
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    assert config == expected


@pytest.mark.parametrize(
    ("text", "place", "problem", "remedy"),
    [
        ("[simulated]\nsed = 1", "simulated.sed", "there is no such setting", "did you mean simulated.seed?"),
        ("seed = 1", "seed", "there is no such setting", "did you mean simulated.seed?"),
        ("[venu]\nkind = 1", "venu", "there is no such setting", "did you mean venue?"),
        ("[zzz]\nq = 1", "zzz", "there is no such setting", "the sections are engine, venue"),
        ('[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqyt = 1', "positions[0].qyt", "there is no such", "positions[0].qty?"),
        ('[[positions]]\nsymbol = "BTC/USD"\nside = "long"', "positions[0]", "it lacks qty", "add it"),
        ('[[positions]]\nsymbol = "ETH/USD"\nside = "long"\nqty = 1', "positions[0].symbol", "not among venue.symbols", "BTC/USD"),
        ('[[positions]]\nsymbol = "BTC/USD"\nside = "up"\nqty = 1', "positions[0].side", "no choice 'up'", "long, short"),
        ('[[positions]]\nsymbol = "BTC/USD"\nside = "long"\nqty = "NaN"', "positions[0].qty", "not a finite decimal", "digits"),
        ('[simulated]\nseed = "x"', "simulated.seed", "expected a whole number, got a text", "like the default, 1"),
        ("[simulated]\nseed = true", "simulated.seed", "expected a whole number, got true or false", "like the default, 1"),
        ("[simulated]\nspeed = nan", "simulated.speed", "not a finite decimal number", "digits"),
        ("[simulated]\nspeed = 0", "simulated.speed", "0 is not above 0", "write for example 20"),
        ("[simulated]\nport = 65536", "simulated.port", "<= 65535", "like the default, 0"),
        ('[simulated]\nfaults = ["drop_fram"]', "simulated.faults", "none of that name", "drop_frame"),
        ("[simulated.settings.balances]\nUSD = inf", "simulated.settings.balances.USD", "not a finite decimal number", "digits"),
        ("[simulated.settings.balances]\nUSD = -5", "simulated.settings.balances.USD", "-5 is below 0", "0 or more"),
        ('[store]\nurl = "mysql://x/y"', "store.url", "'mysql://' is not a kind of store", "postgresql://"),
        ("[simulated.settings]\nspread_ticks = -1", "simulated.settings.spread_ticks", "-1 is below 0", "0 or more"),
        ("[timing]\nack_timeout_ms = 0", "timing.ack_timeout_ms", "0 is below 1", "1 or more"),
        ('[venue]\nsymbols = ["DOGE/USD"]', "venue.symbols", "no such pair", "BTC/USD"),
        ('[log]\nlevel = "verbose"', "log.level", "no choice 'verbose'", "debug, error, info, warning"),
        ("venue = 1", "venue", "expected a section, got a whole number", "[venue]"),
        ('[venue]\npublic_url = "ws://example.org"', "venue.public_url", "unencrypted", "wss://"),
        ('[venue]\nrest_url = "ftp://example.org"', "venue.rest_url", "not an address", "https://"),
    ],
)
def test_a_wrong_setting_names_file_path_and_remedy(write: Write, text: str, place: str, problem: str, remedy: str) -> None:
    path = write(text)
    with pytest.raises(BadInput) as caught:
        load_config(path, environ={})
    error = caught.value
    assert error.exit_code == 3
    assert error.place.startswith(f"{path}: {place}")
    assert problem in error.problem
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[venue\nkind = 1", "line 1, column 7"),
        ('[venue]\nkind = "simul', "line 2"),
        ("[log]\nlevel = 'info'\nx = ]", "line 3, column 5"),
        (b"[log]\nlevel = '\xff'", "line 2"),
        ("x = " + "[" * 100_000, ""),
    ],
)
def test_half_toml_names_the_line(write: Write, text: str | bytes, where: str) -> None:
    path = write(text)
    with pytest.raises(BadInput) as caught:
        load_config(path, environ={})
    assert str(caught.value).startswith(f"{path}")
    assert where in caught.value.place


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="config example"):
        load_config(tmp_path / "absent.toml", environ={})


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_config(tmp_path, environ={})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HOLDFAST__SIMULATED__SED", "1", "simulated.sed: there is no such setting; did you mean simulated.seed?"),
        ("HOLDFAST__SIMULATED__SEED", "1\nport = 2", "simulated.seed: that is not a value as TOML writes it"),
        ("HOLDFAST__STORE", "x", "store: that is not a value as TOML writes it"),
        ("HOLDFAST__STORE", "5", "store: expected a section, got a whole number"),
        ("HOLDFAST__VENUE__KIND", "si\udcedm", "venue.kind: it is not UTF-8 text"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_config(environ={name: value})
    assert str(caught.value).startswith(f"environment {name}: {sentence}")


@pytest.mark.parametrize("text", ["store.url=postgresql://u@lo[[calhost/db", "venue.rest_url=https://[::1", "store.url=postgresql://[v1.x/db"])
def test_an_address_with_half_a_bracket_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not an address"):
        load_config(environ={}, sets=[text])


@pytest.mark.parametrize("text", ["simulated.seed", "=1", ""])
def test_set_without_a_name_or_a_value_is_a_usage_error(text: str) -> None:
    with pytest.raises(Usage) as caught:
        load_config(environ={}, sets=[text])
    assert caught.value.exit_code == 2


def test_a_password_in_an_address_is_refused_and_not_repeated(write: Write) -> None:
    for text in ('[store]\nurl = "postgresql://me:geheim@host/d"', '[venue]\nrest_url = "https://me:geheim@host"'):
        with pytest.raises(HoldfastError) as caught:
            load_config(write(text), environ={})
        assert "password" in str(caught.value)
        assert "geheim" not in str(caught.value)


def test_a_key_in_place_of_a_name_is_refused_and_not_repeated(write: Write) -> None:
    with pytest.raises(BadInput) as caught:
        load_config(write('[venue]\napi_key_env = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5"'), environ={})
    assert "kQH5HW" not in str(caught.value)


def test_a_name_as_long_as_a_page_is_not_quoted_whole(write: Write) -> None:
    with pytest.raises(BadInput) as caught:
        load_config(write("9" * 3_000 + " = 1"), environ={})
    assert len(str(caught.value)) < 600
