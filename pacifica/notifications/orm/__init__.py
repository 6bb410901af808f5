"""Tables, migrations, and one function per question; the only SQL."""

from __future__ import annotations

from peewee import DatabaseError, OperationalError

from .base import BaseModel
from .changes import change, disable, remove
from .database import DB, disconnect, initialize, now, repeated, session, transaction, unlimited, wait_until_up
from .eventlog import EventLog, Stored
from .eventlogmatch import DeliveryAttempt, EventLogMatch, Settlement
from .eventmatch import EventMatch, SubscriptionRevision
from .gateanswer import GateAnswer, Question
from .purge import Purge
from .sync import NotificationSystem, OrmSync, described, require_schema
from .worker import Worker

__all__ = [
    "DB",
    "BaseModel",
    "DatabaseError",
    "DeliveryAttempt",
    "EventLog",
    "EventLogMatch",
    "EventMatch",
    "GateAnswer",
    "NotificationSystem",
    "OperationalError",
    "OrmSync",
    "Purge",
    "Question",
    "Settlement",
    "Stored",
    "SubscriptionRevision",
    "Worker",
    "change",
    "described",
    "disable",
    "disconnect",
    "initialize",
    "now",
    "remove",
    "repeated",
    "require_schema",
    "session",
    "transaction",
    "unlimited",
    "wait_until_up",
]
