"""CloudEvents to values and back: what an event is, which it is, and what is sent of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from . import documents, plain
from .errors import InvalidEvent

_UNPRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f]*$"
#: The same for what was stored without a look at it: a lone surrogate is no text either.
_PRINTABLE = r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*"


def _attribute(description: str, longest: int = 512) -> dict[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "pattern": _UNPRINTABLE,
        "description": f"{description} without control characters",
    }


#: CloudEvents 0.1 in JSON (0.1, section "Context Attributes"): names in camel case, extensions in a map.
_SCHEMA_0_1: dict[str, Any] = {
    "type": "object",
    "required": ["cloudEventsVersion", "eventType", "source", "eventID"],
    "properties": {
        "cloudEventsVersion": {"const": "0.1"},
        "eventType": _attribute("text, the type of occurrence,"),
        "eventTypeVersion": {"type": ["string", "null"], "maxLength": 512},
        "source": _attribute("a URI-reference"),
        "eventID": _attribute("text, the event's id,", 255),
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

#: CloudEvents 1.0 in JSON (1.0.2, section 3; JSON format 1.0.2, sections 2 and 3).
_SCHEMA_1_0: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "type", "source", "id"],
    "properties": {
        "specversion": {"const": "1.0"},
        "type": _attribute("text, the type of occurrence,"),
        "source": _attribute("a URI-reference"),
        "id": _attribute("text, the event's id,", 255),
        "time": {"type": ["string", "null"], "format": "date-time"},
        "subject": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": 512,
            "pattern": _UNPRINTABLE,
            "description": "text without control characters",
        },
        "datacontenttype": {"type": ["string", "null"], "minLength": 1},
        "dataschema": {"type": ["string", "null"], "minLength": 1},
        "data": True,
        "data_base64": {
            "type": ["string", "null"],
            "pattern": r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            "description": "base64 (RFC 4648, section 4)",
        },
    },
    "propertyNames": {
        "pattern": "^(?:data_base64|[a-z0-9]+)$",
        "description": "an attribute name of lower-case letters and digits",
    },
    "additionalProperties": {"type": ["string", "integer", "boolean", "null"]},
}

#: What ``POST /receive`` takes.
EVENT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "CloudEvent in structured JSON mode, version 0.1 or 1.0",
    "type": "object",
    "if": {"required": ["specversion"]},
    "then": {"$ref": "#/$defs/1.0"},
    "else": {"$ref": "#/$defs/0.1"},
    "$defs": {"0.1": _SCHEMA_0_1, "1.0": _SCHEMA_1_0},
}

_CORE_1_0 = frozenset(_SCHEMA_1_0["properties"])
_EXTENSION_NAME = re.compile(r"[a-z0-9]+")
#: Members that may differ between two sendings of the same event.
_VARYING = frozenset({"time", "eventTime", "traceparent", "tracestate"})


@dataclass(frozen=True, slots=True)
class Event:
    """One checked event: the text that was accepted, its value, and the attributes that rows are looked up by."""

    text: str
    value: Mapping[str, Any]
    content_type: str
    version: str
    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None

    @property
    def identity(self) -> str:
        """Digest (SHA-256, 64 hex digits) that is equal exactly for two sendings of the same event.

        It covers all members as JSON values but ``time``, ``eventTime``, ``traceparent`` and ``tracestate``.
        """
        kept = {name: member for name, member in self.value.items() if name not in _VARYING}
        if self.version == "0.1" and isinstance(kept.get("extensions"), dict):
            kept["extensions"] = {k: v for k, v in kept["extensions"].items() if k not in _VARYING}
        canonical = _CANONICAL(kept)
        if any(sign in canonical for sign in _WHOLE):
            canonical = _CANONICAL(_exact(kept))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def origin(self) -> str:
        """Digest (SHA-256, 64 hex digits) of ``source`` and ``id``, which name an event (CloudEvents 1.0.2, 3.1.1)."""
        return hashlib.sha256(json.dumps([self.source, self.id]).encode()).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
#: One of these is in a canonical text that holds a number such as 1.0.
_WHOLE = (".0,", ".0}", ".0]", "e+")


def _exact(value: Any) -> Any:
    """Make equal JSON numbers equal in text: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return value


def parse(body: bytes, content_type: str = "application/json", max_depth: int = 100) -> Event:
    """Check a structured-mode JSON event and give its value.

    Raises ``InvalidBody`` for what is not I-JSON and ``InvalidEvent`` that names every fault of the event.
    """
    value = documents.read(body, max_depth)
    if not isinstance(value, dict):
        raise InvalidEvent({"": "must be a JSON object, one CloudEvent"})
    version = _version(value)
    schema, is_plain = _schema(version)
    faults = {} if is_plain(value) else documents.faults(schema, value)
    if version == "1.0" and value.get("data_base64") is not None and "data" in value:
        faults["/data_base64"] = "can't stand beside data; send one of the two"
    if faults:
        raise InvalidEvent(faults)
    old = version == "0.1"
    time = value.get("eventTime" if old else "time")
    return Event(
        text=body.decode(),
        value=value,
        content_type=content_type,
        version=version,
        id=value["eventID" if old else "id"],
        source=value["source"],
        type=value["eventType" if old else "type"],
        subject=None if old else value.get("subject"),
        time=documents.rfc3339(time, zone_required=not old) if time else None,
    )


def _version(value: Mapping[str, Any]) -> str:
    """Find which specification's names an event uses, and refuse those that are not taken."""
    for name, taken in (("specversion", "1.0"), ("cloudEventsVersion", "0.1")):
        if name in value:
            if value[name] != taken:
                shown = json.dumps(value[name])[:40]
                raise InvalidEvent({f"/{name}": f"is {shown}; taken are specversion 1.0 and cloudEventsVersion 0.1"})
            return taken
    if "eventType" in value or "eventID" in value:
        return "0.1"
    raise InvalidEvent(
        {"/specversion": 'is required and must be "1.0" (or cloudEventsVersion "0.1"): this is no CloudEvent'}
        | {f"/{name}": "is required" for name in ("type", "source", "id") if name not in value}
    )


@cache
def _schema(version: str) -> tuple[documents.Schema, plain.Check]:
    schema = EVENT_SCHEMA["$defs"][version]
    return documents.validator(schema), plain.check(schema)


#: The attributes that rows are looked up by, under their names in 1.0, with those in 0.1 and their lengths.
_LOOKED_UP = {
    "source": ("source", 512),
    "id": ("eventID", 255),
    "type": ("eventType", 512),
    "subject": ("subject", 512),
}


def attributes(text: str) -> dict[str, Any]:
    """Give ``source``, ``id``, ``type``, ``subject`` and ``time`` of a text as older releases stored it.

    Nothing is an error: what is missing, does not fit, or is of no event at all is None.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        value = {}
    old = "specversion" not in value
    found: dict[str, Any] = {}
    for name, (former, longest) in _LOOKED_UP.items():
        member = value.get(former if old else name)
        fits = isinstance(member, str) and 0 < len(member) <= longest and re.fullmatch(_PRINTABLE, member)
        found[name] = member if fits else None
    time = value.get("eventTime" if old else "time")
    found["time"] = documents.rfc3339(time, zone_required=False) if isinstance(time, str) else None
    return found


def with_extensions(text: str, extensions: Mapping[str, Any]) -> str:
    """Overlay a subscription's extensions on an accepted event's text; all else stays as it stands, byte for byte.

    For 0.1 they join the member ``extensions``; for 1.0 each becomes an extension attribute (CloudEvents 1.0.2,
    section 3.2) with its name in lower case, and those of ``unusable_extensions`` are left out. Raises ``ValueError``
    or ``InvalidBody`` for what is no event, as old rows may hold it.
    """
    if not extensions:
        return text
    if not isinstance(json.loads(text), dict):
        raise ValueError("only a JSON object can be extended")
    members = documents.members(text)
    if any(name == "specversion" for name, _ in members):
        added = {name: _attribute_text(value) for name, value in usable_extensions(extensions).items()}
    else:
        own = next((json.loads(raw) for name, raw in members if name == "extensions"), None) or {}
        added = {"extensions": json.dumps(own | dict(extensions), ensure_ascii=False)}
    kept = [(name, added.pop(name, raw)) for name, raw in members]
    both = [*kept, *added.items()]
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{raw}" for name, raw in both) + "}"


def _attribute_text(value: Any) -> str:
    """Give an extension's value as JSON text of an attribute: a string, integer or boolean, else its text."""
    plain = isinstance(value, str | bool) or (isinstance(value, int) and -(2**31) <= value < 2**31)
    text = json.dumps(value, ensure_ascii=False)
    return text if plain else json.dumps(text, ensure_ascii=False)


def usable_extensions(extensions: Mapping[str, Any]) -> dict[str, Any]:
    """Give those extensions that can be attributes of a 1.0 event, by their names in lower case."""
    lowered = {name.lower(): value for name, value in extensions.items()}
    return {name: value for name, value in lowered.items() if _EXTENSION_NAME.fullmatch(name) and name not in _CORE_1_0}


def unusable_extensions(extensions: Mapping[str, Any]) -> list[str]:
    """Name those extensions that a 1.0 event can't carry: core attributes, and names that are not ``[a-z0-9]+``."""
    usable = usable_extensions(extensions)
    return [name for name in extensions if name.lower() not in usable]
