"""The broker carries hints only: it may be away, come back, be wiped, or have nobody who listens."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis as Client

from tests.conftest import serving
from tests.support import tables
from tests.support.factories import make_event
from tests.support.load import Load
from tests.support.ports import free_port
from tests.support.process import clean_environment
from tests.support.processes import Command, Service, Worker
from tests.support.servers import PostgreSQL, Redis
from tests.support.target import RecordingTarget
from tests.support.wait import until

#: The line that starts a worker, as the service tells it.
START_A_WORKER = "celery -A pacifica.notifications.tasks worker"
#: The Celery queue of the hints.
QUEUE = "notifications"


@pytest.fixture
def settings(postgresql_url: str, request: pytest.FixtureRequest) -> dict[str, object]:
    """Settings for PostgreSQL with tables and a broker that is not there."""
    folder: Path = request.getfixturevalue("tmp_path")
    found: dict[str, object] = {
        "database.peewee_url": postgresql_url,
        "celery.broker_url": f"redis://127.0.0.1:{free_port()}/0",
        "notifications.policy_url": "",
    }
    assert Command(folder, found).run("dbsync").returncode == 0
    return found


def test_everything_works_without_a_broker(
    tmp_path: Path, settings: dict[str, object], target: RecordingTarget
) -> None:
    """With RabbitMQ absent from the start web and worker start, `/receive` answers 200, and all is delivered."""
    settings["celery.broker_url"] = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    url = str(settings["database.peewee_url"])
    worker = Worker(tmp_path, settings)

    with Service(tmp_path, settings) as web:
        worker.start(0)
        web.subscribe(target_url=target.url("/hook"))
        answers = [web.post_event(make_event()) for _ in range(20)]
        worker.until(lambda: tables.states(url) == {"delivered": 20}, 60, "all deliveries")
        until(lambda: web.get("/health/ready").json()["worker"] == "ok", 30, "the worker to be seen")
        worker.stop()
        web.stop()

    assert {answer.status_code for answer in answers} == {200}
    assert len(target.requests("/hook")) == 20


def test_a_broker_may_come_and_go(
    tmp_path: Path, settings: dict[str, object], own_redis: Redis, target: RecordingTarget
) -> None:
    """A broker that comes late, goes away and comes back: `/receive` answers 200 all the time, all is delivered."""
    own_redis.stop()
    settings["celery.broker_url"] = own_redis.url
    url = str(settings["database.peewee_url"])
    web, worker = Service(tmp_path, settings), Worker(tmp_path, settings)

    with web:
        worker.start(0)
        web.subscribe(target_url=target.url("/hook"))
        with Load([web.url], (make_event() for _ in itertools.count()), rate=40) as load:
            for _ in range(2):
                seen = len(load.accepted)
                web.wait_for_output(r"broker\.away")
                until(lambda seen=seen: len(target.requests()) > seen + 40, 60, "deliveries without a broker")
                own_redis.start()
                worker.wait_for_output(r"\bready\b", 90)
                web.wait_for_output(r"broker\.back", 90)
                until(lambda: taken(own_redis), 60, "the worker to take the hints")
                own_redis.stop()
        until(lambda: tables.states(url) == {"delivered": len(load.accepted)}, 60, "all deliveries")
        worker.stop()
        web.stop()

    assert load.statuses == {200: len(load.answers)}
    arrived = {request.json()["eventID"] for request in target.requests("/hook")}
    assert arrived == {answer.event["eventID"] for answer in load.accepted}
    assert "Traceback" not in web.log


def taken(server: Redis) -> bool:
    """Tell whether a broker has no hint that waits."""
    with Client.from_url(server.url) as client:
        return client.llen(QUEUE) == 0


def test_nobody_at_work_is_said(tmp_path: Path, settings: dict[str, object]) -> None:
    """Without a worker the service says so at its start and in its health, with the line that starts one."""
    with Service(tmp_path, settings) as web:
        web.wait_for_output(f"worker=none .*{START_A_WORKER}")
        alone = [web.get(path) for path in ("/health/live", "/health/ready")]
        worker = Worker(tmp_path, settings)
        worker.start(0)
        until(lambda: web.get("/health/ready").json()["worker"] == "ok", 30, "the worker to be seen")
        assert web.get("/health/live").json()["worker"] == "ok"
        worker.stop()
        until(lambda: START_A_WORKER in web.get("/health/ready").json()["worker"], 30, "its end to be seen")
        web.stop()

    for answer in alone:
        assert answer.status_code == 200
        assert START_A_WORKER in answer.json()["worker"]


def test_hints_are_few(tmp_path: Path, settings: dict[str, object], redis_url: str) -> None:
    """No hint is sent while there is no worker; a worker that vanished leaves a few for many events, not one each."""
    settings["celery.broker_url"] = redis_url

    with Service(tmp_path, settings) as web, Client.from_url(redis_url) as client:
        web.subscribe(target_url="http://127.0.0.1:1/")
        assert Load([web.url], (make_event() for _ in range(100)), rate=1000).run().statuses == {200: 100}
        without = client.llen(QUEUE)
        with Worker(tmp_path, settings) as worker:
            web.post_event(make_event())
            until(lambda: tables.unrouted(str(settings["database.peewee_url"])) == 0, 60, "the worker to be at work")
            worker.kill()
        left = client.llen(QUEUE)
        assert Load([web.url], (make_event() for _ in range(500)), rate=5000).run().statuses == {200: 500}
        vanished = client.llen(QUEUE) - left
        web.stop()

    print(f"hints in the queue: {without} for 100 events without a worker, {vanished} for 500 after it vanished")
    assert without == 0
    assert 0 < vanished <= 400


def test_what_celery_is_told(tmp_path: Path) -> None:
    """JSON and nothing else, late acknowledgement, no results, no remote control; confirms on AMQP."""
    program = (
        "import json; from pacifica.notifications.tasks import app; c = app.conf; print(json.dumps({"
        "name: c[name] for name in NAMES}))"
    )
    wanted = {
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_enable_remote_control": False,
        "broker_url": "amqp://guest@localhost//",
        "broker_transport_options": {"confirm_publish": True},
    }
    env = clean_environment(tmp_path / "home", BROKER_URL="amqp://guest@localhost//", BACKEND_URL="rpc://")

    done = subprocess.run(
        [sys.executable, "-c", program.replace("NAMES", repr(list(wanted)))],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env=env,
        cwd=tmp_path,
        check=False,
    )

    assert json.loads(done.stdout) == wanted, done.stderr


# The pools: one web process for them all, each worker in its turn.

POOLS = [[], ["-P", "solo"], ["-P", "prefork", "-c", "2"], ["-P", "threads", "-c", "4"]]


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis for the whole module."""
    yield from serving(Redis, kept=True)


@pytest.fixture(scope="module")
def shared(redis: Redis, postgresql_server: PostgreSQL) -> Iterator[dict[str, object]]:
    """The settings of web process and workers."""
    url = postgresql_server.create_database()
    yield {"database.peewee_url": url, "celery.broker_url": redis.url, "notifications.policy_url": ""}
    postgresql_server.drop_database(url)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, shared: dict[str, object]) -> Iterator[Service]:
    """A web process without a worker."""
    folder = tmp_path_factory.mktemp("pools")
    assert Command(folder, shared).run("dbsync").returncode == 0
    service = Service(folder, shared)
    service.kept = True
    with service:
        yield service


@pytest.mark.parametrize("args", POOLS, ids=lambda args: " ".join(args) or "defaults")
def test_every_pool_delivers(
    tmp_path: Path, web: Service, redis: Redis, shared: dict[str, object], target: RecordingTarget, args: list[str]
) -> None:
    """A worker delivers with whatever pool it is started, also after every process of the pool was killed with -9."""
    subscription = web.subscribe(target_url=target.url("/hook"))

    with Worker(tmp_path, shared, args=args) as worker:
        for round_ in (1, 2):
            assert web.post_event(make_event()).status_code == 200
            target.wait_for(round_, "/hook", 60)
            until(lambda: taken(redis), 60, "the worker to take the hints")
            for child in worker.children:
                os.kill(child, signal.SIGKILL)
        assert worker.stop() == 0
    web.request("DELETE", f"/eventmatch/{subscription['uuid']}", user="alice")

    assert len(target.requests("/hook")) == 2
    assert "Traceback" not in worker.log
