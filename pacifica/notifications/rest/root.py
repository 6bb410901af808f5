"""``/``: what the service is, and where things are."""

from __future__ import annotations

from typing import Any

import cherrypy

from ..config import get_config
from ..globals import VERSION
from . import answers
from .apidocs import Description, Pages
from .errorpages import Errors
from .eventmatch import EventMatch
from .health import Health
from .keys import Keys
from .login import Auth
from .receive import ReceiveEvent
from .schemas import Schemas

#: What ``/`` leads to.
_LINKS = (
    *("receive", "eventmatch", "keys", "health/live", "health/ready"),
    *("schemas/event", "schemas/eventmatch", "errors"),
)
_DOCS = ("openapi.json", "docs")


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
    errors = Errors()
    #: ``/openapi.json``, as CherryPy finds it.
    openapi_json = Description()
    docs = Pages()
    #: CherryPy would put an icon of its own here.
    favicon_ico = None

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give name, version and where things are."""
        answers.nothing_more(path, query)
        links = (*_LINKS, *_DOCS) if get_config().notifications.api_docs else _LINKS
        return {
            "name": "pacifica-notifications",
            "version": VERSION,
            "links": {name: cherrypy.url(f"/{name}") for name in links},
        }
