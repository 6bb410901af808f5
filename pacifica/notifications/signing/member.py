"""The member ``signing`` of a subscription: what a valid one is, and what of it is shown.

Stored is ``{"schemes": […], "secret": "whsec_…", "previous": {"secret": "whsec_…", "until": RFC 3339}}``, the latter
two only where a scheme has a secret, and while an older one signs too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import documents
from ..globals import MASK
from .messages import ED25519, HMAC
from .standard import new_secret, read_secret

#: The schemes, and those of them that sign with the subscription's own secret, and with the service's own keys.
SCHEMES = ("v1", "v1a", HMAC, ED25519)
WITH_SECRET, OF_SERVICE = frozenset({"v1", HMAC}), frozenset({"v1a", ED25519})


def completed(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Give what is to be stored for a value that its schema allows, and what is wrong with it.

    A mask stands for what is stored; a secret that is not sent is made; the previous one that is not sent is the one
    that is replaced.
    """
    if not sent:
        return {}, {}
    found: dict[str, Any] = {"schemes": list(sent["schemes"])}
    faults: dict[str, str] = {}
    secret, previous = sent.get("secret"), sent.get("previous")
    if WITH_SECRET.isdisjoint(found["schemes"]):
        needless = f"is for the schemes {', '.join(sorted(WITH_SECRET))}; leave it out"
        return found, {f"/signing/{name}": needless for name in ("secret", "previous") if sent.get(name)}
    if secret is None:
        secret = new_secret()
    found["secret"] = _secret(secret, stored.get("secret"), "/signing/secret", faults)
    if previous:
        place, before = "/signing/previous/secret", stored.get("previous") or {}
        old = previous.get("secret")
        if old is None and "secret" in stored and stored["secret"] != found["secret"]:
            old = stored["secret"]
        elif old is None:
            faults[place] = "is required where the secret does not replace one that is stored"
        old = _secret(old, before.get("secret"), place, faults)
        found["previous"] = {"secret": old, "until": _utc(previous["until"])}
    return found, faults


def _secret(sent: str | None, stored: str | None, place: str, faults: dict[str, str]) -> str | None:
    """Give a secret for one that was sent; what is wrong with it is added to the faults."""
    if sent == MASK:
        if stored is None:
            faults[place] = f"is the mask {MASK} of a value that is not stored; send the value, or leave it out"
        return stored
    try:
        read_secret(sent or "")
    except ValueError as error:
        faults.setdefault(place, str(error))
    return sent


def _utc(text: str) -> str:
    """Give a time that its schema allows in UTC."""
    moment = documents.rfc3339(text)
    return text if moment is None else moment.isoformat() + "Z"


def masked(signing: Mapping[str, Any]) -> dict[str, Any]:
    """Give it with ``***`` in place of its secrets."""
    return _with(signing, False, False)


def revealed(signing: Mapping[str, Any], sent: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give it with those secrets in clear that the request with ``sent`` set, made ones too."""
    if not sent:
        return masked(signing)
    previous = (sent.get("previous") or {}).get("secret")
    return _with(signing, sent.get("secret") != MASK, previous not in (None, MASK))


def _with(signing: Mapping[str, Any], secret: bool, previous: bool) -> dict[str, Any]:
    """Give it with its secrets in clear or masked."""
    found = dict(signing)
    if "secret" in found and not secret:
        found["secret"] = MASK
    if "previous" in found and not previous:
        found["previous"] = found["previous"] | {"secret": MASK}
    return found
