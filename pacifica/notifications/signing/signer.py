"""Signs the attempts of one subscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import standard
from .keys import SigningKey
from .member import OF_SERVICE


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a subscription; it signs until a time, in seconds since 1970, if one is named."""

    key: bytes
    until: float = float("inf")


@dataclass(frozen=True, slots=True)
class Signer:
    """How the attempts of a subscription are signed; without schemes they are not."""

    schemes: frozenset[str] = frozenset()
    secrets: tuple[Secret, ...] = ()
    keys: tuple[SigningKey, ...] = ()

    @property
    def lacks_key(self) -> bool:
        """Tell whether the service has to sign with a key of its own, and has none."""
        return not self.keys and not OF_SERVICE.isdisjoint(self.schemes)

    @classmethod
    def of(cls, signing: Mapping[str, Any], keys: tuple[SigningKey, ...] = ()) -> Signer:
        """Make it of the stored member ``signing`` and the service's keys.

        Raises ``LookupError``, ``TypeError`` or ``ValueError`` for a member that is none.
        """
        if not signing:
            return cls()
        found = []
        if "secret" in signing:
            found.append(Secret(standard.read_secret(signing["secret"])))
        if "previous" in signing:
            until = datetime.fromisoformat(signing["previous"]["until"]).timestamp()
            found.append(Secret(standard.read_secret(signing["previous"]["secret"]), until))
        return cls(frozenset(signing["schemes"]), tuple(found), keys)

    def lines(self, delivery: str, body: bytes, now: float) -> list[bytes]:
        """Give the header lines that sign one attempt, which begins now, in seconds since 1970."""
        at = int(now)
        content = standard.content(delivery, at, body)
        signatures = []
        if "v1" in self.schemes:
            signatures += [standard.v1(secret.key, content) for secret in self.secrets if now < secret.until]
        if "v1a" in self.schemes:
            signatures += [key.v1a(content) for key in self.keys]
        named = {standard.ID: delivery, standard.TIMESTAMP: at, standard.SIGNATURE: " ".join(signatures)}
        return [f"{name}: {value}".encode() for name, value in named.items()]
