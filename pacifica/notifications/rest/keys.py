"""``/keys``: the public keys with which receivers verify what the service signs."""

from __future__ import annotations

import base64
from typing import Any

from .. import orm
from ..signing.keys import SigningKey
from . import answers


class Keys:
    """The keys as a JSON Web Key Set (RFC 7517, RFC 8037), each as Standard Webhooks writes it too; for everybody."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give the public key of every key that signs."""
        answers.nothing_more(path, query)
        return {"keys": [_shown(key) for key in orm.signing_keys()]}


def _shown(key: SigningKey) -> dict[str, str]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "kid": key.id,
        "x": base64.urlsafe_b64encode(key.public).decode().rstrip("="),
        "whpk": key.public_text,
    }
