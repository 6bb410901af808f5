"""What a worker has claimed: events to route, deliveries to send and what they need of their events."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from .database import dialect
from .statements import keys, marks, run


class ClaimedEvent(NamedTuple):
    """An event as its router needs it, under a lease; ``starts`` counts the claims before that came to no end."""

    uuid: UUID
    jsondata: str
    created: datetime
    starts: int
    lease: UUID


class Claimed(NamedTuple):
    """A delivery as its sender needs it, under a lease; ``starts`` counts the claims before that were never settled.

    ``key``, ``event_key``, ``subscription_key`` and ``token`` are texts, as UUIDs are written: a UUID of Python takes
    longer to make, compare and look up than all else that is done with a row. ``due`` is when it was due, ``at`` when
    it was claimed.
    """

    key: str
    event_key: str
    subscription_key: str
    lane: str
    attempts: int
    attempts_before: int
    replay: int
    created: datetime
    starts: int
    due: datetime
    reopened: datetime | None
    at: datetime
    token: str

    @property
    def uuid(self) -> UUID:
        """Give its uuid."""
        return UUID(self.key)

    @property
    def event_log_id(self) -> UUID:
        """Give the uuid of its event."""
        return UUID(self.event_key)

    @property
    def event_match_id(self) -> UUID:
        """Give the uuid of its subscription."""
        return UUID(self.subscription_key)

    @property
    def lease(self) -> UUID:
        """Give its lease."""
        return UUID(self.token)


class Payload(NamedTuple):
    """An event as its deliveries need it: ``body`` is its text as it was accepted, in UTF-8, ``mode`` how it came."""

    key: str
    body: bytes
    content_type: str
    type: str
    mode: str = "structured"

    @property
    def uuid(self) -> UUID:
        """Give the event's uuid."""
        return UUID(self.key)


def payloads(events: Collection[str]) -> dict[str, Payload]:
    """Give events by their keys, those that are there."""
    wanted = keys(events)
    found = run(
        f"SELECT {dialect().written('uuid')}, jsondata, content_type, type, mode FROM eventlog"  # noqa: S608 - of our own words
        f" WHERE uuid IN ({marks(wanted)})",
        wanted,
    )
    return {
        key: Payload(key, text.encode(), kind, type_ or "", mode) for key, text, kind, type_, mode in found.fetchall()
    }
