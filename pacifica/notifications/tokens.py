"""Named tokens: what is shown of one once, and the digest that is kept of it."""

from __future__ import annotations

import hashlib
import re
import secrets

#: What each begins with, so that one that leaked is recognised.
PREFIX = "pnt_"
_BYTES = 32
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new() -> str:
    """Make a token: the prefix, and 256 random bits as base64url."""
    return f"{PREFIX}{secrets.token_urlsafe(_BYTES)}"


def is_token(text: str) -> bool:
    """Tell whether a text has the form of one."""
    return bool(_FORM.fullmatch(text))


def digest(text: str) -> str:
    """Give what is stored of a token: SHA-256 in hex. It needs no salt, because no two tokens are guessed alike."""
    return hashlib.sha256(text.encode()).hexdigest()
