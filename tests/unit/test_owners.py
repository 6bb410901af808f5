"""Events of our own: what they say, and what they must not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import events, globals, jsonpath, owners
from pacifica.notifications.gates import decide

FIRST, THEN, AT_LAST = datetime(2026, 11, 1, 12), datetime(2026, 11, 3, 12, 30), datetime(2026, 11, 6, 12)


@dataclass
class Row:
    """A subscription as its row is when its owner is told."""

    uuid: UUID = field(default_factory=uuid4)
    name: str = "every ingest"
    user: str = "alice"
    target_url: str = "https://consumer.example.org/secret-path?token=secret"
    disabled: datetime | None = None
    error: str | None = None
    failing_since: datetime | None = FIRST
    failures: int = 12
    warned: datetime | None = THEN


def both(row: Row) -> list[events.Event]:
    """Return an event of each kind."""
    row.disabled, row.error = AT_LAST, "the target answered 410"
    return [owners.failing(row, "the target answered 500", AT_LAST), owners.disabled(row)]


def test_failing_says_until_when() -> None:
    """The warning names the subscription, what fails since when, and when it will be disabled."""
    row = Row()

    event = owners.failing(row, "the target answered 500", AT_LAST)

    assert event.value == {
        "specversion": "1.0",
        "type": "org.pacifica.notifications.subscription.failing",
        "source": "/pacifica/notifications",
        "subject": str(row.uuid),
        "id": event.id,
        "time": "2026-11-03T12:30:00.000000Z",
        "datacontenttype": "application/json",
        "data": {
            "subscription": str(row.uuid),
            "name": "every ingest",
            "user": "alice",
            "target": "https://consumer.example.org:443",
            "since": "2026-11-01T12:00:00.000000Z",
            "failures": 12,
            "reason": "the target answered 500",
            "disable_at": "2026-11-06T12:00:00.000000Z",
        },
    }


def test_disabled_says_why() -> None:
    """The end names the reason that stands in the subscription's `error`, and when it was disabled."""
    row = Row(disabled=AT_LAST, error="jsonpath took too long", failing_since=None, failures=0)

    event = owners.disabled(row)

    data = event.value["data"]
    assert (event.type, event.time) == ("org.pacifica.notifications.subscription.disabled", AT_LAST)
    assert (data["reason"], data["disabled"]) == ("jsonpath took too long", "2026-11-06T12:00:00.000000Z")
    assert (data["since"], data["failures"]) == (None, 0)
    assert "disable_at" not in data


def test_they_are_events_like_any() -> None:
    """Each is taken by the door of all events, as JSON, and is another one each time."""
    made = [*both(Row()), *both(Row())]

    assert [events.parse(event.text.encode(), event.content_type) for event in made] == made
    assert len({event.id for event in made}) == len({event.identity for event in made}) == len(made)
    assert all(UUID(event.id).version == 4 and event.source == globals.OWN_SOURCE for event in made)
    assert all(event.type.startswith(globals.OWN_TYPES) for event in made)


@pytest.mark.parametrize(
    ("target_url", "shown"),
    [
        ("http://user:secret@[2001:db8::1]:8080/secret#secret", "http://[2001:db8::1]:8080"),
        ("http://Example.com/secret", "http://example.com:80"),
        ("not a url, secret", None),
        ("http://[secret", None),
    ],
)
def test_nothing_of_a_target_but_its_place(target_url: str, shown: str | None) -> None:
    """User, password, path, query and fragment of a target are in no event; what is no URL is not shown at all."""
    for event in both(Row(target_url=target_url)):
        assert event.value["data"]["target"] == shown
        assert "secret" not in event.text


@pytest.mark.parametrize("text", ["ünïcode \U0001f52c", 'quotes " and \\', "line\nbreak", "x" * 255])
def test_any_name_can_be_told(text: str) -> None:
    """Whatever an owner or a subscription is called, the event can be made and says so."""
    for event in both(Row(name=text, user=text)):
        assert (event.value["data"]["name"], event.value["data"]["user"]) == (text, text)


def test_only_the_owner_gets_them() -> None:
    """The gate lets the owner have them and nobody else, and does not ask the policy server."""
    for event in both(Row(user="alice")):
        verdicts: list[Any] = [
            decide(event.type, json.loads(event.text), user, "http://localhost:8181", ("*",))
            for user in ("alice", "bob", "Alice", "")
        ]
        assert [verdict.allowed for verdict in verdicts] == [True, False, False, False]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('$[?(@.type = "org.pacifica.notifications.subscription.disabled")]', [False, True]),
        (
            '$[?(@.type = "org.pacifica.notifications.subscription.failing"'
            ' or @.type = "org.pacifica.notifications.subscription.disabled")]',
            [True, True],
        ),
        ('$[?(@.source = "/pacifica/notifications")]', [True, True]),
        ('$[?(@.eventType = "org.pacifica.metadata.ingest")]', [False, False]),
    ],
)
def test_documented_expressions_find_them(expression: str, found: list[bool]) -> None:
    """The expressions of the documentation match what they say."""
    assert [jsonpath.find(jsonpath.parse(expression), dict(event.value)) for event in both(Row())] == found
