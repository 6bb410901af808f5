"""What is certain about every event that is taken, without looking at one: which members there are, of which kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...jsonpath import syntax
from ...jsonpath.functions import FUNCTIONS
from ...jsonpath.values import sliced
from .wording import call, literal, subscript

#: What JSON values are; numbers and truth values can be equal to each other.
OBJECT, LIST, TEXT, NUMBER, NULL = "an object", "a list", "a text", "a number", "null"
ANY = frozenset((OBJECT, LIST, TEXT, NUMBER, NULL))
_TEXT, _TEXT_OR_NULL = frozenset((TEXT,)), frozenset((TEXT, NULL))

UNKNOWN: Any = object()


@dataclass(frozen=True, slots=True)
class Version:
    """The members of the events of one version of CloudEvents."""

    name: str
    required: frozenset[str]
    known: Mapping[str, frozenset[str]]
    fixed: Mapping[str, str]
    others: frozenset[str]
    names: re.Pattern[str]


VERSIONS = (
    Version(
        name="0.1",
        required=frozenset(("cloudEventsVersion", "eventType", "source", "eventID")),
        known=dict.fromkeys(("cloudEventsVersion", "eventType", "source", "eventID"), _TEXT)
        | dict.fromkeys(("eventTypeVersion", "eventTime", "schemaURL", "contentType"), _TEXT_OR_NULL)
        | {"extensions": frozenset((OBJECT, NULL))},
        fixed={"cloudEventsVersion": "0.1"},
        others=ANY,
        names=re.compile(r"(?!specversion\Z).*", re.DOTALL),
    ),
    Version(
        name="1.0",
        required=frozenset(("specversion", "type", "source", "id")),
        known=dict.fromkeys(("specversion", "type", "source", "id"), _TEXT)
        | dict.fromkeys(("time", "subject", "datacontenttype", "dataschema", "data_base64"), _TEXT_OR_NULL)
        | {"data": ANY},
        fixed={"specversion": "1.0"},
        others=frozenset((TEXT, NUMBER, NULL)),
        names=re.compile(r"data_base64|[a-z0-9]+"),
    ),
)


class Impossible(Exception):
    """Nothing can be found; the text says why."""


class NoMember(Impossible):
    """The events of a version do not have such a member."""


@dataclass(frozen=True, slots=True)
class Something:
    """What is known of a value: the kinds that it may be of; whether it is the event; what it is exactly."""

    kinds: frozenset[str]
    version: Version = field(repr=False)
    is_event: bool = False
    value: Any = UNKNOWN
    #: What it is the result of: a character is a text of length 1, a length is at least 0.
    made_by: str = ""

    def of(self, kinds: frozenset[str], value: Any = UNKNOWN, made_by: str = "") -> Something:
        """Give another value of the same event."""
        return replace(self, kinds=kinds, is_event=False, value=value, made_by=made_by)

    @property
    def said(self) -> str:
        """Say what it is."""
        if self.is_event:
            return "an event, which is an object"
        if self.value is not UNKNOWN:
            return f"`{literal(self.value)}`"
        return " or ".join(sorted(self.kinds))


def event(version: Version) -> Something:
    """Give what is known of an event."""
    return Something(frozenset((OBJECT,)), version, is_event=True)


def kind_of(value: Any) -> str:
    """Give the kind of a literal."""
    for kind, types in ((OBJECT, dict), (LIST, list), (TEXT, str), (NUMBER, int | float)):
        if isinstance(value, types):
            return kind
    return NULL


def after(subscript_: syntax.Subscript, current: Something) -> Something:
    """Give what a subscript may find, a filter and a path in brackets left to the caller.

    Raises ``Impossible`` if it never finds anything.
    """
    match subscript_:
        case syntax.Key():
            return _member(subscript_.name, current)
        case syntax.Item():
            need(current, subscript(subscript_), LIST)
        case syntax.Slice():
            need(current, subscript(subscript_), LIST)
            if _is_empty(subscript_):
                raise Impossible(f"`[{subscript(subscript_)}]` takes no item of any list")
        case syntax.Wildcard():
            need(current, "*", OBJECT, LIST)
        case syntax.Call():
            return _made(subscript_, current)
    return current.of(ANY)


def _member(name: str, current: Something) -> Something:
    need(current, f'"{name}"', OBJECT)
    if not current.is_event:
        return current.of(ANY)
    version = current.version
    if not version.names.fullmatch(name):
        raise NoMember(f"an event of CloudEvents {version.name} has no member `{name}`")
    return current.of(version.known.get(name, version.others), version.fixed.get(name, UNKNOWN))


def need(current: Something, written: str, *kinds: str) -> None:
    """Raise ``Impossible`` unless a value may be of one of the kinds that a subscript is for."""
    if not current.kinds & set(kinds):
        raise Impossible(f"`[{written}]` is for {' or '.join(kinds)}, and what is before it is always {current.said}")


def _is_empty(written: syntax.Slice) -> bool:
    """Tell whether a slice is known to take nothing, of a list of any length."""
    if written.step == 0:
        return True
    if max(abs(written.start or 0), abs(written.end or 0)) > 100:
        return False
    # Beyond this length what a slice takes only moves.
    return not any(_taken(written, length) for length in range(410))


def _taken(written: syntax.Slice, length: int) -> bool:
    return any(-length <= position < length for position in sliced(length, written.start, written.end, written.step))


#: The kinds that a function takes, and the kind that it gives.
_KINDS = {
    "length": ((TEXT, LIST), NUMBER),
    "keys": ((OBJECT, LIST), LIST),
    "values": ((OBJECT, LIST), LIST),
    "entries": ((OBJECT, LIST), LIST),
    "charAt": ((TEXT,), TEXT),
    "substring": ((TEXT,), TEXT),
}


def _made(written: syntax.Call, current: Something) -> Something:
    shown = f"`{call(written.function, written.arguments)}`"
    kinds, result = _KINDS[written.function]
    counts = FUNCTIONS[written.function].counts
    if not current.kinds & set(kinds):
        raise Impossible(f"{shown} is for {' or '.join(kinds)}, and what is before it is always {current.said}")
    if len(written.arguments) not in counts:
        wanted = " or ".join(map(str, counts))
        raise Impossible(f"{shown} gives nothing: the number of its arguments must be {wanted}")
    for argument in written.arguments:
        if isinstance(argument, syntax.Value) and not isinstance(argument.value, int):
            raise Impossible(f"{shown} gives nothing: its arguments must be whole numbers")
    return current.of(frozenset((result,)), made_by=written.function)


def certain(taken: syntax.Subscript, one: Something) -> Iterator[Something]:
    """Give what a subscript finds in every such value, a filter left to the caller; nothing that is not certain."""
    match taken:
        case syntax.Key():
            yield from (each for name, each in _named(one) if name == taken.name)
        case syntax.Wildcard():
            yield from members(one)
        case syntax.Call() if not taken.arguments and one.kinds <= set(_KINDS[taken.function][0]):
            if 0 in FUNCTIONS[taken.function].counts:
                yield after(taken, one)


def members(one: Something) -> Iterator[Something]:
    """Give what is certainly a member of a value."""
    for _, each in _named(one):
        yield each


def _named(one: Something) -> Iterator[tuple[str, Something]]:
    if one.is_event:
        for name in sorted(one.version.required):
            yield name, _member(name, one)
