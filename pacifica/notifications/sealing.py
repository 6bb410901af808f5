"""Secrets at rest: what is stored of them, and the keys that seal and open it.

AES-256-GCM (NIST SP 800-38D). What is stored is one text, ``{"key": ID, "sealed": BASE64}``: the id of the key, and a
nonce of 12 random bytes followed by the ciphertext with its tag of 16. The kind of the secret, the owner and the uuid
of its row are authenticated with it, so that a value that was copied into another row does not open there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import BrokenSeal, UnknownKey

#: How a key is made; every refusal of one ends with it.
REMEDY = "make one with: pacifica-notifications-cmd create-key"
#: What every sealed text begins with, and nothing else does.
BEGINNING = '{"key": "'

_BYTES, _NONCE = 32, 12
#: In small letters, because not every database tells them from capitals.
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: Of 32 random bytes fewer than this are different in one case of 10^22.
_DIFFERENT = 16


@dataclass(frozen=True, slots=True)
class Key:
    """A key and its id; written anywhere by accident it shows only the id."""

    id: str
    secret: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.id}:***"

    @property
    def text(self) -> str:
        """Give it as it stands in a setting or a file, the secret included."""
        return f"{self.id}:{base64.b64encode(self.secret).decode()}"


def new_key(key_id: str) -> Key:
    """Make a random key; raises ``ValueError`` for an id of another form."""
    return read_key(Key(key_id, secrets.token_bytes(_BYTES)).text)


def read_key(text: str) -> Key:
    """Read ``ID:BASE64``; raises ``ValueError``, without the text, for another form and for what is not random."""
    key_id, mark, encoded = text.strip().partition(":")
    if not mark or not _ID.fullmatch(key_id):
        raise ValueError(
            "a key must be ID:BASE64, the id of small letters, digits, dots, dashes and underscores, 64 at most; "
            + REMEDY
        )
    try:
        secret = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _BYTES:
        raise ValueError(f"the key {key_id} must be {_BYTES} bytes in base64; {REMEDY}")
    if _weak(secret):
        raise ValueError(f"the key {key_id} is not random, as an example or a pass phrase is not; {REMEDY}")
    return Key(key_id, secret)


def read_keys(texts: Iterable[str]) -> tuple[Key, ...]:
    """Read several, the first one first; raises ``ValueError`` for each fault of one, and where two have an id."""
    keys = tuple(read_key(text) for text in texts)
    if len({key.id for key in keys}) < len(keys) or len({key.secret for key in keys}) < len(keys):
        raise ValueError(f"two keys are the same, or have the same id; {REMEDY}")
    return keys


def _weak(secret: bytes) -> bool:
    """Tell whether bytes are a text, a sequence or a repetition, which random ones never are."""
    return secret.isascii() or len(set(secret)) < _DIFFERENT or len(_steps(secret)) == 1


def _steps(secret: bytes) -> set[int]:
    return {(after - before) % 256 for before, after in pairwise(secret)}


def key_id(text: str | None) -> str | None:
    """Give the id of the key that a stored text was sealed with, at most 64 characters; None if it is not sealed."""
    if not text or not text.startswith(BEGINNING):
        return None
    return text[len(BEGINNING) :].partition('"')[0][:64]


class Keyring:
    """The keys of a process: the first one seals, each of them opens."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """Take keys as ``read_keys`` gives them."""
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self.ids = tuple(self._ciphers)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.ids)})"

    def seal(self, value: Mapping[str, Any], kind: str, owner: str, uuid: UUID) -> str:
        """Give the text to store for an object; there must be a key."""
        first, nonce = self.ids[0], secrets.token_bytes(_NONCE)
        sealed = nonce + self._ciphers[first].encrypt(nonce, json.dumps(value).encode(), _place(kind, owner, uuid))
        return json.dumps({"key": first, "sealed": base64.b64encode(sealed).decode()})

    def open(self, text: str, kind: str, owner: str, uuid: UUID) -> dict[str, Any]:
        """Give the object of a stored text that ``key_id`` knows for sealed.

        Raises ``UnknownKey`` where none of these keys sealed it, ``BrokenSeal`` where it was changed, or was sealed for
        another row. Both name the id of the key and nothing of the secret.
        """
        used = key_id(text) or ""
        if used not in self._ciphers:
            raise UnknownKey(f"{kind} is sealed with the key {used!r}, which is not among secrets.keys")
        try:
            sealed = base64.b64decode(json.loads(text)["sealed"], validate=True)
            opened = self._ciphers[used].decrypt(sealed[:_NONCE], sealed[_NONCE:], _place(kind, owner, uuid))
            value = json.loads(opened)
        except (InvalidTag, LookupError, TypeError, ValueError):
            # Without the cause: what a parser could not read stands in its text.
            raise BrokenSeal(
                f"{kind} can't be opened with the key {used!r}: it was changed, or belongs to another subscription"
            ) from None
        found: dict[str, Any] = value
        return found


def _place(kind: str, owner: str, uuid: UUID) -> bytes:
    """Give what is authenticated: JSON, so that no two places have the same."""
    return json.dumps([kind, owner, str(uuid)]).encode()
