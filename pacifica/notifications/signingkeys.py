"""The keys with which the service itself signs: read from the settings, a file, or made."""

from __future__ import annotations

import logging
from pathlib import Path

from . import keyfile
from .config import Signing
from .errors import ConfigError
from .signing import keys
from .signing.keys import SigningKey

LOG = logging.getLogger(__name__)

KIND = keyfile.Kind(
    keys.new_key,
    keys.read_keys,
    "# Each of these keys signs. Whoever has them can sign as this service; keep them to yourself.\n",
    keys.REMEDY,
)
#: What a subscription needs that has them sign.
MISSING = "signing.keys or signing.key_file: no key is set, and the service has to sign with one of its own"

_keys: tuple[SigningKey, ...] = ()
_beside: Path | None = None


def use(signing: Signing, beside: Path | None) -> None:
    """Read the keys that the settings name, or those of the file beside an SQLite database where they name none.

    Raises ``ConfigError`` that names the setting, or the file and its line, and the remedy.
    """
    global _keys, _beside
    if signing.keys and signing.key_file:
        raise ConfigError("signing.keys and signing.key_file: only one of them can be set; put all keys into the file")
    found = signing.keys
    if signing.key_file:
        found = keyfile.read(KIND, Path(signing.key_file).expanduser(), "signing.key_file: ")
    elif not found and beside is not None and beside.exists():
        found = keyfile.read(KIND, beside)
    _keys, _beside = found, beside


def of_service() -> tuple[SigningKey, ...]:
    """Give the keys of the process; each of them signs."""
    return _keys


def provide() -> None:
    """Make a key beside an SQLite database where there is none; elsewhere nothing signs without a key that is set.

    A key that each machine made for itself would have receivers refuse what the next one signs. Raises ``ConfigError``.
    """
    global _keys
    if _keys or _beside is None:
        return
    key = keyfile.new(KIND)
    try:
        # Of several processes that start at once one makes it, and the others read that.
        made = keyfile.made(KIND, _beside, key)
    except OSError as error:
        raise ConfigError(f"{_beside}: can't be written: {error.strerror}; set signing.key_file") from error
    _keys = keyfile.read(KIND, _beside)
    if made:
        LOG.info("service.starting signing=%s: made the key %s", _beside, key.id)
