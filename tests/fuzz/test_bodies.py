"""Bodies and bytes that nobody thought of: each is answered, none with a fault of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import raw
from tests.support.databases import make_tables
from tests.support.factories import make_event, make_event_1_0, make_subscription
from tests.support.watched import Watched, ending_well

JSON = "application/json"
TYPES = [
    JSON,
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "text/plain",
    "",
    "x",
    "a/b;c=\xff",
]
USER = ("Http-Remote-User", "alice")
#: More with FUZZ_EXAMPLES.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
FUZZED = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))


def mutated(good: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Give a good body in which some members are something else, others left out, and some are new."""
    known = st.sampled_from([*good, "uuid", "user", "auth", "retry", "limits", "disabled", "data_base64", "time"])
    changes = st.dictionaries(known | texts, values, max_size=4)
    gone = st.sets(st.sampled_from(sorted(good)), max_size=2)
    return st.builds(
        lambda more, less: {name: one for name, one in {**good, **more}.items() if name not in less}, changes, gone
    )


subscriptions = mutated(make_subscription(target_url="http://127.0.0.1:9/", auth={}, extensions={}))
events = mutated(make_event()) | mutated(make_event_1_0())
bodies = st.one_of(
    values.map(json.dumps).map(str.encode),
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"[", b"{", b'"', b"\\", b",", b":", b"1e999", b"\xff", b"null", b"\\ud800"])).map(
        b"".join
    ),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A service that must be well at the end, with no traceback in its log."""
    folder: Path = tmp_path_factory.mktemp("service")
    url = f"sqlite:///{folder / 'db.sqlite3'}"
    make_tables(url)
    with ending_well(Watched(folder, url)) as started:
        yield started


def answered(service: Watched, method: str, path: str, headers: raw.Headers, body: bytes) -> None:
    """Send a request; its answer is one, and no fault of the service."""
    answer = raw.send(service.port, method, path, headers, body)
    assert answer.status < 500, (answer.text, body)
    assert b"Traceback" not in answer.body
    if answer.status >= 400:
        assert answer.json()["message"]


@FUZZED
@given(st.one_of(events.map(json.dumps).map(str.encode), bodies), st.sampled_from(TYPES), st.booleans())
def test_any_body_for_receive(service: Watched, body: bytes, media_type: str, batch: bool) -> None:
    """Whatever is sent to `/receive` is taken or refused."""
    sent = b"[" + body + b"]" if batch else body
    answered(service, "POST", "/receive", [("Content-Type", media_type)], sent)


@FUZZED
@given(
    st.dictionaries(
        st.sampled_from(["specversion", "type", "source", "id", "time", "subject", "x", "data", "datacontenttype"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)
        | st.sampled_from(
            ["1.0", "0.3", "0.2", '"0.2"', "%20", "%C0%A0", '"a', "=?utf-8?q?x?=", "2026-01-01T00:00:00Z"]
        ),
    ),
    st.sampled_from(TYPES),
    st.binary(max_size=50),
)
def test_any_event_in_binary_mode(service: Watched, fields: dict[str, str], media_type: str, body: bytes) -> None:
    """Whatever attributes stand in headers, the event is taken or refused."""
    headers = [(f"ce-{name}", value) for name, value in fields.items()]
    answered(service, "POST", "/receive", [("Content-Type", media_type), *headers], body)


@FUZZED
@given(st.one_of(subscriptions.map(json.dumps).map(str.encode), bodies), st.booleans())
def test_any_body_for_a_subscription(service: Watched, body: bytes, change: bool) -> None:
    """Whatever is sent to `/eventmatch` is taken or refused, as a new subscription and as a change of one."""
    path = "/eventmatch"
    if change:
        path += "/" + service.subscribe("alice", jsonpath="$.nothing", target_url="http://127.0.0.1:9/")["uuid"]
    answered(service, "PUT" if change else "POST", path, [USER, ("Content-Type", JSON)], body)


@FUZZED
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"]),
    st.sampled_from(["/receive", "/eventmatch", "/eventmatch/", "/eventmatch?", "/errors/", "/docs/", "/", "//", "/%"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Accept",
                    "If-Match",
                    "If-None-Match",
                    "Cookie",
                    "Range",
                    "Expect",
                    "Content-Encoding",
                    "Accept-Charset",
                ]
            ),
            st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12),
        ),
        max_size=3,
    ),
)
def test_any_path_and_headers(service: Watched, method: str, start: str, rest: str, headers: raw.Headers) -> None:
    """Whatever is asked for in whatever way is answered."""
    answered_raw(service, raw.head(method, start + rest, [("Host", "x"), USER, *headers, ("Connection", "close")]))


@FUZZED
@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from(
            [
                *(b"POST /receive HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: 5\r\n"),
                *(b"Transfer-Encoding: chunked\r\n", b"\r\n", b"\n", b"0\r\n", b"5\r\n", b"{}", b" ", b"\0"),
            ]
        ),
        max_size=12,
    ).map(b"".join)
)
def test_any_bytes(service: Watched, sent: bytes) -> None:
    """Whatever comes over a connection is answered, or the connection ends."""
    answered_raw(service, sent)


def answered_raw(service: Watched, sent: bytes) -> None:
    """Send bytes; no answer tells of a fault of the service, but that it does not speak what was asked for."""
    received = raw.exchange(service.port, sent)
    assert b"Traceback" not in received
    assert b"HTTP/1.1 500" not in received, (received, sent)
    assert b"HTTP/1.1 503" not in received, (received, sent)
