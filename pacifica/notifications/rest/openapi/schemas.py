"""The schemas of the API's description: those that bodies are checked with, at the places where OpenAPI has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...cloudevents.schemas import BASE64
from ...events import EVENT_SCHEMA
from ...globals import MASK
from ...members import REQUIRED, SCHEMA
from ...orm.eventmatch import MEMBERS
from ...subscriptions import USER

#: What each member of a subscription is, beyond what its schema says.
_ABOUT = {
    "uuid": "Names the subscription.",
    "name": "For people.",
    "jsonpath": "A JSONPath in the dialect of jsonpath2 0.4.5; events in which it finds something are delivered. A bare"
    " dotted name such as `data` means `$.data`.",
    "user": "The owner.",
    "disabled": "Since when nothing is delivered; null: enabled. In a PUT any time disables now, and null revives.",
    "error": "Why the service disabled it.",
    "target_url": "Where events are sent by POST: http or https, without user, password and fragment.",
    "version": "Of the form of this object.",
    "extensions": "Added to each delivered event.",
    "auth": f"How to authenticate at the target. Secrets are `{MASK}` but in the answer to the request that sent them.",
    "created": "When it was made.",
    "updated": "When it was changed last, by the service too.",
    "deleted": "Null: deleted ones are not shown.",
    "retry": "When an attempt that failed is made again: a schedule, or delays that grow, in seconds. Null and `{}`: as"
    " `delivery.retry_schedule` says.",
    "limits": "How much it is sent at most. Null and `{}`: no limits of its own.",
    "ordered": "True: one delivery at a time, in the order in which the events were accepted.",
    "content_mode": "The content mode of deliveries; null: as each event arrived.",
    "event_version": "The version that older events are converted to; null: as each event arrived.",
    "signing": "How deliveries are signed; null: not at all.",
}
#: Texts that a schema alone can't tell from others; whoever makes up examples makes them by these.
_FORMATS = {"jsonpath": "jsonpath", "target_url": "uri"}

#: What ``auth`` shows that can't be opened.
_CLOSED = {"const": {"type": MASK}}

#: Rules of CloudEvents that ``events`` checks beyond the schemas (1.0.2: "Type System"; JSON format, section 3.1).
_BEYOND: dict[str, dict[str, Any]] = {
    "1.0": {
        "not": {
            "required": ["data", "data_base64"],
            "properties": {"data_base64": {"type": "string"}},
        },
        "additionalProperties": {"minimum": -(2**31), "maximum": 2**31 - 1},
    },
    "0.3": {
        "if": {"required": ["datacontentencoding"], "properties": {"datacontentencoding": {"type": "string"}}},
        "then": {"properties": {"data": {"type": "string", "pattern": BASE64}}},
    },
    "0.1": {"not": {"required": ["specversion"]}, "properties": {"eventTime": {"examples": ["2026-01-31T12:00:00"]}}},
}

ERROR: dict[str, Any] = {
    "type": "object",
    "description": "An error as `application/json`; every fault of a body at once.",
    "required": ["status", "message", "traceback", "version", "type", "title", "detail", "errors"],
    "properties": {
        "status": {"type": "string", "description": "The status with its phrase."},
        "message": {"type": "string", "description": "The same as `detail`."},
        "traceback": {"const": ""},
        "version": {"type": "string", "description": "Of the service."},
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "Leads to a page about this kind of error.",
        },
        "title": {"type": "string", "description": "The kind of error in words, always the same."},
        "detail": {"type": "string", "description": "What is wrong this time, and how to mend it."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer (RFC 6901), empty for the whole."},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def components(max_batch: int) -> dict[str, Any]:
    """Give the schemas by their names; ``max_batch`` is what ``receive.max_batch`` says."""
    members = {name: _described(name, rule) for name, rule in SCHEMA["definitions"]["eventmatch"]["properties"].items()}
    fixed = SCHEMA["properties"]
    sent = {name: _sent(name, rule, fixed.get(name)) for name, rule in members.items() if fixed.get(name) is not False}
    problem = {
        name: rule for name, rule in ERROR["properties"].items() if name in ("type", "title", "detail", "errors")
    }
    return {
        "Subscription": _object("A subscription as answers have it.", _shown(members), list(MEMBERS)),
        "NewSubscription": _object("What makes a subscription.", sent, list(REQUIRED)),
        "SubscriptionChange": _object(
            "What a PUT changes; what is left out stays. A read-only member is taken too if it has exactly the value"
            " that it has already, so that what GET gave can be sent back.",
            sent,
            [],
        ),
        "CloudEvent": {
            "description": "A CloudEvent in structured mode, in the version that it names.",
            "anyOf": [reference(_name(version)) for version in ("1.0", "0.3", "0.2", "0.1")],
        },
        **{_name(version): _event(version) for version in EVENT_SCHEMA["$defs"]},
        "Batch": {"type": "array", "items": reference("CloudEvent"), "maxItems": max_batch},
        "Stored": _object(
            "What became of an event.",
            {
                "uuid": {"type": "string", "format": "uuid", "description": "Names the stored event."},
                "duplicate": {"type": "boolean", "description": "True: the same event was there already."},
            },
            ["uuid", "duplicate"],
        ),
        "Login": _object(
            "Who logs in.",
            {
                "username": {"type": "string", "pattern": f"^{USER.pattern}$"},
                "password": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[^\\u0000]*$"},
            },
            ["username", "password"],
        ),
        "Granted": _object(
            "A token.",
            {
                "token": {"type": "string", "description": "To be sent as `Authorization: Bearer TOKEN`."},
                "token_type": {"const": "Bearer"},
                "expires_in": {"type": "integer", "description": "Seconds that it lasts."},
                "roles": {"type": "array", "items": {"type": "string"}, "description": "What the login says."},
            },
            ["token", "token_type", "expires_in", "roles"],
        ),
        "Error": ERROR,
        "Problem": {
            "type": "object",
            "description": "An error as `application/problem+json` (RFC 9457).",
            "required": ["type", "title", "detail", "errors", "status"],
            "properties": problem | {"status": {"type": "integer"}},
        },
        "ErrorKind": _object(
            "A kind of error.",
            {
                "type": ERROR["properties"]["type"],
                "title": ERROR["properties"]["title"],
                "status": {"type": "integer", "description": "The status that it is answered with."},
                "remedy": {"type": "string", "description": "What to do about it."},
            },
            ["type", "title", "status", "remedy"],
        ),
        "Health": {
            "type": "object",
            "required": ["status"],
            "properties": {
                "status": {"const": "ok"},
                "database": {"type": "string"},
                "worker": {"type": "string", "description": "Who routes and delivers, or how to start somebody."},
            },
        },
    }


def reference(name: str) -> dict[str, str]:
    """Refer to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _name(version: str) -> str:
    return f"CloudEvent-{version}"


def _event(version: str) -> dict[str, Any]:
    """Give the schema of a version with the rules beyond it."""
    schema: dict[str, Any] = EVENT_SCHEMA["$defs"][version]
    beyond = _BEYOND.get(version, {})
    return {"description": f"CloudEvents {version} in JSON."} | _merged(schema, beyond)


def _merged(schema: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Give a schema with more rules, those of a member added to its own."""
    both = {
        name: _merged(schema[name], rule) if isinstance(rule, dict) and isinstance(schema.get(name), dict) else rule
        for name, rule in more.items()
    }
    return {**schema, **both}


def _described(name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    form = {"format": _FORMATS[name]} if name in _FORMATS else {}
    return {**rule, **form, "description": _ABOUT[name]}


def _shown(members: Mapping[str, Any]) -> dict[str, Any]:
    """Give the members as answers have them: what an older release stored may be beyond the bounds of today."""
    auth = {"anyOf": [members["auth"], _CLOSED], "description": members["auth"]["description"]}
    return {**members, "auth": auth}


def _sent(name: str, rule: Mapping[str, Any], fixed: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give a member as it can be sent: one that the service sets only with the one value that is harmless."""
    return {"description": rule["description"], **fixed} if fixed else dict(rule)


def _object(description: str, properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "description": description, "properties": dict(properties)}
    if required:
        found["required"] = required
    return found | {"additionalProperties": False}
