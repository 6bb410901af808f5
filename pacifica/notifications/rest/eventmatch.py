"""``/eventmatch``: a user's own subscriptions."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any, ClassVar
from uuid import UUID

import cherrypy

from .. import documents, orm, resolving, routing, subscriptions, waking
from ..access import Owner, Permit
from ..addresses import Verdict, read
from ..config import Settings, get_config
from ..errors import InvalidQuery, InvalidSubscription, NotYours, Unavailable
from ..members import SCHEMA
from ..signing.member import OF_SERVICE, WITH_SECRET
from . import answers, conditions, dialect, listing
from .identity import permit
from .patience import Patience

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: All subscriptions, and one of them, as ``access.TABLE`` has the places.
_ALL, _ONE = "/eventmatch", "/eventmatch/UUID"
#: Looking up a new target's name may take a second; eight may be under way.
_RESOLVER: Patience[Verdict | None] = Patience(1.0, at_once=8)
_IN_DOUBT = Verdict(True, "", "not resolved in time")
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
        """Give one subscription, or all of the user."""
        asking = permit("GET", _ONE if path else _ALL)
        return one(asking, path, query) if path else every(asking, query)

    @answers.answering
    def POST(self, /, *path: str, **query: Any) -> Any:
        """Make a subscription and give it, this once with its secrets.

        It sees every event that is accepted after this answer. ``Notifications-Hint`` says what may not be as you
        expect.
        """
        owner = permit("POST", _ALL).name
        if path:
            raise cherrypy.HTTPError(405, "POST goes to /eventmatch; PUT changes a subscription")
        answers.nothing_more(query=query)
        settings = get_config()
        sent = _sent(settings)
        members = _validate(sent, None, settings)
        with orm.session():
            row = orm.EventMatch.add(owner, members)
            _tag(row, settings, owner)
            shown = _answered(row, settings, owner, sent)
        _hint(shown, settings)
        return shown

    @answers.answering
    def PUT(self, /, *path: str, **query: Any) -> Any:
        """Change the members that are sent and give the subscription, with its secrets if they were sent.

        What is left out stays as it is. ``***`` in place of a secret keeps the stored one. With ``If-Match`` no other
        state is changed than the one that was read.
        """
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
                # Whoever writes in between makes ``change`` fail, and is seen here.
                conditions.require(_tag_of(row, settings, asking.name))
                stored = _shown(row, settings, asking.name, clear=True)
                members = _validate(sent, stored, settings)
                changed = orm.change(row, members)
                if changed is not None:
                    break
            else:
                raise Unavailable("the subscription is being changed by others all the time")
            _tag(changed, settings, asking.name)
            shown = _answered(changed, settings, asking.name, sent)
        waking.wake(waking.SWEEP)
        _hint(shown, settings)
        return shown

    @answers.answering
    def DELETE(self, /, *path: str, **query: Any) -> None:
        """Delete a subscription.

        What is pending for it is cancelled, and nothing is delivered for it afterwards.
        """
        asking = permit("DELETE", _ONE)
        settings = get_config()
        with orm.session():
            _own(asking.owner, path)
            answers.nothing_more(query=query)
            for _ in range(_TRIES):
                row = _own(asking.owner, path)
                conditions.require(_tag_of(row, settings, asking.name))
                if orm.remove(row):
                    return
        raise Unavailable("the subscription is being changed by others all the time")

    @answers.answering
    def OPTIONS(self, /, *_path: str, **_query: Any) -> None:
        """Name the methods, as every answer does."""


def every(asking: Permit, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give all subscriptions that the caller's role reaches.

    Oldest first unless ``sort`` says otherwise, narrowed by what else is given. Without ``limit`` all of them come.
    """
    settings = get_config()
    narrowed = listing.narrowed(query)
    with orm.session():
        rows = orm.EventMatch.all_of(asking.owner, **narrowed)
        if narrowed.get("limit") and len(rows) == narrowed["limit"]:
            listing.link_next(query, narrowed.get("order", orm.OLDEST_FIRST), rows[-1])
        return [_shown(row, settings, asking.name) for row in rows]


def one(asking: Permit, path: tuple[str, ...], query: Mapping[str, Any]) -> dict[str, Any]:
    """Give one subscription that the caller's role reaches.

    One of somebody else beyond that, one that was deleted and one that never was are answered alike.
    """
    settings = get_config()
    with orm.session():
        row = _own(asking.owner, path)
        answers.nothing_more(query=query)
        _tag(row, settings, asking.name)
        return _shown(row, settings, asking.name)


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


def _tag_of(row: orm.EventMatch, settings: Settings, asking: str) -> str:
    return conditions.tag_of(answers.encoded(_shown(row, settings, asking)), row.revision)


def _tag(row: orm.EventMatch, settings: Settings, asking: str) -> None:
    """Name the state that an answer is about; the same tag whether or not this answer shows secrets."""
    cherrypy.response.headers["ETag"] = _tag_of(row, settings, asking)


def _answered(row: orm.EventMatch, settings: Settings, asking: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give a subscription as the answer to the request that wrote it, this once with the secrets that it set."""
    shown = _shown(row, settings, asking, clear=True)
    return shown if settings.auth.show == "owner" and row.user == asking else subscriptions.revealed(shown, sent)


def _sent(settings: Settings) -> Any:
    raw, _media_type = answers.body(("application/json",), settings.receive.max_body)
    return documents.read(raw, settings.receive.max_depth)


def _validate(sent: Any, stored: Mapping[str, Any] | None, settings: Settings) -> dict[str, Any]:
    try:
        try:
            members = subscriptions.validate(sent, stored, routing.bounds_of(settings), settings.receive.max_name)
        except InvalidSubscription as error:
            raise InvalidSubscription(error.faults | _forbidden(sent, stored, error.faults, settings)) from error
        if faults := _forbidden(members, stored, (), settings):
            raise InvalidSubscription(faults)
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


def _forbidden(
    sent: Mapping[str, Any], stored: Mapping[str, Any] | None, faults: Container[str], settings: Settings
) -> dict[str, str]:
    """Find out whether the address policy refuses a target that is new; one that is stored already is hinted at."""
    url = sent.get("target_url") if isinstance(sent, dict) else None
    if not isinstance(url, str) or "/target_url" in faults or url == (stored or {}).get("target_url"):
        return {}
    verdict = _judged(url, settings)
    return {} if verdict is None or verdict.allowed else {"/target_url": verdict.reason}


def _hint(shown: Mapping[str, Any], settings: Settings) -> None:
    found = subscriptions.hints(shown, routing.bounds_of(settings))
    try:
        host = read(shown["target_url"]).host
    except ValueError:
        # An old row may have a target that is no URL.
        found.append("target_url: is no http or https URL; nothing is delivered until it is changed")
    else:
        verdict = _judged(shown["target_url"], settings)
        if verdict is None:
            found.append(f"target_url: the name {host} does not resolve yet; deliveries are tried all the same")
        elif not verdict.allowed:
            found.append(f"target_url: {verdict.reason}; until then deliveries wait")
    answers.hint(found)


def _judged(url: str, settings: Settings) -> Verdict | None:
    """Give the address policy's verdict, None where a name does not resolve; asked once for a request.

    One whose look-up takes long is given the benefit of the doubt: each attempt asks again.
    """
    judged: dict[str, Verdict | None] | None = getattr(cherrypy.request, "judged_targets", None)
    if judged is None:
        judged = cherrypy.request.judged_targets = {}
    if url not in judged:
        policy = resolving.policy_of(settings)
        judged[url] = _RESOLVER.ask(lambda: resolving.check(policy, url).verdict, silence=_IN_DOUBT)
    return judged[url]
