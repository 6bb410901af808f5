"""What the policy server said about an event and a user: asked once, kept for all deliveries of that event."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import peewee

from .base import BaseModel
from .database import DB, dialect, now, repeated, transaction
from .eventlog import EventLog
from .insertion import Insertion
from .statements import keys, marks, run

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
        known = _found(wanted)
        if len(known) == len(wanted) and all(row.allowed is not None for row in known.values()):
            return known
        token = uuid4()
        with transaction():
            at = now()
            until = at + timedelta(seconds=lease)
            due = sorted(row.id for row in known.values() if row.allowed is None and row.ask_at <= at)
            if due:
                mine = f"id IN ({marks(due)}) AND allowed IS NULL AND ask_at <= ?"
                values = [dialect().key(str(token)), until, *due, at]
                run(f"{dialect().by_index}UPDATE gateanswer SET lease = ?, ask_at = ? WHERE {mine}", values)  # noqa: S608 - of our own words
            fresh = sorted(wanted - known.keys())
            if fresh:
                taken = {"unanswered": 0, "first_asked": at, "ask_at": until, "lease": token}
                _INSERTION.missing([{"event_log": event, "user": user, **taken} for event, user in fresh])
            found = _found(wanted)
        for row in found.values():
            row.asking = row.lease == token
        return found

    #: Whether the caller of ``claim`` is the one to ask.
    asking = False

    @classmethod
    @repeated
    def keep(cls, said: Iterable[tuple[GateAnswer, bool, int]]) -> None:
        """Keep what the policy server said to claimed questions, with its status, where they are still the caller's."""
        alike: dict[tuple[str, bool, int], list[int]] = {}
        for row, allowed, status in said:
            alike.setdefault((str(row.lease), allowed, status), []).append(row.id)
        with transaction():
            for (lease, allowed, status), ids in sorted(alike.items(), key=lambda item: item[1]):
                run(
                    f"{dialect().by_index}UPDATE gateanswer SET allowed = ?, status = ?, lease = NULL"  # noqa: S608 - of our own words
                    f" WHERE lease = ? AND id IN ({marks(ids)})",
                    [allowed, status, dialect().key(lease), *sorted(ids)],
                )

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


_INSERTION = Insertion(GateAnswer, ("event_log", "user", "unanswered", "first_asked", "ask_at", "lease"), now=())


def _found(wanted: Collection[Question]) -> dict[Question, GateAnswer]:
    """Give the rows that there are, by their questions.

    The condition holds for every one of the users with every one of the events; for pairs alone the databases have
    no words in common.
    """
    ours = dialect()
    events, users = keys({str(event) for event, _user in wanted}), sorted({user for _event, user in wanted})
    user, moment = DB.obj.quote[0] + "user" + DB.obj.quote[1], ours.moment
    cursor = run(
        f"{ours.by_index}SELECT id, {ours.written('event_log_id')}, {user}, allowed, status, unanswered, first_asked,"  # noqa: S608 - of our own words
        f" ask_at, {ours.written('lease')} FROM gateanswer"
        f" WHERE event_log_id IN ({marks(events)}) AND {user} IN ({marks(users)})",
        [*events, *users],
    )
    found = {}
    for key, event, who, allowed, status, unanswered, first_asked, ask_at, lease in cursor.fetchall():
        question = UUID(event), who
        if question in wanted:
            found[question] = GateAnswer(
                id=key,
                event_log=question[0],
                user=who,
                allowed=None if allowed is None else bool(allowed),
                status=status,
                unanswered=unanswered,
                first_asked=moment(first_asked),
                ask_at=moment(ask_at),
                lease=UUID(lease) if lease else None,
            )
    return found
