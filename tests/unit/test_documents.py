"""JSON from outside: what is taken, and what is said about the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications import documents
from pacifica.notifications.errors import InvalidBody
from tests.support.values import exactly, objects, values

SPACES = st.text(" \t\r\n", max_size=3)
STYLES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 1, "\t"])}
)


@given(values, STYLES, SPACES, SPACES)
def test_i_json_is_read_as_json_reads_it(value: Any, style: dict[str, Any], before: str, after: str) -> None:
    """Every I-JSON text gives the value that the standard library gives, type by type."""
    text = before + json.dumps(value, **style) + after

    assert exactly(documents.read(text.encode())) == exactly(json.loads(text))


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_nothing_but_invalid_body_is_raised(body: bytes) -> None:
    """Whatever arrives, it is a value or an InvalidBody."""
    try:
        read = documents.read(body)
    except InvalidBody:
        return

    assert exactly(read) == exactly(json.loads(body))


@given(values, st.data())
def test_a_text_that_was_damaged_is_no_other_fault(value: Any, data: st.DataObject) -> None:
    """A JSON text with a piece cut out or put in is what the standard library reads, or an InvalidBody."""
    text = json.dumps(value, ensure_ascii=False)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    put_in = data.draw(st.sampled_from(["", "\\ud800", "1e999", "NaN", "-Infinity", '"', "\\", "[", "}", ",", "0"]))

    damaged = text[:start] + put_in + text[end:]

    try:
        read = documents.read(damaged.encode())
    except InvalidBody:
        return

    assert exactly(read) == exactly(json.loads(damaged))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t", "the body is empty"),
        (b'{"a": 1', "is not JSON: .*line 1, column 8"),
        (b"{'a': 1}", "is not JSON"),
        (b"{} {}", "is not JSON: Extra data"),
        (b"\x00", "is not JSON"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": Infinity}', "Infinity is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": 1e400}', "1e400 is too large for a double"),
        (b'{"a": -1e400}', "-1e400 is too large for a double"),
        (b'{"a": 1, "b": 2, "a": 1}', 'the member "a" stands twice'),
        (b'{"x": [{"a": 1, "\\u0061": 2}]}', 'the member "a" stands twice'),
        (b'{"a": "\\ud800"}', "a holds a lone surrogate"),
        (b'{"a": ["\\udc00 and on"]}', "a.0 holds a lone surrogate"),
        (b'{"a": {"\\ud83d": 1}}', "a holds a lone surrogate"),
        (b'{"a": "\xed\xa0\x80"}', "must be UTF-8; byte 7"),
        (b'{"a": "\xff"}', "must be UTF-8; byte 7"),
        ('{"a": "ä"}'.encode("latin-1"), "must be UTF-8; byte 7"),
        ('{"a": 1}'.encode("utf-16"), "must be UTF-8; byte 0"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b'{"a": ' + b"9" * (documents.MAX_DIGITS + 1) + b"}", "4301 digits, at most 4300"),
    ],
)
def test_what_is_no_i_json_is_refused(body: bytes, said: str) -> None:
    """A body that is not I-JSON is refused with a sentence that names the fault."""
    with pytest.raises(InvalidBody, match=said):
        documents.read(body)


def test_a_pair_of_surrogates_is_one_character() -> None:
    """An escaped pair is a whole character."""
    assert documents.read(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("number", [2**53 + 1, 2**64 + 1, -(2**64) - 1, 10**4299])
def test_integers_are_exact(number: int) -> None:
    """Integers of any size survive unchanged."""
    assert documents.read(str(number).encode()) == number


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded(opening: str, closing: str) -> None:
    """A document may be nested as deep as the bound says and no deeper."""
    deepest = opening * 20 + "1" + closing * 20

    assert documents.read(deepest.encode(), max_depth=20)
    with pytest.raises(InvalidBody, match="nested more than 19 deep"):
        documents.read(deepest.encode(), max_depth=19)


@pytest.mark.parametrize("body", [b"[" * 1_000_000, b'{"a":' * 200_000, b'[{"a":[' * 100_000])
def test_endless_nesting_does_not_recurse(body: bytes) -> None:
    """A body of nothing but opening brackets is refused, whatever its size."""
    with pytest.raises(InvalidBody, match="nested more than 100 deep"):
        documents.read(body)


def test_brackets_in_strings_are_no_nesting() -> None:
    """Brackets count only outside of strings, escaped quotes or not."""
    value = {"a": "[" * 500, 'b"[{[{\\': ['"[[[', "\\", "{{{{"]}

    assert documents.read(json.dumps(value).encode(), max_depth=2) == value


def test_many_flat_brackets_are_no_depth() -> None:
    """A long list of small objects is not deep."""
    value = [{"a": [1]}] * 500

    assert documents.read(json.dumps(value).encode(), max_depth=3) == value


@given(objects, STYLES, SPACES)
def test_members_are_cut_as_they_stand(value: dict[str, Any], style: dict[str, Any], space: str) -> None:
    """An object's text is cut into decoded names and the texts of their values."""
    pairs = [(name, json.dumps(member, **style)) for name, member in value.items()]
    inside = f"{space},{space}".join(f"{json.dumps(name)}{space}:{space}{raw}" for name, raw in pairs)

    assert documents.members(f"{space}{{{space}{inside}{space}}}{space}") == pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T17:30:00Z", "2026-11-22T17:30:00"),
        ("2026-11-22t17:30:00z", "2026-11-22T17:30:00"),
        ("2026-11-22 17:30:00Z", "2026-11-22T17:30:00"),
        ("2026-11-22T17:30:00.5Z", "2026-11-22T17:30:00.500000"),
        ("2026-11-22T17:30:00.123456789Z", "2026-11-22T17:30:00.123456"),
        ("2026-11-22T17:30:00+01:30", "2026-11-22T16:00:00"),
        ("2026-11-22T17:30:00-08:00", "2026-11-23T01:30:00"),
        ("2026-11-22T17:30:00-00:00", "2026-11-22T17:30:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00"),
    ],
)
def test_times_are_read_as_utc(text: str, expected: str) -> None:
    """A time as in RFC 3339 is read as UTC without zone."""
    assert documents.rfc3339(text) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-22",
        "2026-11-22T17:30Z",
        "2026-11-22T17:30:00",
        "2026-11-22T24:00:00Z",
        "2026-11-22T17:60:00Z",
        "2026-11-22T17:30:61Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-22T17:30:00,5Z",
        "2026-11-22T17:30:00.Z",
        "2026-11-22T17:30:00+0100",
        "2026-11-22T17:30:00+25:00",
        "2026-11-22T17:30:00Z\n",
        "0001-01-01T00:00:00+14:00",
        "٢٠٢٦-11-22T17:30:00Z",
        "20261122T173000Z",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    """Anything but RFC 3339 with a zone gives None."""
    assert documents.rfc3339(text) is None


def test_a_time_without_zone_is_utc_where_it_may_be() -> None:
    """Where the zone may be missing, a time without one counts as UTC."""
    assert documents.rfc3339("2026-11-22T17:30:00", zone_required=False) == datetime(2026, 11, 22, 17, 30)


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 30)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_every_moment_is_read_back(moment: datetime, minutes: int) -> None:
    """A moment written with any offset is the same moment when it is read."""
    written = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert documents.rfc3339(written.isoformat()) == written.astimezone(UTC).replace(tzinfo=None)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["must"],
    "properties": {
        "must": True,
        "text": {"type": "string", "minLength": 1, "maxLength": 3},
        "either": {"type": ["string", "null"]},
        "number": {"type": "integer"},
        "choice": {"enum": ["a", "b"]},
        "fixed": {"const": 1},
        "time": {"type": "string", "format": "date-time"},
        "letters": {"type": "string", "pattern": "^[a-z]*$"},
        "described": {"type": "string", "pattern": "^[a-z]*$", "description": "small letters"},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a/b~c": {"type": "string"}}}},
        "map": {"propertyNames": {"pattern": "^[a-z]$", "description": "one small letter"}},
        "pair": {"type": "object", "dependentRequired": {"left": ["right"]}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("member", "value", "pointer", "said"),
    [
        ("text", 1, "/text", "must be a string, not an integer"),
        ("text", True, "/text", "must be a string, not true"),
        ("text", None, "/text", "must be a string, not null"),
        ("either", [], "/either", "must be a string or null, not an array"),
        ("either", 1.5, "/either", "must be a string or null, not a number"),
        ("either", {}, "/either", "must be a string or null, not an object"),
        ("text", "", "/text", "must not be empty"),
        ("text", "four", "/text", "has 4 characters, at most 3 are taken"),
        ("choice", "c", "/choice", 'must be one of "a", "b"'),
        ("fixed", 2, "/fixed", "must be 1"),
        ("time", "soon", "/time", "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z"),
        ("letters", "A", "/letters", "must be text that matches ^[a-z]*$"),
        ("letters", "a\n", "/letters", "must be text that matches ^[a-z]*$"),
        ("described", "A", "/described", "must be small letters"),
        ("list", [{}, {"a/b~c": 1}], "/list/1/a~1b~0c", "must be a string, not an integer"),
        ("map", {"a": 1, "B": 2}, "/map/B", "must have one small letter"),
        ("pair", {"left": 1}, "/pair/right", "is required"),
    ],
)
def test_a_fault_is_named_with_its_place(member: str, value: Any, pointer: str, said: str) -> None:
    """A value that a schema refuses gets a JSON pointer and a sentence."""
    found = documents.faults(documents.validator(SCHEMA), {"must": 1, member: value})

    assert found == {pointer: said}


def test_all_faults_are_named_at_once() -> None:
    """Every fault of a document is in the answer, missing and unknown members too."""
    found = documents.faults(documents.validator(SCHEMA), {"text": 1, "number": "0", "unknown/key": 1, "other": 2})

    assert set(found) == {"/must", "/text", "/number", "/unknown~1key", "/other"}
    assert found["/must"] == "is required"
    assert found["/other"].startswith("is not a member that can be sent; known are choice, described")


@given(st.text(max_size=8))
def test_names_become_steps_of_pointers(name: str) -> None:
    """A member's name is escaped as RFC 6901 says; what UTF-8 can't carry is replaced."""
    step = documents.escape(name)

    assert "/" not in step
    assert step.replace("~1", "/").replace("~0", "~") == name.encode("utf-8", "replace").decode()


def test_a_string_without_end_is_read_once() -> None:
    """Counting the nesting takes one pass, also over a string that never ends: no body can hold the service."""
    body = b"[" * 100 + b'"' + b'\\"' * 500_000

    with pytest.raises(InvalidBody, match="not JSON"):
        documents.read(body)


def test_of_very_many_faults_the_first_are_named() -> None:
    """An answer about a body with thousands of faults stays small, and says that there are more."""
    found = documents.faults(documents.validator(SCHEMA), {f"unknown{number}": 1 for number in range(5000)})

    assert len(found) == documents.MOST_FAULTS + 1
    assert "more faults" in found[""]
