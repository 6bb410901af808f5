"""CloudEvents to values and back: what an event is, which it is, and what is sent of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from . import documents, plain
from .cloudevents import batch, binary
from .cloudevents.media import STRUCTURED, Mode
from .cloudevents.schemas import BASE64, NONCHARACTER
from .cloudevents.schemas import EVENT_SCHEMA as EVENT_SCHEMA
from .cloudevents.versions import NAMES, version_of
from .errors import InvalidEvent

#: What was stored without a look at it may hold this: a lone surrogate is no text either.
_PRINTABLE = r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*"
_CORE_1_0 = frozenset(EVENT_SCHEMA["$defs"]["1.0"]["properties"])
_EXTENSION_NAME = re.compile(r"[a-z0-9]+")
#: Members that may differ between two sendings of the same event.
_VARYING = frozenset({"time", "eventTime", "traceparent", "tracestate"})


@dataclass(frozen=True, slots=True)
class Event:
    """One checked event: the text that was accepted, its value, and the attributes that rows are looked up by.

    ``mode`` says how it came; one in binary mode has the text of its structured form.
    """

    text: str
    value: Mapping[str, Any]
    content_type: str
    version: str
    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    mode: Mode = "structured"

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
    return _checked(body.decode(), value, content_type, "structured")


def parse_binary(fields: Mapping[str, str], content_type: str, body: bytes, max_depth: int = 100) -> Event:
    """Check an event in binary mode and give its structured form.

    ``fields`` are the ``ce-`` headers, names in lower case without ``ce-``, values as Latin-1 reads their bytes.
    Raises ``InvalidEvent`` that names every fault.
    """
    text, value = binary.read(fields, content_type, body, max_depth)
    return _checked(text, value, STRUCTURED, "binary")


def parse_batch(body: bytes, max_depth: int = 100, max_events: int = 100) -> list[Event]:
    """Check a batch (JSON format 1.0.2, section 4) and give its events, each with its own slice of the text.

    Raises as ``parse``; pointers of faults begin with the place in the batch, as in ``/2/source``.
    """
    found, faults = [], dict[str, str]()
    for place, (text, value) in enumerate(batch.read(body, max_depth, max_events)):
        try:
            found.append(_checked(text, value, STRUCTURED, "batched"))
        except InvalidEvent as error:
            faults |= {f"/{place}{pointer}": message for pointer, message in error.faults.items()}
            if len(faults) >= documents.MOST_FAULTS:
                break
    if faults:
        raise InvalidEvent(dict(list(faults.items())[: documents.MOST_FAULTS]))
    return found


def _checked(text: str, value: Any, content_type: str, mode: Mode) -> Event:
    """Give the event of a value and its text; raises ``InvalidEvent``."""
    if not isinstance(value, dict):
        raise InvalidEvent({"": "must be a JSON object, one CloudEvent"})
    version = version_of(value)
    names = NAMES[version]
    schema, is_plain = _schema(version)
    faults = {} if is_plain(value) else documents.faults(schema, value)
    if version == "1.0":
        faults |= _type_faults(value)
    elif version == "0.3" and value.get("datacontentencoding") and not _is_base64(value.get("data", "")):
        faults["/data"] = "must be base64 (RFC 4648, section 4), because datacontentencoding says so"
    if faults:
        raise InvalidEvent(faults)
    time = value.get(names.time)
    return Event(
        text=text,
        value=value,
        content_type=content_type,
        version=version,
        id=value[names.id],
        source=value["source"],
        type=value[names.type],
        subject=value.get(names.subject) if names.subject else None,
        time=documents.rfc3339(time, zone_required=names.zone_required) if time else None,
        mode=mode,
    )


def _type_faults(value: Mapping[str, Any]) -> dict[str, str]:
    """Find what CloudEvents 1.0.2 says beyond the schema: section 3.1 of the JSON format, "Type System" of the core."""
    faults = {}
    for name, member in value.items():
        if name == "data":
            continue
        if type(member) is str and not member.isascii() and NONCHARACTER.search(member):
            faults[f"/{documents.escape(name)}"] = "must be text without noncharacters such as U+FFFF"
        elif type(member) is int and not -(2**31) <= member < 2**31:
            faults[f"/{documents.escape(name)}"] = "must be an integer of 32 bits; send it as a string"
    if value.get("data_base64") is not None and "data" in value:
        faults["/data_base64"] = "can't stand beside data; send one of the two"
    return faults


def _is_base64(data: Any) -> bool:
    return isinstance(data, str) and re.fullmatch(BASE64, data) is not None


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
        core = _core(next(json.loads(raw) for name, raw in members if name == "specversion"))
        usable = usable_extensions(extensions).items()
        added = {name: _attribute_text(value) for name, value in usable if name not in core}
    else:
        own = next((json.loads(raw) for name, raw in members if name == "extensions"), None) or {}
        added = {"extensions": json.dumps(own | dict(extensions), ensure_ascii=False)}
    kept = [(name, added.pop(name, raw)) for name, raw in members]
    both = [*kept, *added.items()]
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{raw}" for name, raw in both) + "}"


def _core(version: Any) -> Collection[str]:
    """Give the names that are no extensions' in a version."""
    found: Collection[str] = (
        EVENT_SCHEMA["$defs"].get(version, {}).get("properties", ()) if isinstance(version, str) else ()
    )
    return found


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
