"""Events of older versions as events of 1.0: the table of the four versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacifica.notifications import events
from pacifica.notifications.cloudevents.conversion import to_1_0
from tests.support.factories import make_event, make_event_1_0

OLD = {"cloudEventsVersion": "0.1", "eventType": "t", "eventID": "1", "source": "/s"}
NEWER = {"type": "t", "id": "1", "source": "/s"}
NEW = {"specversion": "1.0", **NEWER}


def converted(event: dict[str, Any], came_binary: bool = False) -> dict[str, Any]:
    """Return the event as 1.0 has it, which is taken as such."""
    text = to_1_0(json.dumps(event, ensure_ascii=False), came_binary)
    assert events.parse(text.encode()).version == "1.0"
    found: dict[str, Any] = json.loads(text)
    return found


def test_1_0_stays_as_it_is() -> None:
    """An event of 1.0 is not touched."""
    text = f" {json.dumps(make_event_1_0())} "

    assert to_1_0(text) == text


def test_an_ingest_of_pacifica() -> None:
    """3.6 Every attribute of 0.1 has its name in 1.0; a time without a zone gets one, and the data is the same."""
    event = make_event(source="/s", id="1", type="t", eventTypeVersion="2", schemaURL="http://x/y")

    assert converted(event) == {
        **NEW,
        "time": "2026-11-22T17:30:00Z",
        "datacontenttype": "application/json",
        "dataschema": "http://x/y",
        "eventtypeversion": "2",
        "data": event["data"],
    }


@pytest.mark.parametrize(
    ("event", "members"),
    [
        ({"specversion": "0.2", **NEWER, "contenttype": "text/plain", "schemaurl": "x:y", "data": "a"},
         {"datacontenttype": "text/plain", "dataschema": "x:y", "data": "a"}),
        ({"specversion": "0.3", **NEWER, "datacontenttype": "a/b", "subject": "s", "data": "AAE=",
          "datacontentencoding": "base64"},
         {"datacontenttype": "a/b", "subject": "s", "data_base64": "AAE="}),
        ({"specversion": "0.3", **NEWER, "ext": {"b": [1.5]}, "other": 1.5, "large": 2**31, "yes": True, "none": None},
         {"ext": '{"b": [1.5]}', "other": "1.5", "large": "2147483648", "yes": True}),
        ({"specversion": "0.2", **NEWER, "subject": "s"}, {"subject2": "s"}),
        ({**OLD, "data": None}, {"data": None}),
    ],
    ids=["0.2", "0.3", "0.3 extensions", "0.2 subject", "null"],
)  # fmt: skip
def test_other_versions(event: dict[str, Any], members: dict[str, Any]) -> None:
    """3.6 Attributes of 0.2 and 0.3 have their names in 1.0; what is no attribute's value there becomes JSON text."""
    assert converted(event) == {**NEW, **members}


def test_extensions_of_0_1() -> None:
    """3.6 Names become lower case and digits; what is taken gets a number, so that nothing is lost."""
    extensions = {
        "comExampleExtension": 1, "comexampleextension": {"a": None}, "my-ext_1": "x", "ID": "y", "data": [1], "é": "z",
        "line": "a\nb", "empty": "", "absent": None, "none": "\uffff",
    }  # fmt: skip

    assert converted({**OLD, "extensions": extensions, "unknown": 5}) == {
        **NEW,
        "unknown": 5,
        "comexampleextension": 1,
        "comexampleextension2": '{"a": null}',
        "myext1": "x",
        "id2": "y",
        "data2": "[1]",
        "extension": "z",
        "line": '"a\\nb"',
        "empty": "",
        "none": '"\\uffff"',
    }


def test_what_1_0_does_not_take_is_kept_beside() -> None:
    """A source with spaces is percent-encoded; what is no media type, or no absolute URI, becomes an extension."""
    event = {
        **OLD,
        "source": "/a b/ü",
        "contentType": "json",
        "schemaURL": "y.json",
        "eventTypeVersion": "",
        "eventTime": None,
    }

    assert converted(event) == {**NEW, "source": "/a%20b/ü", "contenttype": "json", "schemaurl": "y.json"}


def test_data_is_kept_byte_for_byte() -> None:
    """The data is the text that it was."""
    data = '{"b" : 1.0,\n"a":[1E2, "\\u00e9"]}'

    assert f'"data":{data}' in to_1_0(json.dumps(OLD)[:-1] + f', "data" : {data} }}')


@pytest.mark.parametrize(("kind", "member"), [("application/octet-stream", "data_base64"), ("text/plain", "data")])
def test_bytes_of_binary_mode(kind: str, member: str) -> None:
    """3.6 Bytes that came in binary mode are base64 in 0.1, and `data_base64` in 1.0."""
    event = {**OLD, "contentType": kind, "data": "AAE="}

    assert converted(event, came_binary=True)[member] == "AAE="
    assert converted(event)["data"] == "AAE="
