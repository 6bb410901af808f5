"""What a worker has claimed: events to route, deliveries to send."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class ClaimedEvent(NamedTuple):
    """An event as its router needs it, under a lease; ``starts`` counts the claims before that came to no end."""

    uuid: UUID
    jsondata: str
    created: datetime
    starts: int
    lease: UUID


class Claimed(NamedTuple):
    """A delivery as its sender needs it, under a lease; ``starts`` counts the claims before that were never settled.

    ``due`` is when it was due, ``at`` when it was claimed.
    """

    uuid: UUID
    event_log_id: UUID
    event_match_id: UUID
    lane: str
    attempts: int
    attempts_before: int
    replay: int
    created: datetime
    starts: int
    due: datetime
    reopened: datetime | None
    at: datetime | None = None
    lease: UUID | None = None
