"""Cases 10, 15 and 17: messages and rows that nobody understands, the same event many times, edits at load."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any
from uuid import uuid4

from kombu import Connection

from tests.support import tables
from tests.support.together import together

from .catalogue import case
from .rig import QUEUE, Rig, Run
from .sender import post

#: Nobody's secret, looked for in the logs.
SECRET = "s3cr3t-of-the-rows"
#: Seconds after which nothing may be sent for a subscription that was deleted.
AFTER_DELETION = 5.0


@case("10", "messages and rows that nobody understands", "rabbitmq")
def poison(rig: Rig, long: bool = False) -> Run:
    """They are gone after one look, no worker dies, no secret is logged, and all else is delivered."""
    run = rig.run()
    run.subscribe_good()
    spoilt = [run.subscribe(rig.sink.url(f"/ok/{run.type}/spoilt{n}"), complete=False) for n in range(3)]
    for uuid, column in zip(spoilt, ("jsonpath", "auth", "extensions"), strict=True):
        # No trigger tells of it: the revision is what routers follow.
        value = f"$[?( {SECRET}"
        tables.execute(rig.url, f"UPDATE eventmatch SET {column} = '{value}' WHERE uuid = '{uuid}'")
    with run.sender(50) as sender:
        sender.wait_for(20)
        for _ in range(5 if long else 2):
            publish(rig, odd_messages(50 * 2**20 if long else 2**20))
            sender.wait_for(10)
        sender.finish(total=500 if long else None)
    run.drain(30)
    run.unsubscribe(*spoilt)
    run.check(all(worker.running for worker in rig.workers), "a worker died")
    for part in rig.parts:
        run.check(SECRET not in part.log, f"{part.log_file.name} tells a secret")
    return run


#: Body, content type, headers.
Message = tuple[bytes, str, dict[str, Any]]


@case("10b", "a message whose body is no list of three", "redis")
def no_list(rig: Rig, long: bool = False) -> Run:
    """It is gone after one look, and no worker dies of it."""
    run = rig.run()
    run.subscribe_good()
    with run.sender(50) as sender:
        sender.wait_for(10)
        publish(rig, [(body, "application/json", known()) for body in (b'"no list"', b"[]", b"null", b"7")])
        sender.wait_for(30)
        sender.finish(total=500 if long else None)
    run.drain(30)
    run.check(all(worker.running for worker in rig.workers), "a worker died")
    return run


def known() -> dict[str, Any]:
    """Return the headers of a task that a worker knows."""
    return {**_unnamed(), "task": "pacifica.notifications.route"}


def _unnamed() -> dict[str, Any]:
    return {"lang": "py", "id": str(uuid4()), "root_id": None, "argsrepr": "", "kwargsrepr": ""}


def odd_messages(size: int) -> list[Message]:
    """Return messages that nobody of ours sends, one of them with so many bytes."""
    arguments = json.dumps([[str(uuid4())], {"uuid": "x"}, {}]).encode()
    nothing = json.dumps([[], {}, {}]).encode()
    return [
        (b"not json {", "application/json", known()),
        (b"\x80\x04K\x01.", "application/x-python-serialize", known()),
        (nothing, "application/json", {**_unnamed(), "task": "os.system"}),
        (arguments, "application/json", known()),
        (nothing, "application/json", {}),
        (b"." * size, "text/plain", known()),
    ]


def publish(rig: Rig, messages: list[Message]) -> None:
    """Put messages into the queue as they are."""
    with Connection(rig.broker.url) as connection, connection.Producer(serializer=None) as producer:
        for body, kind, headers in messages:
            coding = "binary" if "python" in kind else "utf-8"
            producer.publish(
                body, exchange="", routing_key=QUEUE, content_type=kind, content_encoding=coding, headers=headers
            )


@case("15", "the same event from many at once, and another with its id", "redis")
def same_event(rig: Rig, long: bool = False) -> Run:
    """One row, one delivery, one answer; another content with the same id is a row of its own or refused."""
    run = rig.run()
    run.subscribe_good()
    sender = run.sender()
    ports = [web.port for web in rig.webs]
    for number in range(1, 101 if long else 11):
        body = json.dumps(sender.event(number)).encode()
        calls = [partial(post, ports[n % 2], body) for n in range(50 if long else 16)]
        answers = together(calls)
        sender.statuses.update(status for status, _ in answers)
        uuids = {answer.get("uuid") for _, answer in answers}
        run.check(len(uuids) == 1, f"event {number} was given {len(uuids)} uuids")
        run.check(sum(not answer.get("duplicate") for _, answer in answers) == 1, f"event {number}: not one is first")
        sender.take(number, str(next(iter(uuids))))
        other = json.dumps({**sender.event(number), "type": f"{run.type}.other"}).encode()
        status, _ = post(ports[0], other)
        run.check(status in (200, 409), f"another event with the same id was answered {status}")
    return run


@case("17", "subscriptions are changed and deleted at load", "redis")
def edits(rig: Rig, long: bool = False) -> Run:
    """No target of the one with the credentials of the other; nothing for long after a deletion."""
    run = rig.run()
    run.subscribe_good()
    sides = {
        f"/ok/{run.type}/{side}": {"type": "header", "header": {"type": "Bearer", "credentials": side}} for side in "ab"
    }
    bodies = [{"target_url": rig.sink.url(path), "auth": auth} for path, auth in sides.items()]
    edited = run.subscribe(bodies[0]["target_url"], complete=False, auth=bodies[0]["auth"])
    leaving = [run.subscribe(rig.sink.url(f"/slow/0.2/{run.type}/{n}"), complete=False) for n in range(3)]
    switched = run.subscribe(rig.sink.url(f"/ok/{run.type}/switched"), complete=False)
    left: dict[str, float] = {}
    with run.sender(60) as sender:
        for number in range(300 if long else 30):
            body = rig.random.choice(bodies)
            answer = rig.request("PUT", f"/eventmatch/{edited}", web=number % 2, json=body)
            run.check(answer.status_code == 200, f"PUT was answered {answer.status_code}")
            disabled = "2026-01-01T00:00:00Z" if number % 2 else None
            rig.request("PUT", f"/eventmatch/{switched}", json={"disabled": disabled})
            if number % 10 == 5 and len(left) < len(leaving):
                path = f"/slow/0.2/{run.type}/{len(left)}"
                run.unsubscribe(leaving[len(left)])
                left[path] = time.monotonic()
            sender.wait_for(rig.random.randint(1, 3))
        sender.finish()
    rig.request("PUT", f"/eventmatch/{switched}", json={"disabled": None})
    run.drain()
    for arrival in run.arrivals():
        side = arrival.path.rpartition("/")[2]
        if arrival.path in sides:
            run.check(arrival.authorization == f"Bearer {side}", f"{side} got {arrival.authorization!r}")
        late = arrival.at - left.get(arrival.path, arrival.at)
        run.check(late < AFTER_DELETION, f"an attempt {late:.1f} s after the deletion")
    both = {int(arrival.id) for path in sides for arrival in run.arrivals(path)}
    run.check(both >= set(sender.acked), f"{len(set(sender.acked) - both)} events came to neither side")
    return run
