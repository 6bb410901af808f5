"""From 0.0, subscriptions alone, to 1.0: the version is recorded."""

from __future__ import annotations

from ..database import DB
from .passage import Passage
from .tables_3_0 import NotificationSystem


def make_version_table(passage: Passage) -> None:
    """Make the table of the version where there is none."""
    DB.create_tables([NotificationSystem], safe=True)
