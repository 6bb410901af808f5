"""From 4.2 to 4.3: an event says in which content mode it came, a subscription how it wants events."""

from __future__ import annotations

import peewee

from . import from_4_1
from .from_4_1 import add_columns
from .tables_4_0 import NotificationSystem


class EventMatch(from_4_1.EventMatch):
    """A subscription."""

    content_mode = peewee.CharField(max_length=16, null=True)
    event_version = peewee.CharField(max_length=8, null=True)


class EventLog(from_4_1.EventLog):
    """An event."""

    # A release of 4.2 may use these tables, and writes rows that lack it.
    mode = peewee.CharField(max_length=16, constraints=[peewee.SQL("DEFAULT 'structured'")])


def add_modes(_passage: object) -> None:
    """Add what is missing, and record the version."""
    for model in (EventMatch, EventLog):
        add_columns(model)
    NotificationSystem.update(value=3).where(NotificationSystem.part == "minor").execute()
