"""For receivers in Python, of any framework: verifies that a delivery is from the service, and tells if it came before.

Loads nothing else of the service but what says how signatures are made (Standard Webhooks 1.0.0, RFC 9421), and the
package ``cryptography`` only for public keys.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .signing import messages, standard

#: Headers as most frameworks have them, or as pairs of names and values; names in letters of any case.
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
#: Tells of a signature, with the name of its scheme, whether it is right for what was signed.
Check = Callable[[str, bytes, bytes], bool]

#: Signatures of one delivery that are looked at: more than any sender has keys.
_MOST = 16


class VerificationError(ValueError):
    """The delivery is not to be believed; the text says why. Answer 401."""


class MissingHeader(VerificationError):
    """A header of signed deliveries is not there, or is there twice."""


class OutOfTime(VerificationError):
    """It was signed too long ago, or is from the future: somebody may send an old one again."""


class WrongSignature(VerificationError):
    """No signature is right: not of one of the keys, or not of this body."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A delivery that is from the service: its id, the same over all its attempts, and when this one was signed."""

    id: str
    timestamp: int


def verify(
    headers: Headers, body: bytes, keys: Iterable[str], tolerance: float = 300.0, now: float | None = None
) -> Verified:
    """Verify a delivery by the schemes ``v1`` and ``v1a``; any of the keys will do.

    ``keys`` are secrets (``whsec_…``) and public keys (``whpk_…``), ``body`` the bytes as they came. ``tolerance`` are
    the seconds by which the clocks may differ, ``now`` the seconds since 1970 if not the clock's. Raises
    ``VerificationError``, and ``ValueError`` for a key that is none.
    """
    return _verified(headers, body, _checks(keys), tolerance, time.time() if now is None else now)


def verify_message(
    method: str,
    url: str,
    headers: Headers,
    body: bytes,
    keys: Iterable[str],
    tolerance: float = 300.0,
    now: float | None = None,
) -> Verified:
    """Verify a delivery by the schemes ``hmac-sha256`` and ``ed25519`` (RFC 9421); the rest is as for ``verify``.

    ``url`` is the ``target_url`` of the subscription, with scheme and host. A signature counts only if it covers the
    method, the URL, the body by its digest, the delivery's id, and of the headers ``Content-Type`` and every ``ce-``.
    """
    found = _fields(headers, (messages.DIGEST, messages.INPUT, messages.SIGNATURE, standard.ID))
    for name in (messages.INPUT, messages.SIGNATURE):
        if len(found[name]) > messages.LONGEST:
            raise VerificationError(f"{name} is longer than {messages.LONGEST} characters")
    if not messages.is_digest(found[messages.DIGEST], body):
        raise WrongSignature(f"{messages.DIGEST} is not that of this body")
    values = found | {"@method": method, "@target-uri": messages.target_uri(url)}
    needed = {"@method", "@target-uri", messages.DIGEST, standard.ID, *(found.keys() & {"content-type"})}
    needed |= {name for name in found if name.startswith("ce-")}
    checks, moment = _checks(keys), time.time() if now is None else now
    why = f"{messages.SIGNATURE} has no signature of one of the keys for this message"
    for signature in messages.read(found[messages.INPUT], found[messages.SIGNATURE])[:_MOST]:
        covered = signature.components
        if not needed <= set(covered) or not set(covered) <= values.keys():
            why = f"{messages.SIGNATURE} does not cover all of {', '.join(sorted(needed))}"
            continue
        content = messages.base([(name, values[name].strip()) for name in covered], signature.parameters)
        said = signature.said.get("alg")
        algorithms = [said] if said else [messages.HMAC, messages.ED25519]
        if any(check(algorithm, signature.value, content) for check in checks for algorithm in algorithms):
            created = _in_time("created", signature.said.get("created", ""), tolerance, moment)
            if moment > float(signature.said.get("expires", "inf")):
                raise OutOfTime("the signature has expired")
            return Verified(found[standard.ID], created)
    raise WrongSignature(why)


class Seen(Protocol):
    """Remembers deliveries; a table of a database does it for several processes, and over restarts."""

    def add(self, delivery: str) -> bool:
        """Remember an id; tell whether it was new. Of two that ask at the same time one is told so."""

    def forget(self, delivery: str) -> None:
        """Remember it no longer: its work failed, so that it may come again."""


class Recent:
    """Remembers the last deliveries in memory; may be used by many threads."""

    def __init__(self, most: int = 100_000) -> None:
        """Take how many are remembered: each takes some 150 bytes. Beyond that the oldest is forgotten."""
        self._most = most
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, delivery: str) -> bool:
        """Remember an id; tell whether it was new."""
        with self._lock:
            if delivery in self._ids:
                return False
            self._ids[delivery] = None
            if len(self._ids) > self._most:
                del self._ids[next(iter(self._ids))]
            return True

    def forget(self, delivery: str) -> None:
        """Remember it no longer; an unknown one is no error."""
        with self._lock:
            self._ids.pop(delivery, None)


class Receiver:
    """Takes each delivery once: verifies it, and tells whether it came before."""

    def __init__(self, keys: Iterable[str], tolerance: float = 300.0, seen: Seen | None = None) -> None:
        """Take the keys and the tolerance as ``verify`` has them, and what remembers, by default ``Recent``.

        Raises ``ValueError`` for a key that is none.
        """
        self._checks = _checks(keys)
        self._tolerance = tolerance
        self.seen: Seen = Recent() if seen is None else seen

    def take(self, headers: Headers, body: bytes) -> Verified | None:
        """Give a delivery that came for the first time, None for one that came before: answer 2xx to both.

        Raises ``VerificationError``. Where its work fails, say ``seen.forget``, and answer 5xx.
        """
        found = _verified(headers, body, self._checks, self._tolerance, time.time())
        return found if self.seen.add(found.id) else None


def _verified(headers: Headers, body: bytes, checks: Iterable[Check], tolerance: float, now: float) -> Verified:
    found = _fields(headers, standard.HEADERS)
    delivery = found[standard.ID]
    if "." in delivery:
        # What is signed is id, time and body with dots between them (Standard Webhooks, section "Signature scheme").
        raise VerificationError(f"{standard.ID} has a dot: where the id ends could be said in several ways")
    timestamp = _in_time(standard.TIMESTAMP, found[standard.TIMESTAMP], tolerance, now)
    content = standard.content(delivery, timestamp, body)
    for signature in found[standard.SIGNATURE].split()[:_MOST]:
        scheme, _, encoded = signature.partition(",")
        try:
            value = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if any(check(scheme, value, content) for check in checks):
            return Verified(delivery, timestamp)
    raise WrongSignature(f"{standard.SIGNATURE} has no signature of one of the keys for this body")


def _in_time(name: str, text: str, tolerance: float, now: float) -> int:
    """Read when something was signed; raises ``OutOfTime``."""
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise OutOfTime(f"{name} must be seconds since 1970")
    timestamp = int(text)
    if abs(now - timestamp) > tolerance:
        when = "ago" if now > timestamp else "from now"
        raise OutOfTime(f"{name} is {abs(now - timestamp):.0f} seconds {when}, at most {tolerance:g} may be")
    return timestamp


def _fields(headers: Headers, needed: Collection[str]) -> dict[str, str]:
    """Give the headers of a delivery; those that are needed, and what describes the event, must be there once."""
    pairs = headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key in found and (key in needed or key == "content-type" or key.startswith("ce-")):
            raise MissingHeader(f"{key} is there twice")
        found[key] = value
    missing = [name for name in needed if not found.get(name)]
    if missing:
        raise MissingHeader(f"{', '.join(missing)} missing: the delivery is not signed")
    return found


def _checks(keys: Iterable[str]) -> list[Check]:
    """Give a check for each key; raises ``ValueError`` without the key, also where there is none."""
    found = [_check(number, key) for number, key in enumerate([keys] if isinstance(keys, str) else keys, 1)]
    if not found:
        raise ValueError("keys: there must be one at least")
    return found


def _check(number: int, key: str) -> Check:
    try:
        return _check_of_public(key) if key.startswith(standard.PUBLIC) else _check_of_secret(key)
    except ValueError as error:
        raise ValueError(f"keys: number {number} {error}") from None


def _check_of_secret(key: str) -> Check:
    secret = standard.read_secret(key)

    def check(scheme: str, value: bytes, content: bytes) -> bool:
        return scheme in ("v1", messages.HMAC) and hmac.compare_digest(standard.hmac_sha256(secret, content), value)

    return check


def _check_of_public(key: str) -> Check:
    # Here, because who has only secrets needs nothing but Python for them.
    from .signing import keys

    public = keys.read_public(key)
    return lambda scheme, value, content: scheme in ("v1a", messages.ED25519) and keys.is_right(public, value, content)
