"""Errors: every family of them in the documented form and as a problem document, whatever else is configured."""

from __future__ import annotations

import html
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.support import raw
from tests.support.factories import make_event, make_subscription
from tests.support.missing import missing
from tests.support.processes import Command, Uwsgi
from tests.support.servers import MariaDB, PostgreSQL
from tests.support.watched import Watched

from .conftest import Start

JSON, PROBLEM = "application/json", "application/problem+json"
#: What stands in every error.
OLD_KEYS = ["status", "message", "traceback", "version"]
NEW_KEYS = ["type", "title", "detail", "errors"]
PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

#: The documented CherryPy file, with a tool that sets a media type of its own and with CherryPy's logs.
CHERRYPY_FILE = """\
[global]
log.screen: True
log.access_file: 'access.log'
log.error_file: 'error.log'
server.socket_host: '0.0.0.0'
server.socket_port: 8070

[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: [('Content-Type', 'application/json')]
"""


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: an error has the same form whatever database it has to do with."""
    return "sqlite"


@pytest.fixture(scope="module")
def plain(start: Start) -> Watched:
    """A service without a CherryPy file, which refuses conflicts."""
    return start({"receive.on_conflict": "refuse"})


@pytest.fixture(scope="module")
def documented(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A service with the documented CherryPy file."""
    file = tmp_path_factory.mktemp("cherrypy") / "server.conf"
    file.write_text(CHERRYPY_FILE)
    return start({"receive.on_conflict": "refuse"}, args=["-c", str(file)])


@pytest.fixture(params=["plain", "documented"])
def service(request: pytest.FixtureRequest) -> Watched:
    """A service, once without a CherryPy file and once with the documented one."""
    found: Watched = request.getfixturevalue(request.param)
    return found


Ask = Callable[[Watched, dict[str, str]], requests.Response]


def conflict(service: Watched, headers: dict[str, str]) -> requests.Response:
    """Send an event, then another one with its source and id."""
    event = make_event()
    assert service.post_event(event).status_code == 200
    return service.request("POST", "/receive", json={**event, "data": "other"}, headers=headers)


def ask(method: str, path: str, user: str | None = "alice", **options: Any) -> Ask:
    """Return what sends a request."""

    def send(service: Watched, headers: dict[str, str]) -> requests.Response:
        both = {**options.get("headers", {}), **headers}
        return service.request(method, path, user=user, **{**options, "headers": both})

    return send


BODY: dict[str, Any] = {"data": b"{}", "headers": {"Content-Type": JSON}}
TEXT: dict[str, Any] = {"data": b"{}", "headers": {"Content-Type": "text/plain"}}

#: One request for each place where an error may come from: its status, its kind, and words of its message.
FAMILIES: dict[str, tuple[int, str, str, Ask]] = {
    "body that is no JSON": (400, "invalid-body", "not JSON", ask("POST", "/receive", **{**BODY, "data": b"{"})),
    "body that is no event": (400, "invalid-event", "specversion", ask("POST", "/receive", **BODY)),
    "body that is no subscription": (
        400,
        "invalid-subscription",
        "name is required",
        ask("POST", "/eventmatch", **BODY),
    ),
    "query": (400, "invalid-parameter", "limit", ask("GET", "/eventmatch?limit=0")),
    "no uuid": (400, "invalid-parameter", "uuid", ask("GET", "/eventmatch/x")),
    "no user": (
        401,
        "no-identity",
        "notifications.user_header",
        ask("GET", "/eventmatch", None, headers={"Via": "1.1 x"}),
    ),
    "not one's own": (403, "not-yours", "no such subscription", ask("GET", f"/eventmatch/{uuid4()}")),
    "unknown path": (404, "not-found", "/nothing/here", ask("GET", "/nothing/here")),
    "nothing beneath": (404, "not-found", "/receive/x", ask("POST", "/receive/x", **BODY)),
    "query that is no UTF-8": (404, "not-found", "utf8", ask("GET", "/eventmatch?name=%ff")),
    "method of the framework's": (405, "method-not-allowed", "invalid", ask("PATCH", "/eventmatch")),
    "method of ours": (405, "method-not-allowed", "PUT", ask("POST", f"/eventmatch/{uuid4()}", **BODY)),
    "method of the root": (405, "method-not-allowed", "invalid", ask("DELETE", "/")),
    "conflict": (409, "conflict", "other content", conflict),
    "too large": (413, "too-large", "receive.max_body", ask("POST", "/receive", **{**BODY, "data": b" " * 1_100_000})),
    "media type": (415, "unsupported-media-type", "text/plain", ask("POST", "/receive", **TEXT)),
    "media type of a subscription": (415, "unsupported-media-type", "text/plain", ask("POST", "/eventmatch", **TEXT)),
}


@pytest.mark.parametrize(("status", "kind", "says", "send"), FAMILIES.values(), ids=FAMILIES)
def test_documented_form(service: Watched, status: int, kind: str, says: str, send: Ask) -> None:
    """An error has the documented four keys and those of RFC 9457 beside them, as `application/json`."""
    answer = send(service, {})

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, JSON)
    error = answer.json()
    assert list(error) == OLD_KEYS + NEW_KEYS
    assert error["status"] == f"{status} {PHRASES[status]}"
    assert error["traceback"] == ""
    assert error["version"] == service.get("/").json()["version"]
    assert says in error["message"]
    assert (error["type"], error["detail"]) == (f"/errors/{kind}", error["message"])
    assert all(set(fault) == {"pointer", "message"} for fault in error["errors"])
    assert answer.content == json.dumps(error, ensure_ascii=False).encode(), "something is put around the document"


@pytest.mark.parametrize(("status", "kind", "says", "send"), FAMILIES.values(), ids=FAMILIES)
def test_problem_document(service: Watched, status: int, kind: str, says: str, send: Ask) -> None:
    """With `Accept: application/problem+json` an error is a problem document of RFC 9457."""
    answer = send(service, {"Accept": PROBLEM})

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM)
    problem = answer.json()
    assert sorted(problem) == ["detail", "errors", "status", "title", "type"]
    page = service.get(problem["type"]).json()
    assert (problem["type"], problem["status"]) == (f"/errors/{kind}", status)
    assert {name: problem[name] for name in ("type", "title", "status")}.items() < page.items()
    assert says in problem["detail"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        (JSON, JSON),
        ("text/html", JSON),
        ("application/json;q=0.1, text/*", JSON),
        (f"{PROBLEM}, {JSON};q=0.5", PROBLEM),
        (f"text/html, {PROBLEM};q=0.9", PROBLEM),
        (PROBLEM.title(), PROBLEM),
    ],
)
@pytest.mark.parametrize("path", ["/nothing", "/eventmatch/x"])
def test_negotiation(plain: Watched, path: str, accept: str | None, media_type: str) -> None:
    """A problem document is for whoever names its media type; everybody else gets the documented form."""
    answer = plain.get(path, user="alice", headers={"Accept": accept})

    assert answer.headers["Content-Type"] == media_type
    assert ("traceback" in answer.json()) == (media_type == JSON)


def test_problem_is_asked_for_by_errors_alone(service: Watched) -> None:
    """What is no error is `application/json`, also for a client that takes problem documents."""
    answer = service.get("/eventmatch", user="nobody", headers={"Accept": PROBLEM})

    assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (200, JSON, [])


def test_pages_of_errors(plain: Watched) -> None:
    """Each kind of error has a page, for a program as JSON and for a browser as HTML that loads and runs nothing."""
    every = plain.get("/errors").json()

    assert len({one["type"] for one in every}) == len(every) > 15
    for one in every:
        assert set(one) == {"type", "title", "status", "remedy"}
        assert plain.get(one["type"]).json() == one
        page = plain.get(one["type"], headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert html.escape(one["title"]) in page.text
        assert html.escape(one["remedy"]) in page.text
    for path in ("/errors/x", "/errors/not-found/x", "/errors/..%2fnot-found", "/errors/%00"):
        assert plain.get(path).status_code == 404


def test_head_of_an_error(service: Watched) -> None:
    """HEAD of what is an error has its headers and no body."""
    for accept, expected in ((JSON, JSON), (PROBLEM, PROBLEM)):
        answer = service.request("HEAD", "/nothing", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (404, expected, b"")


def test_documented_file_is_honoured(documented: Watched, start: Start) -> None:
    """CherryPy's own log file has the requests, and what was given on the command line beats the file's port."""
    documented.get("/nothing-of-this-name")
    folder = Path(documented.cwd or ".")

    documented.until(
        lambda: "GET /nothing-of-this-name" in (folder / "access.log").read_text(), 10, "a line of the access log"
    )
    assert documented.port != 8070
    assert documented.get("/health/ready").headers["Content-Type"] == JSON


def test_file_may_turn_tools_on(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tool that the operator turns on answers its errors in our form too: 406 of the framework itself."""
    file = tmp_path_factory.mktemp("cherrypy") / "server.conf"
    file.write_text(f"{CHERRYPY_FILE}tools.accept.on: True\ntools.accept.media: 'application/json'\n")
    service = start(args=["--cpconfig", str(file)])

    wrong, right = (service.get("/", headers={"Accept": accept}) for accept in ("image/png", "application/json"))

    assert (wrong.status_code, right.status_code) == (406, 200)
    assert wrong.json()["status"] == "406 Not Acceptable"
    assert (wrong.json()["traceback"], wrong.headers["Content-Type"]) == ("", JSON)


# Before anybody knows what is asked for.


@pytest.mark.parametrize(
    "headers",
    [[], [("Host", "a"), ("Cookie", "a[]=\x01; b:c=d\x7f")], [("Host", "a"), ("Host", "b")]],
    ids=["no host", "cookie", "two hosts"],
)
@pytest.mark.parametrize("accept", [JSON, PROBLEM])
def test_early_error(service: Watched, headers: raw.Headers, accept: str) -> None:
    """An error that comes before the path is looked at has the same form, if it is one."""
    sent = raw.head("GET", "/health/live", [("Accept", accept), *headers, ("Connection", "close")])

    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent)
        answer = raw.receive(connection, "GET")

    assert answer.status in (200, 400), answer.text
    if answer.status == 400:
        assert answer.headers["Content-Type"] == accept
        assert answer.json()["status"] == (400 if accept == PROBLEM else "400 Bad Request")
        assert answer.json().get("traceback", "") == ""
    assert (answer.status == 400) or headers


def test_uwsgi(tmp_path: Path) -> None:
    """Behind uWSGI errors have the same form, also those that come early and those of framing."""
    reason = Uwsgi.available()
    if reason:
        missing(reason)
    with Uwsgi(tmp_path) as service:
        early = raw.exchange(service.port, b"GET / HTTP/1.1\r\n\r\n")
        problem = service.get("/nothing", headers={"Accept": PROBLEM})
        both = [("Transfer-Encoding", "chunked"), ("Content-Length", "4")]
        framing = raw.send(service.port, "POST", "/receive", both, b"0\r\n\r\n", length=False)

        assert early.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert json.loads(early.partition(b"\r\n\r\n")[2])["traceback"] == ""
        assert (problem.status_code, problem.headers["Content-Type"]) == (404, PROBLEM)
        assert problem.json()["type"] == "/errors/not-found"
        assert (framing.status, framing.json()["traceback"]) == (400, "")
        service.stop()


# What follows on the same connection.


def converse(service: Watched, requests_: list[bytes]) -> list[int]:
    """Send requests one after the other on one connection and return the statuses until it ends."""
    statuses: list[int] = []
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        for sent in requests_:
            try:
                connection.sendall(sent)
                statuses.append(raw.receive(connection, "GET").status)
            except OSError:
                break
    return statuses


def request_of(method: str, path: str, headers: raw.Headers = (), body: bytes = b"") -> bytes:
    """Return a request that leaves the connection open."""
    return raw.head(method, path, [("Host", "x"), *headers]) + body


LIVE = request_of("GET", "/health/live")
GOOD = json.dumps(make_event()).encode()
#: What an attacker would like to be read as a request of its own.
HIDDEN = request_of("GET", "/eventmatch", [("Http-Remote-User", "victim")])


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (415, [("Content-Type", "text/plain"), ("Content-Length", "20000")], b"x" * 20_000),
        (415, [("Content-Type", "text/plain"), ("Content-Length", str(len(HIDDEN)))], HIDDEN),
        (400, [("Content-Length", "20000")], b"x" * 20_000),
        (400, [("Content-Length", "0")], b""),
    ],
    ids=["not read", "looks like a request", "no JSON", "empty"],
)
def test_connection_goes_on(service: Watched, status: int, headers: raw.Headers, body: bytes) -> None:
    """After an error the next request on the connection is answered, and the refused body is not taken for one."""
    refused = request_of("POST", "/receive", headers, body)

    assert converse(service, [refused, LIVE, refused, LIVE]) == [status, 200, status, 200]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Content-Length", "5"), ("Transfer-Encoding", "chunked")], raw.chunked([GOOD]) + HIDDEN),
        ([("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")], raw.chunked([b"x" * 100])),
        ([("Content-Length", "-1")], b""),
        ([("Content-Length", "4"), ("Content-Length", "9")], b"{}  " + HIDDEN),
        ([("Content-Length", "99999999999"), ("Content-Type", "text/plain")], b""),
    ],
    ids=["length and chunks", "chunks not read", "negative", "two lengths", "endless"],
)
def test_connection_ends(service: Watched, headers: raw.Headers, body: bytes) -> None:
    """Where it can't be told what follows, the answer is an error and the connection ends with it."""
    refused = request_of("POST", "/receive", headers, body)

    statuses = converse(service, [refused, LIVE])

    assert len(statuses) == 1
    assert 400 <= statuses[0] < 500


# Faults of our own.


def test_own_fault(start: Start) -> None:
    """A fault of our own is a 500 whose number the log has with the reason; the client learns no more."""
    service = start()
    service.subscribe("alice", target_url="http://127.0.0.1:9/")
    service.execute("UPDATE eventmatch SET uuid = 'broken'")

    answers = [service.get("/eventmatch", user="alice", headers={"Accept": accept}) for accept in (JSON, PROBLEM)]
    service.execute("DELETE FROM eventmatch")

    for answer, media_type in zip(answers, (JSON, PROBLEM), strict=True):
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, media_type)
        error = answer.json()
        assert "Traceback" not in answer.text
        assert "broken" not in answer.text
        assert (error["type"], error["title"]) == ("/errors/internal-error", "The service failed")
        (number,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", error["detail"])
        assert f"request.failed error={number}" in service.log
    assert service.get("/eventmatch", user="alice").json() == []
    service.forget()


def test_unreadable_columns_of_old_rows(start: Start) -> None:
    """A row whose extensions or auth are no JSON is shown without them, and its owner can set them anew."""
    service = start()
    uuid = service.subscribe("alice", target_url="http://127.0.0.1:9/")["uuid"]
    service.execute("UPDATE eventmatch SET extensions = '{', auth = '{'")

    shown = service.get(f"/eventmatch/{uuid}", user="alice")
    mended = service.request("PUT", f"/eventmatch/{uuid}", user="alice", json={"extensions": {"a": 1}, "auth": {}})

    assert (shown.status_code, shown.json()["extensions"], shown.json()["auth"]) == (200, {}, {})
    assert (mended.status_code, mended.json()["extensions"]) == (200, {"a": 1})


def test_database_away(own_database_server: PostgreSQL | MariaDB, tmp_path: Path) -> None:
    """While the database is away everything that needs it is a 503 with Retry-After, and then works again by itself."""
    url = own_database_server.create_database()
    assert Command(tmp_path, {"database.peewee_url": url}).run("dbsync").returncode == 0
    service = Watched(tmp_path, url)
    event = make_event()
    body = make_subscription(target_url="http://127.0.0.1:9/")
    with service:
        uuid = service.subscribe("alice", **body)["uuid"]
        own_database_server.stop()

        answers = [
            service.post_event(event),
            service.get("/eventmatch", user="alice"),
            service.get(f"/eventmatch/{uuid}", user="alice"),
            service.request("POST", "/eventmatch", user="alice", json=body),
            service.request("PUT", f"/eventmatch/{uuid}", user="alice", json={}),
            service.request("DELETE", f"/eventmatch/{uuid}", user="alice"),
            service.get("/health/ready"),
        ]
        bad = service.request("POST", "/receive", data=b"{")
        live = service.get("/health/live")
        problem = service.get("/eventmatch", user="alice", headers={"Accept": PROBLEM})
        own_database_server.start()

        assert {answer.status_code for answer in answers} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        assert all(answer.json()["status"] == "503 Service Unavailable" for answer in answers)
        assert all(answer.json()["traceback"] == "" for answer in answers)
        assert (problem.status_code, problem.json()["status"]) == (503, 503)
        assert {answer.json()["type"] for answer in answers} == {"/errors/unavailable"}
        assert (bad.status_code, live.status_code) == (400, 200)
        service.until(lambda: service.get("/health/ready").status_code == 200, 30, "the service to recover")
        assert service.post_event(event).json()["duplicate"] is False
        assert service.get(f"/eventmatch/{uuid}", user="alice").status_code == 200
        assert "Traceback" not in service.log
