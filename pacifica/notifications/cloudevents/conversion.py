"""Events of 0.1, 0.2 and 0.3 as events of 1.0; the data stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import documents
from . import media
from .headers import percented
from .schemas import ABSOLUTE_URI, EVENT_SCHEMA, NONCHARACTER, NOT_IN_URI, PRINTABLE
from .versions import NAMES, version_of

_CORE = frozenset(EVENT_SCHEMA["$defs"]["1.0"]["properties"])
_NO_NAME = re.compile("[^a-z0-9]+")
#: Optional attributes of older versions; empty, they say nothing.
_MAY_BE_EMPTY = {"eventTypeVersion", "eventTime", "schemaURL", "contentType", "contenttype", "schemaurl"}
_INTEGERS = range(-(2**31), 2**31)


def to_1_0(text: str, came_binary: bool = False) -> str:
    """Give an accepted event's text as version 1.0 has it; one of 1.0 stays as it is.

    ``came_binary`` says that bytes are base64 in it, which 0.1 and 0.2 have no mark for. An extension whose name is
    none in 1.0 is renamed to what is left of it in lower case, with a number behind it where that is taken; a value
    that is none becomes JSON text. Raises ``ValueError`` or ``InvalidEvent`` for what is no event.
    """
    raw = dict(documents.members(text))
    attributes = {name: json.loads(value) for name, value in raw.items() if name != "data"}
    version = version_of(attributes)
    if version == "1.0":
        return text
    found = {name: json.dumps(value, ensure_ascii=False) for name, value in _attributes(version, attributes)}
    if "data" in raw:
        found["data_base64" if _is_base64(version, attributes, came_binary) else "data"] = raw["data"]
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in found.items()) + "}"


def _is_base64(version: str, attributes: Mapping[str, Any], came_binary: bool) -> bool:
    if version == "0.3":
        return bool(attributes.get("datacontentencoding"))
    return came_binary and media.kind(attributes.get(NAMES[version].content_type) or "") == "bytes"


def _attributes(version: str, attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the attributes that 1.0 defines, then extensions, both without those that are null."""
    names = NAMES[version]
    old = {names.version, names.id, names.type, "source"}
    yield from {
        "specversion": "1.0",
        "id": attributes[names.id],
        "source": NONCHARACTER.sub(percented, NOT_IN_URI.sub(percented, attributes["source"])),
        "type": attributes[names.type],
    }.items()
    optional = {
        "time": (names.time, _time(attributes.get(names.time))),
        "subject": (names.subject, _plain(attributes.get(names.subject or ""))),
        "datacontenttype": (names.content_type, _matching(media.PATTERN, attributes.get(names.content_type))),
        "dataschema": (names.schema, _matching(ABSOLUTE_URI, attributes.get(names.schema))),
    }
    for name, (former, value) in optional.items():
        if value:
            old.add(str(former))
            yield name, value
    old |= {"datacontentencoding"} if version == "0.3" else set()
    rest = [(name, value) for name, value in attributes.items() if name not in old]
    if version == "0.1":
        own = attributes.get("extensions") or {}
        rest = [*((name, value) for name, value in rest if name != "extensions"), *own.items()]
    yield from _extensions(rest)


def _extensions(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    taken = set(_CORE)
    for former, value in pairs:
        if value is None or (value == "" and former in _MAY_BE_EMPTY):
            continue
        stem = _NO_NAME.sub("", former.lower()) or "extension"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}{number}", number + 1
        taken.add(name)
        yield name, value if _is_attribute(value) else _json_text(value)


def _is_attribute(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(PRINTABLE, value) is not None and not NONCHARACTER.search(value)
    return isinstance(value, bool) or (isinstance(value, int) and value in _INTEGERS)


def _json_text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if NONCHARACTER.search(text) or not re.fullmatch(PRINTABLE, text) else text


def _time(time: str | None) -> str | None:
    """Give a time with its zone; one without is UTC, as it is stored."""
    if not time or documents.rfc3339(time) is not None:
        return time
    return f"{time}Z"


def _plain(value: Any) -> str | None:
    return value if isinstance(value, str) and _is_attribute(value) else None


def _matching(pattern: str, value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else None
