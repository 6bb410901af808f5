"""JSON that came from outside: I-JSON text to values, and a schema's faults to sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import InvalidBody

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

#: A string, also one that does not end, or a bracket outside of any. Possessive, so that no text takes more than one
#: pass.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
#: Faults of one document that are named at most.
MOST_FAULTS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
#: RFC 3339, section 5.6; the zone may be missing, ``rfc3339`` says whether it must not.
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]((?:[01]\d|2[0-3]):\d{2}:)(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)
_NESTING = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
#: Digits of the longest integer that is taken; the interpreter's own bound.
MAX_DIGITS = 4300
_TYPES = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def read(body: bytes, max_depth: int = 100) -> Any:
    """Give the value of a JSON text.

    The text must be I-JSON (RFC 7493): UTF-8, no member twice, no lone surrogate, no ``NaN`` or ``Infinity`` nor a
    number that becomes one; nested at most ``max_depth`` deep. Integers are exact. Raises ``InvalidBody``.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBody(f"the body must be UTF-8; byte {error.start} is not") from None
    if text.startswith("\ufeff"):
        raise InvalidBody("the body must not begin with a byte order mark")
    if not text.strip(" \t\r\n"):
        raise InvalidBody("the body is empty; send a JSON document")
    _check_depth(body, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidBody(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    # As UTF-8 none comes in, so without such an escape there is none; looking at every string takes long.
    if _SURROGATE_ESCAPE.search(text):
        for pointer, string in _strings(value):
            if _SURROGATE.search(string):
                raise InvalidBody({pointer: "holds a lone surrogate; send only whole Unicode characters"})
    return value


def _check_depth(body: bytes, max_depth: int) -> None:
    """Count nesting before the decoder recurses; strings are left out, so brackets in them do not count."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for token in _TOKEN.finditer(body):
        depth += _NESTING.get(token[0], 0)
        if depth > max_depth:
            raise InvalidBody(f"the body is nested more than {max_depth} deep; send a flatter document")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidBody(f"the member {json.dumps(twice)} stands twice in one object; send it once")
    return members


def _constant(text: str) -> Any:
    raise InvalidBody(f"{text} is no JSON number; send null or leave the member out")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidBody(f"the number {text[:40]} is too large for a double; send it as a string")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise InvalidBody(f"an integer has {len(text)} digits, at most {MAX_DIGITS} are taken; send it as a string")
    return int(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant, parse_float=_float, parse_int=_int)


def _strings(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Give each string of a value, the names of members too, with its place."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield pointer, name
            yield from _strings(member, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _strings(member, f"{pointer}/{index}")


def escape(name: str) -> str:
    """Give a member's name as a step of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()


def members(text: str) -> list[tuple[str, str]]:
    """Cut an object's text, which ``read`` took, into its members: decoded names, values as they stand."""
    found = []
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = json.decoder.scanstring(text, at + 1)  # type: ignore[attr-defined]
        at = _skip(text, _skip(text, at) + 1)
        _value, end = _DECODER.raw_decode(text, at)
        found.append((name, text[at:end]))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def elements(text: str) -> list[str]:
    """Cut an array's text, which ``read`` took, into its elements as they stand."""
    found = []
    at = _skip(text, text.index("[") + 1)
    while text[at] != "]":
        _value, end = _DECODER.raw_decode(text, at)
        found.append(text[at:end])
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def rfc3339(text: str, zone_required: bool = True) -> datetime | None:
    """Read a time (RFC 3339, section 5.6) as UTC without zone; None if it is none. Without a zone it is UTC."""
    found = _TIME.fullmatch(text)
    if not found or (zone_required and not found[5]):
        return None
    date, minute, second, fraction, zone = found.groups()
    # A leap second (RFC 3339, section 5.7) has no place in datetime: it counts as the second before.
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(
            f"{date}T{minute}{'59' if leap else second}{(fraction or '.0')[:7]:0<7}{(zone or 'Z').upper()}"
        )
        return moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or rfc3339(value) is not None


def _is_time_or_local(value: object) -> bool:
    return not isinstance(value, str) or rfc3339(value, zone_required=False) is not None


#: What ``format`` in a schema can say, and what tells whether a text is so.
FORMATS: dict[str, Callable[[object], bool]] = {"date-time": _is_time, "date-time-or-local": _is_time_or_local}


@cache
def _validators() -> Callable[[Mapping[str, Any]], Validator]:
    """Give what makes validators of schemas."""
    # Here, because it takes long to import, and is seldom needed: most of what comes in is in order (``plain``).
    import jsonschema

    def matches(checked: Validator, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
        """Hold a text to a pattern, all of which are whole: Python's ``$`` alone would let a line break pass."""
        if checked.is_type(instance, "string") and not re.fullmatch(pattern, instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")

    formats = jsonschema.FormatChecker(formats=())
    for name, is_so in FORMATS.items():
        formats.checks(name)(is_so)
    made = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": matches})
    return lambda schema: made(schema, format_checker=formats)


class Schema:
    """A JSON Schema (2020-12); its formats are checked, and its patterns are for whole texts."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Take it as it is: to check the schema itself would take longer than all else that is done at import."""
        self._schema = schema
        self._validator: Validator | None = None

    def errors(self, value: Any) -> Iterator[ValidationError]:
        """Give everything that is wrong with a value."""
        if self._validator is None:
            self._validator = _validators()(self._schema)
        return self._validator.iter_errors(value)


def validator(schema: Mapping[str, Any]) -> Schema:
    """Prepare a JSON Schema; see ``Schema``."""
    return Schema(schema)


def faults(checked: Schema, value: Any) -> dict[str, str]:
    """Name everything that is wrong with a value, of very many faults the first: JSON pointer to a sentence."""
    found: dict[str, str] = {}
    for error in checked.errors(value):
        place = "".join(f"/{escape(str(step))}" for step in error.absolute_path)
        for step, message in _sentences(error):
            found.setdefault(place + step, message)
            if len(found) >= MOST_FAULTS:
                return found | {"": f"has more faults than these {MOST_FAULTS}"}
    return found


def _sentences(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Say one fault of a schema in words; where the fault is a member's, name the member."""
    wanted, rule, instance = error.validator_value, error.validator, error.instance
    described = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    if "propertyNames" in error.absolute_schema_path:
        yield f"/{escape(str(instance))}", f"must have {described}"
    elif rule == "required":
        for name in wanted:
            if name not in instance:
                yield f"/{escape(name)}", "is required"
    elif rule == "dependentRequired":
        for name in sorted({needed for key, needs in wanted.items() if key in instance for needed in needs}):
            if name not in instance:
                yield f"/{escape(name)}", "is required"
    elif rule == "additionalProperties":
        known = error.schema.get("properties", {})
        read_only = {name for name, rules in known.items() if isinstance(rules, dict) and rules.get("readOnly")}
        takes = ", ".join(sorted(set(known) - read_only))
        for name in sorted(set(instance) - set(known)):
            yield f"/{escape(name)}", f"is not a member that can be sent; known are {takes}"
    elif rule == "type":
        allowed = wanted if isinstance(wanted, list) else [wanted]
        yield "", f"must be {' or '.join(_TYPES[name] for name in allowed)}, not {_kind(instance)}"
    elif rule == "enum":
        yield "", f"must be one of {', '.join(json.dumps(choice) for choice in wanted)}"
    elif rule == "const":
        yield "", f"must be {json.dumps(wanted)}"
    elif rule == "minLength":
        yield "", "must not be empty"
    elif rule == "maxLength":
        yield "", f"has {len(instance)} characters, at most {wanted} are taken"
    elif rule == "format":
        yield "", f"must be {described or 'a time as in RFC 3339, such as 2026-01-31T12:00:00Z'}"
    elif rule == "pattern":
        yield "", f"must be {described or f'text that matches {wanted}'}"
    else:
        yield "", f"must be {described}" if described else error.message


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    kinds = {dict: "an object", list: "an array", str: "a string", int: "an integer", float: "a number"}
    return kinds.get(type(value), "something else")
