"""From 4.3 to 4.4: a subscription says how what it is sent is signed."""

from __future__ import annotations

import peewee

from . import from_4_2
from .from_4_1 import add_columns
from .tables_4_0 import NotificationSystem


class EventMatch(from_4_2.EventMatch):
    """A subscription."""

    signing = peewee.TextField(null=True)


def add_signing(_passage: object) -> None:
    """Add what is missing, and record the version."""
    add_columns(EventMatch)
    NotificationSystem.update(value=4).where(NotificationSystem.part == "minor").execute()
