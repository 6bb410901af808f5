"""The policy server allows, refuses, fails for one user, and goes away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import serving
from tests.support import tables
from tests.support.factories import make_event
from tests.support.policy import PolicyServer
from tests.support.processes import Command, Service, Worker
from tests.support.servers import PostgreSQL, Redis
from tests.support.target import RecordingTarget
from tests.support.wait import until

#: How many events there are in a test of several.
EVENTS = 20


@pytest.fixture(scope="module")
def policy() -> Iterator[PolicyServer]:
    """A policy server for the whole module; each test has users of its own."""
    with PolicyServer() as started:
        yield started


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis for the whole module."""
    yield from serving(Redis, kept=True)


@pytest.fixture(scope="module")
def database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """The url of a database for the whole module."""
    url = postgresql_server.create_database()
    yield url
    postgresql_server.drop_database(url)


@pytest.fixture(scope="module")
def web(
    tmp_path_factory: pytest.TempPathFactory, policy: PolicyServer, redis: Redis, database: str
) -> Iterator[Service]:
    """A web process with two workers behind it, which ask the policy server again after a second."""
    folder = tmp_path_factory.mktemp("policy")
    settings = {
        "database.peewee_url": database,
        "celery.broker_url": redis.url,
        "notifications.policy_url": policy.policy_url,
        "policy.timeout": 2,
        "policy.max_interval": 1,
        "delivery.retry_schedule": "",
        "delivery.disable_after": 0,
    }
    assert Command(folder, settings).run("dbsync").returncode == 0
    service = Service(folder, settings, name="web")
    with ExitStack() as stack:
        for process in (service, *(Worker(folder, settings, name=f"worker{number}") for number in (1, 2))):
            process.kept = True
            stack.enter_context(process)
        yield service


def send(service: Service, **changes: Any) -> str:
    """Send an ingest and return the uuid of its row."""
    answer = service.post_event(make_event(**changes))
    assert answer.status_code == 200, answer.text
    uuid: str = answer.json()["uuid"]
    return uuid


def ends(url: str, subscription: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return state, policy's status, target's status and attempts of a subscription's deliveries."""
    uuid = UUID(subscription["uuid"])
    stored = uuid.hex if url.startswith("sqlite") else str(uuid)
    return tables.rows(
        url,
        "SELECT state, policy_status_code, target_status_code, attempts FROM eventlogmatch"
        f" WHERE event_match_id = '{stored}'",
    )


def untouched(service: Service, subscription: dict[str, Any]) -> bool:
    """Tell whether a subscription is as it was when it was made."""
    found = service.get(f"/eventmatch/{subscription['uuid']}", user=subscription["user"]).json()
    return bool(found == subscription)


def test_who_may_see_an_event_gets_it(
    web: Service, database: str, policy: PolicyServer, target: RecordingTarget
) -> None:
    """Allowed: delivered; refused: ended as refused, with the policy server's status and without an attempt."""
    policy.refuse("eve")
    mine = web.subscribe("alice", target_url=target.url("/alice"))
    hers = web.subscribe("eve", target_url=target.url("/eve"))

    send(web)

    until(lambda: ends(database, mine) == [("delivered", 200, 200, 1)], 60, "the delivery to alice")
    until(lambda: ends(database, hers) == [("refused", 412, None, 0)], 60, "the refusal of eve")
    assert len(target.requests("/alice")) == 1
    assert not target.requests("/eve")
    assert untouched(web, mine)
    assert untouched(web, hers)
    for subscription in (mine, hers):
        web.request("DELETE", f"/eventmatch/{subscription['uuid']}", user=subscription["user"])


def test_a_failure_for_one_user_holds_only_that_user(
    web: Service, database: str, policy: PolicyServer, target: RecordingTarget
) -> None:
    """A 500 for one user uses up nothing, disables nobody, holds nobody else, and ends when the server knows better."""
    policy.fail("stranger")
    known = web.subscribe("bob", target_url=target.url("/bob"))
    unknown = web.subscribe("stranger", target_url=target.url("/stranger"))

    for _ in range(EVENTS):
        send(web)

    until(lambda: ends(database, known) == [("delivered", 200, 200, 1)] * EVENTS, 60, "all deliveries to bob")
    policy.wait_for(2 * EVENTS, "stranger", 60)
    assert {(state, attempts) for state, _, _, attempts in ends(database, unknown)} == {("pending", 0)}
    assert untouched(web, unknown)
    policy.allow("stranger")
    until(lambda: ends(database, unknown) == [("delivered", 200, 200, 1)] * EVENTS, 60, "all deliveries to stranger")
    assert len(target.requests("/stranger")) == EVENTS
    for subscription in (known, unknown):
        assert untouched(web, subscription)
        web.request("DELETE", f"/eventmatch/{subscription['uuid']}", user=subscription["user"])


def test_an_outage_of_the_policy_server_costs_nothing(
    web: Service, database: str, policy: PolicyServer, target: RecordingTarget
) -> None:
    """While it is away or hangs, deliveries wait without an attempt; afterwards all arrive, nobody is disabled."""
    subscription = web.subscribe("carol", target_url=target.url("/carol"))
    policy.hang("carol")
    send(web)
    policy.wait_for(1, "carol", 60)
    policy.stop()
    try:
        for _ in range(EVENTS - 1):
            send(web)
        waiting = "SELECT COUNT(*) FROM gateanswer WHERE \"user\" = 'carol' AND unanswered >= 3"
        until(lambda: tables.one(database, waiting) == EVENTS, 60, "three questions about each event in vain")
        assert {(state, attempts) for state, _, _, attempts in ends(database, subscription)} == {("pending", 0)}
        assert untouched(web, subscription)
        policy.allow("carol")
    finally:
        policy.start()

    until(lambda: ends(database, subscription) == [("delivered", 200, 200, 1)] * EVENTS, 60, "all deliveries")
    assert len(target.requests("/carol")) == EVENTS
    assert untouched(web, subscription)
    web.request("DELETE", f"/eventmatch/{subscription['uuid']}", user="carol")


def test_the_policy_server_is_asked_once_about_an_event_and_a_user(
    web: Service, database: str, policy: PolicyServer, target: RecordingTarget
) -> None:
    """However many subscriptions a user has and however many workers there are, there is one question."""
    subscriptions = [web.subscribe("dave", target_url=target.url(f"/dave/{number}")) for number in range(5)]

    for _ in range(EVENTS):
        send(web)

    for subscription in subscriptions:
        until(lambda it=subscription: ends(database, it) == [("delivered", 200, 200, 1)] * EVENTS, 60, "all to dave")
    asked = [ask.event["eventID"] for ask in policy.asks("dave")]
    assert len(asked) == len(set(asked)) == EVENTS
    for subscription in subscriptions:
        web.request("DELETE", f"/eventmatch/{subscription['uuid']}", user="dave")


def test_our_own_events_go_to_the_user_they_name(
    web: Service, database: str, policy: PolicyServer, target: RecordingTarget
) -> None:
    """The policy server is never asked about events of our own: the user in their data gets them, nobody else."""
    everything = "$[?(@.eventType)]"
    named = web.subscribe("frank", jsonpath=everything, target_url=target.url("/frank"))
    other = web.subscribe("grace", jsonpath=everything, target_url=target.url("/grace"))

    send(web, type="org.pacifica.notifications.subscription.disabled", data={"user": "frank"})

    until(lambda: ends(database, named) == [("delivered", None, 200, 1)], 60, "the delivery to frank")
    until(lambda: ends(database, other) == [("refused", None, None, 0)], 60, "the refusal of grace")
    assert not policy.asks("frank")
    assert not policy.asks("grace")
    for subscription in (named, other):
        web.request("DELETE", f"/eventmatch/{subscription['uuid']}", user=subscription["user"])


def test_only_the_types_of_the_setting_are_asked_about(
    tmp_path: Path, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """`policy.types` says which types the policy server is asked about; the others go to everybody."""
    settings = {"notifications.policy_url": policy_server.policy_url, "policy.types": "org.pacifica.metadata.*"}
    policy_server.refuse("heidi")

    with Service(tmp_path, settings) as service:
        subscription = service.subscribe("heidi", jsonpath="$[?(@.eventType)]", target_url=target.url("/heidi"))
        asked = send(service, type="org.pacifica.metadata.ingest")
        passed = send(service, type="org.example.upload")
        url = tables.embedded_url(tmp_path)
        until(lambda: len(ends(url, subscription)) == 2, 60, "both deliveries")
        until(lambda: "pending" not in tables.states(url), 60, "their ends")
        service.stop()

    assert sorted(ends(url, subscription), key=str) == [("delivered", None, 200, 1), ("refused", 412, None, 0)]
    assert [request.json()["eventType"] for request in target.requests()] == ["org.example.upload"]
    assert [ask.event["eventType"] for ask in policy_server.asks()] == ["org.pacifica.metadata.ingest"]
    assert asked != passed
