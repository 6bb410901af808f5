"""What a valid subscription is, and what is said about the rest."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications import jsonpath, members, subscriptions
from pacifica.notifications.errors import InvalidSubscription
from tests.support.factories import ABSENT, make_subscription
from tests.support.values import objects, values

BASIC = {"type": "basic", "basic": {"username": "me", "password": "secret"}}
HEADER = {"type": "header", "header": {"type": "Bearer", "credentials": "secret"}}

#: A subscription as its owner sees it.
STORED = {
    "uuid": "0f2a6d4e-1111-4222-8333-444455556666",
    "name": "mine",
    "jsonpath": "data",
    "user": "alice",
    "disabled": None,
    "error": None,
    "target_url": "http://www.example.com/receive",
    "version": "v0.1",
    "extensions": {"a": 1},
    "auth": BASIC,
    "created": "2026-11-22T17:30:00.000000Z",
    "updated": "2026-11-22T17:31:00.500000Z",
    "deleted": None,
}


def faults(body: Any, stored: dict[str, Any] | None = None) -> dict[str, str]:
    """Return what is said about a body that is no valid subscription."""
    with pytest.raises(InvalidSubscription) as caught:
        subscriptions.validate(body, stored)
    return caught.value.faults


def test_the_documented_example_is_taken_word_for_word() -> None:
    """The body that is in everybody's documentation is a subscription."""
    body = {"name": "My Event Match", "jsonpath": "data", "target_url": "http://www.example.com/recieve"}

    assert subscriptions.validate(body) == body


@pytest.mark.parametrize("name", ["name", "jsonpath", "target_url"])
def test_what_is_required_is_named(name: str) -> None:
    """A new subscription without one of its three members is refused with the member's name."""
    assert faults(make_subscription(**{name: ABSENT})) == {f"/{name}": "is required"}


def test_all_faults_are_named_at_once() -> None:
    """Every fault of a body is in the answer, whatever rule it breaks."""
    body = {
        "name": "",
        "jsonpath": "$[",
        "extensions": [],
        "auth": {"type": "basic"},
        "disabled": "soon",
        "user": "bob",
        "colour": "red",
    }

    assert set(faults(body)) == {
        "/name",
        "/jsonpath",
        "/target_url",
        "/extensions",
        "/auth/basic",
        "/disabled",
        "/user",
        "/colour",
    }


@pytest.mark.parametrize("body", [None, [], "text", 1, True])
def test_what_is_no_object_is_no_subscription(body: Any) -> None:
    """Only a JSON object can be a subscription."""
    assert faults(body) == {"": "must be a JSON object, one subscription"}


@pytest.mark.parametrize("name", ["uuid", "user", "created", "updated", "deleted"])
def test_a_new_subscription_brings_no_read_only_member(name: str) -> None:
    """What the service sets can't be sent with a new subscription, not even as null."""
    for value in (STORED[name], None):
        assert f"/{name}" in faults(make_subscription(**{name: value}))


@pytest.mark.parametrize(("name", "value"), [("version", "v0.1"), ("error", None)])
def test_the_two_harmless_members_are_taken(name: str, value: str | None) -> None:
    """`error` may be null and `version` may be the one there is; neither is written."""
    assert name not in subscriptions.validate(make_subscription(**{name: value}))
    assert name not in subscriptions.validate({name: value}, STORED | {"error": "broke"})


@pytest.mark.parametrize(("name", "value"), [("version", "v0.2"), ("version", None), ("error", "broke"), ("error", "")])
def test_the_two_harmless_members_have_no_other_value(name: str, value: str | None) -> None:
    """Any other `version` or `error` is refused."""
    assert f"/{name}" in faults(make_subscription(**{name: value}))


@pytest.mark.parametrize("name", ["Name", "uid", "targetUrl", "jsonPath", "", "a/b"])
def test_an_unknown_key_is_named(name: str) -> None:
    """A key that is none of the members is refused, in a new subscription and in a change."""
    pointer = f"/{name.replace('/', '~1')}"

    assert "is not a member that can be sent" in faults(make_subscription(**{name: 1}))[pointer]
    assert pointer in faults({name: 1}, STORED)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("name", 1, "must be a string, not an integer"),
        ("name", None, "must be a string, not null"),
        ("name", "n" * 256, "has 256 characters, at most 255 are taken"),
        ("name", "a\0b", "must not hold the character U+0000"),
        ("jsonpath", "", "must not be empty"),
        ("jsonpath", ["data"], "must be a string, not an array"),
        ("jsonpath", "$[?(@.a == 1)]", "line 1, column 10"),
        ("jsonpath", "$" + "[0,1]" * 9, "has 512 alternatives"),
        ("jsonpath", "$..a..b..c", "has 3 '..' steps, at most 2"),
        ("jsonpath", "$" + ".a" * 1024, "has 2049 characters, at most 2048"),
        ("target_url", "", "must not be empty"),
        ("target_url", 1, "must be a string"),
        ("target_url", "http://example.com/" + "a" * 2030, "at most 2048 are taken"),
        ("extensions", None, "must be an object, not null"),
        ("extensions", "a", "must be an object, not a string"),
        ("auth", None, "must be an object, not null"),
        ("auth", [], "must be an object, not an array"),
        ("disabled", True, "must be a string or null, not true"),
        ("disabled", "2026-11-22T17:30:00", "must be a time as in RFC 3339"),
        ("disabled", "yes", "must be a time as in RFC 3339"),
    ],
)
def test_a_bad_value_is_named(name: str, value: Any, said: str) -> None:
    """A member with a bad value is refused with what it must be, in a new subscription and in a change."""
    assert said in faults(make_subscription(**{name: value}))[f"/{name}"]
    assert said in faults({name: value}, STORED)[f"/{name}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://www.example.com",
        "https://www.example.com:8443/a/b?c=d&e=%20",
        "http://localhost:8070/",
        "http://127.0.0.1:1/",
        "http://[::1]:65535/a",
        "HTTP://EXAMPLE.COM/",
        "http://not-there-yet.internal/x",
        "http://my_service:80/",
        "http://xn--bcher-kva.example/",
        "http://example.com/a%0d%0ab",
    ],
)
def test_a_target_on_http_is_taken(url: str) -> None:
    """A URL on http or https with a host is a target, whether its name resolves or not."""
    assert subscriptions.validate(make_subscription(target_url=url))["target_url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "www.example.com/receive",
        "//www.example.com/receive",
        "/receive",
        "ftp://example.com/",
        "file:///etc/passwd",
        "mailto:me@example.com",
        "http:///receive",
        "http://",
        "http:example.com",
        "http://:80/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:port/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://:@example.com/",
        "http://example.com/#fragment",
        "http://example.com/a b",
        " http://example.com/",
        "http://example.com/\n",
        "http://example.com/\r\nX: y",
        "http://example.com\\@evil.example/",
        "http://exa\0mple.com/",
        "http://[::1/",
        "http://[not-an-address]/",
        "http://" + "a" * 64 + ".example/",
        "http://a..example/",
        "http://bücher.example/",
        "http://example.com/bücher",
        "http://example.com/?q=bücher",
    ],
)
def test_what_is_no_target_is_refused(url: str) -> None:
    """A target is refused when it is not on http, or when two programs could read two places out of it."""
    assert list(faults(make_subscription(target_url=url))) == ["/target_url"]


@pytest.mark.parametrize(
    "auth", [{}, BASIC, HEADER, BASIC | HEADER, {"type": "basic", "basic": {"username": "", "password": ""}}]
)
def test_auth_has_three_shapes(auth: dict[str, Any]) -> None:
    """No authentication, basic, and a header are taken; an object that `type` does not name does no harm."""
    assert subscriptions.validate(make_subscription(auth=auth))["auth"] == auth
    assert subscriptions.validate({"auth": auth}, STORED)["auth"] == auth


@pytest.mark.parametrize(
    ("auth", "pointer"),
    [
        ({"type": "digest"}, "/auth/type"),
        ({"type": None}, "/auth/type"),
        ({"type": "basic"}, "/auth/basic"),
        ({"type": "header"}, "/auth/header"),
        ({"type": "basic", "header": HEADER["header"]}, "/auth/basic"),
        ({"basic": BASIC["basic"]}, "/auth/type"),
        ({"type": "basic", "basic": {"username": "me"}}, "/auth/basic/password"),
        ({"type": "basic", "basic": {"password": "secret"}}, "/auth/basic/username"),
        ({"type": "basic", "basic": None}, "/auth/basic"),
        ({"type": "basic", "basic": {"username": "a:b", "password": "x"}}, "/auth/basic/username"),
        ({"type": "basic", "basic": {"username": "a\n", "password": "x"}}, "/auth/basic/username"),
        ({"type": "basic", "basic": {"username": "a", "password": "x\r\nHost: y"}}, "/auth/basic/password"),
        ({"type": "basic", "basic": {"username": "a", "password": 1}}, "/auth/basic/password"),
        ({"type": "basic", "basic": {"username": "a", "password": "x", "realm": "r"}}, "/auth/basic/realm"),
        ({"type": "header", "header": {"type": "Bearer"}}, "/auth/header/credentials"),
        ({"type": "header", "header": {"type": "Bear er", "credentials": "x"}}, "/auth/header/type"),
        ({"type": "header", "header": {"type": "Bearer\n", "credentials": "x"}}, "/auth/header/type"),
        ({"type": "header", "header": {"type": "", "credentials": "x"}}, "/auth/header/type"),
        ({"type": "header", "header": {"type": "Bearer", "credentials": ""}}, "/auth/header/credentials"),
        ({"type": "header", "header": {"type": "Bearer", "credentials": "x\r\nX: y"}}, "/auth/header/credentials"),
        ({"type": "header", "header": {"type": "Bearer", "credentials": "x\n"}}, "/auth/header/credentials"),
        ({"type": "header", "header": {"type": "Bearer", "credentials": "é"}}, "/auth/header/credentials"),
        ({"user": "me"}, "/auth/user"),
    ],
)
def test_other_auth_is_refused_with_its_place(auth: dict[str, Any], pointer: str) -> None:
    """Authentication of any other shape, or that could write other headers, is refused with the place."""
    assert list(faults(make_subscription(auth=auth))) == [pointer]


RETRIES: list[dict[str, Any]] = [
    {"schedule": []},
    {"schedule": [0, 0.5, 1e9], "jitter": 0},
    {"base": 1e-9},
    {"base": 3600},
    {"base": 5, "factor": 1, "cap": 5, "total": 0, "jitter": 0.9},
    {"base": 1e9, "factor": 1000, "cap": 1e9, "total": 1e9},
]
LIMITS: list[dict[str, Any]] = [{"in_flight": 1}, {"rate": 0.0001}, {"in_flight": 10_000, "rate": 1_000_000}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("retry", value) for value in (None, {}, *RETRIES)),
        *(("limits", value) for value in (None, {}, *LIMITS)),
        ("ordered", True),
        ("ordered", False),
    ],
)
def test_how_it_is_sent_may_be_said(name: str, value: Any) -> None:
    """A schedule or growing delays, limits, an order: each by itself, within its bounds, in a change too."""
    assert subscriptions.validate(make_subscription(**{name: value}))[name] == value
    assert subscriptions.validate({name: value}, STORED) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("retry", [], {"/retry": "must be an object or null, not an array"}),
        ("retry", {"jitter": 0.5}, {"/retry": "must be an object with schedule or base"}),
        ("retry", {"factor": 2}, {"/retry": "must be an object with schedule or base"}),
        ("retry", {"schedule": 5}, {"/retry/schedule": "must be an array, not an integer"}),
        ("retry", {"schedule": None}, {"/retry/schedule": "must be an array, not null"}),
        (
            "retry",
            {"schedule": [5, 30, 120, -1, True, "5", 1_000_000_001]},
            {
                "/retry/schedule/3": "must be seconds from 0 to 1,000,000,000",
                "/retry/schedule/4": "must be a number, not true",
                "/retry/schedule/5": "must be a number, not a string",
                "/retry/schedule/6": "must be seconds from 0 to 1,000,000,000",
            },
        ),
        (
            "retry",
            {"schedule": [1] * 101},
            {"/retry/schedule": "must be the seconds before the second, third, … attempt, at most 100 of them"},
        ),
        (
            "retry",
            {"schedule": [5], "base": 5, "cap": 5, "factor": 2, "total": 5},
            {f"/retry/{other}": "must be left out beside schedule" for other in ("base", "cap", "factor", "total")},
        ),
        (
            "retry",
            {"base": 0, "factor": 0.9, "cap": 1e10, "total": -1, "jitter": 0.91, "steps": 3},
            {
                "/retry/base": "must be seconds above 0, at most 1,000,000,000",
                "/retry/factor": "must be a number from 1 to 1,000",
                "/retry/cap": "must be seconds above 0, at most 1,000,000,000",
                "/retry/total": "must be seconds from 0 to 1,000,000,000",
                "/retry/jitter": "must be a number from 0 to 0.9",
                "/retry/steps": "is not a member that can be sent; known are base, cap, factor, jitter, schedule,"
                " total",
            },
        ),
        ("retry", {"base": 50, "cap": 40}, {"/retry/cap": "must be at least base, which is 50"}),
        ("retry", {"base": 3601}, {"/retry/base": "must be at most cap, which is 3600 unless it is sent"}),
        ("limits", 3, {"/limits": "must be an object or null, not an integer"}),
        (
            "limits",
            {"in_flight": 0, "rate": 0, "burst": 2},
            {
                "/limits/in_flight": "must be a whole number from 1 to 10,000",
                "/limits/rate": "must be deliveries in a second, from 0.0001 to 1,000,000",
                "/limits/burst": "is not a member that can be sent; known are in_flight, rate",
            },
        ),
        (
            "limits",
            {"in_flight": 1.5, "rate": True},
            {
                "/limits/in_flight": "must be an integer, not a number",
                "/limits/rate": "must be a number, not true",
            },
        ),
        ("limits", {"in_flight": 10**30}, {"/limits/in_flight": "must be a whole number from 1 to 10,000"}),
        ("ordered", None, {"/ordered": "must be true or false, not null"}),
        ("ordered", 1, {"/ordered": "must be true or false, not an integer"}),
    ],
)
def test_how_it_can_not_be_sent_is_named(name: str, value: Any, found: dict[str, str]) -> None:
    """Every fault of the way in which it is to be sent is named with its place, in a new one and in a change."""
    assert faults(make_subscription(**{name: value})) == found
    assert faults({name: value}, STORED) == found


def test_a_whole_number_may_be_written_with_a_fraction() -> None:
    """JSON has one sort of numbers: 2.0 in flight are two."""
    found = subscriptions.validate(make_subscription(limits={"in_flight": 2.0}))["limits"]["in_flight"]

    assert (found, type(found)) == (2, int)


# Changes.


def test_a_change_is_partial() -> None:
    """A change writes what is sent and nothing else."""
    assert subscriptions.validate({}, STORED) == {}
    assert subscriptions.validate({"name": "new"}, STORED) == {"name": "new"}


def test_what_a_get_gave_can_be_sent_back() -> None:
    """Read-only members with exactly the value that they have are accepted, the masked secret stays."""
    shown = STORED | {"auth": subscriptions.masked(BASIC)}

    found = subscriptions.validate(shown, STORED)

    assert found == {
        "name": "mine",
        "jsonpath": "data",
        "target_url": STORED["target_url"],
        "extensions": {"a": 1},
        "auth": BASIC,
        "disabled": False,
    }


@pytest.mark.parametrize("name", ["uuid", "user", "created", "updated", "deleted"])
def test_a_change_of_a_read_only_member_is_refused(name: str) -> None:
    """A read-only member with any other value is refused."""
    value = "2030-01-01T00:00:00Z" if name in ("created", "updated", "deleted") else "other"

    assert list(faults({name: value}, STORED)) == [f"/{name}"]


def test_an_equal_time_may_be_written_otherwise() -> None:
    """A read-only time is compared by its moment: with another zone, or without one as release 0.5.2 wrote it."""
    for written in ("2026-11-22T18:30:00+01:00", "2026-11-22T17:30:00Z"):
        assert subscriptions.validate({"created": written}, STORED) == {}
    naive = STORED | {"created": "2026-11-22T17:30:00.000000"}
    assert subscriptions.validate({"created": "2026-11-22T17:30:00Z"}, naive) == {}


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ("2026-11-22T17:30:00Z", True), ("1999-01-01T00:00:00+02:00", True)]
)
def test_disabled_is_a_switch(value: str | None, expected: bool) -> None:
    """Null revives, any time disables; `"error": null` may stand beside it."""
    broken = STORED | {"disabled": "2026-11-22T18:00:00.000000Z", "error": "broke"}

    assert subscriptions.validate({"disabled": value, "error": None}, broken) == {"disabled": expected}


@pytest.mark.parametrize(
    ("stored", "sent", "expected"),
    [
        (BASIC, {"type": "basic", "basic": {"username": "other", "password": "***"}}, "secret"),
        (HEADER, {"type": "header", "header": {"type": "Token", "credentials": "***"}}, "secret"),
        (BASIC, {"type": "basic", "basic": {"username": "me", "password": "****"}}, "****"),
        (BASIC, {"type": "basic", "basic": {"username": "me", "password": "new"}}, "new"),
    ],
)
def test_a_mask_that_is_sent_back_keeps_the_secret(stored: dict[str, Any], sent: dict[str, Any], expected: str) -> None:
    """The mask stands for the stored value; anything else is a new one."""
    found = subscriptions.validate({"auth": sent}, STORED | {"auth": stored})["auth"]

    assert found == sent | {sent["type"]: sent[sent["type"]] | {subscriptions.SECRETS[sent["type"]]: expected}}


@pytest.mark.parametrize(
    ("stored", "sent", "pointer"),
    [
        (None, subscriptions.masked(BASIC), "/auth/basic/password"),
        ({}, subscriptions.masked(BASIC), "/auth/basic/password"),
        (HEADER, subscriptions.masked(BASIC), "/auth/basic/password"),
        (BASIC, subscriptions.masked(HEADER), "/auth/header/credentials"),
        (BASIC, BASIC | {"header": subscriptions.masked(HEADER)["header"]}, "/auth/header/credentials"),
    ],
)
def test_a_mask_of_nothing_is_refused(stored: dict[str, Any] | None, sent: dict[str, Any], pointer: str) -> None:
    """The mask of a value that is not stored is refused, in a new subscription too."""
    if stored is None:
        found = faults(make_subscription(auth=sent))
    else:
        found = faults({"auth": sent}, STORED | {"auth": stored})

    assert list(found) == [pointer]
    assert "not stored" in found[pointer]


def test_what_is_sent_is_not_changed() -> None:
    """Checking leaves the body and what is stored as they are."""
    sent = {"auth": subscriptions.masked(BASIC)}

    subscriptions.validate(sent, STORED)

    assert sent == {"auth": subscriptions.masked(BASIC)}
    assert STORED["auth"] == BASIC


def test_masks_cover_secrets_only() -> None:
    """A password and credentials are masked, what else is in `auth` is shown."""
    assert subscriptions.masked(BASIC | HEADER | {"type": "basic"}) == {
        "type": "basic",
        "basic": {"username": "me", "password": "***"},
        "header": {"type": "Bearer", "credentials": "***"},
    }
    assert subscriptions.masked({}) == {}


@given(objects)
def test_masking_old_rows_never_fails(auth: dict[str, Any]) -> None:
    """Whatever old rows hold as `auth`, it can be masked."""
    assert set(subscriptions.masked(auth)) == set(auth)


def test_bounds_come_from_the_caller() -> None:
    """Name and expression are held to the bounds that the caller gives."""
    with pytest.raises(InvalidSubscription) as caught:
        subscriptions.validate(
            make_subscription(name="long", jsonpath="$.a.b.c"), None, jsonpath.Bounds(characters=5), 3
        )

    assert set(caught.value.faults) == {"/name", "/jsonpath"}


@given(
    st.dictionaries(st.sampled_from([*members.WRITABLE, *members.READ_ONLY, "other"]), values),
    st.booleans(),
)
def test_any_body_is_valid_or_refused(body: dict[str, Any], change: bool) -> None:
    """Whatever the members are, the body is valid or an InvalidSubscription that names members of it."""
    try:
        found = subscriptions.validate(body, STORED if change else None)
    except InvalidSubscription as error:
        named = {pointer.split("/")[1] for pointer in error.faults}
        assert named <= body.keys() | set(members.REQUIRED)
    else:
        assert found.keys() <= body.keys()


# Places.


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://www.example.com", "http://www.example.com:80"),
        ("https://www.example.com/a:1/b?c=d://e", "https://www.example.com:443"),
        ("HTTPS://Example.COM:8443/A", "https://example.com:8443"),
        ("http://example.com:080", "http://example.com:80"),
        ("http://example.com:/", "http://example.com:80"),
        ("http://[::1]:65535/a", "http://[::1]:65535"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]:80"),
        ("http://user:password@example.com/", "http://example.com:80"),
        ("http://bücher.example/", "http://bücher.example:80"),
    ],
)
def test_a_place_is_scheme_host_and_port(url: str, place: str) -> None:
    """Whatever else a URL says, the same place is written in one way, with its port and no secret."""
    assert subscriptions.place(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "www.example.com",
        "ftp://example.com/",
        "mailto:me@example.com",
        "http://",
        "http://:80/",
        "http://example.com:65536/",
        "http://example.com:port/",
        "http://[::1/",
        "http://[not-an-address]/",
        "http://" + "a." * 200 + "example/",
    ],
)
def test_what_names_no_target_has_no_place(url: str) -> None:
    """A URL of an old row to which nothing can be sent has the empty place."""
    assert subscriptions.place(url) == ""


@given(st.text() | st.text(alphabet="htps:/[]@%.1aé\\#?\0 ").map("http://{}".format))
def test_any_text_has_a_place(text: str) -> None:
    """No text makes it fail, and what it gives has room in a lane."""
    found = subscriptions.place(text)

    assert len(found) <= 300
    assert found == "" or re.fullmatch(r"https?://.+:\d+", found, re.S)


# Hints, and the schema that is published.


def test_extensions_that_1_0_events_cannot_carry_get_a_hint() -> None:
    """A subscription with such extensions is valid, and its owner is told."""
    assert subscriptions.hints(make_subscription(extensions={"shard": 1, "Shard2": 2})) == []
    assert subscriptions.hints(make_subscription()) == []
    [hint] = subscriptions.hints(make_subscription(extensions={"a_b": 1, "id": 2, "good": 3}))
    assert hint.startswith("extensions: a_b, id can't be an attribute of a CloudEvents 1.0 event")


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        (make_subscription(), True),
        (make_subscription(auth={}, extensions={}, disabled=None, error=None, version="v0.1"), True),
        (make_subscription(auth=BASIC), True),
        (make_subscription(auth=HEADER), True),
        *((make_subscription(retry=retry), True) for retry in (None, {}, *RETRIES)),
        *((make_subscription(limits=limits, ordered=True), True) for limits in (None, {}, *LIMITS)),
        (make_subscription(retry={"jitter": 0.5}), False),
        (make_subscription(retry={"schedule": [5], "base": 5}), False),
        (make_subscription(retry={"schedule": [5], "total": 5}), False),
        (make_subscription(retry={"schedule": [-1]}), False),
        (make_subscription(limits={"in_flight": 0}), False),
        (make_subscription(limits={"rate": 0}), False),
        (make_subscription(ordered=None), False),
        (make_subscription(name=ABSENT), False),
        (make_subscription(auth={"type": "basic"}), False),
        (make_subscription(uuid=STORED["uuid"]), False),
        (make_subscription(user="bob"), False),
        (make_subscription(error="broke"), False),
        (make_subscription(version="v0.2"), False),
        (make_subscription(colour="red"), False),
        (make_subscription(extensions=[]), False),
    ],
)
def test_the_published_schema_says_the_same(body: dict[str, Any], valid: bool) -> None:
    """The schema that clients can check with takes and refuses what the service does."""
    assert jsonschema.Draft202012Validator(members.SCHEMA).is_valid(body) == valid
    if valid:
        subscriptions.validate(body)
    else:
        assert faults(body)


def test_hints_about_very_many_extensions() -> None:
    """Advice about as many extensions as a body can hold is given in one pass over them."""
    hints = subscriptions.hints({"extensions": {f"not-usable-{number}": 1 for number in range(40_000)}})

    assert len(hints) == 1
