"""The application under uWSGI, started with the documented plain line."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import pages, tables
from tests.support.factories import make_event
from tests.support.load import Load
from tests.support.missing import missing
from tests.support.processes import Command, Uwsgi, Worker
from tests.support.target import Held, RecordingTarget
from tests.support.wait import until

#: How many processes are asked for beside the master, and how uWSGI is told.
PROCESSES = pytest.mark.parametrize(
    "args",
    [[], ["--processes", "3"], ["--lazy-apps", "--processes", "2"]],
    ids=["one process", "three processes", "loaded after the fork"],
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="uWSGI: needs a POSIX system")


@pytest.fixture(autouse=True)
def _uwsgi() -> None:
    """Leave the tests out where there is no uWSGI."""
    reason = Uwsgi.available()
    if reason:
        missing(reason)


def holder(folder: Path) -> int:
    """Return the id of the process that has the embedded worker."""
    name = tables.one(tables.embedded_url(folder), "SELECT holder FROM worker WHERE name = 'embedded'")
    return int(str(name).split(":")[1])


def delivered(folder: Path, count: int) -> bool:
    """Tell whether that many deliveries have ended, all of them well."""
    return tables.states(tables.embedded_url(folder)) == {"delivered": count}


@PROCESSES
def test_the_plain_line_delivers(tmp_path: Path, target: RecordingTarget, args: list[str]) -> None:
    """Without any settings it makes its tables, takes events in and delivers each of them once."""
    with Uwsgi(tmp_path, args=args) as service:
        service.subscribe(target_url=target.url("/hook"))
        for number in range(20):
            answer = service.post_event(make_event(id=f"plain-{number}"))
            assert answer.status_code == 200, answer.text
        requests = target.wait_for(20, "/hook", 60)
        service.until(lambda: delivered(tmp_path, 20), 60, "the ends of all deliveries")
        assert holder(tmp_path) in service.children
        service.stop()

    assert sorted(request.json()["eventID"] for request in requests) == sorted(f"plain-{n}" for n in range(20))
    assert len(target.requests()) == 20
    assert "Traceback" not in service.log


def test_the_line_of_the_documentation_delivers(tmp_path: Path, target: RecordingTarget) -> None:
    """The line works as it is printed, with another port: nothing else is needed for an event to be delivered."""
    (line,) = re.findall(r"^uwsgi --http-socket :8070 .*$", pages.read("docs/how-to/deploy.md"), re.M)

    with Uwsgi(tmp_path, host="") as service:
        assert service.command[1:] == line.replace(":8070", f":{service.port}").split()[1:]
        service.subscribe(target_url=target.url("/hook"))
        assert service.post_event(make_event(id="as-printed")).status_code == 200
        (request,) = target.wait_for(1, "/hook")
        service.until(lambda: delivered(tmp_path, 1), 60, "the end of the delivery")
        service.stop()

    assert request.json()["eventID"] == "as-printed"


def test_another_process_takes_over(tmp_path: Path, target: RecordingTarget) -> None:
    """When the process with the embedded worker is killed with -9, what was accepted is delivered by another."""
    target.answers("/hook", [Held()])

    with Uwsgi(tmp_path, {"delivery.lease": 2}, args=["--processes", "3"]) as service:
        service.subscribe(target_url=target.url("/hook"))
        service.post_event(make_event(id="in-flight"))
        target.wait_for(1, "/hook")
        first = holder(tmp_path)
        os.kill(first, signal.SIGKILL)
        for number in range(10):
            assert service.post_event(make_event(id=f"after-{number}")).status_code == 200
        service.until(lambda: delivered(tmp_path, 11), 90, "the ends of all deliveries")
        assert holder(tmp_path) in service.children
        assert holder(tmp_path) != first
        service.stop()

    arrived = {request.json()["eventID"] for request in target.requests("/hook")}
    assert arrived == {"in-flight", *(f"after-{number}" for number in range(10))}


@PROCESSES
def test_what_was_left_is_delivered_without_a_request(tmp_path: Path, target: RecordingTarget, args: list[str]) -> None:
    """What was pending when it ended is delivered after the next start, although nobody asks for anything."""
    target.always("/hook", Held())
    service = Uwsgi(tmp_path, args=args)

    with service:
        service.subscribe(target_url=target.url("/hook"))
        assert service.post_event(make_event()).status_code == 200
        target.wait_for(1, "/hook")
        # To the master alone, as a service manager does it: uWSGI then lets its processes end in order.
        service.interrupt(60)
        assert tables.states(tables.embedded_url(tmp_path)) == {"pending": 1}
        target.always("/hook", 200)
        service.start(0)
        service.until(lambda: delivered(tmp_path, 1), 90, "the end of the delivery")
        service.stop()

    first, second = target.requests("/hook")
    assert first.delivery == second.delivery


def test_a_request_must_name_its_user(tmp_path: Path) -> None:
    """Behind uWSGI there is no default user: 401 names the header's setting."""
    with Uwsgi(tmp_path) as service:
        answer = service.get("/eventmatch")
        named = service.get("/eventmatch", user="alice")
        service.stop()

    assert answer.status_code == 401
    assert "notifications.user_header" in answer.json()["message"]
    assert (named.status_code, named.json()) == (200, [])


def test_its_processes_share_no_connection(
    tmp_path: Path, postgresql_url: str, redis_url: str, target: RecordingTarget
) -> None:
    """Three processes with threads on PostgreSQL, with a worker beside them, take many events at once."""
    settings = {
        "database.peewee_url": postgresql_url,
        "celery.broker_url": redis_url,
        "notifications.policy_url": "",
    }
    assert Command(tmp_path, settings).run("dbsync").returncode == 0

    args = ["--processes", "3", "--threads", "4"]
    with Uwsgi(tmp_path, settings, args=args) as service, Worker(tmp_path, settings) as worker:
        service.subscribe(target_url=target.url("/hook"))
        with Load([service.url], events(300), rate=1000, threads=12, keep_alive=False) as load:
            load.wait(60)
        until(lambda: tables.states(postgresql_url) == {"delivered": 300}, 60, "all deliveries")
        worker.stop()
        service.stop()

    assert load.statuses == {200: 300}
    assert len({request.json()["eventID"] for request in target.requests("/hook")}) == 300
    assert "Traceback" not in service.log + worker.log


def events(count: int) -> Iterator[dict[str, object]]:
    """Return that many events."""
    return (make_event(id=f"many-{number}") for number in range(count))


def test_settings_that_cannot_be_used_end_it(tmp_path: Path) -> None:
    """Settings with a fault: uWSGI loads nothing, and its log has the line."""
    service = Uwsgi(tmp_path, {"delivery.batch": 0}, args=["--need-app"])

    service.start(0)
    status = service.wait(60)
    service.close()

    assert status not in (0, None)
    assert "[delivery] batch: must be from 1 to 1000" in service.log
