"""The short way of an event answers exactly as the page handler does, byte by byte but for the date."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import raw
from tests.support.factories import make_event, make_event_1_0
from tests.support.missing import missing
from tests.support.processes import Service, Uwsgi
from tests.support.wait import until

from .test_bad_input import EVENTS, FRAMES, GOOD_EVENT, JSON, Bad, documents

CLOUD = "application/cloudevents+json"
PROBLEM = "application/problem+json"
HEADERS = "[('Content-Type', 'application/json'), ('X-Frame-Options', 'DENY'), ('Server', 'ours'), ('X-Ü', 'ü')]"

CHERRYPY_FILE = f"""\
[global]
log.screen: False
log.access_file: 'access.log'

[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: {HEADERS}
"""
#: What changes nothing in an answer, but what the short way does not know: it leaves every request to the page handler.
SHUT = "tools.gzip.compress_level: 5\n"


def post(headers: raw.Headers = (), body: bytes = GOOD_EVENT, path: str = "/receive", version: str = "1.1") -> bytes:
    """Return a POST as it is sent, which ends its connection."""
    named = {name.lower() for name, _ in headers}
    more = [("Host", "x")] if "host" not in named else []
    if not named & {"content-length", "transfer-encoding"}:
        more.append(("Content-Length", str(len(body))))
    head = raw.head("POST", path, [*more, *headers, ("Connection", "close")])
    return head.replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1) + body


def of_bad(bad: Bad) -> bytes:
    """Return a request that must be refused, as it is sent."""
    headers = [*bad.headers, *([("Content-Type", bad.content_type)] if bad.content_type else [])]
    if not bad.length and not bad.headers:
        return raw.head("POST", "/receive", [("Host", "x"), *headers, ("Connection", "close")]) + bad.body
    return post(headers, bad.body)


#: The same event whenever it is sent.
SAME = make_event(id="fixed", source="/fixed")


def event(**members: object) -> bytes:
    """Return its body, with some members changed."""
    return json.dumps(
        {**SAME, **{"eventID" if name == "id" else name: each for name, each in members.items()}}
    ).encode()


LONG_HEADERS = [(f"X-{number}", "x" * 500) for number in range(20)]
TYPES = [
    JSON, CLOUD, "", "Application/JSON", f"{JSON}; charset=utf-8", f"{JSON};charset=UTF-8", f"{CLOUD}; charset=utf-8",
    f'{JSON}; charset="utf-8"', f"{JSON} ;", f"{JSON}; profile=x", f"{JSON}; charset=latin-1", f"{JSON}, {JSON}", " ",
    "text/plain", "application/xml", "=?utf-8?q?application/json?=", "\xfc",
]  # fmt: skip
HEADER_SETS: list[raw.Headers] = [
    [("Accept", PROBLEM)],
    [("Accept", "text/html")],
    [("Accept-Charset", "iso-8859-1;q=0")],
    [("Accept-Charset", "utf-16")],
    [("Cookie", "a=b")],
    [("Cookie", "a[]=\x01; b:c=d\x7f")],
    [("Host", "")],
    [("Host", "a"), ("Host", "b")],
    [("User-Agent", "=?utf-8?b?w7w=?=")],
    [("User-Agent", "=?nonsense?b?w7w=?=")],
    [("User-Agent", "=?utf-8?b?/w==?=")],
    [("User-Agent", 'a "quoted" \\ one \xfc')],
    [("Referer", "http://x/\t")],
    [("Content-Encoding", "identity")],
    [("Content-Encoding", "gzip")],
    [("Content-Encoding", "")],
    [("Expect", "100-continue")],
    [("If-None-Match", "*")],
    [("Range", "bytes=0-1")],
    [("X-Forwarded-For", "192.0.2.1"), ("Via", "1.1 proxy")],
    [("Http-Remote-User", "alice")],
    [("Content_Type", "text/plain")],
    [("Content_Length", "4")],
    [("Authorization", "Basic !!!")],
    [("X-HTTP-Method-Override", "DELETE")],
    LONG_HEADERS,
]
PATHS = [
    "/receive/", "//receive", "/receive//", "/receive/x", "/receive/x/y", "/Receive", "/receive.json", "/receive%2F",
    "/%72eceive", "/receive%00", "/receive?", "/receive?x=1", "/receive?source", "/receive?a=%ff", "/receive?self=x",
    "/receive#x", "http://x/receive", "/x/../receive", "/receive;x", "/receive/%ff", "/rec%C3%A9ive", "*",
]  # fmt: skip

#: Requests by name; each goes to both ways on a connection of its own.
REQUESTS: dict[str, bytes] = {
    **{f"document {bad.name}": of_bad(bad) for bad in documents(GOOD_EVENT)},
    **{f"event {bad.name}": of_bad(bad) for bad in EVENTS},
    **{
        f"problem {bad.name}": post([("Content-Type", JSON), ("Accept", PROBLEM)], bad.body)
        for bad in documents(GOOD_EVENT)[:8]
    },
    **{f"framing {name}": post([("Content-Type", JSON), *headers]) for name, headers in FRAMES.items()},
    **{f"type {name!r}": post([("Content-Type", name)]) for name in TYPES},
    **{f"header {headers[0]}": post([("Content-Type", JSON), *headers]) for headers in HEADER_SETS},
    **{f"path {path}": post([("Content-Type", JSON)], path=path) for path in PATHS},
    **{f"version {number}": post([("Content-Type", JSON)], version=number) for number in ("1.0", "1.2", "2.0", "0.9")},
    **{
        f"method {method} {path}": post(path=path).replace(b"POST", method.encode(), 1)
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post", "X")
        for path in ("/receive", "/receive/x")
    },
    "good": post([("Content-Type", JSON)], event()),
    "good again": post([("Content-Type", JSON)], event()),
    "good and problem": post([("Content-Type", JSON), ("Accept", PROBLEM)], event()),
    "conflict": post([("Content-Type", JSON)], event(data="other")),
    "conflict, problem": post([("Content-Type", JSON), ("Accept", PROBLEM)], event(data="other")),
    "good, 1.0": post([("Content-Type", CLOUD)], json.dumps(make_event_1_0(id="new", source="/fixed")).encode()),
    "good, HTTP/1.0": post([("Content-Type", JSON)], event(), version="1.0"),
    "good in chunks": post([("Transfer-Encoding", "chunked")], raw.chunked([event()[:10], event()[10:]])),
    "no host": event().join([b"POST /receive HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(event()), b""]),
    "no host, HTTP/1.0": event().join([b"POST /receive HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(event()), b""]),
    "kept open": post([("Content-Type", JSON)], event()).replace(b"Connection: close\r\n", b"")
    + post([("Content-Type", "text/plain")]).replace(b"Connection: close\r\n", b"")
    + post([("Content-Type", JSON)], event()),
    "largest": post([("Content-Type", JSON)], event(id="large").ljust(1024 * 1024)),
    "largest but one": post([("Content-Type", JSON)], event(id="large").ljust(1024 * 1024 + 1)),
}  # fmt: skip


def told(port: int, sent: bytes, *, slowly: bool = False) -> bytes:
    """Send bytes and return what comes back, without what differs from time to time: the date and the uuids."""
    if slowly:
        found = b""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            for piece in (sent[:20], sent[20:100], sent[100:-5], sent[-5:]):
                connection.sendall(piece)
            while chunk := connection.recv(65536):
                found += chunk
    else:
        found = raw.exchange(port, sent)
    found = re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate:", found)
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"UUID", found)


Ways = tuple[Service | Uwsgi, Service | Uwsgi]


@pytest.fixture(scope="module", params=["embedded", "uwsgi"])
def ways(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """Two services that differ in nothing but in whether the short way is open; both refuse conflicts."""
    if request.param == "uwsgi" and (reason := Uwsgi.available()):
        missing(reason)
    with ExitStack() as stack:
        found = []
        for name, more in (("short", ""), ("long", SHUT)):
            folder = tmp_path_factory.mktemp(name)
            file = folder / "server.conf"
            file.write_text(CHERRYPY_FILE + more, encoding="utf-8")
            settings = {"receive.on_conflict": "refuse"}
            if request.param == "embedded":
                service: Service | Uwsgi = Service(folder, settings, args=["--cpconfig", str(file)])
            else:
                service = Uwsgi(folder, settings, {"NOTIFICATIONS_CPCONFIG": str(file)}, args=["--threads", "4"])
            service.kept = True
            found.append(stack.enter_context(service))
        yield found[0], found[1]
        for service in found:
            service.stop()


@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_answer_the_same(ways: Ways, name: str) -> None:
    """Status, headers in their order and body are the same, whatever is sent."""
    short, long = ways

    assert told(short.port, REQUESTS[name]) == told(long.port, REQUESTS[name])


def test_a_slow_client_is_answered_the_same(ways: Ways) -> None:
    """A request that comes in pieces is read to its end."""
    sent = post([("Content-Type", JSON)], event(id="slow"))

    answers = [told(service.port, sent, slowly=True) for service in ways]

    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 200 OK\r\n")


def test_each_way_is_the_one_that_it_is_said_to_be(ways: Ways) -> None:
    """Only the one whose CherryPy file has what the short way does not know says so."""
    for service in ways:
        told(service.port, post([("Content-Type", JSON)], event()))

    assert ["receive.slower because=tools.gzip.compress_level" in service.log for service in ways] == [False, True]


def test_the_access_log_has_the_same_line(ways: Ways) -> None:
    """The operator's log has a line for each event, made as CherryPy makes it."""
    headers = [("Content-Type", JSON), ("User-Agent", 'logged "so"'), ("Referer", "http://x/\\y")]
    lines = []

    for service in ways:
        told(service.port, post(headers, event()))
        file = Path(service.cwd or ".") / "access.log"
        until(lambda file=file: "logged" in file.read_text(), 10, "the line")  # type: ignore[misc]
        (line,) = [line for line in file.read_text().splitlines() if "logged" in line]
        lines.append(re.sub(r"\[[^]]*\]", "[]", line))

    assert lines[0] == lines[1]
    assert '"POST /receive HTTP/1.1" 200 ' in lines[0]
