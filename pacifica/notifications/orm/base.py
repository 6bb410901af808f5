"""What all tables have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import peewee

from .database import DB, dialect, initialize, initialized


class BaseModel(peewee.Model):
    """A table in the database of the process."""

    class Meta:
        """All tables are in one database."""

        database = DB
        legacy_table_names = True

    @classmethod
    def database_connect(cls) -> None:
        """Open this thread's connection; an open one stays."""
        if not initialized():
            initialize()
        dialect().connect()

    @classmethod
    def database_close(cls) -> None:
        """Close this thread's connection; a closed one stays closed."""
        if initialized() and not DB.is_closed():
            DB.close()

    def to_hash(self) -> dict[str, Any]:
        """Give the row as it may leave the service: JSON values, times in UTC as RFC 3339, no secret."""
        return {name: plain(value) for name, value in self.__data__.items()}


def plain(value: Any, naive: bool = False) -> Any:
    """Give a column's value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds") + ("" if naive else "Z")
    return value if value is None or isinstance(value, int | float | str | bool) else str(value)
