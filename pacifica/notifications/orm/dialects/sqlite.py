"""SQLite."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import peewee
from playhouse import pool

from ...config import Settings
from ...errors import ConfigError
from .base import DB, PARTS, Dialect
from .turn import Turn


def _text(moment: datetime) -> str:
    """Write a time with all its decimals: times are texts here, and only those of one width compare as times do."""
    return moment.isoformat(" ", "microseconds")


sqlite3.register_adapter(datetime, _text)


class _Database(pool.PooledSqliteDatabase):
    """The pool, in which a statement that writes waits for its turn as a transaction does."""

    turn: Turn

    def execute_sql(self, sql: str, params: Any = None, **options: Any) -> Any:
        """Execute a statement."""
        if not sql.startswith(("INSERT", "UPDATE", "DELETE")):
            return super().execute_sql(sql, params, **options)
        with self.turn:
            return super().execute_sql(sql, params, **options)


def _milliseconds(seconds: float | None) -> int:
    """Give a time as SQLite wants it; None is the longest that it knows, 24 days."""
    return 2**31 - 1 if seconds is None else int(seconds * 1000)


class Sqlite(Dialect):
    """SQLite: one writer at a time, who takes the lock when the transaction begins."""

    in_vain = "database is locked"
    clock = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    skip_locked = ""
    look_first = True
    times_are_texts = True
    triggers = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"

    def __init__(self) -> None:
        """Let threads queue here: SQLite itself lets them sleep and try again, which takes many times as long."""
        self.turn: Turn = Turn()

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool, and the folder of the file if it is missing; raises ``ConfigError`` if there can't be one."""
        name = parameters.pop("database")
        if name in ("", ":memory:"):
            raise ConfigError("database.peewee_url: must name a file; a database in memory is not shared by threads")
        path = Path(name).expanduser()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"database.peewee_url: can't make the folder {path.parent}: {error.strerror}") from error
        database = _Database(
            str(path),
            max_connections=settings.database.max_connections,
            timeout=self.timeout,
            # FULL: a commit survives the loss of power, not only of the process.
            pragmas={
                "journal_mode": "wal",
                "synchronous": "full",
                "foreign_keys": 1,
                "busy_timeout": _milliseconds(self.timeout),
            },
            lock_type="IMMEDIATE",
            # The pool hands a connection to one thread at a time, but not always to the same.
            check_same_thread=False,
            **parameters,
        )
        database.turn = self.turn
        return database

    def connect(self) -> bool:
        """Open it; where others turn a new file to its write-ahead log at the same time SQLite itself does not wait."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return super().connect()
            except peewee.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def written(self, column: str) -> str:
        """Put in the dashes, which are not stored."""
        parts = (f"substr({column}, {start}, {length})" for start, length in PARTS)
        return " || '-' || ".join(parts)

    def moment(self, value: Any) -> Any:
        """Read the text that it is."""
        return value if value is None else datetime.fromisoformat(value)

    def limit(self, seconds: float | None) -> None:
        """Limit how long another program's lock is waited for; nothing else can take long."""
        DB.execute_sql(f"PRAGMA busy_timeout = {_milliseconds(seconds)}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the write lock."""
        with self.unlimited(), self.turn, DB.atomic():
            yield

    def dependents(self, names: Collection[str]) -> list[str]:
        """Name views as well, which would go on with the old table under its other name."""
        said = re.compile(rf"\b({'|'.join(names)})\b")
        return super().dependents(names) + [f"the view {view.name}" for view in DB.get_views() if said.search(view.sql)]

    def widen_id(self, table: str) -> None:
        """Leave it: it counts to 9,223,372,036,854,775,807 anyway."""

    def _free_names(self, table: str) -> None:
        """Drop indexes: SQLite can't rename them, and those of primary keys have names of their own."""
        for index in DB.get_indexes(table):
            if index.sql:
                DB.execute_sql(f'DROP INDEX "{index.name}"')
