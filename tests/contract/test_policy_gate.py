"""What every gate does with a batch of questions, and what the policy server's answers mean."""

from __future__ import annotations

import itertools
import json
from collections.abc import Hashable, Iterator
from typing import Any

import pytest

from pacifica.notifications.gates import Ask, Gate, PolicyGate, Verdict
from pacifica.notifications.transfer import Limits
from tests.support.factories import INGEST, make_event
from tests.support.policy import PolicyServer
from tests.support.ports import free_port
from tests.support.target import Answer, Held, Raw, RecordingTarget, Reset, redirect
from tests.support.wait import until

_keys = itertools.count(1)


def ask(user: str = "alice", event: Any = None) -> Ask:
    """Return a question with a key of its own."""
    body = json.dumps(make_event() if event is None else event, ensure_ascii=False).encode()
    return Ask(next(_keys), user, body)


def verdicts(gate: Gate, count: int) -> dict[Hashable, Verdict]:
    """Wait until `count` questions have a verdict, and return all that have by their keys."""
    said: dict[Hashable, Verdict] = {}

    def enough() -> bool:
        said.update(gate.wait(0.5))
        return len(said) >= count

    until(enough, 40, f"{count} verdicts")
    return said


def verdict(gate: Gate, question: Ask) -> Verdict:
    """Ask one question and return what came of it."""
    gate.start([question])
    return verdicts(gate, 1)[question.key]


@pytest.fixture
def gate(policy_server: PolicyServer) -> Iterator[PolicyGate]:
    """A patient gate before the policy server."""
    made = PolicyGate(policy_server.policy_url, Limits(20, 20))
    yield made
    made.close()


@pytest.fixture
def scripted(target: RecordingTarget) -> Iterator[PolicyGate]:
    """A patient gate before a server that answers from a script."""
    made = PolicyGate(target.origin, Limits(20, 20))
    yield made
    made.close()


# Every gate.


def test_a_batch_goes_in_and_every_verdict_comes_out(gate: Gate, policy_server: PolicyServer) -> None:
    """Each question of a batch has one verdict, under its own key."""
    policy_server.refuse("bob")
    policy_server.fail("eve")
    asks = {user: ask(user) for user in ("alice", "bob", "eve", "dan")}

    gate.start(asks.values())
    assert len(gate) == 4
    said = verdicts(gate, 4)

    assert {user: said[each.key].allowed for user, each in asks.items()} == {
        "alice": True,
        "bob": False,
        "eve": None,
        "dan": True,
    }
    assert len(gate) == 0


def test_verdicts_come_as_they_come(scripted: Gate, target: RecordingTarget) -> None:
    """A question that hangs holds up no other one."""
    held = Held(200)
    target.always("/events/slow", held)
    slow, quick = ask("slow"), ask("quick")

    scripted.start([slow, quick])
    first = verdicts(scripted, 1)
    until(lambda: not scripted.wait(0.05) and target.requests("/events/slow"), 30, "the slow question")
    held.release.set()
    second = verdicts(scripted, 1)

    assert [list(first), list(second)] == [[quick.key], [slow.key]]


def test_many_questions_are_asked_at_once(scripted: Gate, target: RecordingTarget) -> None:
    """No question of a batch waits for another one's answer."""
    held = Held(200)
    target.always("/events/alice", held)

    scripted.start([ask() for _ in range(20)])
    until(lambda: not scripted.wait(0.05) and len(target.requests()) == 20, 30, "20 questions at once")
    held.release.set()

    assert len(verdicts(scripted, 20)) == 20


def test_waiting_for_nothing_ends(gate: Gate) -> None:
    """Without a question there is nothing to wait for."""
    assert gate.wait(3600) == []
    assert len(gate) == 0


def test_closing_gives_back_what_was_asked(gate: Gate, policy_server: PolicyServer) -> None:
    """Whatever has no verdict yet is broken off and named by its key."""
    policy_server.hang("alice")
    question = ask("alice")
    gate.start([question])
    until(lambda: not gate.wait(0.05) and policy_server.asks(), 30, "the question")

    assert gate.close() == [question.key]
    assert len(gate) == 0


# The policy server.


def test_the_question_is_posted_for_the_user(scripted: Gate, target: RecordingTarget) -> None:
    """The event's text is POSTed as JSON, whatever type it came with, to the user's place."""
    question = Ask("key", "alice", b'{"eventType" : "\xc3\xa4", "data":[1.10]}\n')

    assert verdict(scripted, question).allowed

    request = target.requests()[0]
    assert (request.method, request.path, request.query) == ("POST", "/events/alice", "")
    assert request.header("Content-Type") == "application/json"
    assert request.body == question.body


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ("alice@example.com", "/events/alice%40example.com"),
        ("a/b", "/events/a%2Fb"),
        ("../status", "/events/..%2Fstatus"),
        ("a?b=c#d", "/events/a%3Fb%3Dc%23d"),
        ("100%", "/events/100%25"),
        ("a b", "/events/a%20b"),
        ("ä", "/events/%C3%A4"),
        ("DOMAIN\\me", "/events/DOMAIN%5Cme"),
    ],
)
def test_the_user_is_quoted(user: str, path: str, scripted: Gate, target: RecordingTarget) -> None:
    """Whatever a user is called, the name is one step of the path."""
    verdict(scripted, ask(user))

    assert [(request.path, request.query) for request in target.requests()] == [(path, "")]


@pytest.mark.parametrize("user", [".", ".."])
def test_a_user_called_like_a_folder_stays_below_events(user: str, scripted: Gate, target: RecordingTarget) -> None:
    """Names that mean a place elsewhere in a path do not lead there."""
    verdict(scripted, ask(user))

    assert [request.path for request in target.requests()] == [f"/events/{user}"]


@pytest.mark.parametrize(("root", "path"), [("/base", "/base/events/alice"), ("/base/", "/base/events/alice")])
def test_the_servers_root_may_be_below_a_path(root: str, path: str, target: RecordingTarget) -> None:
    """The setting is the server's root, with a slash at its end or without."""
    gate = PolicyGate(target.url(root), Limits(20, 20))

    assert verdict(gate, ask()).allowed

    gate.close()
    assert [request.path for request in target.requests()] == [path]


def test_the_true_servers_answers(gate: Gate, policy_server: PolicyServer) -> None:
    """Success allows; 412 refuses, also for types the server does not know; 500 for an unknown user is no answer."""
    policy_server.refuse("bob")
    policy_server.fail("unknown")

    said = [verdict(gate, each) for each in (ask(), ask("bob"), ask(event=make_event(type="other")), ask("unknown"))]

    assert [(each.allowed, each.status) for each in said] == [(True, 200), (False, 412), (False, 412), (None, 500)]
    assert [asked.user for asked in policy_server.asks()] == ["alice", "bob", "alice", "unknown"]
    assert policy_server.asks()[0].event["eventType"] == INGEST


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (200, True),
        (201, True),
        (204, True),
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (412, False),
        (415, False),
        (499, False),
        (500, None),
        (502, None),
        (503, None),
        (599, None),
    ],
)
def test_a_status_is_a_verdict(status: int, allowed: bool | None, scripted: Gate, target: RecordingTarget) -> None:
    """2xx allows, 4xx refuses, anything else is no answer; the reason names the status."""
    target.always("/events/alice", status)

    assert verdict(scripted, ask()) == Verdict(allowed, f"the policy server answered {status}", status)


@pytest.mark.parametrize(
    "answer",
    [Reset(), Raw(), Raw(body=b"hello\r\n"), Answer(301, [("Location", "/elsewhere")]), redirect("http://127.0.0.1/")],
    ids=["reset", "closed", "no http", "moved", "redirect"],
)
def test_what_is_no_answer_allows_nothing(answer: Answer, scripted: Gate, target: RecordingTarget) -> None:
    """A broken connection, something else than HTTP, and a redirect are no answer, and are not followed."""
    target.always("/events/alice", answer)

    said = verdict(scripted, ask())

    assert said.allowed is None
    assert said.reason.startswith("the policy server")
    assert len(target.requests()) == 1


def test_silence_is_no_answer(target: RecordingTarget) -> None:
    """A policy server that does not answer in time has not answered."""
    target.always("/events/alice", Held())
    gate = PolicyGate(target.origin, Limits(0.3, 0.3))

    said = verdict(gate, ask())

    gate.close()
    assert said == Verdict(None, "the policy server: no complete answer in time", None)


def test_a_server_that_is_away_is_no_answer_until_it_is_back(gate: Gate, policy_server: PolicyServer) -> None:
    """A refused connection is no answer; the same gate is answered once the server is back."""
    first = verdict(gate, ask())
    policy_server.stop()
    away = verdict(gate, ask())
    policy_server.start()
    back = verdict(gate, ask())

    assert [each.allowed for each in (first, away, back)] == [True, None, True]
    assert away.reason == "the policy server: the connection was refused"


def test_a_name_that_does_not_resolve_is_no_answer() -> None:
    """A policy server that can't be found has not answered."""
    # A label of more than 63 characters is given up by the resolver without asking anybody.
    gate = PolicyGate(f"http://{'a' * 64}.invalid", Limits(20, 20))

    said = verdict(gate, ask())

    gate.close()
    assert said.allowed is None


def test_proxies_of_the_environment_are_ignored(
    gate: Gate, policy_server: PolicyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy server is asked directly, whatever proxy the environment names."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert verdict(gate, ask()).allowed
    assert len(policy_server.asks()) == 1
