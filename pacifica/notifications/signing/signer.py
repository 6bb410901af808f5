"""Signs the attempts of one subscription."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from . import messages, standard
from .keys import SigningKey
from .member import OF_SERVICE, SCHEMES, WITH_SECRET

_STANDARD, _MESSAGES = frozenset({"v1", "v1a"}), frozenset({messages.HMAC, messages.ED25519})


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a subscription; it signs until a time, in seconds since 1970, if one is named."""

    key: bytes = field(repr=False)
    until: float = float("inf")


class Attempt(NamedTuple):
    """What is signed of an attempt; ``lines`` are the header lines of the event's attributes."""

    delivery: str
    url: str
    body: bytes
    content_type: str = ""
    lines: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Signer:
    """How the attempts of a subscription are signed; without schemes they are not.

    ``name`` stands beside a signature with a secret as the id of its key.
    """

    schemes: frozenset[str] = frozenset()
    secrets: tuple[Secret, ...] = ()
    keys: tuple[SigningKey, ...] = ()
    name: str = ""

    @property
    def lacks_key(self) -> bool:
        """Tell whether the service has to sign with a key of its own, and has none."""
        return not self.keys and not OF_SERVICE.isdisjoint(self.schemes)

    @classmethod
    def of(cls, signing: Mapping[str, Any], keys: tuple[SigningKey, ...] = (), name: str = "") -> Signer:
        """Make it of the stored member ``signing``, the service's keys, and the subscription's uuid.

        Raises ``LookupError``, ``TypeError`` or ``ValueError`` for a member that is none.
        """
        if not signing:
            return cls()
        schemes, found = frozenset(signing["schemes"]), []
        if not schemes or not schemes <= set(SCHEMES):
            raise ValueError("not a scheme of this release")
        if not WITH_SECRET.isdisjoint(schemes):
            found.append(Secret(standard.read_secret(signing["secret"])))
        if "previous" in signing:
            until = datetime.fromisoformat(signing["previous"]["until"]).timestamp()
            found.append(Secret(standard.read_secret(signing["previous"]["secret"]), until))
        return cls(schemes, tuple(found), keys, name)

    def lines(self, attempt: Attempt, now: float) -> list[bytes]:
        """Give the header lines that sign one attempt, which begins now, in seconds since 1970."""
        at = int(now)
        secrets = [secret.key for secret in self.secrets if now < secret.until]
        named = {standard.ID: attempt.delivery, standard.TIMESTAMP: str(at)}
        if not _STANDARD.isdisjoint(self.schemes):
            content = standard.content(attempt.delivery, at, attempt.body)
            signatures = [standard.v1(secret, content) for secret in secrets] if "v1" in self.schemes else []
            signatures += [key.v1a(content) for key in self.keys] if "v1a" in self.schemes else []
            named[standard.SIGNATURE] = " ".join(signatures)
        if not _MESSAGES.isdisjoint(self.schemes):
            named |= self._messages(attempt, at, secrets)
        return [f"{name}: {value}".encode() for name, value in named.items()]

    def _messages(self, attempt: Attempt, at: int, secrets: Iterable[bytes]) -> dict[str, str]:
        """Give the headers of RFC 9421: where the attempt goes, all attributes in headers and the body are covered."""
        digest = messages.digest(attempt.body)
        covered = {"@method": "POST", "@target-uri": messages.target_uri(attempt.url)}
        if attempt.content_type:
            covered["content-type"] = attempt.content_type.strip()
        covered |= {messages.DIGEST: digest, standard.ID: attempt.delivery}
        for line in attempt.lines:
            name, _, value = line.decode().partition(":")
            covered[name.lower()] = value.strip()
        signed = []
        if messages.HMAC in self.schemes:
            params = messages.parameters(covered, at, self.name, messages.HMAC)
            content = messages.base(covered.items(), params)
            signed += [(params, standard.hmac_sha256(secret, content)) for secret in secrets]
        for key in self.keys if messages.ED25519 in self.schemes else ():
            params = messages.parameters(covered, at, key.id, messages.ED25519)
            signed.append((params, key.sign(messages.base(covered.items(), params))))
        return {messages.DIGEST: digest, **messages.written(signed)}
