"""Intake when the database is away, or slow, and at the end of the service: what is answered 200 is stored."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import UUID

from pacifica.notifications.errors import Unavailable
from tests.support.databases import held, locked
from tests.support.doors import Doors
from tests.support.factories import ingest, make_event
from tests.support.load import Load
from tests.support.servers import MariaDB, PostgreSQL
from tests.support.together import together
from tests.support.wait import until

from .conftest import Start


def accepted(doors: Doors, event: object) -> UUID | Unavailable:
    """Accept an event; give the error of a database that is away."""
    try:
        return doors.accept(event)
    except Unavailable as error:
        return error


def test_a_database_that_is_away_is_told_to_all(own_database_server: PostgreSQL | MariaDB, tmp_path: Path) -> None:
    """While the database is away everybody who waits is told so; when it is back the same events are stored."""
    events = [make_event() for _ in range(10)]

    with Doors(tmp_path, own_database_server.create_database()) as doors:
        doors.accept()
        own_database_server.stop()
        away = together([partial(accepted, doors, each) for each in events])
        own_database_server.start()
        back = together([partial(accepted, doors, each) for each in events])

        assert {type(each) for each in away} == {Unavailable}
        assert {type(doors.event(each)).__name__ for each in back if isinstance(each, UUID)} == {"EventLog"}
        assert len(set(back)) == 10


def test_too_many_are_answered_503_at_once(start: Start) -> None:
    """While nothing can be stored what is past the bound is answered 503 with Retry-After; the rest is stored later."""
    service = start({"receive.timeout": 60, "receive.queue": 2})
    events = [make_event() for _ in range(9)]

    with ThreadPoolExecutor(len(events)) as threads:
        with locked(service.database_url):
            sent = [threads.submit(service.post_event, event) for event in events]
            until(lambda: any(each.done() for each in sent), 30, "an answer while nothing can be stored")
        answers = [each.result(60) for each in sent]

    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.headers.get("Retry-After")) for answer in refused} == {(503, "5")}
    assert all("waiting" in answer.json()["message"] for answer in refused)
    assert service.log.count("intake.overloaded") == 1
    assert "request.unavailable" not in service.log
    stored = {answer.json()["uuid"] for answer in answers if answer.status_code == 200}
    assert len(stored) >= 3
    assert service.rows("SELECT COUNT(*) FROM eventlog") == [(len(stored),)]


def test_what_waits_too_long_is_answered_503(start: Start) -> None:
    """An event that can't be stored in time is answered 503; sent again it is stored, once."""
    service = start({"receive.timeout": 0.5})
    event = make_event()

    with locked(service.database_url):
        late = service.post_event(event)
    until(lambda: service.post_event(event).status_code == 200, 30, "the event to be taken")

    assert (late.status_code, late.headers["Retry-After"]) == (503, "5")
    assert service.rows("SELECT COUNT(*) FROM eventlog") == [(1,)]


def test_the_end_of_the_service_loses_nothing(start: Start) -> None:
    """A service that is told to end under load ends cleanly, and everything that it answered 200 is in the table."""
    service = start()

    with Load([service.url], map(ingest, itertools.count()), rate=200) as load:
        until(lambda: len(load.accepted) > 50, 30, "events")
        status = service.terminate()
    stored = {str(uuid) for (uuid,) in service.rows("SELECT uuid FROM eventlog")}
    statuses = Counter(answer.status for answer in load.answers)
    service.start()

    assert status == 0
    assert {held(service.database_url, answer.uuid) for answer in load.accepted if answer.uuid} <= stored
    assert statuses.keys() <= {200, 503, None}
