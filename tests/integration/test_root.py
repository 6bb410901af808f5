"""What stands at the root: name and links, health, schemas."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from pacifica.notifications.rest import EventMatch, ReceiveEvent
from tests.support import raw
from tests.support.factories import make_event, make_event_1_0, make_subscription
from tests.support.ports import free_port
from tests.support.watched import Watched

from .conftest import Start

WORKER = "celery -A pacifica.notifications.tasks worker"
MEMBERS = "uuid name jsonpath user disabled error target_url version extensions auth created updated deleted".split()


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: what stands at the root is the same on every database."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


def test_root(service: Watched) -> None:
    """The root gives name, version and links, and each link leads somewhere."""
    answer = service.get("/")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    found = answer.json()
    assert (found["name"], found["version"]) == ("pacifica-notifications", version("pacifica-notifications"))
    assert set(found["links"]) == {
        "receive", "eventmatch", "keys", "health/live", "health/ready", "schemas/event", "schemas/eventmatch",
    }  # fmt: skip
    for name, link in found["links"].items():
        assert link == f"{service.url}/{name}"
        assert service.get(urlsplit(link).path).status_code == (405 if name == "receive" else 200)


def test_links_lead_to_where_the_client_is(service: Watched) -> None:
    """Links name the host that the client asked."""
    answer = raw.send(service.port, "GET", "/", host="localhost")

    assert answer.json()["links"]["receive"] == f"http://localhost:{service.port}/receive"


def test_root_takes_nothing(service: Watched) -> None:
    """Nothing is sent to the root."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = service.request(method, "/", json={})
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    assert service.request("HEAD", "/").content == b""


@pytest.mark.parametrize(
    "path",
    [
        *("/x", "/Receive", "/receives", "/health", "/health/live/x", "/health/ready/x", "/schemas", "/schemas/x"),
        *(
            "/schemas/event/x",
            "/eventmatch.json",
            "/..%2f..%2fetc/passwd",
            "/%00",
            "/_cp_config",
            "/json_schema",
            "/GET",
            "/favicon.ico",
        ),
    ],
)
def test_nothing_else_is_there(service: Watched, path: str) -> None:
    """Any other path is a 404."""
    assert service.get(path, user="alice").status_code == 404


def test_health_with_the_embedded_worker(service: Watched) -> None:
    """Without a broker the service says that it works itself."""
    assert service.get("/health/live").json() == {"status": "ok", "worker": "embedded"}
    assert service.get("/health/ready").json() == {"status": "ok", "database": "ok", "worker": "embedded"}


def test_not_ready_on_an_older_schema(start: Start) -> None:
    """When the tables are those of an older release, ready is a 503 that names the command, and live is not."""
    service = start()
    service.execute("UPDATE notificationsystem SET value = 3 WHERE part = 'major'")

    ready, live = service.get("/health/ready"), service.get("/health/live")
    service.execute("UPDATE notificationsystem SET value = 4 WHERE part = 'major'")

    assert ready.status_code == 503
    assert "dbsync" in ready.json()["message"]
    assert live.status_code == 200
    assert service.get("/health/ready").status_code == 200


def test_broker_without_a_worker(start: Start) -> None:
    """With a broker and no worker seen, health and the log name the line that starts one; events are taken."""
    broker = f"redis://127.0.0.1:{free_port()}/0"

    service = start({"celery.broker_url": broker, "notifications.policy_url": ""})

    assert WORKER in service.log
    for path in ("/health/live", "/health/ready"):
        answer = service.get(path)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert WORKER in answer.json()["worker"]
    assert service.post_event(make_event()).status_code == 200


# Schemas.


@pytest.mark.parametrize(
    ("path", "schema"),
    [("/schemas/eventmatch", EventMatch.json_schema), ("/schemas/event", ReceiveEvent.event_json_schema)],
    ids=["eventmatch", "event"],
)
def test_schemas_are_published(service: Watched, path: str, schema: dict[str, Any]) -> None:
    """The schemas that bodies are checked with are given as documents of JSON Schema 2020-12."""
    answer = service.get(path)

    assert answer.json() == schema
    assert answer.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(answer.json())


def test_schema_of_subscriptions_has_its_old_shape(service: Watched) -> None:
    """The schema refers to a definition with the thirteen members, those added since, and the shapes of `auth`."""
    schema = service.get("/schemas/eventmatch").json()

    assert schema["$ref"] == "#/definitions/eventmatch"
    properties = schema["definitions"]["eventmatch"]["properties"]
    assert sorted(properties) == sorted(
        [*MEMBERS, "retry", "limits", "ordered", "content_mode", "event_version", "signing"]
    )
    assert set(properties["auth"]["properties"]) == {"type", "basic", "header"}


HEADER = {"type": "header", "header": {"type": "Bearer", "credentials": "x"}}


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({}, True),
        ({"auth": HEADER, "extensions": {"a": 1}, "disabled": None, "error": None, "version": "v0.1"}, True),
        ({"auth": {}}, True),
        ({"user": "bob"}, False),
        ({"uuid": "00000000-0000-0000-0000-000000000000"}, False),
        ({"deleted": None}, False),
        ({"version": "v0.2"}, False),
        ({"error": "x"}, False),
        ({"name": ""}, False),
        ({"name": 5}, False),
        ({"nmae": "x"}, False),
        ({"auth": {"type": "basic"}}, False),
        ({"auth": {"type": "basic", **HEADER, "header": {}}}, False),
    ],
    ids=str,
)
def test_schema_and_service_agree(service: Watched, changes: dict[str, Any], valid: bool) -> None:
    """What the published schema says of a subscription is what the service does with it."""
    schema = jsonschema.Draft202012Validator(service.get("/schemas/eventmatch").json())
    body = make_subscription(**{"target_url": "http://127.0.0.1:9/", "jsonpath": "$.nothing", **changes})

    answer = service.request("POST", "/eventmatch", user="alice", json=body)

    assert schema.is_valid(body) == valid
    assert (answer.status_code == 200) == valid


@pytest.mark.parametrize("event", [make_event(), make_event_1_0()], ids=["0.1", "1.0"])
def test_schema_of_events_takes_events(service: Watched, event: dict[str, Any]) -> None:
    """The published schema of events takes what the service takes, and refuses what it refuses."""
    schema = jsonschema.Draft202012Validator(service.get("/schemas/event").json())
    broken = {name: value for name, value in event.items() if name != "source"}

    assert schema.is_valid(json.loads(json.dumps(event)))
    assert service.post_event(event).status_code == 200
    assert not schema.is_valid(broken)
    assert service.post_event(broken).status_code == 400
