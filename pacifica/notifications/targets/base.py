"""What every target does."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from ..retry import Outcome


class Sending(NamedTuple):
    """One attempt of a delivery: where to, as whom, what.

    ``attempt`` counts from 1, ``replay`` is 0 unless the delivery is a replay. ``content_type`` may be empty: then
    there is none. ``headers`` are whole lines of the event's own.
    """

    key: Hashable
    url: str
    body: bytes
    content_type: str
    delivery: str
    attempt: int
    replay: int = 0
    auth: Mapping[str, Any] = MappingProxyType({})
    headers: Sequence[bytes] = ()


class Target(Protocol):
    """Sends many at once; used by one thread."""

    def __len__(self) -> int:
        """Count what is under way."""

    def start(self, sendings: Iterable[Sending]) -> None:
        """Begin to send; a refusal is an outcome, never an exception."""

    def wait(self, seconds: float) -> list[tuple[Hashable, Outcome]]:
        """Give what has ended, as soon as anything has, or nothing after ``seconds``."""

    def close(self) -> list[Hashable]:
        """Break off what is under way and give its keys."""
