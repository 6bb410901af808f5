"""What every gate does."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: allowed or not, None when there was no answer; ``status`` is the policy server's, if any."""

    allowed: bool | None
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: may ``user`` see the event whose text is ``body``."""

    key: Hashable
    user: str
    body: bytes


class Gate(Protocol):
    """Asks many at once; used by one thread."""

    def __len__(self) -> int:
        """Count what is being asked."""

    def start(self, asks: Iterable[Ask]) -> None:
        """Begin to ask; silence is a verdict, never an exception."""

    def wait(self, seconds: float) -> list[tuple[Hashable, Verdict]]:
        """Give what was answered, as soon as anything was, or nothing after ``seconds``."""

    def close(self) -> list[Hashable]:
        """Break off what is being asked and give its keys."""
