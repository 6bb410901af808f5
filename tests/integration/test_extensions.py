"""A subscription's extensions reach its target as each version of CloudEvents has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.doors import Doors
from tests.support.factories import ABSENT, make_event, make_event_1_0
from tests.support.target import RecordingTarget

BIG = 123456789012345678901234567890


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: extensions are laid over an event when it was read."""
    return "sqlite"


def arrived(doors: Doors, target: RecordingTarget, event: object, extensions: dict[str, Any]) -> Any:
    """Return what arrives of an event at the target of a subscription with these extensions."""
    doors.subscribe(target.url(), extensions=extensions)
    doors.send(event)
    assert doors.delivery().state == "delivered"
    return target.requests()[-1].json()


# CloudEvents 0.1


@pytest.mark.parametrize(
    ("own", "extensions", "together"),
    [
        ({}, {"a": "b"}, {"a": "b"}),
        ({"x": 1}, {"a": "b"}, {"x": 1, "a": "b"}),
        ({"a": "event's", "x": 1}, {"a": "subscription's"}, {"a": "subscription's", "x": 1}),
        ({"a": {"deep": 1}}, {"a": {"other": 2}}, {"a": {"other": 2}}),
        (None, {"a": "b"}, {"a": "b"}),
        (ABSENT, {"a": "b"}, {"a": "b"}),
        (
            {"Data": 1},
            {"data": BIG, "my-name": None, "Ü": [1.5]},
            {"Data": 1, "data": BIG, "my-name": None, "Ü": [1.5]},
        ),
        ({"x": 1}, {}, {"x": 1}),
        (None, {}, None),
    ],
)
def test_extensions_of_0_1_are_overlaid(
    doors: Doors, target: RecordingTarget, own: Any, extensions: dict[str, Any], together: Any
) -> None:
    """A 0.1 event arrives with its own extensions, overlaid by the subscription's; all else is as it was."""
    event = make_event(extensions=own)

    sent = arrived(doors, target, event, extensions)

    assert sent == event | {"extensions": together}


def test_no_extensions_are_not_added(doors: Doors, target: RecordingTarget) -> None:
    """Where neither event nor subscription has extensions the key is not added."""
    event = make_event(extensions=ABSENT)

    assert arrived(doors, target, event, {}) == event


def test_other_bytes_of_an_extended_event_are_unchanged(doors: Doors, target: RecordingTarget) -> None:
    """Beside the extensions every member arrives with the very text that was accepted."""
    body = (
        b'{"eventID": "\\u0041", "data": {"n": 1.10, "big": 123456789012345678901234567890, "e": 1E2},'
        b' "source":"/s", "eventType":"t", "cloudEventsVersion":"0.1"}'
    )
    doors.subscribe(target.url(), extensions={"a": "ü"})

    doors.send(body)

    (request,) = target.requests()
    for member in (
        b'"eventID":"\\u0041"',
        b'"data":{"n": 1.10, "big": 123456789012345678901234567890, "e": 1E2}',
        b'"source":"/s"',
        '"extensions":{"a": "ü"}'.encode(),
    ):
        assert member in request.body
    assert request.header("Content-Length") == str(len(request.body))


def test_each_subscription_has_its_own_extensions(doors: Doors, target: RecordingTarget) -> None:
    """The same event goes to each target with that subscription's extensions and no other's."""
    doors.subscribe(target.url("/one"), extensions={"one": 1})
    doors.subscribe(target.url("/two"), extensions={"two": 2})
    doors.subscribe(target.url("/none"))
    event = make_event(extensions={"own": 0})

    doors.send(event)

    sent = {request.path: request.json()["extensions"] for request in target.requests()}
    assert sent == {"/one": {"own": 0, "one": 1}, "/two": {"own": 0, "two": 2}, "/none": {"own": 0}}


def test_changed_extensions_count_from_the_next_attempt(doors: Doors, target: RecordingTarget) -> None:
    """An attempt carries the extensions that the subscription has then."""
    target.answers("/", [500, 200])
    subscription = doors.subscribe(target.url(), extensions={"a": 1})
    doors.send()

    doors.change(subscription, extensions={"b": 2})
    doors.again()

    assert [request.json()["extensions"] for request in target.requests()] == [{"a": 1}, {"b": 2}]


# CloudEvents 1.0


@pytest.mark.parametrize("value", ["text", "", "ü\n", 0, 5, -(2**31), 2**31 - 1, True, False])
def test_strings_integers_and_booleans_are_attributes(doors: Doors, target: RecordingTarget, value: Any) -> None:
    """A string, an integer or a boolean becomes an extension attribute as it is."""
    event = make_event_1_0()

    sent = arrived(doors, target, event, {"ext": value})

    assert sent == event | {"ext": value}
    assert type(sent["ext"]) is type(value)


@pytest.mark.parametrize("value", [None, 1.5, [], [1, "a"], {}, {"a": {"b": "ü"}}, 2**31, BIG])
def test_other_values_are_json_text(doors: Doors, target: RecordingTarget, value: Any) -> None:
    """Any other value, and an integer that an attribute can't hold, becomes its JSON text."""
    event = make_event_1_0()

    sent = arrived(doors, target, event, {"ext": value})

    assert isinstance(sent["ext"], str)
    assert json.loads(sent["ext"]) == value
    assert {name: member for name, member in sent.items() if name != "ext"} == event


def test_names_are_lower_case(doors: Doors, target: RecordingTarget) -> None:
    """An extension's name is written in lower case."""
    event = make_event_1_0()

    assert arrived(doors, target, event, {"MyExt2": "x"}) == event | {"myext2": "x"}


CORE = "specversion type source id time subject datacontenttype dataschema data data_base64".split()


@pytest.mark.parametrize("name", [*CORE, "Type", "ID", "my-ext", "my_ext", "ü", "a.b", "a b", " ", ""])
def test_names_that_are_no_attribute_are_left_out(doors: Doors, target: RecordingTarget, name: str) -> None:
    """Core attributes and names that are not `[a-z0-9]+` are left out; the others go along."""
    event = make_event_1_0(subject="s")

    assert arrived(doors, target, event, {name: "evil", "fine": 1}) == event | {"fine": 1}


def test_attribute_of_the_event_is_overlaid(doors: Doors, target: RecordingTarget) -> None:
    """An extension takes the place of the event's own attribute of that name."""
    event = make_event_1_0(region="event's", other="kept")

    assert arrived(doors, target, event, {"region": "mine"}) == event | {"region": "mine"}


def test_1_0_event_gets_no_extensions_member(doors: Doors, target: RecordingTarget) -> None:
    """In 1.0 there is no map of extensions, however many there are."""
    sent = arrived(doors, target, make_event_1_0(), {"a": 1, "b": 2})

    assert "extensions" not in sent
    assert (sent["a"], sent["b"]) == (1, 2)


def test_content_type_stays(doors: Doors, target: RecordingTarget) -> None:
    """Extensions do not change the media type."""
    doors.subscribe(target.url(), extensions={"a": 1})

    doors.send(make_event_1_0(), "application/cloudevents+json")

    assert target.requests()[0].header("Content-Type") == "application/cloudevents+json"
