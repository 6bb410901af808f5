"""The tables as release 0.5.2 has them, schema 3.0."""

from __future__ import annotations

from typing import Any

import peewee

from ..base import BaseModel


class WrittenUUID(peewee.UUIDField):
    """A UUID as it is written there: a text may have capitals or hyphens where the library would write none."""

    def db_value(self, value: Any) -> Any:
        """Leave it as it is."""
        return value

    def python_value(self, value: Any) -> Any:
        """Leave it as it is."""
        return value


class WrittenCode(peewee.TextField):
    """A status, which is a text there."""


class NotificationSystem(BaseModel):
    """The version, in two rows."""

    part = peewee.CharField(primary_key=True)
    value = peewee.IntegerField(default=-1)


class EventMatch(BaseModel):
    """A subscription."""

    uuid = WrittenUUID(primary_key=True)
    name = peewee.CharField()
    jsonpath = peewee.TextField()
    user = peewee.CharField()
    disabled = peewee.DateTimeField(null=True)
    error = peewee.TextField(null=True)
    target_url = peewee.TextField()
    version = peewee.CharField()
    extensions = peewee.TextField()
    created = peewee.DateTimeField()
    updated = peewee.DateTimeField()
    deleted = peewee.DateTimeField(null=True)
    auth = peewee.TextField(null=True)


class EventLog(BaseModel):
    """An event."""

    uuid = WrittenUUID(primary_key=True)
    jsondata = peewee.TextField()
    created = peewee.DateTimeField()


class EventLogMatch(BaseModel):
    """What became of an event for a subscription."""

    uuid = WrittenUUID(primary_key=True)
    # References in the database itself, which need columns of one character set there; nothing here needs them.
    event_log = WrittenUUID(column_name="event_log_id", index=True)
    event_match = WrittenUUID(column_name="event_match_id", index=True)
    policy_status_code = WrittenCode()
    policy_resp_body = peewee.TextField()
    target_status_code = WrittenCode()
    target_resp_body = peewee.TextField()
    created = peewee.DateTimeField()


TABLES = (NotificationSystem, EventMatch, EventLog, EventLogMatch)
