import os
from pathlib import Path

import pytest

from events.errors import BadInput
from holdfast.config import load_config, read_key, store_address

SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def test_a_key_is_read_from_the_variable_that_is_named() -> None:
    assert read_key("venue.api_key_env", env="SOME_KEY", environ={"SOME_KEY": f" {SECRET}\n"}) == SECRET


def test_a_file_goes_before_a_variable(secret_file: Path) -> None:
    assert read_key("venue.api_secret_file", env="SOME_KEY", file=str(secret_file), environ={"SOME_KEY": "other"}) == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o700])
def test_a_file_that_others_may_use_is_refused(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    with pytest.raises(BadInput) as caught:
        read_key("venue.api_secret_file", env="", file=str(secret_file))
    assert f"its mode is {mode:04o}, not 0600; make it yours alone: chmod 600" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_folder_or_nothing_is_no_secret_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BadInput, match=r"venue\.api_secret_file"):
            read_key("venue.api_secret_file", env="", file=str(path))


def test_an_empty_or_foreign_file_is_refused(secret_file: Path) -> None:
    for content, problem in ((b" \n", "it is empty"), (b"\xff", "cannot be read as text"), (b"x" * 5000, "larger")):
        secret_file.write_bytes(content)
        with pytest.raises(BadInput, match=problem):
            read_key("venue.api_secret_file", env="", file=str(secret_file))


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(BadInput, match="environment variable SOME_KEY is not set"):
        read_key("venue.api_key_env", env="SOME_KEY", environ={})
    with pytest.raises(BadInput, match="no variable or file is named"):
        read_key("venue.api_key_env", env="", environ={})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_another_user_is_refused(secret_file: Path) -> None:
    os.chown(secret_file, 12345, -1)
    with pytest.raises(BadInput, match="belongs to another user"):
        read_key("venue.api_secret_file", env="", file=str(secret_file))


def test_the_password_of_the_store_is_put_into_its_address_only_when_it_is_opened() -> None:
    sets = ["store.url=postgresql://me@host:5432/d?schema=s", "store.password_env=PGPW"]
    config = load_config(environ={}, sets=sets).config
    assert store_address(config, {"PGPW": "a/b@c"}) == "postgresql://me:a%2Fb%40c@host:5432/d?schema=s"
    assert "a/b" not in repr(config)


def test_a_password_for_a_file_makes_no_sense() -> None:
    config = load_config(environ={}, sets=["store.password_env=PGPW"]).config
    with pytest.raises(BadInput, match="takes a password"):
        store_address(config, {"PGPW": "x"})
