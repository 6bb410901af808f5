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
from . import login, waking
from .config import load, use
from .embedded import log_to_stderr, mount, prepare, serve_uwsgi
from .errors import NotificationsError
from .orm import DatabaseError

LOG = logging.getLogger(__name__)


class Application:
    """The mounted application, which sees to the database before its first request."""

    def __init__(self) -> None:
        """Read the settings and mount."""
        self._settings = use(load())
        login.use(self._settings)
        self._guard = threading.Lock()
        log_to_stderr()
        cherrypy.config.update({"environment": "embedded"})
        self._mounted = mount(names.CHERRYPY_CONFIG)
        # Where it listens says nothing to a WSGI server; the logs it names are written.
        cherrypy.config.update(names.CHERRYPY_CONFIG)
        # Behind a prefix each request says where the application is (PEP 3333); links in answers go there.
        self._mounted.script_name = None
        self._prepared = serve_uwsgi()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        if not self._prepared:
            with self._guard:
                self._prepare()
        environ.setdefault("SCRIPT_NAME", "")
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
            waking.wake(waking.SWEEP)
        except (NotificationsError, DatabaseError) as error:
            LOG.warning("service.waiting error=%s", error)


application = Application()
