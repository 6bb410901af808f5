"""The members of a subscription: which there are, and the JSON Schema of each."""

from __future__ import annotations

from typing import Any

from .signing.member import SCHEMES

WRITABLE = (
    *("name", "jsonpath", "target_url", "extensions", "auth", "disabled", "retry", "limits", "ordered"),
    *("content_mode", "event_version", "signing"),
)
READ_ONLY = ("uuid", "user", "version", "error", "created", "updated", "deleted")
REQUIRED = ("name", "jsonpath", "target_url")
VERSION = "v0.1"

_TIME = {"type": ["string", "null"], "format": "date-time"}
#: RFC 9110, section 5.6.2.
_SCHEME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

_AUTH = {
    "type": "object",
    "properties": {
        "type": {"enum": ["basic", "header"]},
        "basic": {
            "type": "object",
            "required": ["username", "password"],
            "properties": {
                "username": {
                    "type": "string",
                    "maxLength": 1024,
                    "pattern": r"^[^:\u0000-\u001f\u007f]*$",
                    "description": "text without a colon or control characters (RFC 7617, section 2)",
                },
                "password": {
                    "type": "string",
                    "maxLength": 4096,
                    "pattern": r"^[^\u0000-\u001f\u007f]*$",
                    "description": "text without control characters (RFC 7617, section 2)",
                },
            },
            "additionalProperties": False,
        },
        "header": {
            "type": "object",
            "required": ["type", "credentials"],
            "properties": {
                "type": {
                    "type": "string",
                    "maxLength": 64,
                    "pattern": _SCHEME,
                    "description": "an authentication scheme such as Bearer (RFC 9110, section 11.1)",
                },
                "credentials": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 8192,
                    "pattern": r"^[\u0020-\u007e]+$",
                    "description": "visible ASCII characters and spaces",
                },
            },
            "additionalProperties": False,
        },
    },
    "allOf": [
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {"required": [kind]},
        }
        for kind in ("basic", "header")
    ],
    "dependentRequired": {"basic": ["type"], "header": ["type"]},
    "additionalProperties": False,
}

#: The longest time that anything waits, in seconds.
_LONGEST = 1_000_000_000


def _number(least: float, most: float, unit: str = "a number", above: bool = False, **more: Any) -> dict[str, Any]:
    """Give the schema of a number from ``least``, or ``above`` it, to ``most``."""
    rule = "exclusiveMinimum" if above else "minimum"
    said = f"{unit} {'above' if above else 'from'} {least}{', at most' if above else ' to'} {most:,}"
    return {"type": "number", rule: least, "maximum": most, "description": said} | more


_RETRY: dict[str, Any] = {
    "type": ["object", "null"],
    "properties": {
        "schedule": {
            "type": "array",
            "items": _number(0, _LONGEST, "seconds"),
            "maxItems": 100,
            "description": "the seconds before the second, third, … attempt, at most 100 of them",
        },
        "base": _number(0, _LONGEST, "seconds", above=True),
        "factor": _number(1, 1000, default=2),
        "cap": _number(0, _LONGEST, "seconds", above=True, default=3600),
        "total": _number(0, _LONGEST, "seconds", default=86400),
        "jitter": _number(0, 0.9),
    },
    "if": {"type": "object", "minProperties": 1},
    "then": {
        "anyOf": [{"required": ["schedule"]}, {"required": ["base"]}],
        "description": "an object with schedule or base",
    },
    "dependentSchemas": {
        "schedule": {
            "properties": {
                name: {"not": {}, "description": "left out beside schedule"}
                for name in ("base", "factor", "cap", "total")
            }
        }
    },
    "additionalProperties": False,
}

_LIMITS = {
    "type": ["object", "null"],
    "properties": {
        "in_flight": _number(1, 10_000, "a whole number") | {"type": "integer"},
        # One in some hours: what is less is no rate.
        "rate": _number(0.0001, 1_000_000, "deliveries in a second,"),
    },
    "additionalProperties": False,
}

_SECRET = {
    "type": ["string", "null"],
    "maxLength": 128,
    "pattern": r"^(whsec_[A-Za-z0-9+/]+={0,2}|\*\*\*)$",
    "description": "whsec_ and 24 to 64 random bytes in base64 (Standard Webhooks 1.0.0), or left out",
}

_SIGNING = {
    "type": ["object", "null"],
    "properties": {
        "schemes": {
            "type": "array",
            "items": {"enum": list(SCHEMES)},
            "minItems": 1,
            "uniqueItems": True,
            "description": f"one or more of {', '.join(SCHEMES)}, each once",
        },
        "secret": _SECRET,
        "previous": {
            "type": ["object", "null"],
            "properties": {"secret": _SECRET, "until": {"type": "string", "format": "date-time"}},
            "required": ["until"],
            "additionalProperties": False,
        },
    },
    "if": {"type": "object", "minProperties": 1},
    "then": {"required": ["schemes"]},
    "additionalProperties": False,
}

_PROPERTIES: dict[str, Any] = {
    "uuid": {"type": "string", "format": "uuid"},
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "jsonpath": {"type": "string", "minLength": 1},
    "user": {"type": "string"},
    "disabled": _TIME,
    "error": {"type": ["string", "null"]},
    "target_url": {"type": "string", "minLength": 1, "maxLength": 2048},
    "version": {"type": "string"},
    "extensions": {"type": "object"},
    "auth": _AUTH,
    "created": {"type": "string", "format": "date-time"},
    "updated": {"type": "string", "format": "date-time"},
    "deleted": _TIME,
    "retry": _RETRY,
    "limits": _LIMITS,
    "ordered": {"type": "boolean"},
    "content_mode": {"enum": ["structured", "binary", None]},
    "event_version": {"enum": ["1.0", None]},
    "signing": _SIGNING,
}
_PROPERTIES |= {name: _PROPERTIES[name] | {"readOnly": True} for name in READ_ONLY}

#: What ``POST /eventmatch`` takes; the definition has all the members that an answer has.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Subscription",
    "$ref": "#/definitions/eventmatch",
    "required": list(REQUIRED),
    "properties": {
        "uuid": False,
        "user": False,
        "created": False,
        "updated": False,
        "deleted": False,
        "version": {"const": VERSION},
        "error": {"type": "null"},
    },
    "definitions": {"eventmatch": {"type": "object", "properties": _PROPERTIES, "additionalProperties": False}},
}
