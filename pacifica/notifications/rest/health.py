"""``/health``: whether the service is well, and who works."""

from __future__ import annotations

from typing import Any

import cherrypy

from .. import orm, waking
from ..config import get_config
from ..errors import Unavailable
from . import answers
from .patience import Patience

#: ``/health/live`` asks the database, but does not depend on it: a silent one must not make it silent.
_PATIENCE: Patience[dict[str, str]] = Patience(1.0, at_once=4)
_SILENCE = {"database": "does not answer"}


class Live:
    """``/health/live``: the process answers."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Tell that the process answers.

        With a real broker also whether a worker is at work, if the database tells.
        """
        answers.nothing_more(path, query)
        return {"status": "ok", **_PATIENCE.ask(_worker_if_told, silence=_SILENCE)}


class Ready:
    """``/health/ready``: events can be accepted."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Tell whether events can be accepted.

        503 where the database does not answer, or has not the right tables. With a real broker also whether a worker
        is at work.
        """
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
