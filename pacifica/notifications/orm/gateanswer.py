"""What the policy server said about an event and a user: asked once, kept for all deliveries of that event."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import peewee

from .base import BaseModel
from .database import DB, dialect, now, repeated, transaction
from .eventlog import EventLog
from .insertion import Insertion
from .statements import keys, marks, run

#: The uuid of an event, as it is written, and the user whose right to see it is in question.
Question = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A row of ``GateAnswer`` as a worker needs it; ``asking`` tells whether it is the one to ask, under ``token``."""

    id: int
    allowed: bool | None
    status: int | None
    unanswered: int
    first_asked: datetime
    ask_at: datetime
    token: str | None
    asking: bool

    def postpone(self, delay: float, status: int | None) -> None:
        """Note that there was no answer; ask again after ``delay`` seconds."""
        rows = GateAnswer
        self._write(ask_at=now() + timedelta(seconds=delay), status=status, unanswered=rows.unanswered + 1)

    def release(self) -> None:
        """Give a question back that was not asked to the end, for anybody to ask at once."""
        self._write(ask_at=now())

    def age(self, at: datetime) -> float:
        """Give the seconds since the question was first asked."""
        return float((at - self.first_asked).total_seconds())

    @repeated
    def _write(self, **columns: object) -> None:
        rows = GateAnswer
        held = (rows.id == self.id) & (rows.lease == self.token)
        rows.update(lease=None, **columns).where(held).execute()


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
    def claim(cls, questions: Iterable[Question], lease: float) -> dict[Question, Answer]:
        """Give what is known of each question, and take those that nobody answered or is asking.

        One with ``allowed`` is answered. One without, and with ``asking``, is the caller's to ask, for ``lease``
        seconds. Any other is being asked, or not to be asked before ``ask_at``. There is none about an event that was
        purged.
        """
        wanted = set(questions)
        try:
            found = cls._claim(wanted, lease)
        except peewee.IntegrityError:
            left, found = _about_kept_events(wanted), {}
            if left == wanted:
                raise
        else:
            # Forgotten by a replay between two looks.
            left = _about_kept_events(wanted - found.keys())
        return found | (cls.claim(left, lease) if left else {})

    @classmethod
    @repeated
    def _claim(cls, wanted: set[Question], lease: float) -> dict[Question, Answer]:
        token = str(uuid4())
        known = _found(wanted, token)
        if len(known) == len(wanted) and all(answer.allowed is not None for answer in known.values()):
            return known
        with transaction():
            at = now()
            until = at + timedelta(seconds=lease)
            due = sorted(answer.id for answer in known.values() if answer.allowed is None and answer.ask_at <= at)
            if due:
                mine = f"id IN ({marks(due)}) AND allowed IS NULL AND ask_at <= ?"
                values = [dialect().key(token), until, *due, at]
                run(f"{dialect().by_index}UPDATE gateanswer SET lease = ?, ask_at = ? WHERE {mine}", values)  # noqa: S608 - of our own words
            fresh = sorted(wanted - known.keys())
            if fresh:
                taken = {"unanswered": 0, "first_asked": at, "ask_at": until, "lease": token}
                _INSERTION.missing([{"event_log": UUID(event), "user": user, **taken} for event, user in fresh])
            return _found(wanted, token)

    @classmethod
    @repeated
    def keep(cls, said: Iterable[tuple[Answer, bool, int]]) -> None:
        """Keep what the policy server said to claimed questions, with its status, where they are still the caller's."""
        alike: dict[tuple[str, bool, int], list[int]] = {}
        for answer, allowed, status in said:
            alike.setdefault((str(answer.token), allowed, status), []).append(answer.id)
        with transaction():
            for (lease, allowed, status), ids in sorted(alike.items(), key=lambda item: item[1]):
                run(
                    f"{dialect().by_index}UPDATE gateanswer SET allowed = ?, status = ?, lease = NULL"  # noqa: S608 - of our own words
                    f" WHERE lease = ? AND id IN ({marks(ids)})",
                    [allowed, status, dialect().key(lease), *sorted(ids)],
                )

    @classmethod
    def forget(cls, events: Iterable[UUID]) -> None:
        """Forget all answers about these events, so that a replay asks anew."""
        cls.delete().where(cls.event_log.in_(list(events))).execute()


_INSERTION = Insertion(GateAnswer, ("event_log", "user", "unanswered", "first_asked", "ask_at", "lease"), now=())


def _about_kept_events(questions: Collection[Question]) -> set[Question]:
    """Give those about events that were not purged."""
    there = set(map(str, EventLog.by_uuid({UUID(event) for event, _user in questions}))) if questions else set()
    return {question for question in questions if question[0] in there}


def _found(wanted: Collection[Question], token: str) -> dict[Question, Answer]:
    """Give what there is, by its question; ``token`` is the lease of whoever asks.

    The condition holds for every one of the users with every one of the events; for pairs alone the databases have
    no words in common.
    """
    ours = dialect()
    events, users = keys({event for event, _user in wanted}), sorted({user for _event, user in wanted})
    user, moment = DB.obj.quote[0] + "user" + DB.obj.quote[1], ours.moment
    cursor = run(
        f"{ours.by_index}SELECT {ours.written('event_log_id')}, {user}, id, allowed, status, unanswered, first_asked,"  # noqa: S608 - of our own words
        f" ask_at, {ours.written('lease')} FROM gateanswer"
        f" WHERE event_log_id IN ({marks(events)}) AND {user} IN ({marks(users)})",
        [*events, *users],
    )
    return {
        (event, who): Answer(
            key,
            None if allowed is None else bool(allowed),
            status,
            unanswered,
            moment(first_asked),
            moment(ask_at),
            lease or None,
            lease == token,
        )
        for event, who, key, allowed, status, unanswered, first_asked, ask_at, lease in cursor.fetchall()
        if (event, who) in wanted
    }
