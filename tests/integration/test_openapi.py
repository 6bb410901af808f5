"""The description of the API: it is valid, it says what is there, and its examples do what they say."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import bcrypt
import jsonschema
import openapi_spec_validator
import pytest
import requests

from pacifica.notifications import events, owners
from tests.support.factories import make_event_1_0
from tests.support.target import RecordingTarget
from tests.support.watched import Watched

from .conftest import Start

METHODS = {"get", "post", "put", "delete", "options"}
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: the API is the same on every database."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A service with a login."""
    users = tmp_path_factory.mktemp("login") / "users"
    users.write_text(f"alice:{bcrypt.hashpw(b'open sesame', bcrypt.gensalt(4)).decode()}\n")
    key = secrets.token_hex(32)
    return start({"auth.login": "htpasswd", "auth.htpasswd_file": users, "auth.jwt_key": key})


@pytest.fixture(scope="module")
def description(service: Watched) -> dict[str, Any]:
    """What `/openapi.json` gives."""
    answer = service.get("/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give each operation with its path and method."""
    for path, item in description["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def conforms(description: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Hold a value to a schema of the description."""
    jsonschema.Draft202012Validator({**schema, "components": description["components"]}).validate(value)


def address(service: Watched, path: str) -> str:
    """Return a path with something in the place of its parameters."""
    if "{uuid}" in path:
        made = service.subscribe("alice", name="x", jsonpath="$.nothing", target_url=NOWHERE)
        path = path.replace("{uuid}", made["uuid"])
    return path.replace("{name}", "not-found")


def test_it_is_valid(description: dict[str, Any]) -> None:
    """It is OpenAPI 3.1, and says of everything what it is."""
    openapi_spec_validator.validate(description)

    assert description["openapi"].startswith("3.1.")
    assert description["servers"] == [{"url": "/"}]
    names = [operation["operationId"] for _path, _method, operation in operations(description)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(description):
        assert operation["summary"], (path, method)
        assert operation["description"], (path, method)
        assert all(rule["description"] for rule in operation.get("parameters", ())), (path, method)
    for name in ("Subscription", "NewSubscription", "SubscriptionChange"):
        members = description["components"]["schemas"][name]["properties"]
        assert all(rule.get("description") for rule in members.values()), name


def test_it_has_every_place_and_method(service: Watched, description: dict[str, Any]) -> None:
    """Each place that the service has links to is there, with exactly the methods that it takes."""
    links = {f"/{name}" for name in service.get("/").json()["links"]}

    assert links - {"/docs"} <= set(description["paths"])
    for path, item in description["paths"].items():
        answer = service.request("PATCH", address(service, path), user="alice")
        allowed = {method.strip().lower() for method in answer.headers["Allow"].split(",")}
        assert answer.status_code == 405, path
        assert allowed - {"head", "options"} == (METHODS & item.keys()) - {"options"}, path


def test_head_is_wherever_get_is(service: Watched, description: dict[str, Any]) -> None:
    """HEAD has the status and the headers of GET, and no body."""
    for path, method, _operation in operations(description):
        if method == "get":
            place = address(service, path)
            get, head = (service.request(name, place, user="alice") for name in ("GET", "HEAD"))
            assert (get.status_code, head.status_code, head.content) == (200, 200, b""), path
            for name in ("Content-Type", "ETag", "Allow"):
                assert head.headers.get(name) == get.headers.get(name), (path, name)


def test_answers_to_get_are_as_described(service: Watched, description: dict[str, Any]) -> None:
    """What is given at each place is what the description says."""
    for path, method, operation in operations(description):
        if method == "get":
            content = operation["responses"]["200"]["content"]["application/json"]
            if "example" in content:
                conforms(description, content["schema"], content["example"])
            schema = content["schema"]
            conforms(description, schema, service.get(address(service, path), user="alice").json())


def test_examples_do_what_they_say(service: Watched, description: dict[str, Any]) -> None:
    """Every example of a body is taken where it stands, and answered as described."""
    sent = 0
    for path, method, operation in operations(description):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            for name, example in content["examples"].items():
                conforms(description, content["schema"], example["value"])
                answer = service.request(
                    method.upper(),
                    address(service, path),
                    user="alice",
                    data=json.dumps(example["value"]),
                    headers={"Content-Type": media_type},
                )
                assert answer.status_code == 200, (path, method, name, answer.text)
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                conforms(description, schema, answer.json())
                sent += 1
    assert sent == 12


def test_errors_are_as_described(service: Watched, description: dict[str, Any]) -> None:
    """An error in each of its two forms is what the description says of it."""
    responses = description["paths"]["/eventmatch/{uuid}"]["get"]["responses"]
    for status, path in (("400", "/eventmatch/x"), ("403", f"/eventmatch/{uuid4()}")):
        for media_type in ("application/json", "application/problem+json"):
            answer = service.get(path, user="alice", headers={"Accept": media_type})
            content = responses[status]["content"][answer.headers["Content-Type"]]
            conforms(description, content["schema"], answer.json())


def test_deliveries_are_as_described(service: Watched, description: dict[str, Any], target: RecordingTarget) -> None:
    """A target gets the body and the headers that `webhooks` says, and our own events are as in the example."""
    operation = description["webhooks"]["delivery"]["post"]
    event = make_event_1_0(type=f"x.{uuid4()}")
    service.subscribe("alice", name="x", jsonpath=f'$[?(@.type = "{event["type"]}")]', target_url=target.url("/d"))
    assert service.post_event(event).status_code == 200

    (request,) = target.wait_for(1, "/d")

    for parameter in operation["parameters"]:
        value = request.header(parameter["name"])
        assert value is not None or not parameter["required"], parameter["name"]
        if parameter["schema"]["type"] == "integer" and value is not None:
            assert int(value) >= parameter["schema"]["minimum"]
    content = operation["requestBody"]["content"]
    conforms(description, content["application/json"]["schema"], json.loads(request.body))
    moment = datetime(2026, 1, 1)
    told = SimpleNamespace(
        uuid=uuid4(), name="x", user="alice", target_url=NOWHERE, disabled=None, error=None, failing_since=moment,
        failures=6, warned=moment,
    )  # fmt: skip
    for example in content["application/json"]["examples"].values():
        conforms(description, content["application/json"]["schema"], example["value"])
        events.parse(json.dumps(example["value"]).encode())
    own = content["application/json"]["examples"]["failing"]["value"]
    made = owners.failing(told, "500", moment).value
    assert (own.keys(), own["data"].keys()) == (made.keys(), made["data"].keys())


# Its page.


class Page(HTMLParser):
    """What a page loads, and what stands in its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what is loaded, and every attribute that would run or style something."""
        self._within = tag
        for name, value in attributes:
            if name in ("src", "href") and tag != "a":
                self.loaded.append(value or "")
            if name.startswith("on") or name == "style":
                self.inline += value or ""

    def handle_data(self, data: str) -> None:
        """Note what a script or style has in it."""
        if self._within in ("script", "style"):
            self.inline += data.strip()


def test_the_page_is_of_local_files(service: Watched) -> None:
    """The page loads files of this service alone, and a policy forbids everything else."""
    answer = service.get("/docs")
    page = Page(answer.text)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert page.inline == ""
    assert len(page.loaded) == 4
    kinds = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
    for path in page.loaded:
        assert path.startswith("/docs/")
        file = service.get(path)
        assert file.status_code == 200
        assert file.headers["Content-Type"].partition(";")[0] == kinds[path[path.rindex(".") :]]
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert len(file.content) > 100
        known = service.get(path, headers={"If-None-Match": file.headers["ETag"]})
        assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/x", "/docs/LICENSE", "/docs/..%2fanswers.py", "/docs/swagger-ui.css/x", "/docs/%00"]
)
def test_no_other_file_is_given(service: Watched, path: str) -> None:
    """Beneath the page there are its files and nothing else."""
    answer = service.get(path)

    assert answer.status_code == (200 if path == "/docs/" else 404)


def test_both_can_be_switched_off(start: Start) -> None:
    """With `notifications.api_docs = false` neither is there, nor a link to it."""
    service = start({"notifications.api_docs": "false"})

    answers: list[requests.Response] = [
        service.get(path) for path in ("/openapi.json", "/docs", "/docs/start.js", "/docs/x")
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert not {"openapi.json", "docs"} & service.get("/").json()["links"].keys()
    assert service.get("/errors/not-found").status_code == 200


def test_it_names_the_header_of_users(start: Start) -> None:
    """The header in which the proxy names the user is the one that the setting says."""
    service = start({"notifications.user_header": "X-User"})

    parameters = service.get("/openapi.json").json()["paths"]["/eventmatch"]["parameters"]

    assert [one["name"] for one in parameters] == ["X-User"]
