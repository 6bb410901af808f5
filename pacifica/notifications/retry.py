"""What an attempt came to, and how long to wait before the next."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Failure(StrEnum):
    """Why an attempt brought no 2xx."""

    DNS = "dns"
    REFUSED = "refused"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    REDIRECT = "redirect"
    HTTP = "http"
    FORBIDDEN = "forbidden"


#: Statuses with which a target says that it has too much to do.
BUSY = frozenset({429, 503})
_UNSENT = frozenset({Failure.HTTP, Failure.FORBIDDEN})
_OF_THE_TARGET = frozenset({Failure.DNS, Failure.REFUSED, Failure.TLS, Failure.TIMEOUT, Failure.RESET})


class State(StrEnum):
    """Where a delivery stands; every state but ``pending`` is terminal."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REFUSED = "refused"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Outcome(NamedTuple):
    """The result of one HTTP exchange: a status or a failure, seconds it took, the beginning of the answer.

    ``forbidden``, where the address policy let nothing be sent: then ``refusal`` says why, and it is no attempt.
    ``retry_after`` are the seconds for which a target that is busy (429, 503) asked to be left alone, as it said them:
    not negative, without any upper bound.
    """

    status: int | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    answer: bytes = b""
    retry_after: float | None = None
    refusal: str = ""

    @classmethod
    def of_status(cls, status: int, seconds: float, answer: bytes, retry_after: float | None = None) -> Outcome:
        """Read an answer: 2xx is success, a redirect is a failure because it is never followed."""
        failure = None if 200 <= status < 300 else Failure.REDIRECT if 300 <= status < 400 else Failure.HTTP
        return cls(status, failure, seconds, answer, retry_after)

    @property
    def delivered(self) -> bool:
        """Whether the target took the delivery."""
        return self.failure is None and self.status is not None

    @property
    def permanent(self) -> bool:
        """Whether the target said that it never wants anything again (410, RFC 9110, section 15.5.11)."""
        return self.status == 410

    @property
    def counts_for_target(self) -> bool:
        """Whether it says something about the target as a whole, not only about what this subscription sent there."""
        if self.status is not None:
            return self.status in BUSY
        return self.failure in _OF_THE_TARGET

    @property
    def unsent(self) -> bool:
        """Whether nothing was sent, or what came back was no HTTP: it says nothing of the target."""
        return self.status is None and self.failure in _UNSENT

    @property
    def reason(self) -> str:
        """Say it in a few words, with no text of the target in it."""
        if self.delivered:
            return f"answered {self.status}"
        if self.refusal:
            return self.refusal
        if self.failure is Failure.REDIRECT:
            return f"answered {self.status}, a redirect, which is not followed"
        return f"answered {self.status}" if self.status is not None else _REASONS[self.failure or Failure.RESET]


_REASONS = {
    Failure.DNS: "the host name did not resolve",
    Failure.REFUSED: "the connection was refused",
    Failure.TLS: "TLS could not be established or the certificate is not trusted",
    Failure.TIMEOUT: "no complete answer in time",
    Failure.RESET: "the connection broke",
    Failure.REDIRECT: "a redirect, which is not followed",
    Failure.HTTP: "not a valid HTTP answer",
    Failure.FORBIDDEN: "the address policy does not allow it",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Delays in seconds before the second, third, … attempt, each varied by ``jitter`` of itself."""

    delays: tuple[float, ...]
    jitter: float = 0.0

    def after(
        self, attempt: int, outcome: Outcome, chance: Callable[[], float] = random.random, *, age: float = 0.0
    ) -> float | None:
        """Give the seconds to wait after a failed attempt (from 1), or None when it was the last; ``age`` is no matter.

        The attempt is counted since the delivery was made or reopened, and so are the seconds of its age.
        """
        if outcome.permanent or attempt > len(self.delays):
            return None
        return varied(self.delays[attempt - 1], self.jitter, chance)


#: Attempts that a delivery is given at most, however short the time between them is.
MOST_ATTEMPTS = 10_000


@dataclass(frozen=True, slots=True)
class Exponential:
    """Delays that grow from ``base`` seconds by ``factor`` up to ``cap``, each varied by ``jitter`` of itself.

    No attempt begins later than ``total`` seconds after the delivery was made or reopened.
    """

    base: float
    factor: float = 2.0
    cap: float = 3600.0
    total: float = 86400.0
    jitter: float = 0.0

    def after(
        self, attempt: int, outcome: Outcome, chance: Callable[[], float] = random.random, *, age: float = 0.0
    ) -> float | None:
        """Give the seconds to wait after a failed attempt (from 1) at that age, or None when it was the last."""
        try:
            delay = min(self.cap, self.base * self.factor ** (attempt - 1))
        except OverflowError:
            delay = self.cap
        delay = varied(delay, self.jitter, chance)
        over = outcome.permanent or attempt >= MOST_ATTEMPTS or age + delay > self.total
        return None if over else delay


def policy(members: Mapping[str, Any] | None, default: Schedule | Exponential) -> Schedule | Exponential:
    """Give what a subscription's valid member ``retry`` says; where it says nothing, also of jitter, the default."""
    if not members:
        return default
    jitter = float(members.get("jitter", default.jitter))
    if "schedule" in members:
        return Schedule(tuple(float(delay) for delay in members["schedule"]), jitter)
    said = {name: float(members[name]) for name in ("base", "factor", "cap", "total") if name in members}
    return Exponential(**said, jitter=jitter)


def growing(times: int, longest: float, chance: Callable[[], float] = random.random) -> float:
    """Give the seconds to wait before asking something again that failed ``times`` times: 5, 10, 20, … ``longest``."""
    return min(longest, varied(5.0 * 2.0 ** min(times - 1, 30), 0.1, chance))


def varied(delay: float, jitter: float, chance: Callable[[], float]) -> float:
    """Vary a delay evenly between ``1 - jitter`` and ``1 + jitter`` of itself."""
    return delay * (1 + jitter * (2 * chance() - 1))
