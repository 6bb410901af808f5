"""What the policy server said about an event and a user: asked once, kept for all deliveries of that event."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce
from uuid import UUID, uuid4

import peewee

from .base import BaseModel
from .database import claim, insert_missing, now, repeated, transaction
from .eventlog import EventLog

#: An event and the user whose right to see it is in question.
Question = tuple[UUID, str]


class GateAnswer(BaseModel):
    """One question; ``allowed`` is null until it is answered, ``ask_at`` is when it may be asked (again).

    ``unanswered`` counts how often there was no answer.
    """

    id = peewee.BigAutoField()
    event_log = peewee.ForeignKeyField(EventLog, backref="gate_answers")
    user = peewee.CharField()
    allowed = peewee.BooleanField(null=True)
    status = peewee.IntegerField(null=True)
    unanswered = peewee.IntegerField(default=0)
    first_asked = peewee.DateTimeField()
    ask_at = peewee.DateTimeField()
    lease = peewee.UUIDField(null=True)

    class Meta:
        """A user has one answer about an event."""

        indexes = ((("event_log", "user"), True),)

    @classmethod
    def claim(cls, questions: Iterable[Question], lease: float) -> dict[Question, GateAnswer]:
        """Give a row for each question, and take those that nobody answered or is asking for ``lease`` seconds.

        A row with ``allowed`` is answered. One without, with ``lease`` set and ``asking`` true, is the caller's to
        ask. Any other is being asked, or not to be asked before ``ask_at``. There is none about an event that was
        purged.
        """
        wanted = set(questions)
        try:
            return cls._claim(wanted, lease)
        except peewee.IntegrityError:
            there = EventLog.by_uuid({event for event, _ in wanted})
            left = {question for question in wanted if question[0] in there}
            if left == wanted:
                raise
        return cls.claim(left, lease) if left else {}

    @classmethod
    @repeated
    def _claim(cls, wanted: set[Question], lease: float) -> dict[Question, GateAnswer]:
        token = uuid4()
        with transaction():
            at = now()
            # Looked for first, because a row that is not inserted uses up an id all the same.
            known = {(row.event_log_id, row.user) for row in cls.select().where(cls._any_of(wanted))}
            fresh = [
                {"event_log": event, "user": user, "first_asked": at, "ask_at": at}
                for event, user in sorted(wanted - known)
            ]
            insert_missing(cls, fresh)
            open_questions = cls._any_of(wanted) & cls.allowed.is_null() & (cls.ask_at <= at)
            claim(cls, open_questions, cls.id, len(wanted), {"lease": token, "ask_at": at + timedelta(seconds=lease)})
            rows = list(cls.select().where(cls._any_of(wanted)))
        for row in rows:
            row.asking = row.lease == token
        return {(row.event_log_id, row.user): row for row in rows}

    #: Whether the caller of ``claim`` is the one to ask.
    asking = False

    @classmethod
    def _any_of(cls, questions: set[Question]) -> peewee.Expression:
        events, users = {event for event, _ in questions}, {user for _, user in questions}
        pairs = [(cls.event_log == event) & (cls.user == user) for event, user in sorted(questions)]
        # Joined as a tree, because neither peewee nor SQLite takes an expression of a thousand levels.
        while len(pairs) > 1:
            pairs = [reduce(operator.or_, pairs[at : at + 2]) for at in range(0, len(pairs), 2)]
        return cls.event_log.in_(list(events)) & cls.user.in_(list(users)) & pairs[0]

    @repeated
    def answer(self, allowed: bool, status: int) -> None:
        """Keep what the policy server said."""
        cls = type(self)
        cls.update(allowed=allowed, status=status, lease=None).where(self._held()).execute()

    @repeated
    def postpone(self, delay: float, status: int | None) -> None:
        """Note that there was no answer; ask again after ``delay`` seconds."""
        cls = type(self)
        at = now() + timedelta(seconds=delay)
        cls.update(ask_at=at, status=status, lease=None, unanswered=cls.unanswered + 1).where(self._held()).execute()

    @repeated
    def release(self) -> None:
        """Give a question back that was not asked to the end, for anybody to ask at once."""
        cls = type(self)
        cls.update(ask_at=now(), lease=None).where(self._held()).execute()

    def _held(self) -> peewee.Expression:
        cls = type(self)
        return (cls.id == self.id) & (cls.lease == self.lease)

    @classmethod
    def forget(cls, events: Iterable[UUID]) -> None:
        """Forget all answers about these events, so that a replay asks anew."""
        cls.delete().where(cls.event_log.in_(list(events))).execute()

    def age(self, at: datetime) -> float:
        """Give the seconds since the question was first asked."""
        return float((at - self.first_asked).total_seconds())
