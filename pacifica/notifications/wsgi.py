"""The application for a WSGI server: ``uwsgi … --module pacifica.notifications.wsgi``."""

from __future__ import annotations

import logging

import cherrypy

from . import globals as names
from .embedded import begin_here, mount, prepare

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
prepare()
# The WSGI server writes its own access log; CherryPy's would say the same again.
cherrypy.config.update({"environment": "embedded", "log.screen": False})
application = mount(names.CHERRYPY_CONFIG)
begin_here()
