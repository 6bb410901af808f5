"""Whether the proxy sent a request, so that what it says of the user can be believed."""

from __future__ import annotations

import hmac
import importlib
import ipaddress
import os
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import cherrypy

from ..config import Auth
from ..errors import NoIdentity
from ..globals import PROXY_SECRET_HEADER, SOFTWARE

#: Signs that a request passed a proxy, which then ought to have named a user.
_PROXIED = (
    *("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_VIA"),
    f"HTTP_{PROXY_SECRET_HEADER.upper().replace('-', '_')}",
)
#: Options of uWSGI by which it takes requests from anybody, and hands them to itself over its first socket.
_ROUTERS = ("http", "httprouter", "https", "https2", "rawrouter", "sslrouter")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def sent_raw(environ: Mapping[str, Any], header: str) -> str | None:
    """Give a header as the server received it; without RFC 2047's decoding two spellings never name one user."""
    return environ.get(f"HTTP_{header.upper().replace('-', '_')}")


def require_proxy(environ: Mapping[str, Any], auth: Auth, header: str) -> None:
    """Raise ``NoIdentity``, which names the setting, unless the user's header came from the proxy.

    With ``auth.proxy_secret`` the request must bring it. To the embedded server it must come from an address of
    ``auth.trusted_proxies``; under uWSGI, which is told the client's address by the proxy, over a unix socket, unless
    it brings the secret.
    """
    said = f"the header {header} (setting notifications.user_header) is not believed"
    if auth.proxy_secret:
        brought = (sent_raw(environ, PROXY_SECRET_HEADER) or "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(brought, auth.proxy_secret.text.encode()):
            raise NoIdentity(f"{said}: the proxy must send the secret of auth.proxy_secret in {PROXY_SECRET_HEADER}")
    if _is_embedded(environ):
        peer = _peer(environ)
        unnamed = peer is None and bool(auth.proxy_secret)
        if not unnamed and not any(peer in network for network in _networks(auth.trusted_proxies)):
            raise NoIdentity(f"{said}: the request comes from {peer or 'no address'}, not from auth.trusted_proxies")
    elif not auth.proxy_secret and not _through_unix_socket():
        raise NoIdentity(f"{said}: the proxy must come by a unix socket, or send the secret of auth.proxy_secret")


def is_local(environ: Mapping[str, Any]) -> bool:
    """Tell whether the request came to the embedded server from this machine, past no proxy.

    A page of another site, whose name its owner lets lead here, is told by that name (DNS rebinding).
    """
    if not _is_embedded(environ) or any(name in environ for name in _PROXIED):
        return False
    peer = _peer(environ)
    return peer is not None and peer.is_loopback and _names_this_machine(environ.get("HTTP_HOST"))


def address_of_client(environ: Mapping[str, Any], auth: Auth) -> str:
    """Give what tells clients apart: an address, of IPv6 the network of one; nothing where only a proxy is seen."""
    peer = _peer(environ)
    if peer is None or (_is_embedded(environ) and any(peer in network for network in _networks(auth.trusted_proxies))):
        return ""
    return str(ipaddress.ip_network((peer, 64), strict=False)) if peer.version == 6 else str(peer)


def is_foreign(environ: Mapping[str, Any]) -> bool:
    """Tell whether a browser sent the request for a page of another site.

    It says so in ``Sec-Fetch-Site`` (Fetch Metadata), an older one, or one without TLS, in ``Origin`` (RFC 6454).
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return bool(site not in ("same-origin", "none"))
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != environ.get("HTTP_HOST", "").lower()
    except ValueError:
        return True


def _is_embedded(environ: Mapping[str, Any]) -> bool:
    return environ.get("SERVER_SOFTWARE") == SOFTWARE


def _names_this_machine(host: str | None) -> bool:
    """Tell whether a Host header names the machine itself; without one no browser sent the request."""
    if host is None:
        return True
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in (socket.gethostname().lower(), _listens()):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _listens() -> str:
    return str(cherrypy.server.socket_host or "").lower()


def _peer(environ: Mapping[str, Any]) -> _Address | None:
    """Give the address at the other end of the embedded server's socket; None for a unix socket."""
    try:
        peer = ipaddress.ip_address(environ.get("REMOTE_ADDR", "").partition("%")[0])
    except ValueError:
        return None
    return getattr(peer, "ipv4_mapped", None) or peer


@lru_cache(maxsize=8)
def _networks(ranges: tuple[str, ...]) -> list[_Network]:
    return [ipaddress.ip_network(each) for each in ranges]


def _through_unix_socket() -> bool:
    """Tell whether uWSGI took the request from a unix socket, which file rights keep others away from."""
    try:
        uwsgi: Any = importlib.import_module("uwsgi")
    except ImportError:
        return False
    if any(name in uwsgi.opt for name in _ROUTERS):
        return False
    with socket.socket(fileno=os.dup(uwsgi.connection_fd())) as connection:
        return connection.family == socket.AF_UNIX
