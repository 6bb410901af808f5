"""Changes of a subscription that change its deliveries with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from ..events import Event
from .database import now, repeated, transaction
from .eventlog import EventLog
from .eventlogmatch import EventLogMatch
from .eventmatch import NO_FAILURES, EventMatch, SubscriptionRevision, columns

#: Makes the event by which an owner learns what happened, of the row as it was written.
Tell = Callable[[EventMatch], Event]


@repeated
def change(row: EventMatch, members: Mapping[str, Any]) -> EventMatch | None:
    """Write the members of a PUT, as ``subscriptions.validate`` gives them, and give the row as it is then.

    None if the row was changed or deleted since it was read. Disabling holds what is pending, reviving releases it;
    another target, limits or an order let it queue elsewhere.
    """
    with transaction():
        revision, at = SubscriptionRevision.take(), now()
        written = columns(row, members, at)
        if written.get("target_url", row.target_url) != row.target_url:
            written |= NO_FAILURES
        if written.get("limits", row.limits) != row.limits:
            # What the old rate put off is no matter to the new one.
            written["paced_until"] = None
        if not _write(row, revision, written | {"updated": at}):
            return None
        if written.get("disabled"):
            EventLogMatch.hold(row.uuid)
        elif "disabled" in written:
            EventLogMatch.release_held(row.uuid)
        changed = EventMatch.get_by_id(row.uuid)
        if (changed.lane, changed.ordered) != (row.lane, row.ordered):
            EventLogMatch.move(changed)
        return changed


@repeated
def remove(row: EventMatch) -> bool:
    """Delete softly, forget its secrets, and cancel what is pending.

    False if the row was changed or deleted since it was read.
    """
    with transaction():
        revision, at = SubscriptionRevision.take(), now()
        if not _write(row, revision, {"deleted": at, "updated": at, "auth": None, "signing": None}):
            return False
        EventLogMatch.cancel(row.uuid)
    return True


@repeated
def disable(
    uuid: UUID, reason: str, target_url: str | None = None, tell: Tell | None = None, revision: int | None = None
) -> bool:
    """Disable a subscription for what happened to it and hold what is pending; False if it is disabled already.

    With ``target_url`` it happened with that target: False if the subscription has another one by now. With
    ``revision`` it happened to what the subscription was then: False if it was changed since. What ``tell`` makes is
    stored in the same transaction.
    """
    with transaction():
        # First, so that nobody changes the row between its reading and its writing.
        taken, at = SubscriptionRevision.take(), now()
        row = EventMatch.get_by_id(uuid)
        if row.disabled is not None or row.deleted is not None:
            return False
        if revision is not None and row.revision > revision:
            return False
        if target_url is not None and row.target_url != target_url:
            return False
        _write(row, taken, {"disabled": at, "error": reason, "updated": at})
        EventLogMatch.hold(uuid)
        if tell is not None:
            EventLog.store(tell(EventMatch.get_by_id(uuid)))
    return True


@repeated
def warn(uuid: UUID, tell: Tell, target_url: str | None = None) -> bool:
    """Note that the owner is warned of failures, and store what ``tell`` makes; once for each series of them.

    False if the owner was warned since the first of these failures, or the subscription does not fail any more, is
    disabled or deleted, or has another target than ``target_url``.
    """
    row = EventMatch
    failing = row.failing_since.is_null(False) & row.disabled.is_null() & row.deleted.is_null()
    unwarned = row.warned.is_null() | (row.warned < row.failing_since)
    due = (row.uuid == uuid) & failing & unwarned
    if target_url is not None:
        due &= row.target_url == target_url
    with transaction():
        if not row.update(warned=now()).where(due).execute():
            return False
        EventLog.store(tell(row.get_by_id(uuid)))
    return True


def _write(row: EventMatch, revision: int, written: Mapping[str, Any]) -> bool:
    """Write columns under a revision that was taken for it, unless somebody else wrote since the row was read."""
    same = (EventMatch.uuid == row.uuid) & (EventMatch.user == row.user) & (EventMatch.revision == row.revision)
    unchanged = same & EventMatch.deleted.is_null()
    return bool(EventMatch.update(**written, revision=revision).where(unchanged).execute())
