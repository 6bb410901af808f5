"""All that writes to one database writes at once: nobody is refused, and nothing is left standing."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support import tables
from tests.support.factories import ingest
from tests.support.policy import PolicyServer
from tests.support.processes import Command, Service, Worker
from tests.support.target import RecordingTarget
from tests.support.wait import until

#: For so many seconds everybody writes.
SECONDS = 6
#: Users who own subscriptions; each is asked about at the policy server.
USERS = ["alice", "bob", "carol"]
#: What a log has when a transaction was given up, or when somebody was refused for it.
COMPLAINTS = re.compile(r"Traceback|[Dd]eadlock|\.waiting |\.failed |unavailable|unsettled")


class Storm:
    """Threads that each do something again and again until the end; what one of them raises is told then."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.bad: list[str] = []
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def let(self, name: str, act: Callable[[], object], times: int = 1) -> None:
        """Let some threads do it."""
        self._threads += [
            threading.Thread(target=self._keep, args=(name, act), name=name, daemon=True) for _ in range(times)
        ]

    def rage(self, seconds: float) -> None:
        """Let them all go on for so long."""
        for thread in self._threads:
            thread.start()
        self._ending.wait(seconds)
        self._ending.set()
        for thread in self._threads:
            thread.join(60)

    def _keep(self, name: str, act: Callable[[], object]) -> None:
        while not self._ending.is_set():
            try:
                act()
                self.done[name] += 1
            except Exception as error:  # noqa: BLE001 - told to the test at the end
                self.bad.append(f"{name}: {error!r}")


def good(answer: requests.Response) -> requests.Response:
    """Check that a request was answered 200."""
    assert answer.status_code == 200, f"{answer.request.method} {answer.request.path_url}: {answer.text}"
    return answer


class Owner:
    """A user who makes, changes, disables, revives and deletes subscriptions, and changes one that all share."""

    def __init__(self, web: Service, user: str, shared: str, target: RecordingTarget) -> None:
        self._web, self._user, self._shared, self._target = web, user, shared, target
        self._numbers = itertools.count()

    def act(self) -> None:
        """Do all of it once."""
        path = "/bad" if next(self._numbers) % 2 else f"/{self._user}"
        uuid = self._web.subscribe(self._user, target_url=self._target.url(path))["uuid"]
        changes = [{"name": "another"}, {"disabled": "2026-01-01T00:00:00Z"}, {"disabled": None}]
        for change in changes:
            good(self._web.request("PUT", f"/eventmatch/{uuid}", user=self._user, json=change))
        good(self._web.request("PUT", f"/eventmatch/{self._shared}", user="dave", json={"name": self._user}))
        good(self._web.get("/eventmatch", user=self._user))
        good(self._web.request("DELETE", f"/eventmatch/{uuid}", user=self._user))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_everybody_writes_at_once(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_url: str,
    target: RecordingTarget,
    policy_server: PolicyServer,
) -> None:
    """Every request is answered 200, no log tells of a transaction that was given up, and all that is left ends."""
    url: str = request.getfixturevalue(f"{kind}_url")
    settings = {
        "database.peewee_url": url,
        "celery.broker_url": redis_url,
        "notifications.policy_url": policy_server.policy_url,
        "delivery.retry_schedule": "0.1,0.1",
        "delivery.disable_after": 2,
    }
    command = Command(tmp_path, settings)
    assert command.run("dbsync").returncode == 0
    target.always("/bad", 500)
    webs = [Service(tmp_path, settings, name=f"web{number}") for number in (1, 2)]
    workers = [Worker(tmp_path, settings, name=f"worker{number}") for number in (1, 2)]
    numbers, storm, removed = itertools.count(), Storm(), []

    def produce() -> None:
        # Four in a row are the same event, and each web process gets two of them.
        number = next(numbers)
        good(webs[number % 2].post_event(ingest(number // 4, files=1)))

    def purge() -> None:
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        done = command.run("eventpurge", "--older-than-date", now)
        assert done.returncode == 0, done
        removed.append(int(done.stdout.split()[0]))

    with ExitStack() as stack:
        for process in [*webs, *workers]:
            stack.enter_context(process)
        for user in USERS:
            webs[0].subscribe(user, target_url=target.url(f"/{user}/stays"))
        shared = webs[0].subscribe("dave", target_url=target.url("/dave"))["uuid"]
        storm.let("event", produce, 4)
        for number, user in enumerate(USERS):
            storm.let("owner", Owner(webs[number % 2], user, shared, target).act)
        storm.let("purge", purge)
        storm.rage(SECONDS)
        until(lambda: not tables.unrouted(url) and "pending" not in tables.states(url), 60, "all to be ended")
        for process in [*workers, *webs]:
            process.stop()

    complaints = [line for part in [*webs, *workers] for line in part.log.splitlines() if COMPLAINTS.search(line)]
    print(f"{dict(storm.done)}, left: {tables.states(url)}, removed: {removed}")
    assert storm.bad == []
    assert complaints == []
    assert set(storm.done) == {"event", "owner", "purge"}
