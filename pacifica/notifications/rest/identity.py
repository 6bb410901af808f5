"""Who is asking: the user that the proxy names, read where nobody else can have written."""

from __future__ import annotations

import cherrypy

from ..config import get_config
from ..errors import NoIdentity
from ..subscriptions import USER
from .proxy import is_local, require_proxy, sent_raw


def user() -> str:
    """Give the user of the request; raises ``NoIdentity`` that names the setting."""
    settings = get_config()
    header = settings.notifications.user_header
    environ = cherrypy.request.wsgi_environ
    sent = sent_raw(environ, header)
    if sent is None:
        if is_local(environ):
            return settings.default.default_user
        raise NoIdentity(
            f"the request names no user: the proxy must send the header {header} (setting notifications.user_header)"
        )
    require_proxy(environ, settings.auth, header)
    if not USER.fullmatch(sent):
        raise NoIdentity(
            f"the header {header} (setting notifications.user_header) must hold one user:"
            " 1 to 255 visible ASCII characters without a comma, sent once"
        )
    return sent
