"""Which deliveries a worker claims: those of any lane that are due, of one lane, of one that must go one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID, uuid4

from .claimed import Claimed
from .database import dialect, locking, now, repeated, transaction
from .eventlog import EventLog
from .eventlogmatch import EventLogMatch
from .eventmatch import EventMatch
from .statements import keys, marks, run
from .targetstate import allowed, later

#: Names of lanes that a statement leaves out at most.
LEFT_OUT = 2000

_ROW = EventLogMatch
_DUE = attrgetter("due")
#: What stands beside the three keys of a row, in the order in which ``Claimed`` has it; the time of the claim is next.
_COLUMNS = "lane, attempts, attempts_before, replay, created, starts, next_attempt_at, reopened"

#: Says which of the rows that are due are to be claimed, by their lanes, the longest due first.
Choice = Callable[[Sequence[str]], Sequence[bool]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a look at the rows that are due gave: the claimed ones, and of the lanes of those left since when.

    It has seen all that became due until ``seen_until``; ``whole`` tells that there was nothing behind it.
    """

    claimed: Sequence[Claimed]
    left: Mapping[str, datetime]
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
    began = time.monotonic()
    seen, claimed = _claim_page(where, [*parameters, limit], choice, lease)
    # The time before the look: what becomes due behind it is found by the next.
    seen_until = seen[-1].due if seen else now() - timedelta(seconds=time.monotonic() - began)
    taken = {row.key for row in claimed}
    left: dict[str, datetime] = {}
    for row in seen:
        if row.key not in taken:
            left.setdefault(row.lane, row.due)
    return Page(claimed, left, seen_until, len(seen) < limit)


@repeated
def _claim_page(
    where: str, parameters: Sequence[object], choice: Choice, lease: float
) -> tuple[list[Claimed], list[Claimed]]:
    """Give the rows that were seen and those that were claimed, in one short transaction."""
    if _in_vain(where, parameters):
        return [], []
    with transaction():
        seen = _locked(where, parameters, _token())
        if not seen:
            return [], []
        chosen = choice([row.lane for row in seen])
        return seen, _lease([row for row, is_chosen in zip(seen, chosen, strict=True) if is_chosen], lease)


@repeated
def claim_lanes(wanted: Mapping[str, tuple[int, datetime | None]], lease: float) -> list[Claimed]:
    """Claim the longest due of several lanes: of each at most so many, of those that became due since a time.

    They are given in the order in which they became due. What a worker had that was lost is left out.
    """
    if dialect().at_once:
        # A LATERAL part is run for each lane with the numbers of that lane. Lane and time are compared as pairs, and
        # ordered by, so that the index on both is used whatever the plan's guess: by the index on time alone, a lane
        # with few rows would be looked for among all that is due.
        values = ", ".join(["(?, ?::bigint, ?::timestamp)"] * len(wanted))
        due = (
            f"(lane, next_attempt_at) <= (wanted.name, {_moment()})"
            " AND (lane, next_attempt_at) >= (wanted.name, coalesce(wanted.since, '-infinity'))"
        )
        # The last LIMIT cuts nothing off: it tells the planner how few these are.
        found = (
            f"SELECT uuid, next_attempt_at FROM (VALUES {values}) AS wanted(name, most, since)"  # noqa: S608 - of our own words
            " CROSS JOIN LATERAL (SELECT uuid, next_attempt_at FROM eventlogmatch"
            f" WHERE starts = 0 AND next_attempt_at IS NOT NULL AND {due}"
            " ORDER BY lane, next_attempt_at LIMIT wanted.most FOR UPDATE SKIP LOCKED) AS due LIMIT ?"
        )
        named = [part for name, (most, after) in wanted.items() for part in (name, most, after)]
        return _claim_at_once(found, [*named, sum(most for most, _after in wanted.values())], lease)
    with transaction():
        rows, token = list[Claimed](), _token()
        for lane, (limit, since) in wanted.items():
            where, parameters = _due_in("lane = ? AND ", since)
            rows += _locked(where, [lane, *parameters, limit], token)
        return _lease(sorted(rows, key=_DUE), lease)


def _due_in(lane: str, since: datetime | None) -> tuple[str, list[object]]:
    """Give the condition for what is due, was not lost with its worker, and became due since a time."""
    where = f"{lane}starts = 0 AND {_is_due()}"
    return (f"{where} AND next_attempt_at >= ?", [since]) if since else (where, [])


def _is_due() -> str:
    return f"next_attempt_at <= {_moment()}"


def _moment() -> str:
    """Give the time by the database's clock as a value: PostgreSQL looks its clock up anew for each row otherwise."""
    return f"(SELECT {dialect().clock})"


def claim_lost(lease: float, below: int | None = None, without: Collection[str] = ()) -> Claimed | None:
    """Claim one delivery that a worker had which was lost, if it was lost ``below`` so many times.

    Lanes named in ``without`` are left out.
    """
    where, parameters = f"starts > 0 AND {_is_due()}", list[object]()
    if below is not None:
        where, parameters = f"{where} AND starts < ?", [below]
    if without:
        left_out = list(without)[:LEFT_OUT]
        where, parameters = f"{where} AND lane NOT IN ({marks(left_out)})", [*parameters, *left_out]
    claimed = _claim(where, [*parameters, 1], lease)
    return claimed[0] if claimed else None


def lost_often(starts: int) -> bool:
    """Tell whether a delivery is due that was lost with its worker at least so many times."""
    return not _nothing(f"starts >= ? AND {_is_due()}", [starts, 1])


def claim_due(limit: int, lease: float, events: Sequence[UUID] = ()) -> list[Claimed]:
    """Claim what is due, of these ``events`` if given, whatever its target or its subscription allows."""
    where, theirs = _is_due(), keys(map(str, events))
    if theirs:
        where = f"{where} AND event_log_id IN ({marks(theirs)})"
    return _claim(where, [*theirs, limit], lease)


@repeated
def _claim(where: str, parameters: Sequence[object], lease: float) -> list[Claimed]:
    """Claim what a condition holds for, the longest due first; the last parameter is how many at most."""
    if dialect().at_once:
        found = (
            f"SELECT uuid, next_attempt_at FROM eventlogmatch WHERE {where}"  # noqa: S608 - of our own words
            " ORDER BY next_attempt_at LIMIT ? FOR UPDATE SKIP LOCKED"
        )
        return _claim_at_once(found, parameters, lease)
    if _in_vain(where, parameters):
        return []
    with transaction():
        return _lease(_locked(where, parameters, _token()), lease)


def _in_vain(where: str, parameters: Sequence[object]) -> bool:
    """Tell that there is nothing to claim, where looking first is cheaper."""
    return dialect().look_first and _nothing(where, parameters)


def _nothing(where: str, parameters: Sequence[object]) -> bool:
    return not run(f"SELECT 1 FROM eventlogmatch WHERE {where} LIMIT ?", parameters).fetchall()  # noqa: S608 - of our own words


def _claim_at_once(found: str, parameters: Sequence[object], lease: float) -> list[Claimed]:
    """Claim what a query gives, and locks, in one statement, which is a transaction of its own.

    MATERIALIZED, so that the query is run once whatever the plan: a second time it would lock other rows. The array
    has the rows found by their key: for a join alone the planner likes to read all of a table that is not large.
    """
    token = _token()
    cursor = run(
        f"{dialect().claiming}WITH found AS MATERIALIZED ({found}),"  # noqa: S608 - of our own words
        f" clock AS MATERIALIZED (SELECT {dialect().clock} AS at)"
        " UPDATE eventlogmatch AS claimed SET lease = ?, starts = starts + 1,"
        " next_attempt_at = clock.at + make_interval(secs => ?)"
        " FROM found CROSS JOIN clock"
        " WHERE claimed.uuid = found.uuid AND claimed.uuid = ANY(ARRAY(SELECT uuid FROM found))"
        " RETURNING claimed.uuid::text, event_log_id::text, event_match_id::text, lane, attempts, attempts_before,"
        " replay, created, starts - 1, found.next_attempt_at, reopened, clock.at",
        [*parameters, token, lease],
    )
    return sorted((Claimed._make((*row, token)) for row in cursor.fetchall()), key=_DUE)


def _token() -> str:
    return str(uuid4())


def _locked(
    where: str, parameters: Sequence[object], token: str, lock: str | None = None, durable: bool = False
) -> list[Claimed]:
    """Lock and give what a condition holds for, the longest due first; the last parameter is how many at most.

    ``durable``: more than a claim is written in this transaction, and must outlive a crash of the server.

    They are given with the lease that will be theirs if they are claimed.
    """
    ours = dialect()
    uuids = ", ".join(map(ours.written, ("uuid", "event_log_id", "event_match_id")))
    cursor = run(
        f"{ours.by_index if durable else ours.claiming}SELECT {uuids}, {_COLUMNS}, {_moment()}"  # noqa: S608 - of our own words
        f" FROM eventlogmatch WHERE {where} ORDER BY next_attempt_at LIMIT ?"
        f" {ours.skip_locked if lock is None else lock}",
        parameters,
    )
    rows, moment = cursor.fetchall(), ours.moment
    if ours.times_are_texts:
        rows = [(*row[:7], moment(row[7]), row[8], *map(moment, row[9:])) for row in rows]
    return [Claimed._make((*row, token)) for row in rows]


def _lease(rows: list[Claimed], lease: float) -> list[Claimed]:
    """Write their new lease into rows that are locked."""
    if rows:
        uuids = keys(row.key for row in rows)
        run(
            "UPDATE eventlogmatch SET lease = ?, next_attempt_at = ?, starts = starts + 1"  # noqa: S608 - of our own words
            f" WHERE uuid IN ({marks(uuids)})",
            [dialect().key(rows[0].token), rows[0].at + timedelta(seconds=lease), *uuids],
        )
    return rows


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
        at, lane = now(), str(subscription)
        if row.disabled is not None or row.deleted is not None:
            # Made by a router that read it before; whoever has them in hand ends or holds them.
            over = _lease(_due(lane, at, limit), lease)
            return over, len(over) == limit
        room = min(limit, _room(row, lane, at))
        if room <= 0:
            return [], True
        found = _head(lane, at) if row.ordered else _due(lane, at, room, _WAITING)
        if found is None:
            waits = _ROW.select(_ROW.uuid).where((_ROW.lane == lane) & _ROW.next_attempt_at.is_null(False))
            return [], waits.exists()
        claimed = _lease(found, lease)
        if claimed and "rate" in row.limit_values:
            paced = later(row.paced_until, at, row.limit_values["rate"], len(claimed))
            EventMatch.update(paced_until=paced).where(EventMatch.uuid == subscription).execute()
    return claimed, row.ordered or len(claimed) == room


def _room(row: EventMatch, lane: str, at: datetime) -> int:
    """Count what the limits of a subscription leave."""
    limits, room = row.limit_values, 1 if row.ordered else LEFT_OUT
    if "in_flight" in limits:
        in_flight = (_ROW.lane == lane) & (_ROW.next_attempt_at > at) & _ROW.lease.is_null(False)
        room = min(room, int(limits["in_flight"]) - _ROW.select().where(in_flight).count())
    if "rate" in limits:
        room = min(room, allowed(row.paced_until, at, limits["rate"]))
    return room


#: Locks rows, and waits for those that somebody else has locked.
_WAITING = "FOR UPDATE"


def _due(lane: str, at: datetime, room: int, lock: str | None = None) -> list[Claimed]:
    where = "lane = ? AND starts = 0 AND next_attempt_at <= ?"
    return _locked(where, [lane, at, room], _token(), lock if dialect().skip_locked else None, durable=True)


def _head(lane: str, at: datetime) -> list[Claimed] | None:
    """Lock the unfinished delivery of the event that was accepted first, if it is due.

    An event that was accepted earlier and is not routed yet may have one as well: that is waited for.
    """
    first = (
        _ROW.select(_ROW.uuid, _ROW.accepted, _ROW.next_attempt_at, _ROW.starts)
        .where((_ROW.lane == lane) & _ROW.accepted.is_null(False))
        .order_by(_ROW.accepted, _ROW.uuid)
        .get_or_none()
    )
    if first is None:
        # As it was matched before the subscription wanted an order.
        return _due(lane, at, 1, _WAITING)
    if first.next_attempt_at is None or first.next_attempt_at > at or first.starts:
        return None
    earlier = EventLog.select(EventLog.uuid).where(
        EventLog.route_at.is_null(False) & (EventLog.created < first.accepted)
    )
    if earlier.exists():
        return None
    lock = _WAITING if dialect().skip_locked else None
    where = "uuid = ? AND starts = 0 AND next_attempt_at <= ?"
    return _locked(where, [*keys([str(first.uuid)]), at, 1], _token(), lock, durable=True)
