"""The policy server: ``POST {policy_url}/events/{user}`` with the event."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from urllib.parse import quote

from ..retry import Outcome
from ..transfer import Limits, Loop, Post, Transfers
from .base import Ask, Verdict

_HEADERS = (b"Content-Type: application/json",)


class PolicyGate:
    """Asks a Pacifica policy server."""

    def __init__(self, url: str, limits: Limits, loop: Loop | None = None) -> None:
        """Take the server's root, the limits that every question is under, and where to wait, if others wait there."""
        self._url = url.rstrip("/")
        self._transfers = Transfers(limits, loop)

    def __len__(self) -> int:
        """Count what is being asked."""
        return len(self._transfers)

    def start(self, asks: Iterable[Ask]) -> None:
        """Begin to ask."""
        self._transfers.start(
            Post(ask.key, f"{self._url}/events/{quote(ask.user, safe='')}", ask.body, _HEADERS) for ask in asks
        )

    def wait(self, seconds: float) -> list[tuple[Hashable, Verdict]]:
        """Give the verdicts that have come."""
        return [(key, _verdict(outcome)) for key, outcome in self._transfers.wait(seconds)]

    def close(self) -> list[Hashable]:
        """Break off what is being asked."""
        return self._transfers.close()


def _verdict(outcome: Outcome) -> Verdict:
    """2xx allows, 4xx refuses; anything else is no answer."""
    said = f"the policy server {outcome.reason}" if outcome.status else f"the policy server: {outcome.reason}"
    allowed = True if outcome.delivered else False if 400 <= (outcome.status or 0) < 500 else None
    return Verdict(allowed, said, outcome.status)
