"""Tables, migrations, and one function per question; the only SQL."""

from __future__ import annotations

from peewee import DatabaseError, OperationalError

from . import keyring
from .base import BaseModel, plain
from .changes import change, disable, remove, warn
from .claimed import Claimed, ClaimedEvent, Payload, payloads
from .claiming import (
    Choice,
    Page,
    claim_due,
    claim_lanes,
    claim_limited,
    claim_lost,
    claim_page,
    lost_often,
)
from .database import (
    DB,
    disconnect,
    initialize,
    now,
    repeated,
    session,
    signing_keys,
    transaction,
    unlimited,
    wait_until_up,
)
from .dialects import meanwhile
from .eventlog import EventLog, NewEvent, Stored
from .eventlogmatch import DeliveryAttempt, EventLogMatch, NewDelivery
from .eventmatch import Change, EventMatch, SubscriptionRevision
from .gateanswer import Answer, GateAnswer, Question
from .listing import Counted, Selection, counted, listed, reopen
from .order import OLDEST_FIRST, Order
from .purge import Purge, expire
from .resealing import Resealed, in_clear, require_keys, reseal, sealed_with
from .settling import Settlement
from .sync import NotificationSystem, OrmSync, described, require_schema
from .targetstate import TargetState
from .token import Token
from .worker import Worker

__all__ = [
    "DB",
    "OLDEST_FIRST",
    "Answer",
    "BaseModel",
    "Change",
    "Choice",
    "Claimed",
    "ClaimedEvent",
    "Counted",
    "DatabaseError",
    "DeliveryAttempt",
    "EventLog",
    "EventLogMatch",
    "EventMatch",
    "GateAnswer",
    "NewDelivery",
    "NewEvent",
    "NotificationSystem",
    "OperationalError",
    "Order",
    "OrmSync",
    "Page",
    "Payload",
    "Purge",
    "Question",
    "Resealed",
    "Selection",
    "Settlement",
    "Stored",
    "SubscriptionRevision",
    "TargetState",
    "Token",
    "Worker",
    "change",
    "claim_due",
    "claim_lanes",
    "claim_limited",
    "claim_lost",
    "claim_page",
    "counted",
    "described",
    "disable",
    "disconnect",
    "expire",
    "in_clear",
    "initialize",
    "keyring",
    "listed",
    "lost_often",
    "meanwhile",
    "now",
    "payloads",
    "plain",
    "remove",
    "reopen",
    "repeated",
    "require_keys",
    "require_schema",
    "reseal",
    "sealed_with",
    "session",
    "signing_keys",
    "transaction",
    "unlimited",
    "wait_until_up",
    "warn",
]
