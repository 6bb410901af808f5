"""CloudEvents: what is taken, which events are the same, what is sent of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications import documents, events
from pacifica.notifications.errors import InvalidBody, InvalidEvent
from tests.support.factories import ABSENT, make_event, make_event_1_0
from tests.support.values import exactly, objects, texts, values

Make = Callable[..., dict[str, Any]]
VERSIONS = pytest.mark.parametrize("make", [make_event, make_event_1_0])


def parse(value: Any) -> events.Event:
    """Take a value as an event."""
    return events.parse(json.dumps(value, ensure_ascii=False).encode())


def faults(value: Any) -> dict[str, str]:
    """Return what is said about a value that is no event."""
    with pytest.raises(InvalidEvent) as caught:
        parse(value)
    return caught.value.faults


def test_an_0_1_event_as_pacifica_sends_it_is_taken() -> None:
    """The attributes of a 0.1 event are found under its own names."""
    event = parse(make_event(type="t", id="i", source="s"))

    assert (event.version, event.type, event.id, event.source) == ("0.1", "t", "i", "s")
    assert (event.subject, event.time) == (None, datetime(2026, 11, 22, 17, 30))


def test_a_1_0_event_is_taken() -> None:
    """The attributes of a 1.0 event are found under its own names, extensions beside them."""
    event = parse(
        make_event_1_0(type="t", id="i", source="s", subject="about", shard=3, time="2026-11-22T18:30:00+01:00")
    )

    assert (event.version, event.type, event.id, event.source) == ("1.0", "t", "i", "s")
    assert (event.subject, event.time) == ("about", datetime(2026, 11, 22, 17, 30))


def test_the_accepted_text_is_kept_as_it_came() -> None:
    """The event has the text that was sent, byte for byte, and its value."""
    body = b' {"eventID" : "i","source":"s", "eventType":"t", "cloudEventsVersion":"0.1",'
    body += b'\n"data":[1.10, 1e2, "\\u00e9\xc3\xa9"]} '

    event = events.parse(body, "application/cloudevents+json")

    assert event.text.encode() == body
    assert event.value["data"] == [1.1, 100, "éé"]
    assert event.content_type == "application/cloudevents+json"


@VERSIONS
@given(value=values)
def test_data_may_be_any_json_value(make: Make, value: Any) -> None:
    """An event's data is whatever JSON has."""
    assert exactly(parse(make(data=value)).value["data"]) == exactly(value)


@VERSIONS
def test_data_may_be_missing(make: Make) -> None:
    """An event needs no data."""
    assert "data" not in parse(make(data=ABSENT)).value


@pytest.mark.parametrize(
    "time", ["2026-11-22T17:30:00", "2026-11-22T17:30:00.123456", "2026-11-22T17:30:00+00:00", None]
)
def test_a_0_1_time_needs_no_zone(time: str | None) -> None:
    """Pacifica sends eventTime without a zone."""
    assert (parse(make_event(time=time)).time is None) == (time is None)


@pytest.mark.parametrize(
    ("make", "required"),
    [
        (make_event, ("cloudEventsVersion", "eventType", "source", "eventID")),
        (make_event_1_0, ("specversion", "type", "source", "id")),
    ],
)
def test_each_missing_attribute_is_named(make: Make, required: tuple[str, ...]) -> None:
    """An event without a required attribute is refused with the attribute's name."""
    for name in required:
        event = make()
        del event[name]

        assert f"/{name}" in faults(event)


def test_all_missing_attributes_are_named_at_once() -> None:
    """What lacks everything is told everything."""
    assert faults({"cloudEventsVersion": "0.1"}) == dict.fromkeys(["/eventType", "/source", "/eventID"], "is required")
    assert faults({"specversion": "1.0"}) == dict.fromkeys(["/type", "/source", "/id"], "is required")
    assert set(faults({})) == {"/specversion", "/type", "/source", "/id"}
    assert "this is no CloudEvent" in faults({})["/specversion"]


@pytest.mark.parametrize("body", ["[]", "[{}]", '"text"', "1", "null", "true"])
def test_what_is_no_object_is_no_event(body: str) -> None:
    """Only a JSON object can be an event."""
    assert faults(json.loads(body)) == {"": "must be a JSON object, one CloudEvent"}


def test_what_is_no_json_is_an_invalid_body() -> None:
    """The decoder's refusals are passed on, its bound too."""
    with pytest.raises(InvalidBody, match="stands twice"):
        events.parse(b'{"specversion": "1.0", "specversion": "1.0"}')
    with pytest.raises(InvalidBody, match="nested more than 1 deep"):
        events.parse(json.dumps(make_event()).encode(), max_depth=1)


@pytest.mark.parametrize("depth", [100, 300])
def test_the_deepest_event_that_settings_allow_is_taken(depth: int) -> None:
    """An event as deep as receive.max_depth may say is stored, told apart, and sent."""
    data: Any = 1
    for level in range(depth - 1):
        data = {"a": data} if level % 2 else [data]

    event = events.parse(json.dumps(make_event(data=data)).encode(), max_depth=depth)

    assert len(event.identity) == 64
    assert json.loads(events.with_extensions(event.text, {"a": 1}))["data"] == data


@pytest.mark.parametrize(
    ("event", "pointer", "said"),
    [
        (
            make_event(version="0.2"),
            "/cloudEventsVersion",
            'is "0.2"; taken are specversion 1.0, 0.3 and 0.2, and cloudEventsVersion 0.1',
        ),
        (make_event(version=0.1), "/cloudEventsVersion", "is 0.1; taken are"),
        (make_event_1_0(version="1.1"), "/specversion", 'is "1.1"; taken are'),
        (make_event_1_0(version=None), "/specversion", "is null; taken are"),
        (make_event(type=1), "/eventType", "must be a string, not an integer"),
        (make_event(type=""), "/eventType", "must not be empty"),
        (make_event(type=None), "/eventType", "must be a string, not null"),
        (make_event(type="t" * 513), "/eventType", "has 513 characters, at most 512"),
        (make_event(type="a\nb"), "/eventType", "without control characters"),
        (make_event(id="i" * 256), "/eventID", "has 256 characters, at most 255"),
        (make_event(id="i\n"), "/eventID", "without control characters"),
        (make_event(source=["s"]), "/source", "must be a string, not an array"),
        (make_event(source="\u0000"), "/source", "without control characters"),
        (make_event(time="yesterday"), "/eventTime", "must be a time such as 2026-01-31T12:00:00Z"),
        (make_event(time=""), "/eventTime", "must be a time such as"),
        (make_event(time=1), "/eventTime", "must be a string or null, not an integer"),
        (make_event(extensions=[]), "/extensions", "must be an object or null, not an array"),
        (make_event(extensions="a=b"), "/extensions", "must be an object or null, not a string"),
        (make_event(content_type=5), "/contentType", "must be a string or null"),
        (make_event_1_0(id=""), "/id", "must not be empty"),
        (make_event_1_0(source=7), "/source", "must be a string, not an integer"),
        (make_event_1_0(time="2026-11-22T17:30:00"), "/time", "must be a time as in RFC 3339"),
        (make_event_1_0(subject=""), "/subject", "must not be empty"),
        (make_event_1_0(subject="a\u0007"), "/subject", "without control characters"),
        (make_event_1_0(shard=1.5), "/shard", "must be a string or an integer or true or false or null, not a number"),
        (make_event_1_0(shard={}), "/shard", "not an object"),
        (make_event_1_0(shard=[1]), "/shard", "not an array"),
        (make_event_1_0(Shard="a"), "/Shard", "must have an attribute name of lower-case letters and digits"),
        (make_event_1_0(a_b="a"), "/a_b", "lower-case letters and digits"),
        (make_event_1_0(**{"a/b": "a"}), "/a~1b", "lower-case letters and digits"),
        (make_event_1_0(**{"a\n": "a"}), "/a\n", "lower-case letters and digits"),
        (make_event_1_0(data_base64="AAAA"), "/data_base64", "can't stand beside data; send one of the two"),
        (make_event_1_0(data=ABSENT, data_base64="A"), "/data_base64", "must be base64"),
        (make_event_1_0(data=ABSENT, data_base64="AAAA\n"), "/data_base64", "must be base64"),
        (make_event_1_0(data=ABSENT, data_base64=1), "/data_base64", "must be a string or null"),
    ],
)
def test_a_bad_attribute_is_named(event: dict[str, Any], pointer: str, said: str) -> None:
    """An attribute with a bad value is refused with its name and what it must be."""
    found = faults(event)

    assert list(found) == [pointer]
    assert said in found[pointer]


def test_all_bad_attributes_are_named_at_once() -> None:
    """Every fault of an event is in the answer."""
    assert set(faults(make_event(type="", id=1, source=ABSENT, time="soon"))) == {
        "/eventType",
        "/eventID",
        "/source",
        "/eventTime",
    }


@pytest.mark.parametrize(
    "event",
    [
        make_event(extensions=None, content_type=None, time=None, schemaURL=None, eventTypeVersion=None),
        make_event(ownMember={"a": [1]}),
        make_event(type="ä" * 512, source="x" * 512, id="i" * 255),
        make_event_1_0(data=ABSENT, data_base64="AAECAw=="),
        make_event_1_0(data_base64=None),
        make_event_1_0(subject=None, time=None, dataschema=None, content_type=None, shard=None),
        make_event_1_0(traceparent="00-a-b-01", partitionkey="p", sequence=7, flag=True),
    ],
)
def test_what_the_specifications_allow_is_taken(event: dict[str, Any]) -> None:
    """Optional attributes may be null, long, or extensions."""
    assert parse(event).value == event


# Which events are the same.

#: Members that may differ between two sendings of one event.
VARYING = ("time", "eventTime", "traceparent", "tracestate")


@VERSIONS
@pytest.mark.parametrize("changed", [{"time": "2030-01-01T00:00:00Z"}, {"time": ABSENT}, {"time": None}])
def test_a_retry_with_a_new_time_is_the_same_event(make: Make, changed: dict[str, Any]) -> None:
    """Pacifica's ingest sends a retry with the same id and a new time."""
    event = make(id="i", source="s", data=1)

    again = make(id="i", source="s", data=1, **changed)

    assert parse(event).identity == parse(again).identity


def test_trace_context_is_not_part_of_the_identity() -> None:
    """The trace of a sending says nothing about the event, in 1.0 beside it, in 0.1 among its extensions."""
    new, old = make_event_1_0(), make_event(extensions={"a": 1})

    assert parse(new).identity == parse(new | {"traceparent": "00-1", "tracestate": "x=1"}).identity
    assert parse(old).identity == parse(old | {"extensions": {"a": 1, "traceparent": "00-1"}}).identity


def test_the_same_names_within_data_are_part_of_the_identity() -> None:
    """Only the attributes may differ, not what data has under the same names."""
    assert parse(make_event_1_0(id="i", source="s", data={"time": 1})).identity != (
        parse(make_event_1_0(id="i", source="s", data={"time": 2})).identity
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1", "1.0"),
        ("100", "1e2"),
        ("0", "-0.0"),
        ("0.1", "0.10"),
        ('"é"', '"\\u00e9"'),
        ('{"a": 1, "b": [1, 2]}', '{"b":[1,2],\n"a":1}'),
        ("10000000000000000000000", "1e22"),
    ],
)
def test_equal_json_values_are_the_same_content(left: str, right: str) -> None:
    """How a value is written does not tell events apart."""
    base = json.dumps(make_event(data=None))

    first, second = (events.parse(base.replace("null", data).encode()) for data in (left, right))

    assert first.identity == second.identity


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1", "2"),
        ("1", "true"),
        ("0", "false"),
        ("1", '"1"'),
        ("null", '""'),
        ("[1, 2]", "[2, 1]"),
        ("18446744073709551617", "18446744073709551616"),
        ("9007199254740993", "9007199254740992"),
        ('{"a": null}', "{}"),
    ],
)
def test_other_json_values_are_other_content(left: str, right: str) -> None:
    """Values that differ in anything tell events apart."""
    base = json.dumps(make_event(data=None))

    first, second = (events.parse(base.replace("null", data).encode()) for data in (left, right))

    assert first.identity != second.identity
    assert first.origin == second.origin


def written_otherwise(draw: st.DrawFn, value: Any) -> Any:
    """Return an equal JSON value: members in another order, whole numbers as floats or the other way round."""
    if isinstance(value, dict):
        return {name: written_otherwise(draw, value[name]) for name in draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [written_otherwise(draw, item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 and draw(st.booleans()):
        return float(value)
    if isinstance(value, float) and value.is_integer() and draw(st.booleans()):
        return int(value)
    return value


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are the same in JSON: as Python compares them, but true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(st.data(), objects, st.booleans())
def test_the_same_content_has_the_same_identity(data: st.DataObject, members: dict[str, Any], old: bool) -> None:
    """However an event is written, and whatever its varying members say, it has one identity."""
    event = (make_event if old else make_event_1_0)(id="i", source="s", data=members)
    if old:
        event |= {f"own-{name}": value for name, value in members.items()}
    again = data.draw(st.composite(written_otherwise)(event))
    again["eventTime" if old else "time"] = data.draw(st.sampled_from([None, "2030-01-01T00:00:00Z"]))

    assert parse(event).identity == parse(again).identity


@given(values, values)
def test_other_content_has_another_identity(left: Any, right: Any) -> None:
    """Two events have the same identity exactly if their data is the same JSON value."""
    first, second = (parse(make_event(id="i", source="s", data=data)) for data in (left, right))

    assert (first.identity == second.identity) == same(left, right)


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "shard"])
def test_every_attribute_is_part_of_the_identity(name: str) -> None:
    """A change of any attribute that does not vary is another event."""
    event = make_event_1_0(subject="a", shard="a")

    assert parse(event).identity != parse(event | {name: "other"}).identity


def test_origin_names_source_and_id_alone() -> None:
    """The origin is equal exactly where source and id are, whichever names they stand under."""
    origin = parse(make_event(source="s", id="i")).origin

    assert origin == parse(make_event_1_0(source="s", id="i", type="other", data=1)).origin
    assert origin != parse(make_event(source="i", id="s")).origin
    assert parse(make_event(source='s","', id="i")).origin != parse(make_event(source="s", id='","i')).origin


# What is sent.


@VERSIONS
def test_without_extensions_the_text_is_untouched(make: Make) -> None:
    """A subscription without extensions gets the accepted bytes."""
    text = "  " + json.dumps(make(), indent=3) + "\n"

    assert events.with_extensions(text, {}) == text


@pytest.mark.parametrize(
    ("own", "added", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": [4]}, {"a": 1, "b": 3, "c": [4]}),
        ({}, {"c": {"d": None}}, {"c": {"d": None}}),
        (None, {"c": 1}, {"c": 1}),
        (ABSENT, {"c": 1}, {"c": 1}),
        ({"a": 1}, {"A": 2, "not a name": 3}, {"a": 1, "A": 2, "not a name": 3}),
    ],
)
def test_0_1_extensions_are_overlaid(own: Any, added: dict[str, Any], expected: dict[str, Any]) -> None:
    """A 0.1 event is sent with its own extensions, overlaid by the subscription's."""
    event = make_event(extensions=own)

    assert json.loads(events.with_extensions(json.dumps(event), added)) == event | {"extensions": expected}


@pytest.mark.parametrize(
    ("name", "value", "sent_name", "sent"),
    [
        ("shard", "a", "shard", "a"),
        ("Shard", "a", "shard", "a"),
        ("n", 7, "n", 7),
        ("n", 2**31 - 1, "n", 2**31 - 1),
        ("n", 2**31, "n", "2147483648"),
        ("n", -(2**31), "n", -(2**31)),
        ("n", 1.5, "n", "1.5"),
        ("flag", True, "flag", True),
        ("list", [1, "é"], "list", '[1, "é"]'),
        ("map", {"a": None}, "map", '{"a": null}'),
        ("nothing", None, "nothing", "null"),
    ],
)
def test_1_0_extensions_become_attributes(name: str, value: Any, sent_name: str, sent: Any) -> None:
    """In a 1.0 event each extension is an attribute in lower case; what is no simple value is sent as its text."""
    event = make_event_1_0()

    found = json.loads(events.with_extensions(json.dumps(event), {name: value}))

    assert exactly(found) == exactly(event | {sent_name: sent})
    assert not documents.faults(documents.validator(events.EVENT_SCHEMA["$defs"]["1.0"]), found)


def test_1_0_extensions_replace_those_of_the_event() -> None:
    """A subscription's extension stands in place of the event's own of that name."""
    event = make_event_1_0(shard="event's")

    assert json.loads(events.with_extensions(json.dumps(event), {"SHARD": "ours"})) == event | {"shard": "ours"}


@pytest.mark.parametrize(
    "name", ["id", "Source", "type", "specversion", "data", "data_base64", "time", "a_b", "a b", "", "é"]
)
def test_extensions_that_a_1_0_event_cannot_carry_are_left_out(name: str) -> None:
    """Core attributes and names that are no attribute names are left out for 1.0, and named for a hint."""
    event = make_event_1_0()

    found = json.loads(events.with_extensions(json.dumps(event), {name: "x", "kept": "y"}))

    assert found == event | {"kept": "y"}
    assert events.unusable_extensions({name: "x", "kept": "y", "Kept2": 1}) == [name]


#: Values as a producer may write them, which writing again would change.
ODD = st.sampled_from(["1.10", "1e2", "-0", "1E+5", '"\\u00e9\\/"', "18446744073709551617", "[ 1 ,\t2 ]", '{"a" :\n1}'])


@given(
    st.dictionaries(
        texts.filter(lambda name: name != "extensions"), st.one_of(ODD, values.map(json.dumps)), max_size=5
    ),
    st.booleans(),
    st.sampled_from(["", " ", "\n\t"]),
    st.dictionaries(texts, values, min_size=1, max_size=4),
)
def test_all_other_members_stay_byte_for_byte(
    others: dict[str, str], old: bool, space: str, added: dict[str, Any]
) -> None:
    """Overlaying extensions leaves every other member as it was written, in its place."""
    core = {"cloudEventsVersion": '"0.1"', "extensions": '{"a":1}'} if old else {"specversion": '"1.0"'}
    pairs = [f"{space}{json.dumps(name)}{space}:{space}{raw}{space}" for name, raw in {**core, **others}.items()]
    text = f"{{{','.join(pairs)}}}"
    changed = {"extensions"} if old else {name.lower() for name in added}

    sent = events.with_extensions(text, added)

    before, after = ([pair for pair in documents.members(each) if pair[0] not in changed] for each in (text, sent))
    assert after == before
