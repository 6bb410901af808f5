"""`/receive` in binary and batched mode, on every database: what is stored, what is answered, what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from tests.support import pages
from tests.support.factories import make_event, make_event_1_0
from tests.support.raw import send
from tests.support.watched import Watched

from .conftest import Start

BATCH = "application/cloudevents-batch+json"
CLOUD = "application/cloudevents+json"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture(scope="module")
def refusing(start: Start) -> Watched:
    """A service that refuses conflicts, and batches of more than five."""
    return start({"receive.on_conflict": "refuse", "receive.max_batch": 5})


@pytest.fixture
def source() -> str:
    """A source that no other test has."""
    return f"/tests/{uuid4()}"


def post(service: Watched, body: bytes, content_type: str | None, headers: Mapping[str, str] | None = None) -> Any:
    """POST bytes with headers."""
    sent = dict(headers or {}) | ({"Content-Type": content_type} if content_type else {})
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{service.url}/receive", data=body, headers=sent, timeout=30)


def attributes(source: str, **more: str) -> dict[str, str]:
    """Return the headers of a small event."""
    return {"ce-specversion": "1.0", "ce-id": "1", "ce-source": source, "ce-type": "t"} | more


def rows(service: Watched, source: str) -> list[tuple[str, str, str]]:
    """Return text, mode and media type of the events of a source as they are in the table, by their ids."""
    statement = (
        f"SELECT jsondata, mode, content_type FROM eventlog WHERE source = '{source}' ORDER BY event_id, created"
    )
    return [tuple(row) for row in service.rows(statement)]


def accepted(answer: requests.Response) -> Any:
    """Check that an answer says that something was taken, and return what it says."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


# Structured mode, next to the others.


def test_structured_mode_is_kept(service: Watched, source: str) -> None:
    """3.2 A structured event is stored as it came, also where its headers repeat, or contradict, its attributes."""
    text = json.dumps(make_event_1_0(source=source, id="1"))

    found = accepted(post(service, text.encode(), "Application/CloudEvents+JSON", attributes("/other")))

    assert rows(service, source) == [(text, "structured", CLOUD)]
    assert found["duplicate"] is False


# Binary mode.


def test_binary_mode(service: Watched, source: str) -> None:
    """3.2 A binary event is stored in its structured form with its data byte for byte, and its mode."""
    data = b'{"n" : 1.10,\n "e":1E+2}'
    headers = attributes(source, **{"CE-Subject": "Euro%20%E2%82%AC%20%F0%9F%98%80", "ce-shard": '"a \\"q\\""'})

    found = accepted(post(service, data, "application/json; charset=utf-8", headers))

    ((text, mode, content_type),) = rows(service, source)
    assert (mode, content_type, found) == ("binary", CLOUD, {"uuid": str(UUID(found["uuid"])), "duplicate": False})
    assert text.endswith('"data":' + data.decode() + "}")
    assert json.loads(text) == {
        "specversion": "1.0",
        "id": "1",
        "source": source,
        "type": "t",
        "subject": "Euro € 😀",
        "shard": 'a "q"',
        "datacontenttype": "application/json; charset=utf-8",
        "data": {"n": 1.1, "e": 100},
    }


@pytest.mark.parametrize("content_type", ["application/octet-stream", None], ids=["octets", "none"])
def test_binary_mode_with_any_bytes(service: Watched, source: str, content_type: str | None) -> None:
    """3.1 Bytes are stored as base64, and no type is made up for them."""
    accepted(post(service, bytes(range(256)), content_type, attributes(source)))

    value = json.loads(rows(service, source)[0][0])
    assert value["data_base64"].startswith("AAECAwQF")
    assert value.get("datacontenttype") == content_type


def test_binary_mode_again_is_a_duplicate(service: Watched, source: str) -> None:
    """The same event in binary mode again, and in structured mode, is answered as before."""
    first = accepted(post(service, b"[1.0]", "application/json", attributes(source)))
    second = accepted(
        post(service, b"[1]", "application/json", attributes(source, **{"ce-time": "2026-01-01T00:00:00Z"}))
    )
    event = {"specversion": "1.0", "id": "1", "source": source, "type": "t"}
    event |= {"datacontenttype": "application/json", "data": [1]}
    third = accepted(post(service, json.dumps(event).encode(), CLOUD))

    assert second == third == {"uuid": first["uuid"], "duplicate": True}
    assert len(rows(service, source)) == 1


def test_a_refused_conflict_in_binary_mode(refusing: Watched, source: str) -> None:
    """Where conflicts are refused, one in binary mode is a 409."""
    accepted(post(refusing, b"1", "application/json", attributes(source)))

    answer = post(refusing, b"2", "application/json", attributes(source))

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/id")


def test_binary_mode_is_not_guessed(service: Watched, source: str) -> None:
    """3.2 Without any `ce-` header JSON is a structured event, as Pacifica sends it, and no other type is an event."""
    text = json.dumps(make_event(source=source))

    accepted(post(service, text.encode(), "application/json"))

    assert rows(service, source) == [(text, "structured", "application/json")]
    answer = post(service, text.encode(), "text/plain")
    assert answer.status_code == 415
    assert all(word in answer.json()["message"] for word in (CLOUD, BATCH, "ce-specversion"))


def test_a_header_of_bytes(service: Watched, source: str) -> None:
    """A header that holds UTF-8 as it is, is read as that; one of other bytes is refused."""
    headers = [*attributes(source).items(), ("Content-Type", "text/plain")]

    good = send(service.port, "POST", "/receive", [*headers, ("ce-subject", "ü".encode().decode("latin-1"))], b"x")
    bad = send(service.port, "POST", "/receive", [*headers, ("ce-subject", "\xfc")], b"x")

    assert (good.status, bad.status) == (200, 400)
    assert json.loads(rows(service, source)[0][0])["subject"] == "ü"
    assert bad.json()["errors"][0]["pointer"] == "/subject"


# Batches.


def batch(source: str, *numbers: int, **changes: Any) -> list[dict[str, Any]]:
    """Return small events with these ids."""
    return [{"specversion": "1.0", "id": str(n), "source": source, "type": "t", **changes} for n in numbers]


def test_a_batch(service: Watched, source: str) -> None:
    """3.1 Every event of a batch is a row with its own slice of the text; they are answered in order."""
    texts = [json.dumps(event, indent=indent) for indent, event in enumerate(batch(source, 0, 1, 2, data=[1, "]"]))]

    found = accepted(post(service, f" [{texts[0]},{texts[1]} , {texts[2]}]\n".encode(), BATCH))

    assert rows(service, source) == [(text, "batched", CLOUD) for text in texts]
    assert [each["duplicate"] for each in found] == [False] * 3
    assert len({UUID(each["uuid"]) for each in found}) == 3


def test_an_empty_batch(service: Watched) -> None:
    """3.1 An empty batch is valid, and answered with an empty list."""
    assert accepted(post(service, b"[]", f"{BATCH}; charset=UTF-8")) == []


def test_a_batch_tells_what_was_there(service: Watched, source: str) -> None:
    """What was there, or stands twice in a batch, is marked."""
    (first,) = accepted(post(service, json.dumps(batch(source, 1)).encode(), BATCH))

    found = accepted(post(service, json.dumps(batch(source, 2, 1, 2)).encode(), BATCH))

    assert [each["duplicate"] for each in found] == [False, True, True]
    assert (found[1]["uuid"], found[0]["uuid"]) == (first["uuid"], found[2]["uuid"])
    assert len(rows(service, source)) == 2


def test_a_batch_with_a_bad_member_is_refused_whole(service: Watched, source: str) -> None:
    """A batch is accepted whole or refused whole; the member is named by its place."""
    events = [*batch(source, 0, 1), {"specversion": "1.0", "id": "2", "type": "t"}]

    answer = post(service, json.dumps(events).encode(), BATCH)

    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "/2/source", "message": "is required"}]
    assert rows(service, source) == []


def test_a_batch_with_a_refused_conflict_is_refused_whole(refusing: Watched, source: str) -> None:
    """Where conflicts are refused, a batch with one, against a row or within itself, is a 409 and leaves nothing."""
    accepted(post(refusing, json.dumps(batch(source, 1)).encode(), BATCH))
    against_row = [*batch(source, 0), *batch(source, 1, data=2)]
    within = [*batch(source, 5), *batch(source, 6), *batch(source, 5, data=1)]

    answers = [post(refusing, json.dumps(events).encode(), BATCH) for events in (against_row, within)]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert [[error["pointer"] for error in answer.json()["errors"]] for answer in answers] == [["/1/id"], ["/2/id"]]
    assert len(rows(refusing, source)) == 1
    assert [
        each["duplicate"] for each in accepted(post(refusing, json.dumps(batch(source, 0, 1)).encode(), BATCH))
    ] == [
        False,
        True,
    ]


def test_the_size_of_a_batch_is_a_setting(refusing: Watched, source: str) -> None:
    """`receive.max_batch` bounds the events of a batch, and is named by what is refused for it."""
    accepted(post(refusing, json.dumps(batch(source, *range(5))).encode(), BATCH))

    answer = post(refusing, json.dumps(batch(source, *range(6))).encode(), BATCH)

    assert answer.status_code == 413
    assert "receive.max_batch" in answer.json()["message"]


def test_a_batch_of_the_largest_size(service: Watched, source: str) -> None:
    """A batch of as many events as the setting allows, of all the bytes that a body may have, is taken."""
    events = batch(source, *range(100), data="x" * 10_350)
    body = json.dumps(events).encode()
    assert 1024 * 1024 - 5_000 < len(body) < 1024 * 1024

    found = accepted(post(service, body, BATCH))

    assert len({each["uuid"] for each in found}) == 100
    assert len(rows(service, source)) == 100


# A sender asks whether it may send.


@pytest.fixture(scope="module")
def choosy(start: Start) -> Watched:
    """A service that tells two senders that they may send."""
    return start({"receive.webhook_origins": "Events.example.com, other.example.org", "receive.webhook_rate": 120})


def asked(service: Watched, origin: str | None = None, **more: str) -> tuple[str | None, str | None]:
    """Return what OPTIONS allows: which origin, at which rate."""
    headers = ({"WebHook-Request-Origin": origin} if origin else {}) | more
    answer = requests.request("OPTIONS", f"{service.url}/receive", headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    return answer.headers.get("WebHook-Allowed-Origin"), answer.headers.get("WebHook-Allowed-Rate")


def test_any_sender_may_send(service: Watched) -> None:
    """3.3 With nothing set, every sender is told that it may send, at any rate."""
    assert asked(service, "events.example.com", **{"WebHook-Request-Rate": "100"}) == ("*", "*")
    assert asked(service) == ("*", "*")


def test_some_senders_may_send(choosy: Watched) -> None:
    """3.3 Where senders are named, each of them is told so, with the rate; any other gets no consent."""
    assert asked(choosy, "events.example.com") == ("Events.example.com", "120")
    assert asked(choosy, "OTHER.example.org") == ("other.example.org", "120")
    assert asked(choosy, "example.org") == asked(choosy, "*") == asked(choosy) == (None, None)


# The documentation.


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="curl is not installed here")
def test_every_example_of_the_documentation(service: Watched) -> None:
    """Each command of the page about CloudEvents is answered as the page shows, but for the uuids."""
    page = "docs/reference/cloudevents.md"
    blocks = [block for block in pages.blocks_of(page, pages.read(page)) if block.language in ("bash", "json")]
    commands, answers = blocks[:8:2], blocks[1:8:2]
    assert [block.language for block in blocks] == [*["bash", "json"] * 4, "bash"]

    for command, answer in zip(commands, answers, strict=True):
        text = command.text.replace("http://localhost:8070", service.url)
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True, timeout=60)

        assert without_uuids(done.stdout) == without_uuids(answer.text), command


def without_uuids(text: str) -> Any:
    """Return an answer with the same uuid everywhere."""
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", text))
