"""In which content mode, and of which version, an event is sent: as it arrived, or as its subscription says."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from pacifica.notifications import events, intake, orm, subscriptions
from pacifica.notifications.errors import InvalidSubscription
from pacifica.notifications.subscriptions import place
from tests.support.doors import Doors
from tests.support.factories import make_event, make_event_1_0, make_subscription
from tests.support.target import RecordingTarget, Request

CLOUD = "application/cloudevents+json"
FIELDS = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "Euro%20%E2%82%AC"}
OLD_FIELDS = {"cloudeventsversion": '"0.1"', "eventid": '"1"', "source": '"/s"', "eventtype": '"t"', "x-a": "1"}
DATA = b' {"n" : 1.10,\r\n"e":1E+2} '
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def subscribe(doors: Doors, target: RecordingTarget, path: str, **members: Any) -> UUID:
    """Make a subscription for every event, sent to a path."""
    return doors.subscribe(target.url(path), **members)


def fields_of(request: Request) -> dict[str, str]:
    """Return the `ce-` headers of a request, names in lower case without it."""
    return {name[3:].lower(): value for name, value in request.headers if name.lower().startswith("ce-")}


def test_an_event_in_binary_mode_goes_so(doors: Doors, target: RecordingTarget) -> None:
    """With nothing set an event goes in the mode in which it arrived, its data and attributes unchanged."""
    subscribe(doors, target, "/as-is")
    for content_type, body in (("application/json", DATA), ("application/octet-stream", b"\0\xff"), ("", b"any")):
        doors.accept_binary(FIELDS | {"id": content_type or "none"}, content_type, body)
    doors.work()

    found = {fields_of(request)["id"]: request for request in target.wait_for(3, "/as-is")}

    assert found["application/json"].body == DATA
    assert found["application/octet-stream"].body == b"\0\xff"
    assert found["none"].body == b"any"
    assert [request.header("Content-Type") for _id, request in sorted(found.items())] == [
        "application/json",
        "application/octet-stream",
        None,
    ]
    assert fields_of(found["none"]) == FIELDS | {"id": "none"}
    assert found["none"].delivery


def test_binary_without_data_goes_structured(doors: Doors, target: RecordingTarget) -> None:
    """3.3 A webhook has a body: an event in binary mode without data is sent in structured mode."""
    subscribe(doors, target, "/no-data")
    doors.accept_binary(FIELDS)
    doors.work()

    (request,) = target.wait_for(1, "/no-data")

    assert (fields_of(request), request.header("Content-Type")) == ({}, CLOUD)
    assert request.json() == FIELDS | {"subject": "Euro €"}


def test_a_subscription_may_want_structured_mode(doors: Doors, target: RecordingTarget) -> None:
    """With `content_mode` structured every event is one JSON object, with the type that says so."""
    subscribe(doors, target, "/structured", content_mode="structured")
    old = make_event(id="old")
    doors.accept_binary(FIELDS, "application/json", DATA)
    doors.accept(old)
    doors.work()

    found = {request.json().get("eventID", "new"): request for request in target.wait_for(2, "/structured")}

    assert {request.header("Content-Type") for request in found.values()} == {CLOUD}
    assert found["new"].body.endswith(b'"data":' + DATA + b"}")
    assert found["old"].body == json.dumps(old, ensure_ascii=False).encode()


def test_a_subscription_may_want_binary_mode(doors: Doors, target: RecordingTarget) -> None:
    """With `content_mode` binary attributes are headers and the data is the body, byte for byte."""
    subscribe(doors, target, "/binary", content_mode="binary", extensions={"facility": "nörd", "n": 5})
    text = (
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"Euro \xe2\x82\xac", "data": {"a" : 1.10}}'
    )
    doors.accept(text, CLOUD)
    doors.accept(make_event(source="/old", id="2", type="t", data=[1], extensions={}, time="2026-01-01T00:00:00"))
    doors.work()

    found = {fields_of(request)["source"]: request for request in target.wait_for(2, "/binary")}

    assert found["/s"].body == b'{"a" : 1.10}'
    assert found["/s"].header("Content-Type") == "application/json"
    assert fields_of(found["/s"]) == FIELDS | {"facility": "n%C3%B6rd", "n": "5"}
    assert found['"/old"'].body == b"[1]"
    assert fields_of(found['"/old"']) == {
        "cloudeventsversion": '"0.1"',
        "eventtype": '"t"',
        "eventid": '"2"',
        "source": '"/old"',
        "eventtime": '"2026-01-01T00:00:00"',
        "x-facility": '"n%C3%B6rd"',
        "x-n": "5",
    }


@pytest.mark.parametrize("mode", [None, "structured", "binary"])
def test_a_subscription_may_want_version_1_0(doors: Doors, target: RecordingTarget, mode: str | None) -> None:
    """With `event_version` 1.0 an event of Pacifica is sent as one of 1.0, in each mode, and is taken as such."""
    path = f"/new-{mode}"
    subscribe(doors, target, path, event_version="1.0", content_mode=mode, extensions={"Facility": "north"})
    doors.accept(make_event(source="/s", id="1", type="t", data={"a": 1}, extensions={"own": True}))
    doors.accept_binary(OLD_FIELDS | {"eventid": '"2"'}, "application/json", DATA)
    doors.accept_binary(OLD_FIELDS | {"eventid": '"3"'}, "image/png", b"\x89PNG")
    doors.accept(make_event_1_0(source="/s", id="4", type="t", data=1))
    doors.work()

    found = {}
    for request in target.wait_for(4, path):
        fields, content_type = fields_of(request), request.header("Content-Type") or ""
        if fields:
            event = events.parse_binary(fields, content_type, request.body)
        else:
            assert content_type == CLOUD
            event = events.parse(request.body)
        found[event.id] = event

    assert {event.version for event in found.values()} == {"1.0"}
    assert (found["1"].value["facility"], found["1"].value["data"]) == ("north", {"a": 1})
    assert found["2"].value["data"] == json.loads(DATA)
    assert found["3"].value["data_base64"] == "iVBORw=="
    assert (found["2"].mode == "binary", found["1"].mode == "binary") == (mode != "structured", mode == "binary")


def test_data_is_the_same_in_every_mode(doors: Doors, target: RecordingTarget) -> None:
    """Converted or not, in whatever mode, the data of a binary event arrives byte for byte."""
    modes = [None, "structured", "binary"]
    for mode in modes:
        for version in (None, "1.0"):
            subscribe(doors, target, f"/{mode}-{version}", content_mode=mode, event_version=version)
    doors.accept_binary(OLD_FIELDS, "application/json", DATA)
    doors.work()

    for mode in modes:
        for version in (None, "1.0"):
            (request,) = target.wait_for(1, f"/{mode}-{version}")
            inside = DATA if version is None else DATA.strip()
            whole = request.body[request.body.index(b'"data":') + 7 : -1] if mode == "structured" else request.body
            assert whole == (inside if mode == "structured" else DATA), (mode, version)


def test_batched_events_go_one_by_one(doors: Doors, target: RecordingTarget) -> None:
    """3.2 A batch is sent to nobody: each of its events is delivered by itself, in structured mode, as it stood."""
    subscribe(doors, target, "/batched")
    texts = [json.dumps(make_event_1_0(), indent=1) for _ in range(3)]
    intake.accept_all(events.parse_batch(f"[{', '.join(texts)}]".encode()), doors.settings)
    doors.work()

    found = target.wait_for(3, "/batched")

    assert sorted(request.body.decode() for request in found) == sorted(texts)
    assert {request.header("Content-Type") for request in found} == {CLOUD}


@pytest.mark.parametrize("mode", [None, "structured", "binary"])
def test_64_kib_are_forwarded(doors: Doors, target: RecordingTarget, mode: str | None) -> None:
    """3.1 Events of 64 KiB and more are forwarded, in each mode, with attributes that nobody here knows."""
    path = f"/large-{mode}"
    subscribe(doors, target, path, content_mode=mode)
    body = json.dumps({"a": "ü" * 33_000}, ensure_ascii=False).encode()
    doors.accept_binary(FIELDS | {"unheardof": "a%20b", "empty": ""}, "application/json", body)
    doors.work()

    (request,) = target.wait_for(1, path)

    assert len(body) > 64 * 1024
    assert request.body.endswith(b'"data":' + body + b"}" if mode == "structured" else body)
    known = request.json() if mode == "structured" else fields_of(request)
    assert known["empty"] == ""
    assert known["unheardof"] == ("a b" if mode == "structured" else "a%20b")


def test_a_path_sees_the_shape_of_0_1(doors: Doors, target: RecordingTarget) -> None:
    """3.6 A JSONPath finds an event of 0.1 by its own names, whatever mode it came in and goes in."""
    path = '$[?(@["eventID"] = "1" and @.extensions.a = 1 and @.data.n > 1)]'
    subscribe(doors, target, "/shape", jsonpath=path, event_version="1.0")
    doors.accept_binary(OLD_FIELDS, "application/json", DATA)
    doors.accept_binary(OLD_FIELDS | {"x-a": "2", "eventid": '"2"'}, "application/json", DATA)
    doors.work()

    assert [fields_of(request)["id"] for request in target.wait_for(1, "/shape")] == ["1"]
    assert len(doors.deliveries()) == 1


ODD = [
    "[1]",
    '"text"',
    '{"a": 1}',
    '{"cloudEventsVersion": "0.1", "extensions": [1]}',
    '{"specversion": "1.0", "id": 5, "datacontenttype": 5, "data": 1}',
    '{"specversion": 1, "data": 1}',
    "no JSON",
]


@pytest.mark.parametrize("members", [{"content_mode": "binary"}, {"event_version": "1.0"}], ids=str)
def test_what_is_no_event_goes_as_it_is(doors: Doors, target: RecordingTarget, members: dict[str, str]) -> None:
    """The body of an upgraded row, which may be no event at all, is sent as it is, and lets no other one wait."""
    uuid = subscribe(doors, target, "/odd", **members)
    good = make_event_1_0(data={}, datacontenttype="text/plain")
    with orm.session():
        for body in ODD:
            row = orm.EventLog.create(jsondata=body, created=orm.now(), routed=orm.now())
            orm.EventLogMatch.add(row.uuid, {uuid: place(target.url())})
    doors.accept(good)
    doors.work()

    found = target.wait_for(len(ODD) + 1, "/odd")
    assert sorted(request.body.decode() for request in found) == sorted([*ODD, json.dumps(good)])
    assert {request.header("Content-Type") for request in found} == {CLOUD}
    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}


# The trace goes on.


@pytest.mark.parametrize("mode", [None, "binary"])
@pytest.mark.parametrize("make", [make_event, make_event_1_0])
def test_a_trace_goes_on(doors: Doors, target: RecordingTarget, make: Any, mode: str | None) -> None:
    """An event with `traceparent` keeps it; each attempt has a span of its own in the same trace, in plain headers."""
    path = f"/trace-{mode}"
    subscribe(doors, target, path, content_mode=mode)
    trace = {"traceparent": PARENT, "tracestate": "a=b"}
    doors.send(make(extensions=trace) if make is make_event else make(**trace))

    (request,) = target.wait_for(1, path)

    version, trace_id, span, flags = (request.header("traceparent") or "").split("-")
    assert (version, trace_id, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert span != "b7ad6b7169203331"
    assert len(bytes.fromhex(span)) == 8
    assert request.header("tracestate") == "a=b"
    if mode is None:
        value = request.json()
        assert (value.get("extensions") or value)["traceparent"] == PARENT


@pytest.mark.parametrize("parent", ["nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", f"ff{PARENT[2:]}", 5, None])
def test_what_is_no_trace_does_not_go_on(doors: Doors, target: RecordingTarget, parent: Any) -> None:
    """A `traceparent` that is none makes no header."""
    subscribe(doors, target, "/no-trace")
    doors.send(make_event(extensions={"traceparent": parent, "tracestate": "a\r\nX-Evil: 1"}))

    assert target.wait_for(1, "/no-trace")[0].header("traceparent") is None


# The members of a subscription.


def test_members_are_shown_where_they_are_set(doors: Doors) -> None:
    """An answer has the two members only where they are set; null takes them back."""
    uuid = doors.subscribe("http://127.0.0.1:9/", content_mode="binary", event_version="1.0")
    shown = doors.subscription(uuid).to_hash()
    assert (shown["content_mode"], shown["event_version"]) == ("binary", "1.0")

    doors.change(uuid, content_mode=None, event_version=None)

    assert not {"content_mode", "event_version"} & doors.subscription(uuid).to_hash().keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [("content_mode", "batched"), ("content_mode", ""), ("event_version", "0.1"), ("event_version", 1.0)],
)
def test_bad_members_are_named(name: str, value: Any) -> None:
    """Any other value is refused, and what there is is said."""
    with pytest.raises(InvalidSubscription) as caught:
        subscriptions.validate(make_subscription(**{name: value}))

    assert list(caught.value.faults) == [f"/{name}"]
    assert "must be one of" in caught.value.faults[f"/{name}"]
