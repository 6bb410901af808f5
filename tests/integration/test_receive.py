"""Events: every row of the contract's second section, identities and conflicts, through a real service."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from tests.support import raw
from tests.support.databases import held
from tests.support.factories import ABSENT, make_event, make_event_1_0
from tests.support.target import RecordingTarget, Request
from tests.support.wait import until
from tests.support.watched import Watched

from .conftest import Start

CLOUD = "application/cloudevents+json"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture(scope="module")
def refusing(start: Start) -> Watched:
    """A service that refuses conflicts."""
    return start({"receive.on_conflict": "refuse"})


@pytest.fixture(scope="module")
def strict(start: Start) -> Watched:
    """A service with bounds that are easy to reach."""
    return start({"receive.max_body": 1024, "receive.max_depth": 3})


@pytest.fixture
def source() -> str:
    """A source that no other test has."""
    return f"/tests/{uuid4()}"


def accepted(answer: requests.Response, *, duplicate: bool = False) -> str:
    """Check what is true of every answer to an event that was taken, and return the event's uuid."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    found = answer.json()
    assert found == {"uuid": str(UUID(found["uuid"])), "duplicate": duplicate}
    return str(found["uuid"])


def stored(service: Watched, source: str) -> list[str]:
    """Return the texts of the events of a source as they are in the table."""
    return [
        text for (text,) in service.rows(f"SELECT jsondata FROM eventlog WHERE source = '{source}' ORDER BY created")
    ]


def text_of(service: Watched, uuid: str) -> str:
    """Return the text of one event as it is in the table."""
    ((text,),) = service.rows(f"SELECT jsondata FROM eventlog WHERE uuid = '{held(service.database_url, uuid)}'")
    return str(text)


def deliveries(service: Watched, target: RecordingTarget, source: str, **members: Any) -> Any:
    """Subscribe to one source and return how to wait for what arrives."""
    path = f"/{uuid4()}"
    service.subscribe(jsonpath=f'$[?(@.source = "{source}")]', target_url=target.url(path), **members)

    def wait(count: int) -> list[Request]:
        return target.wait_for(count, path)

    return wait


# What is taken.


def test_documented_event(service: Watched, source: str) -> None:
    """A Pacifica ingest is answered 200 with its uuid, and is in the table when the answer comes."""
    event = make_event(source=source)

    uuid = accepted(service.post_event(event))

    assert json.loads(text_of(service, uuid)) == event


@pytest.mark.parametrize(
    ("content_type", "sent_as"),
    [
        ("application/json", "application/json"),
        ("application/cloudevents+json", CLOUD),
        (None, "application/json"),
        ("", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ('Application/JSON;CHARSET="UTF-8"', "application/json"),
        ("application/cloudevents+json;charset=UTF-8", CLOUD),
        ("application/json; profile=x; charset=utf8", "application/json"),
        ("application/json ;", "application/json"),
    ],
)
def test_content_type(
    service: Watched, target: RecordingTarget, source: str, content_type: str | None, sent_as: str
) -> None:
    """The media types of the contract are taken, and the event is delivered with its own."""
    wait = deliveries(service, target, source)

    answer = service.post_event(make_event(source=source), content_type=content_type)

    accepted(answer)
    assert wait(1)[0].header("Content-Type") == sent_as


OLD_MINIMUM = {"cloudEventsVersion": "0.1", "eventType": "t", "eventID": "1"}
NEW_MINIMUM = {"specversion": "1.0", "type": "t", "id": "1"}


@pytest.mark.parametrize(
    "members",
    [
        OLD_MINIMUM,
        {**OLD_MINIMUM, "eventTime": "2026-11-22T17:30:00"},
        {**OLD_MINIMUM, "eventTime": "2026-11-22T17:30:00.123456789Z"},
        {**OLD_MINIMUM, "eventTime": "2026-11-22t17:30:00+05:30"},
        {**OLD_MINIMUM, "eventTime": "2016-12-31T23:59:60Z"},
        {**OLD_MINIMUM, "eventTime": None, "extensions": None, "contentType": None, "schemaURL": None},
        {**OLD_MINIMUM, "eventTypeVersion": "1.0", "schemaURL": "http://x/y", "contentType": "text/plain"},
        {**OLD_MINIMUM, "extensions": {"comExample": {"a": [1]}, "b": None}},
        {**OLD_MINIMUM, "unknown": {"kept": True}, "Content-Type": 1},
        {**OLD_MINIMUM, "eventID": "ü" * 255},
        {**OLD_MINIMUM, "eventType": "\U0001f52c" * 512},
        NEW_MINIMUM,
        {**NEW_MINIMUM, "time": "2026-11-22T17:30:00Z", "subject": "s", "dataschema": "http://x/y"},
        {**NEW_MINIMUM, "time": None, "subject": None, "datacontenttype": None, "dataschema": None},
        {**NEW_MINIMUM, "ext1": "x", "ext2": 5, "ext3": True, "ext4": None},
        {**NEW_MINIMUM, "data_base64": "AAEC/w=="},
        {**NEW_MINIMUM, "data_base64": None, "data": 1},
        {**NEW_MINIMUM, "datacontenttype": "text/xml", "data": "<a/>"},
        {**NEW_MINIMUM, "eventtype": "x", "eventid": "y"},
        {**NEW_MINIMUM, "id": "'; DROP TABLE eventlog; --"},
    ],
    ids=lambda members: ",".join(f"{name}={value!r}"[:24] for name, value in list(members.items())[3:]) or "minimum",
)
def test_valid_event(service: Watched, source: str, members: dict[str, Any]) -> None:
    """What the specifications and Pacifica's own producers send is taken as it is."""
    event = {**members, "source": source}

    uuid = accepted(service.post_event(event))

    assert json.loads(text_of(service, uuid)) == event


DATA: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    "text \u2028 \ufeff ü",
    "a\0b",
    [],
    {},
    [[], {}],
    {"": {"": ""}},
    {"a/b": 1, "~": 2},
]


@pytest.mark.parametrize("data", DATA, ids=repr)
def test_data_may_be_anything(service: Watched, target: RecordingTarget, source: str, data: Any) -> None:
    """`data` may be any JSON value, in both versions, and arrives as it was."""
    wait = deliveries(service, target, source)

    accepted(service.post_event(make_event(source=source, data=data)))
    accepted(service.post_event(make_event_1_0(source=source, data=data), content_type=CLOUD))

    assert [request.json()["data"] for request in wait(2)] == [data, data]


def test_accepted_bytes_are_kept_and_delivered(service: Watched, target: RecordingTarget, source: str) -> None:
    """What is stored and what is delivered are the accepted bytes, whatever a decoder would make of them."""
    wait = deliveries(service, target, source)
    sent = (
        f'\r\n\t{{ "source" :"{source}",\n  "data":{{"big":{2**64 + 1},"bigger":{-(2**200)},'
        '"b":1.0,"a":1.10,"c":1E+2,"d":-0,"e":0.1e-7,"f":123456789.123456789123456789,"g":"ü\u2028\x7f"}'
        ',"eventID":"\\u0041\\/\\u00fc\\ud83d\\ude00","eventType":"t","cloudEventsVersion":"0.1","extensions":{} }\n\n'
    ).encode()

    uuid = accepted(service.post_event(sent))

    assert text_of(service, uuid).encode() == sent
    assert wait(1)[0].body == sent


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 + 1, -(2**64) - 1, 2**200, 10**4299])
def test_integers_are_exact(service: Watched, target: RecordingTarget, source: str, number: int) -> None:
    """Integers of any size arrive digit by digit, also when a subscription's extensions are put into the event."""
    plain = deliveries(service, target, source)
    extended = deliveries(service, target, source, extensions={"added": 2**64 + 1})
    event = make_event(source=source, data={"n": number}, extensions={"own": 2**70})
    digits = f'"n": {number}'.encode()

    accepted(service.post_event(event))

    assert digits in plain(1)[0].body
    assert digits in extended(1)[0].body
    assert extended(1)[0].json()["extensions"] == {"own": 2**70, "added": 2**64 + 1}


def test_large_integer_matches_exactly(service: Watched, target: RecordingTarget, source: str) -> None:
    """An expression tells two integers apart that are the same double."""
    path = f"/{uuid4()}"
    service.subscribe(jsonpath=f'$[?(@.source = "{source}" and @.data = {2**64 + 1})]', target_url=target.url(path))

    accepted(service.post_event(make_event(source=source, data=2**64)))
    accepted(service.post_event(make_event(source=source, data=2**64 + 1)))

    (request,) = target.wait_for(1, path)
    assert request.json()["data"] == 2**64 + 1


def test_chunked_body(service: Watched, source: str) -> None:
    """A body in chunks is taken."""
    event = make_event(source=source)
    text = json.dumps(event).encode()
    headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]

    answer = raw.send(
        service.port, "POST", "/receive", headers, raw.chunked([text[:1], text[1:700], text[700:]]), length=False
    )

    assert answer.status == 200, answer.text
    assert stored(service, source) == [text.decode()]


def test_expect_100(service: Watched, source: str) -> None:
    """A client that waits for `100 Continue` gets it, and its event is taken."""
    answer = service.post_event(make_event(source=source), expect="100-continue")

    accepted(answer)
    assert len(stored(service, source)) == 1


def test_largest_event(service: Watched, source: str) -> None:
    """A body of exactly 1 MiB is taken, in one piece and in chunks."""
    text = json.dumps(make_event(source=source, data="")).encode()
    first, second = (text.replace(b'"data": ""', b'"data": "%s"' % (fill * (MIB - len(text)))) for fill in (b"x", b"y"))
    headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]

    accepted(service.post_event(first))
    chunks = raw.chunked([second[at : at + 5000] for at in range(0, MIB, 5000)])
    answer = raw.send(service.port, "POST", "/receive", headers, chunks, length=False)

    assert answer.status == 200, answer.text
    assert stored(service, source) == [first.decode(), second.decode()]


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_deepest_event(service: Watched, source: str, opening: bytes, closing: bytes) -> None:
    """A body that is nested 100 deep is taken, and brackets in its strings do not count."""
    text = json.dumps(make_event(source=source, id="[" * 200, data=0)).encode()
    deep = text.replace(b'"data": 0', b'"data": ' + opening * 99 + b"1" + closing * 99)

    accepted(service.post_event(deep))

    assert stored(service, source) == [deep.decode()]


def test_bounds_are_settings(strict: Watched, source: str) -> None:
    """`receive.max_body` and `receive.max_depth` hold, to the byte and to the level."""
    event = json.dumps(make_event(source=source, data=ABSENT)).encode()
    deep = [json.dumps(make_event(source=source, data=data)).encode() for data in ([[1]], [[[1]]])]

    accepted(strict.post_event(event.ljust(1024)))
    too_large = strict.post_event(event.ljust(1025))
    accepted(strict.post_event(deep[0]))
    too_deep = strict.post_event(deep[1])

    assert (too_large.status_code, too_deep.status_code) == (413, 400)
    assert "receive.max_body" in too_large.json()["message"]
    assert "more than 3 deep" in too_deep.json()["message"]
    assert len(stored(strict, source)) == 2


def test_producer_needs_no_name(service: Watched, source: str) -> None:
    """An event is taken from whoever sends it, past a proxy too, with a user's name or without."""
    for number, headers in enumerate(
        ({"via": "1.1 proxy"}, {"http_remote_user": "alice"}, {"x_forwarded_for": "192.0.2.1"})
    ):
        accepted(service.post_event(make_event(source=source, id=str(number)), **headers))


# The same event again.


def varied(**changes: Any) -> dict[str, Any]:
    """Return an event that is always the same but for its changes."""
    event = {
        "cloudEventsVersion": "0.1",
        "eventType": "t",
        "eventID": "e",
        "eventTime": "2026-11-22T17:30:00",
        "extensions": {},
        "contentType": "application/json",
        "data": {"a": 1, "b": [1.5, "x", None, True], "time": "12:00"},
    }
    return {name: value for name, value in {**event, **changes}.items() if value is not ABSENT}


def new(**changes: Any) -> dict[str, Any]:
    """Return a 1.0 event that is always the same but for its changes."""
    event = {"specversion": "1.0", "type": "t", "id": "e", "time": "2026-11-22T17:30:00Z", "data": {"a": 1}}
    return {name: value for name, value in {**event, **changes}.items() if value is not ABSENT}


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "all of it": (varied(), varied()),
    "another eventTime": (varied(), varied(eventTime="2026-11-23T00:00:00Z")),
    "no eventTime": (varied(), varied(eventTime=ABSENT)),
    "another order": (varied(), dict(reversed(varied().items()))),
    "another order inside": (varied(), varied(data=dict(reversed(varied()["data"].items())))),
    "1.0 for 1": (varied(data={"a": 1}), varied(data={"a": 1.0})),
    "1e2 for 100": (varied(data=100), varied(data=1e2)),
    "0.1 trace": (varied(extensions={"traceparent": "00-a", "x": 1}), varied(extensions={"x": 1, "tracestate": "b=c"})),
    "1.0 another time": (new(), new(time="2020-01-01T00:00:00Z")),
    "1.0 trace": (new(traceparent="00-a"), new(traceparent="00-b", tracestate="b=c")),
}

OTHER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "data": (varied(), varied(data={"a": 2})),
    "no data": (varied(data=None), varied(data=ABSENT)),
    "type": (varied(), varied(eventType="u")),
    "order of a list": (varied(data=[1, 2]), varied(data=[2, 1])),
    "text for a number": (varied(data=1), varied(data="1")),
    "true for 1": (varied(data=1), varied(data=True)),
    "false for 0": (varied(data=[0]), varied(data=[False])),
    "null for absent": (varied(), varied(unknown=None)),
    "time inside data": (varied(), varied(data={**varied()["data"], "time": "13:00"})),
    "traceparent inside data": (varied(data={"traceparent": 1}), varied(data={"traceparent": 2})),
    "extension": (varied(extensions={"a": 1}), varied(extensions={"a": 2})),
    "integers beyond a double": (varied(data=2**64), varied(data=2**64 + 1)),
    "decomposed letter": (varied(data="ü"), varied(data="u\u0308")),
    "1.0 for 0.1": (varied(), new()),
    "1.0 subject": (new(), new(subject="s")),
    "1.0 time of 0.1": (new(), new(eventtime="x")),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same_again(service: Watched, source: str, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The same event again is answered with the uuid that it has, marked, and is stored once, as it first came."""
    first, again = ({**event, "source": source} for event in pair)

    uuid = accepted(service.post_event(first))
    others = {accepted(service.post_event(again), duplicate=True), accepted(service.post_event(first), duplicate=True)}

    assert others == {uuid}
    assert stored(service, source) == [json.dumps(first, ensure_ascii=False)]


def test_the_same_in_other_bytes(service: Watched, source: str) -> None:
    """White space, escapes and the media type do not make another event."""
    text = json.dumps(varied(source=source, data="ü/A"), ensure_ascii=False)
    other = text.replace("ü/A", "\\u00fc\\/\\u0041").replace(", ", " ,\r\n")

    uuid = accepted(service.post_event(text.encode()))

    assert accepted(service.post_event(other.encode(), content_type=CLOUD), duplicate=True) == uuid
    assert stored(service, source) == [text]


def test_the_same_is_delivered_once(service: Watched, target: RecordingTarget, source: str) -> None:
    """An event that was sent twice is routed once."""
    wait = deliveries(service, target, source)

    for _ in range(3):
        service.post_event(varied(source=source))
    service.post_event(varied(source=source, eventID="last"))

    assert sorted(request.json()["eventID"] for request in wait(2)) == ["e", "last"]
    assert len(target.requests()) == 2


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_conflict_is_taken(service: Watched, source: str, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The same source and id with other content is a row of its own, logged with what it conflicts with."""
    first, other = ({**event, "source": source} for event in pair)

    one = accepted(service.post_event(first))
    two = accepted(service.post_event(other))

    assert one != two
    assert accepted(service.post_event(first), duplicate=True) == one
    assert accepted(service.post_event(other), duplicate=True) == two
    assert sorted(stored(service, source)) == sorted(json.dumps(event, ensure_ascii=False) for event in (first, other))
    assert [line for line in service.log.splitlines() if two in line and f"conflicts_with={one}" in line]


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_conflict_is_refused(refusing: Watched, source: str, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """With `receive.on_conflict = refuse` it is a 409 that names the event which has them, and nothing is stored."""
    first, other = ({**event, "source": source} for event in pair)

    one = accepted(refusing.post_event(first))
    answer = refusing.post_event(other)

    assert answer.status_code == 409
    assert one in answer.json()["message"]
    assert "receive.on_conflict" in answer.json()["message"]
    assert accepted(refusing.post_event(first), duplicate=True) == one
    assert stored(refusing, source) == [json.dumps(first, ensure_ascii=False)]


def test_another_source_or_id_is_no_conflict(refusing: Watched, source: str) -> None:
    """Only source and id together name an event."""
    event = varied(source=source)

    accepted(refusing.post_event(event))
    accepted(refusing.post_event({**event, "source": f"{source}/"}))
    accepted(refusing.post_event({**event, "eventID": "E"}))
    accepted(refusing.post_event({**event, "eventID": "e "}))


def at_once(service: Watched, events: list[dict[str, Any]]) -> list[raw.Answer]:
    """Send every event on a connection of its own, all at the same moment."""
    gate = threading.Barrier(len(events))
    answers: list[raw.Answer] = []

    def send(event: dict[str, Any]) -> None:
        body = json.dumps(event).encode()
        gate.wait(30)
        answers.append(raw.send(service.port, "POST", "/receive", [("Content-Type", "application/json")], body))

    threads = [threading.Thread(target=send, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in answers if answer.status not in (200, 409)] == []
    assert len(answers) == len(events)
    return answers


def test_fifty_at_once_are_one(service: Watched, target: RecordingTarget, source: str) -> None:
    """Fifty clients that send the same event at once are all answered with one uuid, and it is delivered once."""
    wait = deliveries(service, target, source)
    events = [varied(source=source, eventTime=f"2026-11-22T17:30:{second:02}") for second in range(50)]

    answers = [answer.json() for answer in at_once(service, events)]

    assert len({answer["uuid"] for answer in answers}) == 1
    assert Counter(answer["duplicate"] for answer in answers) == {True: 49, False: 1}
    assert len(stored(service, source)) == 1
    accepted(service.post_event(varied(source=source, eventID="last")))
    assert sorted(request.json()["eventID"] for request in wait(2)) == ["e", "last"]


def test_conflicts_at_once_are_as_many_as_there_are_contents(service: Watched, source: str) -> None:
    """Of five contents with one source and id, sent by fifty clients at once, each becomes one row."""
    events = [varied(source=source, data=number % 5) for number in range(50)]

    answers = [answer.json() for answer in at_once(service, events)]

    assert Counter(answer["duplicate"] for answer in answers) == {True: 45, False: 5}
    assert len({answer["uuid"] for answer in answers}) == 5
    assert sorted(json.loads(text)["data"] for text in stored(service, source)) == [0, 1, 2, 3, 4]


def test_refused_conflicts_at_once_leave_one(refusing: Watched, source: str) -> None:
    """Where conflicts are refused, one of five contents wins and all the others are 409."""
    events = [varied(source=source, data=number % 5) for number in range(50)]

    answers = at_once(refusing, events)

    assert Counter(answer.status for answer in answers) == {200: 10, 409: 40}
    assert len({answer.json()["uuid"] for answer in answers if answer.status == 200}) == 1
    assert len(stored(refusing, source)) == 1


def test_all_events_of_a_burst_are_stored(service: Watched, source: str) -> None:
    """Fifty different events at once are fifty rows, all routed."""
    answers = [answer.json() for answer in at_once(service, [varied(source=source, eventID=str(n)) for n in range(50)])]

    assert len({answer["uuid"] for answer in answers}) == 50
    assert len(stored(service, source)) == 50
    statement = f"SELECT COUNT(*) FROM eventlog WHERE source = '{source}' AND routed IS NOT NULL"
    until(lambda: service.rows(statement) == [(50,)], 30, "all to be routed")


# Methods.


def test_options(service: Watched) -> None:
    """OPTIONS names the methods."""
    answer = service.request("OPTIONS", "/receive")

    assert (answer.status_code, answer.content) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"])
def test_other_methods(service: Watched, method: str) -> None:
    """Any other method is a 405 that names those."""
    answer = service.request(method, "/receive", json=make_event())

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_nothing_beneath(service: Watched) -> None:
    """There is nothing beneath /receive."""
    assert service.request("POST", "/receive/x", json=make_event()).status_code == 404


def test_connection_is_used_again(service: Watched, source: str) -> None:
    """After an event that was refused, large or of a wrong type, the next one on the same connection is taken."""
    good = json.dumps(make_event(source=source)).encode()
    refused = [(b"text/plain", good * 3), (b"application/json", b"[" * 300_000), (b"application/json", b"{")]
    with requests.Session() as session:
        session.trust_env = False
        for number, (content_type, body) in enumerate(refused):
            headers = {"Content-Type": content_type.decode()}
            assert session.post(f"{service.url}/receive", data=body, headers=headers, timeout=30).status_code in (
                400,
                415,
            )
            event = make_event(source=source, id=str(number))
            accepted(session.post(f"{service.url}/receive", json=event, timeout=30))

    assert len(stored(service, source)) == len(refused)
