"""The address policy where sockets are opened: names that change, answers that differ, connections that are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_address, ip_network

import pytest

from pacifica.notifications.addresses import Address, Policy
from pacifica.notifications.resolving import Resolver
from pacifica.notifications.resolving import resolver as resolving
from pacifica.notifications.retry import Failure, Outcome
from pacifica.notifications.targets import HttpTarget
from pacifica.notifications.transfer import Limits, Pin, Post, Transfers
from tests.support.ports import free_port
from tests.support.target import Held, RecordingTarget
from tests.support.wait import until

from .test_targets import PATIENT, outcome, outcomes, sending

#: Two addresses of loopback, of which nothing but the second is shut.
FIRST, SECOND = "127.0.0.1", "127.0.0.2"
BOTH = Policy(allow=tuple(map(ip_network, (FIRST, SECOND))))
ONE = Policy(allow=(ip_network(FIRST),))

#: What a name resolves to, one answer for each time that it is asked; the last one stays.
Answers = Sequence[Sequence[str]]


class Names:
    """Resolves names as a name server does whose owner changes its mind; counts what it is asked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = [tuple(map(ip_address, each)) for each in answers]
        self.asked: list[str] = []

    def __call__(self, name: str) -> tuple[Address, ...]:
        """Give the next answer."""
        self.asked.append(name)
        return self._answers[min(len(self.asked), len(self._answers)) - 1]


@pytest.fixture
def places() -> Iterator[tuple[RecordingTarget, RecordingTarget]]:
    """Two targets on one port, each on an address of its own."""
    port = free_port(FIRST)
    with RecordingTarget(host=FIRST, port=port) as first, RecordingTarget(host=SECOND, port=port) as second:
        yield first, second


#: `make(policy, answers)` gives a sender, and the names that it asks.
Make = Callable[[Policy, Answers], tuple[HttpTarget, Names]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make senders whose names are asked at every attempt, and close them."""
    monkeypatch.setattr(resolving, "FRESH", 0.0)
    with ExitStack() as stack:

        def made(policy: Policy, answers: Answers) -> tuple[HttpTarget, Names]:
            names = Names(answers)
            sender = HttpTarget(PATIENT, policy, look_up=names)
            stack.callback(sender.close)
            return sender, names

        yield made


def test_a_name_that_changes_its_mind_is_refused(make: Make, places: tuple[RecordingTarget, RecordingTarget]) -> None:
    """DNS rebinding: what was allowed with the last attempt is asked again, and no socket is opened to what is not."""
    first, second = places
    sender, names = make(ONE, [[FIRST], [SECOND]])
    url = f"http://rebinding.example:{first.port}/"

    found = [outcome(sender, url) for _ in range(3)]

    assert [each.failure for each in found] == [None, Failure.FORBIDDEN, Failure.FORBIDDEN]
    assert found[1].reason.startswith("target_url: the name rebinding.example leads to an address that is not allowed")
    assert (len(first.requests()), len(second.requests()), len(names.asked)) == (1, 0, 3)


@pytest.mark.parametrize("answer", [[FIRST, SECOND], [SECOND, FIRST], [FIRST, "::1"], [FIRST, "169.254.169.254"]])
def test_mixed_answers_are_refused(
    answer: list[str], make: Make, places: tuple[RecordingTarget, RecordingTarget]
) -> None:
    """One address that is not allowed is enough, wherever it stands: curl would go on to it."""
    first, second = places
    sender, _names = make(ONE, [answer])

    assert outcome(sender, f"http://mixed.example:{first.port}/").failure is Failure.FORBIDDEN
    assert first.requests() == second.requests() == []


def test_a_request_goes_to_what_was_judged(make: Make, places: tuple[RecordingTarget, RecordingTarget]) -> None:
    """The connection goes to the address, the request is for the name."""
    first, second = places
    sender, _names = make(BOTH, [[SECOND]])

    assert outcome(sender, f"http://Pinned.Example:{first.port}/a").delivered

    assert first.requests() == []
    assert second.requests()[0].header("Host") == f"Pinned.Example:{first.port}"


def test_a_kept_connection_is_not_used_for_another_address(
    make: Make, places: tuple[RecordingTarget, RecordingTarget]
) -> None:
    """A name that leads elsewhere by now is not sent to where it led before, though a connection there is open."""
    first, second = places
    sender, _names = make(BOTH, [[FIRST], [FIRST], [SECOND], [SECOND]])
    url = f"http://moving.example:{first.port}/"

    assert all(outcome(sender, url).delivered for _ in range(4))

    assert [len(first.requests()), len(second.requests())] == [2, 2]
    assert len({request.client for request in first.requests()}) == 1
    assert len({request.client for request in second.requests()}) == 1


def test_curl_opens_no_socket_but_to_the_pin() -> None:
    """Even where curl resolves for itself, as it would with a URL that it reads in another way, nothing is opened."""
    with RecordingTarget() as target:
        transfers = Transfers(Limits())
        try:
            for key, pin in enumerate((Pin(frozenset({SECOND})), Pin(frozenset({FIRST})))):
                transfers.start([Post(key, target.url("/"), b"", (), pin)])
            found: dict[Hashable, Outcome] = {}
            until(lambda: found.update(transfers.wait(1)) or len(found) == 2, 20, "both outcomes")
        finally:
            transfers.close()

        assert (found[0].failure, found[1].status) == (Failure.REFUSED, 200)
        assert len(target.requests()) == 1


def test_the_next_address_is_tried(make: Make, places: tuple[RecordingTarget, RecordingTarget]) -> None:
    """Of several addresses that are allowed one that answers is enough."""
    first, second = places
    first.stop()
    sender, _names = make(BOTH, [[FIRST, SECOND]])

    assert outcome(sender, f"http://two.example:{first.port}/").delivered
    assert len(second.requests()) == 1


def test_a_literal_is_judged_without_a_resolver(make: Make, places: tuple[RecordingTarget, RecordingTarget]) -> None:
    """An address in the URL needs no name server."""
    first, second = places
    sender, names = make(ONE, [])

    assert outcome(sender, first.url("/")).delivered
    refused = outcome(sender, second.url("/"))

    assert refused.reason == (
        "target_url: 127.0.0.2 is a loopback address; the operator can allow it with targets.allow"
    )
    assert names.asked == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0", "017700000001", "127.0.0.1."])
def test_odd_literals_reach_nobody(host: str, make: Make, places: tuple[RecordingTarget, RecordingTarget]) -> None:
    """What an old row may hold is neither resolved nor dialled, though curl would understand it."""
    first, _second = places
    sender, names = make(BOTH, [[FIRST]])

    refused = outcome(sender, f"http://{host}:{first.port}/")

    assert (refused.failure, refused.counts_for_target) == (Failure.FORBIDDEN, False)
    assert refused.reason.startswith(f"target_url: has the host {host}, which is no name and no IPv4 address")
    assert (first.requests(), names.asked) == ([], [])


def test_many_deliveries_to_one_name_ask_once() -> None:
    """A busy target's name is asked once in a while and not for each delivery."""
    with RecordingTarget() as target:
        names = Names([[FIRST]])
        sender = HttpTarget(PATIENT, ONE, look_up=names)
        try:
            url = f"http://busy.example:{target.port}/"
            sender.start([sending(url) for _ in range(100)])
            found = outcomes(sender, 100)
        finally:
            sender.close()

        assert all(each.delivered for each in found.values())
        # As the moments fall: 100 take far less than the second for which an answer is fresh.
        assert len(names.asked) <= 3


class Silent:
    """A name server that says nothing about some names until it is let go."""

    def __init__(self, silent: str) -> None:
        self._silent = silent
        self.release = threading.Event()
        self.asked: list[str] = []

    def __call__(self, name: str) -> tuple[Address, ...]:
        """Give an answer, sooner or later."""
        self.asked.append(name)
        if name.endswith(self._silent):
            self.release.wait(30)
        return (ip_address(FIRST),)


def test_a_silent_name_server_holds_nobody_up() -> None:
    """What waits for a name ends when a connection would have been given up; others are sent meanwhile."""
    with RecordingTarget() as target:
        names = Silent(".silent.example")
        sender = HttpTarget(Limits(connect=0.5, total=20), ONE, look_up=names)
        try:
            known = outcome(sender, f"http://quick.example:{target.port}/")
            # More than there are threads.
            waiting = [sending(f"http://{number}.silent.example:{target.port}/") for number in range(100)]
            sender.start(waiting)
            quick = sending(f"http://quick.example:{target.port}/")
            sender.start([quick])
            found = outcomes(sender, 101)
        finally:
            names.release.set()
            sender.close()

    assert known.delivered
    assert found[quick.key].delivered
    assert {found[each.key].failure for each in waiting} == {Failure.DNS}


def test_names_that_never_resolved_have_half_of_the_threads() -> None:
    """However many names are silent, one that resolved before is asked at once."""
    names = Silent(".silent.example")
    told = threading.Event()
    resolver = Resolver(told.set, names, threads=4)
    try:
        resolver.ask("good.example")
        until(resolver.answers, 20, "the first answer")
        for number in range(50):
            resolver.ask(f"{number}.silent.example")
        until(lambda: len(names.asked) == 3, 20, "two questions")
        resolver.ask("good.example")

        assert until(resolver.answers, 20, "the second answer") == [("good.example", (ip_address(FIRST),))]
        assert len(names.asked) == 4
    finally:
        names.release.set()
        resolver.close()


def test_names_that_resolve_slowly_have_half_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers, but takes its time, is no better than a silent one."""
    monkeypatch.setattr(resolving, "QUICK", 0.0)
    names = Silent(".slow.example")
    names.release.set()
    resolver = Resolver(lambda: None, names, threads=4)
    slow = [f"{number}.slow.example" for number in range(4)]
    answers: list[object] = []
    try:
        for name in slow:
            resolver.ask(name)
        until(lambda: answers.extend(resolver.answers()) or len(answers) == 4, 20, "the first answers")
        monkeypatch.setattr(resolving, "QUICK", 30.0)
        resolver.ask("good.example")
        until(resolver.answers, 20, "the answer that is quick")
        names.release.clear()
        for name in slow:
            resolver.ask(name)
        resolver.ask("good.example")

        assert [name for name, _addresses in until(resolver.answers, 20, "the quick one")] == ["good.example"]
    finally:
        names.release.set()
        resolver.close()


def test_a_look_up_that_fails_is_no_answer_and_ends_no_thread() -> None:
    """Whatever goes wrong, the name can be asked again."""

    def fail(_name: str) -> tuple[Address, ...]:
        raise RuntimeError("no more")

    resolver = Resolver(lambda: None, fail, threads=1)
    try:
        for _ in range(2):
            resolver.ask("a.example")
            assert until(resolver.answers, 20, "an answer") == [("a.example", ())]
    finally:
        resolver.close()


def test_without_a_thread_a_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread the answer comes at once, and the next question asks anew."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    told = threading.Event()
    resolver = Resolver(told.set, Names([[FIRST]]))
    try:
        with monkeypatch.context() as none:
            none.setattr(threading.Thread, "start", refuse)
            resolver.ask("a.example")
        assert told.is_set()
        assert resolver.answers() == [("a.example", ())]
        resolver.ask("a.example")
        assert until(resolver.answers, 20, "an answer") == [("a.example", (ip_address(FIRST),))]
    finally:
        resolver.close()


def test_closing_gives_back_what_waits_for_a_name() -> None:
    """A sending whose name is being asked is broken off like any other."""
    names = Silent("silent.example")
    sender = HttpTarget(PATIENT, ONE, look_up=names)
    waiting = sending("http://silent.example/")
    sender.start([waiting])

    assert len(sender) == 1
    assert sender.close() == [waiting.key]
    names.release.set()


def test_a_target_that_holds_is_no_reason_to_wait_for_a_name(
    make: Make, places: tuple[RecordingTarget, RecordingTarget]
) -> None:
    """An answer about a name is heard while requests are under way."""
    first, _second = places
    held = Held(202)
    first.always("/held", held)
    sender, _names = make(BOTH, [[FIRST]])
    slow, quick = sending(first.url("/held")), sending(f"http://named.example:{first.port}/quick")
    sender.start([slow])
    sender.start([quick])

    assert outcomes(sender, 1)[quick.key].status == 200
    held.release.set()
    assert outcomes(sender, 1)[slow.key].status == 202
