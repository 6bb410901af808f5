"""The database goes away and comes back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import serving
from tests.support import tables
from tests.support.factories import ingest
from tests.support.frozen import frozen
from tests.support.load import Load
from tests.support.processes import Command, Service, Worker
from tests.support.servers import MariaDB, PostgreSQL
from tests.support.target import Dripping, RecordingTarget
from tests.support.wait import until

KINDS = {"postgresql": PostgreSQL, "mariadb": MariaDB}
#: Which database goes away, whether in the clean way or by a crash, and the seconds for which it is then away.
OUTAGES = [("postgresql", "stop", 20), ("postgresql", "kill", 5), ("mariadb", "stop", 5), ("mariadb", "kill", 5)]
#: Seconds for which it is frozen, and for which a client waits.
FROZEN, PATIENCE = 15, 30


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], PostgreSQL | MariaDB]]:
    """Give a running server that the tests of this module may stop, started at the first use of its kind."""
    started: dict[str, PostgreSQL | MariaDB] = {}

    with ExitStack() as stack:

        def running(kind: str) -> PostgreSQL | MariaDB:
            if kind not in started:
                made = contextmanager(serving)(KINDS[kind], kept=True)
                started[kind] = stack.enter_context(made)
            if not started[kind].running:
                started[kind].start()
            return started[kind]

        yield running


@pytest.mark.parametrize(("kind", "how", "seconds"), OUTAGES)
def test_an_outage_of_the_database_loses_nothing(
    tmp_path: Path,
    servers: Callable[[str], PostgreSQL | MariaDB],
    redis_url: str,
    target: RecordingTarget,
    kind: str,
    how: str,
    seconds: float,
) -> None:
    """The database away under load: 503 with Retry-After meanwhile, then all goes on, and every 200 is delivered."""
    server = servers(kind)
    database = server.create_database()
    settings = {
        "database.peewee_url": database,
        "celery.broker_url": redis_url,
        "notifications.policy_url": "",
        "delivery.lease": 3,
    }
    assert Command(tmp_path, settings).run("dbsync").returncode == 0

    with Service(tmp_path, settings, name="web") as web, Worker(tmp_path, settings) as worker:
        web.subscribe(target_url=target.url("/hook"))
        # Slow enough for attempts to be under way when it goes away.
        target.always("/hook", Dripping(pause=0.01))
        with Load([web.url], map(ingest, itertools.count()), rate=40) as load:
            until(lambda: len(load.accepted) > 100, 60, "the first events")
            server.stop() if how == "stop" else server.kill()
            stopped, back_at = len(load.answers), time.monotonic() + seconds
            until(lambda: len(load.answers) > stopped + 10, 60, "answers while it is away")
            live, ready = web.get("/health/live"), web.get("/health/ready")
            listed = web.get("/eventmatch", user="alice")
            made = web.request("POST", "/eventmatch", user="alice", json={"name": "x"})
            until(lambda: time.monotonic() >= back_at, seconds + 5, "the end of the outage")
            server.start()
            until(lambda: len(load.accepted) > stopped + 100, 60, "events to be accepted again")
        until(lambda: tables.unrouted(database) == 0, 60, "all events to be routed")
        until(lambda: tables.states(database).keys() == {"delivered"}, 60, "all deliveries to end")
        assert web.get("/health/ready").status_code == 200
        worker.stop()
        web.stop()

    refused = [answer for answer in load.answers if answer.status == 503]
    arrived = {request.json()["eventID"] for request in target.requests("/hook")}
    accepted = {answer.event["eventID"] for answer in load.accepted}
    print(f"{load.statuses}, {len(target.requests()) - len(arrived)} sent again, {len(accepted - arrived)} lost")
    assert load.statuses.keys() == {200, 503}, "other answers, or none within the client's time"
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert live.status_code == 200
    for answer in (ready, listed):
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")
    assert made.status_code == 400, "a mistake is told without a database"
    assert accepted <= arrived
    assert tables.one(database, "SELECT COUNT(*) FROM eventmatch WHERE disabled IS NOT NULL") == 0
    for process in (web, worker):
        assert "Traceback" not in process.log


@pytest.mark.parametrize("kind", KINDS)
def test_the_service_waits_for_its_database(
    tmp_path: Path, servers: Callable[[str], PostgreSQL | MariaDB], kind: str
) -> None:
    """A service that starts before its database waits for it as the settings say, and then works."""
    server = servers(kind)
    settings = {
        "database.peewee_url": server.create_database(),
        "database.connect_attempts": 600,
        "database.connect_wait": 0.2,
    }
    assert Command(tmp_path, settings).run("dbsync").returncode == 0
    server.stop()

    service = Service(tmp_path, settings)
    service.start(0)
    service.wait_for_output(r"database\.waiting attempt=1 of=600")
    server.start()
    service.until(lambda: service.get("/health/ready").status_code == 200, 60, "the service to be ready")

    assert service.stop() == 0


@pytest.mark.parametrize(("part", "scheme"), [(Service, "mysql"), (Worker, "postgresql")])
def test_a_database_that_stays_away_is_told_in_one_line(
    tmp_path: Path, part: type[Service | Worker], scheme: str
) -> None:
    """After the last attempt service and worker end with a failure and one line that says why, password masked."""
    settings = {
        "database.peewee_url": f"{scheme}://user:secret@127.0.0.1:1/nothing",
        "database.connect_attempts": 2,
        "database.connect_wait": 0.2,
        "celery.broker_url": "redis://127.0.0.1:1/0",
    }
    process = part(tmp_path, settings)

    process.start(0)
    status = process.wait(60)

    last = process.log.strip().splitlines()[-1]
    assert status not in (0, None)
    assert f"gave up after 2 attempts on {scheme}://user:***@127.0.0.1:1/nothing" in last
    assert process.log.count("database.waiting") == 1
    assert "secret" not in process.log
    assert "Traceback" not in process.log
    process.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_database_does_not_silence_the_live_check(
    tmp_path: Path, servers: Callable[[str], PostgreSQL | MariaDB], redis_url: str, kind: str
) -> None:
    """While the database holds its connections and says nothing, `/health/live` answers; afterwards all goes on."""
    server = servers(kind)
    database = server.create_database()
    settings = {"database.peewee_url": database, "celery.broker_url": redis_url, "notifications.policy_url": ""}
    assert Command(tmp_path, settings).run("dbsync").returncode == 0

    with Service(tmp_path, settings) as web:
        assert "database" not in web.get("/health/live").json()
        with frozen(server):
            answers = [web.get("/health/live", timeout=15) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [200] * 6
        assert {answer.json()["database"] for answer in answers} == {"does not answer"}
        until(lambda: "database" not in web.get("/health/live").json(), 60, "the database to be heard again")
        assert web.get("/health/ready").status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_database_hangs_and_loses_nothing(
    tmp_path: Path,
    servers: Callable[[str], PostgreSQL | MariaDB],
    redis_url: str,
    target: RecordingTarget,
    kind: str,
) -> None:
    """The database frozen under load: every request is answered, more than there are threads; every 200 arrives once.

    An attempt that was answered while the database was frozen is recorded afterwards and not made again, because the
    lease is longer.
    """
    server = servers(kind)
    database = server.create_database()
    settings = {
        "database.peewee_url": database,
        "database.timeout": 4,
        "celery.broker_url": redis_url,
        "notifications.policy_url": "",
        "delivery.lease": 30,
    }
    assert Command(tmp_path, settings).run("dbsync").returncode == 0

    with Service(tmp_path, settings, name="web") as web, Worker(tmp_path, settings) as worker:
        web.subscribe(target_url=target.url("/hook"))
        # Slow enough for attempts to be under way when it freezes.
        target.always("/hook", Dripping(pause=0.01))
        events = map(ingest, itertools.count())
        with Load([web.url], events, rate=40, threads=24, patience=PATIENCE) as load:
            until(lambda: len(load.accepted) > 100, 60, "the first events")
            with frozen(server):
                halted, until_at = len(load.answers), time.monotonic() + FROZEN
                until(lambda: len(load.answers) > halted + 30, 60, "answers while it is frozen")
                live, ready = web.get("/health/live"), web.get("/health/ready")
                listed = web.get("/eventmatch", user="alice")
                until(lambda: time.monotonic() >= until_at, FROZEN + 5, "the end")
            accepted = len(load.accepted)
            until(lambda: len(load.accepted) > accepted + 100, 60, "events to be accepted again")
        until(lambda: tables.unrouted(database) == 0, 90, "all events to be routed")
        until(lambda: tables.states(database).keys() == {"delivered"}, 90, "all deliveries to end")
        assert web.get("/health/ready").status_code == 200
        worker.stop()
        web.stop()

    sent = [request.json()["eventID"] for request in target.requests("/hook")]
    print(f"{load.statuses}, {len(sent) - len(set(sent))} sent again")
    assert load.statuses.keys() == {200, 503}, "other answers, or none within the client's time"
    assert live.status_code == 200
    assert {answer.status_code for answer in (ready, listed)} == {503}
    assert {answer.event["eventID"] for answer in load.accepted} <= set(sent)
    assert len(sent) == len(set(sent))
    assert tables.one(database, "SELECT COUNT(*) FROM eventmatch WHERE disabled IS NOT NULL") == 0
    for process in (web, worker):
        assert "Traceback" not in process.log
