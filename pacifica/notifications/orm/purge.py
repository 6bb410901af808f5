"""Removing events with everything that hangs on them, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import peewee

from ..retry import State
from .database import locking, transaction
from .eventlog import EventLog
from .eventlogmatch import DeliveryAttempt, EventLogMatch
from .gateanswer import GateAnswer


class Purge:
    """Events to remove: those with these uuids, or without any those accepted before a time.

    Without ``force`` events that are not routed yet or have a ``pending`` delivery are left.
    """

    def __init__(self, uuids: Sequence[UUID], older_than: datetime, force: bool) -> None:
        """Say which."""
        self._where = EventLog.uuid.in_(list(uuids)) if uuids else EventLog.created < older_than
        pending = EventLogMatch.select().where(
            (EventLogMatch.event_log == EventLog.uuid) & (EventLogMatch.state == State.PENDING)
        )
        finished = EventLog.route_at.is_null() & ~peewee.fn.EXISTS(pending)
        self._removable = self._where if force else self._where & finished

    def count(self) -> tuple[int, int]:
        """Count what can be removed and what will be left."""
        removable = EventLog.select().where(self._removable).count()
        return removable, EventLog.select().where(self._where).count() - removable

    def batch(self, size: int = 500) -> int:
        """Remove some, in one transaction; 0 when nothing is left to remove."""
        with transaction():
            uuids = [row.uuid for row in EventLog.select(EventLog.uuid).where(self._removable).limit(size)]
            # Locked first, so that no worker adds an attempt to one of them in between.
            locked = locking(EventLogMatch.select(EventLogMatch.uuid).where(EventLogMatch.event_log.in_(uuids)))
            deliveries = [row.uuid for row in locked]
            DeliveryAttempt.delete().where(DeliveryAttempt.delivery.in_(deliveries)).execute()
            EventLogMatch.delete().where(EventLogMatch.event_log.in_(uuids)).execute()
            GateAnswer.delete().where(GateAnswer.event_log.in_(uuids)).execute()
            EventLog.delete().where(EventLog.uuid.in_(uuids)).execute()
        return len(uuids)
