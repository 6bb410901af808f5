"""Who is asking: the user that the proxy names, read where nobody else can have written."""

from __future__ import annotations

import ipaddress

import cherrypy

from ..config import get_config
from ..errors import NoIdentity
from ..subscriptions import USER

#: What the embedded server alone puts into a request's environment.
_EMBEDDED = "ACTUAL_SERVER_PROTOCOL"
#: Signs that a request passed a proxy, which then ought to have named a user.
_PROXIED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_VIA")


def user() -> str:
    """Give the user of the request; raises ``NoIdentity`` that names the setting.

    The header is read as the server received it, without RFC 2047's decoding, which would let two spellings name
    one user.
    """
    settings = get_config()
    header = settings.notifications.user_header
    environ = cherrypy.request.wsgi_environ
    sent = environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    if sent is None:
        if _is_local(environ):
            return settings.default.default_user
        raise NoIdentity(
            f"the request names no user: the proxy must send the header {header} (setting notifications.user_header)"
        )
    if not USER.fullmatch(sent):
        raise NoIdentity(
            f"the header {header} (setting notifications.user_header) must hold one user:"
            " 1 to 255 visible ASCII characters without a comma, sent once"
        )
    return str(sent)


def _is_local(environ: dict[str, str]) -> bool:
    """Tell whether the request came to the embedded server from this machine, past no proxy."""
    if _EMBEDDED not in environ or any(name in environ for name in _PROXIED):
        return False
    try:
        peer = ipaddress.ip_address(environ.get("REMOTE_ADDR", "").partition("%")[0])
    except ValueError:
        return False
    return (getattr(peer, "ipv4_mapped", None) or peer).is_loopback
