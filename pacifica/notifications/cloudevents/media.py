"""Media types: in which content mode a message is, and of what kind its data is."""

from __future__ import annotations

import re
from typing import Literal

#: How an event came, or goes: HTTP binding 1.0.2, section 1.3.
Mode = Literal["structured", "binary", "batched"]
#: What data is by its media type: a JSON value, text in UTF-8, or any bytes.
Kind = Literal["json", "text", "bytes"]

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\\u0000-\u001f\u007f-\uffff]|\\[\u0020-\u007e])*"'
#: A media type and its parameters (RFC 9110, section 8.3.1), as JSON Schema and Python both read it.
PATTERN = rf"^{_WORD}/{_WORD}[ \t]*(?:;[ \t]*(?:{_WORD}=(?:{_WORD}|{_QUOTED})[ \t]*)?)*$"

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_UTF_8 = ("", "utf-8", "utf8", "us-ascii", "ascii")


def essence(content_type: str) -> str:
    """Give ``type/subtype`` in lower case, or the empty text."""
    return content_type.partition(";")[0].strip().lower()


def charset(content_type: str) -> str:
    """Give the parameter ``charset``, or the empty text."""
    found = _CHARSET.search(content_type)
    return found[1] if found else ""


def is_utf_8(content_type: str) -> bool:
    """Tell whether text of this type is UTF-8, as it is where no charset is named."""
    return charset(content_type).lower() in _UTF_8


def mode(content_type: str, has_attributes: bool) -> Mode:
    """Tell the content mode (HTTP binding 1.0.2, section 3).

    Without any ``ce-`` header (``has_attributes``) other types count as structured: Pacifica's producers send events
    as ``application/json``.
    """
    kind = essence(content_type)
    if kind.startswith("application/cloudevents-batch"):
        return "batched"
    if kind.startswith("application/cloudevents") or not has_attributes:
        return "structured"
    return "binary"


def kind(content_type: str) -> Kind:
    """Tell what data of this type is (JSON format 1.0.2, section 3.1); with another charset than UTF-8 it is bytes."""
    top, _, sub = essence(content_type).partition("/")
    if not is_utf_8(content_type):
        return "bytes"
    if sub == "json" or sub.endswith("+json"):
        return "json"
    return "text" if top == "text" or sub == "xml" or sub.endswith("+xml") else "bytes"
