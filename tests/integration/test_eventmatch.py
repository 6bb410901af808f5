"""Subscriptions: every row of the contract's first section, through a real service."""

from __future__ import annotations

import json
import re
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from pacifica.notifications.sealing import Keyring, read_key
from tests.support import raw
from tests.support.databases import held
from tests.support.factories import make_subscription
from tests.support.keys import KEY
from tests.support.target import RecordingTarget
from tests.support.wait import until
from tests.support.watched import Watched

from .conftest import Start

KEYS = "uuid name jsonpath user disabled error target_url version extensions auth created updated deleted".split()
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
#: Where nobody listens; no name that would have to be looked up.
NOWHERE = "http://127.0.0.1:9/"
BASIC = {"type": "basic", "basic": {"username": "me", "password": "sec:ret ü"}}
HEADER = {"type": "header", "header": {"type": "Bearer", "credentials": "abc.def=="}}


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture(scope="module")
def strict(start: Start) -> Watched:
    """A service with bounds that are easy to reach."""
    return start(
        {
            "receive.max_body": 1024,
            "receive.max_depth": 4,
            "receive.max_name": 8,
            "matching.max_expression": 40,
            "matching.max_nesting": 2,
            "matching.max_descents": 1,
            "matching.max_union": 3,
            "matching.max_alternatives": 4,
        }
    )


@pytest.fixture(scope="module")
def open_hearted(start: Start) -> Watched:
    """A service that shows secrets to their owner, and times as they were."""
    return start({"auth.show": "owner", "notifications.naive_times": "true"})


@pytest.fixture
def user() -> str:
    """A user whom no other test knows."""
    return f"user-{uuid4()}"


def body(**members: Any) -> dict[str, Any]:
    """Return what makes a subscription to which nothing is ever sent."""
    return make_subscription(**{"jsonpath": "$.nothing", "target_url": NOWHERE, **members})


def made(service: Watched, user: str, **members: Any) -> dict[str, Any]:
    """Make a subscription and return it as it was answered."""
    return service.subscribe(user, **body(**members))


def put(service: Watched, user: str, uuid: str, sent: object) -> requests.Response:
    """Send a change."""
    return service.request("PUT", f"/eventmatch/{uuid}", user=user, json=sent)


def changed(service: Watched, user: str, uuid: str, sent: object) -> dict[str, Any]:
    """Change a subscription and return it as it was answered."""
    answer = put(service, user, uuid, sent)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def shown(service: Watched, user: str, uuid: str) -> dict[str, Any]:
    """Return a subscription as GET gives it."""
    answer = service.get(f"/eventmatch/{uuid}", user=user)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listed(service: Watched, user: str, query: str = "") -> list[dict[str, Any]]:
    """Return what the list gives."""
    answer = service.get(f"/eventmatch{query}", user=user)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


# Making.


def test_documented_example(service: Watched, user: str) -> None:
    """The documented body, sent as the documentation's curl sends it, gives the documented thirteen members."""
    sent = b'{"name": "My Event Match", "jsonpath": "data", "target_url": "http://www.example.com/recieve"}'
    headers = [("Http-Remote-User", user), ("Content-Type", "application/json"), ("Accept", "*/*")]

    answer = raw.send(service.port, "POST", "/eventmatch", headers, sent)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    found = answer.json()
    assert list(found) == KEYS
    assert str(UUID(found["uuid"])) == found["uuid"]
    assert found | {"uuid": "", "created": "", "updated": ""} == {
        "uuid": "",
        "name": "My Event Match",
        "jsonpath": "data",
        "user": user,
        "disabled": None,
        "error": None,
        "target_url": "http://www.example.com/recieve",
        "version": "v0.1",
        "extensions": {},
        "auth": {},
        "created": "",
        "updated": "",
        "deleted": None,
    }
    assert shown(service, user, found["uuid"]) == found


def test_documented_example_matches(service: Watched, user: str, target: RecordingTarget) -> None:
    """The bare name `data` of the documented example finds an event's `data`."""
    service.subscribe(user, name="My Event Match", jsonpath="data", target_url=target.url("/in"))
    event = {"cloudEventsVersion": "0.1", "eventType": "t", "source": "/s", "eventID": str(uuid4()), "data": None}

    assert service.post_event(event).status_code == 200

    assert target.wait_for(1, "/in")[0].json() == event


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "n" * 255),
        ("name", "Zürich \U0001f52c 'quoted' \"twice\" \\ \t"),
        ("jsonpath", "$"),
        ("jsonpath", "data.value.x_1"),
        ("jsonpath", '$["' + "a" * 2043 + '"]'),
        ("jsonpath", "$[?(" + "(" * 30 + "@.a" + ")" * 30 + ")]"),
        ("jsonpath", "$..a..b"),
        ("jsonpath", "$.data[-999999999999:999999999999:-1]"),
        ("jsonpath", " $ . data "),
        ("target_url", "https://user.example:8443/a%20b;c?d=e&f=%23#"[:-1]),
        ("target_url", "HTTP://127.0.0.1/%C3%9C?q=%C3%B6"),
        ("target_url", "http://[::1]:65535/"),
        ("target_url", "http://xn--bcher-kva.example./"),
        ("target_url", "http://localhost/" + "a" * 2031),
        ("extensions", {"comExample": {"deep": [1, None, 1.5]}, "n": 2**70, "ü": "\u0000"}),
        ("auth", {}),
        ("auth", BASIC),
        ("auth", HEADER),
        ("auth", {"type": "basic", "basic": {"username": "", "password": ""}}),
        ("auth", BASIC | HEADER | {"type": "basic"}),
        ("auth", {"type": "header", "header": {"type": "Token", "credentials": 'a b="c", d'}}),
        ("error", None),
        ("version", "v0.1"),
        ("disabled", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_member_is_kept(service: Watched, user: str, name: str, value: object) -> None:
    """What is valid is taken by POST and by PUT alike, answered as it was sent, and found again."""
    by_post = made(service, user, **{name: value})
    by_put = changed(service, user, made(service, user)["uuid"], {name: value})

    assert by_post[name] == by_put[name] == value
    if name != "auth":
        assert shown(service, user, by_post["uuid"])[name] == shown(service, user, by_put["uuid"])[name] == value


def test_large_integers_in_extensions_are_exact(service: Watched, user: str) -> None:
    """An integer beyond 64 bits in `extensions` comes back digit by digit."""
    uuid = made(service, user, extensions={"n": 2**200 + 1})["uuid"]

    text = service.get(f"/eventmatch/{uuid}", user=user).text

    assert f'"extensions": {{"n": {2**200 + 1}}}' in text


def test_bytes_beyond_ascii_leave_as_utf_8(service: Watched, user: str) -> None:
    """Text beyond ASCII is answered as UTF-8."""
    uuid = made(service, user, name="Zürich")["uuid"]

    assert '"name": "Zürich"'.encode() in service.get(f"/eventmatch/{uuid}", user=user).content


def test_times_are_utc_with_microseconds(service: Watched, user: str) -> None:
    """Times are RFC 3339 in UTC with six decimals and `Z`; a new subscription was changed when it was made."""
    found = made(service, user)

    assert re.fullmatch(TIME, found["created"])
    assert found["updated"] == found["created"]


def test_made_disabled(service: Watched, user: str) -> None:
    """A time in `disabled` makes a subscription that is disabled now, whatever the time says."""
    found = made(service, user, disabled="1999-12-31T23:59:60+01:00")

    assert found["disabled"] == found["created"]
    assert shown(service, user, found["uuid"])["disabled"] == found["created"]


def test_every_fault_is_named_at_once(service: Watched, user: str) -> None:
    """A body with many faults gets them all in one answer, each with its place."""
    sent = {
        "name": "",
        "jsonpath": "$[",
        "auth": {"type": "basic"},
        "extensions": [],
        "uuid": "x",
        "user": "bob",
        "a/b": 1,
    }

    answer = service.request("POST", "/eventmatch", user=user, json=sent)

    assert answer.status_code == 400
    places = {fault["pointer"] for fault in answer.json()["errors"]}
    assert places == {"/name", "/jsonpath", "/auth/basic", "/extensions", "/uuid", "/user", "/a~1b", "/target_url"}
    assert all(fault["message"] in answer.json()["message"] for fault in answer.json()["errors"])


def test_message_says_what_was_sent(service: Watched, user: str) -> None:
    """Characters that mean something in HTML stand in a message as they are."""
    sent = body(jsonpath="$[?(@.a && @.b < 1)]")

    error = service.request("POST", "/eventmatch", user=user, json=sent).json()

    assert "&amp;" not in error["message"]
    assert error["errors"][0]["message"] in error["message"] == error["detail"]


def test_jsonpath_that_jsonpath2_cannot_take_is_refused(service: Watched, user: str) -> None:
    """An expression on which this service and jsonpath2 disagree is refused, by POST and by PUT, with the reason."""
    chained = "$" + ".a" * 1000
    uuid = made(service, user)["uuid"]

    answers = [
        service.request("POST", "/eventmatch", user=user, json=body(jsonpath=chained)),
        put(service, user, uuid, {"jsonpath": chained}),
    ]

    for answer in answers:
        assert answer.status_code == 400
        (fault,) = answer.json()["errors"]
        assert fault["pointer"] == "/jsonpath"
        assert "jsonpath2" in fault["message"]
    assert "jsonpath.disputed ours=taken jsonpath2=refused" in service.log
    assert shown(service, user, uuid)["jsonpath"] != chained


# Reading.


def test_nobody_has_nothing(service: Watched, user: str) -> None:
    """A user without subscriptions gets an empty list."""
    answer = service.get("/eventmatch", user=user)

    assert (answer.status_code, answer.content) == (200, b"[]")


def test_list_has_the_own_alone(service: Watched, user: str) -> None:
    """The list has the asking user's own subscriptions, oldest first, without deleted ones."""
    own = [made(service, user, name=f"number {number}")["uuid"] for number in range(4)]
    made(service, f"{user}-2")
    made(service, user.upper())
    service.request("DELETE", f"/eventmatch/{own[1]}", user=user)

    found = listed(service, user)

    assert [one["uuid"] for one in found] == [own[0], own[2], own[3]]
    assert found[0] == shown(service, user, own[0])
    assert all(list(one) == KEYS for one in found)


def test_head(service: Watched, user: str) -> None:
    """HEAD answers as GET does, without the body."""
    uuid = made(service, user)["uuid"]

    for path, status in ((f"/eventmatch/{uuid}", 200), ("/eventmatch", 200), (f"/eventmatch/{uuid4()}", 403)):
        whole = service.get(path, user=user)
        answer = service.request("HEAD", path, user=user)
        assert (answer.status_code, answer.content) == (status, b"")
        assert answer.headers["Content-Length"] == str(len(whole.content))
        assert answer.headers["Content-Type"] == "application/json"


def test_uuid_in_capitals(service: Watched, user: str) -> None:
    """A uuid names its subscription in any case of letters."""
    found = made(service, user)

    assert shown(service, user, found["uuid"].upper()) == found


FOREIGN_BODIES = [b"", b"{", b'{"name": 5}', b'{"name": "taken"}', b'{"user": "me"}', b'{"disabled": null}']


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize("sent", FOREIGN_BODIES, ids=lambda sent: sent.decode() or "empty")
def test_foreign_unknown_and_deleted_are_alike(service: Watched, user: str, method: str, sent: bytes) -> None:
    """What is not one's own is answered 403 in the same bytes, whether it exists or not, and whatever is sent."""
    foreign = made(service, f"{user}-other")
    deleted = made(service, user)["uuid"]
    service.request("DELETE", f"/eventmatch/{deleted}", user=user)
    headers = {"Content-Type": "text/plain" if sent == b"{" else "application/json"}

    answers = [
        service.request(method, f"/eventmatch/{uuid}", user=user, data=sent, headers=headers)
        for uuid in (foreign["uuid"], deleted, str(uuid4()), str(UUID(int=0)))
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    assert len({json.dumps({**answer.headers, "Date": ""}) for answer in answers}) == 1
    assert shown(service, f"{user}-other", foreign["uuid"]) == foreign


# Changing.


def test_put_changes_what_is_sent_alone(service: Watched, user: str) -> None:
    """What a PUT does not send stays, `auth` and `extensions` too."""
    before = made(service, user, auth=BASIC, extensions={"a": 1})

    answer = changed(service, user, before["uuid"], {"name": "another"})

    masked = {"type": "basic", "basic": {"username": "me", "password": "***"}}
    assert answer == before | {"name": "another", "auth": masked, "updated": answer["updated"]}
    assert answer["updated"] > before["updated"]
    assert shown(service, user, before["uuid"]) == answer


def test_put_of_nothing(service: Watched, user: str) -> None:
    """An empty object changes nothing but the time."""
    before = made(service, user)

    answer = changed(service, user, before["uuid"], {})

    assert answer == before | {"updated": answer["updated"]}


def test_put_takes_what_get_gave(service: Watched, user: str) -> None:
    """What GET gave can be sent back whole: read-only members with the values that they have, secrets masked."""
    uuid = made(service, user, auth=HEADER)["uuid"]
    before = shown(service, user, uuid)

    answer = changed(service, user, uuid, before)

    assert answer == before | {"updated": answer["updated"]}
    assert _stored_auth(service, user, uuid) == HEADER


def test_put_takes_what_get_gave_of_a_disabled_one(service: Watched, user: str) -> None:
    """The whole of a disabled subscription with an error can be sent back; it stays as it is."""
    uuid = made(service, user)["uuid"]
    fail(service, uuid, "target is gone")
    before = shown(service, user, uuid)

    answer = changed(service, user, uuid, before)

    assert before["error"] == "target is gone"
    assert answer == before | {"updated": answer["updated"]}


@pytest.mark.parametrize("name", ["uuid", "user", "version", "created", "updated", "deleted"])
def test_read_only_member(service: Watched, user: str, name: str) -> None:
    """A read-only member is taken in a PUT with exactly its value, and refused with any other."""
    before = made(service, user)
    others = {"uuid": str(uuid4()), "user": "bob", "version": "v0.2"}

    same = put(service, user, before["uuid"], {name: before[name]})
    other = put(service, user, before["uuid"], {name: others.get(name, "2001-01-01T00:00:00.000000Z")})

    assert same.status_code == 200, same.text
    assert other.status_code == 400
    assert [fault["pointer"] for fault in other.json()["errors"]] == [f"/{name}"]
    assert shown(service, user, before["uuid"])["user"] == user


def test_read_only_member_with_a_refusal_changes_nothing(service: Watched, user: str) -> None:
    """One bad member keeps the good ones beside it from being written."""
    before = made(service, user)

    assert put(service, user, before["uuid"], {"name": "other", "user": "bob"}).status_code == 400

    assert shown(service, user, before["uuid"]) == before


def test_disabling_by_hand(service: Watched, user: str) -> None:
    """Any time in `disabled` disables, stored as now; disabled again it keeps that time."""
    before = made(service, user)

    first = changed(service, user, before["uuid"], {"disabled": "2001-01-01T00:00:00Z"})
    again = changed(service, user, before["uuid"], {"disabled": "2040-01-01T00:00:00.5+02:00"})

    assert first["disabled"] == first["updated"] > before["created"]
    assert again["disabled"] == first["disabled"]
    assert first["error"] is None


@pytest.mark.parametrize("sent", [{"disabled": None}, {"disabled": None, "error": None}], ids=["alone", "with error"])
def test_reviving(service: Watched, user: str, sent: dict[str, None]) -> None:
    """`{"disabled": null}` revives and clears the error, also with `"error": null` beside it."""
    uuid = made(service, user)["uuid"]
    fail(service, uuid, "target is gone")

    answer = changed(service, user, uuid, sent)

    assert (answer["disabled"], answer["error"]) == (None, None)
    assert shown(service, user, uuid) == answer


def test_error_is_not_cleared_alone(service: Watched, user: str) -> None:
    """`{"error": null}` without reviving leaves the error where it is."""
    uuid = made(service, user)["uuid"]
    fail(service, uuid, "target is gone")

    answer = changed(service, user, uuid, {"error": None})

    assert answer["error"] == "target is gone"
    assert answer["disabled"] is not None


def test_disabled_gets_nothing_until_revived(service: Watched, user: str, target: RecordingTarget) -> None:
    """Events that come while a subscription is disabled make no delivery; those that come after it is revived do."""
    kind = str(uuid4())
    uuid = service.subscribe(user, jsonpath=f'$[?(@.eventType = "{kind}")]', target_url=target.url("/in"))["uuid"]

    changed(service, user, uuid, {"disabled": "2026-01-01T00:00:00Z"})
    first = send(service, kind, "while disabled")
    routed(service, first)
    changed(service, user, uuid, {"disabled": None})
    send(service, kind, "after")

    assert [request.json()["eventID"] for request in target.wait_for(1, "/in")] == ["after"]


def test_changes_take_effect(service: Watched, user: str, target: RecordingTarget) -> None:
    """An event that is accepted after a PUT finds the new expression, target and authentication."""
    old, new = str(uuid4()), str(uuid4())
    uuid = service.subscribe(user, jsonpath=f'$[?(@.eventType = "{old}")]', target_url=target.url("/old"))["uuid"]

    changed(
        service,
        user,
        uuid,
        {"jsonpath": f'$[?(@.eventType = "{new}")]', "target_url": target.url("/new"), "auth": HEADER},
    )
    routed(service, send(service, old, "of the old kind"))
    send(service, new, "of the new kind")

    (request,) = target.wait_for(1, "/new")
    assert request.header("Authorization") == "Bearer abc.def=="
    assert target.requests("/old") == []


def test_changes_at_once_are_all_kept(service: Watched, user: str) -> None:
    """PUTs of different members at the same time are all in the row at the end."""
    uuid = made(service, user)["uuid"]
    sent = [
        {"name": "new"},
        {"jsonpath": "$.x"},
        {"extensions": {"a": 1}},
        {"auth": BASIC},
        {"target_url": NOWHERE + "x"},
    ]
    answers: list[int] = []

    def change(members: dict[str, Any]) -> None:
        headers = [("Http-Remote-User", user), ("Content-Type", "application/json")]
        path = f"/eventmatch/{uuid}"
        answers.append(raw.send(service.port, "PUT", path, headers, json.dumps(members).encode()).status)

    threads = [threading.Thread(target=change, args=(members,)) for members in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * len(sent)
    found = shown(service, user, uuid)
    assert (found["name"], found["jsonpath"], found["extensions"]) == ("new", "$.x", {"a": 1})
    assert (found["auth"]["type"], found["target_url"]) == ("basic", NOWHERE + "x")


# Deleting.


def test_delete(service: Watched, user: str, target: RecordingTarget) -> None:
    """DELETE answers 200 without a body, keeps the row, and nothing is delivered for it afterwards."""
    kind = str(uuid4())
    gone, left = (
        service.subscribe(user, jsonpath=f'$[?(@.eventType = "{kind}")]', target_url=target.url(f"/{name}"))["uuid"]
        for name in ("gone", "left")
    )
    before = service.stored()["eventmatch"]

    answer = service.request("DELETE", f"/eventmatch/{gone}", user=user)
    send(service, kind, "1")

    assert (answer.status_code, answer.content) == (200, b"")
    target.wait_for(1, "/left")
    assert target.requests("/gone") == []
    assert service.get(f"/eventmatch/{gone}", user=user).status_code == 403
    assert service.request("DELETE", f"/eventmatch/{gone}", user=user).status_code == 403
    assert [one["uuid"] for one in listed(service, user)] == [left]
    assert service.stored()["eventmatch"] == before
    assert service.rows(f"SELECT COUNT(*) FROM eventmatch WHERE deleted IS NOT NULL AND {_of(service, gone)}") == [(1,)]


# Secrets.


@pytest.mark.parametrize(("auth", "secret"), [(BASIC, "password"), (HEADER, "credentials")], ids=["basic", "header"])
def test_secret_is_shown_once(service: Watched, user: str, auth: dict[str, Any], secret: str) -> None:
    """The answer that sets a secret shows it; GET, the list and an answer to anything else show a mask."""
    kind = auth["type"]
    masked = {"type": kind, kind: {**auth[kind], secret: "***"}}

    found = made(service, user, auth=auth)
    uuid = found["uuid"]

    assert found["auth"] == auth
    assert shown(service, user, uuid)["auth"] == masked
    assert listed(service, user)[0]["auth"] == masked
    assert changed(service, user, uuid, {"name": "new"})["auth"] == masked
    assert changed(service, user, uuid, {"auth": auth})["auth"] == auth


@pytest.mark.parametrize(("auth", "secret"), [(BASIC, "password"), (HEADER, "credentials")], ids=["basic", "header"])
def test_mask_keeps_the_secret(service: Watched, user: str, auth: dict[str, Any], secret: str) -> None:
    """A mask that is sent back keeps what is stored and does not bring it to light; what is beside it changes."""
    kind = auth["type"]
    uuid = made(service, user, auth=auth)["uuid"]
    other = {"basic": "username", "header": "type"}[kind]
    sent = {"type": kind, kind: {other: "Other", secret: "***"}}

    answer = changed(service, user, uuid, {"auth": sent})

    assert answer["auth"] == sent
    assert shown(service, user, uuid)["auth"] == sent
    stored = {"type": kind, kind: {other: "Other", secret: auth[kind][secret]}}
    assert _stored_auth(service, user, uuid) == stored


def test_mask_of_one_secret_beside_a_new_one(service: Watched, user: str) -> None:
    """Where one secret is new and the other masked, the masked one stays hidden."""
    uuid = made(service, user, auth=BASIC | HEADER | {"type": "basic"})["uuid"]
    sent = {
        "type": "basic",
        "basic": {"username": "me", "password": "new"},
        "header": {"type": "Bearer", "credentials": "***"},
    }

    answer = put(service, user, uuid, {"auth": sent})

    assert answer.status_code == 200
    assert HEADER["header"]["credentials"] not in answer.text  # type: ignore[index]


def test_auth_is_taken_away(service: Watched, user: str) -> None:
    """`{}` in a PUT takes `auth` away."""
    uuid = made(service, user, auth=BASIC)["uuid"]

    assert changed(service, user, uuid, {"auth": {}})["auth"] == {}
    assert shown(service, user, uuid)["auth"] == {}


def test_old_null_auth(service: Watched, user: str) -> None:
    """A null `auth` of an old row reads as `{}`, and can be given one."""
    uuid = made(service, user)["uuid"]
    write(service, uuid, "auth = NULL")

    assert shown(service, user, uuid)["auth"] == {}
    assert changed(service, user, uuid, {"auth": BASIC})["auth"] == BASIC


def test_owner_sees_secrets_where_a_setting_says_so(open_hearted: Watched) -> None:
    """With `auth.show = owner` GET and the list show the owner what is stored."""
    uuid = made(open_hearted, "alice", auth=BASIC)["uuid"]

    assert shown(open_hearted, "alice", uuid)["auth"] == BASIC
    assert BASIC in [one["auth"] for one in listed(open_hearted, "alice")]
    assert open_hearted.get(f"/eventmatch/{uuid}", user="bob").status_code == 403


def test_times_without_zone_where_a_setting_says_so(open_hearted: Watched) -> None:
    """With `notifications.naive_times` times have no zone, and what GET gave can be sent back all the same."""
    uuid = made(open_hearted, "alice", disabled="2026-01-01T00:00:00Z")["uuid"]
    found = shown(open_hearted, "alice", uuid)

    answer = put(open_hearted, "alice", uuid, found)

    for name in ("created", "updated", "disabled"):
        assert re.fullmatch(TIME[:-1], found[name])
    assert answer.status_code == 200, answer.text
    assert answer.json() == found | {"updated": answer.json()["updated"]}


# Hints.


def test_unresolvable_target_is_taken_with_a_hint(service: Watched, user: str) -> None:
    """A target whose name does not resolve is taken, and a header says so."""
    url = "http://sensor-7.invalid/in"

    found = made(service, user, target_url=url)

    def hint() -> str:
        return put(service, user, found["uuid"], {}).headers.get("Notifications-Hint", "")

    assert found["target_url"] == url
    assert until(lambda: "sensor-7.invalid" in hint(), 30, "a look-up that ends in time")
    assert "Notifications-Hint" not in put(service, user, found["uuid"], {"target_url": NOWHERE}).headers


def test_extensions_that_1_0_events_cannot_carry_are_hinted_at(service: Watched, user: str) -> None:
    """Extensions that can't be attributes of a 1.0 event are named in a header, the others are not."""
    extensions = {"fine1": 1, "Upper": 2, "with-dash": 3, "source": 4, "Zürich\r\nX-Evil: 1": 5}

    answer = service.request("POST", "/eventmatch", user=user, json=body(extensions=extensions))

    hint = answer.headers["Notifications-Hint"]
    assert answer.json()["extensions"] == extensions
    assert "with-dash" in hint
    assert "source" in hint
    assert "fine1" not in hint
    assert "Upper" not in hint
    assert "X-Evil" not in answer.headers


@pytest.mark.parametrize(
    ("jsonpath", "says"),
    [
        ('$[?(@.eventType = "a" and @.eventType = "b")]', "jsonpath: never matches"),
        ("$", "jsonpath: matches every event"),
    ],
)
def test_jsonpath_that_tells_no_events_apart_is_hinted_at(
    service: Watched, user: str, jsonpath: str, says: str
) -> None:
    """An expression that matches nothing, or everything, is taken, and a header says so whenever it is sent."""
    posted = service.request("POST", "/eventmatch", user=user, json=body(jsonpath=jsonpath))
    renamed = put(service, user, posted.json()["uuid"], {"jsonpath": jsonpath})

    assert posted.json()["jsonpath"] == jsonpath
    assert posted.headers["Notifications-Hint"].startswith(says)
    assert renamed.headers["Notifications-Hint"] == posted.headers["Notifications-Hint"]


def test_jsonpath_of_an_old_row_that_is_not_taken_now_is_hinted_at(service: Watched, user: str) -> None:
    """Whoever changes something else of a subscription with such an expression is told that it matches nothing."""
    uuid = made(service, user)["uuid"]
    write(service, uuid, "jsonpath = '$..a..b..c..d'")

    answer = put(service, user, uuid, {"name": "new"})

    assert answer.status_code == 200, answer.text
    assert "at most 2 are taken; it matches nothing" in answer.headers["Notifications-Hint"]


def test_no_hint_without_a_reason(service: Watched, user: str) -> None:
    """A plain subscription gets no hint."""
    answer = service.request("POST", "/eventmatch", user=user, json=body(extensions={"a": 1}))

    assert "Notifications-Hint" not in answer.headers


# Filters and pages.


@pytest.fixture(scope="module")
def library(service: Watched) -> list[dict[str, Any]]:
    """Five subscriptions of one user."""
    targets = ["http://127.0.0.1:9/a/1", "http://127.0.0.1:9/a/2", "http://127.0.0.1:9/b%/1", "http://127.0.0.1:9/b_/1"]
    found = [
        made(service, "reader", name="same" if n < 2 else f"n{n}", target_url=url) for n, url in enumerate(targets)
    ]
    off = {"disabled": "2026-01-01T00:00:00Z"}
    return [*found, made(service, "reader", name="off", target_url="http://127.0.0.1:9/c", **off)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("?name=same", [0, 1]),
        ("?name=Same", []),
        ("?name=sam", []),
        ("?name=", []),
        ("?disabled=true", [4]),
        ("?disabled=false", [0, 1, 2, 3]),
        ("?target_url=http://127.0.0.1:9/a/", [0, 1]),
        ("?target_url=http://127.0.0.1:9/a/2", [1]),
        ("?target_url=http%3A%2F%2F127.0.0.1%3A9%2Fb%25", [2]),
        ("?target_url=http://127.0.0.1:9/b_", [3]),
        ("?target_url=127.0.0.1", []),
        ("?target_url=", [0, 1, 2, 3, 4]),
        ("?since=2020-01-01T00:00:00Z", [0, 1, 2, 3, 4]),
        ("?since=2099-01-01T00:00:00%2B02:00", []),
        ("?name=same&target_url=http://127.0.0.1:9/a/2&disabled=false", [1]),
        ("?name=same&disabled=true", []),
        ("?limit=2", [0, 1]),
        ("?limit=1000", [0, 1, 2, 3, 4]),
        ("?limit=1&disabled=true", [4]),
    ],
)
def test_filters(service: Watched, library: list[dict[str, Any]], query: str, expected: list[int]) -> None:
    """The list is narrowed by exactly what the query says."""
    assert listed(service, "reader", query) == [library[index] for index in expected]


def test_since_is_the_last_change(service: Watched, user: str) -> None:
    """`since` counts the time of the last change, and takes what changed at that very time."""
    first, second = made(service, user), made(service, user)

    answer = changed(service, user, first["uuid"], {"name": "later"})

    assert [one["uuid"] for one in listed(service, user, f"?since={second['updated']}")] == [
        first["uuid"],
        second["uuid"],
    ]
    assert [one["uuid"] for one in listed(service, user, f"?since={answer['updated']}")] == [first["uuid"]]


def pages(service: Watched, user: str, query: str) -> list[list[dict[str, Any]]]:
    """Return the pages that one gets by following the `Link` of each; more than twenty are not asked for."""
    found: list[list[dict[str, Any]]] = []
    while query and len(found) < 20:
        answer = service.get(f"/eventmatch{query}", user=user)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        url = answer.links.get("next", {}).get("url", "")
        assert not url or url.startswith(f"{service.url}/eventmatch?")
        query = url.removeprefix(f"{service.url}/eventmatch")
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages(service: Watched, library: list[dict[str, Any]], limit: int) -> None:
    """Following the `Link` of each page gives everything once, in order, with the filters kept."""
    found = pages(service, "reader", f"?limit={limit}&disabled=false")

    assert [one for page in found for one in page] == library[:4]
    assert all(len(page) == limit for page in found[:-1])


def test_sort(service: Watched, user: str) -> None:
    """`sort` names members, each with `-` where the largest comes first; pages keep to it, and to the filters."""
    first, second, third = (made(service, user, name=name) for name in ("b", "a", "b"))
    off = {"disabled": "2026-01-01T00:00:00Z"}
    made(service, user, name="c", **off)
    second = changed(service, user, second["uuid"], {"name": "a"})

    found = {
        sort: [one for page in pages(service, user, f"?sort={sort}&disabled=false&limit=1") for one in page]
        for sort in ("name,-created", "-name", "-updated", "-created")
    }

    assert found["name,-created"] == [second, third, first]
    assert found["-name"] == [*sorted((first, third), key=lambda one: UUID(one["uuid"]).hex), second]
    assert found["-updated"] == [second, third, first]
    assert found["-created"] == [third, second, first]


def test_cursor_is_of_one_order(service: Watched, library: list[dict[str, Any]]) -> None:
    """A cursor that was made for another order is refused: rows would be left out, or come twice."""
    url = service.get("/eventmatch?limit=1&sort=name", user="reader").links["next"]["url"]
    query = url.removeprefix(f"{service.url}/eventmatch")

    for other in ("sort=-name", "sort=updated", "sort=name,created"):
        answer = service.get(f"/eventmatch{query.replace('sort=name', other)}", user="reader")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/cursor")
    assert service.get(f"/eventmatch{query}", user="reader").status_code == 200


def test_pages_of_rows_of_one_moment(service: Watched, user: str) -> None:
    """Rows that were made at the same time are given once each, however small the pages."""
    own = {made(service, user)["uuid"] for _ in range(5)}
    for uuid in own:
        write(service, uuid, "created = '2026-01-01 00:00:00.000000'")

    found = [one["uuid"] for page in pages(service, user, "?limit=2") for one in page]

    assert len(found) == len(own)
    assert set(found) == own


def test_cursor_shows_nothing_foreign(service: Watched, library: list[dict[str, Any]], user: str) -> None:
    """Somebody else's cursor gives one's own subscriptions alone."""
    made(service, user)
    url = service.get("/eventmatch?limit=1", user="reader").links["next"]["url"]

    found = listed(service, user, url.removeprefix(f"{service.url}/eventmatch"))

    assert {one["user"] for one in found} <= {user}


# Methods.


def methods(answer: requests.Response) -> set[str]:
    """Return the methods that an answer allows."""
    return set(answer.headers["Allow"].replace(" ", "").split(","))


COLLECTION = {"GET", "HEAD", "OPTIONS", "POST"}
ONE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}


def test_options(service: Watched, user: str) -> None:
    """OPTIONS names the methods of the collection and of one subscription."""
    for path, expected in (("/eventmatch", COLLECTION), (f"/eventmatch/{uuid4()}", ONE)):
        answer = service.request("OPTIONS", path, user=user)
        assert (answer.status_code, answer.content) == (200, b"")
        assert methods(answer) == expected


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PUT", "DELETE", "PROPFIND"])
def test_method_of_the_collection(service: Watched, user: str, method: str) -> None:
    """A method that the collection has not is a 405 that names those that it has."""
    answer = service.request(method, "/eventmatch", user=user)

    assert answer.status_code == 405
    assert methods(answer) == COLLECTION


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "POST", "PROPFIND"])
def test_method_of_one(service: Watched, user: str, method: str) -> None:
    """A method that one subscription has not is a 405 that names those that it has."""
    uuid = made(service, user)["uuid"]

    answer = service.request(method, f"/eventmatch/{uuid}", user=user, json=body())

    assert answer.status_code == 405
    assert methods(answer) == ONE


def test_nothing_beneath_one(service: Watched, user: str) -> None:
    """There is nothing beneath a subscription."""
    uuid = made(service, user)["uuid"]

    for method in ("GET", "PUT", "DELETE"):
        assert service.request(method, f"/eventmatch/{uuid}/x", user=user, json={}).status_code == 404


# Bounds.


@pytest.mark.parametrize(
    ("name", "fits", "beyond", "says"),
    [
        ("name", "n" * 8, "n" * 9, "at most 8"),
        ("name", "ü" * 8, "\U0001f52c" * 9, "at most 8"),
        ("jsonpath", "$." + "a" * 38, "$." + "a" * 39, "at most 40"),
        ("jsonpath", "$[?(@.a)]", "$[?((@.a))]", "more than 2 deep"),
        ("jsonpath", "$..a", "$..a..b", "at most 1 "),
        ("jsonpath", "$.a[0,1,2]", "$.a[0,1,2,3]", "at most 3 "),
        ("jsonpath", "$[0,1].a[0,1]", "$[0,1].a[0,1,2]", "at most 4 "),
        ("extensions", {"a": {"b": [1]}}, {"a": {"b": [[1]]}}, "more than 4 deep"),
    ],
)
def test_bounds_are_settings(strict: Watched, name: str, fits: object, beyond: object, says: str) -> None:
    """What is at a bound is taken, what is beyond it is refused with the bound named."""
    taken = strict.request("POST", "/eventmatch", user="alice", json=body(**{name: fits, **_short(name)}))
    refused = strict.request("POST", "/eventmatch", user="alice", json=body(**{name: beyond, **_short(name)}))

    assert taken.status_code == 200, taken.text
    assert refused.status_code == 400
    assert says in refused.json()["message"]


def test_size_is_a_setting(strict: Watched) -> None:
    """A body of exactly `receive.max_body` bytes is taken, with one more it is 413, which names the setting."""
    good = json.dumps(body(name="x")).encode()
    headers = {"Content-Type": "application/json"}

    taken = strict.request("POST", "/eventmatch", user="alice", data=good.ljust(1024), headers=headers)
    refused = strict.request("POST", "/eventmatch", user="alice", data=good.ljust(1025), headers=headers)

    assert taken.status_code == 200, taken.text
    assert refused.status_code == 413
    assert "receive.max_body" in refused.json()["message"]


def _short(name: str) -> dict[str, str]:
    """Return a name that is within the bounds, unless it is the name that is tried."""
    return {} if name == "name" else {"name": "n"}


# What the tests above stand on.


def send(service: Watched, kind: str, number: str) -> str:
    """Send an event and return its uuid."""
    event = {"cloudEventsVersion": "0.1", "eventType": kind, "source": f"/{kind}", "eventID": number}
    answer = service.post_event(event)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["uuid"])


def routed(service: Watched, uuid: str) -> None:
    """Wait until an event was routed."""
    statement = f"SELECT COUNT(*) FROM eventlog WHERE routed IS NOT NULL AND {_of(service, uuid)}"
    until(lambda: service.rows(statement) == [(1,)], 30, f"event {uuid} to be routed")


def fail(service: Watched, uuid: str, error: str) -> None:
    """Disable a subscription as the service does after failures."""
    write(service, uuid, f"disabled = '2026-01-01 00:00:00', error = '{error}'")


def write(service: Watched, uuid: str, columns: str) -> None:
    """Write columns of a subscription past every check."""
    service.execute(f"UPDATE eventmatch SET {columns} WHERE {_of(service, uuid)}")


def _of(service: Watched, uuid: str) -> str:
    """Return the condition for a row's uuid as the database holds it."""
    return f"uuid = '{held(service.database_url, uuid)}'"


def _stored_auth(service: Watched, user: str, uuid: str) -> Any:
    """Return what is stored of a secret, opened with the key of the tests."""
    ((text,),) = service.rows(f"SELECT auth FROM eventmatch WHERE {_of(service, uuid)}")
    return Keyring([read_key(KEY)]).open(text, "auth", user, UUID(uuid))
