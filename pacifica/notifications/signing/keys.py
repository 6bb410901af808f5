"""The asymmetric signature ``v1a`` of Standard Webhooks 1.0.0 and its keys: Ed25519 (RFC 8032).

A private key stands in a setting or a file as ``ID:whsk_BASE64``: its 32 bytes and the 32 of the public one. A public
key is written ``whpk_BASE64``.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .standard import PRIVATE, PUBLIC

#: How a key is made; every refusal of one ends with it.
REMEDY = "make one with: pacifica-notifications-cmd create-key --signing"

_BYTES = 32
#: As it stands in a signature's parameters without anything to escape.
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its id; written anywhere by accident it shows only the id."""

    id: str
    seed: bytes = field(repr=False)
    private: Ed25519PrivateKey = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.id}:***"

    @property
    def text(self) -> str:
        """Give it as it stands in a setting or a file, the private key included."""
        return f"{self.id}:{PRIVATE}{base64.b64encode(self.seed + self.public).decode()}"

    @property
    def public(self) -> bytes:
        """Give the bytes of the public key."""
        return self.private.public_key().public_bytes_raw()

    @property
    def public_text(self) -> str:
        """Give the public key as Standard Webhooks writes it."""
        return PUBLIC + base64.b64encode(self.public).decode()

    def v1a(self, signed: bytes) -> str:
        """Give the asymmetric signature as it stands in the header."""
        return "v1a," + base64.b64encode(self.sign(signed)).decode()

    def sign(self, signed: bytes) -> bytes:
        """Give the signature of bytes."""
        return self.private.sign(signed)


def new_key(key_id: str) -> SigningKey:
    """Make a random key; raises ``ValueError`` for an id of another form."""
    return _key(key_id, secrets.token_bytes(_BYTES))


def read_key(text: str) -> SigningKey:
    """Read ``ID:whsk_BASE64``; raises ``ValueError``, without the text, for another form."""
    key_id, mark, encoded = text.strip().partition(":")
    try:
        found = base64.b64decode(encoded.strip().removeprefix(PRIVATE), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not mark or not _ID.fullmatch(key_id) or not encoded.strip().startswith(PRIVATE):
        raise ValueError(
            f"a key must be ID:{PRIVATE}BASE64, the id of small letters, digits, dots, dashes and underscores, 64 at"
            f" most; {REMEDY}"
        )
    if len(found) != 2 * _BYTES:
        raise ValueError(f"the key {key_id} must be {2 * _BYTES} bytes in base64; {REMEDY}")
    key = _key(key_id, found[:_BYTES])
    if key.public != found[_BYTES:]:
        raise ValueError(f"the key {key_id} has halves that do not belong together; {REMEDY}")
    return key


def read_keys(texts: Iterable[str]) -> tuple[SigningKey, ...]:
    """Read several; raises ``ValueError`` for each fault of one, and where two are the same or have an id."""
    keys = tuple(read_key(text) for text in texts)
    if len({key.id for key in keys}) < len(keys) or len({key.seed for key in keys}) < len(keys):
        raise ValueError(f"two keys are the same, or have the same id; {REMEDY}")
    return keys


def read_public(text: str) -> Ed25519PublicKey:
    """Read ``whpk_BASE64``; raises ``ValueError``, without the text, for another form."""
    try:
        found = base64.b64decode(text.removeprefix(PUBLIC), validate=True) if text.startswith(PUBLIC) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != _BYTES:
        raise ValueError(f"must be {PUBLIC} and {_BYTES} bytes in base64")
    return Ed25519PublicKey.from_public_bytes(found)


def is_right(public: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    """Tell whether a signature was made with the private key of a public one."""
    try:
        public.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _key(key_id: str, seed: bytes) -> SigningKey:
    if not _ID.fullmatch(key_id):
        raise ValueError("an id must be of small letters, digits, dots, dashes and underscores, 64 characters at most")
    return SigningKey(key_id, seed, Ed25519PrivateKey.from_private_bytes(seed))
