"""From 2.0 to 3.0: events and what became of them are logged."""

from __future__ import annotations

from ..database import DB
from .passage import Passage
from .tables_3_0 import EventLog, EventLogMatch


def make_log_tables(passage: Passage) -> None:
    """Make both tables, those that are missing."""
    DB.create_tables([model for model in (EventLog, EventLogMatch) if not model.table_exists()], safe=True)
