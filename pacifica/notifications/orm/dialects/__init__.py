"""What differs from one database to another: a class for each."""

from __future__ import annotations

from collections.abc import Mapping

from .base import DB, Dialect
from .mariadb import Mariadb
from .meantime import meanwhile
from .postgresql import Postgresql
from .silence import SILENCE
from .sqlite import Sqlite

#: By the scheme of ``database.peewee_url``.
DIALECTS: Mapping[str, type[Dialect]] = {"sqlite": Sqlite, "postgresql": Postgresql, "mysql": Mariadb}

__all__ = ["DB", "DIALECTS", "SILENCE", "Dialect", "Sqlite", "meanwhile"]
