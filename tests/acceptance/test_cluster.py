"""Two web processes and two workers, while workers are killed and the broker goes away and forgets."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import tables
from tests.support.factories import ingest
from tests.support.load import Load
from tests.support.policy import PolicyServer
from tests.support.processes import Command, Service, Worker
from tests.support.servers import RabbitMQ, Redis
from tests.support.target import RecordingTarget
from tests.support.wait import until

EVENTS = 1000
SUBSCRIPTIONS = 10
USERS = ["alice", "bob", "carol"]
#: Events in a second: slow enough for the broker to be restarted and wiped meanwhile.
RATE = 45
#: Seconds between two kills.
BETWEEN = 3


class Killer:
    """Kills the workers one after the other and starts them again, until it is told to end."""

    def __init__(self, workers: list[Worker]) -> None:
        self.kills = 0
        self._workers = itertools.cycle(workers)
        self._ending = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._kill, name="killer", daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        assert not self._failures, self._failures

    def _kill(self) -> None:
        try:
            while not self._ending.wait(BETWEEN):
                worker = next(self._workers)
                worker.kill()
                worker.start(0)
                self.kills += 1
        except BaseException as error:  # noqa: BLE001 - told to the test at the end
            self._failures.append(error)


@pytest.fixture(params=[("postgresql", "rabbitmq"), ("mariadb", "redis")], ids="-".join)
def places(request: pytest.FixtureRequest) -> tuple[str, RabbitMQ | Redis]:
    """The url of an empty database and a broker of the test's own."""
    database, broker = request.param
    return request.getfixturevalue(f"{database}_url"), request.getfixturevalue(f"own_{broker}")


@pytest.fixture
def target() -> Iterator[RecordingTarget]:
    """A target that records what is delivered."""
    with RecordingTarget() as started:
        yield started


def test_nothing_is_lost_while_workers_die_and_the_broker_forgets(
    tmp_path: Path, places: tuple[str, RabbitMQ | Redis], target: RecordingTarget, policy_server: PolicyServer
) -> None:
    """Every event is one row and gets to every subscription, whatever is killed, restarted or wiped meanwhile."""
    url, broker = places
    settings = {
        "database.peewee_url": url,
        "celery.broker_url": broker.url,
        "notifications.policy_url": policy_server.policy_url,
        "delivery.lease": 2,
        "policy.timeout": 5,
    }
    assert Command(tmp_path, settings).run("dbsync").returncode == 0
    webs = [Service(tmp_path, settings, name=f"web{number}") for number in (1, 2)]
    workers = [
        Worker(tmp_path, settings, name="threads"),
        Worker(tmp_path, settings, name="prefork", args=["-P", "prefork", "-c", "2"]),
    ]

    with ExitStack() as stack:
        for process in [*webs, *workers]:
            stack.enter_context(process)
        subscriptions = [
            webs[number % 2].subscribe(USERS[number % len(USERS)], target_url=target.url(f"/{number}"))
            for number in range(SUBSCRIPTIONS)
        ]
        before = owned(webs[0])
        load = stack.enter_context(
            Load([web.url for web in webs], (ingest(number, files=3) for number in range(EVENTS)), rate=RATE)
        )
        with Killer(workers) as killer:
            until(lambda: len(load.accepted) > EVENTS * 0.1, 60, "the first events")
            broker.stop()
            broker.start()
            until(lambda: len(load.accepted) > EVENTS * 0.6, 60, "more events")
            broker.wipe()
            answers = load.wait(60)
        until(done(url), 90, f"{EVENTS * SUBSCRIPTIONS} deliveries")
        after = owned(webs[1])
        for process in [*workers, *webs]:
            process.stop()

    requests = target.requests()
    by_pair: dict[tuple[str, str], set[str | None]] = {}
    for request in requests:
        by_pair.setdefault((request.json()["eventID"], request.path), set()).add(request.delivery)
    sent_again = len(requests) - len(by_pair)
    asks = len(policy_server.asks())
    print(f"{killer.kills} kills, {len(by_pair)} delivered, {sent_again} sent again, {asks} asked of the policy server")
    assert killer.kills >= 3
    assert load.statuses == {200: EVENTS}
    assert len({answer.uuid for answer in answers}) == EVENTS
    assert tables.one(url, "SELECT COUNT(*) FROM eventlog") == EVENTS
    wanted = itertools.product(range(EVENTS), range(SUBSCRIPTIONS))
    assert by_pair.keys() == {(f"metadata.ingest.{event}", f"/{number}") for event, number in wanted}
    assert all(len(deliveries) == 1 for deliveries in by_pair.values()), "sent again as another delivery"
    assert tables.states(url) == {"delivered": EVENTS * SUBSCRIPTIONS}
    assert after == before
    assert len(before) == len(subscriptions)


def owned(web: Service) -> list[dict[str, Any]]:
    """Return the subscriptions of all users as they are told."""
    return [subscription for user in USERS for subscription in web.get("/eventmatch", user=user).json()]


def done(url: str) -> Callable[[], bool]:
    """Return whether all events are routed and every delivery has ended."""

    def look() -> bool:
        found = tables.states(url)
        return not tables.unrouted(url) and found.keys() == {"delivered"} and sum(found.values()) >= EVENTS

    return look
