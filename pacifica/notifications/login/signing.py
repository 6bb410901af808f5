"""The tokens that a login gives: JSON Web Tokens (RFC 7519), read by every process that has the key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import jwt

from ..config import Auth, secret
from ..errors import BadToken, ConfigError
from ..subscriptions import USER

ISSUER = "pacifica-notifications"
#: Bytes of a key at least: as many as the hash has (RFC 7518, section 3.2).
_LEAST = {"HS256": 32, "HS384": 48, "HS512": 64}
_REMEDY = "make one with: openssl rand -hex 64"


class Signer:
    """Signs and reads tokens with one key by the one algorithm of the settings (RFC 8725, section 3.1)."""

    def __init__(self, auth: Auth) -> None:
        """Read the key; raises ``ConfigError``, without it, for none and for one that could be guessed."""
        self._algorithm = auth.jwt_algorithm
        self._seconds = auth.jwt_lifetime
        self._key = _key(auth)
        least = _LEAST[self._algorithm]
        if len(self._key.encode()) < least:
            raise ConfigError(f"auth.jwt_key: must have {least} characters or more for {self._algorithm}; {_REMEDY}")

    @property
    def seconds(self) -> int:
        """Seconds for which a token is of use."""
        return int(self._seconds)

    def sign(self, name: str, roles: Sequence[str]) -> str:
        """Give a token for a user with the names of its roles."""
        at = int(time.time())
        claims = {"iss": ISSUER, "sub": name, "roles": list(roles), "iat": at, "exp": at + self.seconds}
        return jwt.encode(claims, self._key, algorithm=self._algorithm)

    def read(self, text: str) -> tuple[str, list[str]]:
        """Give the user and the names of the roles; raises ``BadToken`` that says whether it has expired."""
        try:
            claims = jwt.decode(
                text,
                self._key,
                algorithms=[self._algorithm],
                issuer=ISSUER,
                # Clocks of several machines differ; what counts is when it ends.
                options={"require": ["iss", "sub", "exp", "iat"], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise BadToken("the token of the login has expired; log in again") from None
        except jwt.InvalidTokenError:
            # Without the cause, which may quote it.
            raise BadToken("the token is none that this service gave") from None
        name, roles = claims["sub"], claims.get("roles")
        if not USER.fullmatch(name) or not isinstance(roles, list) or not all(isinstance(each, str) for each in roles):
            raise BadToken("the token is none that this service gave")
        return name, roles


def _key(auth: Auth) -> str:
    if auth.jwt_key and auth.jwt_key_file:
        raise ConfigError("auth.jwt_key and auth.jwt_key_file: only one of them can be set")
    if not auth.jwt_key_file:
        if not auth.jwt_key:
            raise ConfigError(f"auth.jwt_key or auth.jwt_key_file: must be set, because there is a login; {_REMEDY}")
        return auth.jwt_key.text
    file = Path(auth.jwt_key_file).expanduser()
    try:
        text = file.read_text(encoding="ascii").strip()
        found = secret(text)
    except OSError as error:
        raise ConfigError(f"auth.jwt_key_file: {file}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Without the cause, which holds the text.
        raise ConfigError(f"auth.jwt_key_file: {file}: must hold visible ASCII characters; {_REMEDY}") from None
    except ValueError as error:
        raise ConfigError(f"auth.jwt_key_file: {file}: {error}") from None
    if not found:
        raise ConfigError(f"auth.jwt_key_file: {file}: is empty; {_REMEDY}")
    return found.text
