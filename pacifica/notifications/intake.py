"""Accepts an event: it is in the database before anybody is told so."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from . import events, orm
from .access import Caller
from .config import Settings
from .errors import Conflict
from .writer import writer

LOG = logging.getLogger(__name__)

_CONFLICT = (
    "and source were accepted before, or stand before it in the batch, with other content; send a new id"
    " (receive.on_conflict = accept would take it)"
)


def accept(body: bytes, content_type: str, settings: Settings, sender: Caller | None = None) -> orm.Stored:
    """Store one event and give its row; when this returns, the row is committed.

    The same event again gives the row that it has. Raises ``Refused`` for what is no event, ``NotAllowed`` for what its
    sender may not send, where somebody was asked, ``Conflict`` where conflicts are refused, ``Unavailable`` when the
    database does not answer, or not in time, and ``Overloaded`` when too many events are waiting; then sending it again
    is safe.
    """
    event = events.parse(body, content_type, settings.receive.max_depth)
    if sender is not None:
        sender.require_may_send(event.source, event.type)
    stored = writer(settings.receive).store(orm.NewEvent.of(event), len(body))
    _log(event, stored)
    if stored.conflicts_with is not None and settings.receive.on_conflict == "refuse":
        raise Conflict(
            f"source and id were accepted before with other content, as event {stored.conflicts_with};"
            " send a new id (receive.on_conflict = accept would take it)"
        )
    return stored


def accept_all(accepted: Sequence[events.Event], settings: Settings, sender: Caller | None = None) -> list[orm.Stored]:
    """Store the events of one request, all of them or none, and give their rows in order; raises as ``accept``.

    ``Conflict`` names the places of those that conflict, as in ``/2/id``.
    """
    if not accepted:
        return []
    if sender is not None:
        for event in accepted:
            sender.require_may_send(event.source, event.type)
    news = [orm.NewEvent.of(event) for event in accepted]
    stored = writer(settings.receive).store_all(news, sum(len(event.text) for event in accepted))
    refuse = settings.receive.on_conflict == "refuse"
    conflicts = [place for place, found in enumerate(stored) if refuse and found.conflicts_with is not None]
    for place in conflicts or range(len(accepted)):
        _log(accepted[place], stored[place])
    if conflicts:
        raise Conflict({f"/{place}/id" if len(accepted) > 1 else "/id": _CONFLICT for place in conflicts})
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
