"""Very many subscriptions in PostgreSQL, of this release or of 0.5.2: copies that the database makes of a true one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

import peewee
from playhouse.db_url import connect

#: Rows that are sent with one statement.
_PART = 5_000
_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'eventmatch'"


def add_copies(database: str, expressions: Iterable[str]) -> None:
    """Add a subscription for each expression, everything else as in the first that there is."""
    changed = {"uuid": "gen_random_uuid()", "jsonpath": "made.jsonpath", "revision": "made.number + copied.revision"}
    with closing(connect(database)) as connection, connection.atomic():
        names = [name for (name,) in connection.execute_sql(_COLUMNS).fetchall()]
        connection.execute_sql("CREATE TEMPORARY TABLE made (number BIGINT, jsonpath TEXT)")
        for part in peewee.chunked(enumerate(expressions, 1), _PART):
            rows = ", ".join(["(%s, %s)"] * len(part))
            connection.execute_sql(f"INSERT INTO made VALUES {rows}", [value for row in part for value in row])
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(changed.get(name, f'copied."{name}"') for name in names)
        connection.execute_sql(
            f"INSERT INTO eventmatch ({columns}) SELECT {values} FROM made CROSS JOIN"
            f" (SELECT * FROM eventmatch LIMIT 1) AS copied"
        )
        if "revision" in names:
            connection.execute_sql("UPDATE subscriptionrevision SET value = (SELECT MAX(revision) FROM eventmatch)")
