"""Who is asking: the user's header, the user of requests without one, and who must not be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET
from uuid import uuid4

import psutil  # type: ignore[import-untyped]
import pytest

from tests.support import raw
from tests.support.factories import make_event
from tests.support.missing import missing
from tests.support.processes import PROXY_SECRET, Uwsgi
from tests.support.watched import Watched

from .conftest import Start

SETTING = "notifications.user_header"
HEADER = "Http-Remote-User"


def own_address() -> str:
    """Return an address of this machine that is not its loopback."""
    known = [one for addresses in psutil.net_if_addrs().values() for one in addresses if one.family == AF_INET]
    found = [one.address for one in known if not one.address.startswith("127.")]
    if not found:
        missing("this machine has no IPv4 address but its loopback")
    return str(found[0])


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: who asks stands in the headers. That users differ by every character is the tables' contract."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service that is reached from other machines too; none of them is a proxy that it trusts."""
    return start(args=["-a", "0.0.0.0"])


@pytest.fixture(scope="module")
def guarded(start: Start) -> Watched:
    """A service whose proxies are elsewhere, and must send a secret."""
    settings = {"auth.trusted_proxies": f"192.0.2.0/24, {own_address()}", "auth.proxy_secret": PROXY_SECRET[1]}
    return start(settings, args=["-a", "0.0.0.0"])


@pytest.fixture(scope="module")
def renamed(start: Start) -> Watched:
    """A service with a header and a default user of its own."""
    return start({"notifications.user_header": "X-Forwarded-User", "DEFAULT.default_user": "carol"})


@pytest.fixture(scope="module")
def uwsgi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uwsgi]:
    """The application behind uWSGI."""
    reason = Uwsgi.available()
    if reason:
        missing(reason)
    started = Uwsgi(tmp_path_factory.mktemp("uwsgi"))
    started.kept = True
    with started:
        yield started


def ask(service: Watched, headers: raw.Headers, *, host: str = "127.0.0.1") -> raw.Answer:
    """Make a subscription with these headers, in their order."""
    body = b'{"name": "n", "jsonpath": "$", "target_url": "http://127.0.0.1:9/"}'
    sent = [*headers, ("Content-Type", "application/json")]
    return raw.send(service.port, "POST", "/eventmatch", sent, body, host=host)


def named(answer: raw.Answer) -> str:
    """Return the user for whom a subscription was made."""
    assert answer.status == 200, answer.text
    return str(answer.json()["user"])


def unnamed(answer: raw.Answer) -> str:
    """Check that nobody was believed, and return the message."""
    assert answer.status == 401, answer.text
    message: str = answer.json()["message"]
    assert SETTING in message
    return message


@pytest.mark.parametrize(
    "user",
    [
        "alice",
        "Alice",
        "alice@example.org",
        "EXAMPLE\\alice",
        "cn=alice;ou=people",
        "a",
        "x" * 255,
        "=?utf-8?q?admin?=",
        "=?utf-8?b?YWRtaW4=?=",
        "%61lice",
        '"alice"',
        "-",
    ],
)
def test_user_is_what_the_header_says(service: Watched, user: str) -> None:
    """The user is the header's text as it stands; no spelling of one name is another's."""
    answer = ask(service, [(HEADER, user)])

    assert named(answer) == user
    assert user in {one["user"] for one in service.get("/eventmatch", user=user).json()}
    assert service.get(f"/eventmatch/{answer.json()['uuid']}", user="admin").status_code == 403


def test_header_in_any_case(service: Watched) -> None:
    """The header's name may be written in any case of letters, and white space around its value does not count."""
    assert named(ask(service, [("HTTP-REMOTE-USER", "alice")])) == "alice"
    assert named(ask(service, [("http-remote-user", " \talice \t")])) == "alice"


@pytest.mark.parametrize(
    "headers",
    [
        [(HEADER, "")],
        [(HEADER, "  ")],
        [(HEADER, "alice, mallory")],
        [(HEADER, "alice,")],
        [(HEADER, "alice"), (HEADER, "mallory")],
        [(HEADER, "alice"), ("http-remote-user", "alice")],
        [(HEADER, ""), (HEADER, "")],
        [(HEADER, "alice smith")],
        [(HEADER, "Zürich")],
        [(HEADER, "alice\tx")],
        [(HEADER, "x" * 256)],
        [(HEADER, "x" * 10_000)],
    ],
    ids=lambda headers: "+".join(ascii(value)[:24] for _, value in headers),
)
def test_header_that_names_not_one_user(service: Watched, headers: raw.Headers) -> None:
    """A header that is empty, sent twice or holds more than one visible word is a 401, never the default user."""
    assert HEADER in unnamed(ask(service, headers))
    assert unnamed(raw.send(service.port, "GET", "/eventmatch", headers))


def test_folded_header(service: Watched) -> None:
    """A header that goes on in the next line names nobody, nor does one with control characters: it is none."""
    for value in ("alice\r\n mallory", "ali\x7fce", "ali\x01ce"):
        assert ask(service, [(HEADER, value)]).status == 400


def test_underscores_are_no_dashes(service: Watched) -> None:
    """A header with underscores in its name is not the user's header."""
    assert named(ask(service, [(HEADER, "alice"), ("Http_Remote_User", "mallory")])) == "alice"
    assert named(ask(service, [("Http_Remote_User", "mallory"), (HEADER, "alice")])) == "alice"
    assert named(ask(service, [("Http_Remote_User", "mallory")])) == "default_user"


def test_default_user(service: Watched) -> None:
    """A request from this machine without the header is the default user's."""
    answer = ask(service, [])

    assert named(answer) == "default_user"
    assert service.get("/eventmatch").json() == service.get("/eventmatch", user="default_user").json() != []


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "Via", "x-forwarded-for", "Notifications-Proxy-Secret"]
)
@pytest.mark.parametrize("value", ["for=127.0.0.1", "127.0.0.1", "1.1 proxy", ""])
def test_proxy_must_name_a_user(service: Watched, name: str, value: str) -> None:
    """A request that passed a proxy without the header is a 401; with it the user is believed."""
    assert HEADER in unnamed(ask(service, [(name, value)]))
    assert named(ask(service, [(name, value), (HEADER, "alice")])) == "alice"


@pytest.mark.parametrize("host", ["evil.example:8070", "localhost.evil.example", "127.0.0.1.evil.example", "8.8.8.8"])
def test_a_name_that_leads_here_is_no_default_user(service: Watched, host: str) -> None:
    """A page whose own name was made to lead to this machine (DNS rebinding) is nobody's."""
    assert HEADER in unnamed(raw.send(service.port, "GET", "/eventmatch", [("Host", host)]))
    for own in ("localhost", "LOCALHOST:8070", "127.0.0.1", "[::1]:1", "0.0.0.0"):
        assert raw.send(service.port, "GET", "/eventmatch", [("Host", own)]).status == 200


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "http://[", "null", ""])
def test_pages_of_other_sites_change_nothing(service: Watched, origin: str) -> None:
    """A request that a browser was made to send is 403, for events too; one without a sign of a browser goes on."""
    event = json.dumps(make_event()).encode()
    for place, body in (("/eventmatch", b"{}"), ("/receive", event)):
        for header in (("Origin", origin), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", origin)):
            answer = raw.send(service.port, "POST", place, [header, ("Content-Type", "application/json")], body)
            assert (answer.status, "another site" in answer.json()["message"]) == (403, True)
    assert raw.send(service.port, "POST", "/receive", [("Content-Type", "application/json")], event).status == 200


def test_other_machines_have_no_default_user(service: Watched) -> None:
    """A request from another address than the loopback without the header is a 401."""
    assert HEADER in unnamed(ask(service, [], host=own_address()))


def test_the_header_is_believed_from_a_trusted_proxy(service: Watched, guarded: Watched) -> None:
    """Who connects from an address that is not in auth.trusted_proxies names nobody, whatever else it sends."""
    host = own_address()
    claims = [("X-Forwarded-For", "127.0.0.1"), ("X-Real-Ip", "127.0.0.1"), ("Remote-Addr", "127.0.0.1")]

    assert "auth.trusted_proxies" in unnamed(ask(service, [(HEADER, "alice")], host=host))
    assert "auth.trusted_proxies" in unnamed(ask(service, [(HEADER, "alice"), *claims], host=host))
    assert "auth.trusted_proxies" in unnamed(ask(guarded, [(HEADER, "alice"), PROXY_SECRET]))
    assert named(ask(guarded, [(HEADER, "alice"), PROXY_SECRET], host=host)) == "alice"
    assert named(ask(guarded, [])) == "default_user"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(PROXY_SECRET[0], "")],
        [(PROXY_SECRET[0], PROXY_SECRET[1][:-1])],
        [(PROXY_SECRET[0], f"{PROXY_SECRET[1]}0")],
        [(PROXY_SECRET[0], PROXY_SECRET[1].upper())],
        [(PROXY_SECRET[0], "***")],
        [(PROXY_SECRET[0], "\xff\xfe")],
        [PROXY_SECRET, PROXY_SECRET],
        [(PROXY_SECRET[0].replace("-", "_"), PROXY_SECRET[1])],
    ],
    ids=lambda headers: "+".join(ascii(one[1])[-12:] for one in headers) or "none",
)
def test_a_proxy_without_the_secret_is_none(guarded: Watched, headers: raw.Headers) -> None:
    """With auth.proxy_secret the header is believed only beside the secret, exactly and once; no answer shows it."""
    message = unnamed(ask(guarded, [(HEADER, "alice"), *headers], host=own_address()))

    assert "auth.proxy_secret" in message
    assert PROXY_SECRET[1] not in message


def test_loopback_of_ipv6(start: Start) -> None:
    """The loopback of IPv6 counts as this machine."""
    if not any(a.address == "::1" for addresses in psutil.net_if_addrs().values() for a in addresses):
        pytest.skip("this machine has no IPv6")
    service = start(args=["-a", "::"])

    assert named(ask(service, [], host="::1")) == "default_user"
    assert named(ask(service, [], host="127.0.0.1")) == "default_user"


def test_every_method_asks_who(service: Watched) -> None:
    """No method of /eventmatch but OPTIONS goes without a user, and none says more before it knows one."""
    headers = [("Via", "1.1 proxy")]
    uuid = ask(service, []).json()["uuid"]

    for path in ("/eventmatch", f"/eventmatch/{uuid}", f"/eventmatch/{uuid4()}", "/eventmatch/x", "/eventmatch?x=1"):
        assert unnamed(raw.send(service.port, "GET", path, headers))
    for method in ("PUT", "DELETE"):
        for one in (uuid, str(uuid4()), "x"):
            assert unnamed(raw.send(service.port, method, f"/eventmatch/{one}", headers, b"{"))
    assert unnamed(raw.send(service.port, "POST", "/eventmatch", [*headers, ("Content-Type", "text/plain")], b"{"))
    assert raw.send(service.port, "OPTIONS", "/eventmatch", headers).status == 200


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/schemas/event", "/schemas/eventmatch"])
def test_what_needs_no_user(service: Watched, path: str) -> None:
    """What belongs to nobody is given to everybody."""
    assert raw.send(service.port, "GET", path, [("Via", "1.1 proxy")]).status == 200


def test_header_and_default_user_are_settings(renamed: Watched) -> None:
    """With another header that one alone counts, and the default user is the one that is set."""
    assert named(ask(renamed, [("X-Forwarded-User", "alice")])) == "alice"
    assert named(ask(renamed, [(HEADER, "mallory")])) == "carol"
    assert named(ask(renamed, [("X_Forwarded_User", "mallory")])) == "carol"
    assert named(ask(renamed, [])) == "carol"
    assert "X-Forwarded-User" in unnamed(ask(renamed, [(HEADER, "alice"), ("Via", "x")]))
    assert "X-Forwarded-User" in unnamed(ask(renamed, [("X-Forwarded-User", "")]))


def test_uwsgi_has_no_default_user(uwsgi: Uwsgi) -> None:
    """Behind uWSGI a request without the header is a 401 though it comes from this machine."""
    answer = uwsgi.get("/eventmatch")

    assert answer.status_code == 401
    assert SETTING in answer.json()["message"]
    assert uwsgi.get("/eventmatch", user="alice").json() == []


@pytest.mark.parametrize(
    "headers",
    [
        [(HEADER, "alice"), (HEADER, "mallory")],
        [(HEADER, "alice"), ("Http_Remote_User", "mallory")],
        [(HEADER, "")],
        [(HEADER, "=?utf-8?q?ad min?=")],
    ],
    ids=["twice", "underscores", "empty", "space"],
)
def test_uwsgi_believes_no_doubtful_header(uwsgi: Uwsgi, headers: raw.Headers) -> None:
    """What would name two users or none behind uWSGI is a 401."""
    answer = raw.send(uwsgi.port, "GET", "/eventmatch", [PROXY_SECRET, *headers])

    assert answer.status == 401, answer.text


def test_uwsgi_believes_who_has_the_secret(uwsgi: Uwsgi) -> None:
    """On a port of uWSGI's the header is believed beside the secret alone."""
    assert raw.send(uwsgi.port, "GET", "/eventmatch", [PROXY_SECRET, (HEADER, "alice")]).status == 200
    assert "auth.proxy_secret" in unnamed(raw.send(uwsgi.port, "GET", "/eventmatch", [(HEADER, "alice")]))


def test_uwsgi_without_a_secret_believes_nobody_on_a_port(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where no secret is set, the header is believed from a unix socket, and from no port, not even of the loopback."""
    if Uwsgi.available():
        missing(str(Uwsgi.available()))
    folder = tmp_path_factory.mktemp("u")
    socket = folder / "http.sock"
    with Uwsgi(folder, {"auth.proxy_secret": ""}, args=["--http-socket", str(socket)]) as service:
        by_port = raw.send(service.port, "GET", "/eventmatch", [(HEADER, "alice"), PROXY_SECRET])
        by_socket = raw.send_to(socket, "GET", "/eventmatch", [(HEADER, "alice")])
        service.stop()

    assert "auth.proxy_secret" in unnamed(by_port)
    assert (by_socket.status, by_socket.json()) == (200, [])


def test_who_takes_events_from_everybody_is_told(tmp_path: Path, service: Watched, renamed: Watched) -> None:
    """At start it is warned where events are taken from everybody beyond the loopback, and nowhere else."""
    mark = "receive=anybody: whoever reaches "
    if Uwsgi.available():
        missing(str(Uwsgi.available()))
    with Uwsgi(tmp_path / "open", host="") as wide, Uwsgi(tmp_path / "own") as narrow:
        logs = wide.log, narrow.log
        wide.stop()
        narrow.stop()

    assert f"{mark}0.0.0.0 may send events; set receive.auth = any" in service.log
    assert f"{mark}0.0.0.0 may" in logs[0]
    assert mark not in renamed.log + logs[1]
