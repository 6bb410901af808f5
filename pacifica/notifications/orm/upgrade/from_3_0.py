"""From 3.0 to 4.0: times in UTC, deliveries with a state, events that can be looked up and are routed once.

Every row is written anew into new tables. What older releases logged is over: its events are routed, its deliveries
have ended, and nothing of it is sent by itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any
from uuid import UUID

import peewee

from ... import events
from ...retry import State
from ..database import DB, WrongSchema, dialect, now, transaction
from . import tables_3_0 as old
from . import tables_4_0 as new
from .passage import Passage
from .replacing import replace

VERSION = (4, 0)
#: Rows that are in memory at once; fewer where they are large.
ROWS = 500
#: For as long as it takes: which deliveries were sent again, and how often before. No temporary table, which needs a
#: right of its own in MariaDB.
REPLAYS = "dbsync_replays"
#: The number that every change so far counts as.
REVISION = 1

Row = dict[str, Any]
Keys = list[Any]


def make_4_0() -> None:
    """Make the tables of 4.0 in a database that has none."""
    replace((), new.TABLES, new.indexes, lambda: _begin(0))


def move_to_4_0(passage: Passage) -> None:
    """Replace the tables of 3.0 by those of 4.0, with every row."""
    mover = _Mover(passage)
    there = {model for model in old.TABLES if model.table_exists()}

    def fill() -> None:
        _begin(REVISION)
        if old.EventMatch in there:
            mover.move(old.EventMatch, new.EventMatch, mover.subscriptions)
        if old.EventLog in there:
            mover.move(old.EventLog, new.EventLog, mover.events)
        if old.EventLogMatch in there:
            mover.number_replays()
            mover.move(old.EventLogMatch, new.EventLogMatch, mover.deliveries)
            DB.execute_sql(f"DROP TABLE {REPLAYS}")

    replace(old.TABLES, new.TABLES, new.indexes, fill, mover.check, passage.progress)


def _begin(revision: int) -> None:
    """Write the rows that are there before all others."""
    new.SubscriptionRevision.insert(id=1, value=revision).execute()
    rows = [{"part": part, "value": value} for part, value in zip(("major", "minor"), VERSION, strict=True)]
    new.NotificationSystem.insert_many(rows).execute()


class _Mover:
    """Takes rows from the old tables to the new ones, some at a time."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._at = now()
        self._moved: list[tuple[type[peewee.Model], int, type[peewee.Model], int]] = []

    def move(
        self, source: type[peewee.Model], target: type[peewee.Model], changed: Callable[[list[Row], Keys], list[Row]]
    ) -> None:
        """Move all rows of a table, as ``changed`` makes them; it is given their keys as they are written, too."""
        name, done, kept, rows = target.__name__.lower(), 0, 0, source.select().count()
        self._passage.progress(name, done, rows)
        for keys in _portions(source):
            found = list(source.select().where(source.uuid.in_(keys)).dicts())
            moved = changed([row for row in found if self._read_uuids(row)], keys)
            if moved:
                with transaction():
                    _insert(target, moved)
            done, kept = done + len(found), kept + len(moved)
            self._passage.progress(name, done, rows)
        self._moved.append((source, done, target, kept))

    def check(self) -> None:
        """Raise ``WrongSchema`` unless every row was read, and every one that is to be kept was written."""
        for source, done, target, kept in self._moved:
            if source.select().count() != done or target.select().count() != kept:
                raise WrongSchema(
                    f"{target.__name__.lower()} was written to during the upgrade, which changed nothing: stop every"
                    " service and worker of the older release, and run dbsync again"
                )

    def _read_uuids(self, row: Row) -> bool:
        """Read what identifies a row and what it refers to; a row without is left out and counted."""
        for name in row.keys() & {"uuid", "event_log", "event_match"}:
            try:
                row[name] = UUID(str(row[name]))
            except ValueError:
                self._passage.found[f"rows left out, because their {name} is no UUID"] += 1
                return False
        return True

    def subscriptions(self, rows: list[Row], keys: Keys) -> list[Row]:
        """Give subscriptions their times in UTC."""
        utc = self._passage.utc
        return [
            row
            | {
                "disabled": utc(row["disabled"], self._at) if row["disabled"] is not None else None,
                "created": utc(row["created"], self._at),
                "updated": utc(row["updated"], self._at),
                "deleted": utc(row["deleted"], self._at) if row["deleted"] is not None else None,
                "revision": REVISION,
                "failing_since": None,
                "failures": 0,
            }
            for row in rows
        ]

    def events(self, rows: list[Row], keys: Keys) -> list[Row]:
        """Give events the columns that they are looked up by, as routed when they were accepted."""
        moved = []
        for row in rows:
            created = self._passage.utc(row["created"], self._at)
            found = events.attributes(row["jsondata"])
            moved.append(
                {
                    "uuid": row["uuid"],
                    "jsondata": row["jsondata"],
                    "created": created,
                    "content_type": "application/json",
                    "source": found["source"],
                    "event_id": found["id"],
                    "type": found["type"],
                    "subject": found["subject"],
                    "time": found["time"],
                    "routed": created,
                }
            )
        return moved

    def number_replays(self) -> None:
        """Find out which rows say what became of an event when it was sent again."""
        DB.execute_sql(f"DROP TABLE IF EXISTS {REPLAYS}")
        row = old.EventLogMatch
        same = [row.event_log, row.event_match]
        number = peewee.fn.ROW_NUMBER().over(partition_by=same, order_by=[row.created, row.uuid]) - 1
        numbered = row.select(row.uuid, number.alias("number"))
        again = peewee.Select([numbered], [numbered.c.uuid, numbered.c.number]).where(numbered.c.number > 0)
        text, values = again.bind(DB).sql()
        DB.execute_sql(f"CREATE TABLE {REPLAYS} AS {text}", values)
        DB.execute_sql(f"CREATE INDEX {REPLAYS}_uuid ON {REPLAYS} (uuid)")

    def deliveries(self, rows: list[Row], keys: Keys) -> list[Row]:
        """Give deliveries the state in which they ended, but for those whose event or subscription is gone."""
        replays = self._replays(keys)
        known_events = _known(new.EventLog, {row["event_log"] for row in rows})
        known_subscriptions = _known(new.EventMatch, {row["event_match"] for row in rows})
        moved = []
        for row in rows:
            if row["event_log"] not in known_events or row["event_match"] not in known_subscriptions:
                self._passage.found["deliveries left out, because their event or subscription is gone"] += 1
                continue
            created = self._passage.utc(row["created"], self._at)
            policy, target = _code(row["policy_status_code"]), _code(row["target_status_code"])
            state, reason = _ended(policy, target)
            moved.append(
                row
                | {
                    "created": created,
                    "state": state,
                    "reason": reason,
                    "policy_status_code": policy,
                    "target_status_code": target,
                    "attempts": int(target is not None),
                    "attempts_before": 0,
                    "replay": replays.get(row["uuid"], 0),
                    "finished": created,
                }
            )
        return moved

    def _replays(self, keys: Keys) -> dict[UUID, int]:
        numbered = peewee.Table(REPLAYS, ["uuid", "number"]).bind(DB)
        found = numbered.select(numbered.uuid, numbered.number).where(numbered.uuid.in_(keys)).tuples()
        return {UUID(str(uuid)): number for uuid, number in found}


def _portions(source: type[peewee.Model]) -> Iterator[Keys]:
    """Give the keys of a table in order, as many at a time as have room in memory, and in a statement."""
    texts = [field for field in source._meta.sorted_fields if type(field) is peewee.TextField]
    size = reduce(operator.add, (peewee.fn.COALESCE(peewee.fn.LENGTH(text), 0) for text in texts))
    longest, last = dialect().portion(), None
    while True:
        wanted = source.select(source.uuid, size).order_by(source.uuid).limit(ROWS)
        found = list((wanted if last is None else wanted.where(source.uuid > last)).tuples())
        if not found:
            return
        last = found[-1][0]
        yield from _parts(found, longest)


def _parts(found: list[tuple[Any, int]], longest: int) -> Iterator[Keys]:
    part: Keys = []
    characters = 0
    for key, size in found:
        if part and characters + size > longest:
            yield part
            part, characters = [], 0
        part.append(key)
        characters += size
    yield part


def _insert(model: type[peewee.Model], rows: list[Row]) -> None:
    """Insert rows that have the same columns; the library takes four times as long to write the statement."""
    fields = [model._meta.fields[name] for name in rows[0]]
    columns = ", ".join(DB.quote[0] + field.column_name + DB.quote[-1] for field in fields)
    row = f"({', '.join([DB.param] * len(fields))})"
    values = [field.db_value(each[field.name]) for each in rows for field in fields]
    rows_of_parameters = ", ".join([row] * len(rows))
    statement = f"INSERT INTO {model._meta.table_name} ({columns}) VALUES {rows_of_parameters}"  # noqa: S608 - our own names
    DB.execute_sql(statement, values)


def _known(model: type[peewee.Model], uuids: set[UUID]) -> set[UUID]:
    """Tell which of these rows were taken over."""
    return {row.uuid for row in model.select(model.uuid).where(model.uuid.in_(list(uuids)))}


def _code(text: str | None) -> int | None:
    """Give a status, which is a text in the old tables."""
    return int(text) if text is not None and text.strip().isdecimal() and len(text) < 10 else None


def _ended(policy: int | None, target: int | None) -> tuple[State, str]:
    """Say how a delivery of an older release ended."""
    said = f"ended by an older release: policy {policy or '-'}, target {target or '-'}"
    if policy is not None and 400 <= policy < 500:
        return State.REFUSED, said
    if target is not None and 200 <= target < 400:
        return State.DELIVERED, said
    return State.DEAD, said
