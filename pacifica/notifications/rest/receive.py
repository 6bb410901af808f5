"""``/receive``: producers send events."""

from __future__ import annotations

from typing import Any

import cherrypy

from .. import events, intake, waking
from ..config import get_config
from ..globals import EVENT_MEDIA_TYPES
from . import answers

#: In a request's environment: what became of it, where it was tried before it came here (see ``door``).
TRIED = "pacifica.notifications.tried"


def take(body: bytes, media_type: str) -> dict[str, Any]:
    """Store an event; give its uuid and whether it was there already."""
    stored = intake.accept(body, media_type, get_config())
    waking.wake()
    return {"uuid": str(stored.uuid), "duplicate": stored.duplicate}


class ReceiveEvent:
    """Takes one CloudEvent a request; 200 means that it is in the database."""

    exposed = True
    _cp_config = answers.CONFIG

    #: JSON Schema (2020-12) of what ``POST`` takes.
    event_json_schema = events.EVENT_SCHEMA

    @answers.answering
    def POST(self, /, *path: str, **query: Any) -> Any:
        """Store an event; give its uuid and whether it was there already."""
        tried = cherrypy.serving.request.wsgi_environ.get(TRIED)
        if tried is not None:
            raise tried
        answers.nothing_more(path, query)
        return take(*answers.body(EVENT_MEDIA_TYPES, get_config().receive.max_body))

    @answers.answering
    def OPTIONS(self, /, *_path: str, **_query: Any) -> None:
        """Name the methods."""
        answers.allow("OPTIONS, POST")
