"""Events in binary mode, as they are sent (CloudEvents HTTP binding 1.0.2, section 3.1)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import documents
from . import headers, media
from .versions import ATTRIBUTES_OF_0_1, NAMES, version_of

#: Bytes that the headers of an event may have together: servers commonly take 8 KiB of all that there are.
LONGEST = 6 * 1024
_MEDIA_TYPE = re.compile(media.PATTERN)
#: RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Versions in which data that is base64 is marked.
_MARKED = ("0.3", "1.0")
_SPACE = " \t\r\n"


class Message(NamedTuple):
    """What is sent: the bytes, their media type (the empty text: none), and the attributes as header lines."""

    body: bytes
    content_type: str
    lines: list[bytes]


def binary(text: str, came_as: str | None = None) -> Message | None:
    """Give an event in binary mode; None for one that can't be, and is to be sent in structured mode.

    That is one without data, because a webhook has a body (HTTP webhooks 1.0.2, section 2.1); one whose data is no
    text in UTF-8 though its media type asks for one; and one with members that have no place in a header, or are
    longer than ``LONGEST``. ``came_as`` is the text that was accepted of an event that came in binary mode: its data
    goes as it came. Raises ``ValueError`` or ``InvalidEvent`` for what is no event.
    """
    members = documents.members(text)
    raw = next((value for name, value in members if name == "data"), None)
    attributes = {name: json.loads(value) for name, value in members if name != "data"}
    version = version_of(attributes)
    names = NAMES[version]
    content_type = attributes.pop(names.content_type, None) or ""
    if content_type and not _MEDIA_TYPE.fullmatch(content_type):
        return None
    lines = _lines(version, attributes)
    encoded = _base64(version, attributes, content_type, raw, came_as is not None)
    if encoded is not None:
        body: bytes | None = base64.b64decode(encoded)
    elif raw is None:
        return None
    else:
        content_type = content_type or "application/json"
        body = _of_json(raw, content_type, came_as) if version in _MARKED or _is_plain(content_type) else None
    if not body or not lines or sum(map(len, lines)) > LONGEST:
        return None
    return Message(body, content_type, lines)


def _base64(
    version: str, attributes: Mapping[str, Any], content_type: str, raw: str | None, came_binary: bool
) -> str | None:
    """Give the data of an event that has it as base64."""
    if version == "1.0":
        return attributes.get("data_base64")
    marked = version == "0.3" and attributes.get("datacontentencoding")
    bare = version in ("0.1", "0.2") and came_binary and media.kind(content_type) == "bytes"
    return json.loads(raw) if raw is not None and (marked or bare) else None


def _of_json(raw: str, content_type: str, came_as: str | None) -> bytes | None:
    """Give the bytes of data that is JSON or a string; None where they are not what the media type says."""
    kind = media.kind(content_type)
    if kind == "json":
        return (_as_it_came(came_as) if came_as else raw).encode()
    value = json.loads(raw)
    return value.encode() if isinstance(value, str) and media.is_utf_8(content_type) else None


def _is_plain(content_type: str) -> bool:
    """Tell whether data of this type is what it says, where bytes have no mark that they are base64."""
    return media.kind(content_type) != "bytes"


def _as_it_came(text: str) -> str:
    """Give the data of an event that came in binary mode, with the white space around it: it is the last member."""
    _name, raw = documents.members(text)[-1]
    start = len(text[:-1].rstrip(_SPACE)) - len(raw)
    while text[start - 1] in _SPACE:
        start -= 1
    return text[start:-1]


def _lines(version: str, attributes: Mapping[str, Any]) -> list[bytes]:
    """Give the header lines of the attributes; none if one of them has no place in a header."""
    if version == "0.1":
        pairs = _of_0_1(attributes)
    else:
        left_out = ("data_base64", *(("datacontentencoding",) if version == "0.3" else ()))
        pairs = {f"ce-{name}": value for name, value in attributes.items() if name not in left_out}
    if not all(map(_TOKEN.fullmatch, pairs)) or len({name.lower() for name in pairs}) < len(pairs):
        return []
    write = headers.encode_json if version in ("0.1", "0.2") else _text
    return [f"{name}: {write(value)}".encode() for name, value in pairs.items() if value is not None]


def _of_0_1(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the headers of 0.1; one without a name for a member that 0.1 does not have."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        if name == "extensions":
            found |= {f"CE-X-{key}" if key else "": member for key, member in (value or {}).items()}
        elif name in ATTRIBUTES_OF_0_1:
            found[f"CE-{name[:1].upper()}{name[1:]}"] = value
        else:
            found[""] = value
    return found


def _text(value: Any) -> str:
    """Give the value of a header by the types of 1.0; of another type, as 0.3 allows it, its JSON text."""
    return headers.encode(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
