"""Deliveries as an operator asks for them: listed, counted, and reopened, narrowed by what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import peewee

from ..retry import State
from .database import locking, repeated, transaction
from .eventlog import EventLog
from .eventlogmatch import EventLogMatch
from .eventmatch import EventMatch
from .gateanswer import GateAnswer


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries are meant: those to which all applies that is given.

    ``target`` is the beginning of the subscription's ``target_url``, ``status`` what the target answered last,
    ``reason`` a part of the reason in letters of any case. ``since`` and ``until`` are about the time when a delivery
    ended, of a ``pending`` one about the time when it was made.
    """

    states: Sequence[State] = (State.DEAD,)
    uuids: Sequence[UUID] = ()
    user: str | None = None
    subscription: UUID | None = None
    event: UUID | None = None
    target: str | None = None
    status: int | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def where(self) -> peewee.Expression:
        """Say it of a delivery; of its subscription in a query within, so that the index gives the order."""
        row, moment = EventLogMatch, self.moment
        found = row.state.in_(list(self.states))
        if moment is row.finished:
            # What the index is limited to.
            found &= row.finished.is_null(False)
        if self.uuids:
            found &= row.uuid.in_(list(self.uuids))
        for field, value in (
            (row.event_match, self.subscription),
            (row.event_log, self.event),
            (row.target_status_code, self.status),
        ):
            if value is not None:
                found &= field == value
        theirs = []
        if self.user is not None:
            theirs.append(EventMatch.user == self.user)
        if self.target is not None:
            theirs.append(peewee.fn.SUBSTR(EventMatch.target_url, 1, len(self.target)) == self.target)
        if theirs:
            found &= row.event_match.in_(EventMatch.select(EventMatch.uuid).where(*theirs))
        if self.reason is not None:
            found &= peewee.fn.LOWER(row.reason).contains(self.reason.lower())
        if self.since is not None:
            found &= moment >= self.since
        if self.until is not None:
            found &= moment <= self.until
        return found

    @property
    def moment(self) -> peewee.Node:
        """Give the time that the deliveries are ordered by."""
        row = EventLogMatch
        return peewee.fn.COALESCE(row.finished, row.created) if State.PENDING in self.states else row.finished


def listed(selection: Selection, limit: int) -> list[EventLogMatch]:
    """Give the newest deliveries of a selection, at most ``limit``, each with its subscription."""
    newest = selection.moment.desc(), EventLogMatch.uuid.desc()
    found = list(EventLogMatch.select().where(selection.where).order_by(*newest).limit(limit))
    subscriptions = EventMatch.by_uuid({row.event_match_id for row in found})
    for row in found:
        row.event_match = subscriptions[row.event_match_id]
    return found


@dataclass(frozen=True, slots=True)
class Counted:
    """How many deliveries a selection has, by whether their subscription is enabled, disabled or deleted."""

    enabled: int
    disabled: int
    deleted: int

    @property
    def reopened(self) -> int:
        """Count those that ``reopen`` makes ``pending``."""
        return self.enabled + self.disabled


def counted(selection: Selection) -> Counted:
    """Count the deliveries of a selection."""
    total = peewee.fn.COUNT(EventLogMatch.uuid)
    deleted, disabled = EventMatch.deleted.is_null(False), EventMatch.disabled.is_null(False)
    kind = peewee.Case(None, ((deleted, "deleted"), (disabled, "disabled")), "enabled")
    found = EventLogMatch.select(kind.alias("kind"), total.alias("total")).join(EventMatch).where(selection.where)
    numbers = dict(found.group_by(peewee.SQL("kind")).tuples())
    return Counted(numbers.get("enabled", 0), numbers.get("disabled", 0), numbers.get("deleted", 0))


def reopen(selection: Selection, limit: int) -> dict[UUID, EventLogMatch]:
    """Make ``dead`` deliveries of a selection due again, at most ``limit``, in one transaction; give them as they were.

    Those of a deleted subscription are passed over, those of a disabled one are held. The policy server will be asked
    anew about their events. Nothing when none is left.
    """
    row = EventLogMatch
    alive = selection.where & (row.state == State.DEAD) & EventMatch.deleted.is_null()
    wanted = row.select(row.uuid, row.event_log).join(EventMatch).where(alive).order_by(row.finished, row.uuid)
    while found := list(wanted.limit(limit)):
        if reopened := _reopen(found):
            return reopened
    return {}


@repeated
def _reopen(found: Sequence[EventLogMatch]) -> dict[UUID, EventLogMatch]:
    """Reopen those of these deliveries that are still dead, and give them as they were."""
    row = EventLogMatch
    with transaction():
        # In the order in which everybody locks: an event, then what hangs on it.
        events = EventLog.lock({each.event_log_id for each in found})
        dead = row.select().where(row.uuid.in_([each.uuid for each in found]) & (row.state == State.DEAD))
        reopened = {each.uuid: each for each in locking(dead.order_by(row.uuid))}
        GateAnswer.forget(events)
        for delivery in reopened.values():
            row.reopen(delivery)
        owners = EventMatch.by_uuid({each.event_match_id for each in reopened.values()})
        for owner in owners.values():
            if owner.disabled is not None:
                row.hold(owner.uuid)
    return reopened
