"""Deliveries: one event for one subscription, from matched to its one terminal state; and their attempts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import peewee

from ..retry import Outcome, State
from .base import BaseModel
from .claimed import Claimed
from .database import clock, dialect, now, repeated
from .eventlog import EventLog
from .eventmatch import EventMatch
from .insertion import Insertion
from .statements import keys, marks, rows, run

#: Characters of a target's answer that are kept, where a setting says so.
KEPT_ANSWER = 1024
#: Deliveries that one statement inserts: six parameters each, 400 bytes at most, which every server takes at once.
_AT_ONCE = 500


class NewDelivery(NamedTuple):
    """A delivery that is to be made: of which event for which subscription, and its ``EventMatch.lane``.

    ``accepted`` is when the event was, for a subscription that wants its events in order.
    """

    event_log: UUID
    event_match: UUID
    lane: str
    replay: int = 0
    accepted: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a claimed delivery came to, to be written where its lease is still ours.

    ``delay`` is in seconds and only for ``pending``; without it the delivery is held until its subscription revives.
    """

    delivery: Claimed
    state: State
    reason: str
    delay: float | None = None
    outcome: Outcome | None = None
    policy_status: int | None = None

    @property
    def attempt(self) -> int:
        """Give the number of the attempt that was made, or of the last one if none was."""
        return int(self.delivery.attempts) + (self.outcome is not None)


class EventLogMatch(BaseModel):
    """One delivery; ``next_attempt_at`` is set while it is ``pending`` and not held.

    ``attempts_before`` are those of its ``attempts`` that were made before it was reopened. It queues in its ``lane``
    with what shares its limits; ``starts`` counts the claims since it was last settled. ``accepted``, the time when its
    event was, is set while it is ``pending`` for a subscription that wants its events in order.
    """

    uuid = peewee.UUIDField(primary_key=True, default=uuid4)
    event_log = peewee.ForeignKeyField(EventLog, backref="deliveries")
    event_match = peewee.ForeignKeyField(EventMatch, backref="deliveries")
    policy_status_code = peewee.IntegerField(null=True)
    policy_resp_body = peewee.TextField(null=True)
    target_status_code = peewee.IntegerField(null=True)
    target_resp_body = peewee.TextField(null=True)
    created = peewee.DateTimeField()
    state = peewee.CharField(max_length=16, default=State.PENDING)
    reason = peewee.TextField(null=True)
    attempts = peewee.IntegerField(default=0)
    attempts_before = peewee.IntegerField(default=0)
    replay = peewee.IntegerField(default=0)
    finished = peewee.DateTimeField(null=True)
    next_attempt_at = peewee.DateTimeField(null=True)
    lease = peewee.UUIDField(null=True)
    lane = peewee.CharField(max_length=300, default="", constraints=[peewee.SQL("DEFAULT ''")])
    starts = peewee.IntegerField(default=0, constraints=[peewee.SQL("DEFAULT 0")])
    accepted = peewee.DateTimeField(null=True)
    reopened = peewee.DateTimeField(null=True)

    class Meta:
        """An event goes to a subscription once, and once more for each replay."""

        indexes = ((("event_log", "event_match", "replay"), True),)

    @classmethod
    def add(
        cls,
        event: UUID,
        lanes: Mapping[UUID, str],
        replay: int = 0,
        accepted: datetime | None = None,
        ordered: Container[UUID] = (),
    ) -> int:
        """Insert the deliveries of an event that do not exist yet, due at once; count them.

        ``lanes`` names the subscriptions that it goes to, each with its ``EventMatch.lane``; ``accepted`` is when the
        event was, for those that are ``ordered``.
        """
        return cls.add_all(
            NewDelivery(event, subscription, lane, replay, accepted if subscription in ordered else None)
            for subscription, lane in lanes.items()
        )

    @classmethod
    def add_all(cls, wanted: Iterable[NewDelivery]) -> int:
        """Insert deliveries that do not exist yet, due at once; count them."""
        made = ({"uuid": uuid4(), **each._asdict()} for each in wanted)
        return sum(_DELIVERIES.missing(list(part)) for part in peewee.chunked(made, _AT_ONCE))

    @classmethod
    @repeated
    def renew(cls, deliveries: Sequence[Claimed], lease: float) -> None:
        """Hold claimed deliveries for another ``lease`` seconds, those that nobody else has by now."""
        claims: dict[UUID | None, list[UUID]] = {}
        for delivery in deliveries:
            claims.setdefault(delivery.lease, []).append(delivery.uuid)
        for token, uuids in claims.items():
            cls.update(next_attempt_at=now() + timedelta(seconds=lease)).where(
                cls.uuid.in_(uuids) & (cls.lease == token) & cls.next_attempt_at.is_null(False)
            ).execute()

    @classmethod
    def settle(cls, settlements: Iterable[Settlement], keep_answer: bool = False) -> None:
        """Write what claimed deliveries came to, inside the caller's transaction, and a row for every attempt.

        A delivery whose lease is somebody else's by now keeps its state; its attempt is on record all the same. One
        that was purged meanwhile is passed over.
        """
        ordered = sorted(settlements, key=lambda settlement: settlement.delivery.uuid)
        at = now()
        if not ordered:
            return
        table, uuids = cls._meta.table_name, keys(cls.uuid, [each.delivery.uuid for each in ordered])
        lock = "FOR UPDATE" if dialect().skip_locked else ""
        # Locked, also those that are somebody else's: nobody removes one before its attempt is written.
        found = run(f"SELECT uuid FROM {table} WHERE uuid IN ({marks(uuids)}) ORDER BY uuid {lock}", uuids)  # noqa: S608 - of our own words
        there = {uuid for (uuid,) in rows(found, [cls.uuid])}
        # Most of them come to the same.
        alike: dict[tuple[UUID | None, tuple[tuple[str, object], ...]], list[UUID]] = {}
        for settlement in ordered:
            key = settlement.delivery.lease, tuple(_columns(settlement, at).items())
            alike.setdefault(key, []).append(settlement.delivery.uuid)
        for (lease, columns), theirs in alike.items():
            written = ", ".join(f"{name} = ?" for name, _value in columns)
            mine = keys(cls.uuid, theirs)
            run(
                f"UPDATE {table} SET {written} WHERE lease = ? AND uuid IN ({marks(mine)})",  # noqa: S608 - of our own words
                [*(value for _name, value in columns), *keys(cls.lease, [lease]), *mine],
            )
        DeliveryAttempt.add((each for each in ordered if each.delivery.uuid in there), at, keep_answer)

    @classmethod
    def hold(cls, subscription: UUID) -> None:
        """Keep what is pending for a disabled subscription without using up attempts.

        What a worker has claimed is left to it: it settles it, or holds it when it claims it again.
        """
        cls.update(next_attempt_at=None).where(cls._pending_for(subscription) & cls.lease.is_null()).execute()

    @classmethod
    def release_held(cls, subscription: UUID) -> None:
        """Make due what was held for a subscription that was revived."""
        cls.update(next_attempt_at=clock()).where(
            cls._pending_for(subscription) & cls.next_attempt_at.is_null()
        ).execute()

    @classmethod
    @repeated
    def move(cls, subscription: EventMatch, strays: bool = False) -> None:
        """Let what is pending for a subscription queue as it queues now; what a worker has claimed stays claimed.

        With ``strays`` only what queues elsewhere.
        """
        pending = cls._pending_for(subscription.uuid)
        if strays:
            pending &= cls.lane != subscription.lane
        cls.update(lane=subscription.lane, accepted=cls._accepted(subscription)).where(pending).execute()

    @classmethod
    def _accepted(cls, subscription: EventMatch) -> peewee.Select | None:
        """Give what stands in ``accepted`` of a delivery for a subscription."""
        return EventLog.select(EventLog.created).where(EventLog.uuid == cls.event_log) if subscription.ordered else None

    @classmethod
    def cancel(cls, subscription: UUID) -> None:
        """End what is pending for a deleted subscription."""
        cls.update(
            state=State.CANCELLED,
            reason="the subscription was deleted",
            finished=clock(),
            next_attempt_at=None,
            lease=None,
            accepted=None,
        ).where(cls._pending_for(subscription)).execute()

    @classmethod
    def _pending_for(cls, subscription: UUID) -> peewee.Expression:
        return (cls.event_match == subscription) & cls._pending()

    @classmethod
    def _pending(cls) -> peewee.Expression:
        """Say it in both columns: the index is on one, the truth is the other."""
        return (cls.state == State.PENDING) & cls.finished.is_null()

    @classmethod
    def mend_held(cls, longest: float) -> int:
        """End what is held by subscriptions disabled for longer than ``longest`` seconds; free what nobody holds.

        A subscription may be revived while a worker that read it before puts a delivery on hold.
        """
        before = now() - timedelta(seconds=longest)
        reason = "held for a disabled subscription for longer than retention.held"
        ended = {"state": State.DEAD, "reason": reason, "finished": clock(), "lease": None, "accepted": None}
        enabled = EventMatch.disabled.is_null() & EventMatch.deleted.is_null()
        return cls._write_held(EventMatch.disabled < before, ended) + cls._write_held(
            enabled, {"next_attempt_at": clock()}
        )

    @classmethod
    def _write_held(cls, subscriptions: peewee.Expression, written: Mapping[str, object]) -> int:
        """Write columns into what is held for some subscriptions, and count it.

        Looked up first, because for an UPDATE that asks another table MariaDB reads, and locks, all there is.
        """
        held = cls._pending() & cls.next_attempt_at.is_null()
        theirs = cls.event_match.in_(EventMatch.select(EventMatch.uuid).where(subscriptions))
        count = 0
        while uuids := [row.uuid for row in cls.select(cls.uuid).where(held & theirs).limit(500)]:
            count += cls._write_all(held & cls.uuid.in_(uuids), written)
        return count

    @classmethod
    @repeated
    def _write_all(cls, where: peewee.Expression, written: Mapping[str, object]) -> int:
        return int(cls.update(**written).where(where).execute())

    @classmethod
    def reopen(cls, delivery: EventLogMatch) -> None:
        """Make a dead delivery due again; its attempts are counted on, its schedule starts anew.

        It queues where its subscription's deliveries queue by now.
        """
        owner = EventMatch.get_by_id(delivery.event_match_id)
        cls.update(
            state=State.PENDING,
            reason=None,
            attempts_before=cls.attempts,
            finished=None,
            next_attempt_at=clock(),
            lease=None,
            lane=owner.lane,
            starts=0,
            accepted=cls._accepted(owner),
            reopened=clock(),
        ).where((cls.uuid == delivery.uuid) & (cls.state == State.DEAD)).execute()

    @classmethod
    def replay_of(cls, delivery: EventLogMatch) -> None:
        """Add a new delivery of the same event for the same subscription, with the next replay number.

        Nothing is added to one that was purged meanwhile.
        """
        last = (
            cls.select(peewee.fn.MAX(cls.replay))
            .where((cls.event_log == delivery.event_log_id) & (cls.event_match == delivery.event_match_id))
            .scalar()
        )
        if last is None:
            return
        owner = EventMatch.get_by_id(delivery.event_match_id)
        cls.add(
            delivery.event_log_id,
            {owner.uuid: owner.lane},
            int(last) + 1,
            delivery.event_log.created,
            {owner.uuid} if owner.ordered else (),
        )

    @classmethod
    def of_events(cls, uuids: Iterable[UUID]) -> list[EventLogMatch]:
        """Give the deliveries of these events, in the order in which they were made."""
        return list(cls.select().where(cls.event_log.in_(list(uuids))).order_by(cls.created, cls.replay, cls.uuid))


def _columns(settlement: Settlement, at: datetime) -> dict[str, object]:
    """Give the columns that a settlement writes."""
    pending = settlement.state is State.PENDING
    due = at + timedelta(seconds=settlement.delay) if pending and settlement.delay is not None else None
    written: dict[str, object] = {
        "state": settlement.state,
        "reason": settlement.reason,
        "attempts": settlement.attempt,
        "finished": None if pending else at,
        "next_attempt_at": due,
        "lease": None,
        "starts": 0,
    }
    if not pending:
        written["accepted"] = None
    if settlement.policy_status is not None:
        written["policy_status_code"] = settlement.policy_status
    if settlement.outcome is not None:
        written["target_status_code"] = settlement.outcome.status
    return written


def _shown(answer: bytes) -> str | None:
    """Give the beginning of an answer as text that every database takes."""
    return answer[:KEPT_ANSWER].decode("utf-8", "replace").replace("\0", "\ufffd") or None


class DeliveryAttempt(BaseModel):
    """One try to send a delivery: when, how long in seconds, and its status or why there was none."""

    id = peewee.BigAutoField()
    delivery = peewee.ForeignKeyField(EventLogMatch, backref="tries")
    attempt = peewee.IntegerField()
    started = peewee.DateTimeField()
    seconds = peewee.DoubleField()
    status = peewee.IntegerField(null=True)
    failure = peewee.CharField(max_length=16, null=True)
    answer = peewee.TextField(null=True)

    @classmethod
    def add(cls, settlements: Iterable[Settlement], at: datetime, keep_answer: bool) -> None:
        """Record the attempts of these settlements, which ended at ``at``, on request with what was answered."""
        rows = [
            {
                "delivery": settlement.delivery.uuid,
                "attempt": settlement.attempt,
                "started": at - timedelta(seconds=outcome.seconds),
                "seconds": outcome.seconds,
                "status": outcome.status,
                "failure": outcome.failure,
                "answer": _shown(outcome.answer) if keep_answer else None,
            }
            for settlement in settlements
            if (outcome := settlement.outcome) is not None
        ]
        for part in peewee.chunked(rows, 100):
            _ATTEMPTS.missing(list(part))

    @classmethod
    def of_deliveries(cls, uuids: Iterable[UUID]) -> list[DeliveryAttempt]:
        """Give the attempts of these deliveries, oldest first."""
        return list(cls.select().where(cls.delivery.in_(list(uuids))).order_by(cls.id))


_DELIVERIES = Insertion(
    EventLogMatch,
    ("uuid", *NewDelivery._fields),
    now=("created", "next_attempt_at"),
    always={"state": f"'{State.PENDING}'", "attempts": "0", "attempts_before": "0", "starts": "0"},
)
_ATTEMPTS = Insertion(
    DeliveryAttempt, ("delivery", "attempt", "started", "seconds", "status", "failure", "answer"), now=()
)
