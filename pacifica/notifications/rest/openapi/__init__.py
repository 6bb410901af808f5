"""The description of the API: OpenAPI 3.1, made of the schemas that bodies are checked with and of our docstrings."""

from __future__ import annotations

from typing import Any

from ...config import Settings
from ...globals import VERSION
from .operations import paths
from .parts import SECURITY_SCHEMES
from .schemas import components
from .webhooks import webhooks

_ABOUT = """\
Takes CloudEvents in, finds the subscriptions that match, delivers them, and keeps a log.

Bodies are JSON in UTF-8. HEAD works wherever GET does, and `Allow` names the methods of a place. Errors are
`application/json` or, where the request accepts it, `application/problem+json` (RFC 9457); their `type` leads to a page
about them.
"""
_TAGS = {
    "Events": "Producers send events.",
    "Subscriptions": "Users say which events they want, and where to. What a caller sees is its own, or what its role"
    " reaches.",
    "Identity": "Who asks.",
    "Health": "Is it well.",
    "About": "What it is, and the rules that it checks with.",
    "Deliveries": "What targets get.",
}


def document(settings: Settings, place: str) -> dict[str, Any]:
    """Give the description; ``place`` is the path at which clients find the service."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pacifica Notifications",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": place}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths(settings.notifications.user_header),
        "webhooks": webhooks(),
        "components": {"schemas": components(settings.receive.max_batch), "securitySchemes": SECURITY_SCHEMES},
    }
