"""Removing events with everything that hangs on them, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import peewee

from ..retry import State
from .database import locking, repeated, transaction
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
        while some := self._some(self._removable, size):
            removed = self._remove(some)
            if removed:
                return removed
        return 0

    @repeated
    def _remove(self, uuids: Sequence[UUID]) -> int:
        """Remove those of these events that can still be removed, and count them."""
        row = EventLogMatch
        with transaction():
            locked = EventLog.lock(uuids)
            # These too, so that no worker adds an attempt to one of them, and nobody sends one again.
            deliveries = list(locking(row.select(row.uuid, row.event_log).where(row.event_log.in_(locked))))
            # What somebody sent again before that is left.
            removed = self._some(self._removable & EventLog.uuid.in_(locked), len(locked))
            gone = set(removed)
            tries = [each.uuid for each in deliveries if each.event_log_id in gone]
            DeliveryAttempt.delete().where(DeliveryAttempt.delivery.in_(tries)).execute()
            row.delete().where(row.event_log.in_(removed)).execute()
            GateAnswer.delete().where(GateAnswer.event_log.in_(removed)).execute()
            EventLog.delete().where(EventLog.uuid.in_(removed)).execute()
        return len(removed)

    @staticmethod
    def _some(where: peewee.Expression, size: int) -> list[UUID]:
        return [event.uuid for event in EventLog.select(EventLog.uuid).where(where).limit(size)]
