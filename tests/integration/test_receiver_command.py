"""`receiver` is a target for trying things out: it prints what arrives and answers as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.processes import Command, Service
from tests.support.target import RecordingTarget
from tests.support.wait import until

Start = Callable[..., tuple[Process, str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start receivers with options; each with the address that it says it listens on."""
    command = Command(tmp_path)
    with ExitStack() as stack:

        def started(*args: str) -> tuple[Process, str]:
            log = tmp_path / f"receiver-{free_port()}.log"
            process = Process(command.arguments("receiver", *args), log, env=command.env, cwd=tmp_path)
            stack.enter_context(process)
            return process, process.wait_for_output(r"listening on (http://\S+/)")[1]

        yield started


def documents(process: Process) -> list[dict[str, object]]:
    """Return the JSON documents that were printed."""
    return [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]


def test_prints_what_arrives(start: Start) -> None:
    """A request is printed with path, headers, the authentication too, and its body as readable JSON."""
    process, url = start("--port", "0")

    answer = requests.post(f"{url}some/path?a=1", json={"name": "Zürich"}, auth=("me", "secret"), timeout=20)

    assert (answer.status_code, answer.content) == (200, b"")
    process.wait_for_output("^POST /some/path\\?a=1$")
    process.wait_for_output("^Authorization: Basic bWU6c2VjcmV0$")
    process.wait_for_output("^Content-Type: application/json$")
    process.wait_for_output('^  "name": "Zürich"$')


def test_bodies_of_any_kind(start: Start) -> None:
    """A body that is no JSON is printed as text, whatever its bytes are; none is no error."""
    process, url = start("--port", "0", "--json")

    for body in (b"plain text", b"\xff\xfe", b"", b'"text"'):
        assert requests.post(url, data=body, timeout=20).status_code == 200

    until(lambda: len(documents(process)) == 4, what="four documents")
    assert [document["body"] for document in documents(process)] == ["plain text", "\ufffd\ufffd", "", "text"]


def test_json_is_a_line_each(start: Start) -> None:
    """With `--json` each request is one line: path, headers, body."""
    process, url = start("--port", "0", "--json")

    requests.post(f"{url}x", json={"a": [1, 2]}, headers={"Notifications-Attempt": "3"}, timeout=20)

    (document,) = until(lambda: documents(process), what="a document")
    assert (document["path"], document["body"]) == ("/x", {"a": [1, 2]})
    assert document["headers"] == {"Content-Type": "application/json", "Notifications-Attempt": "3"} | {
        name: value for name, value in document["headers"].items() if name == "Accept-Encoding"
    }


@pytest.mark.parametrize("status", [204, 307, 410, 503])
def test_status_is_an_option(start: Start, status: int) -> None:
    """Every request is answered with the status of `--status`."""
    _process, url = start("--port", "0", "--status", str(status))

    answers = [requests.post(url, data=b"{}", timeout=20, allow_redirects=False).status_code for _ in range(2)]

    assert answers == [status, status]


def test_delay_comes_before_the_answer(start: Start) -> None:
    """With `--delay` a request is printed at once and answered later; other requests do not wait for it."""
    process, url = start("--port", "0", "--delay", "3600", "--json")

    for number in range(2):
        with pytest.raises(requests.ReadTimeout):
            requests.post(f"{url}{number}", data=b"{}", timeout=(20, 0.2))

    until(lambda: [document["path"] for document in documents(process)] == ["/0", "/1"], what="both requests")


def test_default_address_is_loopback(start: Start) -> None:
    """Without options it listens on this machine only; `--port` says where."""
    port = free_port()

    _process, url = start("--port", str(port))

    assert url == f"http://127.0.0.1:{port}/"


def test_port_in_use(tmp_path: Path, target: RecordingTarget) -> None:
    """A port that is taken ends the command with one line that names it."""
    done = Command(tmp_path).run("receiver", "--port", str(target.port))

    assert (done.returncode, done.stdout) == (255, "")
    assert re.fullmatch(rf"can't listen on 127\.0\.0\.1:{target.port}: .+\n", done.stderr)


def test_needs_no_database(start: Start, tmp_path: Path) -> None:
    """It runs where there is no service and makes no database."""
    start("--port", "0")

    assert not list(tmp_path.rglob("*.sqlite3"))


def test_ends_on_interrupt(start: Start) -> None:
    """Ctrl-C ends it at once and in order, also while an answer is delayed."""
    process, url = start("--port", "0", "--delay", "3600")
    with pytest.raises(requests.ReadTimeout):
        requests.post(url, data=b"{}", timeout=(20, 0.2))

    assert process.interrupt() == 0

    assert process.log.splitlines()[-1] == "ended"
    assert "Traceback" not in process.log


def test_service_delivers_to_it(start: Start, tmp_path: Path) -> None:
    """The five-minute walk: subscribe with basic auth, send, see it arrive."""
    process, url = start("--port", "0", "--json")
    auth = {"type": "basic", "basic": {"username": "me", "password": "secret"}}
    with Service(tmp_path) as service:
        service.subscribe(jsonpath="data", target_url=f"{url}receive", auth=auth)
        event = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": {"a": 1}}

        service.post_event(event)

        (document,) = until(lambda: documents(process), what="the event")
        service.terminate()
    assert (document["path"], document["body"]) == ("/receive", event)
    assert document["headers"]["Authorization"] == "Basic bWU6c2VjcmV0"
    assert document["headers"]["Notifications-Attempt"] == "1"
