"""The SDKs of CloudEvents for Python and JavaScript, as producers and as receivers, on one database.

One is enough: what they differ in is text in and text out.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.support.missing import missing
from tests.support.target import RecordingTarget, Request
from tests.support.watched import Watched

from .conftest import Start

MODULES = Path(sys.prefix, "npm", "node_modules")
SCRIPT = Path(__file__).parents[1] / "support" / "cloudevents_sdk.cjs"
WRITE = {"binary": to_binary_event, "structured": to_structured_event}
MODES = pytest.mark.parametrize("mode", WRITE)


@pytest.fixture(scope="module")
def database_kind() -> str:
    """One kind is enough here."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture(scope="module")
def javascript() -> str:
    """The program that runs the SDK for JavaScript."""
    node = shutil.which("node")
    if node is None or not (MODULES / "cloudevents").is_dir():
        missing("the SDK of CloudEvents for JavaScript is not installed, or there is no node")
    return str(node)


def run(node: str, asked: Mapping[str, Any]) -> Any:
    """Let the SDK for JavaScript write or read one event."""
    done = subprocess.run(
        [node, SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"NODE_PATH": str(MODULES)},
    )
    return json.loads(done.stdout)


def attributes(**more: Any) -> dict[str, Any]:
    """Return the attributes of an event that no other test has."""
    return {"id": str(uuid4()), "source": f"/tests/{uuid4()}", "type": "t", "specversion": "1.0", **more}


def post(service: Watched, headers: Mapping[str, Any], body: bytes) -> None:
    """Send what an SDK wrote."""
    with requests.Session() as session:
        session.trust_env = False
        sent = {name: str(value) for name, value in headers.items()}
        answer = session.post(f"{service.url}/receive", data=body, headers=sent, timeout=30)
    assert (answer.status_code, answer.json()["duplicate"]) == (200, False), answer.text


def delivered(service: Watched, target: RecordingTarget, source: str, send: Any, **members: Any) -> Request:
    """Subscribe to a source, send, and return what arrives."""
    path = f"/{uuid4()}"
    service.subscribe(jsonpath=f'$[?(@.source = "{source}")]', target_url=target.url(path), **members)
    send()
    (request,) = target.wait_for(1, path)
    return request


def headers_of(request: Request) -> dict[str, str]:
    """Return the headers of a request by their names in lower case, as HTTP libraries give them to an SDK."""
    return {name.lower(): value for name, value in request.headers}


PYTHON = {
    "JSON": ({"datacontenttype": "application/json", "subject": 'Euro € 😀 100% "q"'}, {"a": [1, "ü", None]}),
    "text": ({"datacontenttype": "text/plain"}, "ü text"),
    "bytes": ({"datacontenttype": "application/octet-stream", "ext": "value"}, b"\x00\xff"),
    "bytes without a type": ({}, b"\x00\xff"),
}


@MODES
@pytest.mark.parametrize("wanted", [None, "structured", "binary"])
@pytest.mark.parametrize(("more", "data"), PYTHON.values(), ids=PYTHON)
def test_python(
    service: Watched, target: RecordingTarget, mode: str, wanted: str | None, more: dict[str, Any], data: Any
) -> None:
    """What the SDK for Python sends in either mode it reads again from a delivery in every mode."""
    event = CloudEvent(attributes(time=datetime(2026, 1, 31, 12, tzinfo=UTC), **more), data)
    message = WRITE[mode](event)

    request = delivered(
        service,
        target,
        event.get_source(),
        lambda: post(service, message.headers, message.body),
        content_mode=wanted,
    )

    found = from_http_event(HTTPMessage(headers_of(request), request.body))
    assert found.get_attributes() == event.get_attributes()
    assert found.get_data() == data


JAVASCRIPT = {
    "JSON": ({"datacontenttype": "application/json", "subject": "s", "ext": "value"}, {"a": [1, "ü", None]}),
    "text": ({"datacontenttype": "text/plain"}, "ü text"),
    "bytes": ({"datacontenttype": "application/octet-stream"}, b"\x00\xff"),
}


@MODES
@pytest.mark.parametrize("wanted", [None, "structured", "binary"])
@pytest.mark.parametrize(("more", "data"), JAVASCRIPT.values(), ids=JAVASCRIPT)
def test_javascript(
    javascript: str,
    service: Watched,
    target: RecordingTarget,
    mode: str,
    wanted: str | None,
    more: dict[str, Any],
    data: Any,
) -> None:
    """What the SDK for JavaScript sends in either mode it reads again from a delivery in every mode."""
    event = attributes(time="2026-01-31T12:00:00.000Z", **more)
    is_bytes = isinstance(data, bytes)
    asked = {"base64": base64.b64encode(data).decode()} if isinstance(data, bytes) else {}
    message = run(javascript, {"write": mode, "event": event if is_bytes else event | {"data": data}, **asked})

    request = delivered(
        service,
        target,
        event["source"],
        lambda: post(service, message["headers"], base64.b64decode(message["body"])),
        content_mode=wanted,
    )

    in_binary = "ce-id" in headers_of(request)
    body = base64.b64encode(request.body).decode()
    found = run(javascript, {"read": {"headers": headers_of(request), "body": body, "bytes": is_bytes and in_binary}})
    assert {name: found[name] for name in event if name != "datacontenttype"} == {
        name: value for name, value in event.items() if name != "datacontenttype"
    }
    assert found["datacontenttype"].partition(";")[0] == event["datacontenttype"]
    if is_bytes:
        assert base64.b64decode(found["data_base64"]) == data
    else:
        assert found["data"] == data
