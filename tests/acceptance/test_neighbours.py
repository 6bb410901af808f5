"""The service between the true metadata and policy servers: events come from the one, the other is asked."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import neighbours, tables
from tests.support.environments import Environment
from tests.support.factories import INGEST
from tests.support.neighbours import Metadata, Passed, Policy, Relay
from tests.support.processes import Command, Process, Service, Worker
from tests.support.servers import PostgreSQL, Redis
from tests.support.target import RecordingTarget
from tests.support.together import together
from tests.support.wait import until

pytestmark = pytest.mark.install

ORM = "org.pacifica.metadata.orm"
DOI_ENTRY = "org.pacifica.metadata.doientry"
DOI_UPDATE = "org.pacifica.metadata.doiupdate"
EVERYTHING = "$[?(@.eventType)]"

#: What stands with a delivery: its state, policy's status, the target's status, the attempts.
DELIVERED = ("delivered", 200, 200, 1)
REFUSED = ("refused", 412, None, 0)

#: How many transactions are put at once.
INGESTS = 10

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def environment(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment of the neighbours."""
    return neighbours.install(tmp_path_factory.mktemp("neighbours") / "venv")


@dataclass(frozen=True, slots=True)
class Facility:
    """Metadata and policy, the relay behind metadata, and the id of Alice, who is a member of the project.

    Bob is a user and no more, Ada is in the group of admins.
    """

    metadata: Metadata
    policy: Policy
    relay: Relay
    alice: int


@pytest.fixture(scope="module")
def facility(
    environment: Environment, postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Facility]:
    """A facility with one project; what it is loaded with goes nowhere."""
    folder = tmp_path_factory.mktemp("facility")
    url = postgresql_server.create_database()
    with ExitStack() as stack:
        stack.callback(postgresql_server.drop_database, url)
        relay = stack.enter_context(Relay())
        metadata = Metadata(environment, folder, url, relay.url("/receive"))
        metadata.make_tables()
        stack.enter_context(metadata)
        policy = stack.enter_context(Policy(environment, folder, metadata))
        metadata.add_project()
        alice = metadata.add_user("alice", project=True)
        metadata.add_user("bob")
        metadata.add_user("ada", admin=True)
        yield Facility(metadata, policy, relay, alice)


@dataclass(frozen=True, slots=True)
class Ours:
    """The service, and the database that its deliveries stand in."""

    service: Service
    database: str

    def deliveries(self, subscription: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Return state, policy's status, the target's status and the attempts of a subscription's deliveries."""
        return tables.rows(
            self.database,
            "SELECT d.state, d.policy_status_code, d.target_status_code, d.attempts FROM eventlogmatch d"
            f" JOIN eventmatch s ON s.uuid = d.event_match_id WHERE s.name = '{subscription['name']}'",
        )

    def wait(self, subscription: dict[str, Any], *expected: tuple[Any, ...]) -> None:
        """Wait until a subscription has exactly these deliveries, in any order."""
        wanted = Counter(expected)

        def ended() -> bool:
            found = Counter(self.deliveries(subscription))
            assert found == wanted, dict(found)
            return True

        until(ended, 60, f"{dict(wanted)} for {subscription['user']}")

    def unanswered(self, user: str) -> list[tuple[Any, ...]]:
        """Return how often policy did not answer about a user, and its last status, for each event still open."""
        return tables.rows(
            self.database,
            f"SELECT unanswered, status FROM gateanswer WHERE \"user\" = '{user}' AND allowed IS NULL",
        )

    def wait_for_silence(self, user: str, status: int | None, events: int = 1) -> None:
        """Wait until policy was asked twice more about each event of a user, with this status as its last answer."""
        before = sum(count for count, _ in self.unanswered(user))

        def asked() -> bool:
            found = self.unanswered(user)
            assert len(found) == events, found
            return {last for _, last in found} == {status} and sum(count for count, _ in found) >= before + 2 * events

        until(asked, 60, f"policy to be asked about {user} in vain")


@pytest.fixture(scope="module", params=["embedded", "cluster"])
def ours(
    request: pytest.FixtureRequest, facility: Facility, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ours]:
    """The service as one process on SQLite, and on PostgreSQL with a broker and a worker.

    It asks policy again after a second, and a delivery whose first attempt fails is dead and disables.
    """
    folder = tmp_path_factory.mktemp(request.param)
    settings: dict[str, object] = {
        "notifications.policy_url": facility.policy.url,
        "policy.max_interval": 1,
        "delivery.retry_schedule": "",
        "delivery.disable_after": 0,
    }
    with ExitStack() as stack:
        if request.param == "embedded":
            database = tables.embedded_url(folder)
        else:
            postgresql: PostgreSQL = request.getfixturevalue("postgresql_server")
            redis: Redis = request.getfixturevalue("redis_server")
            database = postgresql.create_database()
            stack.callback(postgresql.drop_database, database)
            settings |= {"database.peewee_url": database, "celery.broker_url": redis.create_database()}
            assert Command(folder, settings).run("dbsync").returncode == 0
        service = Service(folder, settings)
        parts: list[Process] = [service]
        if request.param == "cluster":
            parts.append(Worker(folder, settings))
        for part in parts:
            part.kept = True
            stack.enter_context(part)
        facility.relay.pass_on_to(service.port)
        stack.callback(facility.relay.pass_on_to, None)
        yield Ours(service, database)
        for part in parts:
            assert "Traceback" not in part.log


@pytest.fixture(autouse=True)
def _both_running(facility: Facility) -> Iterator[None]:
    """A test that fails while a neighbour is away leaves it running to the next."""
    yield
    for neighbour in (facility.metadata, facility.policy):
        if not neighbour.running:
            neighbour.start()


class Subscribe:
    """Makes subscriptions of one test, and deletes them at its end."""

    def __init__(self, ours: Ours, target: RecordingTarget) -> None:
        self._service = ours.service
        self._target = target
        self._made: list[dict[str, Any]] = []

    def __call__(self, user: str, jsonpath: str) -> dict[str, Any]:
        """Subscribe a user, with the user's name as the path of the target."""
        wanted = {"name": f"{user} {next(_numbers)}", "jsonpath": jsonpath, "target_url": self._target.url(f"/{user}")}
        self._made.append(self._service.subscribe(user, **wanted))
        return self._made[-1]

    def untouched(self) -> bool:
        """Whether every one of them is as it was when it was made: enabled, without an error."""
        found = [self._service.get(f"/eventmatch/{it['uuid']}", user=it["user"]).json() for it in self._made]
        return found == self._made

    def delete(self) -> None:
        """Delete them."""
        for it in self._made:
            self._service.request("DELETE", f"/eventmatch/{it['uuid']}", user=it["user"])


@pytest.fixture
def subscribe(ours: Ours, target: RecordingTarget, facility: Facility) -> Iterator[Subscribe]:
    """Subscribe users for one test, with nothing passed on before it."""
    made = Subscribe(ours, target)
    facility.relay.forget()
    yield made
    made.delete()


def of_type(*types: str) -> str:
    """Return the JSONPath for events of these types."""
    wanted = " or ".join(f'@.eventType = "{name}"' for name in types)
    return f"$[?({wanted})]"


def sent(relay: Relay, *types: str) -> list[Passed]:
    """Return what metadata has sent of these types; it must all have been accepted."""
    assert {passed.status for passed in relay.passed} <= {200}
    return [passed for passed in relay.passed if passed.event["eventType"] in types]


def bodies(target: RecordingTarget, path: str) -> Counter[bytes]:
    """Return what has arrived, each with how often; every delivery must have been a first attempt."""
    arrived = target.requests(path)
    assert {request.attempt for request in arrived} <= {1}
    return Counter(request.body for request in arrived)


def test_an_ingest_reaches_whom_policy_allows(
    facility: Facility, ours: Ours, subscribe: Subscribe, target: RecordingTarget
) -> None:
    """What metadata sends of an ingest arrives as it was sent at a member of its project; to others it is refused."""
    alices, bobs = subscribe("alice", of_type(INGEST)), subscribe("bob", of_type(INGEST))

    transaction = facility.metadata.ingest(facility.alice)

    ours.wait(alices, DELIVERED)
    ours.wait(bobs, REFUSED)
    (ingest,) = sent(facility.relay, INGEST)
    assert ingest.event["eventID"] == f"metadata.ingest.{transaction}"
    assert ingest.event["data"][2] == {"destinationTable": "Transactions.project", "value": neighbours.PROJECT}
    assert bodies(target, "/alice") == {ingest.body: 1}
    assert not target.requests("/bob")
    assert subscribe.untouched()


def test_other_events_reach_admins_alone(
    facility: Facility, ours: Ours, subscribe: Subscribe, target: RecordingTarget
) -> None:
    """What metadata sends of its objects and DOIs arrives as it was sent at an admin; to others it is refused."""
    kinds = (ORM, DOI_ENTRY, DOI_UPDATE)
    adas, alices = subscribe("ada", of_type(*kinds)), subscribe("alice", of_type(*kinds))
    metadata = facility.metadata

    metadata.add("keywords", keyword="Grüße")
    (keyword,) = metadata.ask("GET", "/keywords?keyword=Grüße")
    metadata.ask("POST", f"/keywords?_id={keyword['_id']}", {"keyword": "Gruß"})
    transaction = metadata.ingest(facility.alice)
    metadata.release(transaction, facility.alice)
    doi = metadata.register_doi(transaction, "alice")

    events = sent(facility.relay, *kinds)
    ours.wait(adas, *[DELIVERED] * len(events))
    ours.wait(alices, *[REFUSED] * len(events))
    values = [passed.event["data"] for passed in sent(facility.relay, ORM)]
    of_keywords = [value["method"] for value in values if value["obj_type"] == "keywords"]
    assert of_keywords == ["insert", "update"]
    assert [passed.event["data"] for passed in sent(facility.relay, DOI_ENTRY)] == [
        [{"entry": doi, "was_created": True}]
    ]
    assert [passed.event["data"] for passed in sent(facility.relay, DOI_UPDATE)] == [doi]
    assert bodies(target, "/ada") == Counter(passed.body for passed in events)
    assert not target.requests("/alice")
    assert subscribe.untouched()


def test_restarts_of_the_neighbours_lose_nothing(
    facility: Facility, ours: Ours, subscribe: Subscribe, target: RecordingTarget
) -> None:
    """While policy is away, or metadata behind it, deliveries wait without an attempt; afterwards all end as due."""
    alices, bobs = subscribe("alice", of_type(INGEST)), subscribe("bob", of_type(INGEST))
    metadata, policy = facility.metadata, facility.policy

    policy.stop()
    metadata.ingest(facility.alice)
    ours.wait_for_silence("alice", None)
    metadata.stop()
    policy.start()
    ours.wait_for_silence("alice", 500)
    assert {(state, attempts) for state, _, _, attempts in ours.deliveries(alices)} == {("pending", 0)}
    assert {(state, attempts) for state, _, _, attempts in ours.deliveries(bobs)} == {("pending", 0)}
    assert subscribe.untouched()
    metadata.start()
    ours.wait(alices, DELIVERED)
    metadata.ingest(facility.alice)

    ours.wait(alices, DELIVERED, DELIVERED)
    ours.wait(bobs, REFUSED, REFUSED)
    assert bodies(target, "/alice") == Counter(ingest.body for ingest in sent(facility.relay, INGEST))
    assert not target.requests("/bob")
    assert subscribe.untouched()


def test_an_unknown_user_holds_nobody_else(
    facility: Facility, ours: Ours, subscribe: Subscribe, target: RecordingTarget
) -> None:
    """For a user whom metadata does not know policy answers 500: only that user waits, until metadata knows better."""
    name = f"newcomer{next(_numbers)}"
    alices, newcomers = subscribe("alice", of_type(INGEST)), subscribe(name, of_type(INGEST))

    for _ in range(2):
        facility.metadata.ingest(facility.alice)

    ours.wait(alices, DELIVERED, DELIVERED)
    ours.wait_for_silence(name, 500, events=2)
    assert {(state, attempts) for state, _, _, attempts in ours.deliveries(newcomers)} == {("pending", 0)}
    assert subscribe.untouched()
    facility.metadata.add_user(name, project=True)
    facility.metadata.ingest(facility.alice)
    ours.wait(newcomers, DELIVERED, DELIVERED, DELIVERED)
    ours.wait(alices, DELIVERED, DELIVERED, DELIVERED)
    assert bodies(target, f"/{name}") == bodies(target, "/alice")
    assert subscribe.untouched()


def test_a_burst_is_taken_and_delivered_to_the_last(
    facility: Facility, ours: Ours, subscribe: Subscribe, target: RecordingTarget
) -> None:
    """Of many ingests at once every event is accepted: each arrives once at an admin, the ingests at a member too."""
    adas, alices = subscribe("ada", EVERYTHING), subscribe("alice", EVERYTHING)
    stored = tables.one(ours.database, "SELECT COUNT(*) FROM eventlog")

    together([lambda: facility.metadata.ingest(facility.alice, files=20)] * INGESTS)

    ingests, objects = sent(facility.relay, INGEST), sent(facility.relay, ORM)
    assert len(ingests) == INGESTS
    assert {passed.event["data"]["obj_type"] for passed in objects} >= {"transactions", "trans_key_value", "files"}
    assert len(facility.relay.passed) == len(ingests) + len(objects)
    assert tables.one(ours.database, "SELECT COUNT(*) FROM eventlog") - stored == len(ingests) + len(objects)
    ours.wait(adas, *[DELIVERED] * (len(ingests) + len(objects)))
    ours.wait(alices, *[DELIVERED] * len(ingests), *[REFUSED] * len(objects))
    assert bodies(target, "/ada") == Counter(passed.body for passed in facility.relay.passed)
    assert bodies(target, "/alice") == Counter(passed.body for passed in ingests)
    assert subscribe.untouched()
