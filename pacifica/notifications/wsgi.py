"""The application for a WSGI server: ``uwsgi … --module pacifica.notifications.wsgi``."""

from __future__ import annotations

import cherrypy

from . import globals as names
from .embedded import begin_here, log_to_stderr, mount, prepare

log_to_stderr()
prepare()
cherrypy.config.update({"environment": "embedded"})
application = mount(names.CHERRYPY_CONFIG)
begin_here()
