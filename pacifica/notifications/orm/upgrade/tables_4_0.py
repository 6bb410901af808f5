"""The tables of schema 4.0, as they were when it was new."""

from __future__ import annotations

import peewee

from ..base import BaseModel
from ..database import dialect


class NotificationSystem(BaseModel):
    """The version, in two rows."""

    part = peewee.CharField(primary_key=True)
    value = peewee.IntegerField()


class SubscriptionRevision(BaseModel):
    """The number of the last change of any subscription, in one row."""

    value = peewee.BigIntegerField()


class EventMatch(BaseModel):
    """A subscription."""

    uuid = peewee.UUIDField(primary_key=True)
    name = peewee.CharField()
    jsonpath = peewee.TextField()
    user = peewee.CharField(index=True)
    disabled = peewee.DateTimeField(null=True)
    error = peewee.TextField(null=True)
    target_url = peewee.TextField()
    version = peewee.CharField()
    extensions = peewee.TextField()
    created = peewee.DateTimeField()
    updated = peewee.DateTimeField()
    deleted = peewee.DateTimeField(null=True)
    auth = peewee.TextField(null=True)
    revision = peewee.BigIntegerField(index=True)
    failing_since = peewee.DateTimeField(null=True)
    failures = peewee.IntegerField(default=0)


class EventLog(BaseModel):
    """An event."""

    uuid = peewee.UUIDField(primary_key=True)
    jsondata = peewee.TextField()
    created = peewee.DateTimeField()
    content_type = peewee.CharField()
    source = peewee.CharField(max_length=512, null=True, index=True)
    event_id = peewee.CharField(null=True, index=True)
    type = peewee.CharField(max_length=512, null=True, index=True)
    subject = peewee.CharField(max_length=512, null=True, index=True)
    time = peewee.DateTimeField(null=True, index=True)
    identity = peewee.FixedCharField(max_length=64, null=True, unique=True)
    origin = peewee.FixedCharField(max_length=64, null=True, unique=True)
    routed = peewee.DateTimeField(null=True)
    revision = peewee.BigIntegerField(null=True)
    route_at = peewee.DateTimeField(null=True)
    lease = peewee.UUIDField(null=True)


class EventLogMatch(BaseModel):
    """A delivery."""

    uuid = peewee.UUIDField(primary_key=True)
    event_log = peewee.ForeignKeyField(EventLog)
    event_match = peewee.ForeignKeyField(EventMatch)
    policy_status_code = peewee.IntegerField(null=True)
    policy_resp_body = peewee.TextField(null=True)
    target_status_code = peewee.IntegerField(null=True)
    target_resp_body = peewee.TextField(null=True)
    created = peewee.DateTimeField()
    state = peewee.CharField(max_length=16)
    reason = peewee.TextField(null=True)
    attempts = peewee.IntegerField()
    attempts_before = peewee.IntegerField(default=0)
    replay = peewee.IntegerField()
    finished = peewee.DateTimeField(null=True)
    next_attempt_at = peewee.DateTimeField(null=True)
    lease = peewee.UUIDField(null=True)

    class Meta:
        """An event goes to a subscription once, and once more for each replay."""

        indexes = ((("event_log", "event_match", "replay"), True),)


class DeliveryAttempt(BaseModel):
    """One try to send a delivery."""

    delivery = peewee.ForeignKeyField(EventLogMatch)
    attempt = peewee.IntegerField()
    started = peewee.DateTimeField()
    seconds = peewee.DoubleField()
    status = peewee.IntegerField(null=True)
    failure = peewee.CharField(max_length=16, null=True)
    answer = peewee.TextField(null=True)


class GateAnswer(BaseModel):
    """What the policy server said about an event and a user."""

    event_log = peewee.ForeignKeyField(EventLog)
    user = peewee.CharField()
    allowed = peewee.BooleanField(null=True)
    status = peewee.IntegerField(null=True)
    unanswered = peewee.IntegerField()
    first_asked = peewee.DateTimeField()
    ask_at = peewee.DateTimeField()
    lease = peewee.UUIDField(null=True)

    class Meta:
        """A user has one answer about an event."""

        indexes = ((("event_log", "user"), True),)


class Worker(BaseModel):
    """A worker that was seen."""

    name = peewee.CharField(primary_key=True)
    holder = peewee.CharField()
    seen = peewee.DateTimeField(index=True)


TABLES = (
    NotificationSystem,
    SubscriptionRevision,
    EventMatch,
    EventLog,
    EventLogMatch,
    DeliveryAttempt,
    GateAnswer,
    Worker,
)


def indexes() -> list[peewee.Index]:
    """Give those by which what is waiting is found; finished rows are not in them where the database can do that."""
    some = dialect().partial_indexes
    waiting = [EventLog.route_at, EventLogMatch.next_attempt_at]
    return [
        *(field.model.index(field, where=field.is_null(False) if some else None) for field in waiting),
        EventLogMatch.index(
            EventLogMatch.event_match,
            EventLogMatch.finished,
            where=EventLogMatch.finished.is_null() if some else None,
        ),
    ]
