"""``/receive``: producers send events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cherrypy

from .. import events, intake, orm, waking
from ..access import Caller
from ..cloudevents import media
from ..config import get_config
from ..globals import EVENT_MEDIA_TYPES
from . import answers, identity

#: In a request's environment: what became of it, where it was tried before it came here (see ``door``).
TRIED = "pacifica.notifications.tried"
#: How the names of ``ce-`` headers begin in a request's environment.
PREFIX = "HTTP_CE_"


#: What is taken, said where something else was sent.
_KNOWN = (
    f"one event as {' or '.join(EVENT_MEDIA_TYPES)}, a batch as {media.BATCHED}, or data of any type with the headers"
    " ce-specversion, ce-type, ce-source and ce-id"
)


def take(body: bytes, media_type: str, sender: Caller | None) -> dict[str, Any]:
    """Store an event of a sender; give its uuid and whether it was there already."""
    stored = intake.accept(body, media_type, get_config(), sender)
    waking.wake()
    return _shown(stored)


def _shown(stored: orm.Stored) -> dict[str, Any]:
    return {"uuid": str(stored.uuid), "duplicate": stored.duplicate}


class ReceiveEvent:
    """Takes CloudEvents in every content mode (HTTP binding 1.0.2); 200 means that they are in the database."""

    exposed = True
    _cp_config = answers.CONFIG

    #: JSON Schema (2020-12) of one event.
    event_json_schema = events.EVENT_SCHEMA

    @answers.answering
    def POST(self, /, *path: str, **query: Any) -> Any:
        """Store an event, or a batch; give its uuid and whether it was there already, of a batch a list of these.

        An event comes in structured mode, or in binary mode: its attributes in headers that begin with ``ce-``, its
        data as the body, of any media type. 200 comes after the commit. The same event again is answered as before and
        not delivered again, so that sending anew after a 503 or a broken connection is safe.
        """
        environ = cherrypy.serving.request.wsgi_environ
        tried = environ.get(TRIED)
        if tried is not None:
            raise tried
        sender = identity.sender(environ)
        answers.nothing_more(path, query)
        fields = attributes(environ)
        content_type = cherrypy.request.headers.get("Content-Type", "")
        mode = media.mode(content_type, bool(fields))
        if mode == "binary":
            return _take_binary(fields, content_type, sender)
        if mode == "batched":
            return _take_batch(sender)
        return take(*answers.body(EVENT_MEDIA_TYPES, get_config().receive.max_body, _KNOWN), sender)

    @answers.answering
    def OPTIONS(self, /, *_path: str, **_query: Any) -> None:
        """Answer a sender who asks whether it may send (HTTP webhooks 1.0.2, section 4), and name the methods."""
        answers.allow("OPTIONS, POST")
        settings = get_config().receive
        asking = cherrypy.serving.request.wsgi_environ.get("HTTP_WEBHOOK_REQUEST_ORIGIN", "").strip().lower()
        origins = {origin.lower(): origin for origin in settings.webhook_origins}
        allowed = "*" if "*" in origins else origins.get(asking)
        if allowed:
            cherrypy.response.headers["WebHook-Allowed-Origin"] = allowed
            cherrypy.response.headers["WebHook-Allowed-Rate"] = str(settings.webhook_rate or "*")


def attributes(environ: Mapping[str, Any]) -> dict[str, str]:
    """Give the ``ce-`` headers, names in lower case without ``ce-``, as the server received them.

    CherryPy would decode them by RFC 2047, which is not for them.
    """
    return {
        name.removeprefix(PREFIX).replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }


def _take_binary(fields: Mapping[str, str], content_type: str, sender: Caller | None) -> dict[str, Any]:
    settings = get_config()
    body = answers.payload(settings.receive.max_body)
    event = events.parse_binary(fields, content_type.strip(), body, settings.receive.max_depth)
    (stored,) = intake.accept_all([event], settings, sender)
    waking.wake()
    return _shown(stored)


def _take_batch(sender: Caller | None) -> list[dict[str, Any]]:
    settings = get_config()
    body, _media_type = answers.body((media.BATCHED,), settings.receive.max_body, _KNOWN)
    accepted = events.parse_batch(body, settings.receive.max_depth, settings.receive.max_batch)
    stored = intake.accept_all(accepted, settings, sender)
    waking.wake()
    return [_shown(each) for each in stored]
