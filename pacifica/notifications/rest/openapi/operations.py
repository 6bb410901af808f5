"""The operations of the API, each with the text of the handler that it leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...cloudevents import media
from ...globals import EVENT_MEDIA_TYPES
from ...subscriptions import USER
from .. import eventmatch, listing
from ..errorpages import Errors
from ..eventmatch import EventMatch
from ..health import Live, Ready
from ..keys import Keys
from ..login import LoginPlace
from ..receive import ReceiveEvent
from ..schemas import Document
from . import examples, parts
from .parts import ETAG, HINT, IF_MATCH, IF_NONE_MATCH, JSON, LINK, UNCHANGED, answer, refusals, sent
from .schemas import reference

Handler = Callable[..., Any]

#: Places whose handlers stand on this module.
_ROOT = {"summary": "Give name, version and where things are", "description": "With a link to each place."}
_DESCRIPTION = {"summary": "Give this description", "description": "OpenAPI 3.1."}

#: What every request to a user's own may be answered.
_OWN = ("no-identity", "bad-token", "not-allowed", "unavailable")
#: What every request with a body may be answered.
_BODY = ("invalid-body", "too-large", "unsupported-media-type")
#: How a subscription that an answer shows is asked for, changed and deleted.
_LINKS = {
    operation: {"operationId": operation, "parameters": {"uuid": "$response.body#/uuid"}}
    for operation in ("readSubscription", "changeSubscription", "deleteSubscription")
}


def paths(user_header: str) -> dict[str, Any]:
    """Give the paths; ``user_header`` is what ``notifications.user_header`` says."""
    user = {
        "name": user_header,
        "in": "header",
        "description": "The user. The proxy sets it: a client behind one leaves it out.",
        "schema": {"type": "string", "pattern": f"^{USER.pattern}$"},
    }
    return {
        "/receive": _receive(),
        "/eventmatch": _all_subscriptions(user),
        "/eventmatch/{uuid}": _one_subscription(user),
        "/auth/login": _login(),
        "/health/live": {"get": _read("isAlive", "Health", Live.GET, reference("Health"))},
        "/health/ready": {
            "get": _read("isReady", "Health", Ready.GET, reference("Health"), "not-ready", "unavailable")
        },
        "/keys": {"get": _read("readKeys", "About", Keys.GET, {"type": "object"}, "unavailable")},
        "/schemas/event": {"get": _read("readEventSchema", "About", Document.GET, {"type": "object"})},
        "/schemas/eventmatch": {"get": _read("readSubscriptionSchema", "About", Document.GET, {"type": "object"})},
        "/errors": {
            "get": _read("listErrors", "About", Errors.GET, {"type": "array", "items": reference("ErrorKind")})
        },
        "/errors/{name}": _one_error(),
        "/": {"get": _read("readRoot", "About", None, {"type": "object"}) | _ROOT},
        "/openapi.json": {"get": _read("readDescription", "About", None, {"type": "object"}) | _DESCRIPTION},
    }


def _operation(name: str, tag: str, handler: Handler | None, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "tags": [tag], **(parts.texts(handler) if handler else {}), **more}


def _read(name: str, tag: str, handler: Handler | None, schema: dict[str, Any], *problems: str) -> dict[str, Any]:
    """Describe a GET of what everybody may read."""
    found = {"200": answer("What was asked for.", schema, ETag=ETAG), "304": UNCHANGED}
    return _operation(
        name, tag, handler, parameters=[IF_NONE_MATCH], responses=found | refusals("invalid-parameter", *problems)
    )


def _one_error() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "not-found"}
    read = _read("readError", "About", Errors.GET, reference("ErrorKind"), "not-found")
    return {"parameters": [name], "get": read}


def _receive() -> dict[str, Any]:
    content = sent("CloudEvent", examples.EVENTS, *EVENT_MEDIA_TYPES)
    content |= sent("Batch", examples.BATCHES, media.BATCHED)
    stored = {"anyOf": [reference("Stored"), {"type": "array", "items": reference("Stored")}]}
    refused = refusals(*_BODY, "invalid-event", "invalid-parameter", "conflict", "overloaded", *_OWN)
    allowed = {"schema": {"type": "string"}}
    return {
        "post": _operation(
            "receive",
            "Events",
            ReceiveEvent.POST,
            security=parts.SECURITY,
            requestBody={"required": True, "content": content},
            responses={
                "200": answer("The event is stored; of a batch, all of them in its order.", stored, examples.STORED)
            }
            | refused,
        ),
        "options": _operation(
            "mayISend",
            "Events",
            ReceiveEvent.OPTIONS,
            parameters=[
                {
                    "name": "WebHook-Request-Origin",
                    "in": "header",
                    "description": "Who asks: a name in the DNS.",
                    "schema": {"type": "string"},
                }
            ],
            responses={
                "200": answer(
                    "Without `WebHook-Allowed-Origin`: no.",
                    None,
                    Allow=parts.ALLOW,
                    WebHook_Allowed_Origin=allowed,
                    WebHook_Allowed_Rate=allowed,
                )
            },
        ),
    }


def _login() -> dict[str, Any]:
    return {
        "post": _operation(
            "logIn",
            "Identity",
            LoginPlace.POST,
            requestBody={"required": True, "content": sent("Login", examples.LOGINS, JSON)},
            responses={"200": answer("A token.", reference("Granted"))}
            | refusals(
                *("invalid-parameter", *_BODY, "no-identity", "not-allowed", "not-found", "too-often", "unavailable")
            ),
        )
    }


def _all_subscriptions(user: dict[str, Any]) -> dict[str, Any]:
    narrowing = [{"name": name, "in": "query", **rule} for name, rule in listing.PARAMETERS.items()]
    shown = {"type": "array", "items": reference("Subscription")}
    return {
        "parameters": [user],
        "get": _operation(
            "listSubscriptions",
            "Subscriptions",
            eventmatch.every,
            security=parts.SECURITY,
            parameters=[*narrowing, IF_NONE_MATCH],
            responses={
                "200": answer("The subscriptions, perhaps none.", shown, [examples.SUBSCRIPTION], ETag=ETAG, Link=LINK),
                "304": UNCHANGED,
            }
            | refusals("invalid-parameter", *_OWN),
        ),
        "post": _operation(
            "makeSubscription",
            "Subscriptions",
            EventMatch.POST,
            security=parts.SECURITY,
            requestBody={"required": True, "content": sent("NewSubscription", examples.SUBSCRIPTIONS, JSON)},
            responses={"200": _subscription("The new subscription, this once with its secrets.")}
            | refusals("invalid-subscription", "invalid-parameter", *_BODY, "no-key", *_OWN),
        ),
    }


def _one_subscription(user: dict[str, Any]) -> dict[str, Any]:
    refused = ("invalid-parameter", "not-yours", *_OWN)
    return {
        "parameters": [parts.UUID, user],
        "get": _operation(
            "readSubscription",
            "Subscriptions",
            eventmatch.one,
            security=parts.SECURITY,
            parameters=[IF_NONE_MATCH],
            responses={"200": _subscription("The subscription."), "304": UNCHANGED} | refusals(*refused),
        ),
        "put": _operation(
            "changeSubscription",
            "Subscriptions",
            EventMatch.PUT,
            security=parts.SECURITY,
            parameters=[IF_MATCH],
            requestBody={"required": True, "content": sent("SubscriptionChange", examples.CHANGES, JSON)},
            responses={"200": _subscription("The subscription, with its secrets if they were sent.")}
            | refusals("invalid-subscription", *_BODY, "outdated", "no-key", *refused),
        ),
        "delete": _operation(
            "deleteSubscription",
            "Subscriptions",
            EventMatch.DELETE,
            security=parts.SECURITY,
            parameters=[IF_MATCH],
            responses={"200": answer("It is deleted.", None)} | refusals("outdated", *refused),
        ),
    }


def _subscription(description: str) -> dict[str, Any]:
    found = answer(description, reference("Subscription"), examples.SUBSCRIPTION, ETag=ETAG, Notifications_Hint=HINT)
    return found | {"links": _LINKS}
