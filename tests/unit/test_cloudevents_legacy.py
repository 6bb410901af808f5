"""CloudEvents 0.1, 0.2 and 0.3: what is taken in structured and in binary mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacifica.notifications import events
from pacifica.notifications.errors import InvalidEvent

OLD = {"cloudEventsVersion": "0.1", "eventType": "t", "eventID": "1", "source": "/s"}
NEWER = {"type": "t", "id": "1", "source": "/s"}
OLD_FIELDS = {"cloudeventsversion": '"0.1"', "eventtype": '"t"', "eventid": '"1"', "source": '"/s"'}


def parse(value: Any) -> events.Event:
    """Take a structured event."""
    return events.parse(json.dumps(value).encode())


def binary(fields: dict[str, str], content_type: str = "", body: bytes = b"") -> dict[str, Any]:
    """Return the structured form of an event in binary mode, which is taken in structured mode too."""
    event = events.parse_binary(fields, content_type, body)
    assert event.value == json.loads(event.text) == events.parse(event.text.encode()).value
    return dict(event.value)


def faults(value: Any) -> dict[str, str]:
    """Return what is said about a structured event that is refused."""
    with pytest.raises(InvalidEvent) as caught:
        parse(value)
    return caught.value.faults


# Structured mode.


@pytest.mark.parametrize("version", ["0.2", "0.3"])
def test_0_2_and_0_3_are_taken_with_their_own_names(version: str) -> None:
    """3.6 Events of 0.2 and 0.3 have the names of 1.0, extensions of any type, and keep them."""
    event = parse({"specversion": version, **NEWER, "time": "2026-01-01T00:00:00Z", "ext": {"a": [1]}, "data": None})

    assert (event.version, event.id, event.type, event.source) == (version, "1", "t", "/s")
    assert event.value["ext"] == {"a": [1]}
    assert event.time is not None


def test_0_3_has_a_subject_and_0_2_has_none() -> None:
    """3.6 `subject` came with 0.3; before it is an extension."""
    assert parse({"specversion": "0.3", **NEWER, "subject": "s"}).subject == "s"
    assert parse({"specversion": "0.2", **NEWER, "subject": "s"}).subject is None


@pytest.mark.parametrize("version", ["0.2", "0.3"])
@pytest.mark.parametrize("name", ["type", "id", "source"])
def test_required_attributes(version: str, name: str) -> None:
    """3.6 What 0.2 and 0.3 require is named where it is missing."""
    event = {"specversion": version, **NEWER}
    del event[name]

    assert faults(event) == {f"/{name}": "is required"}


def test_0_1_is_found_by_its_version() -> None:
    """3.6 0.1 is detected by `cloudEventsVersion` in the body; each of its four attributes is required."""
    assert parse(OLD).version == "0.1"
    for name in OLD:
        assert f"/{name}" in faults({key: value for key, value in OLD.items() if key != name})


@pytest.mark.parametrize(("data", "good"), [("AAEC", True), ("", True), ("A", False), (5, False), (None, False)])
def test_data_of_0_3_in_base64(data: Any, good: bool) -> None:
    """3.6 With `datacontentencoding` the data of 0.3 is base64."""
    event = {"specversion": "0.3", **NEWER, "datacontentencoding": "Base64", "data": data}

    if good:
        assert parse(event).value["data"] == data
    else:
        assert list(faults(event)) == ["/data"]
    assert list(faults(event | {"datacontentencoding": "gzip", "data": "AAEC"})) == ["/datacontentencoding"]


# Binary mode.


def test_binary_0_1() -> None:
    """3.6 `CE-` headers of 0.1 hold JSON, percent-encoded; `CE-X-` are its extensions; it keeps the shape of 0.1."""
    fields = OLD_FIELDS | {
        "eventtime": '"2018-04-05T03:56:24Z"',
        "eventtypeversion": '"2"',
        "schemaurl": '"http://x/y"',
        "x-facility": "%22n%C3%B6rd%22",
        "x-number": "5",
        "x-my-object": '{"a":[1]}',
        "x-word": "plain text",
    }

    found = binary(fields, "application/json", b'{"b":1.0}')

    assert found == {
        **OLD,
        "eventTime": "2018-04-05T03:56:24Z",
        "eventTypeVersion": "2",
        "schemaURL": "http://x/y",
        "extensions": {"facility": "nörd", "number": 5, "my-object": {"a": [1]}, "word": "plain text"},
        "contentType": "application/json",
        "data": {"b": 1.0},
    }


def test_binary_0_1_without_quotation_marks() -> None:
    """3.6 A sender of 0.1 that writes its texts as they are is understood, numbers too."""
    found = binary({"cloudeventsversion": "0.1", "eventtype": "t", "eventid": "1", "source": "/s"})

    assert found == OLD


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("version", ["0.2", "0.3"])
def test_binary_0_2_and_0_3(version: str, quoted: bool) -> None:
    """3.6 Headers of 0.2 are JSON, those of 0.3 are not any more; either is taken for both."""
    attributes = {"specversion": version, **NEWER, "ext": "a b"}
    fields = {name: json.dumps(value) if quoted else value for name, value in attributes.items()}

    found = binary(fields, "text/plain", b"x")

    kind = "contenttype" if version == "0.2" else "datacontenttype"
    assert found == {**attributes, kind: "text/plain", "data": "x"}


def test_a_mark_that_is_encoded_is_a_part_of_a_text_in_0_3() -> None:
    """3.6 In 0.3 a header is the text itself: a quotation mark that is percent-encoded belongs to it."""
    found = binary({"specversion": "0.3", **NEWER, "ext": "%22a", "contenttype": "an%20extension"})

    assert (found["ext"], found["contenttype"]) == ('"a', "an extension")


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        (OLD_FIELDS, {"data": "AAH/"}),
        ({"specversion": "0.2", **NEWER}, {"data": "AAH/"}),
        ({"specversion": "0.3", **NEWER}, {"datacontentencoding": "base64", "data": "AAH/"}),
    ],
    ids=["0.1", "0.2", "0.3"],
)
def test_bytes_are_base64(fields: dict[str, str], members: dict[str, str]) -> None:
    """3.6 Bytes that are neither JSON nor text become base64, which 0.3 has a mark for."""
    found = binary(fields, "application/octet-stream", b"\x00\x01\xff")

    assert {name: found[name] for name in members} == members


def test_0_3_with_its_encoding_as_a_header() -> None:
    """3.6 A body of 0.3 that says that it is base64 is kept as it is."""
    found = binary({"specversion": "0.3", **NEWER, "datacontentencoding": "base64"}, "application/json", b"e30=")

    assert (found["datacontentencoding"], found["data"]) == ("base64", "e30=")


@pytest.mark.parametrize(
    ("fields", "content_type", "body", "pointer", "said"),
    [
        ({"cloudeventsversion": '"0.1"'}, "", b"", "/eventType", "send the header ce-eventtype"),
        ({**OLD_FIELDS, "contenttype": '"a/b"'}, "", b"", "/contenttype", "Content-Type"),
        ({**OLD_FIELDS, "facility": '"north"'}, "", b"", "/facility", "CE-X-NAME"),
        ({**OLD_FIELDS, "eventid": '"a'}, "", b"", "/eventid", "no JSON value"),
        ({**OLD_FIELDS, "eventid": "%C0%A0"}, "", b"", "/eventid", "UTF-8"),
        ({**OLD_FIELDS, "x-a": '"\\ud800"'}, "", b"", "/x-a", "surrogate"),
        ({**OLD_FIELDS, "x-a": "[" * 99 + "]" * 99}, "", b"", "/x-a", "nested"),
        ({**OLD_FIELDS, "x-a": "{a}"}, "", b"", "/x-a", "no JSON value"),
        (OLD_FIELDS, "text/plain", b"\xff", "/data", "charset"),
        ({"specversion": "0.2", **NEWER}, "text/plain", b"\xff", "/data", "charset"),
        ({"specversion": "0.3", **NEWER, "my-map": "x"}, "", b"", "/my-map", "lower-case"),
        ({"specversion": "0.3", **NEWER, "datacontentencoding": "base64"}, "", b"?", "/data", "base64"),
        ({**OLD_FIELDS, "cloudeventsversion": "0.2"}, "", b"", "/cloudEventsVersion", "taken are"),
    ],
)
def test_bad_binary(fields: dict[str, str], content_type: str, body: bytes, pointer: str, said: str) -> None:
    """3.6 What is wrong with an older event in binary mode is named."""
    with pytest.raises(InvalidEvent) as caught:
        events.parse_binary(fields, content_type, body)

    assert said in caught.value.faults[pointer]
