"""``/receive``: producers send events."""

from __future__ import annotations

from typing import Any

from .. import events, intake, tasks
from ..config import get_config
from ..globals import EVENT_MEDIA_TYPES
from . import answers


class ReceiveEvent:
    """Takes one CloudEvent a request; 200 means that it is in the database."""

    exposed = True
    _cp_config = answers.CONFIG

    #: JSON Schema (2020-12) of what ``POST`` takes.
    event_json_schema = events.EVENT_SCHEMA

    @answers.answering
    def POST(self, /, *path: str, **query: Any) -> Any:
        """Store an event; give its uuid and whether it was there already."""
        answers.nothing_more(path, query)
        settings = get_config()
        raw, media_type = answers.body(EVENT_MEDIA_TYPES, settings.receive.max_body)
        stored = intake.accept(raw, media_type, settings)
        tasks.wake()
        return {"uuid": str(stored.uuid), "duplicate": stored.duplicate}

    @answers.answering
    def OPTIONS(self, /, *_path: str, **_query: Any) -> None:
        """Name the methods."""
        answers.allow("OPTIONS, POST")
