"""From 1.0 to 2.0: subscriptions have ``auth``."""

from __future__ import annotations

from ..database import DB
from .passage import Passage
from .tables_3_0 import EventMatch


def add_auth(passage: Passage) -> None:
    """Add the column, null in every row, where it is missing."""
    table = EventMatch._meta.table_name
    if "auth" not in {column.name for column in DB.get_columns(table)}:
        DB.execute_sql(f"ALTER TABLE {table} ADD COLUMN auth TEXT")
