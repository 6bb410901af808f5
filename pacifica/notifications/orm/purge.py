"""Removing what is over, in batches: events with everything that hangs on them, deliveries with their attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import peewee

from ..retry import State
from .database import dialect, locking, now, repeated, transaction
from .eventlog import EventLog
from .eventlogmatch import DeliveryAttempt, EventLogMatch
from .gateanswer import GateAnswer

#: How many batches one look finds.
_AT_ONCE = 10


class Purge:
    """Events to remove: those with these uuids, or without any those accepted before a time.

    Without ``force`` events that are not routed yet or have a ``pending`` delivery are left.
    """

    def __init__(self, uuids: Sequence[UUID], older_than: datetime, force: bool) -> None:
        """Say which."""
        self._where = EventLog.uuid.in_(list(uuids)) if uuids else EventLog.created < older_than
        finished = EventLog.route_at.is_null() & _without(EventLogMatch.state == State.PENDING)
        self._removable = self._where if force else self._where & finished

    def count(self) -> tuple[int, int]:
        """Count what can be removed and what will be left."""
        removable = EventLog.select().where(self._removable).count()
        return removable, EventLog.select().where(self._where).count() - removable

    def batch(self, size: int = 500) -> int:
        """Remove some, in one transaction; 0 when nothing is left to remove."""
        while some := _uuids(EventLog, self._removable, size):
            removed = _remove_events(some, self._removable)
            if removed:
                return removed
        return 0


def expire(events: float, deliveries: float, size: int = 200) -> Iterator[tuple[int, int]]:
    """Go once over all that is older than so many seconds, and remove it where it is finished; 0 keeps for ever.

    A delivery goes by the time when it ended, an event by the time when it was accepted: once it is routed and its
    last delivery is gone. Gives after each step, a look or a transaction of at most ``size`` rows and what hangs on
    them, how many events and deliveries it removed; so a caller may rest in between. What others remove at the same
    time is left to them.
    """
    if deliveries:
        before = now() - timedelta(seconds=deliveries)
        for state in State:
            if state is not State.PENDING:
                yield from ((0, removed) for removed in _expire_deliveries(state, before, size))
    if events:
        before = now() - timedelta(seconds=events)
        yield from ((removed, 0) for removed in _expire_events(before, size))


def _expire_deliveries(state: State, before: datetime, size: int) -> Iterator[int]:
    """Remove deliveries that ended in a state, one state at a time, because the index begins with it."""
    row = EventLogMatch
    over = (row.state == state) & (row.finished < before)
    while True:
        found = _uuids(row, over, size * _AT_ONCE, row.finished)
        yield 0
        for some in peewee.chunked(found, size):
            yield _remove_deliveries(list(some), over)
        if len(found) < size * _AT_ONCE:
            return


def _expire_events(before: datetime, size: int) -> Iterator[int]:
    """Walk along all events of that age: those that stay, for a delivery or unrouted, are looked at once."""
    row, theirs = EventLog, EventLogMatch.event_log
    removable = row.route_at.is_null() & _without()
    beyond = old = row.created < before
    while True:
        wanted = row.select(row.uuid, row.created, row.route_at).where(beyond).order_by(row.created, row.uuid)
        found = list(wanted.limit(size * _AT_ONCE).tuples())
        having = EventLogMatch.select(theirs).where(theirs.in_([uuid for uuid, _, _ in found])).distinct()
        needed = {uuid for (uuid,) in having.tuples()}
        yield 0
        over = [uuid for uuid, _, route_at in found if route_at is None and uuid not in needed]
        for some in peewee.chunked(over, size):
            yield _remove_events(list(some), removable, wait=False)
        if len(found) < size * _AT_ONCE:
            return
        uuid, created, _ = found[-1]
        # Said twice: the first is what an index is searched for.
        beyond = old & (row.created >= created) & ((row.created > created) | (row.uuid > uuid))


@repeated
def _remove_events(uuids: Sequence[UUID], removable: peewee.Expression, wait: bool = True) -> int:
    """Remove those of these events that can still be removed, and count them.

    Without ``wait`` those that somebody else has locked are left.
    """
    row = EventLogMatch
    with transaction():
        locked = EventLog.lock(uuids) if wait else _locked(EventLog, EventLog.uuid.in_(list(uuids)))
        # These too, so that no worker adds an attempt to one of them, and nobody sends one again.
        deliveries = list(locking(row.select(row.uuid, row.event_log).where(row.event_log.in_(locked))))
        # What somebody sent again before that is left.
        removed = _uuids(EventLog, removable & EventLog.uuid.in_(locked), len(locked))
        gone = set(removed)
        tries = [each.uuid for each in deliveries if each.event_log_id in gone]
        DeliveryAttempt.delete().where(DeliveryAttempt.delivery.in_(tries)).execute()
        row.delete().where(row.event_log.in_(removed)).execute()
        GateAnswer.delete().where(GateAnswer.event_log.in_(removed)).execute()
        EventLog.delete().where(EventLog.uuid.in_(removed)).execute()
    return len(removed)


@repeated
def _remove_deliveries(uuids: Sequence[UUID], over: peewee.Expression) -> int:
    """Remove those of these deliveries that are still over and that nobody else has locked, and count them."""
    with transaction():
        removed = _locked(EventLogMatch, over & EventLogMatch.uuid.in_(list(uuids)))
        DeliveryAttempt.delete().where(DeliveryAttempt.delivery.in_(removed)).execute()
        EventLogMatch.delete().where(EventLogMatch.uuid.in_(removed)).execute()
    return len(removed)


def _without(*which: peewee.Expression) -> peewee.Expression:
    """Say that an event has no delivery of a kind, or none at all."""
    return ~peewee.fn.EXISTS(EventLogMatch.select().where(EventLogMatch.event_log == EventLog.uuid, *which))


def _uuids(
    model: type[peewee.Model], where: peewee.Expression, size: int, order: peewee.Field | None = None
) -> list[Any]:
    wanted = model.select(model.uuid).where(where).limit(size)
    return [row.uuid for row in (wanted if order is None else wanted.order_by(order))]


def _locked(model: type[peewee.Model], where: peewee.Expression) -> list[Any]:
    """Lock rows until the transaction ends, but for those that somebody else has locked; give those that are ours."""
    wanted = model.select(model.uuid).where(where).order_by(model.uuid)
    skip = dialect().skip_locked
    return [row.uuid for row in (wanted.for_update(skip) if skip else wanted)]
