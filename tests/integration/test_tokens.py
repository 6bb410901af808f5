"""Tokens by the command and at the door: made, shown once, brought, expired, revoked."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import raw
from tests.support.factories import make_event, make_subscription
from tests.support.processes import Command
from tests.support.watched import Watched

from .conftest import Start

HEADER = "Http-Remote-User"
#: Past no proxy and from this machine, a request without a token is the default user's.
PAST_A_PROXY = ("Via", "1.1 proxy")


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: what the tables do with tokens is their contract."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service that takes events from producers alone."""
    return start({"receive.auth": "any", "auth.roles": "operators=admin"})


@pytest.fixture(scope="module")
def command(service: Watched) -> Command:
    """The command on its database."""
    settings = {"database.peewee_url": service.database_url, "auth.roles": "operators=admin"}
    return Command(service.config_file.parent, settings)


def make(command: Command, name: str, user: str, role: str, *more: str) -> str:
    """Make a token and return it."""
    done = command.run("token", "create", name, "--user", user, "--role", role, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(token: str) -> tuple[str, str]:
    """Return the header that brings a token."""
    return "Authorization", f"Bearer {token}"


def ask(service: Watched, *headers: tuple[str, str], path: str = "/eventmatch") -> raw.Answer:
    """Read subscriptions with these headers."""
    return raw.send(service.port, "GET", path, headers)


def send(service: Watched, *headers: tuple[str, str], event: Any = None) -> raw.Answer:
    """Send an event with these headers."""
    sent = [*headers] if any(name == "Content-Type" for name, _ in headers) else [*headers, ("Content-Type", "")]
    return raw.send(service.port, "POST", "/receive", sent, json.dumps(event or make_event()).encode())


def test_the_command_makes_lists_and_revokes(service: Watched, command: Command) -> None:
    """A token is printed alone and once, listed without itself, and unknown as soon as it is revoked."""
    token = make(command, "mine", "alice", "user", "--days", "7")
    listed = command.run("token", "list")
    shown = json.loads(command.run("token", "list", "--json").stdout)

    before = ask(service, bearer(token), PAST_A_PROXY)
    used = json.loads(command.run("token", "list", "--json").stdout)
    revoked = command.run("token", "revoke", "mine")
    again = command.run("token", "revoke", "mine")
    after = ask(service, bearer(token), PAST_A_PROXY)

    assert re.fullmatch(r"pnt_[A-Za-z0-9_-]{43}", token)
    assert token not in listed.stdout + json.dumps(shown)
    assert [row["name"] for row in shown] == ["mine"]
    assert shown[0]["created"] < shown[0]["expires"]
    assert shown[0] | {"created": "", "expires": ""} == {
        "name": "mine",
        "user": "alice",
        "role": "user",
        "sources": [],
        "types": [],
        "created": "",
        "expires": "",
        "used": None,
    }
    assert "mine" in listed.stdout
    assert used[0]["used"] is not None
    assert (before.status, before.json()) == (200, [])
    assert (revoked.returncode, revoked.stdout) == (0, "revoked mine\n")
    assert (again.returncode, again.stderr) == (255, "there is no token mine\n")
    assert after.status == 401


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a,b", "--user", "alice", "--role", "user"], "NAME must be"),
        (["n", "--user", "two words", "--role", "user"], "--user must be"),
        (["n", "--user", "alice", "--role", "root"], "producer, user, manager, admin, operators"),
        (["n", "--user", "alice", "--role", "user", "--source", "x"], "go with the role producer"),
    ],
)
def test_a_token_that_would_say_nothing_is_refused(command: Command, arguments: list[str], said: str) -> None:
    """What is wrong with a token is said when it is made, and none is."""
    done = command.run("token", "create", *arguments)

    assert (done.returncode, done.stdout) == (255, "")
    assert said in done.stderr
    assert json.loads(command.run("token", "list", "--json").stdout) == []


def test_a_token_says_who_is_asking(service: Watched, command: Command) -> None:
    """The bearer is the token's user, also from elsewhere; what the proxy says of the user comes first."""
    token = make(command, "bobs", "bob", "user")
    body = json.dumps(make_subscription()).encode()
    headers = [bearer(token), PAST_A_PROXY, ("Content-Type", "application/json")]

    made = raw.send(service.port, "POST", "/eventmatch", headers, body)
    beside = raw.send(service.port, "POST", "/eventmatch", [*headers, (HEADER, "alice")], body)
    with_an_empty_header = ask(service, bearer(token), (HEADER, ""))

    assert (made.json()["user"], beside.json()["user"]) == ("bob", "alice")
    assert [row["user"] for row in with_an_empty_header.json()] == ["bob"]
    assert ask(service, ("authorization", f"bEARER   {token} "), PAST_A_PROXY).status == 200
    command.run("token", "revoke", "bobs")


def test_each_reason_for_a_401_has_its_words(service: Watched, command: Command) -> None:
    """No user, another scheme, a bad token and an expired one are told apart, each with a challenge (RFC 6750)."""
    expired, gone = make(command, "old", "alice", "user"), make(command, "gone", "alice", "user")
    service.execute("UPDATE token SET expires = created WHERE name = 'old'")
    command.run("token", "revoke", "gone")
    plain, invalid = 'Bearer realm="pacifica-notifications"', ', error="invalid_token"'

    found = {
        name: ask(service, *headers)
        for name, headers in {
            "nobody": [PAST_A_PROXY],
            "an empty header": [(HEADER, "")],
            "another scheme": [("Authorization", "Basic YWxpY2U6c2VjcmV0")],
            "no scheme": [("Authorization", gone)],
            "nothing": [("Authorization", "")],
            "no token": [bearer("mallory")],
            "twice": [bearer(gone), bearer(gone)],
            "unknown": [bearer(gone)],
            "expired": [bearer(expired)],
        }.items()
    }

    assert {name: answer.status for name, answer in found.items()} == dict.fromkeys(found, 401)
    assert {name: answer.headers["WWW-Authenticate"] for name, answer in found.items()} == {
        name: plain
        if name in ("nobody", "an empty header", "another scheme", "no scheme", "nothing")
        else plain + invalid
        for name in found
    }
    said = {name: answer.json()["message"] for name, answer in found.items()}
    assert "the request names no user" in said["nobody"]
    assert "must hold one user" in said["an empty header"]
    assert "another scheme than Bearer" in said["another scheme"] == said["no scheme"] == said["nothing"]
    assert "none that this service gave" in said["no token"] == said["twice"]
    assert "unknown, or was revoked" in said["unknown"]
    assert "the token old has expired" in said["expired"]
    assert not [name for name, answer in found.items() if expired in answer.text or gone in answer.text]


def test_a_producer_sends_what_its_token_says(service: Watched, command: Command) -> None:
    """In every content mode and in a batch, source and type must begin as one of the token's prefixes."""
    token = make(
        command, "facility", "ingest", "producer",
        "--source", "http://metadata.", "--source", "/beamline/", "--type", "org.pacifica.",
    )  # fmt: skip
    good = make_event(source="/beamline/7", eventType="org.pacifica.scan")
    elsewhere, otherwise = good | {"source": "/other/beamline/"}, good | {"eventType": "com.example.scan"}
    batch = ("Content-Type", "application/cloudevents-batch+json")
    new = {"specversion": "1.0", "id": "1", "source": "/beamline/1", "type": "org.pacifica.scan"}
    before = service.stored()["eventlog"]

    allowed = [send(service, bearer(token), event=good), send(service, bearer(token), batch, event=[new])]
    refused = [
        send(service, bearer(token), event=elsewhere),
        send(service, bearer(token), event=otherwise),
        send(service, bearer(token), batch, event=[new | {"id": "2"}, new | {"id": "3", "source": "x"}]),
        send(service, bearer(token), *((f"ce-{name}", value) for name, value in (new | {"type": "x"}).items())),
    ]

    assert [answer.status for answer in allowed] == [200, 200], allowed
    assert [answer.status for answer in refused] == [403] * 4
    assert "source begins with http://metadata. or /beamline/" in refused[0].json()["message"]
    assert "type begins with org.pacifica." in refused[1].json()["message"]
    assert service.stored()["eventlog"] == before + 2


def test_who_may_not_send_is_told_before_the_event_is_read(service: Watched, command: Command) -> None:
    """With receive.auth = any nothing is said of an event to those who may not send one, whatever way it takes."""
    token = make(command, "reader", "alice", "manager")
    ways = {"plainly": b'{"specversion": "1.0"}', "no JSON": b"{", "nothing": b""}

    for body in ways.values():
        for more in ([], [("Accept-Charset", "utf-8")], [("ce-id", "1")]):
            nobody = raw.send(service.port, "POST", "/receive", [PAST_A_PROXY, *more], body)
            known = raw.send(service.port, "POST", "/receive", [bearer(token), *more], body)
            assert (nobody.status, known.status) == (401, 403), body
            assert "needs one of the roles producer, admin" in known.json()["message"]
    assert send(service, ("Authorization", "Basic eDp5")).status == 401
    assert raw.send(service.port, "OPTIONS", "/receive", [PAST_A_PROXY]).status == 200


def test_names_of_roles_can_be_added(service: Watched, command: Command) -> None:
    """A token with a name of auth.roles has the role behind it."""
    token = make(command, "ops", "olga", "operators")
    service.subscribe("someone")

    assert {"someone"} <= {row["user"] for row in ask(service, bearer(token)).json()}
