"""Users and passwords in a file, as the program ``htpasswd`` writes it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from pathlib import Path

import bcrypt

from ..config import Settings
from ..errors import ConfigError
from .base import Login, listed_roles

LOG = logging.getLogger(__name__)

_BCRYPT = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_SHA = "{SHA}"
_SHA_FORM = re.compile(re.escape(_SHA) + r"[A-Za-z0-9+/]{27}=")
#: Bytes of a password that bcrypt knows; ``htpasswd`` leaves out the rest too.
_LONGEST = 72
#: What stands behind the cost of a hash that nobody has.
_NOBODY = "C6UzMDM.H6dfI/f/IKxGhuJTzpLsSzMDPvS0tWsD3jCmzqJ0c2Z6W"
_COST = slice(4, 6)


class Htpasswd(Login):
    """Takes passwords that were stored by ``htpasswd -B`` (bcrypt) or ``htpasswd -s`` (SHA-1, of an older age).

    The file is read at each login, so that a change of it counts at once. Roles come from the settings.
    """

    def __init__(self, settings: Settings) -> None:
        """Look at the file; raises ``ConfigError`` that names it, and the line where it is wrong."""
        super().__init__(settings)
        if not settings.auth.htpasswd_file:
            raise ConfigError("auth.htpasswd_file: must name the file, because auth.login is htpasswd")
        self._file = Path(settings.auth.htpasswd_file).expanduser()
        try:
            faults = [number for number, _name, stored in self._lines() if not _is_known(stored)]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"auth.htpasswd_file: {self._file}: can't be read: {error}") from error
        if faults:
            raise ConfigError(
                f"auth.htpasswd_file: {self._file}: line {faults[0]}: has no hash of bcrypt or SHA; make it with:"
                " htpasswd -B"
            )

    def get_roles(self, username: str, password: str) -> list[str]:
        """Give the roles of the settings to whom the file knows; raises ``OSError`` where it can't be read."""
        lines = self._lines()
        stored = next((text for _number, name, text in lines if name == username), "")
        # So that the time tells of nobody, who is not there takes as long as who takes longest.
        costs = [text[_COST] for _number, _name, text in lines if _BCRYPT.fullmatch(text)]
        if costs and stored[_COST] != max(costs):
            _matches(f"$2b${max(costs)}${_NOBODY}", password)
        matches = bool(stored) and _matches(stored, password)
        return sorted(listed_roles(username, self.settings.auth)) if matches else []

    def _lines(self) -> list[tuple[int, str, str]]:
        """Give each user with the number of its line and what is stored of the password."""
        found = []
        for number, line in enumerate(self._file.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                name, _colon, stored = line.strip().partition(":")
                found.append((number, name, stored))
        return found


def _is_known(stored: str) -> bool:
    return bool(_BCRYPT.fullmatch(stored) or _SHA_FORM.fullmatch(stored))


def _matches(stored: str, password: str) -> bool:
    secret = password.encode()
    if _SHA_FORM.fullmatch(stored):
        found = base64.b64encode(hashlib.sha1(secret).digest()).decode()  # noqa: S324 - what the file has
        return hmac.compare_digest(stored.removeprefix(_SHA), found)
    if not _BCRYPT.fullmatch(stored):
        LOG.warning("login.refused because=the file has no hash of bcrypt or SHA for the user")
        return False
    # `htpasswd` calls $2y$ what everybody else calls $2b$.
    return bcrypt.checkpw(secret[:_LONGEST], stored.replace("$2y$", "$2b$", 1).encode())
