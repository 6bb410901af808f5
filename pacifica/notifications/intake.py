"""Accepts an event: it is in the database before anybody is told so."""

from __future__ import annotations

import logging

from . import events, failpoints, orm
from .config import Settings
from .errors import Conflict, Unavailable

LOG = logging.getLogger(__name__)


def accept(body: bytes, content_type: str, settings: Settings) -> orm.Stored:
    """Store one event and give its row; when this returns, the row is committed.

    The same event again gives the row that it has. Raises ``Refused`` for what is no event, ``Conflict`` where
    conflicts are refused, ``Unavailable`` when the database does not answer; then sending it again is safe.
    """
    event = events.parse(body, content_type, settings.receive.max_depth)
    refuse = settings.receive.on_conflict == "refuse"
    try:
        stored = _store(event, refuse)
    except Unavailable:
        # A pooled connection may be dead since the database's last restart; a second one is new.
        stored = _store(event, refuse)
    failpoints.hit("committed")
    _log(event, stored)
    if stored.conflicts_with is not None and refuse:
        raise Conflict(
            f"source and id were accepted before with other content, as event {stored.conflicts_with};"
            " send a new id (receive.on_conflict = accept would take it)"
        )
    return stored


def _store(event: events.Event, refuse: bool) -> orm.Stored:
    with orm.session():
        return orm.EventLog.store(event, refuse)


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
