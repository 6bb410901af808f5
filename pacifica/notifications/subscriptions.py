"""What a valid subscription is; all faults of a body at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urlsplit

from . import addresses, documents, events, jsonpath, retry
from .errors import InvalidJSONPath, InvalidSubscription
from .globals import MASK
from .matching.hints import hints as hints_of
from .members import READ_ONLY, REQUIRED, SCHEMA, VERSION, WRITABLE
from .signing import member as signing

#: What a user is called: visible ASCII without the comma, with which servers join headers that were sent twice.
USER = re.compile(r"[!-+\--~]{1,255}")
#: Members that are left alone when a PUT says what they are.
_GIVEN = frozenset((*READ_ONLY, "disabled"))

#: What of a URL says where it leads.
_BEGINNING = re.compile(r"[^:/?#]*://[^/?#]*")
_PORTS = {"http": 80, "https": 443}
#: Characters of a place; a name that resolves has 253.
_LONGEST_PLACE = 300

_MEMBERS = documents.validator(SCHEMA["definitions"]["eventmatch"])


def validate(
    body: Any,
    stored: Mapping[str, Any] | None = None,
    bounds: jsonpath.Bounds | None = None,
    max_name: int = 255,
) -> dict[str, Any]:
    """Check what a user sent and give the members to write, ``disabled`` as a truth value.

    ``stored`` is the subscription that a PUT changes, as its owner sees it, with its secrets in clear; without it the
    body must be a whole new one. Raises ``InvalidSubscription`` that names every fault.
    """
    if not isinstance(body, dict):
        raise InvalidSubscription({"": "must be a JSON object, one subscription"})
    if stored is not None:
        # What GET gave may come back, also where a setting gives times in a form that is not taken otherwise.
        given = {name for name in _GIVEN & body.keys() if body[name] and body[name] == stored.get(name)}
        body = {name: value for name, value in body.items() if name not in given}
    faults = documents.faults(_MEMBERS, body)
    faults |= _read_only_faults(body, stored)
    if stored is None:
        faults |= {f"/{name}": "is required" for name in REQUIRED if name not in body}
    wanted = {name: body[name] for name in WRITABLE if name in body}
    for name, check in (("name", _name(max_name)), ("jsonpath", _jsonpath(bounds)), ("target_url", target_faults)):
        if name in wanted and f"/{name}" not in faults:
            faults |= {f"/{name}": message for message in check(wanted[name])}
    if "auth" in wanted and not any(pointer.startswith("/auth") for pointer in faults):
        wanted["auth"], unmasked = _unmask(wanted["auth"], (stored or {}).get("auth") or {})
        faults |= unmasked
    if "signing" in wanted and not any(pointer.startswith("/signing") for pointer in faults):
        wanted["signing"], unsigned = signing.completed(wanted["signing"] or {}, (stored or {}).get("signing") or {})
        faults |= unsigned
    if "retry" in wanted and not any(pointer.startswith("/retry") for pointer in faults):
        faults |= _retry_faults(wanted["retry"])
    if faults:
        raise InvalidSubscription(faults)
    if (wanted.get("limits") or {}).get("in_flight"):
        # JSON has one sort of numbers: 2.0 is a whole one.
        wanted["limits"] = wanted["limits"] | {"in_flight": int(wanted["limits"]["in_flight"])}
    if "disabled" in wanted:
        wanted["disabled"] = wanted["disabled"] is not None
    return wanted


def _read_only_faults(body: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, str]:
    """Refuse members that the service sets, unless they say what is so already."""
    harmless: dict[str, Any] = {"version": VERSION, "error": None}
    faults = {}
    for name in READ_ONLY:
        if name not in body or (name in harmless and body[name] == harmless[name]):
            continue
        if stored is None or not _same(body[name], stored[name]):
            faults[f"/{name}"] = "is set by the service and can't be written; leave it out"
    return faults


def _same(sent: Any, stored: Any) -> bool:
    """Compare what was sent with what an answer says, times by their moment."""
    if sent == stored:
        return True
    if not isinstance(sent, str) or not isinstance(stored, str):
        return False
    left, right = (documents.rfc3339(text, zone_required=False) for text in (sent, stored))
    return left is not None and left == right


def _name(longest: int) -> Any:
    def check(text: str) -> list[str]:
        if "\0" in text:
            return ["must not hold the character U+0000"]
        return [f"has {len(text)} characters, at most {longest} are taken"] if len(text) > longest else []

    return check


def _jsonpath(bounds: jsonpath.Bounds | None) -> Any:
    def check(text: str) -> list[str]:
        try:
            jsonpath.parse(text, bounds)
        except InvalidJSONPath as error:
            return [str(error)]
        return []

    return check


def target_faults(text: str) -> list[str]:
    """Find what is wrong with a target's URL as a text (RFC 3986; http and https only)."""
    if re.search(r"[\s\\\u0000-\u001f\u007f]", text):
        return ["must hold no spaces, backslashes or control characters; percent-encode them"]
    authority = text.partition("://")[2]
    if "@" in re.split(r"[/?#]", authority)[0]:
        return ["must not carry a user or a password; put them into auth"]
    if "#" in text:
        return ["must have no fragment (#…); it would never be sent"]
    try:
        addresses.read(text)
    except ValueError as error:
        return [str(error)]
    return (
        [] if text.isascii() else ["must hold ASCII alone; percent-encode what is beyond it, as %C3%A9 for é in UTF-8"]
    )


def place(target_url: str) -> str:
    """Give the scheme, host and port of a target, such as ``https://example.com:443``; equal ones are one target.

    A URL that names none, as an old row may have it, gives the empty text: nothing can be sent there.
    """
    beginning = _BEGINNING.match(target_url)
    return _place(beginning[0] if beginning else target_url)


@lru_cache(maxsize=10000)
def _place(target_url: str) -> str:
    """Find it once for many URLs: a router has one of every subscription."""
    try:
        parts = urlsplit(target_url)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            host = f"[{IPv6Address(host)}]"
    except ValueError:
        return ""
    found = f"{parts.scheme}://{host}:{port or _PORTS.get(parts.scheme)}"
    return found if host and parts.scheme in _PORTS and len(found) <= _LONGEST_PLACE else ""


def _retry_faults(sent: Mapping[str, Any] | None) -> dict[str, str]:
    """Find what each member of ``retry`` by itself does not show: delays that begin beyond their longest."""
    policy = retry.policy(sent, retry.Schedule(()))
    if isinstance(policy, retry.Schedule) or policy.cap >= policy.base:
        return {}
    if sent and "cap" in sent:
        return {"/retry/cap": f"must be at least base, which is {policy.base:g}"}
    return {"/retry/base": f"must be at most cap, which is {policy.cap:g} unless it is sent"}


def _unmask(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Put the stored secret in place of a mask that was sent back; a mask of nothing is a fault."""
    auth = {name: dict(value) if isinstance(value, dict) else value for name, value in sent.items()}
    faults = {}
    for kind, secret in SECRETS.items():
        if kind not in auth or auth[kind].get(secret) != MASK:
            continue
        if secret not in stored.get(kind, {}):
            faults[f"/auth/{kind}/{secret}"] = f"is the mask {MASK} of a value that is not stored; send the value"
        else:
            auth[kind][secret] = stored[kind][secret]
    return auth, faults


def brings_secrets(body: Mapping[str, Any]) -> bool:
    """Tell whether a valid body has ``auth`` with no secret masked: then its answer may show them."""
    auth = body.get("auth")
    return auth is not None and all(auth[kind][secret] != MASK for kind, secret in SECRETS.items() if kind in auth)


#: The member of each kind of ``auth`` that is masked in answers.
SECRETS = {"basic": "password", "header": "credentials"}


def masked(auth: Mapping[str, Any]) -> dict[str, Any]:
    """Give ``auth`` with ``***`` in place of its secrets."""
    return {
        name: {**value, SECRETS[name]: MASK} if name in SECRETS and isinstance(value, Mapping) else value
        for name, value in auth.items()
    }


def revealed(shown: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give the answer to a request from one all in clear: with the secrets that its valid body set, others masked."""
    found = dict(shown)
    if not brings_secrets(sent):
        found["auth"] = masked(shown["auth"])
    if "signing" in shown:
        found["signing"] = signing.revealed(shown["signing"], sent.get("signing"))
    return found


def hints(subscription: Mapping[str, Any], bounds: jsonpath.Bounds | None = None) -> list[str]:
    """Give advice about a subscription that is valid and yet may not do what its owner expects."""
    found = [f"jsonpath: {sentence}" for sentence in _about(subscription.get("jsonpath"), bounds)]
    left_out = events.unusable_extensions(subscription.get("extensions") or {})
    if left_out:
        found.append(
            f"extensions: {', '.join(left_out)} can't be an attribute of a CloudEvents 1.0 event"
            " and is added to 0.1 events only"
        )
    return found


def _about(text: str | None, bounds: jsonpath.Bounds | None) -> list[str]:
    """Give advice about an expression; an older release, or wider bounds, may have let one in that is not taken now."""
    if text is None:
        return []
    try:
        return hints_of(text, bounds)
    except InvalidJSONPath as error:
        return [f"{error}; it matches nothing until you send another one"]
