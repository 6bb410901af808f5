"""Binary mode and batches to events: CloudEvents HTTP binding 1.0.2, sections 3.1 and 3.3; JSON format 1.0.2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacifica.notifications import events
from pacifica.notifications.errors import InvalidBody, InvalidEvent, TooLarge

FIELDS = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def value_of(body: bytes, content_type: str = "", **fields: str) -> dict[str, Any]:
    """Return the structured form of an event in binary mode."""
    event = events.parse_binary({**FIELDS, **fields}, content_type, body)
    assert json.loads(event.text) == event.value
    assert event.mode == "binary"
    assert event.content_type == "application/cloudevents+json"
    return dict(event.value)


def faults(
    body: bytes = b"", content_type: str = "", fields: dict[str, str] | None = None, **more: str
) -> dict[str, str]:
    """Return what is said about an event in binary mode that is refused."""
    with pytest.raises(InvalidEvent) as caught:
        events.parse_binary({**(FIELDS if fields is None else fields), **more}, content_type, body)
    return caught.value.faults


def test_attributes_are_headers() -> None:
    """3.2 Binary: each attribute is one header, Content-Type is datacontenttype, all values are texts."""
    found = value_of(
        b"<a/>", "text/xml; charset=utf-8", subject="Euro%20%E2%82%AC", shard="5", time="2026-01-01T00:00:00Z"
    )

    assert found == {
        **FIELDS,
        "subject": "Euro €",
        "shard": "5",
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "text/xml; charset=utf-8",
        "data": "<a/>",
    }


@pytest.mark.parametrize("content_type", ["application/json", "Application/Vnd.X+JSON; charset=UTF-8", "text/json"])
@pytest.mark.parametrize("data", [b' {"a" : 1.10,\n"b":1E+2, "c":"\\u00e9\xc3\xa9"} \r\n', b"null", b'"{}"', b" 0"])
def test_json_is_kept_byte_for_byte(content_type: str, data: bytes) -> None:
    """3.1 JSON-type content: data is the JSON value itself, its bytes as they came."""
    event = events.parse_binary(FIELDS, content_type, data)

    assert event.text.encode().endswith(b'"data":' + data + b"}")
    assert event.value["data"] == json.loads(data)


@pytest.mark.parametrize(
    ("content_type", "data", "members"),
    [
        ("text/plain", "ü\0".encode(), {"data": "ü\0"}),
        ("image/svg+xml", b"<svg/>", {"data": "<svg/>"}),
        ("text/plain", b"\xfc", {"data_base64": "/A=="}),
        ("text/plain; charset=iso-8859-1", b"\xfc", {"data_base64": "/A=="}),
        ("application/json; charset=utf-16", b"1\0", {"data_base64": "MQA="}),
        ("application/octet-stream", b"abc", {"data_base64": "YWJj"}),
        ("", b"{}", {"data_base64": "e30="}),
        ("application/json", b"", {}),
    ],
)
def test_other_data(content_type: str, data: bytes, members: dict[str, str]) -> None:
    """3.1 Text is a string, other bytes are base64; without a type none is guessed; without a body there is no data."""
    expected = {**FIELDS, **({"datacontenttype": content_type} if content_type else {}), **members}

    assert value_of(data, content_type) == expected


def test_each_missing_header_is_named() -> None:
    """3.2 A binary request without all four required headers is refused, and each missing one is named."""
    assert faults(fields={"x": "1"}) == {
        f"/{name}": f"is required: send the header ce-{name}" for name in ("specversion", "type", "source", "id")
    }


@pytest.mark.parametrize(
    ("field", "value", "pointer", "said"),
    [
        ("datacontenttype", "text/plain", "/datacontenttype", "Content-Type"),
        ("data", "x", "/data", "the data is the body"),
        ("my-ext", "x", "/my-ext", "lower-case"),
        ("x/y", "x", "/x~1y", "lower-case"),
        ("id", "%C0%A0", "/id", "UTF-8"),
        ("id", "a%0D%0Ab", "/id", "control"),
        ("id", "", "/id", "empty"),
        ("source", "a%20b", "/source", "URI-reference"),
        ("time", "yesterday", "/time", "time"),
        ("dataschema", "relative", "/dataschema", "absolute URI"),
        ("ext", "%EF%BF%BF", "/ext", "noncharacters"),
        ("ext", "a%7Fb", "/ext", "control"),
        ("specversion", "1.1", "/specversion", 'is "1.1"; taken are'),
    ],
)
def test_bad_header_is_named(field: str, value: str, pointer: str, said: str) -> None:
    """3.1, 3.2 What a header says wrongly is refused by its attribute's name."""
    found = faults(**{field: value})

    assert list(found) == [pointer]
    assert said in found[pointer]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not JSON"),
        (b'{"a":1,"a":1}', "twice"),
        (b"\xef\xbb\xbf1", "byte order mark"),
        (b"[" * 100 + b"]" * 100, "nested"),
        (b"\xff", "UTF-8"),
        (b" ", "empty"),
        (b'}, "id": "2"', "not JSON"),
        (b'"\\ud800"', "surrogate"),
    ],
    ids=["cut", "twice", "mark", "deep", "bytes", "blank", "breaking out", "surrogate"],
)
def test_data_that_is_no_json_is_refused(data: bytes, said: str) -> None:
    """3.1 A body that is not the JSON that its Content-Type says is refused."""
    found = faults(data, "application/json")

    assert list(found) == ["/data"]
    assert said in found["/data"]


@pytest.mark.parametrize(
    "content_type", ["text", "text/plain; a=\xfc", "a/b/c", "text/plain, text/xml", "text/plain;" + "; " * 200 + "="]
)
def test_content_type_is_a_media_type(content_type: str) -> None:
    """3.1 datacontenttype is a media type."""
    assert list(faults(b"x", content_type)) == ["/datacontenttype"]


# Structured.


def fault_of(**members: Any) -> list[str]:
    """Return where a structured 1.0 event is refused."""
    with pytest.raises(InvalidEvent) as caught:
        events.parse(json.dumps({**FIELDS, **members}).encode())
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "a b"),
        ("source", "<x>"),
        ("dataschema", "/relative"),
        ("dataschema", "http://x/ y"),
        ("datacontenttype", "text"),
        ("ext", 2**31),
        ("ext", -(2**31) - 1),
        ("ext", "a\x85"),
        ("ext", "\ufdd0"),
        ("subject", "\U0001ffff"),
        ("data_base64", "AAA"),
    ],
)
def test_types_of_attributes(name: str, value: Any) -> None:
    """3.1 Integers have 32 bits, texts no control characters nor noncharacters, URIs and media types their form."""
    assert fault_of(**{name: value}) == [f"/{name}"]


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), True, "ü\u200b", "", None])
def test_types_that_are_taken(value: Any) -> None:
    """3.1 Extensions are booleans, integers and strings; null is the same as absent."""
    assert events.parse(json.dumps({**FIELDS, "ext": value}).encode()).value["ext"] == value


# Batches.


def event(**changes: Any) -> dict[str, Any]:
    """Return a small event."""
    return {**FIELDS, **changes}


def test_each_member_of_a_batch_has_its_own_text() -> None:
    """3.1 A batch is an array; each event is the slice of the text that it came as, whatever its version."""
    first = '{"specversion":"1.0","id" : "1", "source":"/s","type":"t", "data":[1.10, "],{"]}'
    second = '{"cloudEventsVersion":"0.1","eventID":"2","source":"/s","eventType":"t"}'

    found = events.parse_batch(f" [ {first}\n,{second} ]\r\n".encode())

    assert [each.text for each in found] == [first, second]
    assert [(each.mode, each.id, each.version) for each in found] == [("batched", "1", "1.0"), ("batched", "2", "0.1")]


def test_a_batch_may_be_empty() -> None:
    """3.1 An empty array is a valid batch."""
    assert events.parse_batch(b" [ ] ") == []


def test_bad_members_are_named() -> None:
    """Every fault of a batch is named with the place of its member."""
    with pytest.raises(InvalidEvent) as caught:
        events.parse_batch(
            json.dumps([event(), event(source=""), 5, event(), {}, event(data=1, data_base64="")]).encode()
        )

    assert {"/1/source", "/2", "/4/specversion", "/4/id", "/5/data_base64"} <= caught.value.faults.keys()
    assert not [pointer for pointer in caught.value.faults if pointer[:2] in ("/0", "/3")]


def test_faults_of_a_batch_are_bounded() -> None:
    """Of very many faults the first hundred are named."""
    with pytest.raises(InvalidEvent) as caught:
        events.parse_batch(json.dumps([{}] * 1000).encode(), max_events=1000)

    assert len(caught.value.faults) == 100


def test_bounds_of_a_batch() -> None:
    """A batch has at most so many events, each as deep as a single one may be."""
    deep = event(data=[[1]])

    assert len(events.parse_batch(json.dumps([deep] * 3).encode(), max_depth=3, max_events=3)) == 3
    with pytest.raises(TooLarge, match=r"has 4 events, at most 3 are taken \(receive\.max_batch\)"):
        events.parse_batch(json.dumps([deep] * 4).encode(), max_events=3)
    with pytest.raises(InvalidBody, match="nested"):
        events.parse_batch(json.dumps([event(data=[[[1]]])]).encode(), max_depth=3)


@pytest.mark.parametrize("body", [b"{}", b'"x"', b"null"])
def test_what_is_no_array_is_no_batch(body: bytes) -> None:
    """A batch is an array."""
    with pytest.raises(InvalidEvent, match="array"):
        events.parse_batch(body)
