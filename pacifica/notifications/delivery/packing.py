"""What is sent of an event to a subscription: in which content mode, of which version, and the trace that goes on."""

from __future__ import annotations

import hashlib
import json
import re

from .. import events, orm
from ..cloudevents import conversion, writing
from ..cloudevents.media import STRUCTURED
from ..cloudevents.writing import Message
from ..errors import Refused
from .work import Subscriber

#: W3C Trace Context, section 3.2.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")
_TRACESTATE = re.compile(r"[ -~]{1,512}")

#: What comes of reading the text of an old row as an event, which it may not be.
_NO_EVENT = (AttributeError, LookupError, TypeError, ValueError)


def packed(event: orm.Payload, subscriber: Subscriber) -> Message:
    """Give what is sent; raises ``TypeError``, ``ValueError`` or ``Refused`` where extensions can't be used for it.

    With nothing set it is the accepted text, and an event that came in binary mode goes so. What is no event, as an
    old row may hold it, goes as it is.
    """
    row = subscriber.row
    came_binary = event.mode == "binary"
    if not (subscriber.extensions or came_binary or row.content_mode or row.event_version):
        return Message(event.body, event.content_type, [])
    accepted = event.body.decode()
    text = events.with_extensions(accepted, subscriber.extensions or {})
    try:
        if row.event_version:
            text = conversion.to_1_0(text, came_binary)
        binary = row.content_mode == "binary" or (came_binary and row.content_mode is None)
        message = writing.binary(text, accepted if came_binary else None) if binary else None
    except (*_NO_EVENT, Refused):
        message = None
    if message is not None:
        return message
    chosen = row.content_mode or row.event_version
    return Message(text.encode(), STRUCTURED if chosen else event.content_type, [])


def trace(event: orm.Payload, delivery: str, attempt: int) -> list[bytes]:
    """Give the headers of W3C Trace Context for an event that has a trace: it goes on, from a span of this attempt.

    The event's own attributes stay as they are: they name where it started (extension "Distributed Tracing" 1.0.2).
    """
    if b"traceparent" not in event.body:
        return []
    try:
        value = json.loads(event.body)
        attributes = value if "specversion" in value else value.get("extensions") or {}
        found = _TRACEPARENT.fullmatch(attributes.get("traceparent") or "")
        state = attributes.get("tracestate") or ""
        if not found:
            return []
    except _NO_EVENT:
        return []
    span = hashlib.sha256(f"{delivery}/{attempt}".encode()).hexdigest()[:16]
    lines = [f"traceparent: 00-{found[1]}-{span}-{found[2]}".encode()]
    return [*lines, f"tracestate: {state}".encode()] if _TRACESTATE.fullmatch(state) else lines
