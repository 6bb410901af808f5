"""Standard Webhooks 1.0.0: what is signed, and the symmetric signature ``v1`` with its secrets."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

#: The headers of a signed delivery (section "Webhook headers").
ID, TIMESTAMP, SIGNATURE = HEADERS = "webhook-id", "webhook-timestamp", "webhook-signature"
#: What every secret begins with, every private and every public key.
SECRET, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
#: Bytes that a secret has at least and at most (section "Signature scheme"), and one that we make.
SHORTEST, LONGEST, _OURS = 24, 64, 32


def new_secret() -> str:
    """Make a random secret."""
    return SECRET + base64.b64encode(secrets.token_bytes(_OURS)).decode()


def read_secret(text: str) -> bytes:
    """Give the bytes of a secret; raises ``ValueError``, without the text, for another form."""
    try:
        found = base64.b64decode(text.removeprefix(SECRET), validate=True) if text.startswith(SECRET) else b""
    except (binascii.Error, ValueError):
        found = b""
    if not SHORTEST <= len(found) <= LONGEST:
        raise ValueError(f"must be {SECRET} and {SHORTEST} to {LONGEST} random bytes in base64")
    return found


def content(delivery: str, timestamp: int, body: bytes) -> bytes:
    """Give what is signed; the timestamp is in seconds."""
    return b"%b.%d.%b" % (delivery.encode(), timestamp, body)


def v1(secret: bytes, signed: bytes) -> str:
    """Give the symmetric signature, HMAC-SHA256, as it stands in the header."""
    return "v1," + base64.b64encode(hmac_sha256(secret, signed)).decode()


def hmac_sha256(secret: bytes, signed: bytes) -> bytes:
    """Give an HMAC-SHA256 (RFC 2104)."""
    return hmac.digest(secret, signed, "sha256")
