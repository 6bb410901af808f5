"""``/eventmatch``: a user's own subscriptions."""

from __future__ import annotations

import base64
import binascii
import re
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import cherrypy

from .. import documents, orm, routing, subscriptions, waking
from ..access import Owner
from ..config import Settings, get_config
from ..errors import InvalidQuery, InvalidSubscription, NotYours, Unavailable
from ..members import SCHEMA
from ..signing.member import OF_SERVICE, WITH_SECRET
from . import answers, dialect
from .identity import permit
from .patience import Patience

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARAMETERS = ("name", "disabled", "target_url", "since", "limit", "cursor")
#: All subscriptions, and one of them, as ``access.TABLE`` has the places.
_ALL, _ONE = "/eventmatch", "/eventmatch/UUID"
#: Rows of one page at most.
_LONGEST_PAGE = 1000
#: Looking up a new target's name may take a second; eight may be under way.
_RESOLVER: Patience[bool] = Patience(1.0, at_once=8)
_NO_KEY = (
    f"names {' or '.join(sorted(OF_SERVICE))}, for which the service has to have a key, and the operator has set none"
    f" (signing.key_file); use {' or '.join(sorted(WITH_SECRET))}"
)
#: How often a PUT is tried again because somebody else wrote in between.
_TRIES = 5


def _allow() -> None:
    """Name the methods: all subscriptions and one of them have different ones."""
    one = "/" in cherrypy.request.path_info.strip("/")
    answers.allow("GET, HEAD, OPTIONS, PUT, DELETE" if one else "GET, HEAD, OPTIONS, POST")


class EventMatch:
    """Subscriptions by REST; every row that is touched is the caller's own, unless its role reaches farther."""

    exposed = True
    _cp_config: ClassVar[dict[str, Any]] = answers.CONFIG | {"hooks.before_handler": _allow}

    #: JSON Schema (2020-12) of what ``POST`` takes.
    json_schema = SCHEMA

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give one subscription, or all of the user, oldest first."""
        asking = permit("GET", _ONE if path else _ALL)
        settings = get_config()
        with orm.session():
            if path:
                answers.nothing_more(query=query)
                return _shown(_own(asking.owner, path), settings, asking.name)
            narrowed = _narrowed(query)
            rows = orm.EventMatch.all_of(asking.owner, **narrowed)
            if narrowed.get("limit") and len(rows) == narrowed["limit"]:
                _link_next(query, rows[-1])
            return [_shown(row, settings, asking.name) for row in rows]

    @answers.answering
    def POST(self, /, *path: str, **query: Any) -> Any:
        """Make a subscription and give it, this once with its secrets."""
        owner = permit("POST", _ALL).name
        if path:
            raise cherrypy.HTTPError(405, "POST goes to /eventmatch; PUT changes a subscription")
        answers.nothing_more(query=query)
        settings = get_config()
        sent = _sent(settings)
        members = _validate(sent, None, settings)
        with orm.session():
            row = orm.EventMatch.add(owner, members)
            shown = _answered(row, settings, owner, sent)
        _hint(shown, settings)
        return shown

    @answers.answering
    def PUT(self, /, *path: str, **query: Any) -> Any:
        """Change the members that are sent and give the subscription, with its secrets if they were sent."""
        asking = permit("PUT", _ONE)
        settings = get_config()
        with orm.session():
            _own(asking.owner, path)
        answers.nothing_more(query=query)
        # Read with no connection in hand: a client may be slow.
        sent = _sent(settings)
        with orm.session():
            for _ in range(_TRIES):
                row = _own(asking.owner, path)
                stored = _shown(row, settings, asking.name, clear=True)
                members = _validate(sent, stored, settings)
                changed = orm.change(row, members)
                if changed is not None:
                    break
            else:
                raise Unavailable("the subscription is being changed by others all the time")
            shown = _answered(changed, settings, asking.name, sent)
        waking.wake(waking.SWEEP)
        _hint(shown, settings)
        return shown

    @answers.answering
    def DELETE(self, /, *path: str, **query: Any) -> None:
        """Delete a subscription; nothing is delivered for it afterwards."""
        owner = permit("DELETE", _ONE).owner
        with orm.session():
            _own(owner, path)
            answers.nothing_more(query=query)
            for _ in range(_TRIES):
                if orm.remove(_own(owner, path)):
                    return
        raise Unavailable("the subscription is being changed by others all the time")

    @answers.answering
    def OPTIONS(self, /, *_path: str, **_query: Any) -> None:
        """Name the methods, as every answer does."""


def _own(owner: Owner, path: tuple[str, ...]) -> orm.EventMatch:
    """Find a subscription of the owner; a foreign, an unknown and a deleted one are told apart by nobody."""
    if not path:
        raise cherrypy.HTTPError(405, "name the subscription: /eventmatch/UUID")
    if len(path) > 1:
        raise cherrypy.NotFound()
    if not _UUID.fullmatch(path[0]):
        raise InvalidQuery({"": f"{path[0][:80]!r} is no uuid; a subscription is /eventmatch/UUID"})
    row = orm.EventMatch.of(owner, UUID(path[0]))
    if row is None:
        raise NotYours("there is no such subscription among your own")
    return row


def _shown(row: orm.EventMatch, settings: Settings, asking: str, clear: bool = False) -> dict[str, Any]:
    to_owner = settings.auth.show == "owner" and row.user == asking
    return row.to_hash(clear or to_owner, settings.notifications.naive_times)


def _answered(row: orm.EventMatch, settings: Settings, asking: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give a subscription as the answer to the request that wrote it, this once with the secrets that it set."""
    shown = _shown(row, settings, asking, clear=True)
    return shown if settings.auth.show == "owner" and row.user == asking else subscriptions.revealed(shown, sent)


def _sent(settings: Settings) -> Any:
    raw, _media_type = answers.body(("application/json",), settings.receive.max_body)
    return documents.read(raw, settings.receive.max_depth)


def _validate(sent: Any, stored: Mapping[str, Any] | None, settings: Settings) -> dict[str, Any]:
    try:
        members = subscriptions.validate(sent, stored, routing.bounds_of(settings), settings.receive.max_name)
    except InvalidSubscription as error:
        text = sent.get("jsonpath") if isinstance(sent, dict) and "/jsonpath" in error.faults else None
        if isinstance(text, str) and len(text) <= settings.matching.max_expression:
            dialect.note(text)
        raise
    if not OF_SERVICE.isdisjoint(members.get("signing", {}).get("schemes", ())) and not orm.signing_keys():
        raise InvalidSubscription({"/signing/schemes": _NO_KEY})
    if "jsonpath" in members:
        dialect.settle(members["jsonpath"])
    return members


def _narrowed(query: Mapping[str, Any]) -> dict[str, Any]:
    """Read the list's query parameters; raises ``InvalidQuery`` that names every bad one."""
    faults: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name, value in query.items():
        if name not in _PARAMETERS:
            faults[f"/{documents.escape(name)}"] = f"is no query parameter; known are {', '.join(_PARAMETERS)}"
            continue
        try:
            if not isinstance(value, str):
                raise ValueError("must be given once")
            key, read = _read_parameter(name, value)
            found[key] = read
        except ValueError as error:
            faults[f"/{name}"] = str(error)
    if faults:
        raise InvalidQuery(faults)
    return found


def _read_parameter(name: str, value: str) -> tuple[str, Any]:
    if name == "disabled":
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return name, value == "true"
    if name == "since":
        moment = documents.rfc3339(value)
        if moment is None:
            raise ValueError("must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z")
        return name, moment
    if name == "limit":
        if not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= _LONGEST_PAGE:
            raise ValueError(f"must be a whole number from 1 to {_LONGEST_PAGE}")
        return name, int(value)
    if name == "cursor":
        return "after", _position(value)
    if "\0" in value:
        raise ValueError("must not hold the character U+0000")
    return name, value


def _position(cursor: str) -> tuple[datetime, UUID]:
    try:
        created, uuid = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").split("|")
        return datetime.fromisoformat(created), UUID(uuid)
    except (ValueError, binascii.Error):
        raise ValueError("must be the cursor of a Link header of an earlier answer") from None


def _link_next(query: Mapping[str, str], last: orm.EventMatch) -> None:
    """Say where the next page is (RFC 8288)."""
    cursor = base64.urlsafe_b64encode(f"{last.created.isoformat()}|{last.uuid}".encode()).decode()
    parameters = urlencode({**query, "cursor": cursor})
    cherrypy.response.headers["Link"] = f'<{cherrypy.url("/eventmatch")}?{parameters}>; rel="next"'


def _hint(shown: Mapping[str, Any], settings: Settings) -> None:
    found = subscriptions.hints(shown, routing.bounds_of(settings))
    # An old row may have a target that is no URL.
    place = subscriptions.place(shown["target_url"])
    host = urlsplit(place).hostname or ""
    if not place:
        found.append("target_url: is no http or https URL; nothing is delivered until it is changed")
    elif not _resolves(host):
        found.append(f"target_url: the name {host} does not resolve yet; deliveries are tried all the same")
    answers.hint(found)


def _resolves(host: str) -> bool:
    """Tell whether a name resolves; one whose look-up takes long is given the benefit of the doubt."""

    def look_up() -> bool:
        try:
            return bool(socket.getaddrinfo(host, None))
        except (OSError, UnicodeError):
            return False

    return _RESOLVER.ask(look_up, silence=True)
