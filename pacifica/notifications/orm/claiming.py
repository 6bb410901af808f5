"""Which deliveries a worker claims: those of any lane that are due, of one lane, of one that must go one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import peewee

from .claimed import Claimed
from .database import dialect, locking, now, repeated, skipping, transaction
from .eventlog import EventLog
from .eventlogmatch import EventLogMatch
from .eventmatch import EventMatch
from .statements import keys, marks, rows, run
from .targetstate import allowed, later

#: Names of lanes that a statement leaves out at most.
LEFT_OUT = 2000


_ROW = EventLogMatch
_COLUMNS = (
    _ROW.uuid,
    _ROW.event_log,
    _ROW.event_match,
    _ROW.lane,
    _ROW.attempts,
    _ROW.attempts_before,
    _ROW.replay,
    _ROW.created,
    _ROW.starts,
    _ROW.next_attempt_at,
    _ROW.reopened,
)

_SELECT = f"SELECT {', '.join(field.column_name for field in _COLUMNS)} FROM {_ROW._meta.table_name} WHERE "  # noqa: S608 - of our own words

#: Says which of the rows that are due, oldest first, are to be claimed; it may be asked more than once.
Choice = Callable[[Sequence[Claimed]], Collection[UUID]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a look at the rows that are due gave: the claimed ones, those left, and until when it has seen them all.

    ``whole`` tells that there was nothing behind it.
    """

    claimed: Sequence[Claimed]
    left: Sequence[Claimed]
    seen_until: datetime
    whole: bool


def claim_page(
    choice: Choice, limit: int, lease: float, after: datetime | None = None, without: Collection[str] = ()
) -> Page:
    """Look at most at ``limit`` rows of any lane that have become due since ``after``, and claim those chosen.

    Lanes named in ``without`` are left out, and so is what a worker had that was lost.
    """
    where, parameters = _due_in("", after)
    if without:
        left_out = list(without)[:LEFT_OUT]
        where, parameters = f"{where} AND lane NOT IN ({marks(left_out)})", [*parameters, *left_out]
    # Before the look: what becomes due behind it is found by the next.
    at = now()
    seen, claimed = _claim_page(where, [*parameters, limit], choice, lease)
    taken = {row.uuid for row in claimed}
    seen_until = seen[-1].due if seen else at
    return Page(claimed, [row for row in seen if row.uuid not in taken], seen_until, len(seen) < limit)


@repeated
def claim_lanes(wanted: Mapping[str, tuple[int, datetime | None]], lease: float) -> list[Claimed]:
    """Claim the longest due of several lanes: of each at most so many, of those that became due since a time.

    What a worker had that was lost is left out.
    """
    with transaction():
        found: list[Claimed] = []
        for lane, (limit, since) in wanted.items():
            where, parameters = _due_in("lane = ? AND ", since)
            found += _rows(where, [lane, *parameters, limit])
        return _lease(found, lease)


def _due_in(lane: str, since: datetime | None) -> tuple[str, list[object]]:
    """Give the condition for what is due, was not lost with its worker, and became due since a time."""
    where = f"{lane}starts = 0 AND next_attempt_at <= {_moment()}"
    return (f"{where} AND next_attempt_at >= ?", [since]) if since else (where, [])


def _rows(where: str, parameters: Sequence[object]) -> list[Claimed]:
    """Lock and give what a condition holds for, the longest due first; the last parameter is how many at most."""
    text = f"{_SELECT}{where} ORDER BY next_attempt_at LIMIT ? {dialect().skip_locked}"
    return [Claimed(*row) for row in rows(run(text, parameters), _COLUMNS)]


@repeated
def _claim_page(
    where: str, parameters: Sequence[object], choice: Choice, lease: float
) -> tuple[list[Claimed], list[Claimed]]:
    """Give the rows that were seen and those that were claimed, in one short transaction."""
    table = _ROW._meta.table_name
    if dialect().look_first and not run(f"SELECT 1 FROM {table} WHERE {where} LIMIT ?", parameters).fetchall():  # noqa: S608 - of our own words
        return [], []
    with transaction():
        seen = _rows(where, parameters)
        chosen = set(choice(seen))
        return seen, _lease([row for row in seen if row.uuid in chosen], lease)


def _moment() -> str:
    """Give the time by the database's clock as a value: PostgreSQL looks its clock up anew for each row otherwise."""
    return f"(SELECT {dialect().clock})"


def _is_due() -> peewee.Expression:
    return _ROW.next_attempt_at <= peewee.SQL(_moment())


def claim_lost(lease: float, below: int | None = None, without: Collection[str] = ()) -> Claimed | None:
    """Claim one delivery that a worker had which was lost, if it was lost ``below`` so many times.

    Lanes named in ``without`` are left out.
    """
    lost = (_ROW.starts > 0) & _is_due()
    if below is not None:
        lost &= _ROW.starts < below
    if without:
        lost &= _ROW.lane.not_in(list(without)[:LEFT_OUT])
    claimed = _claim(lost, 1, lease)
    return claimed[0] if claimed else None


def lost_often(starts: int) -> bool:
    """Tell whether a delivery is due that was lost with its worker at least so many times."""
    return _ROW.select(_ROW.uuid).where((_ROW.starts >= starts) & _is_due()).exists()


def claim_due(limit: int, lease: float, events: Sequence[UUID] = ()) -> list[Claimed]:
    """Claim what is due, of these ``events`` if given, whatever its target or its subscription allows."""
    due = _is_due()
    if events:
        due &= _ROW.event_log.in_(list(events))
    return _claim(due, limit, lease)


@repeated
def _claim(due: peewee.Expression, limit: int, lease: float) -> list[Claimed]:
    """Claim what a condition holds for, the longest due first, in one short transaction."""
    wanted = _ROW.select(*_COLUMNS).where(due).order_by(_ROW.next_attempt_at).limit(limit)
    if dialect().look_first and not wanted.exists():
        return []
    with transaction():
        return _lease([Claimed(*row) for row in skipping(wanted).tuples()], lease)


def _lease(claimed: Sequence[Claimed], lease: float) -> list[Claimed]:
    """Write a new lease into rows that are locked."""
    if not claimed:
        return []
    token, at = uuid4(), now()
    uuids = keys(_ROW.uuid, [row.uuid for row in claimed])
    run(
        f"UPDATE {_ROW._meta.table_name} SET lease = ?, next_attempt_at = ?, starts = starts + 1"  # noqa: S608 - of our own words
        f" WHERE uuid IN ({marks(uuids)})",
        [*keys(_ROW.lease, [token]), at + timedelta(seconds=lease), *uuids],
    )
    return [row._replace(lease=token, at=at) for row in claimed]


@repeated
def claim_limited(subscription: UUID, limit: int, lease: float) -> tuple[list[Claimed], bool]:
    """Claim what a subscription with limits or an order may have sent now; tell whether more may be due.

    Everything about it is decided under its row's lock: how many are in flight anywhere, what its rate allows, and
    which is the next one in the order of acceptance.
    """
    with transaction():
        row = locking(EventMatch.select().where(EventMatch.uuid == subscription)).get_or_none()
        if row is None:
            return [], False
        at, lane = now(), _ROW.lane == str(subscription)
        if row.disabled is not None or row.deleted is not None:
            # Made by a router that read it before; whoever has them in hand ends or holds them.
            over = _lease([Claimed(*each) for each in skipping(_due(lane, at, limit)).tuples()], lease)
            return over, len(over) == limit
        room = min(limit, _room(row, lane, at))
        if room <= 0:
            return [], True
        wanted = _head(lane, at) if row.ordered else _due(lane, at, room)
        if wanted is None:
            return [], _ROW.select(_ROW.uuid).where(lane & _ROW.next_attempt_at.is_null(False)).exists()
        claimed = _lease([Claimed(*each) for each in locking(wanted).tuples()], lease)
        if claimed and "rate" in row.limit_values:
            paced = later(row.paced_until, at, row.limit_values["rate"], len(claimed))
            EventMatch.update(paced_until=paced).where(EventMatch.uuid == subscription).execute()
    return claimed, row.ordered or len(claimed) == room


def _room(row: EventMatch, lane: peewee.Expression, at: datetime) -> int:
    """Count what the limits of a subscription leave."""
    limits, room = row.limit_values, 1 if row.ordered else LEFT_OUT
    if "in_flight" in limits:
        in_flight = lane & (_ROW.next_attempt_at > at) & _ROW.lease.is_null(False)
        room = min(room, int(limits["in_flight"]) - _ROW.select().where(in_flight).count())
    if "rate" in limits:
        room = min(room, allowed(row.paced_until, at, limits["rate"]))
    return room


def _due(lane: peewee.Expression, at: datetime, room: int) -> peewee.ModelSelect:
    due = lane & (_ROW.next_attempt_at <= at) & (_ROW.starts == 0)
    return _ROW.select(*_COLUMNS).where(due).order_by(_ROW.next_attempt_at).limit(room)


def _head(lane: peewee.Expression, at: datetime) -> peewee.ModelSelect | None:
    """Find the unfinished delivery of the event that was accepted first, if it is due.

    An event that was accepted earlier and is not routed yet may have one as well: that is waited for.
    """
    first = (
        _ROW.select(_ROW.uuid, _ROW.accepted, _ROW.next_attempt_at, _ROW.starts)
        .where(lane & _ROW.accepted.is_null(False))
        .order_by(_ROW.accepted, _ROW.uuid)
        .get_or_none()
    )
    if first is None:
        # As it was matched before the subscription wanted an order.
        return _due(lane, at, 1)
    if first.next_attempt_at is None or first.next_attempt_at > at or first.starts:
        return None
    earlier = EventLog.select(EventLog.uuid).where(
        EventLog.route_at.is_null(False) & (EventLog.created < first.accepted)
    )
    if earlier.exists():
        return None
    return _ROW.select(*_COLUMNS).where((_ROW.uuid == first.uuid) & (_ROW.starts == 0) & (_ROW.next_attempt_at <= at))
