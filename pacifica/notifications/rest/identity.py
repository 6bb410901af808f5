"""Who is asking, and what that caller may do: the proxy's header first, then a token, then the default user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cherrypy

from .. import login, orm, tokens
from ..access import Caller, Permit, roles_of
from ..config import Auth, Settings, get_config
from ..errors import BadToken, NoIdentity, NotAllowed
from ..subscriptions import USER
from .proxy import is_foreign, is_local, require_proxy, sent_raw

_READS = ("GET", "HEAD", "OPTIONS")
_FOREIGN = "the request was made by a page of another site (Sec-Fetch-Site, Origin)"


def permit(method: str, place: str) -> Permit:
    """Give what the caller of the request may do at a place of ``access.TABLE``.

    Raises ``NoIdentity`` that says what is missing, and ``NotAllowed`` that names the roles it needs.
    """
    return caller(cherrypy.request.wsgi_environ, get_config()).permit(method, place)


def sender(environ: Mapping[str, Any]) -> Caller | None:
    """Give who sends events, None where nobody is asked (``receive.auth``); raises as ``permit``."""
    settings = get_config()
    if settings.receive.auth == "none":
        if is_foreign(environ) and not _brings_token(environ):
            raise NotAllowed(_FOREIGN)
        return None
    found = caller(environ, settings)
    found.permit("POST", "/receive")
    return found


def caller(environ: Mapping[str, Any], settings: Settings) -> Caller:
    """Give who sent a request; raises ``NoIdentity``, and ``NotAllowed`` for what another site let a browser send.

    The proxy's header comes first, because a proxy may pass on what it was sent beside it.
    """
    header = settings.notifications.user_header
    named = sent_raw(environ, header)
    if not named:
        authorization = sent_raw(environ, "Authorization")
        if authorization is not None:
            return _bearer(authorization, settings.auth)
    if named is None and is_local(environ):
        return _user(environ, settings.default.default_user, settings.auth)
    if named is None:
        raise NoIdentity(
            f"the request names no user: the proxy must send the header {header} (setting notifications.user_header),"
            " or the request a token, as Authorization: Bearer TOKEN"
        )
    if named:
        require_proxy(environ, settings.auth, header)
    if not USER.fullmatch(named):
        raise NoIdentity(
            f"the header {header} (setting notifications.user_header) must hold one user:"
            " 1 to 255 visible ASCII characters without a comma, sent once"
        )
    return _user(environ, named, settings.auth)


def _user(environ: Mapping[str, Any], name: str, auth: Auth) -> Caller:
    """Give a user whose browser may have sent the request without being asked, as it does for a login of the proxy."""
    if environ["REQUEST_METHOD"] not in _READS and is_foreign(environ):
        raise NotAllowed(_FOREIGN)
    return Caller(name, login.listed_roles(name, auth))


def _brings_token(environ: Mapping[str, Any]) -> bool:
    return (sent_raw(environ, "Authorization") or "").lower().startswith("bearer ")


def _bearer(authorization: str, auth: Auth) -> Caller:
    """Give who brings a token (RFC 6750); raises ``NoIdentity``, which tells nothing of what was sent."""
    scheme, _space, text = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise NoIdentity("the header Authorization has another scheme than Bearer; send Authorization: Bearer TOKEN")
    text = text.strip()
    if not tokens.is_token(text):
        signer = login.in_use().signer
        if signer is None:
            raise BadToken("the token is none that this service gave")
        name, roles = signer.read(text)
        return Caller(name, roles_of(roles, dict(auth.roles)))
    with orm.session():
        found = orm.Token.known(text)
    if found is None:
        raise BadToken("the token is unknown, or was revoked")
    token, expired = found
    if expired:
        raise BadToken(f"the token {token.name} has expired")
    sources, types = token.beginnings
    return Caller(token.user, roles_of([token.role], dict(auth.roles)), sources, types)
