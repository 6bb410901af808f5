"""Rows written into old tables and read from tables of any release, past every model of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import peewee

from pacifica.notifications.sealing import Keyring, key_id, read_key

from ..keys import KEY
from .rows import OldRows, Row
from .schemas import MOVED, TIMES, UUIDS, kind_of, opened

#: Rows by table, then by their keys.
Contents = dict[str, dict[UUID, Row]]


def fill(url: str, rows: OldRows) -> None:
    """Write rows as the older releases write them."""
    with opened(url) as database, database.atomic():
        for table in MOVED:
            insert(database, kind_of(url), table, rows.of(table))


def insert(database: peewee.Database, kind: str, table: str, rows: Iterable[Row]) -> None:
    """Write rows of one table."""
    for part in peewee.chunked(rows, 50):
        found = [{name: _written(kind, value) for name, value in row.items()} for row in part]
        peewee.Table(table, list(found[0])).bind(database).insert(found).execute()


def insert_orphans(url: str, rows: Iterable[Row]) -> None:
    """Write deliveries that refer to nothing, as SQLite lets everybody do who does not ask it to look."""
    with opened(url) as database:
        database.execute_sql("PRAGMA foreign_keys = OFF")
        insert(database, kind_of(url), "eventlogmatch", rows)


def _written(kind: str, value: Any) -> Any:
    """Give a value as the older releases write it."""
    if isinstance(value, UUID):
        return str(value) if kind == "postgresql" else value.hex
    return str(value) if isinstance(value, datetime) and kind == "sqlite" else value


def contents(url: str, tables: Iterable[str] = MOVED) -> Contents:
    """Read all rows, uuids and times as what they are, `auth` opened, everything else as the database gives it."""
    with opened(url) as database:
        there = set(database.get_tables())
        return {table: _rows(database, table) for table in tables if table in there}


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Read all rows of all tables as the database gives them, but `auth` opened, in one order."""
    with opened(url) as database:
        found = {table: list(_selected(database, table)) for table in database.get_tables()}
    return {table: sorted((tuple(_unsealed(row).items()) for row in rows), key=repr) for table, rows in found.items()}


def _rows(database: peewee.Database, table: str) -> dict[UUID, Row]:
    rows = [{name: _read(name, value) for name, value in row.items()} for row in _selected(database, table)]
    rows = [_unsealed(row) for row in rows]
    by_key = {row["uuid"]: row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def _selected(database: peewee.Database, table: str) -> Iterator[Row]:
    names = [column.name for column in database.get_columns(table)]
    for row in peewee.Table(table, names).bind(database).select().tuples():
        yield dict(zip(names, row, strict=True))


def _unsealed(row: Row) -> Row:
    """Give a row with `auth` as it was before the key of the tests sealed it."""
    if key_id(row.get("auth")) is None:
        return row
    opened_auth = Keyring([read_key(KEY)]).open(row["auth"], "auth", row["user"], UUID(str(row["uuid"])))
    return row | {"auth": json.dumps(opened_auth)}


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in UUIDS:
        return UUID(str(value))
    return datetime.fromisoformat(value) if name in TIMES and isinstance(value, str) else value
