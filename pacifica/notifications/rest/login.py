"""``/auth/login``: a name and a password for a token."""

from __future__ import annotations

import logging
from typing import Any

import cherrypy

from .. import documents, login
from ..access import roles_of
from ..config import get_config
from ..errors import InvalidBody, NoIdentity, NotAllowed, Unavailable
from ..subscriptions import USER
from . import answers, problems
from .proxy import address_of_client
from .throttle import Throttle

LOG = logging.getLogger(__name__)

#: Bytes of a body, characters of a password at most.
_LONGEST_BODY, _LONGEST_PASSWORD = 8192, 1024
#: Tries from one address for one of a name: many users may stand behind it.
_FROM_ONE_ADDRESS = 10

_MEMBERS = ("username", "password")


class LoginPlace:
    """Gives a token to whom the login of the settings knows; without a login it is not there."""

    exposed = True
    _cp_config = answers.CONFIG

    def __init__(self) -> None:
        self._throttle = Throttle()

    @answers.answering
    def POST(self, /, *path: str, **query: Any) -> Any:
        """Answer a token and how many seconds it lasts; every other answer says nothing of who there is."""
        chosen = login.in_use()
        if chosen.login is None or chosen.signer is None:
            raise cherrypy.NotFound()
        answers.nothing_more(path, query)
        settings = get_config()
        body, _media_type = answers.body(("application/json",), _LONGEST_BODY)
        name, password = _sent(documents.read(body, settings.receive.max_depth))
        most = settings.auth.login_failures
        address = address_of_client(cherrypy.request.wsgi_environ, settings.auth)
        keys = {f"user {name}": most}
        if address:
            keys[f"from {address}"] = most * _FROM_ONE_ADDRESS
        self._throttle.take(keys, settings.auth.login_window)
        named = _asked(chosen.login, name, password)
        if not named:
            LOG.info("login.refused user=%r address=%s", name, address)
            raise NoIdentity("the name or the password is wrong")
        self._throttle.forget(keys)
        if not roles_of(named, dict(settings.auth.roles)):
            raise NotAllowed(f"the roles of {name} are none of this service's (auth.roles): {', '.join(named)}")
        LOG.info("login.granted user=%r roles=%s address=%s", name, ",".join(named), address)
        cherrypy.response.headers["Cache-Control"] = "no-store"
        seconds = chosen.signer.seconds
        return {"token": chosen.signer.sign(name, named), "token_type": "Bearer", "expires_in": seconds, "roles": named}

    @answers.answering
    def OPTIONS(self, /, *_path: str, **_query: Any) -> None:
        """Name the methods."""
        answers.allow("OPTIONS, POST")


class Auth:
    """``/auth``."""

    exposed = False

    def __init__(self) -> None:
        self.login = LoginPlace()


def _sent(value: Any) -> tuple[str, str]:
    """Give name and password of a body; raises ``InvalidBody`` that names every fault, and no value."""
    if not isinstance(value, dict):
        raise InvalidBody("the body must be an object with username and password")
    faults = {f"/{documents.escape(name)}": "is no member of a login" for name in value if name not in _MEMBERS}
    faults |= {f"/{name}": "is required, as a text" for name in _MEMBERS if not isinstance(value.get(name), str)}
    if not faults and not USER.fullmatch(value["username"]):
        faults["/username"] = "must be 1 to 255 visible ASCII characters without a comma"
    if not faults and not (0 < len(value["password"]) <= _LONGEST_PASSWORD and "\0" not in value["password"]):
        faults["/password"] = f"must be 1 to {_LONGEST_PASSWORD} characters, and none of them U+0000"
    if faults:
        raise InvalidBody(faults)
    return value["username"], value["password"]


def _asked(chosen: login.Login, name: str, password: str) -> list[str]:
    """Give what the login says; 503 where it can't say anything, whatever a site's own class raises."""
    try:
        found = chosen.get_roles(name, password)
        if not isinstance(found, list) or not all(isinstance(role, str) for role in found):
            raise TypeError("get_roles must give a list of texts")
    except Exception as error:
        LOG.exception("login.failed user=%r login=%s", name, type(chosen).__name__)
        cherrypy.serving.request.problem = problems.KINDS[Unavailable]
        raise cherrypy.HTTPError(503, "The login can't be asked now; try again later.") from error
    return found
