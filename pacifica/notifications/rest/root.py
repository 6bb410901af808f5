"""``/``: what the service is, whether it is well, and the schemas that it checks with."""

from __future__ import annotations

from typing import Any

import cherrypy

from .. import orm, waking
from ..config import get_config
from ..errors import Unavailable
from ..globals import VERSION
from . import answers
from .eventmatch import EventMatch
from .keys import Keys
from .login import Auth
from .patience import Patience
from .receive import ReceiveEvent

#: ``/health/live`` asks the database, but does not depend on it: a silent one must not make it silent.
_PATIENCE: Patience[dict[str, str]] = Patience(1.0, at_once=4)
_SILENCE = {"database": "does not answer"}


class Live:
    """``/health/live``: the process answers."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Answer 200; with a real broker also say whether a worker is at work, if the database tells."""
        answers.nothing_more(path, query)
        return {"status": "ok", **_PATIENCE.ask(_worker_if_told, silence=_SILENCE)}


class Ready:
    """``/health/ready``: events can be accepted."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Answer 200 when the database has our tables, else 503; say whether a worker is at work."""
        answers.nothing_more(path, query)
        with orm.session():
            if not orm.NotificationSystem.is_safe():
                raise cherrypy.HTTPError(503, orm.described())
            return {"status": "ok", "database": "ok", **_worker()}


def _worker_if_told() -> dict[str, str]:
    try:
        return _worker()
    except Unavailable:
        return _SILENCE


def _worker() -> dict[str, str]:
    """Say whether anybody routes and delivers, and how to start somebody who does."""
    if get_config().embedded:
        return {"worker": "embedded"}
    if waking.worker_seen():
        return {"worker": "ok"}
    return {"worker": f"none seen lately; start one with: {waking.WORKER_COMMAND}"}


class Health:
    """``/health``."""

    exposed = False
    live = Live()
    ready = Ready()


class Document:
    """A document that never changes."""

    exposed = True
    _cp_config = answers.CONFIG

    def __init__(self, value: Any) -> None:
        """Take the document's value."""
        self._value = value

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give the document."""
        answers.nothing_more(path, query)
        return self._value


class Schemas:
    """``/schemas``: the JSON Schemas that bodies are checked with."""

    exposed = False
    eventmatch = Document(EventMatch.json_schema)
    event = Document(ReceiveEvent.event_json_schema)


class Root:
    """The application; mount it with ``cherrypy.tree.mount(Root(), '/', CHERRYPY_CONFIG)``."""

    exposed = True
    _cp_config = answers.CONFIG

    eventmatch = EventMatch()
    receive = ReceiveEvent()
    health = Health()
    auth = Auth()
    keys = Keys()
    schemas = Schemas()
    #: CherryPy would put an icon of its own here.
    favicon_ico = None

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give name, version and where things are."""
        answers.nothing_more(path, query)
        return {
            "name": "pacifica-notifications",
            "version": VERSION,
            "links": {
                name: cherrypy.url(f"/{name}")
                for name in (
                    "receive",
                    "eventmatch",
                    "keys",
                    "health/live",
                    "health/ready",
                    "schemas/event",
                    "schemas/eventmatch",
                )
            },
        }
