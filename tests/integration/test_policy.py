"""The policy server is asked once about an event and a user, and its failures cost nobody anything but time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from pacifica.notifications import orm
from tests.support.doors import LONG_AGO, Doors
from tests.support.factories import INGEST, make_event, make_event_1_0
from tests.support.policy import PolicyServer
from tests.support.target import Held, RecordingTarget, redirect

from .conftest import OpenDoors

#: A clock's reading and its way into the table may differ by so much, in seconds.
TICK = 1.0


@pytest.fixture
def guarded(open_doors: OpenDoors, policy_server: PolicyServer) -> Doors:
    """Doors with a policy server, on SQLite."""
    return open_doors({"notifications.policy_url": policy_server.policy_url})


@pytest.fixture
def guarded_each(open_doors: OpenDoors, policy_server: PolicyServer) -> Doors:
    """Doors with a policy server."""
    return open_doors({"notifications.policy_url": policy_server.policy_url})


def wait(doors: Doors) -> float:
    """Return for how many seconds from now the only delivery waits."""
    with orm.session():
        return (doors.delivery().next_attempt_at - orm.now()).total_seconds()


def outcome(doors: Doors, user: str = "alice") -> set[tuple[str, int | None, int | None, int]]:
    """Return state, policy's status, target's status and attempts of a user's deliveries."""
    return {
        (delivery.state, delivery.policy_status_code, delivery.target_status_code, delivery.attempts)
        for delivery in doors.deliveries()
        if doors.subscription(delivery.event_match_id).user == user
    }


def test_asked_once_for_event_and_user(
    guarded_each: Doors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """One question serves all subscriptions of a user, with the event as it came."""
    for user in ("alice", "alice", "alice", "bob"):
        guarded_each.subscribe(target.url(), user=user)
    event = make_event()

    guarded_each.send(event)

    assert sorted(ask.user for ask in policy_server.asks()) == ["alice", "bob"]
    assert all(ask.event == event for ask in policy_server.asks())
    assert outcome(guarded_each) == outcome(guarded_each, "bob") == {("delivered", 200, 200, 1)}
    assert len(target.requests()) == 4


def test_question_is_as_the_policy_server_wants_it(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """The question is a POST with the event as `application/json` to the quoted user's own path."""
    doors = open_doors({"notifications.policy_url": target.url("/base/")})
    doors.subscribe(target.url("/in"), user="a/b?c#d%@é".encode().decode("latin-1"))
    body = b'{ "specversion":"1.0", "type":"t","source":"/s","id":"1"}'

    doors.send(body, "application/cloudevents+json")

    question, delivery = target.requests()
    assert (question.method, question.body, question.query) == ("POST", body, "")
    assert question.path == "/base/events/a%2Fb%3Fc%23d%25%40%C3%83%C2%A9"
    assert question.header("Content-Type") == "application/json"
    assert question.header("Authorization") is None
    assert question.delivery is None
    assert delivery.path == "/in"


def test_answer_serves_later_attempts(
    guarded_each: Doors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """An answer is kept: a retry and another worker ask no second time, even when the rule has changed."""
    target.answers("/", [500, 500, 200])
    guarded_each.subscribe(target.url())
    guarded_each.send()
    policy_server.refuse("alice")

    guarded_each.again()
    guarded_each.make_due()
    guarded_each.new_courier().drain()

    assert len(policy_server.asks()) == 1
    assert outcome(guarded_each) == {("delivered", 200, 200, 3)}


def test_another_event_is_another_question(
    guarded: Doors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """An answer counts for one event only."""
    guarded.subscribe(target.url())
    guarded.send()
    policy_server.refuse("alice")

    second = guarded.send()

    assert len(policy_server.asks()) == 2
    assert guarded.delivery(second).state == "refused"


def test_refusal_is_recorded(guarded_each: Doors, policy_server: PolicyServer, target: RecordingTarget) -> None:
    """4xx refuses: the delivery ends with the status, without an attempt, and disables nobody."""
    policy_server.refuse("alice")
    subscription = guarded_each.subscribe(target.url())
    guarded_each.subscribe(target.url("/bob"), user="bob")

    guarded_each.send()

    assert outcome(guarded_each) == {("refused", 412, None, 0)}
    refused = guarded_each.delivery(subscription=subscription)
    assert refused.reason == "the policy server answered 412"
    assert refused.finished is not None
    assert guarded_each.attempts(refused) == []
    assert guarded_each.subscription(subscription).disabled is None
    assert [request.path for request in target.requests()] == ["/bob"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 415, 429])
def test_every_4xx_refuses(open_doors: OpenDoors, target: RecordingTarget, status: int) -> None:
    """Any 4xx of the policy server is a refusal."""
    doors = open_doors({"notifications.policy_url": target.url()})
    target.always("/events/alice", status)
    doors.subscribe(target.url("/in"))

    doors.send()

    assert outcome(doors) == {("refused", status, None, 0)}


@pytest.mark.parametrize("kind", ["500", "503", "redirect", "silence", "absence"])
def test_no_answer_uses_up_no_attempt(open_doors: OpenDoors, target: RecordingTarget, kind: str) -> None:
    """5xx, silence or absence leaves a delivery pending, to be asked about again; it disables nobody."""
    with PolicyServer() as policy_server:
        url = policy_server.policy_url if kind in ("silence", "absence") else target.url()
        doors = open_doors({"notifications.policy_url": url, "policy.timeout": 0.3 if kind == "silence" else 20})
        target.always(
            "/events/alice", redirect(target.url("/in")) if kind == "redirect" else int(kind) if kind[0] == "5" else 200
        )
        policy_server.hang("alice")
        if kind == "absence":
            policy_server.stop()
        subscription = doors.subscribe(target.url("/in"))

        doors.send()

    delivery = doors.delivery()
    assert (delivery.state, delivery.attempts, delivery.target_status_code) == ("pending", 0, None)
    assert delivery.next_attempt_at is not None
    assert delivery.reason.startswith("the policy server")
    assert doors.subscription(subscription).disabled is None
    assert target.requests("/in") == []


def test_asked_again_at_growing_intervals(
    guarded_each: Doors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """A policy server that fails is asked again after 5 s, 10 s, 20 s, … 15 min, give or take 10 %."""
    policy_server.fail("alice")
    guarded_each.subscribe(target.url())
    guarded_each.send()
    waits = []
    for _ in range(11):
        waits.append(wait(guarded_each))
        guarded_each.again()

    for measured, planned in zip(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900], strict=True):
        assert 0.9 * planned - TICK <= measured <= min(900, 1.1 * planned) + TICK
    assert len(policy_server.asks()) == 12
    policy_server.allow("alice")
    guarded_each.again()
    assert outcome(guarded_each) == {("delivered", 200, 200, 1)}


def test_longest_interval_is_a_setting(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """`policy.max_interval` bounds the time between two questions."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url, "policy.max_interval": 7})
    policy_server.fail("alice")
    doors.subscribe(target.url())
    doors.send()
    doors.again()

    doors.again()

    assert 7 * 0.9 - TICK <= wait(doors) <= 7 + TICK


def test_nothing_is_asked_before_its_time(guarded: Doors, policy_server: PolicyServer, target: RecordingTarget) -> None:
    """While a question waits for its time, other deliveries of the same user and event wait with it."""
    policy_server.fail("alice")
    guarded.subscribe(target.url("/one"))
    guarded.subscribe(target.url("/two"))
    guarded.send()
    with orm.session():
        orm.EventLogMatch.update(next_attempt_at=LONG_AGO).execute()

    guarded.deliver()

    assert len(policy_server.asks()) == 1
    assert outcome(guarded) == {("pending", 500, None, 0)}


def test_dead_when_nobody_answers_for_long(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """Past `policy.max_age` without an answer a delivery is dead, with that reason; a younger one is not."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url, "policy.max_age": 1000})
    policy_server.fail("alice")
    subscription = doors.subscribe(target.url())
    doors.send()

    def first_asked(seconds: float) -> None:
        with orm.session():
            orm.GateAnswer.update(first_asked=orm.now() - timedelta(seconds=seconds)).execute()

    first_asked(900)
    doors.again()
    young = outcome(doors)
    first_asked(1001)
    doors.again()

    assert young == {("pending", 500, None, 0)}
    assert outcome(doors) == {("dead", 500, None, 0)}
    assert doors.delivery().reason == "the policy server answered 500, for longer than policy.max_age"
    assert doors.subscription(subscription).disabled is None


def test_failure_for_one_user_holds_only_that_user(
    guarded_each: Doors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """A 500 for one user keeps nobody else from what is allowed."""
    policy_server.fail("mallory")
    guarded_each.subscribe(target.url("/mallory"), user="mallory")
    guarded_each.subscribe(target.url("/alice"))

    guarded_each.send()

    assert outcome(guarded_each) == {("delivered", 200, 200, 1)}
    assert outcome(guarded_each, "mallory") == {("pending", 500, None, 0)}
    assert [request.path for request in target.requests()] == ["/alice"]


def test_silence_for_one_user_holds_only_that_user(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """While a question is without an answer, what others are allowed is delivered."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url})
    policy_server.hang("mallory")
    doors.subscribe(target.url("/mallory"), user="mallory")
    doors.subscribe(target.url("/alice"))
    doors.accept()
    doors.route()

    doors.courier.drain(stopping=lambda: outcome(doors) == {("delivered", 200, 200, 1)})

    assert [work.subscriber.row.user for work in doors.courier.in_hand] == ["mallory"]


def test_two_workers_ask_once(open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget) -> None:
    """Several workers with deliveries of the same event and user ask one question in all."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url, "delivery.batch": 2})
    for _ in range(12):
        doors.subscribe(target.url())
    doors.accept()
    doors.route()
    threads = [threading.Thread(target=doors.new_courier().drain) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    doors.again()

    assert len(policy_server.asks()) == 1
    assert outcome(doors) == {("delivered", 200, 200, 1)}
    assert len(target.requests()) == 12


def test_question_of_a_vanished_worker_is_asked_again(
    guarded_each: Doors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """A question that a worker took and never settled is another's to ask once its time is up, not before."""
    guarded_each.subscribe(target.url())
    event = guarded_each.accept()
    guarded_each.route()
    with orm.session():
        vanished = orm.GateAnswer.claim([(str(event), "alice")], 60)[str(event), "alice"]
    guarded_each.deliver()
    waiting = len(policy_server.asks()), outcome(guarded_each)

    guarded_each.again()
    with orm.session():
        orm.GateAnswer.keep([(vanished, False, 412)])

    assert waiting == (0, {("pending", None, None, 0)})
    assert outcome(guarded_each) == {("delivered", 200, 200, 1)}
    with orm.session():
        assert orm.GateAnswer.get().allowed


# What changes while the policy server thinks.


@pytest.mark.parametrize(
    ("members", "arrives"),
    [
        ({"target_url": "/new"}, [("/new", "Bearer old")]),
        ({"auth": {"type": "header", "header": {"type": "Bearer", "credentials": "new"}}}, [("/old", "Bearer new")]),
        ({"disabled": "2026-01-01T00:00:00Z"}, []),
        (None, []),
    ],
    ids=["target", "auth", "disabled", "deleted"],
)
def test_subscription_that_changes_while_the_server_is_asked(
    open_doors: OpenDoors, target: RecordingTarget, members: dict[str, object] | None, arrives: list[tuple[str, str]]
) -> None:
    """An answer is acted on by the subscription as it is when the answer comes."""
    answer = Held(200)
    target.always("/events/alice", answer)
    doors = open_doors({"notifications.policy_url": target.url()})
    auth = {"type": "header", "header": {"type": "Bearer", "credentials": "old"}}
    subscription = doors.subscribe(target.url("/old"), auth=auth)
    doors.accept()
    doors.route()
    doors.courier.drain(stopping=lambda: bool(target.requests()))

    if members is None:
        doors.delete(subscription)
    else:
        sent = {name: target.url(str(value)) if name == "target_url" else value for name, value in members.items()}
        doors.change(subscription, **sent)
    answer.release.set()
    doors.deliver()

    seen = [(r.path, r.header("Authorization")) for r in target.requests() if not r.path.startswith("/events/")]
    assert seen == arrives
    states = {"deleted": "cancelled", "disabled": "pending"}
    kind = "deleted" if members is None else next(iter(members))
    assert doors.delivery().state == states.get(kind, "delivered")


# Whom it is asked for.


def test_only_types_of_the_setting_are_asked_for(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """With `policy.types` other types go to everybody who subscribed, unasked."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url, "policy.types": f"{INGEST}, org.x.*"})
    policy_server.refuse("alice")
    doors.subscribe(target.url())
    asked = [make_event(), make_event(type="org.x.y"), make_event_1_0(type="org.x.z"), make_event_1_0()]
    unasked = [make_event(type="org.pacifica.metadata.orm"), make_event_1_0(type="org.xx")]

    for event in [*asked, *unasked]:
        doors.send(event)

    assert [ask.event for ask in policy_server.asks()] == asked
    assert [request.json() for request in target.requests()] == unasked


@pytest.mark.parametrize("make", [make_event, make_event_1_0])
@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"user": "alice"}, "delivered"),
        ({"user": "bob"}, "refused"),
        ({"user": ["alice"]}, "refused"),
        ({}, "refused"),
        ("alice", "refused"),
        (None, "refused"),
    ],
    ids=str,
)
def test_own_events_go_to_their_owner_only(
    guarded: Doors,
    policy_server: PolicyServer,
    target: RecordingTarget,
    make: Callable[..., object],
    data: object,
    state: str,
) -> None:
    """An event of our own types goes to the user that its data names, and the policy server is not asked."""
    guarded.subscribe(target.url())

    guarded.send(make(type="org.pacifica.notifications.subscription.disabled", data=data))

    assert outcome(guarded) == {(state, None, 200 if state == "delivered" else None, int(state == "delivered"))}
    assert policy_server.asks() == []


@pytest.mark.parametrize("settings", [{}, {"notifications.policy_url": ""}], ids=["not set", "empty"])
def test_nobody_is_asked(open_doors: OpenDoors, target: RecordingTarget, settings: dict[str, object]) -> None:
    """Without a policy server every event goes to everybody who subscribed; our own only to their owner."""
    doors = open_doors(settings)
    doors.subscribe(target.url(), user="alice")
    doors.subscribe(target.url(), user="bob")

    doors.send(make_event(type="any"))
    doors.send(make_event(type="org.pacifica.notifications.x", data={"user": "bob"}))

    assert outcome(doors, "bob") == {("delivered", None, 200, 1)}
    assert outcome(doors) == {("delivered", None, 200, 1), ("refused", None, None, 0)}
