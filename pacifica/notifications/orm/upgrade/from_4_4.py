"""From 4.4 to 4.5: callers may have tokens."""

from __future__ import annotations

import peewee

from ...errors import ConfigError
from ..base import BaseModel
from ..database import DB, dialect
from . import from_4_1
from .passage import Passage
from .tables_4_0 import EventMatch, NotificationSystem


class Token(BaseModel):
    """A token, by its digest."""

    name = peewee.CharField(primary_key=True)
    digest = peewee.FixedCharField(max_length=64)
    user = peewee.CharField()
    role = peewee.CharField()
    sources = peewee.TextField()
    types = peewee.TextField()
    created = peewee.DateTimeField()
    expires = peewee.DateTimeField(null=True)
    used = peewee.DateTimeField(null=True)


def add_tokens(_passage: Passage) -> None:
    """Make the table and its index where they are missing, and record the version."""
    refuse_stranger()
    name = Token._meta.table_name
    if not Token.table_exists():
        Token._meta.table_settings = dialect().table_settings
        Token._schema.create_table(safe=False)
        dialect().open_like(name, EventMatch._meta.table_name)
    index = Token.index(Token.digest, unique=True, safe=False)
    if index._name not in {there.name for there in DB.get_indexes(name)}:
        DB.execute(index)
    NotificationSystem.update(value=5).where(NotificationSystem.part == "minor").execute()


def refuse_stranger() -> None:
    """Raise ``ConfigError`` if somebody else has a table of a name that is new since 4.0."""
    from_4_1.refuse_stranger()
    name = Token._meta.table_name
    if Token.table_exists() and {there.name for there in DB.get_columns(name)} != Token._meta.columns.keys():
        raise ConfigError(
            f"the database has a table of this name that is not ours: {name}; give this service a database of its own;"
            " nothing was changed"
        )
