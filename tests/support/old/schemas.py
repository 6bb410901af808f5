"""The tables of older releases, made from the contract's columns; and what a database says of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import peewee
from playhouse.db_url import connect

Version = tuple[int, int]
Facts = dict[str, list[tuple[Any, ...]]]

#: The tables of all rows that an upgrade moves, parents first.
MOVED = ("eventmatch", "eventlog", "eventlogmatch")

_TYPES = {
    "sqlite": {"uuid": "TEXT", "time": "DATETIME"},
    "postgresql": {"uuid": "UUID", "time": "TIMESTAMP"},
    "mysql": {"uuid": "VARCHAR(40)", "time": "DATETIME"},
}
_EVENTMATCH = """
    uuid {uuid} NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, jsonpath TEXT NOT NULL, "user" VARCHAR(255) NOT NULL,
    disabled {time}, error TEXT, target_url TEXT NOT NULL, version VARCHAR(255) NOT NULL, extensions TEXT NOT NULL,
    created {time} NOT NULL, updated {time} NOT NULL, deleted {time}
"""
_EVENTLOG = "uuid {uuid} NOT NULL PRIMARY KEY, jsondata TEXT NOT NULL, created {time} NOT NULL"
_EVENTLOGMATCH = """
    uuid {uuid} NOT NULL PRIMARY KEY, event_log_id {uuid} NOT NULL, event_match_id {uuid} NOT NULL,
    policy_status_code TEXT NOT NULL, policy_resp_body TEXT NOT NULL,
    target_status_code TEXT NOT NULL, target_resp_body TEXT NOT NULL, created {time} NOT NULL,
    FOREIGN KEY (event_log_id) REFERENCES eventlog (uuid), FOREIGN KEY (event_match_id) REFERENCES eventmatch (uuid)
"""
_SYSTEM = "part VARCHAR(255) NOT NULL PRIMARY KEY, value INTEGER NOT NULL"
_INDEXED = {
    "eventmatch": ["name", "user", "disabled", "created", "updated", "deleted"],
    "eventlog": ["created"],
    "eventlogmatch": ["event_log_id", "event_match_id", "created"],
}

#: Columns that hold a uuid, and a time.
UUIDS = {"uuid", "event_log_id", "event_match_id", "lease"}
TIMES = {"disabled", "created", "updated", "deleted", "failing_since", "time", "routed", "route_at", "finished"} | {
    "next_attempt_at", "warned", "paced_until",
}  # fmt: skip


def kind_of(url: str) -> str:
    """Return `sqlite`, `postgresql` or `mysql`."""
    return url.partition("://")[0]


@contextmanager
def opened(url: str) -> Iterator[peewee.Database]:
    """Open a database with a connection of the test's own."""
    database = connect(url)
    with database.connection_context():
        yield database
    database.close()


def make(
    url: str,
    version: Version = (3, 0),
    *,
    recorded: Iterable[str] = ("major", "minor"),
    options: str = "",
) -> None:
    """Make the tables of a version in an empty database.

    `recorded` are the parts of the version that are written down; without any, as in 0.0, there is no table for it.
    `options` are MariaDB's, at the end of each `CREATE TABLE`.
    """
    recorded = set(recorded) if version > (0, 0) else set()
    tables = {"eventmatch": _EVENTMATCH + (", auth TEXT" if version >= (2, 0) else "")}
    if version >= (3, 0):
        tables |= {"eventlog": _EVENTLOG, "eventlogmatch": _EVENTLOGMATCH}
    if recorded:
        tables["notificationsystem"] = _SYSTEM
    with opened(url) as database:
        for table, columns in tables.items():
            _run(database, url, f"CREATE TABLE {table} ({columns}) {options}")
            for column in _INDEXED.get(table, ()):
                _run(database, url, f'CREATE INDEX {table}_{column} ON {table} ("{column}")')
        for part, value in zip(("major", "minor"), version, strict=True):
            if part in recorded:
                _run(database, url, f"INSERT INTO notificationsystem (part, value) VALUES ('{part}', {value})")


def _run(database: peewee.Database, url: str, statement: str) -> None:
    kind = kind_of(url)
    statement = statement.format(**_TYPES[kind])
    database.execute_sql(statement.replace('"', "`") if kind == "mysql" else statement)


def described(url: str) -> set[str]:
    """Return what the database says of its tables, each fact a line: columns, indexes, references; nothing of rows.

    Two databases of a kind with equal descriptions take and give the same.
    """
    describe = {"sqlite": _of_sqlite, "postgresql": _of_postgresql, "mysql": _of_mariadb}[kind_of(url)]
    with opened(url) as database:
        return {
            f"{table}: {sort}: {fact}"
            for table in database.get_tables()
            for sort, facts in describe(database, table).items()
            for fact in facts
        }


def _of_sqlite(database: peewee.Database, table: str) -> Facts:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        return list(database.execute_sql(statement).fetchall())

    indexes = []
    for _, name, *kind in ask(f"PRAGMA index_list('{table}')"):
        columns = [row[2:] for row in ask(f"PRAGMA index_xinfo('{name}')")]
        ((statement,),) = ask(f"SELECT sql FROM sqlite_master WHERE name = '{name}'")
        where = (statement or "").upper().partition(" WHERE ")[2]
        indexes.append((name, kind, columns, where))
    return {
        # Without the numbers of the columns: their order is no promise.
        "columns": [row[1:] for row in ask(f"PRAGMA table_info('{table}')")],
        "indexes": indexes,
        "references": [row[2:] for row in ask(f"PRAGMA foreign_key_list('{table}')")],
    }


def _of_postgresql(database: peewee.Database, table: str) -> Facts:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        return list(database.execute_sql(statement, (table,)).fetchall())

    return {
        "columns": ask(
            "SELECT column_name, data_type, character_maximum_length, numeric_precision, datetime_precision,"
            " is_nullable, column_default, collation_name, is_identity"
            " FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        ),
        "indexes": ask("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = %s"),
        "references": ask(
            "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
        ),
    }


def _of_mariadb(database: peewee.Database, table: str) -> Facts:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        return list(database.execute_sql(statement, (table,)).fetchall())

    return {
        "table": ask(
            "SELECT engine, row_format, table_collation"
            " FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s"
        ),
        "columns": ask(
            "SELECT column_name, column_type, is_nullable, column_default, extra, character_set_name, collation_name"
            " FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s"
        ),
        "indexes": ask(
            "SELECT index_name, non_unique, seq_in_index, column_name, sub_part, index_type"
            " FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = %s"
        ),
        "references": ask(
            "SELECT u.constraint_name, u.column_name, u.referenced_table_name, u.referenced_column_name,"
            " c.update_rule, c.delete_rule FROM information_schema.key_column_usage u"
            " JOIN information_schema.referential_constraints c"
            " ON c.constraint_schema = u.constraint_schema AND c.constraint_name = u.constraint_name"
            " WHERE u.table_schema = DATABASE() AND u.table_name = %s"
        ),
    }
