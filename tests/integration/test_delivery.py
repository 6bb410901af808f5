"""A delivery reaches its target as the event came, is settled once, and hurts nobody else when it fails."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pacifica.notifications import orm
from pacifica.notifications.errors import Unavailable
from pacifica.notifications.subscriptions import place
from tests.support.doors import Doors
from tests.support.factories import make_event, make_event_1_0
from tests.support.servers import MariaDB, PostgreSQL
from tests.support.target import Answer, Dripping, Endless, Held, Raw, RecordingTarget, Request, Reset, redirect
from tests.support.wait import until
from tests.support.watched import Watched

from .conftest import OpenDoors, Start

#: Everything that a decoder and an encoder of another mind would change.
ODD = (
    b'{ "eventType":"t","data" :{"big":123456789012345678901234567890,"f":1.10,"e":1E2,"z":-0.0},\r\n'
    b'\t"source":"/s", "eventID":"\\u0041\\/Z\xc3\xbcrich \\ud83d\\ude00", "cloudEventsVersion":"0.1" }\n'
)


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """The embedded service."""
    return start({"delivery.retry_schedule": "0.1,0.1", "delivery.jitter": 0})


def only(target: RecordingTarget, path: str | None = None) -> Request:
    """Return the only request that arrived."""
    (request,) = target.requests(path)
    return request


def in_flight(doors: Doors, target: RecordingTarget, count: int = 1) -> None:
    """Deliver until so many requests have arrived, and leave them without an answer."""
    doors.courier.drain(stopping=lambda: len(target.requests()) >= count)


# What arrives.


def test_service_delivers_what_a_producer_sends(service: Watched, target: RecordingTarget) -> None:
    """An event arrives once, as it was sent, with the subscription's authentication and our headers."""
    auth = {"type": "basic", "basic": {"username": "me", "password": "secret"}}
    service.subscribe(jsonpath='$[?(@.eventType = "t")]', target_url=target.url("/in?a=1"), auth=auth)

    answer = service.post_event(ODD)

    assert answer.status_code == 200
    (request,) = target.wait_for(1, "/in")
    assert (request.method, request.query, request.body) == ("POST", "a=1", ODD)
    assert request.header("Authorization") == "Basic " + base64.b64encode(b"me:secret").decode()
    assert request.header("Content-Type") == "application/json"
    assert request.header("Content-Length") == str(len(ODD))
    assert (request.attempt, request.header("Notifications-Replay")) == (1, None)
    assert UUID(request.delivery)


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("application/json", "application/json"),
        ("application/cloudevents+json", "application/cloudevents+json"),
        ("Application/CloudEvents+JSON; charset=utf-8", "application/cloudevents+json"),
        (None, "application/json"),
    ],
)
def test_content_type_is_the_one_that_arrived(
    service: Watched, target: RecordingTarget, sent: str | None, arrives: str
) -> None:
    """An event goes out with the media type with which it came in."""
    event = make_event_1_0(type="typed")
    service.subscribe(jsonpath=f'$[?(@.id = "{event["id"]}")]', target_url=target.url("/typed"))

    assert service.post_event(event, content_type=sent).status_code == 200

    (request,) = target.wait_for(1, "/typed")
    assert request.header("Content-Type") == arrives
    assert request.json() == event


def test_service_tries_again(service: Watched, target: RecordingTarget) -> None:
    """A delivery that fails comes again with the same id and the next number, until it is taken."""
    event = make_event(type="again")
    service.subscribe(jsonpath=f'$[?(@.eventID = "{event["eventID"]}")]', target_url=target.url("/again"))
    target.answers("/again", [Reset(), 500, 202])

    service.post_event(event)

    requests = target.wait_for(3, "/again")
    assert [request.attempt for request in requests] == [1, 2, 3]
    assert len({request.delivery for request in requests}) == 1
    assert len({request.body for request in requests}) == 1
    assert {request.header("Notifications-Replay") for request in requests} == {None}


@pytest.mark.parametrize("body", [ODD, json.dumps(make_event_1_0(data="Zürich")).encode()], ids=["0.1", "1.0"])
def test_bytes_are_unchanged_without_extensions(doors: Doors, target: RecordingTarget, body: bytes) -> None:
    """Without extensions of the subscription the accepted bytes are sent, on every database."""
    doors.subscribe(target.url())

    doors.send(body)

    assert only(target).body == body


def test_largest_event_arrives_whole(doors: Doors, target: RecordingTarget) -> None:
    """A body of the largest size that is taken arrives unchanged."""
    doors.subscribe(target.url())
    event = make_event(data="x")
    body = json.dumps(event | {"data": "é" * 500_000}, ensure_ascii=False).encode()

    doors.send(body)

    assert only(target).body == body


@pytest.mark.parametrize(
    ("auth", "arrives"),
    [
        ({}, None),
        ({"type": "basic", "basic": {"username": "a", "password": ""}}, "Basic YTo="),
        (
            {"type": "basic", "basic": {"username": "jörg", "password": "päss:word"}},
            "Basic " + base64.b64encode("jörg:päss:word".encode()).decode(),
        ),
        ({"type": "header", "header": {"type": "Bearer", "credentials": "abc.def=="}}, "Bearer abc.def=="),
        (
            {
                "type": "header",
                "header": {"type": "Token", "credentials": "x, y=z"},
                "basic": {"username": "u", "password": "p"},
            },
            "Token x, y=z",
        ),
    ],
    ids=["none", "basic without password", "basic in UTF-8", "header", "header beside basic"],
)
def test_authentication(doors: Doors, target: RecordingTarget, auth: dict[str, Any], arrives: str | None) -> None:
    """HTTP basic or `Authorization: TYPE CREDENTIALS` is sent, as `type` says, or nothing."""
    doors.subscribe(target.url(), auth=auth)

    doors.send()

    assert only(target).header("Authorization") == arrives


def test_null_auth_of_an_old_row_is_none(doors: Doors, target: RecordingTarget) -> None:
    """A row whose `auth` is NULL is delivered to without authentication."""
    doors.write(doors.subscribe(target.url()), auth=None)

    doors.send()

    assert only(target).header("Authorization") is None
    assert doors.delivery().state == "delivered"


def test_every_subscription_has_its_own_delivery(doors: Doors, target: RecordingTarget) -> None:
    """Two subscriptions with the same target get a delivery each, with an id of its own."""
    subscriptions = {doors.subscribe(target.url("/in")), doors.subscribe(target.url("/in"))}

    event = doors.send()

    requests = target.requests("/in")
    made = doors.deliveries(event)
    assert {request.delivery for request in requests} == {str(delivery.uuid) for delivery in made}
    assert len(requests) == 2
    assert {delivery.event_match_id for delivery in made} == subscriptions


# What it comes to.


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(doors: Doors, target: RecordingTarget, status: int) -> None:
    """Any 2xx ends a delivery as delivered, with its status and one attempt."""
    doors.subscribe(target.url())
    target.always("/", status)

    doors.send()

    delivery = doors.delivery()
    assert (delivery.state, delivery.target_status_code, delivery.attempts) == ("delivered", status, 1)
    assert delivery.finished is not None
    assert (delivery.next_attempt_at, delivery.lease) == (None, None)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirects_fail_and_are_not_followed(doors: Doors, target: RecordingTarget, status: int) -> None:
    """A 3xx answer is a failure that is tried again later; the place it names is never asked."""
    doors.subscribe(target.url("/moved"))
    target.always("/moved", redirect(target.url("/elsewhere"), status))

    doors.send()

    assert [request.path for request in target.requests()] == ["/moved"]
    (attempt,) = doors.attempts()
    assert (attempt.status, attempt.failure) == (status, "redirect")
    delivery = doors.delivery()
    assert (delivery.state, delivery.target_status_code, delivery.attempts) == ("pending", status, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 429, 500, 502, 503, 599])
def test_4xx_and_5xx_fail(doors: Doors, target: RecordingTarget, status: int) -> None:
    """A 4xx or 5xx answer is a failure that is tried again; the subscription stays enabled."""
    subscription = doors.subscribe(target.url())
    target.always("/", Answer(status, body=b"the target's own words"))

    doors.send()

    (attempt,) = doors.attempts()
    assert (attempt.status, attempt.failure) == (status, "http")
    delivery = doors.delivery()
    assert (delivery.state, delivery.target_status_code) == ("pending", status)
    assert doors.subscription(subscription).disabled is None


@pytest.mark.parametrize("kind", ["refused", "timeout", "dripping", "reset", "closed", "no HTTP", "dns", "no TLS"])
def test_failures_without_an_answer_are_classed(open_doors: OpenDoors, target: RecordingTarget, kind: str) -> None:
    """An attempt without an answer is a row that says why there was none, and is tried again."""
    doors = open_doors({"delivery.timeout": 0.4 if kind in ("timeout", "dripping") else 20})
    answers = {
        "timeout": Held(),
        "dripping": Dripping(body=b"x" * 200, pause=0.02),
        "reset": Reset(),
        "closed": Raw(),
        "no HTTP": Raw(body=b"220 smtp.example.org ESMTP\r\n"),
    }
    expected = {"dripping": "timeout", "closed": "reset", "no HTTP": "http", "no TLS": "tls"}
    target.always("/", answers.get(kind, Answer(200)))
    url = target.url()
    if kind == "refused":
        target.stop()
    elif kind == "dns":
        url = "http://nobody.invalid/"
    elif kind == "no TLS":
        url = url.replace("http:", "https:")
    doors.subscribe(url)

    doors.send()

    (attempt,) = doors.attempts()
    assert (attempt.failure, attempt.status) == (expected.get(kind, kind), None)
    assert (doors.delivery().state, doors.delivery().target_status_code) == ("pending", None)


def test_trusted_tls_is_delivered(open_doors: OpenDoors) -> None:
    """A target on https is delivered to when the authority of its certificate is trusted."""
    with RecordingTarget(tls=True) as secure:
        doors = open_doors({"delivery.ca_file": secure.certificate})
        doors.subscribe(secure.url())

        doors.send()

        assert len(secure.requests()) == 1
    assert doors.delivery().state == "delivered"


def test_untrusted_tls_fails(doors: Doors) -> None:
    """A target whose certificate is not trusted sees no event."""
    with RecordingTarget(tls=True) as secure:
        doors.subscribe(secure.url())

        doors.send()

        assert secure.requests() == []
    assert [attempt.failure for attempt in doors.attempts()] == ["tls"]


def test_endless_answer_does_not_hold_a_worker(doors: Doors, target: RecordingTarget) -> None:
    """An answer without end is cut off; its status counts."""
    doors.subscribe(target.url())
    target.always("/", Endless())

    doors.send()

    assert (doors.delivery().state, doors.delivery().target_status_code) == ("delivered", 200)


def test_attempts_are_rows(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """Every attempt is one row: its number, its start, its seconds, its status or failure, and no text."""
    doors = open_doors({"delivery.retry_schedule": "1,1,1"})
    doors.subscribe(target.url())
    target.answers("/", [Reset(), Answer(500, body=b"secret words"), Answer(200, body=b"thanks")])
    doors.send()
    doors.again()
    doors.again()

    attempts = doors.attempts()

    assert [(a.attempt, a.status, a.failure) for a in attempts] == [
        (1, None, "reset"),
        (2, 500, "http"),
        (3, 200, None),
    ]
    assert [attempt.answer for attempt in attempts] == [None, None, None]
    assert all(attempt.seconds > 0 for attempt in attempts)
    created = doors.delivery().created
    assert [attempt.started for attempt in attempts] == sorted(attempt.started for attempt in attempts)
    assert all(attempt.started >= created for attempt in attempts)
    assert doors.delivery().attempts == 3


def test_answers_are_kept_on_request(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """With `delivery.keep_response` the first 1 KiB of an answer is kept, as text that every database takes."""
    doors = open_doors({"delivery.keep_response": "true"})
    doors.subscribe(target.url())
    target.answers("/", [Answer(500, body=b"a\0b\xff" + b"x" * 5000), Answer(200)])
    doors.send()
    doors.again()

    first, second = doors.attempts()

    assert first.answer == "a\ufffdb\ufffd" + "x" * 1020
    assert second.answer is None


def test_410_ends_it_and_disables(doors: Doors, target: RecordingTarget) -> None:
    """410 makes a delivery dead and disables its subscription, with a reason that has no text of the target."""
    subscription = doors.subscribe(target.url())
    other = doors.subscribe(target.url("/other"))
    target.always("/", Answer(410, body=b"<b>the target's words</b>"))

    doors.send()

    gone = doors.delivery(subscription=subscription)
    assert (gone.state, gone.target_status_code, gone.attempts) == ("dead", 410, 1)
    row = doors.subscription(subscription)
    assert row.disabled is not None
    assert row.error == "the target answered 410"
    assert doors.subscription(other).disabled is None
    assert doors.delivery(subscription=other).state == "delivered"


# What is broken hurts only itself.


@pytest.mark.parametrize(
    "columns",
    [
        {"auth": "{broken"},
        {"auth": "[]", "target_url": ""},
        {"auth": '{"type": "basic"}'},
        {"auth": '{"type": "basic", "basic": null}'},
        {"auth": '{"type": "basic", "basic": {"username": "\\ud800", "password": "x"}}'},
        {"auth": '{"type": "header", "header": {"type": "Bearer", "credentials": "x\\r\\nX-Evil: 1"}}'},
        {"auth": '{"type": "header", "header": {"type": "Bearer\\nX-Evil: 1", "credentials": "x"}}'},
        {"extensions": "{broken"},
        {"target_url": "ftp://127.0.0.1/"},
        {"target_url": "http://"},
        {"target_url": "http://bücher.invalid/ü"},
        {"target_url": "no URL at all"},
    ],
    ids=str,
)
def test_broken_rows_hurt_only_themselves(doors: Doors, target: RecordingTarget, columns: dict[str, str]) -> None:
    """A row that can't be delivered to stops no other subscription, and nothing of it is sent as a header."""
    before = doors.subscribe(target.url("/before"))
    broken = doors.subscribe(target.url("/broken"))
    after = doors.subscribe(target.url("/after"))
    doors.write(broken, **columns)

    doors.send()

    assert doors.delivery(subscription=before).state == "delivered"
    assert doors.delivery(subscription=after).state == "delivered"
    assert doors.delivery(subscription=broken).state in ("pending", "dead")
    assert doors.delivery(subscription=broken).reason
    assert sorted(request.path for request in target.requests()) == ["/after", "/before"]


@pytest.mark.parametrize(
    "body", ['"text"', "[1, {}]", '[{"a": 1}]', "{", '{"a"', '{"a": NaN}', '{"a": {"b": 1, "b": 2}}', "", "null", "7"]
)
def test_old_bodies_hurt_only_themselves(doors: Doors, target: RecordingTarget, body: str) -> None:
    """A body of an upgraded row that extensions can't be added to ends its delivery; others go on."""
    with_extensions = doors.subscribe(target.url("/extended"), extensions={"a": "b"})
    plain = doors.subscribe(target.url("/plain"))
    with orm.session():
        row = orm.EventLog.create(jsondata=body, created=orm.now(), routed=orm.now())
        orm.EventLogMatch.add(row.uuid, dict.fromkeys([with_extensions, plain], place(target.url())))

    doors.deliver()

    assert only(target).body.decode() == body
    assert doors.delivery(subscription=plain).state == "delivered"
    delivery = doors.delivery(subscription=with_extensions)
    assert (delivery.state, delivery.attempts) == ("dead", 0)
    assert "extensions" in delivery.reason


# What changes in the middle.


def test_changed_target_and_auth_are_used_together(doors: Doors, target: RecordingTarget) -> None:
    """An attempt goes to the target and with the authentication that the subscription has then, as a pair."""
    old = {"type": "header", "header": {"type": "Bearer", "credentials": "old"}}
    subscription = doors.subscribe(target.url("/old"), auth=old)
    target.always("/old", 500)
    doors.send()
    new = {"type": "header", "header": {"type": "Bearer", "credentials": "new"}}

    doors.change(subscription, target_url=target.url("/new"), auth=new)
    doors.again()

    assert [(r.path, r.header("Authorization"), r.attempt) for r in target.requests()] == [
        ("/old", "Bearer old", 1),
        ("/new", "Bearer new", 2),
    ]
    assert doors.delivery().state == "delivered"


def test_410_of_the_old_target_does_not_disable(doors: Doors, target: RecordingTarget) -> None:
    """A target that is given up while it is asked can't disable the subscription that has another one by then."""
    answer = Held(410)
    target.always("/old", answer)
    subscription = doors.subscribe(target.url("/old"))
    doors.accept()
    doors.route()
    in_flight(doors, target)

    doors.change(subscription, target_url=target.url("/new"))
    answer.release.set()
    doors.deliver()

    assert doors.delivery().state == "dead"
    assert doors.subscription(subscription).disabled is None


def test_410_disables_though_another_delivery_arrived(doors: Doors, target: RecordingTarget) -> None:
    """410 disables also when another delivery to the same target succeeds at the same moment."""
    release = threading.Event()
    target.answers("/", [Held(200, release=release), Held(410, release=release)])
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.accept()
    doors.route()
    in_flight(doors, target, 2)

    release.set()
    doors.deliver()

    assert sorted(delivery.state for delivery in doors.deliveries()) == ["dead", "delivered"]
    assert doors.subscription(subscription).disabled is not None


def test_deleting_in_flight_cancels(doors: Doors, target: RecordingTarget) -> None:
    """A delivery whose subscription is deleted while its target is asked ends cancelled, its attempt on record."""
    answer = Held(500)
    target.always("/", answer)
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.route()
    in_flight(doors, target)

    doors.delete(subscription)
    answer.release.set()
    doors.deliver()
    doors.again()

    assert doors.delivery().state == "cancelled"
    assert [attempt.status for attempt in doors.attempts()] == [500]
    assert len(target.requests()) == 1


def test_purging_in_flight_stops_nobody(doors: Doors, target: RecordingTarget) -> None:
    """An event that is purged by force while its target is asked is forgotten; the worker goes on."""
    answer = Held(200)
    target.always("/purged", answer)
    purged = doors.subscribe(target.url("/purged"), jsonpath='$[?(@.eventType = "purged")]')
    doors.subscribe(target.url("/kept"), jsonpath='$[?(@.eventType = "kept")]')
    event = doors.accept(make_event(type="purged"))
    doors.route()
    in_flight(doors, target)

    with orm.session():
        assert orm.Purge([event], orm.now(), force=True).batch() == 1
    answer.release.set()
    doors.deliver()
    kept = doors.send(make_event(type="kept"))

    assert doors.deliveries(subscription=purged) == []
    assert doors.delivery(kept).state == "delivered"


# Several workers.


def expire(doors: Doors) -> None:
    """Let the leases of everything that is claimed run out."""
    with orm.session():
        assert orm.EventLogMatch.select().where(orm.EventLogMatch.lease.is_null(False)).exists()
    doors.make_due()


@pytest.mark.parametrize("late", [200, 500, 410])
def test_returning_worker_does_not_overwrite_its_successor(doors: Doors, target: RecordingTarget, late: int) -> None:
    """What a worker brings after its lease was taken over is on record as an attempt and changes nothing else."""
    answer = Held(late)
    target.answers("/", [answer, 200])
    doors.subscribe(target.url())
    doors.accept()
    doors.route()
    in_flight(doors, target)
    expire(doors)
    doors.new_courier().drain()
    settled = doors.delivery()

    answer.release.set()
    doors.deliver()

    assert (settled.state, settled.target_status_code, settled.attempts) == ("delivered", 200, 1)
    after = doors.delivery()
    assert (after.state, after.target_status_code, after.attempts, after.finished) == (
        "delivered",
        200,
        1,
        settled.finished,
    )
    assert sorted(attempt.status for attempt in doors.attempts()) == sorted([200, late])
    assert {request.delivery for request in target.requests()} == {str(after.uuid)}


@pytest.mark.parametrize("late", [200, 500, 410])
def test_returning_worker_leaves_its_successor_alone(doors: Doors, target: RecordingTarget, late: int) -> None:
    """While a successor has its attempt in flight, what the first worker brings changes nothing of the delivery."""
    first, second = Held(late), Held(503)
    target.answers("/", [first, second])
    doors.subscribe(target.url())
    doors.accept()
    doors.route()
    in_flight(doors, target)
    expire(doors)
    successor = doors.new_courier()
    successor.drain(stopping=lambda: len(target.requests()) == 2)
    claimed = doors.delivery().__data__

    first.release.set()
    doors.deliver()
    meanwhile = doors.delivery().__data__
    second.release.set()
    successor.drain()

    assert meanwhile == claimed
    delivery = doors.delivery()
    assert (delivery.state, delivery.target_status_code, delivery.attempts) == ("pending", 503, 1)


def test_worker_that_gets_its_own_delivery_back(doors: Doors, target: RecordingTarget) -> None:
    """A worker may claim again what it still has in flight, when another had it meanwhile and gave it back."""
    first, second = Held(200), Held(200)
    target.answers("/", [first, second, 200])
    doors.subscribe(target.url())
    doors.accept()
    doors.route()
    in_flight(doors, target)
    expire(doors)
    other = doors.new_courier()
    other.drain(stopping=lambda: len(target.requests()) == 2)
    other.stop(grace=0)

    doors.courier.drain(stopping=lambda: doors.delivery().state == "delivered")
    first.release.set()
    doors.subscribe(target.url("/next"))
    next_event = doors.send()

    assert len(target.requests("/")) == 4
    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}
    assert len(doors.deliveries(next_event)) == 2
    assert doors.courier.in_hand == []


def test_stopping_worker_gives_back_what_is_in_flight(doors: Doors, target: RecordingTarget) -> None:
    """What a worker has in hand when it stops is due at once, for another one, and no attempt is used up."""
    target.answers("/", [Held(), 200])
    doors.subscribe(target.url())
    doors.accept()
    doors.route()
    in_flight(doors, target)

    doors.courier.stop(grace=0)
    given_back = doors.delivery()
    doors.new_courier().drain()

    assert (given_back.state, given_back.attempts, given_back.lease) == ("pending", 0, None)
    assert doors.delivery().state == "delivered"
    assert [request.attempt for request in target.requests()] == [1, 1]


def test_long_attempt_keeps_its_lease(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A worker renews its lease while an attempt takes longer, so that nobody else sends it too."""
    doors = open_doors({"delivery.lease": 1})
    answer = Held(200)
    target.always("/", answer)
    doors.subscribe(target.url())
    doors.accept()
    doors.route()
    in_flight(doors, target)
    claimed = doors.delivery().next_attempt_at
    other = doors.new_courier()

    def renewed() -> bool:
        return doors.delivery().next_attempt_at > claimed

    doors.courier.drain(stopping=renewed)
    other.drain()
    answer.release.set()
    doors.deliver()

    assert len(target.requests()) == 1
    assert doors.delivery().state == "delivered"


def test_workers_share_the_work(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """Three workers at once deliver everything once."""
    doors = open_doors({"delivery.batch": 7})
    for number in range(3):
        doors.subscribe(target.url(f"/{number}"))
    for _ in range(40):
        doors.accept()
    doors.route()
    couriers = [doors.new_courier() for _ in range(3)]
    threads = [threading.Thread(target=courier.drain) for courier in couriers]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # One of them may leave while another still has something in hand that it then claims in vain.
    doors.deliver()

    assert Counter(delivery.state for delivery in doors.deliveries()) == {"delivered": 120}
    arrived = Counter(request.delivery for request in target.requests())
    assert set(arrived.values()) == {1}
    assert len(arrived) == 120


def test_all_that_is_due_is_delivered(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A worker that has as much in flight as it may goes on with what else is due, and is not done before."""
    doors = open_doors({"delivery.in_flight": 2})
    doors.subscribe(target.url())
    for _ in range(5):
        doors.accept()
    doors.route()
    answer = Held()
    target.answers("/", [answer, answer])
    looks = itertools.count()

    def after_a_look_in_vain() -> bool:
        if len(target.requests()) == 2 and next(looks) == 1:
            answer.release.set()
        return False

    doors.courier.drain(stopping=after_a_look_in_vain)

    assert [delivery.state for delivery in doors.deliveries()] == ["delivered"] * 5


# The database goes away.


@pytest.mark.parametrize("when", ["while it is away", "when it is back"])
def test_results_outlive_the_database(
    tmp_path: Path, own_database_server: PostgreSQL | MariaDB, target: RecordingTarget, when: str
) -> None:
    """What is in flight when the database goes away is settled when it is back, and is not sent again.

    The lease runs out meanwhile, and where the answer comes in time also the time-out of the attempt.
    """
    answer = Held(200)
    target.always("/", answer)
    timeout = 2.0 if when == "while it is away" else 60.0
    with Doors(
        tmp_path, own_database_server.create_database(), {"delivery.lease": 1, "delivery.timeout": timeout}
    ) as doors:
        doors.subscribe(target.url())
        doors.accept()
        doors.route()
        in_flight(doors, target)
        # Nobody waits until a claim is on the disk, but with what is written after it, it is.
        doors.subscribe(target.url("/other"))
        claimed = time.monotonic()
        own_database_server.kill()
        if when == "while it is away":
            answer.release.set()
        # The worker looks for the database again and again, and hears what comes in meanwhile.
        for _ in range(20):
            with pytest.raises(Unavailable):
                doors.deliver()
        until(lambda: time.monotonic() > claimed + min(timeout, 2.0), what="the end of lease or time-out")
        own_database_server.start()
        answer.release.set()

        until(lambda: doors.deliver() is None, what="the database")

        assert len(target.requests()) == 1
        assert (doors.delivery().state, doors.delivery().attempts) == ("delivered", 1)
        assert [attempt.status for attempt in doors.attempts()] == [200]
