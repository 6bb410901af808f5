"""Very many pending deliveries on PostgreSQL: copies of one event and its deliveries, made by the database itself.

What is copied was written by the functions that routing calls, so that every column holds what they put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from playhouse.db_url import connect

from pacifica.notifications import orm
from tests.support import tables

from . import filling

#: Events after which tables are looked after.
_MANY = 1_000
_NOW = "clock_timestamp() AT TIME ZONE 'UTC'"


def prepare(database: str, targets: Sequence[str]) -> None:
    """Make the tables, a subscription for each target, and what is to be copied."""
    filling.make_tables(database)
    subscriptions = filling.subscribe(database, targets)
    filling.deliver(database, [subscriptions])
    for model in (orm.EventLog, orm.EventLogMatch):
        tables.execute(database, f"CREATE TABLE {_copied(model)} AS SELECT * FROM {model._meta.table_name}")
    for model in (orm.EventLogMatch, orm.EventLog):
        tables.execute(database, f"DELETE FROM {model._meta.table_name}")


def top_up(database: str, backlog: int) -> None:
    """Add events, each with a delivery for each subscription, due at once, until so many deliveries are pending."""
    new_event = {"uuid": "gen_random_uuid()", "identity": "NULL", "origin": "NULL", "created": _NOW}
    new_delivery = {
        "uuid": "gen_random_uuid()",
        "event_log_id": "added.uuid",
        "created": _NOW,
        "next_attempt_at": _NOW,
    }
    with closing(connect(database)) as connection:
        matches, there = connection.execute_sql(
            f"SELECT (SELECT COUNT(*) FROM {_copied(orm.EventLogMatch)}),"
            f" (SELECT COUNT(*) FROM {orm.EventLogMatch._meta.table_name} WHERE state = 'pending')"
        ).fetchone()
        events = (backlog - there) // matches
        if events <= 0:
            return
        # References hold by themselves, and would take most of the time to check.
        connection.execute_sql("SET session_replication_role = replica")
        connection.execute_sql(
            f"WITH added AS ({_copy(orm.EventLog, new_event)} CROSS JOIN generate_series(1, {events}) RETURNING uuid)"
            f" {_copy(orm.EventLogMatch, new_delivery)} CROSS JOIN added"
        )
        if events >= _MANY:
            # What PostgreSQL does by itself some time later.
            connection.execute_sql("VACUUM ANALYZE")


def _copy(model: type[orm.BaseModel], changed: Mapping[str, str]) -> str:
    """Give the beginning of a statement that copies a model's rows, some columns changed."""
    columns = [field.column_name for field in model._meta.sorted_fields]
    named = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(changed.get(column, f'copied."{column}"') for column in columns)
    return f"INSERT INTO {model._meta.table_name} ({named}) SELECT {values} FROM {_copied(model)} AS copied"


def _copied(model: type[orm.BaseModel]) -> str:
    return f"copied_{model._meta.table_name}"
