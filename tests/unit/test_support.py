"""What the tests stand on does what it says."""

from __future__ import annotations

import itertools
import json
import socket
import sys
import threading
from configparser import ConfigParser
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from tests.support.factories import ABSENT, ingest, make_event, make_event_1_0, make_subscription
from tests.support.listener import tls_available
from tests.support.missing import missing
from tests.support.policy import PolicyServer
from tests.support.ports import free_port
from tests.support.process import Process, clean_environment, left_running
from tests.support.processes import write_config
from tests.support.target import Answer, Dripping, Endless, Held, Raw, RecordingTarget, Reset, redirect
from tests.support.wait import Hopeless, until

#: A program that starts a child in a group of its own and one in the same, says their ids and waits for ever.
PARENT = """
import subprocess, sys, threading
waiting = [sys.executable, "-c", "import threading; threading.Event().wait()"]
far = subprocess.Popen(waiting, start_new_session=True)
near = subprocess.Popen(waiting)
print("children", far.pid, near.pid, flush=True)
threading.Event().wait()
"""


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or waits only for somebody to take note."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_until_returns_the_first_truthy_value() -> None:
    """Waiting ends with the value that made the condition true."""
    numbers = itertools.count()

    assert until(lambda: next(numbers) > 2 and "there") == "there"


def test_until_survives_exceptions() -> None:
    """A condition may raise until it is true."""
    answers = iter([ValueError("not yet"), None, "there"])

    def condition() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert until(condition) == "there"


@pytest.mark.parametrize(("value", "seen"), [(0, "value 0"), (ValueError("away"), "ValueError('away')")])
def test_until_says_what_it_saw_last(value: object, seen: str) -> None:
    """A wait that fails names what it waited for, and the last value or exception."""

    def condition() -> object:
        if isinstance(value, Exception):
            raise value
        return value

    with pytest.raises(AssertionError) as caught:
        until(condition, seconds=0.05, what="the ship")

    assert "the ship" in str(caught.value)
    assert seen in str(caught.value)


def test_until_gives_up_when_hopeless() -> None:
    """A condition that can't become true any more ends the wait."""
    looks = itertools.count(1)

    def condition() -> bool:
        raise Hopeless(f"sunk at look {next(looks)}")

    with pytest.raises(AssertionError, match="the ship: sunk at look 1"):
        until(condition, what="the ship")


def test_free_ports_are_free_and_never_the_same() -> None:
    """Each port is given once and can be listened on."""
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50
    for port in ports:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", port))


def test_events_take_changes_by_short_and_full_name() -> None:
    """A factory's changes replace, add or leave out attributes."""
    event = make_event(type="t", id="i", eventTime="now", data=[1], source=ABSENT)

    assert (event["eventType"], event["eventID"], event["eventTime"], event["data"]) == ("t", "i", "now", [1])
    assert "source" not in event
    assert make_event_1_0(type="t", content_type=ABSENT, shard="a").items() >= {"type": "t", "shard": "a"}.items()
    assert make_subscription(name="n", auth={})["auth"] == {}


def test_every_event_is_another_one() -> None:
    """Two events of a factory never have the same id."""
    events = [make_event(), make_event(), ingest(1), ingest(2)]

    assert len({event["eventID"] for event in events}) == 4
    assert ingest(3) == ingest(3)


def test_an_ingest_has_the_size_of_a_true_one() -> None:
    """An ingest event has ten files and about 3 KB."""
    event = ingest(5)

    assert sum(entry["destinationTable"] == "Files" for entry in event["data"]) == 10
    assert 2500 < len(json.dumps(event)) < 3600


def test_a_target_records_what_arrives(target: RecordingTarget) -> None:
    """Method, path, query, headers in order, body and number of a request are kept."""
    body = b'{"a": 1}'
    requests.put(target.url("/in?x=1"), data=body, headers={"X-One": "1", "Notifications-Attempt": "2"})
    requests.post(target.url("/other"), data=iter([b"in ", b"chunks"]))

    first, second = target.wait_for(2)

    assert (first.number, first.method, first.path, first.query) == (1, "PUT", "/in", "x=1")
    assert (first.json(), first.attempt, first.delivery) == ({"a": 1}, 2, None)
    assert first.header("x-one") == "1"
    assert ("X-One", "1") in first.headers
    assert second.body == b"in chunks"
    assert target.requests("/in") == [first]


def test_a_target_answers_from_its_script(target: RecordingTarget) -> None:
    """Scripted answers come in order, then the one of the path, elsewhere the default."""
    target.answers("/in", [500, Answer(429, [("Retry-After", "7")], b"slow down"), 503])
    target.always("/in", 204)

    with requests.Session() as session:
        answers = [session.post(target.url("/in")) for _ in range(4)]
        elsewhere = session.get(target.url("/"))

    assert [answer.status_code for answer in answers] == [500, 429, 503, 204]
    assert (answers[1].headers["Retry-After"], answers[1].text) == ("7", "slow down")
    assert elsewhere.status_code == 200


def test_a_target_keeps_connections_alive(target: RecordingTarget) -> None:
    """Several requests come over one connection."""
    with socket.create_connection((target.host, target.port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n.")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")

    assert len(target.requests()) == 3


def test_a_held_answer_comes_when_released(target: RecordingTarget) -> None:
    """A held request is recorded at once and answered after the release only."""
    held = Held()
    target.always("/in", held)
    statuses: list[int] = []
    client = threading.Thread(target=lambda: statuses.append(requests.post(target.url("/in")).status_code))

    client.start()
    target.wait_for(1, "/in")
    assert not statuses
    held.release.set()
    client.join(10)

    assert statuses == [200]


@pytest.mark.parametrize("answer", [Reset(), Raw(), Held()], ids=["reset", "closed", "held"])
def test_a_target_gives_no_answer(answer: Answer) -> None:
    """A reset, a closed and a held request all end without an answer, at the latest when the target stops."""
    with RecordingTarget(default=answer) as target:
        errors: list[Exception] = []

        def ask() -> None:
            try:
                requests.post(target.url())
            except requests.ConnectionError as error:
                errors.append(error)

        client = threading.Thread(target=ask)
        client.start()
        target.wait_for(1)
    client.join(10)

    assert len(errors) == 1


def test_a_reset_is_a_reset(target: RecordingTarget) -> None:
    """The client sees the connection reset, not ended."""
    target.always("/", Reset())

    with socket.create_connection((target.host, target.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_dripping_answer_arrives_whole(target: RecordingTarget) -> None:
    """An answer that drips is a right answer in the end."""
    target.always("/", Dripping(body=b"drop", pause=0))

    assert requests.get(target.url()).content == b"drop"


def test_an_endless_answer_does_not_end(target: RecordingTarget) -> None:
    """More comes than anybody wants, and leaving is possible."""
    target.always("/", Endless())

    with requests.get(target.url(), stream=True) as answer:
        taken = sum(len(part) for part in itertools.islice(answer.iter_content(65536), 100))

    assert taken == 100 * 65536


def test_a_target_redirects(target: RecordingTarget) -> None:
    """A redirect names the other place."""
    target.always("/", redirect("http://elsewhere.example/", 308))

    answer = requests.post(target.url(), allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (308, "http://elsewhere.example/")


def test_a_target_comes_back_on_its_port(target: RecordingTarget) -> None:
    """A stopped target refuses, closes kept connections, and can be started again."""
    with requests.Session() as session:
        session.post(target.url())
        target.stop()
        with pytest.raises(requests.ConnectionError):
            session.post(target.url())
        target.start()
        session.post(target.url())

    assert len(target.requests()) == 2


def test_a_target_for_very_many_keeps_little() -> None:
    """Without bodies only the headers of the delivery are kept."""
    with RecordingTarget(keep_bodies=False) as target:
        requests.post(target.url("/in"), data=b"x" * 1000, headers={"Notifications-Delivery": "d"})

    (request,) = target.requests()
    assert (request.path, request.delivery, request.body) == ("/in", "d", b"")
    assert request.headers == (("Notifications-Delivery", "d"),)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_a_target_speaks_ipv6() -> None:
    """A target can stand on ::1."""
    with RecordingTarget(host="::1") as target:
        assert requests.get(target.url()).status_code == 200


def test_a_target_speaks_tls() -> None:
    """With its certificate trusted a TLS target is reached, without it is not."""
    reason = tls_available()
    if reason:
        missing(reason)

    with RecordingTarget(tls=True) as target:
        trusting = requests.get(target.url(), verify=str(target.certificate))
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(target.url())

    assert trusting.status_code == 200


def test_a_policy_server_decides_by_user(policy_server: PolicyServer) -> None:
    """Users are allowed, refused or unknown as the rules say, and what was asked is kept."""
    policy_server.refuse("bob")
    policy_server.fail("zoë q")
    events = [make_event() for _ in range(3)]

    answers = [
        requests.post(policy_server.url(f"/events/{user}"), json=event)
        for user, event in zip(["alice", "bob", "zo%C3%AB%20q"], events, strict=True)
    ]

    assert [answer.status_code for answer in answers] == [200, 412, 500]
    assert answers[0].json() == {"status": "success"}
    assert answers[1].json()["status"] == "412 Precondition Failed"
    assert [(ask.user, ask.event) for ask in policy_server.asks()] == [
        ("alice", events[0]),
        ("bob", events[1]),
        ("zoë q", events[2]),
    ]


def test_a_policy_server_knows_only_ingests() -> None:
    """Other types are for admins, until it is switched off; other media types are refused."""
    with PolicyServer(admins=["root"]) as policy:
        event = make_event(type="other")
        cloudevents = {"Content-Type": "application/cloudevents+json"}

        user = requests.post(policy.url("/events/alice"), json=event)
        admin = requests.post(policy.url("/events/root"), json=event)
        policy.ingest_only = False
        later = requests.post(policy.url("/events/alice"), json=event)
        other = requests.post(policy.url("/events/alice"), json=event, headers=cloudevents)
        root = requests.get(policy.url("/"))

    assert [a.status_code for a in (user, admin, later, other)] == [412, 200, 200, 415]
    assert root.json() == {"message": "Pacifica Policy Up and Running"}


def test_a_policy_server_is_away_for_a_while(policy_server: PolicyServer) -> None:
    """Stopped it refuses connections, started again it has its rules still."""
    policy_server.refuse("bob")
    policy_server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.post(policy_server.url("/events/bob"), json=make_event())
    policy_server.start()

    assert requests.post(policy_server.url("/events/bob"), json=make_event()).status_code == 412


@pytest.mark.parametrize("way", ["kill", "close"])
def test_a_killed_process_leaves_no_descendant(tmp_path: Path, way: str) -> None:
    """Children die with it, also those in a group of their own."""
    process = Process([sys.executable, "-c", PARENT], tmp_path / "log")

    process.start()
    children = [int(pid) for pid in process.wait_for_output(r"children (\d+) (\d+)").groups()]
    assert set(process.children) == set(children)
    getattr(process, way)()

    assert not process.running
    assert all(ended(pid) for pid in children)


def test_a_process_that_leaves_children_is_told(tmp_path: Path) -> None:
    """Ending a process politely fails when its children go on, and ends them."""
    process = Process([sys.executable, "-c", PARENT], tmp_path / "log")

    process.start()
    children = [int(pid) for pid in process.wait_for_output(r"children (\d+) (\d+)").groups()]
    process.grace = 0.1
    with pytest.raises(AssertionError, match="left processes behind"):
        process.terminate()

    until(lambda: all(ended(pid) for pid in children), what="the end of the children")


def test_a_process_starts_again(tmp_path: Path) -> None:
    """The log of a process is that of its last start, and waiting for what an ended one prints fails."""
    process = Process([sys.executable, "-c", "print('hello'); raise SystemExit(3)"], tmp_path / "log")

    for _ in range(2):
        process.start()
        assert process.wait() == 3
        assert process.log.split() == ["hello"]

    assert process.log_file.read_text().split() == ["hello", "hello"]
    with pytest.raises(AssertionError, match="ended with 3"):
        process.wait_for_output("never")
    process.close()


def test_a_process_that_never_gets_ready_is_not_left(tmp_path: Path) -> None:
    """A start that fails inside `with` leaves nothing running."""

    class Unready(Process):
        def start(self) -> None:
            """Start and find fault with it."""
            super().start()
            raise AssertionError("not ready")

    process = Unready([sys.executable, "-c", PARENT], tmp_path / "log")
    with pytest.raises(AssertionError, match="not ready"), process:
        pytest.fail("entered all the same")

    assert process.returncode is not None
    assert left_running() == []


def test_a_forgotten_process_is_found(tmp_path: Path) -> None:
    """What a test forgets to end is known, and what is kept on purpose is not counted."""
    command = [sys.executable, "-c", "import threading; threading.Event().wait()"]

    with Process(command, tmp_path / "one") as forgotten, Process(command, tmp_path / "two", kept=True):
        assert left_running() == [forgotten]

    assert left_running() == []


def test_a_clean_environment_has_nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A developer's settings and proxies do not reach the processes of the tests."""
    for name in ("PEEWEE_URL", "NOTIFICATIONS_CONFIG", "http_proxy", "OTHER"):
        monkeypatch.setenv(name, "x")

    environment = clean_environment(tmp_path / "home", NOTIFICATIONS_DELIVERY_TIMEOUT="1")

    assert {"PEEWEE_URL", "NOTIFICATIONS_CONFIG", "http_proxy"}.isdisjoint(environment)
    assert environment["OTHER"] == "x"
    assert environment["HOME"] == str(tmp_path / "home")
    assert environment["NOTIFICATIONS_DELIVERY_TIMEOUT"] == "1"


def test_a_config_is_written_by_section(tmp_path: Path) -> None:
    """Names are `section.key`, the default section included."""
    file = write_config(tmp_path / "config.ini", {"DEFAULT.default_user": "me", "celery.broker_url": "memory://"})

    parser = ConfigParser()
    parser.read(file)

    assert parser.defaults() == {"default_user": "me"}
    assert parser["celery"]["broker_url"] == "memory://"


@pytest.mark.parametrize(("ci", "outcome"), [("true", "fail"), ("", "skip")])
def test_what_is_missing_fails_in_ci_only(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str) -> None:
    """A test without its server is left out at home, and a failure in CI."""
    monkeypatch.setenv("CI", ci)

    with pytest.raises(getattr(pytest, outcome).Exception, match="no such server"):
        missing("no such server")
