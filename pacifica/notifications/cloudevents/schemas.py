"""The JSON Schema of each version: what ``POST /receive`` takes."""

from __future__ import annotations

import re
from typing import Any

from . import media

BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
#: Code points that are no characters and never will be (CloudEvents 1.0.2, section "Type System").
NONCHARACTER = re.compile(
    f"[\ufdd0-\ufdef{''.join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))}]"
)
PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def _attribute(description: str, longest: int = 512) -> dict[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "pattern": PRINTABLE,
        "description": f"{description} without control characters",
    }


_TYPE = _attribute("text, the type of occurrence,")
_ID = _attribute("text, the event's id,", 255)

#: CloudEvents 0.1 in JSON (0.1, section "Context Attributes"): names in camel case, extensions in a map.
_SCHEMA_0_1: dict[str, Any] = {
    "type": "object",
    "required": ["cloudEventsVersion", "eventType", "source", "eventID"],
    "properties": {
        "cloudEventsVersion": {"const": "0.1"},
        "eventType": _TYPE,
        "eventTypeVersion": {"type": ["string", "null"], "maxLength": 512},
        "source": _attribute("a URI-reference"),
        "eventID": _ID,
        "eventTime": {
            "type": ["string", "null"],
            "format": "date-time-or-local",
            "description": "a time such as 2026-01-31T12:00:00Z; the zone may be missing",
        },
        "schemaURL": {"type": ["string", "null"]},
        "contentType": {"type": ["string", "null"]},
        "extensions": {"type": ["object", "null"]},
        "data": True,
    },
}

#: An attribute that may be missing; null is the same (JSON format 1.0.2, section 2.2).
_OPTIONAL: dict[str, Any] = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 512,
    "pattern": PRINTABLE,
    "description": "text without control characters",
}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_MEDIA_TYPE = _OPTIONAL | {"pattern": media.PATTERN, "description": "a media type such as text/plain (RFC 2046)"}
#: No character that a URI never has; what is beyond ASCII is let through, as in an IRI (RFC 3987).
_NOT_IN_URI = r'\u0000-\u0020\u007f-\u00a0"<>\\^`{|}'
_URI_CHARACTERS = f"[^{_NOT_IN_URI}]"
NOT_IN_URI = re.compile(f"[{_NOT_IN_URI}]")
ABSOLUTE_URI = f"^[A-Za-z][A-Za-z0-9+.-]*:{_URI_CHARACTERS}*$"


def _names(*more: str) -> dict[str, Any]:
    return {
        "pattern": f"^(?:{'|'.join((*more, '[a-z0-9]+'))})$",
        "description": "an attribute name of lower-case letters and digits",
    }


#: CloudEvents 0.2 in JSON (0.2, section "Context Attributes"): names in lower case, extensions beside them.
_SCHEMA_0_2: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "type", "source", "id"],
    "properties": {
        "specversion": {"const": "0.2"},
        "type": _TYPE,
        "source": _attribute("a URI-reference"),
        "id": _ID,
        "time": _TIME,
        "schemaurl": _OPTIONAL,
        "contenttype": _OPTIONAL,
        "data": True,
    },
    "propertyNames": _names(),
    "additionalProperties": True,
}

#: CloudEvents 0.3 in JSON: as 0.2, with a subject, and with data that may be bytes.
_SCHEMA_0_3: dict[str, Any] = _SCHEMA_0_2 | {
    "properties": {name: rule for name, rule in _SCHEMA_0_2["properties"].items() if name != "contenttype"}
    | {
        "specversion": {"const": "0.3"},
        "subject": _OPTIONAL,
        "datacontenttype": _OPTIONAL,
        "datacontentencoding": _OPTIONAL
        | {"pattern": "^[Bb][Aa][Ss][Ee]64$", "description": "base64, the one encoding of data that there is"},
    }
}

#: CloudEvents 1.0 in JSON (1.0.2, section 3; JSON format 1.0.2, sections 2 and 3).
_SCHEMA_1_0: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "type", "source", "id"],
    "properties": {
        "specversion": {"const": "1.0"},
        "type": _TYPE,
        "source": _attribute("a URI-reference (RFC 3986)")
        | {
            "pattern": f"^{_URI_CHARACTERS}*$",
            "description": "a URI-reference (RFC 3986) without spaces or control characters",
        },
        "id": _ID,
        "time": _TIME,
        "subject": _OPTIONAL,
        "datacontenttype": _MEDIA_TYPE,
        "dataschema": _OPTIONAL
        | {
            "maxLength": 2048,
            "pattern": ABSOLUTE_URI,
            "description": "an absolute URI (RFC 3986)",
        },
        "data": True,
        "data_base64": {
            "type": ["string", "null"],
            "pattern": BASE64,
            "description": "base64 (RFC 4648, section 4)",
        },
    },
    "propertyNames": _names("data_base64"),
    "additionalProperties": {
        "type": ["string", "integer", "boolean", "null"],
        "pattern": PRINTABLE,
        "description": "text without control characters",
    },
}

#: What ``POST /receive`` takes of one event.
EVENT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "CloudEvent in structured JSON mode, version 0.1, 0.2, 0.3 or 1.0",
    "type": "object",
    "if": {"required": ["specversion"]},
    "then": {"anyOf": [{"$ref": f"#/$defs/{version}"} for version in ("1.0", "0.3", "0.2")]},
    "else": {"$ref": "#/$defs/0.1"},
    "$defs": {"0.1": _SCHEMA_0_1, "0.2": _SCHEMA_0_2, "0.3": _SCHEMA_0_3, "1.0": _SCHEMA_1_0},
}
