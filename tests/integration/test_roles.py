"""Who may do what: each cell of the table, and that what is not one's own is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
import requests

from pacifica.notifications import access
from tests.support.factories import make_event, make_subscription
from tests.support.processes import Command
from tests.support.watched import Watched

from .conftest import Start

PRODUCER, USER, MANAGER, ADMIN = access.Role
NONE, OWN, ALL = access.Reach

#: The table, written down a second time: a cell that changes by accident is seen.
CELLS = {
    ("POST", "/receive"): {PRODUCER: ALL, USER: NONE, MANAGER: NONE, ADMIN: ALL},
    ("GET", "/eventmatch"): {PRODUCER: NONE, USER: OWN, MANAGER: ALL, ADMIN: ALL},
    ("POST", "/eventmatch"): {PRODUCER: NONE, USER: OWN, MANAGER: OWN, ADMIN: OWN},
    ("GET", "/eventmatch/UUID"): {PRODUCER: NONE, USER: OWN, MANAGER: ALL, ADMIN: ALL},
    ("PUT", "/eventmatch/UUID"): {PRODUCER: NONE, USER: OWN, MANAGER: OWN, ADMIN: ALL},
    ("DELETE", "/eventmatch/UUID"): {PRODUCER: NONE, USER: OWN, MANAGER: OWN, ADMIN: ALL},
}
EACH = [(method, place, role) for (method, place), cells in CELLS.items() for role in cells]

SETTINGS = {
    "receive.auth": "any",
    "auth.managers": "manager",
    "auth.admins": "admin, root",
    "auth.producers": "sender",
    "auth.show": "owner",
}


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: that users differ by every character is the tables' contract."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with somebody in each role."""
    return start(SETTINGS)


@pytest.fixture(scope="module")
def bearers(service: Watched) -> Mapping[access.Role, dict[str, str]]:
    """What is sent to have each role alone, by tokens for the users named after them."""
    command = Command(service.config_file.parent, {"database.peewee_url": service.database_url})
    made = {
        role: command.run("token", "create", f"a {role}".replace(" ", "-"), "--user", f"{role}-1", "--role", role)
        for role in access.Role
    }
    return {role: {"Authorization": f"Bearer {done.stdout.strip()}"} for role, done in made.items()}


def asked(
    service: Watched, method: str, place: str, headers: dict[str, str], uuid: str = "", body: Any = None
) -> requests.Response:
    """Send what is asked for at a place of the table."""
    if body is None:
        bodies = {("POST", "/receive"): make_event(), ("POST", "/eventmatch"): make_subscription()}
        body = bodies.get((method, place), {"name": "changed"} if method == "PUT" else None)
    options = {} if body is None else {"json": body}
    return service.request(method, place.replace("UUID", uuid), headers={"Via": "1.1 proxy", **headers}, **options)


def test_the_table_is_what_it_was_meant_to_be() -> None:
    """The table in code has exactly these cells."""
    assert {
        (method, place): {role: access.reach(method, place, role) for role in access.Role}
        for method, place in access.TABLE
    } == CELLS


@pytest.mark.parametrize(("method", "place", "role"), EACH, ids=" ".join)
def test_each_role_reaches_as_far_as_the_table_says(
    service: Watched, bearers: Mapping[access.Role, dict[str, str]], method: str, place: str, role: access.Role
) -> None:
    """403 that names the roles where it reaches nothing, else its own rows, and others' only where it reaches all."""
    reach, headers = CELLS[method, place][role], bearers[role]
    mine = service.subscribe(f"{role}-1")["uuid"]
    foreign = service.subscribe("somebody-else")["uuid"]

    own, other = (asked(service, method, place, headers, uuid) for uuid in (mine, foreign))

    if reach is NONE:
        assert (own.status_code, other.status_code) == (403, 403)
        able = [each for each in access.Role if CELLS[method, place][each]]
        assert f"{method} {place} needs one of the roles {', '.join(able)};" in own.json()["message"]
    elif "UUID" in place:
        assert (own.status_code, other.status_code) == (200, 200 if reach is ALL else 403)
        there = service.rows(f"SELECT deleted IS NULL, name FROM eventmatch WHERE uuid = '{foreign.replace('-', '')}'")
        untouched = reach is OWN or method == "GET"
        assert there[0] == ((1, there[0][1]) if method != "DELETE" or untouched else (0, there[0][1]))
        assert (there[0][1] == "changed") == (method == "PUT" and not untouched)
    else:
        assert own.status_code == 200, own.text
        if (method, place) == ("GET", "/eventmatch"):
            users = {row["user"] for row in own.json()}
            assert users == {f"{role}-1"} if reach is OWN else {f"{role}-1", "somebody-else"} <= users
        if (method, place) == ("POST", "/eventmatch"):
            assert own.json()["user"] == f"{role}-1"


@pytest.mark.parametrize(
    ("method", "role"), [("GET", USER), ("PUT", USER), ("DELETE", USER), ("PUT", MANAGER), ("DELETE", MANAGER)]
)
def test_what_is_foreign_is_not_there(
    service: Watched, bearers: Mapping[access.Role, dict[str, str]], method: str, role: access.Role
) -> None:
    """Foreign, unknown and deleted answer the same in status, headers, body and order of checks."""
    mine, foreign = service.subscribe(f"{role}-1")["uuid"], service.subscribe("somebody-else")["uuid"]
    service.request("DELETE", f"/eventmatch/{mine}", user=f"{role}-1")
    gone = service.subscribe("somebody-else")["uuid"]
    service.request("DELETE", f"/eventmatch/{gone}", user="somebody-else")

    for body in (None, {"name": 7, "colour": "red"}, {"target_url": "file:///"}):
        answers = [
            asked(service, method, f"/eventmatch/{uuid}{query}", bearers[role], body=body)
            for uuid in (foreign, mine, gone, str(uuid4()))
            for query in ("", "?colour=red")
            if not (query and method == "GET")
        ]
        told = {
            (one.status_code, one.text, *sorted(set(one.headers.items()) - {("Date", one.headers["Date"])}))
            for one in answers
        }
        assert len(told) == 1
        assert answers[0].status_code == 403


def test_the_proxys_users_have_the_roles_of_the_settings(service: Watched) -> None:
    """A user that the proxy names is a user, and more where auth.managers, auth.admins or auth.producers say so."""
    row = service.subscribe("somebody-else")["uuid"]

    reads = {
        name: service.get(f"/eventmatch/{row}", user=name).status_code
        for name in ("manager", "admin", "root", "sender")
    }
    sends = {
        name: service.request("POST", "/receive", user=name, json=make_event()).status_code
        for name in ("sender", "admin", "manager", "Sender", "Admin")
    }

    assert reads == {"manager": 200, "admin": 200, "root": 200, "sender": 403}
    assert sends == {"sender": 200, "admin": 200, "manager": 403, "Sender": 403, "Admin": 403}
    assert service.request("PUT", f"/eventmatch/{row}", user="manager", json={"name": "x"}).status_code == 403
    assert service.request("PUT", f"/eventmatch/{row}", user="admin", json={"name": "x"}).status_code == 200


def test_secrets_are_their_owners(service: Watched) -> None:
    """With auth.show = owner a manager or admin still sees none; an admin's change keeps them, and the owner."""
    auth = {"type": "basic", "basic": {"username": "me", "password": "open sesame"}}
    made = service.subscribe("somebody-else", auth=auth)

    changed = service.request("PUT", f"/eventmatch/{made['uuid']}", user="admin", json={"name": "by the admin"}).json()
    seen = {
        name: service.get(f"/eventmatch/{made['uuid']}", user=name).text.count("open sesame")
        for name in ("manager", "admin", "somebody-else")
    }

    assert (changed["name"], changed["user"]) == ("by the admin", "somebody-else")
    assert "open sesame" not in str(changed) + service.get("/eventmatch", user="admin").text
    assert seen == {"manager": 0, "admin": 0, "somebody-else": 1}


FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://HERE"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://HERE.evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: " ".join(headers.values()))
def test_pages_of_other_sites_change_nothing(service: Watched, headers: dict[str, str]) -> None:
    """What a browser sends for another site's page is 403, because the login of the proxy goes with it unasked."""
    here = {name: value.replace("HERE", f"127.0.0.1:{service.port}") for name, value in headers.items()}
    row = service.subscribe("alice")["uuid"]
    before = service.stored()

    refused = [
        service.request("POST", "/eventmatch", user="alice", json=make_subscription(), headers=here),
        service.request("PUT", f"/eventmatch/{row}", user="alice", json={"name": "x"}, headers=here),
        service.request("DELETE", f"/eventmatch/{row}", user="alice", headers=here),
        service.request("POST", "/receive", user="sender", json=make_event(), headers=here),
        service.request("POST", "/eventmatch", json=make_subscription(), headers=here),
    ]

    assert [answer.status_code for answer in refused] == [403] * 5
    assert "page of another site" in refused[0].json()["message"]
    assert service.stored() == before
    assert service.get(f"/eventmatch/{row}", user="alice", headers=here).status_code == 200


def test_pages_of_its_own_and_programs_change_what_they_may(
    service: Watched, bearers: Mapping[access.Role, dict[str, str]]
) -> None:
    """A page of the same origin and an address typed in are no other site's; a token goes with nothing unasked."""
    own: list[dict[str, str]] = [
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"http://127.0.0.1:{service.port}"},
    ]

    for headers in own:
        answer = service.request("POST", "/eventmatch", user="alice", json=make_subscription(), headers=headers)
        assert answer.status_code == 200, answer.text
    assert asked(service, "POST", "/eventmatch", {**bearers[USER], **FOREIGN[0]}).status_code == 200
