"""From 4.0 to 4.1: events are found by the time when they were accepted; what is counted may be many."""

from __future__ import annotations

from ..database import DB, dialect
from .passage import Passage
from .tables_4_0 import DeliveryAttempt, EventLog, GateAnswer, NotificationSystem


def widen(passage: Passage) -> None:
    """Make the index where it is missing, let ids be 64 bits wide, and record the version."""
    index = EventLog.index(EventLog.created, safe=False)
    if index._name not in {there.name for there in DB.get_indexes(EventLog._meta.table_name)}:
        DB.execute(index)
    for model in (DeliveryAttempt, GateAnswer):
        dialect().widen_id(model._meta.table_name)
    NotificationSystem.update(value=1).where(NotificationSystem.part == "minor").execute()
