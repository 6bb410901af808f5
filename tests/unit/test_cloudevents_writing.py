"""Events in binary mode as they are sent: CloudEvents HTTP binding 1.0.2, section 3.1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacifica.notifications import events
from pacifica.notifications.cloudevents.writing import Message, binary

NEW = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
OLD = {"cloudEventsVersion": "0.1", "eventType": "t", "eventID": "1", "source": "/s"}
NEWER = {"id": "1", "source": "/s", "type": "t"}


def sent(event: dict[str, Any]) -> Message | None:
    """Return a structured event in binary mode."""
    return binary(json.dumps(event, ensure_ascii=False))


def headers(message: Message | None) -> dict[str, str]:
    """Return the headers of a message by their names."""
    assert message is not None
    return dict(line.decode("ascii").split(": ", 1) for line in message.lines)


def test_attributes_are_headers() -> None:
    """3.2 Each attribute but datacontenttype is one header, percent-encoded; null is none."""
    event = {
        **NEW,
        "subject": 'Euro € 😀 100% "q"',
        "n": -5,
        "b": True,
        "none": None,
        "datacontenttype": "text/plain",
        "data": "ü",
    }

    message = sent(event)

    assert headers(message) == {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/s",
        "ce-type": "t",
        "ce-subject": "Euro%20%E2%82%AC%20%F0%9F%98%80%20100%25%20%22q%22",
        "ce-n": "-5",
        "ce-b": "true",
    }
    assert message is not None
    assert (message.content_type, message.body) == ("text/plain", "ü".encode())


def test_json_without_a_type_gets_one() -> None:
    """3.1 Without datacontenttype the data is JSON, which is said; its bytes are those of the member."""
    message = binary('{"specversion":"1.0","id":"1","source":"/s","type":"t","data" :\n {"a" : 1.10 } \n}')

    assert message is not None
    assert (message.content_type, message.body) == ("application/json", b'{"a" : 1.10 }')


def test_bytes_without_a_type_get_none() -> None:
    """3.1 For `data_base64` alone no type is guessed, and there is no Content-Type."""
    message = sent({**NEW, "data_base64": "AAH/"})

    assert message is not None
    assert (message.content_type, message.body) == ("", b"\x00\x01\xff")


def test_null_is_a_payload() -> None:
    """3.1 `data` of null is the payload null."""
    message = sent({**NEW, "data": None})

    assert message is not None
    assert message.body == b"null"


@pytest.mark.parametrize(
    "event",
    [
        NEW,
        {**NEW, "data_base64": None},
        {**NEW, "data_base64": ""},
        {**NEW, "datacontenttype": "text/plain", "data": ""},
        {**NEW, "datacontenttype": "text/plain", "data": {"a": 1}},
        {**NEW, "datacontenttype": "text/plain; charset=latin-1", "data": "ü"},
        {**NEW, "long": "ü" * 1024, "data": 1},
        {**OLD, "unknown": 1, "data": 1},
        {**OLD, "extensions": {"a b": 1}, "data": 1},
        {**OLD, "extensions": {"ab": 1, "aB": 1}, "data": 1},
        {**OLD, "contentType": "json\r\nX-Evil: 1", "data": 1},
        {**OLD, "contentType": "application/octet-stream", "data": "AAE="},
    ],
    ids=lambda event: ",".join(f"{name}={event[name]!r}"[:40] for name in list(event)[4:]) or "no data",
)
def test_what_has_no_place_in_binary_mode(event: dict[str, Any]) -> None:
    """3.3 Without data, and where something would be lost, an event can't be sent in binary mode."""
    assert sent(event) is None


def test_0_1_and_0_2_are_json_in_headers() -> None:
    """3.6 Values of 0.1 and 0.2 are JSON, percent-encoded; extensions of 0.1 are `CE-X-`."""
    old = sent({**OLD, "eventTime": "2026-01-01T00:00:00", "extensions": {"facility": 'nörd "1" %', "n": 5}, "data": 1})
    newer = sent({"specversion": "0.2", **NEWER, "ext": {"a": 1}, "data": 1})

    assert headers(old) == {
        "CE-CloudEventsVersion": '"0.1"',
        "CE-EventType": '"t"',
        "CE-EventID": '"1"',
        "CE-Source": '"/s"',
        "CE-EventTime": '"2026-01-01T00:00:00"',
        "CE-X-facility": '"n%C3%B6rd \\"1\\" %25"',
        "CE-X-n": "5",
    }
    assert headers(newer) == {
        "ce-specversion": '"0.2"',
        "ce-id": '"1"',
        "ce-source": '"/s"',
        "ce-type": '"t"',
        "ce-ext": '{"a": 1}',
    }


FIELDS: dict[str, dict[str, str]] = {
    "1.0": {"specversion": "1.0", **NEWER, "ext": "%E2%82%AC%20%25"},
    "0.3": {"specversion": "0.3", **NEWER, "ext": "%E2%82%AC%25"},
    "0.2": {"specversion": '"0.2"', "id": '"1"', "source": '"/s"', "type": '"t"', "ext": '"%E2%82%AC%25"'},
    "0.1": {
        "cloudeventsversion": '"0.1"',
        "eventid": '"1"',
        "source": '"/s"',
        "eventtype": '"t"',
        "x-ext": '"%E2%82%AC"',
    },
}
BODIES = [
    ("application/json", b' \r\n{"a" : 1.10, "b":[1E2]}\t '),
    ("application/json; charset=utf-8", b'"text"'),
    ("application/json", b"null"),
    ("text/xml", "<ü/>\n".encode()),
    ("application/octet-stream", bytes(range(256))),
    ("application/json; charset=utf-16", "{}".encode("utf-16")),
    ("", b"\x00 any"),
]


@pytest.mark.parametrize("version", FIELDS)
@pytest.mark.parametrize(("content_type", "body"), BODIES)
def test_what_came_in_binary_mode_goes_as_it_came(version: str, content_type: str, body: bytes) -> None:
    """3.1 Body, type and attributes are sent as they arrived, the body byte for byte, white space too."""
    event = events.parse_binary(FIELDS[version], content_type, body)

    message = binary(event.text, event.text)

    assert message is not None
    assert (message.body, message.content_type) == (body, content_type)
    assert {name[3:].lower(): value for name, value in headers(message).items()} == FIELDS[version]
