"""The keys of the process: read from the settings, a file, or made; and what is sealed and opened with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from .. import keyfile, sealing
from ..config import Secrets
from ..errors import ConfigError, NoKey
from ..sealing import Keyring

LOG = logging.getLogger(__name__)

_ring = Keyring()
_beside: Path | None = None
_plaintext = False

_SETTING = "secrets.keys or secrets.key_file"
#: The kind of these keys, as a file has them.
KIND = keyfile.Kind(
    sealing.new_key,
    sealing.read_keys,
    "# Without this file the secrets in the database can't be opened; keep a copy of it elsewhere.\n",
    sealing.REMEDY,
)


def use(secrets: Secrets, beside: Path | None) -> None:
    """Read the keys that the settings name, or those of the file beside an SQLite database where they name none.

    Raises ``ConfigError`` that names the setting, or the file and its line, and the remedy.
    """
    global _ring, _beside, _plaintext
    if secrets.keys and secrets.key_file:
        raise ConfigError("secrets.keys and secrets.key_file: only one of them can be set; put all keys into the file")
    found = secrets.keys
    if secrets.key_file:
        found = keyfile.read(KIND, Path(secrets.key_file).expanduser(), "secrets.key_file: ")
    elif not found and beside is not None and beside.exists():
        found = keyfile.read(KIND, beside)
    _ring, _beside, _plaintext = Keyring(found), beside, secrets.plaintext


def ids() -> tuple[str, ...]:
    """Give the ids of the keys, the one that seals first."""
    return _ring.ids


def require() -> None:
    """See to it that there is a key, or that the settings want none; the file beside an SQLite database is made.

    Elsewhere a key that each machine made for itself would open nothing on the next one: raises ``NoKey`` that says
    how to make one.
    """
    global _ring
    if _ring.ids:
        return
    if _plaintext:
        LOG.warning("service.starting secrets=plaintext: secrets are stored in clear (secrets.plaintext)")
    elif _beside is not None:
        key = keyfile.new(KIND)
        try:
            # Of several processes that start at once one makes it, and the others read that.
            made = keyfile.made(KIND, _beside, key)
        except OSError as error:
            raise ConfigError(f"{_beside}: can't be written: {error.strerror}; set secrets.key_file") from error
        _ring = Keyring(keyfile.read(KIND, _beside))
        if made:
            LOG.warning("service.starting secrets=%s: made the key %s; keep a copy of the file", _beside, key.id)
    else:
        raise no_key()


def no_key() -> NoKey:
    """Give the error that says how to make a key."""
    return NoKey(
        f"{_SETTING}: no key is set, and secrets are not stored in clear; {sealing.REMEDY} FILE, and set"
        " secrets.key_file = FILE (or, for development, secrets.plaintext = true)"
    )


def remedy(key_id: str) -> str:
    """Say what to do about a key that is missing."""
    beside = f", or the file {_beside}" if _beside is not None else ""
    return f"{_SETTING}: lacks the key {key_id!r}, with which a subscription's secrets are sealed; add it there{beside}"


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
