"""Secrets, read when they are needed from the environment variable or the file that the settings name.

A secret is never part of `Config`, and no error here quotes one. A file must be the user's own, of mode 0600. Whatever was
read is known to `SECRETS` from then on, which takes it out of the record, of log lines and of errors.
"""

import base64
import binascii
import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from events.errors import BadInput
from holdfast.secrets import SECRETS
from replay.redact import MIN_FREE_LENGTH

from .tree import Config

MAX_SECRET_BYTES = 4096


def read_key(setting: str, *, env: str, file: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return the secret that a variable or, first, a file holds; surrounding blanks are not part of it.

    Args:
        setting: path of the setting, for errors ("venue.api_key_env").
        env: name of the variable, "" for none.
        file: path of the file, "" for none.

    Raises:
        BadInput: neither is there, it is empty, or the file may be read by others.
    """
    if file:
        if problem := secret_file_problem(file):
            raise BadInput(f"{setting} {file}", problem, "make it yours alone: chmod 600")
        return _not_empty(_read(setting, file), f"{setting} {file}")
    if not env:
        raise BadInput(setting, "no variable or file is named", "write the name of an environment variable there")
    value = (os.environ if environ is None else environ).get(env)
    if value is None:
        raise BadInput(setting, f"the environment variable {env} is not set", f"export {env}, or name another one")
    return _not_empty(value, f"{setting}: {env}")


def secret_file_problem(file: str) -> str:
    """Return what is wrong with a file of secrets, "" if nothing is."""
    try:
        found = os.stat(file)
    except OSError as problem:
        return f"it cannot be read ({problem.strerror})"
    if not stat.S_ISREG(found.st_mode):
        return "it is not a file"
    if found.st_mode & 0o177:
        return f"its mode is {stat.S_IMODE(found.st_mode):04o}, not 0600"
    if found.st_uid != os.geteuid():
        return "it belongs to another user"
    return ""


def store_address(config: Config, environ: Mapping[str, str] | None = None) -> str:
    """Return the address that opens the store, with the password of `store.password_env` if one is named.

    Never print it; `config.store_url` is the one for people.
    """
    if not config.store.password_env:
        return config.store_url
    parts = urlsplit(config.store_url)
    if not parts.hostname:
        raise BadInput("store.password_env", "store.url is not an address that takes a password", "leave password_env out")
    password = quote(read_key("store.password_env", env=config.store.password_env, environ=environ), safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{password}@{host}"))


def _read(setting: str, file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_SECRET_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as problem:
        name = type(problem).__name__
        raise BadInput(f"{setting} {file}", f"it cannot be read as text ({name})", "write the secret alone into it") from None
    if len(data) > MAX_SECRET_BYTES:
        raise BadInput(f"{setting} {file}", f"it is larger than {MAX_SECRET_BYTES} bytes", "write the secret alone into it")
    return text


def _not_empty(text: str, place: str) -> str:
    secret = text.strip()
    if not secret:
        raise BadInput(place, "it is empty", "put the secret there")
    SECRETS.add(secret)
    with contextlib.suppress(binascii.Error, ValueError):
        # What a venue's secret encodes is what signs; a traceback would show it as Python writes bytes.
        decoded = repr(base64.b64decode(secret, validate=True))[2:-1]
        if len(decoded) >= MIN_FREE_LENGTH:
            SECRETS.add(decoded)
    return secret
