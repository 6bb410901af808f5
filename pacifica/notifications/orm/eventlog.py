"""Events, stored before anything else happens to them, and claimed for routing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

import peewee

from .. import failpoints
from ..events import Event
from .base import BaseModel
from .claimed import ClaimedEvent
from .database import DB, clock, dialect, locking, now, one_statement, repeated, transaction
from .insertion import Insertion
from .statements import keys, marks, run

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


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be stored, with the uuid that its row gets if it has none yet, and its digests."""

    event: Event
    uuid: UUID
    identity: str
    origin: str

    @classmethod
    def of(cls, event: Event) -> NewEvent:
        """Choose a uuid."""
        return cls(event, uuid4(), event.identity, event.origin)

    def row(self) -> dict[str, Any]:
        """Give the columns that have values."""
        return {
            "uuid": self.uuid,
            "jsondata": self.event.text,
            "content_type": self.event.content_type,
            "mode": self.event.mode,
            "source": self.event.source,
            "event_id": self.event.id,
            "type": self.event.type,
            "subject": self.event.subject,
            "time": self.event.time,
            "identity": self.identity,
            "origin": self.origin,
            "starts": 0,
        }


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
    mode = peewee.CharField(max_length=16, default="structured", constraints=[peewee.SQL("DEFAULT 'structured'")])

    @classmethod
    def store(cls, event: Event, refuse_conflict: bool = False) -> Stored:
        """Store one event in a transaction of its own, as ``store_all`` does."""
        return cls.store_all([NewEvent.of(event)], refuse_conflict)[0]

    @classmethod
    @repeated
    def store_all(cls, sent: Sequence[NewEvent], refuse_conflict: bool = False) -> list[Stored]:
        """Store events at once, or find the rows that have them already, as if they came one by one.

        The first event of a source and id holds their digest in ``origin``; one with other content is stored without
        it, or with ``refuse_conflict`` not at all: then ``uuid`` is the row that it conflicts with. When it raises,
        nothing is stored, or it can't be told; storing the same again finds what was.
        """
        firsts: dict[str, NewEvent] = {}
        for each in sent:
            firsts.setdefault(each.identity, each)
        found = cls._store_new(list(firsts.values()))
        if len(found) < len(firsts):
            with transaction():
                found = cls._store(list(firsts.values()), refuse_conflict)
        failpoints.hit("inserted")
        answers = []
        for each in sent:
            stored = found[each.identity]
            refused = stored.uuid == stored.conflicts_with
            again = each is not firsts[each.identity] and not refused
            answers.append(Stored(stored.uuid, duplicate=True) if again else stored)
        return answers

    @classmethod
    @repeated
    def store_whole(cls, sent: Sequence[NewEvent]) -> list[Stored]:
        """Store events as ``store_all`` does that refuses conflicts, but none of them if there is a conflict."""
        try:
            with transaction():
                found = cls.store_all(sent, refuse_conflict=True)
                if any(each.conflicts_with for each in found):
                    raise _Refused(found)
        except _Refused as refused:
            return refused.found
        return found

    @classmethod
    def _store_new(cls, events: list[NewEvent]) -> dict[str, Stored]:
        """Store events of which none is there yet, as nearly always, with one statement.

        If one is, it gives nothing, and those that are stored by now are found by ``_store``, which takes them for its
        own: they have the uuids that were chosen for them.
        """
        if DB.in_transaction() or not events:
            return {}
        with one_statement():
            new = _insert(events) == len(events)
        return {each.identity: Stored(each.uuid) for each in events} if new else {}

    @classmethod
    def _store(cls, left: list[NewEvent], refuse_conflict: bool) -> dict[str, Stored]:
        """Give what became of events that are all different, by identity."""
        found: dict[str, Stored] = {}
        while left:
            if _insert(left) == len(left):
                return found | {each.identity: Stored(each.uuid) for each in left}
            there = cls._uuids_by(cls.identity, left)
            for each in left:
                if each.identity in there:
                    uuid = there[each.identity]
                    found[each.identity] = Stored(uuid, duplicate=uuid != each.uuid)
            left = [each for each in left if each.identity not in found]
            origins = cls._uuids_by(cls.origin, left)
            for each in left:
                first = origins.get(each.origin)
                if first and refuse_conflict:
                    found[each.identity] = Stored(first, conflicts_with=first)
                elif first and _INSERTION.missing([each.row() | {"origin": None}]):
                    found[each.identity] = Stored(each.uuid, conflicts_with=first)
            # Of others the same event came in between, or what stood in the way was purged.
            left = [each for each in left if each.identity not in found]
        return found

    @classmethod
    def _uuids_by(cls, field: peewee.Field, events: list[NewEvent]) -> dict[str, UUID]:
        """Give the rows that have one of the events' digests, by it."""
        if not events:
            return {}
        digests = [getattr(each, field.name) for each in events]
        return dict(cls.select(field, cls.uuid).where(field.in_(digests)).tuples())

    @classmethod
    def claim_unrouted(cls, limit: int, lease: float) -> list[ClaimedEvent]:
        """Claim events to route, oldest first, for ``lease`` seconds; whoever holds the lease may finish them.

        What a worker had that was lost is left out.
        """
        return cls._claim("starts = 0", (), limit, lease)

    @classmethod
    def claim_lost(cls, lease: float, below: int | None = None) -> ClaimedEvent | None:
        """Claim one event that a worker had which was lost, ``below`` so many times; ``starts`` says how often."""
        # Looked at first, because hardly ever is there any, and an event that has come waits meanwhile.
        if not run("SELECT 1 FROM eventlog WHERE starts > 0 AND route_at IS NOT NULL LIMIT 1").fetchone():
            return None
        which, than = ("starts > 0", ()) if below is None else ("starts > 0 AND starts < ?", (below,))
        claimed = cls._claim(which, than, 1, lease)
        return claimed[0] if claimed else None

    @classmethod
    @repeated
    def _claim(cls, which: str, than: Sequence[int], limit: int, lease: float) -> list[ClaimedEvent]:
        """Claim what a condition holds for in one short transaction; nothing is locked when it returns."""
        token = uuid4()
        if dialect().at_once:
            return _claim_at_once(which, [*than, limit], token, lease)
        at = now()
        due = f"FROM {cls._meta.table_name} WHERE {which} AND route_at <= ? ORDER BY route_at LIMIT ?"
        parameters = [*than, at, limit]
        if dialect().look_first and not run(f"SELECT 1 {due}", parameters).fetchall():
            return []
        uuid = dialect().written("uuid")
        with transaction():
            found = run(f"SELECT {uuid}, jsondata, created, starts {due} {dialect().skip_locked}", parameters)
            claimed = [
                ClaimedEvent(UUID(key), text, dialect().moment(created), starts, token)
                for key, text, created, starts in found.fetchall()
            ]
            if claimed:
                values = [*keys([str(token)]), at + timedelta(seconds=lease)]
                cls._write(claimed, "lease = ?, route_at = ?, starts = starts + 1", values)
        return claimed

    @classmethod
    @repeated
    def renew(cls, claimed: Sequence[ClaimedEvent], lease: float) -> list[ClaimedEvent]:
        """Hold claimed events for another ``lease`` seconds; give those that nobody else has by now."""
        with transaction():
            return cls._finish(claimed, "route_at = ?", [now() + timedelta(seconds=lease)])

    @classmethod
    def finish_routing(cls, claimed: Sequence[ClaimedEvent], revision: int) -> list[ClaimedEvent]:
        """Mark claimed events routed, inside the caller's transaction; give those that nobody else has by now."""
        routed = f"routed = {dialect().clock}, route_at = NULL, lease = NULL, starts = 0, revision = ?"
        return cls._finish(claimed, routed, [revision])

    @classmethod
    @repeated
    def park(cls, claimed: ClaimedEvent, reason: str) -> bool:
        """Route a claimed event no more, for a reason that is kept with it; False if somebody else has it by now."""
        with transaction():
            return bool(cls._finish([claimed], "route_at = NULL, lease = NULL, error = ?", [reason]))

    @classmethod
    def _finish(cls, claimed: Sequence[ClaimedEvent], written: str, values: Sequence[object]) -> list[ClaimedEvent]:
        """Write into those of the claimed events whose lease is still ours, and give them.

        Locked in one order everywhere, so that two processes do not wait for one another.
        """
        if not claimed:
            return []
        uuids = keys(str(event.uuid) for event in claimed)
        lock = "FOR UPDATE" if dialect().skip_locked else ""
        columns = f"{dialect().written('uuid')}, {dialect().written('lease')}"
        found = run(
            f"SELECT {columns} FROM {cls._meta.table_name}"  # noqa: S608 - of our own words
            f" WHERE uuid IN ({marks(uuids)}) AND route_at IS NOT NULL ORDER BY uuid {lock}",
            uuids,
        )
        held = set(map(tuple, found.fetchall()))
        mine = [event for event in claimed if (str(event.uuid), str(event.lease)) in held]
        if mine:
            cls._write(mine, written, values)
        return mine

    @classmethod
    def _write(cls, claimed: Sequence[ClaimedEvent], written: str, values: Sequence[object]) -> None:
        """Write into events that are locked."""
        uuids = keys(str(event.uuid) for event in claimed)
        run(f"UPDATE {cls._meta.table_name} SET {written} WHERE uuid IN ({marks(uuids)})", [*values, *uuids])  # noqa: S608 - of our own words

    @classmethod
    def unpark(cls, uuids: Iterable[UUID]) -> list[UUID]:
        """Let events be routed again that were parked, inside the caller's transaction, and give those."""
        parked = cls.uuid.in_(list(uuids)) & cls.error.is_null(False) & cls.routed.is_null() & cls.route_at.is_null()
        found = [row.uuid for row in locking(cls.select(cls.uuid).where(parked))]
        cls.update(route_at=clock(), error=None, starts=0).where(cls.uuid.in_(found)).execute()
        return found

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


def _claim_at_once(which: str, parameters: Sequence[object], token: UUID, lease: float) -> list[ClaimedEvent]:
    """Claim in one statement, which is a transaction of its own; see ``claiming`` for why it is written so."""
    clock = dialect().clock
    cursor = run(
        f"{dialect().claiming}WITH clock AS MATERIALIZED (SELECT {clock} AS at), found AS MATERIALIZED ("  # noqa: S608 - of our own words
        f"SELECT uuid, starts, route_at FROM eventlog WHERE {which} AND route_at <= (SELECT {clock})"
        " ORDER BY route_at LIMIT ? FOR UPDATE SKIP LOCKED)"
        " UPDATE eventlog AS claimed SET lease = ?, starts = claimed.starts + 1,"
        " route_at = clock.at + make_interval(secs => ?) FROM found CROSS JOIN clock"
        " WHERE claimed.uuid = found.uuid AND claimed.uuid = ANY(ARRAY(SELECT uuid FROM found))"
        " RETURNING claimed.uuid::text, jsondata, created, found.starts, found.route_at",
        [*parameters, str(token), lease],
    )
    found = sorted(cursor.fetchall(), key=itemgetter(4, 0))
    return [ClaimedEvent(UUID(key), text, created, starts, token) for key, text, created, starts, _due in found]


class _Refused(Exception):
    """Ends a transaction, because some of these are conflicts."""

    def __init__(self, found: list[Stored]) -> None:
        super().__init__()
        self.found = found


#: It is due for routing at once.
_INSERTION = Insertion(
    EventLog,
    (
        "uuid",
        "jsondata",
        "content_type",
        "mode",
        "source",
        "event_id",
        "type",
        "subject",
        "time",
        "identity",
        "origin",
        "starts",
    ),
    now=("created", "route_at"),
)


def _insert(events: Iterable[NewEvent]) -> int:
    """Insert the first event of each source and id where there is no other one yet; count what was inserted."""
    holders: dict[str, NewEvent] = {}
    for each in events:
        holders.setdefault(each.origin, each)
    # In one order everywhere, so that two processes do not wait for one another.
    return _INSERTION.missing([each.row() for each in sorted(holders.values(), key=lambda each: each.identity)])
