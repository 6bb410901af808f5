"""The files of `config/`, run as they are shipped: nginx, uWSGI, workers, and what they promise together."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from grp import getgrgid
from pathlib import Path
from typing import Any

import pytest

from pacifica.notifications import config
from tests.support import raw, shipped, tables
from tests.support.deployment import PRODUCERS, USERS, Deployment
from tests.support.factories import ingest, make_event, make_subscription
from tests.support.load import Load
from tests.support.missing import missing
from tests.support.pages import CHECKOUT
from tests.support.policy import PolicyServer
from tests.support.process import Process
from tests.support.processes import Service, Uwsgi
from tests.support.servers import Nginx
from tests.support.target import RecordingTarget
from tests.support.wait import until

#: Events that are accepted at least before, between and after a restart and a reload.
EVENTS = 50
#: Events in a second.
RATE = 60
MIB = 1024 * 1024
#: The command that makes and upgrades the tables.
TABLES = [f"{shipped.PROGRAMS}pacifica-notifications-cmd", "dbsync"]
HEADER = "Http-Remote-User"
#: Another address of this machine, which nginx.conf does not name.
ELSEWHERE = "127.0.0.2"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the files are for Linux")


@pytest.fixture(scope="module")
def _parts() -> None:
    """Leave out what needs the programs that are not here."""
    for reason in (Nginx.available(), Uwsgi.available()):
        if reason:
            missing(reason)


@pytest.fixture(scope="module")
def site(_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The service without a broker, on SQLite, with CherryPy's logs; it serves many tests."""
    folder = tmp_path_factory.mktemp("site")
    logs = folder / "logs"
    logs.mkdir()
    cherrypy = folder / "cherrypy.conf"
    cherrypy.write_text(f"[global]\nlog.access_file: '{logs}/access.log'\nlog.error_file: '{logs}/error.log'\n")
    settings = {
        "celery.broker_url": "memory://",
        "database.peewee_url": f"sqlite:///{folder / 'test.sqlite3'}",
        "notifications.policy_url": "",
        "receive.max_body": 65536,
    }
    with Deployment(folder, settings, {"NOTIFICATIONS_CPCONFIG": str(cherrypy)}, kept=True) as deployment:
        yield deployment
        assert deployment.uwsgi.terminate() == 0
        assert "Traceback" not in deployment.uwsgi.log


# All together.


@pytest.fixture(params=[("postgresql", "rabbitmq"), ("mariadb", "redis")], ids="+".join)
def backends(request: pytest.FixtureRequest, _parts: None) -> dict[str, object]:
    """A database and a broker."""
    database, broker = request.param
    return {
        "database.peewee_url": request.getfixturevalue(f"{database}_url"),
        "celery.broker_url": request.getfixturevalue(f"{broker}_url"),
    }


def test_every_event_arrives_over_restarts(
    tmp_path: Path, backends: dict[str, object], target: RecordingTarget, policy_server: PolicyServer
) -> None:
    """With the shipped files every accepted event arrives once and as it was sent, over a restart and a reload."""
    settings = {**backends, "notifications.policy_url": policy_server.policy_url}
    url = str(backends["database.peewee_url"])
    service = Deployment(tmp_path, settings, workers=["1", "2"])
    service.run(TABLES)

    with service:
        for user in ("alice", "bob"):
            service.subscribe(user, target_url=target.url(f"/{user}"))
        longest = padded(make_event(id="longest"), MIB)
        assert service.request("POST", "/receive", data=longest).status_code == 200

        events = (ingest(number, files=3) for number in itertools.count())
        with Load([service.origin], events, rate=RATE, trusted=service.nginx.certificate) as load:
            more_are_accepted(load)
            assert service.uwsgi.terminate() == 0
            service.start_uwsgi()
            more_are_accepted(load)
            refused = len(load.answers) - len(load.accepted)
            service.uwsgi.signal(reload_signal())
            service.wait_until_loaded(2)
            more_are_accepted(load)
        answers = load.answers
        left = [answer.event for answer in answers if answer.status != 200]
        again = Load([service.origin], left, rate=RATE, trusted=service.nginx.certificate).run()
        sent = sorted([longest, *(json.dumps(answer.event, ensure_ascii=False).encode() for answer in answers)])
        until(lambda: tables.states(url) == {"delivered": 2 * len(sent)}, 60, "all deliveries")
        assert service.request("GET", "/health/ready").json() == {"status": "ok", "database": "ok", "worker": "ok"}
        for process in (*service.workers, service.uwsgi):
            assert process.terminate() == 0

    assert load.statuses.keys() <= {200, 503}
    assert len(left) == refused, "a reload must turn nobody away"
    assert {answer.headers.get("Retry-After") for answer in answers if answer.status == 503} <= {"5"}
    assert again.statuses.keys() <= {200}
    for path in ("/alice", "/bob"):
        assert sorted(request.body for request in target.requests(path)) == sent
    for process in (*service.workers, service.uwsgi):
        assert "Traceback" not in process.log
        assert "HARAKIRI" not in process.log


def more_are_accepted(load: Load) -> None:
    """Wait until more events are accepted than were."""
    before = len(load.accepted)
    until(lambda: len(load.accepted) >= before + EVENTS, 60, "more events to be accepted")


def reload_signal() -> int:
    """Return the number of the signal with which the unit reloads the service."""
    words = shipped.unit_command("pacifica-notifications.service", option="ExecReload")
    assert words[0] == "/bin/kill"
    assert words[2:] == ["$MAINPID"]
    return signal.Signals[f"SIG{words[1].removeprefix('-')}"]


def test_both_processes_serve(site: Deployment) -> None:
    """Requests are answered by both processes of uWSGI, and what one was told the other knows."""
    made = site.subscribe("bob", jsonpath="$.nothing")
    before = site.served()

    def ask(_: int) -> bool:
        return made in site.request("GET", "/eventmatch", user="bob").json()

    def both() -> bool:
        with ThreadPoolExecutor(16) as clients:
            assert all(clients.map(ask, range(32)))
        after = site.served()
        return len(after) == 2 and all(after[pid] > before[pid] for pid in after)

    assert until(both, 60, "both processes to serve")


@pytest.mark.usefixtures("_parts")
def test_what_is_being_answered_is_answered(tmp_path: Path) -> None:
    """A request that is under way when uWSGI is told to end gets its answer."""
    file = tmp_path / "x.sqlite3"
    settings = {"celery.broker_url": "memory://", "database.peewee_url": f"sqlite:///{file}"}

    with (
        Deployment(tmp_path, settings) as service,
        ThreadPoolExecutor(1) as client,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        sending = client.submit(service.request, "POST", "/receive", json=make_event())
        until(lambda: service.answering() == 1, what="the request to be under way")
        service.uwsgi.signal(signal.SIGTERM)
        service.uwsgi.wait_for_output("graceful shutdown|killing workers")
        other.execute("ROLLBACK")
        assert service.uwsgi.wait(30) == 0

    assert sending.result().status_code == 200


def padded(event: dict[str, Any], length: int) -> bytes:
    """Return an event's JSON, as long as is asked."""
    event["data"] = ""
    short = json.dumps(event).encode()
    event["data"] = "x" * (length - len(short))
    return json.dumps(event).encode()


# Who is asking.


def basic(user: str, password: str | None = None) -> tuple[str, str]:
    """Return the header of a password."""
    text = f"{user}:{USERS.get(user, '') if password is None else password}"
    return "Authorization", f"Basic {b64encode(text.encode()).decode()}"


#: Every way to write the header's name that somebody on the way might take for it.
SPELLINGS = [
    HEADER,
    "Http_Remote_User",
    "http-remote-user",
    "HTTP-REMOTE-USER",
    "http_remote_user",
    "HTTP_REMOTE_USER",
    "Http-Remote_User",
    "Http_Remote-User",
    "HTTP_HTTP_REMOTE_USER",
    "Http-Http-Remote-User",
    "Remote-User",
    "X-Remote-User",
    "Http-Remote-User ",
    " Http-Remote-User",
    "Http-Remote-User\t",
    "Http.Remote.User",
    "HTTP-REMOTE-USER\x00",
]
VALUES = ["mallory", "", " ", "mallory, alice", "alice, mallory", "alice,mallory", "mallory\r\n alice", "\r\n mallory"]
VALUES += [" mallory ", "\tmallory", "mallory\t", "=?utf-8?q?mallory?=", "mallory\x00", '"mallory"', "mallory;alice"]

#: What a client may send to be taken for mallory.
FORGED: list[raw.Headers] = [
    *([(name, "mallory")] for name in SPELLINGS),
    *([(name, value)] for name in SPELLINGS[:2] for value in VALUES[1:]),
    *([(one, "mallory"), (other, "mallory")] for one, other in itertools.product(SPELLINGS[:4], repeat=2)),
    [(HEADER, "mallory")] * 10,
    [(HEADER, ""), (HEADER, "mallory")],
    [(HEADER, "alice"), (HEADER, "mallory")],
    [("Connection", f"close, {HEADER}"), (HEADER, "mallory")],
    [("Connection", f"close, {HEADER}")],
    [("X", f"y\r\n{HEADER}: mallory")],
    [("X", f"y\n{HEADER}: mallory")],
    [("X", f"y\r{HEADER}: mallory")],
    [("Script-Name", ""), ("Path-Info", "/eventmatch"), ("Remote-User", "mallory"), ("Uwsgi-File", "/etc/passwd")],
    [basic("mallory", "guessed"), (HEADER, "mallory")],
    [("Authorization", "Bearer mallory"), (HEADER, "mallory")],
    [("Proxy-Authorization", basic("mallory")[1])],
]


def subscribe(site: Deployment, headers: raw.Headers, path: str = "/notifications/eventmatch") -> raw.Answer:
    """Make a subscription byte by byte."""
    body = json.dumps(make_subscription(jsonpath="$.nothing")).encode()
    sent = [*headers, ("Content-Type", "application/json")]
    return raw.send(site.nginx.port, "POST", path, sent, body, tls=site.nginx.tls())


@pytest.fixture(scope="module")
def mallory_has_nothing(site: Deployment) -> Iterator[None]:
    """At the end of these tests nobody was taken for mallory."""
    yield
    assert site.request("GET", "/eventmatch", user="mallory").json() == []


@pytest.mark.usefixtures("mallory_has_nothing")
@pytest.mark.parametrize("headers", FORGED, ids=lambda headers: "+".join(ascii(": ".join(one)) for one in headers)[:60])
def test_nobody_chooses_who_he_is(site: Deployment, headers: raw.Headers) -> None:
    """Whatever a client sends in the user's header, it is who its password says, or nobody."""
    nobody = subscribe(site, headers)
    before, after = subscribe(site, [basic("alice"), *headers]), subscribe(site, [*headers, basic("alice")])

    assert nobody.status in (400, 401)
    for answer in (before, after):
        assert answer.status in (200, 400, 401), answer.text
        assert answer.status != 200 or answer.json()["user"] == "alice"
    if all(re.fullmatch("[A-Za-z_-]+", name) and value.isalpha() for name, value in headers):
        assert before.status == after.status == 200


@pytest.mark.usefixtures("mallory_has_nothing")
@pytest.mark.parametrize(
    "path",
    [
        "/notifications/eventmatch",
        "/notifications//eventmatch",
        "//notifications/eventmatch",
        "/notifications/./eventmatch",
        "/notifications/health/../eventmatch",
        "/notifications/health/%2e%2e/eventmatch",
        "/notifications/health/..%2feventmatch",
        "/notifications/health/live/../../eventmatch",
        "/notifications/health/..;/eventmatch",
        "/notifications/health/%2e%2e%2feventmatch",
        "/notifications/health/%252e%252e/eventmatch",
        "/notifications/receive/../eventmatch",
        "/notifications/receive/eventmatch",
        "/notifications/receive%2f..%2feventmatch",
        "/notifications/health/%0a/../../eventmatch",
        "/notifications%2feventmatch",
        "/notifications/health/\\..\\..\\eventmatch",
        "/eventmatch",
        "https://localhost/notifications/eventmatch",
    ],
)
def test_no_way_leads_around_the_password(site: Deployment, path: str) -> None:
    """Subscriptions can't be reached without a password, however the path is written."""
    answer = subscribe(site, [(HEADER, "mallory")], path)

    assert answer.status in (400, 401, 404, 405, 421), answer.text


def test_a_name_that_the_service_does_not_take(site: Deployment) -> None:
    """A user of nginx whose name can't be one here is told so."""
    answer = site.request("GET", "/eventmatch", user="two words")

    assert answer.status_code == 401
    assert "notifications.user_header" in answer.json()["message"]


def test_passwords_end_at_the_proxy(site: Deployment) -> None:
    """A wrong password is 401 by nginx, and each user sees only what is its own."""
    made = site.subscribe("bob", jsonpath="$.nothing")
    path = f"/eventmatch/{made['uuid']}"

    wrong = site.request("GET", path, auth=("bob", "guessed"))

    assert (wrong.status_code, wrong.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert site.request("GET", path, user="bob").status_code == 200
    assert site.request("GET", path, user="alice").status_code == 403
    assert all(secret not in site.uwsgi.log for secret in USERS.values() if len(secret) > 3)


# Producers.


def send_event(site: Deployment, path: str, *headers: tuple[str, str], source: str = "", body: bytes = b"") -> int:
    """Send an event byte by byte and return the status."""
    event = body or json.dumps(make_event()).encode()
    sent = [*headers, ("Content-Type", "application/json")]
    return raw.send(site.nginx.port, "POST", path, sent, event, source=source, tls=site.nginx.tls()).status


def test_producers_come_by_address_or_password(site: Deployment) -> None:
    """An event is taken from a producer's address without, and from elsewhere with a producer's password."""
    producer = basic("metadata", PRODUCERS["metadata"])

    assert send_event(site, "/notifications/receive") == 200
    assert send_event(site, "/notifications/receive", producer, source=ELSEWHERE) == 200
    assert send_event(site, "/notifications/receive", source=ELSEWHERE) == 401


@pytest.mark.parametrize(
    "path",
    [
        "/notifications/receive",
        "/notifications/receive/",
        "/notifications/receive?x=1",
        "/notifications//receive",
        "/notifications/%72eceive",
        "/notifications/%2freceive",
        "/notifications/eventmatch/../receive",
        "/notifications/health/../receive",
        "/notifications/health/%2e%2e/receive",
        "/notifications/health/..%2freceive",
        "/notifications/receive;x",
        "/notifications/receive%00",
        "/notifications/receive%0a",
        "/notifications/receive.",
        "/notifications/Receive",
        "/notifications/%252e/receive",
        "/notifications/eventmatch/%252e%252e/receive",
        "https://localhost/notifications/receive",
        "/receive",
    ],
)
def test_only_producers_send_events(site: Deployment, path: str) -> None:
    """With a user's password alone, or a token, no event is taken, however the path is written."""
    refused = (400, 401, 403, 404, 405, 421)

    assert send_event(site, path, basic("alice"), (HEADER, "metadata"), source=ELSEWHERE) in refused
    assert send_event(site, path, ("Authorization", "Bearer x"), source=ELSEWHERE) in refused


def test_tokens_pass_the_proxy(site: Deployment) -> None:
    """Who brings a token is whom it names and is asked for no password; everybody else is."""
    command = [f"{shipped.PROGRAMS}pacifica-notifications-cmd", "token", "create", "carols", "--user", "carol"]
    token = site.run([*command, "--role", "user"]).splitlines()[0]
    bearer = ("Authorization", f"Bearer {token}")

    made = subscribe(site, [bearer])
    forged = subscribe(site, [bearer, (HEADER, "mallory")])
    guessed = subscribe(site, [("Authorization", f"bearer {token[:-1]}x"), (HEADER, "mallory")])
    empty = subscribe(site, [("Authorization", "Bearer"), (HEADER, "mallory")])
    twice = subscribe(site, [bearer, basic("alice")])

    assert (made.status, made.json()["user"], forged.json()["user"]) == (200, "carol", "carol")
    assert (guessed.status, guessed.headers["WWW-Authenticate"]) == (
        401,
        'Bearer realm="pacifica-notifications", error="invalid_token"',
    )
    assert (empty.status, empty.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert twice.status == 400


# The prefix.


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_links_carry_the_prefix(site: Deployment, family: str) -> None:
    """All links in answers lead to where the client is, with scheme, port and prefix, over IPv4 and IPv6."""
    origin = (site.nginx.url if family == "IPv4" else site.nginx.url6) + "/notifications"
    for _ in range(2):
        site.subscribe("bob", jsonpath="$.nothing")

    links = site.request("GET", "/", user="bob", origin=origin).json()["links"]
    first = site.request("GET", "/eventmatch?limit=1", user="bob", origin=origin)
    slashless = site.request("GET", "", user="bob", origin=origin)

    assert links == {name: f"{origin}/{name}" for name in links}
    for name in links:
        answer = site.request("GET", f"/{name}", user="bob", origin=origin)
        assert answer.status_code == (405 if name == "receive" else 200)
    assert first.links["next"]["url"].startswith(f"{origin}/eventmatch?limit=1&cursor=")
    following = site.request("GET", "", user="bob", origin=first.links["next"]["url"])
    assert following.status_code == 200
    assert following.json()[0]["uuid"] != first.json()[0]["uuid"]
    assert (slashless.status_code, slashless.headers["Location"]) == (301, f"{origin}/")


def test_links_name_no_host_that_is_not_ours(site: Deployment) -> None:
    """The host in links is the one that nginx found its site by, not whatever stands in a header."""
    headers = [("Host", "evil.example"), ("X-Forwarded-Host", "evil.example"), basic("alice")]

    answer = raw.send(site.nginx.port, "GET", "https://localhost/notifications/", headers, tls=site.nginx.tls())

    assert (answer.status, "evil.example" in answer.text) == (200, False)
    assert answer.json()["links"]["receive"] == f"https://localhost:{site.nginx.port}/notifications/receive"


def test_errors_through_the_proxy(site: Deployment) -> None:
    """What the service refuses comes through as it says it, as a problem document too."""
    plain = site.request("GET", "/nothing", user="alice")
    problem = site.request("GET", "/nothing", user="alice", headers={"Accept": "application/problem+json"})

    assert (plain.status_code, plain.json()["status"], plain.json()["traceback"]) == (404, "404 Not Found", "")
    assert (problem.json()["type"], problem.json()["status"]) == ("/notifications/errors/not-found", 404)
    assert site.request("GET", "/errors/not-found", user="alice").json()["type"] == problem.json()["type"]
    assert problem.headers["Content-Type"] == "application/problem+json"


def test_description_through_the_proxy(site: Deployment) -> None:
    """The description and its page lead to where the client is."""
    description = site.request("GET", "/openapi.json", user="alice").json()
    page = site.request("GET", "/docs", user="alice").text

    assert description["servers"] == [{"url": "/notifications"}]
    assert 'data-description="/notifications/openapi.json"' in page
    for path in re.findall(r'(?:src|href)="/notifications(/docs/[^"]+)"', page):
        assert site.request("GET", path, user="alice").status_code == 200


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("prefix", ["", "/events/of/pacifica"])
def test_another_prefix(tmp_path: Path, prefix: str) -> None:
    """Replaced wherever it stands in nginx.conf, the prefix is another one, or none."""
    file = tmp_path / "nginx.conf"
    text = (shipped.CONFIG / "nginx.conf").read_text(encoding="utf-8")
    file.write_text(text.replace("/notifications", prefix), encoding="utf-8")
    settings = {"celery.broker_url": "memory://", "database.peewee_url": f"sqlite:///{tmp_path}/x.sqlite3"}
    deployment = Deployment(tmp_path, settings, site=file)
    deployment.prefix = prefix

    with deployment:
        links = deployment.request("GET", "/", user="alice").json()["links"]
        nobody = deployment.request("GET", "/eventmatch")
        sent = deployment.request("POST", "/receive", json=make_event())
        deployment.uwsgi.terminate()

    assert links["eventmatch"] == f"{deployment.nginx.url}{prefix}/eventmatch"
    assert (nobody.status_code, sent.status_code) == (401, 200)


def test_prefix_of_the_embedded_server(tmp_path: Path) -> None:
    """The embedded server learns from the CherryPy file of the deployment page where clients find it."""
    file = tmp_path / "server.conf"
    page = (CHECKOUT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    (text,) = (found for found in re.findall(r"^```ini\n(.*?)^```", page, re.M | re.S) if "tools.proxy" in found)
    file.write_text(text, encoding="utf-8")

    with Service(tmp_path, args=["-c", str(file)]) as service:
        links = service.get("/", headers={"X-Forwarded-Host": "evil.example"}).json()["links"]
        problem = service.get("/nothing").json()["type"]
        service.stop()

    assert links["eventmatch"] == "https://notifications.example.org/notifications/eventmatch"
    assert problem == "/notifications/errors/not-found"


# Bounds.


def test_bodies_are_bounded_twice(site: Deployment) -> None:
    """A body beyond `receive.max_body` is refused by the service, one beyond nginx's bound by nginx, in one form."""
    ours = site.request("POST", "/receive", data=padded(make_event(), 65537))
    nginx = site.request("POST", "/receive", data=padded(make_event(), MIB + 1))
    taken = site.request("POST", "/receive", data=padded(make_event(), 65536))

    assert taken.status_code == 200
    assert (ours.status_code, nginx.status_code) == (413, 413)
    assert "receive.max_body" in ours.json()["message"]
    assert "receive.max_body" not in nginx.json()["message"]
    assert nginx.headers["Content-Type"] == "application/json"
    assert nginx.json().keys() == ours.json().keys()
    assert nginx.json()["type"] == ours.json()["type"] == "/notifications/errors/too-large"
    for answer in (ours, nginx):
        assert answer.json()["status"].startswith("413 ")
        assert set(answer.json()) >= {"status", "message", "traceback", "version"}


@pytest.mark.usefixtures("_parts")
def test_what_takes_or_brings_too_much_is_broken_off(tmp_path: Path) -> None:
    """Behind nginx uWSGI has bounds of its own: for the time of a request, and for a body that nginx let through.

    Either is answered by nginx as if the service were away, and the service goes on.
    """
    file = tmp_path / "x.sqlite3"
    settings = {"celery.broker_url": "memory://", "database.peewee_url": f"sqlite:///{file}"}
    site = tmp_path / "nginx.conf"
    text = (shipped.CONFIG / "nginx.conf").read_text(encoding="utf-8")
    site.write_text(text.replace("client_max_body_size 1m;", "client_max_body_size 8m;"), encoding="utf-8")

    with Deployment(tmp_path, settings, options=["--harakiri", "2"], site=site) as service:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            late = service.request("POST", "/receive", json=make_event())
            other.execute("ROLLBACK")
        large = service.request("POST", "/receive", data=padded(make_event(), 3 * MIB))
        after = service.request("POST", "/receive", json=make_event())
        log = service.uwsgi.log
        assert service.uwsgi.terminate() == 0

    for answer in (late, large):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "HARAKIRI" in log
    assert "(too big) CONTENT_LENGTH" in log
    assert after.status_code == 200


def test_chunked_bodies_are_taken(site: Deployment) -> None:
    """A body in chunks is accepted; nginx passes it on with its length."""
    text = json.dumps(make_event()).encode()
    headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
    body = raw.chunked([text[:1], text[1:500], text[500:]])

    answer = raw.send(
        site.nginx.port, "POST", "/notifications/receive", headers, body, length=False, tls=site.nginx.tls()
    )

    assert (answer.status, answer.json()["duplicate"]) == (200, False)


def test_headers_that_nginx_takes_fit(site: Deployment) -> None:
    """The largest headers and address that nginx takes fit into uWSGI's buffer; what is larger nginx refuses."""
    headers = [basic("alice"), *((f"X-{number}", "x" * 8000) for number in range(2))]
    path = f"/notifications/eventmatch?name={'x' * 8000}"

    fits = raw.send(site.nginx.port, "GET", path, headers, tls=site.nginx.tls())
    more = raw.send(site.nginx.port, "GET", path, headers * 3, tls=site.nginx.tls())

    assert (fits.status, more.status) == (200, 400)


def test_health_needs_no_password(site: Deployment) -> None:
    """The health documents are for everybody, through the prefix."""
    for name in ("live", "ready"):
        answer = site.request("GET", f"/health/{name}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_service_manager_is_told(site: Deployment) -> None:
    """The service manager hears from uWSGI that it is ready, as the type of the unit promises."""
    assert shipped.unit("pacifica-notifications.service")["Service"]["Type"] == "notify"
    assert until(site.said_ready, 10, "READY=1")


# What runs beside it.


def test_old_events_are_removed(site: Deployment) -> None:
    """The purge unit's command removes what is older than ninety days, and nothing else."""
    events = [site.request("POST", "/receive", json=make_event()).json()["uuid"] for _ in range(2)]
    url = str(config.load(site.config_file, {}).database_url)
    until(lambda: tables.unrouted(url) == 0, what="the events to be routed")
    tables.execute(url, f"UPDATE eventlog SET created = '2020-01-01 00:00:00' WHERE {uuid_is(events[0])}")

    site.run(shipped.unit_command("pacifica-notifications-purge.service"))

    assert [tables.one(url, f"SELECT COUNT(*) FROM eventlog WHERE {uuid_is(uuid)}") for uuid in events] == [0, 1]


def uuid_is(uuid: str) -> str:
    """Return a condition, as SQLite keeps the keys."""
    return f"uuid IN ('{uuid}', '{uuid.replace('-', '')}')"


def test_logs_are_rotated(site: Deployment, tmp_path: Path) -> None:
    """CherryPy's log goes on in an empty file after logrotate has moved what was there."""
    program = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin")
    if not program:
        missing("logrotate is not installed here")
    logs = site.folder / "logs"
    user = f"su {pwd.getpwuid(os.geteuid()).pw_name} {getgrgid(os.getegid()).gr_name}"
    text = (shipped.CONFIG / "logrotate").read_text(encoding="utf-8")
    text = text.replace("/var/log/pacifica-notifications/", f"{logs}/")
    rules = tmp_path / "logrotate"
    rules.write_text(text.replace("su pacifica-notifications pacifica-notifications", user), encoding="utf-8")

    site.request("GET", "/health/live?before")
    subprocess.run([program, "--force", "--state", tmp_path / "state", rules], check=True, timeout=30)
    site.request("GET", "/health/live?after")

    moved, now = (logs / "access.log.1").read_text(), (logs / "access.log").read_text()
    assert ("?before" in moved, "?after" in moved) == (True, False)
    assert ("?before" in now, "?after" in now) == (False, True)


# The files themselves.


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The units, with the programs of this machine, so that those that they name are there."""
    if not shutil.which("systemd-analyze"):
        missing("systemd-analyze is not installed here")
    folder = tmp_path_factory.mktemp("units")
    programs = f"{Path(sys.executable).parent}/"
    for file in (shipped.CONFIG / "systemd").iterdir():
        text = file.read_text(encoding="utf-8")
        (folder / file.name).write_text(text.replace(shipped.PROGRAMS, programs), encoding="utf-8")
    return sorted(folder.iterdir())


def analyze(*words: str | Path) -> tuple[int, str]:
    """Run systemd-analyze and return its status and all that it prints."""
    command = ["systemd-analyze", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_units_are_accepted(units: list[Path]) -> None:
    """Nothing in the units is unknown to systemd."""
    assert len(units) == 4
    assert analyze("verify", "--man=no", *units) == (0, "")


def test_units_with_a_mistake_are_refused(units: list[Path], tmp_path: Path) -> None:
    """A misspelt line of a unit would be found."""
    service = next(unit for unit in units if unit.name == "pacifica-notifications.service")
    file = tmp_path / service.name
    file.write_text(service.read_text().replace("Restart=", "Restrat="))

    assert "Restrat" in analyze("verify", "--man=no", file)[1]


def test_units_are_hardened(units: list[Path]) -> None:
    """Each service is exposed no more than 2.0 of 10, as systemd counts."""
    for unit in units:
        if unit.suffix == ".service":
            status, said = analyze("security", "--offline=true", "--no-pager", "--threshold=20", unit)
            assert status == 0, said


def test_containers_run_the_tested_commands() -> None:
    """What the image and the compose file run is what the units run, which the tests run."""
    services = shipped.compose()["services"]

    uwsgi = shipped.unit_command("pacifica-notifications.service")
    assert shipped.image_command() == uwsgi
    assert services["service"]["command"] == uwsgi
    worker = shipped.unit_command("pacifica-notifications-worker@.service", "worker")
    assert services["worker"]["command"] == worker
    assert services["tables"]["command"] == TABLES


def test_files_of_the_containers_are_there() -> None:
    """What the Dockerfile copies and the compose file mounts is in the checkout, and what it refers to exists."""
    dockerfile = (shipped.CONFIG / "Dockerfile").read_text(encoding="utf-8")
    compose = shipped.compose()

    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.M):
        assert all((CHECKOUT / source).exists() for source in sources.split())
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            # The operator's certificate and passwords.
            assert source in compose["volumes"] or source == "./nginx" or (shipped.CONFIG / source).is_file(), volume
    build = compose["services"]["service"]["build"]
    assert (shipped.CONFIG / build["context"]).resolve() == CHECKOUT
    assert (CHECKOUT / build["dockerfile"]).is_file()
    assert re.findall(r"--requirement (\S+)", dockerfile) == ["requirements.lock"]
    lock = (shipped.CONFIG / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"--extra=(\w+)", lock) == ["mariadb", "postgresql", "redis", "uwsgi"]


def test_bounds_of_the_files_agree() -> None:
    """What is bounded in several places has one bound, and who waits for another waits longer."""
    settings = config.load(shipped.CONFIG / "production.ini", {})
    ini = dict(re.findall(r"^([\w-]+) = (.*)$", (shipped.CONFIG / "uwsgi.ini").read_text(encoding="utf-8"), re.M))
    nginx = (shipped.CONFIG / "nginx.conf").read_text(encoding="utf-8")
    unit = shipped.unit("pacifica-notifications.service")["Service"]

    (body,) = re.findall(r"^ *client_max_body_size (\d+)m;", nginx, re.M)
    assert settings.receive.max_body == int(body) * MIB <= int(ini["limit-post"])
    (patience,) = re.findall(r"^ *uwsgi_read_timeout (\d+)s;", nginx, re.M)
    assert 2 * settings.database.timeout + 5 < int(ini["harakiri"]) < int(patience)
    assert int(ini["harakiri"]) < int(ini["worker-reload-mercy"]) < int(unit["TimeoutStopSec"])
    assert int(ini["threads"]) < settings.database.max_connections
    header = settings.notifications.user_header.upper().replace("-", "_")
    assert f"uwsgi_param HTTP_{header} $notifications_user;" in nginx
    (socket,) = set(re.findall(r"uwsgi_pass unix:(.*);", nginx))
    folder = unit["RuntimeDirectory"]
    assert socket == f"/run/{folder}/{ini['socket'].removeprefix('$(RUNTIME_DIRECTORY)/')}"


def test_every_file_is_explained() -> None:
    """The folder's page has a line for each of its files."""
    page = (shipped.CONFIG / "README.md").read_text(encoding="utf-8")

    files = [file.relative_to(shipped.CONFIG) for file in shipped.CONFIG.rglob("*") if file.is_file()]
    assert [str(file) for file in files if f"[{file}]({file}) | " not in page and file.name != "README.md"] == []


# IPv6 without a proxy.


@pytest.mark.parametrize("kind", [Service, Uwsgi])
def test_all_over_ipv6(tmp_path: Path, kind: type[Service] | type[Uwsgi]) -> None:
    """The service listens on ::1, says so in its links, and delivers to a target on ::1."""
    if kind is Uwsgi and Uwsgi.available():
        missing(str(Uwsgi.available()))

    with RecordingTarget(host="::1") as target, kind(tmp_path, host="::1") as service:
        assert service.get("/").json()["links"]["receive"] == f"{service.url}/receive"
        service.subscribe(target_url=target.url("/hook"))
        assert service.post_event(make_event(id="six")).status_code == 200
        (request,) = target.wait_for(1, "/hook")
        service.stop()

    assert request.json()["eventID"] == "six"
    assert isinstance(service, Process)
