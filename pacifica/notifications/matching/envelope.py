"""Decodes an event from the outside in: what nobody wants is seen by a few of its members, and the rest stays text."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..jsonpath.syntax import Key
from .collectors import Collector
from .loops import Loop, Several, reader
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
    if event.always is not None or len(event.guards) + len(event.limits) > _MOST_GUARDS or _walks(always, parts):
        return True
    if not event.present.keys().isdisjoint(parts):
        return True
    values: dict[str, Any] = {}
    for guard in list(event.guards.values()):
        _decode(guard.way, parts, values)
        try:
            group = guard.values.get(guard.read(values))
        except TypeError:
            continue
        if group is not None:
            for collector in group.collectors if isinstance(group, Several) else (group,):
                if _has_entry(collector, parts, values):
                    return True
    for limit in list(event.limits.values()):
        _decode(limit.way, parts, values)
        if limit.passes(limit.read(values), limit.loosest):
            return True
    return False


def _has_entry(collector: Collector, parts: dict[str, Any], values: dict[str, Any]) -> bool:
    """Tell whether a collector has an entry for an event, and, if that is a token, whether its loops have items."""
    for way in collector.asked.equal:
        _decode(way, parts, values)
    try:
        hit = collector.table.get((*[reader(way)(values) for way in collector.asked.equal], collector))
    except TypeError:
        return False
    return _walks(hit, parts) if isinstance(hit, Token) else hit is not None


def _walks(token: Token, parts: dict[str, Any]) -> bool:
    """Tell whether a loop of a token may find items."""
    return None in token.loops or not token.loops.keys().isdisjoint(parts)


def _decode(way: Any, parts: dict[str, Any], values: dict[str, Any]) -> None:
    """Decode the member that a way begins with."""
    if way and isinstance(way[0], Key):
        name = way[0].name
        if name in parts and name not in values:
            values[name] = decoded(bytes(parts[name]).decode())
