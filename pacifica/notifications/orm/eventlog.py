"""Events, stored before anything else happens to them, and claimed for routing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import peewee

from ..events import Event
from .base import BaseModel
from .database import claim, clock, insert_missing, locking, now, repeated, transaction

#: Columns that only storing and routing use.
_INTERNAL = frozenset(("route_at", "lease", "starts", "identity", "origin"))


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an event that was sent: its row, and whether the row was there before.

    ``conflicts_with`` is the row of another event with the same source and id, if there is one.
    """

    uuid: UUID
    duplicate: bool = False
    conflicts_with: UUID | None = None


class EventLog(BaseModel):
    """One accepted event; ``route_at`` says when it is to be routed (again) and is null once it was.

    ``starts`` counts the claims since it was last finished, ``error`` says why it is not routed any more.
    """

    uuid = peewee.UUIDField(primary_key=True, default=uuid4)
    jsondata = peewee.TextField()
    created = peewee.DateTimeField(index=True)
    content_type = peewee.CharField(default="application/json")
    source = peewee.CharField(max_length=512, null=True, index=True)
    event_id = peewee.CharField(null=True, index=True)
    type = peewee.CharField(max_length=512, null=True, index=True)
    subject = peewee.CharField(max_length=512, null=True, index=True)
    time = peewee.DateTimeField(null=True, index=True)
    identity = peewee.FixedCharField(max_length=64, null=True, unique=True)
    origin = peewee.FixedCharField(max_length=64, null=True, unique=True)
    routed = peewee.DateTimeField(null=True)
    revision = peewee.BigIntegerField(null=True)
    route_at = peewee.DateTimeField(null=True)
    lease = peewee.UUIDField(null=True)
    starts = peewee.IntegerField(default=0, constraints=[peewee.SQL("DEFAULT 0")])
    error = peewee.TextField(null=True)

    @classmethod
    @repeated
    def store(cls, event: Event, refuse_conflict: bool = False) -> Stored:
        """Store an event in one transaction, or find the row that has it already.

        The first event of a source and id holds their digest in ``origin``; one with other content is stored without
        it, or with ``refuse_conflict`` not at all: then ``uuid`` is the row that it conflicts with.
        """
        row = {
            "uuid": uuid4(),
            "jsondata": event.text,
            "content_type": event.content_type,
            "source": event.source,
            "event_id": event.id,
            "type": event.type,
            "subject": event.subject,
            "time": event.time,
            "identity": event.identity,
            "origin": event.origin,
            "created": clock(),
            "route_at": clock(),
        }
        if insert_missing(cls, [row]):
            return Stored(row["uuid"])
        with transaction():
            there = cls._uuid_of(cls.identity == event.identity)
            if there:
                return Stored(there, duplicate=True)
            first = cls._uuid_of(cls.origin == event.origin)
            if refuse_conflict and first:
                return Stored(first, conflicts_with=first)
            if first and insert_missing(cls, [row | {"origin": None}]):
                return Stored(row["uuid"], conflicts_with=first)
        # The same event came in between, or what stood in the way was purged.
        return cls.store(event, refuse_conflict)

    @classmethod
    def _uuid_of(cls, where: peewee.Expression) -> UUID | None:
        row = cls.select(cls.uuid).where(where).get_or_none()
        return row.uuid if row else None

    @classmethod
    def claim_unrouted(cls, limit: int, lease: float) -> list[EventLog]:
        """Claim events to route, oldest first, for ``lease`` seconds; whoever holds the lease may finish them."""
        at = now()
        values = {"lease": uuid4(), "route_at": at + timedelta(seconds=lease)}
        return claim(cls, cls.route_at <= at, cls.route_at, limit, values)

    @repeated
    def renew(self, lease: float) -> bool:
        """Hold a claimed event for another ``lease`` seconds; False if somebody else has it by now."""
        cls = type(self)
        until = now() + timedelta(seconds=lease)
        return bool(cls.update(route_at=until).where(self._held()).execute())

    def finish_routing(self, revision: int) -> bool:
        """Mark a claimed event routed, inside the caller's transaction; False if somebody else has it by now."""
        cls = type(self)
        written = cls.update(routed=clock(), route_at=None, lease=None, revision=revision)
        return bool(written.where(self._held()).execute())

    def _held(self) -> peewee.Expression:
        cls = type(self)
        return (cls.uuid == self.uuid) & (cls.lease == self.lease) & cls.route_at.is_null(False)

    @classmethod
    def lock(cls, uuids: Iterable[UUID]) -> list[UUID]:
        """Keep events until the transaction ends from being removed or added to; give those that are there."""
        rows = locking(cls.select(cls.uuid).where(cls.uuid.in_(list(uuids))).order_by(cls.uuid))
        return [row.uuid for row in rows]

    @classmethod
    def by_uuid(cls, uuids: Iterable[UUID]) -> dict[UUID, EventLog]:
        """Give the rows with these uuids."""
        return {row.uuid: row for row in cls.select().where(cls.uuid.in_(list(uuids)))}

    @classmethod
    def between(cls, uuids: list[UUID], start: datetime, end: datetime, limit: int) -> list[EventLog]:
        """Give the events with these uuids, or without any those accepted in a time, newest first."""
        wanted = cls.select().where(cls.uuid.in_(uuids) if uuids else cls.created.between(start, end))
        return list(wanted.order_by(cls.created.desc()).limit(limit))

    def to_hash(self) -> dict[str, Any]:
        """Give the row without what only routing uses."""
        found = super().to_hash()
        return {name: value for name, value in found.items() if name not in _INTERNAL}
