"""Decodes an event from the outside in: what nobody wants is seen by a few of its members, and the rest stays text."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from .collectors import Collector
from .loops import Field, Loop, Several
from .signatures import Token

# Looks through all of the text, so that what is no JSON is found, but makes no values of members.
_OPEN = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DECODE = msgspec.json.Decoder().decode

#: With more guards than that on the event it is decoded at once.
_MOST_GUARDS = 16


def decoded(text: str) -> Any:
    """Give exactly the value that ``json.loads`` gives. Raises ``ValueError`` if the text is no JSON.

    The fast decoder refuses some of what ``json.loads`` takes: NaN, surrogates that stand alone, numbers beyond what a
    float holds. What it takes, it takes alike.
    """
    try:
        return _DECODE(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deep") from None


def opened(text: str) -> dict[str, Any] | None:
    """Give the members of an object, each still as text; None if it is none or can't be looked at in this way."""
    try:
        return _OPEN(text)
    except (ValueError, RecursionError):
        return None


def wanted(parts: dict[str, Any], event: Loop, always: Token) -> bool:
    """Tell whether it may be that somebody wants an event; False is certain.

    Only what stands in the way of all shapes is asked: the guards of the event, and whether it has what loops walk to.
    """
    if event.always is not None or len(event.guards) + len(event.limits) > _MOST_GUARDS:
        return True
    if always.walks(parts) or (event.present and not event.present.keys().isdisjoint(parts)):
        return True
    values: dict[str, Any] = {}
    for guard in list(event.guards.values()):
        value = _value(guard, parts, values)
        group = guard.values.get(value) if value.__hash__ else None
        if group is None:
            continue
        for collector in group.collectors if type(group) is Several else (group,):
            if _has_entry(collector, parts, values):
                return True
    limits = list(event.limits.values())
    return any(limit.passes(_value(limit, parts, values), limit.loosest) for limit in limits)


def _has_entry(collector: Collector, parts: dict[str, Any], values: dict[str, Any]) -> bool:
    """Tell whether a collector has an entry for an event, and, if that is a token, whether its loops have items."""
    entry = [_value(field, parts, values) for field in collector.fields]
    try:
        hit = collector.table.get((*entry, collector))
    except TypeError:
        return False
    return hit.walks(parts) if type(hit) is Token else hit is not None


def _value(field: Field, parts: dict[str, Any], values: dict[str, Any]) -> Any:
    """Give what is at the end of a way; the member that it begins with is decoded when it is first asked for."""
    name = field.first
    if name is None:
        # An object has no items.
        return None
    if name in values:
        value = values[name]
    else:
        part = parts.get(name)
        if part is None:
            return None
        try:
            value = _DECODE(part)
        except (ValueError, RecursionError):
            value = json.loads(bytes(part))
        values[name] = value
    return value if field.only else field.read(values)
