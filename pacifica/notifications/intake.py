"""Accepts an event: it is in the database before anybody is told so."""

from __future__ import annotations

import logging

from . import events, orm
from .config import Settings
from .errors import Conflict
from .writer import writer

LOG = logging.getLogger(__name__)


def accept(body: bytes, content_type: str, settings: Settings) -> orm.Stored:
    """Store one event and give its row; when this returns, the row is committed.

    The same event again gives the row that it has. Raises ``Refused`` for what is no event, ``Conflict`` where
    conflicts are refused, ``Unavailable`` when the database does not answer, or not in time, and ``Overloaded`` when
    too many events are waiting; then sending it again is safe.
    """
    event = events.parse(body, content_type, settings.receive.max_depth)
    stored = writer(settings.receive).store(orm.NewEvent.of(event), len(body))
    _log(event, stored)
    if stored.conflicts_with is not None and settings.receive.on_conflict == "refuse":
        raise Conflict(
            f"source and id were accepted before with other content, as event {stored.conflicts_with};"
            " send a new id (receive.on_conflict = accept would take it)"
        )
    return stored


def _log(event: events.Event, stored: orm.Stored) -> None:
    LOG.info(
        "event.received event=%s type=%r source=%r id=%r duplicate=%s conflicts_with=%s",
        stored.uuid,
        event.type,
        event.source,
        event.id,
        stored.duplicate,
        stored.conflicts_with,
    )
