"""The application for a WSGI server: ``uwsgi … --module pacifica.notifications.wsgi``.

Importing it reads the settings. Under uWSGI the database is looked at as well, so that uWSGI refuses to load the
application where it can't be used; another server finds out with the first request, and only then starts the
embedded worker if there is one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import cherrypy

from . import globals as names
from . import tasks
from .config import load, use
from .embedded import log_to_stderr, mount, prepare, serve_uwsgi
from .errors import Unavailable
from .orm import OperationalError

LOG = logging.getLogger(__name__)


class Application:
    """The mounted application, which sees to the database before its first request."""

    def __init__(self) -> None:
        """Read the settings and mount."""
        self._settings = use(load())
        self._guard = threading.Lock()
        log_to_stderr()
        cherrypy.config.update({"environment": "embedded"})
        self._mounted = mount(names.CHERRYPY_CONFIG)
        self._prepared = serve_uwsgi()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        if not self._prepared:
            with self._guard:
                self._prepare()
        answer: Iterable[bytes] = self._mounted(environ, start_response)
        return answer

    def _prepare(self) -> None:
        """Look at the database; where it can't be used yet, the request's own answer says so."""
        if self._prepared:
            return
        try:
            prepare(self._settings, patient=False)
            self._prepared = True
            # What was accepted before the last end of the process waits for nobody's event.
            tasks.wake()
        except (Unavailable, OperationalError) as error:
            LOG.warning("service.waiting error=%s", error)


application = Application()
