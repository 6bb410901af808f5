"""The keys of the process: read from the settings, a file, or made; and what is sealed and opened with them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import UUID

from .. import sealing
from ..config import Secrets
from ..errors import ConfigError, NoKey
from ..sealing import Keyring

LOG = logging.getLogger(__name__)

_ring = Keyring()
_beside: Path | None = None
_plaintext = False

_SETTING = "secrets.keys or secrets.key_file"
#: What a new file begins with.
_HEAD = "# Without this file the secrets in the database can't be opened; keep a copy of it elsewhere.\n"


def use(secrets: Secrets, beside: Path | None) -> None:
    """Read the keys that the settings name, or those of the file beside an SQLite database where they name none.

    Raises ``ConfigError`` that names the setting, or the file and its line, and the remedy.
    """
    global _ring, _beside, _plaintext
    if secrets.keys and secrets.key_file:
        raise ConfigError("secrets.keys and secrets.key_file: only one of them can be set; put all keys into the file")
    found = secrets.keys
    if secrets.key_file:
        found = read_file(Path(secrets.key_file).expanduser(), "secrets.key_file: ")
    elif not found and beside is not None and beside.exists():
        found = read_file(beside)
    _ring, _beside, _plaintext = Keyring(found), beside, secrets.plaintext


def ids() -> tuple[str, ...]:
    """Give the ids of the keys, the one that seals first."""
    return _ring.ids


def read_file(file: Path, place: str = "") -> tuple[sealing.Key, ...]:
    """Read a file of keys: one on each line, empty lines and those that begin with ``#`` left out.

    Raises ``ConfigError``, also where there is no key in it.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{place}{file}: can't be read: {error.strerror}; {sealing.REMEDY} {file}") from error
    except UnicodeDecodeError:
        # Without the cause, which holds the text.
        raise ConfigError(f"{place}{file}: must be text, one key on each line; {sealing.REMEDY} {file}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(sealing.read_key(line))
            except ValueError as error:
                raise ConfigError(f"{place}{file}: line {number}: {error}") from None
    if not found:
        raise ConfigError(f"{place}{file}: has no key; {sealing.REMEDY} {file}")
    try:
        return sealing.read_keys(key.text for key in found)
    except ValueError as error:
        raise ConfigError(f"{place}{file}: {error}") from None


def add_to_file(file: Path, key_id: str | None = None) -> tuple[str, bool]:
    """Make a key, behind the others of a file, or in a new file that only its owner can read.

    Gives its id, and whether it is the only one. Raises ``ConfigError``.
    """
    key = new(key_id)
    try:
        if _made(file, key):
            return key.id, True
        others = read_file(file)
        if key.id in {other.id for other in others}:
            raise ConfigError(f"{file}: has a key with the id {key.id} already; choose another with --id")
        missing = "" if file.read_bytes().endswith(b"\n") else "\n"
        with file.open("a", encoding="utf-8") as text:
            text.write(f"{missing}{key.text}\n")
            text.flush()
            os.fsync(text.fileno())
    except OSError as error:
        raise ConfigError(f"{file}: can't be written: {error.strerror}") from error
    return key.id, False


def new(key_id: str | None = None) -> sealing.Key:
    """Make a key, named after the day unless told otherwise; raises ``ConfigError`` for an id of another form."""
    try:
        return sealing.new_key(key_id or f"{time.strftime('%Y%m%d', time.gmtime())}-{token_hex(2)}")
    except ValueError as error:
        raise ConfigError(f"--id: {error}") from None


def _made(file: Path, key: sealing.Key) -> bool:
    """Write a key into a file that was not there; False if it was. Nobody ever sees it without its content."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as text:
            text.write(f"{_HEAD}{key.text}\n")
            text.flush()
            os.fsync(text.fileno())
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    _settle(file.parent)
    return True


def _settle(folder: Path) -> None:
    """See to it that a new name in a folder survives the loss of power, as what is sealed with the key does."""
    with suppress(OSError):  # not on Windows
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def require() -> None:
    """See to it that there is a key, or that the settings want none; the file beside an SQLite database is made.

    Elsewhere a key that each machine made for itself would open nothing on the next one: raises ``NoKey`` that says
    how to make one.
    """
    global _ring
    if _ring.ids:
        return
    if _plaintext:
        LOG.warning("service.starting secrets=plaintext: auth is stored in clear (secrets.plaintext)")
    elif _beside is not None:
        key = new()
        try:
            # Of several processes that start at once one makes it, and the others read that.
            made = _made(_beside, key)
        except OSError as error:
            raise ConfigError(f"{_beside}: can't be written: {error.strerror}; set secrets.key_file") from error
        _ring = Keyring(read_file(_beside))
        if made:
            LOG.warning("service.starting secrets=%s: made the key %s; keep a copy of the file", _beside, key.id)
    else:
        raise no_key()


def no_key() -> NoKey:
    """Give the error that says how to make a key."""
    return NoKey(
        f"{_SETTING}: no key is set, and auth is not stored in clear; {sealing.REMEDY} FILE, and set"
        " secrets.key_file = FILE (or, for development, secrets.plaintext = true)"
    )


def remedy(key_id: str) -> str:
    """Say what to do about a key that is missing."""
    beside = f", or the file {_beside}" if _beside is not None else ""
    return f"{_SETTING}: lacks the key {key_id!r}, with which a subscription's auth is sealed; add it there{beside}"


def sealed(text: str | None) -> bool:
    """Tell whether a column's text is sealed."""
    return sealing.key_id(text) is not None


def stored(value: Mapping[str, Any], kind: str, owner: str, uuid: UUID) -> str:
    """Give the text to store; nothing is sealed of the empty object. Raises ``NoKey``."""
    if value and _ring.ids:
        return _ring.seal(value, kind, owner, uuid)
    if value and not _plaintext:
        raise no_key()
    return json.dumps(value, ensure_ascii=False)


def opened(text: str | None, kind: str, owner: str, uuid: UUID) -> dict[str, Any]:
    """Give the object of a sealed text; raises ``BrokenSeal``."""
    return _ring.open(text or "", kind, owner, uuid)
