"""Four workers route while subscriptions are made, changed, disabled and deleted all the time."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import UUID

from tests.support import tables
from tests.support.factories import make_event
from tests.support.processes import Command, Service, Worker
from tests.support.together import together
from tests.support.wait import until

#: Each makes its own subscriptions and sends its own events, one after the other.
CLIENTS = 4
#: Changes of each client, with an event after each.
STEPS = 60
WORKERS = 4


class Client:
    """Changes its subscriptions and sends an event after each change; notes what was in force since which revision."""

    def __init__(self, number: int, service: Service, url: str) -> None:
        self.name = f"client-{number}"
        self._service, self._url = service, url
        self._chances = random.Random(number)
        self._wanting: dict[UUID, bool] = {}
        #: By subscription: each revision that it took, and whether the client's events went to it since.
        self.history: dict[UUID, list[tuple[int, bool]]] = {}
        #: By event: the revision of the last change before it was sent.
        self.sent: dict[UUID, int] = {}

    def run(self) -> None:
        """Change and send, again and again."""
        for _ in range(STEPS):
            revision = self._change()
            answer = self._service.post_event(make_event(source=f"/{self.name}", data=[]))
            assert answer.status_code == 200, answer.text
            self.sent[UUID(answer.json()["uuid"])] = revision

    def in_force(self, revision: int) -> set[UUID]:
        """Return the subscriptions to which an event goes that is routed with a revision."""
        found = set()
        for uuid, changes in self.history.items():
            past = [wanting for taken, wanting in changes if taken <= revision]
            if past and past[-1]:
                found.add(uuid)
        return found

    def _change(self) -> int:
        """Make a subscription or change one; return the revision that this took."""
        kind = self._chances.choice(["make", "disable", "revive", "point elsewhere", "point here", "delete"])
        if kind == "make" or not self._wanting:
            members = {"jsonpath": self._pointing(here=True), "target_url": "http://127.0.0.1:9/"}
            uuid, wanting = UUID(self._service.subscribe(self.name, **members)["uuid"]), True
            self._wanting[uuid] = True
        else:
            uuid = self._chances.choice(list(self._wanting))
            if kind == "delete":
                self._answered("DELETE", uuid)
                wanting = False
                del self._wanting[uuid]
            else:
                here = self._wanting[uuid] if kind in ("disable", "revive") else kind == "point here"
                off = "2026-01-01T00:00:00Z" if kind == "disable" else None
                self._answered("PUT", uuid, {"jsonpath": self._pointing(here), "disabled": off})
                self._wanting[uuid] = here
                wanting = here and off is None
        revision = int(tables.one(self._url, f"SELECT revision FROM eventmatch WHERE uuid = '{uuid}'"))
        self.history.setdefault(uuid, []).append((revision, wanting))
        return revision

    def _pointing(self, here: bool) -> str:
        """Return an expression that finds something in the client's events, or in nobody's."""
        source = f"/{self.name}" if here else "/nobody"
        return self._chances.choice(
            [
                f'$[?(@.source = "{source}")]',
                f'$[?(@.source = "{source}" and @.eventType != "x")]["data"]',
                f'$..[?(@.source = "{source}")]',
            ]
        )

    def _answered(self, method: str, uuid: UUID, body: object = None) -> None:
        answer = self._service.request(method, f"/eventmatch/{uuid}", user=self.name, json=body)
        assert answer.status_code == 200, answer.text


def test_every_event_is_routed_with_what_was_committed_before_it(
    tmp_path: Path, postgresql_url: str, redis_url: str
) -> None:
    """An event that is accepted after a change is routed with that change, and to exactly those in force then."""
    settings = {
        "database.peewee_url": postgresql_url,
        "celery.broker_url": redis_url,
        "notifications.policy_url": "",
        # What is not tried again takes nobody's time.
        "delivery.retry_schedule": "3600",
        # So that all of them have something to do.
        "matching.batch": 2,
    }
    assert Command(tmp_path, settings).run("dbsync").returncode == 0
    service = Service(tmp_path, settings)
    workers = [Worker(tmp_path, settings, name=f"worker{number}") for number in range(WORKERS)]

    with ExitStack() as stack:
        for process in [service, *workers]:
            stack.enter_context(process)
        clients = [Client(number, service, postgresql_url) for number in range(CLIENTS)]
        together([partial(client.run) for client in clients], seconds=200)
        until(lambda: not tables.unrouted(postgresql_url), 60, "all events to be routed")
        shares = [worker.log.count("event.routed") for worker in workers]

    routed = {
        UUID(str(uuid)): revision
        for uuid, revision in tables.rows(postgresql_url, "SELECT uuid, revision FROM eventlog")
    }
    went: dict[UUID, set[UUID]] = {uuid: set() for uuid in routed}
    for event, subscription in tables.rows(postgresql_url, "SELECT event_log_id, event_match_id FROM eventlogmatch"):
        went[UUID(str(event))].add(UUID(str(subscription)))
    at_once = 0
    for client in clients:
        assert len(client.sent) == STEPS
        for event, floor in client.sent.items():
            assert routed[event] >= floor, "routed with what was in force before the last change"
            assert went[event] == client.in_force(routed[event])
            at_once += routed[event] == floor
    print(
        json.dumps(
            {
                "routed by": shares,
                "events": len(routed),
                "deliveries": sum(map(len, went.values())),
                "before any later change": at_once,
            }
        )
    )
    assert all(shares), f"one of the workers had nothing to do: {shares}"
