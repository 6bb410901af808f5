"""CherryPy's log of requests."""

from __future__ import annotations

import cherrypy
from cherrypy._cplogging import LogManager


class Log(LogManager):
    """CherryPy's log, without the line about each request where no file or screen takes it.

    CherryPy makes up the line all the same, which is a twentieth of the work of a request.
    """

    @property
    def wanted(self) -> bool:
        """Whether anything takes the line."""
        return any(log.access_file or log.screen or log.wsgi for log in (self, cherrypy.log))

    def access(self) -> None:
        """Write the line about the request that was answered."""
        if self.wanted:
            super().access()
