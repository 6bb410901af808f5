"""From 4.1 to 4.2: subscriptions say how they are retried, limited and ordered; deliveries queue in lanes."""

from __future__ import annotations

import peewee

from ...errors import ConfigError
from ...subscriptions import place
from ..base import BaseModel
from ..database import DB, dialect
from . import tables_4_0
from .passage import Passage
from .tables_4_0 import NotificationSystem

# What is never null has its default in the database too: a release of 4.1 may use these tables, and writes rows that
# lack them.
_ZERO, _FALSE, _EMPTY = [peewee.SQL("DEFAULT 0")], [peewee.SQL("DEFAULT FALSE")], [peewee.SQL("DEFAULT ''")]


class EventMatch(tables_4_0.EventMatch):
    """A subscription."""

    retry = peewee.TextField(null=True)
    limits = peewee.TextField(null=True)
    ordered = peewee.BooleanField(constraints=_FALSE)
    warned = peewee.DateTimeField(null=True)
    paced_until = peewee.DateTimeField(null=True)


class EventLog(tables_4_0.EventLog):
    """An event."""

    starts = peewee.IntegerField(constraints=_ZERO)
    error = peewee.TextField(null=True)


class EventLogMatch(tables_4_0.EventLogMatch):
    """A delivery."""

    lane = peewee.CharField(max_length=300, constraints=_EMPTY)
    starts = peewee.IntegerField(constraints=_ZERO)
    accepted = peewee.DateTimeField(null=True)
    reopened = peewee.DateTimeField(null=True)


class TargetState(BaseModel):
    """A target that is in trouble, or that sets its own pace."""

    place = peewee.CharField(max_length=300, primary_key=True)
    failures = peewee.IntegerField()
    opened = peewee.IntegerField()
    open_until = peewee.DateTimeField(null=True)
    reason = peewee.TextField(null=True)
    paced_until = peewee.DateTimeField(null=True)


def open_lanes(passage: Passage) -> None:
    """Add what is missing, put what is not finished into the lanes of its targets, and record the version."""
    refuse_stranger()
    for model in (EventMatch, EventLog, EventLogMatch):
        add_columns(model)
    if not TargetState.table_exists():
        TargetState._meta.table_settings = dialect().table_settings
        TargetState._schema.create_table(safe=False)
        dialect().open_like(TargetState._meta.table_name, EventMatch._meta.table_name)
    for index in _indexes():
        if index._name not in {there.name for there in DB.get_indexes(index._model._meta.table_name)}:
            DB.execute(index)
    _fill_lanes()
    NotificationSystem.update(value=2).where(NotificationSystem.part == "minor").execute()


def refuse_stranger() -> None:
    """Raise ``ConfigError`` if somebody else has a table of the name that is new in 4.2."""
    name = TargetState._meta.table_name
    if (
        TargetState.table_exists()
        and {there.name for there in DB.get_columns(name)} != TargetState._meta.columns.keys()
    ):
        raise ConfigError(
            f"the database has a table of this name that is not ours: {name}; give this service a database of its own;"
            " nothing was changed"
        )


def add_columns(model: type[peewee.Model]) -> None:
    """Add the columns that a table lacks."""
    table = model._meta.table_name
    there = {column.name for column in DB.get_columns(table)}
    for field in model._meta.sorted_fields:
        if field.column_name not in there:
            statement = DB.get_sql_context().literal("ALTER TABLE ").sql(peewee.Entity(table)).literal(" ADD COLUMN ")
            DB.execute(statement.sql(field.ddl(statement)))


def _indexes() -> list[peewee.ModelIndex]:
    """Give those for the next of a lane, for what a lost worker had, for what has ended, and for unrouted events."""
    lane, accepted, due = EventLogMatch.lane, EventLogMatch.accepted, EventLogMatch.next_attempt_at
    state, finished = EventLogMatch.state, EventLogMatch.finished
    if not dialect().partial_indexes:
        return [
            EventLogMatch.index(lane, due, safe=False),
            EventLogMatch.index(lane, accepted, safe=False),
            EventLogMatch.index(EventLogMatch.starts, due, safe=False),
            EventLogMatch.index(state, finished, safe=False),
            EventLog.index(EventLog.starts, EventLog.route_at, safe=False),
        ]
    started = peewee.SQL("starts > 0")
    unrouted = EventLog.route_at.is_null(False)
    return [
        EventLogMatch.index(lane, due, where=due.is_null(False), safe=False),
        EventLogMatch.index(lane, accepted, where=accepted.is_null(False), safe=False),
        EventLogMatch.index(EventLogMatch.starts, due, where=started, safe=False),
        EventLogMatch.index(state, finished, where=finished.is_null(False), safe=False),
        EventLog.index(EventLog.starts, EventLog.route_at, where=started, safe=False),
        EventLog.index(EventLog.created, where=unrouted, name="eventlog_created_unrouted", safe=False),
    ]


def _fill_lanes() -> None:
    """Write the place of its target into what is not finished; no subscription has limits or an order yet."""
    waiting = EventLogMatch.finished.is_null()
    having = EventLogMatch.select(EventLogMatch.event_match).where(waiting).distinct()
    for row in EventMatch.select(EventMatch.uuid, EventMatch.target_url).where(EventMatch.uuid.in_(having)):
        theirs = waiting & (EventLogMatch.event_match == row.uuid)
        EventLogMatch.update(lane=place(row.target_url)).where(theirs).execute()
