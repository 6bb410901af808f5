"""What every target does with a batch of sendings, and what the one over HTTP makes of each way to fail."""

from __future__ import annotations

import base64
import gc
import gzip
import itertools
import socket
import subprocess
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pycurl
import pytest

from pacifica.notifications.addresses import Policy
from pacifica.notifications.globals import VERSION
from pacifica.notifications.retry import Failure, Outcome
from pacifica.notifications.targets import HttpTarget, Sending, Target
from pacifica.notifications.transfer import Limits
from tests.support.listener import Exchange, Headers, tls_available
from tests.support.missing import missing
from tests.support.ports import free_port
from tests.support.servers.nginx_sink import NginxSink
from tests.support.target import Answer, Dripping, Endless, Held, Raw, RecordingTarget, Reset, redirect
from tests.support.wait import until

#: Patient enough for a machine that is busy; what is to time out has limits of its own.
OPEN = Policy(profile="local", ports=((1, 65535),))
PATIENT = Limits(connect=20, total=20)
HASTY = Limits(connect=0.5, total=0.5)

_keys = itertools.count(1)


def sending(url: str, **changes: Any) -> Sending:
    """Return a sending with a key of its own."""
    members: dict[str, Any] = {
        "key": next(_keys),
        "url": url,
        "body": b'{"a": 1}',
        "content_type": "application/json",
        "delivery": "0f2a6d4e-1111-4222-8333-444455556666",
        "attempt": 1,
    }
    return Sending(**{**members, **changes})


def outcomes(target: Target, count: int) -> dict[Hashable, Outcome]:
    """Wait until `count` sendings have ended, and return all that have by their keys."""
    ended: dict[Hashable, Outcome] = {}

    def enough() -> bool:
        ended.update(target.wait(0.5))
        return len(ended) >= count

    until(enough, 40, f"{count} outcomes")
    return ended


def outcome(target: Target, url: str, **changes: Any) -> Outcome:
    """Send one and return what came of it."""
    sent = sending(url, **changes)
    target.start([sent])
    return outcomes(target, 1)[sent.key]


@pytest.fixture(params=["http", "https"])
def place(request: pytest.FixtureRequest) -> Iterator[RecordingTarget]:
    """Where deliveries arrive, once for each kind of target."""
    tls = request.param == "https"
    if tls and (reason := tls_available()):
        missing(reason)
    with RecordingTarget(tls=tls) as started:
        yield started


@pytest.fixture
def make(place: RecordingTarget) -> Iterator[Callable[[Limits], Target]]:
    """Make targets that reach the place, and close them at the end."""
    made: list[HttpTarget] = []

    def make(limits: Limits = PATIENT) -> Target:
        ca_file = str(place.certificate) if place.origin.startswith("https") else ""
        made.append(HttpTarget(replace(limits, ca_file=ca_file), OPEN))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def sender(make: Callable[[Limits], Target]) -> Target:
    """A patient target."""
    return make(PATIENT)


@pytest.fixture
def http() -> Iterator[HttpTarget]:
    """A patient target over HTTP that trusts no private authority."""
    made = HttpTarget(PATIENT, OPEN)
    yield made
    made.close()


# Every target.


def test_a_batch_goes_in_and_every_outcome_comes_out(sender: Target, place: RecordingTarget) -> None:
    """Each sending of a batch has one outcome, under its own key."""
    place.answers("/3", [503])
    batch = [sending(place.url(f"/{number}"), key=("key", number)) for number in range(50)]

    sender.start(batch)
    assert len(sender) == 50
    found = outcomes(sender, 50)

    assert {key: found[key].status for key in found} == {each.key: 200 for each in batch} | {("key", 3): 503}
    assert len(sender) == 0
    assert sorted(request.path for request in place.requests()) == sorted(f"/{number}" for number in range(50))


def test_outcomes_come_as_they_come(sender: Target, place: RecordingTarget) -> None:
    """A slow receiver holds nobody up, and more may be sent while it is waited for."""
    held = Held(202)
    place.always("/slow", held)
    slow, quick, later = (sending(place.url(path)) for path in ("/slow", "/quick", "/later"))

    sender.start([slow, quick])
    first = outcomes(sender, 1)
    sender.start([later])
    second = outcomes(sender, 1)
    # Nothing is sent but while somebody waits.
    until(lambda: not sender.wait(0.05) and place.requests("/slow"), 30, "the slow request")
    held.release.set()
    third = outcomes(sender, 1)

    assert [list(each) for each in (first, second, third)] == [[quick.key], [later.key], [slow.key]]
    assert third[slow.key].status == 202


def test_many_are_under_way_at_once(sender: Target, place: RecordingTarget) -> None:
    """No sending of a batch waits for another one's end."""
    held = Held(200)
    place.always("/", held)

    sender.start([sending(place.url("/")) for _ in range(40)])
    assert sender.wait(0) == []
    until(lambda: not sender.wait(0.05) and len(place.requests()) == 40, 30, "40 requests at once")
    held.release.set()

    assert len(outcomes(sender, 40)) == 40


def test_waiting_for_nothing_ends(sender: Target) -> None:
    """Without anything under way there is nothing to wait for."""
    assert sender.wait(0) == []
    assert sender.wait(3600) == []
    assert len(sender) == 0


def test_waiting_ends_when_its_time_is_up(sender: Target, place: RecordingTarget) -> None:
    """A wait that brings nothing ends, and what is under way stays so."""
    place.always("/", Held())
    sender.start([sending(place.url("/"))])

    assert sender.wait(0.1) == []
    assert len(sender) == 1


def test_closing_gives_back_what_was_under_way(sender: Target, place: RecordingTarget) -> None:
    """Whatever has no outcome yet is broken off and named by its key."""
    place.always("/", Held())
    held = [sending(place.url("/")), sending(place.url("/"))]
    unusable = sending(place.url("/"), auth={"type": "basic"})
    sender.start(held)
    until(lambda: not sender.wait(0.05) and len(place.requests()) == 2, 30, "2 requests")
    sender.start([unusable])

    assert sorted(map(str, sender.close())) == sorted(str(each.key) for each in [*held, unusable])


def test_the_body_arrives_byte_for_byte(sender: Target, place: RecordingTarget) -> None:
    """What is sent is what arrives, of any size, with its type and its length."""
    bodies = [b"", b'{"\xc3\xa4": "\\u0000"}\n', bytes(range(256)), b"x" * 1_000_000]

    for number, body in enumerate(bodies):
        assert outcome(
            sender, place.url(f"/{number}"), body=body, content_type="application/cloudevents+json"
        ).delivered

    arrived = [place.requests(f"/{number}")[0] for number in range(len(bodies))]
    assert [request.body for request in arrived] == bodies
    assert {(request.method, request.header("Content-Type")) for request in arrived} == {
        ("POST", "application/cloudevents+json")
    }
    assert [request.header("Content-Length") for request in arrived] == [str(len(body)) for body in bodies]


@pytest.mark.parametrize("path", ["/a/../b", "/./c", "/d%2F..%2Fe", "/f//g", "/%7Eh/~i", "/j;k=l"])
def test_the_path_is_taken_as_it_stands(path: str, sender: Target, place: RecordingTarget) -> None:
    """A URL's path and query reach the target as their owner wrote them."""
    assert outcome(sender, place.url(f"{path}?q=a%20b&q=..")).delivered

    assert [(request.path, request.query) for request in place.requests()] == [(path, "q=a%20b&q=..")]


def test_our_headers_say_which_delivery_it_is(sender: Target, place: RecordingTarget) -> None:
    """Delivery and attempt stand in headers of their own, replay only on replays."""
    outcome(sender, place.url("/first"), delivery="d-1", attempt=1)
    outcome(sender, place.url("/again"), delivery="d-1", attempt=7, replay=2)

    first, again = (place.requests(path)[0] for path in ("/first", "/again"))
    assert (first.delivery, first.attempt, first.header("Notifications-Replay")) == ("d-1", 1, None)
    assert (again.delivery, again.attempt, again.header("Notifications-Replay")) == ("d-1", 7, "2")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 400, 401, 404, 410, 413, 429, 500, 503, 599])
def test_a_status_is_an_outcome(status: int, sender: Target, place: RecordingTarget) -> None:
    """2xx is delivered; any other answer is a failure with its status, never an exception."""
    place.always("/", Answer(status, body=b"" if status == 204 else b"said"))

    found = outcome(sender, place.url("/"))

    assert (found.status, found.delivered, found.permanent) == (status, status < 300, status == 410)
    assert found.failure == (None if status < 300 else Failure.HTTP)
    assert found.answer == (b"" if status == 204 else b"said")
    assert found.seconds > 0


def test_a_receiver_that_comes_back_is_reached(sender: Target, place: RecordingTarget) -> None:
    """Connections that died with the receiver do not fail a later sending."""
    found = [outcome(sender, place.url("/"))]
    place.stop()
    found.append(outcome(sender, place.url("/")))
    place.start()
    found += [outcome(sender, place.url("/")) for _ in range(3)]

    assert [each.failure for each in found] == [None, Failure.REFUSED, None, None, None]


def test_a_connection_serves_many_sendings(sender: Target, place: RecordingTarget) -> None:
    """One after the other, sendings to one place need no connection of their own."""
    place.always("/", Answer(200, body=b"said"))

    for _ in range(20):
        assert outcome(sender, place.url("/")).delivered

    assert len({request.client for request in place.requests()}) == 1


# Authentication.


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({}, None),
        (
            {"type": "basic", "basic": {"username": "me", "password": "se:cret"}},
            "Basic " + base64.b64encode(b"me:se:cret").decode(),
        ),
        (
            {"type": "basic", "basic": {"username": "", "password": ""}},
            "Basic " + base64.b64encode(b":").decode(),
        ),
        (
            {"type": "basic", "basic": {"username": "ä", "password": "ö" * 500}},
            "Basic " + base64.b64encode(f"ä:{'ö' * 500}".encode()).decode(),
        ),
        ({"type": "header", "header": {"type": "Bearer", "credentials": "a.b.c=="}}, "Bearer a.b.c=="),
        ({"type": "header", "header": {"type": "ApiKey", "credentials": 'id="1", key=2'}}, 'ApiKey id="1", key=2'),
        (
            {
                "type": "header",
                "header": {"type": "Bearer", "credentials": "x"},
                "basic": {"username": "me", "password": "y"},
            },
            "Bearer x",
        ),
    ],
)
def test_authentication_is_sent(
    auth: dict[str, Any], expected: str | None, sender: Target, place: RecordingTarget
) -> None:
    """Basic is sent as RFC 7617 says, a header as scheme and credentials, and without `auth` nothing."""
    assert outcome(sender, place.url("/"), auth=auth).delivered

    assert place.requests()[0].header("Authorization") == expected


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "basic"},
        {"type": "basic", "basic": None},
        {"type": "basic", "basic": {"username": "me"}},
        {"type": "header", "header": "Bearer x"},
        {"type": "header", "header": {"type": "Bearer", "credentials": "x\r\nHost: evil"}},
        {"type": "header", "header": {"type": "Bearer\n", "credentials": "x"}},
        {"type": "header", "header": {"type": "Bearer", "credentials": "\ud800"}},
    ],
)
def test_authentication_that_cannot_be_sent_fails_alone(
    auth: dict[str, Any], sender: Target, place: RecordingTarget
) -> None:
    """What old rows may hold, or could write other headers, is not sent; the rest of the batch is."""
    bad, good = sending(place.url("/bad"), auth=auth), sending(place.url("/good"))

    sender.start([bad, good])
    found = outcomes(sender, 2)

    assert (found[bad.key].failure, found[good.key].failure) == (Failure.HTTP, None)
    assert [request.path for request in place.requests()] == ["/good"]


# Ways to fail.


def test_a_name_that_does_not_resolve() -> None:
    """A host whose name can't be resolved is a failure of its own."""
    sender = HttpTarget(PATIENT, OPEN, look_up=lambda _name: ())
    try:
        found = outcome(sender, "http://nowhere.example/")
    finally:
        sender.close()

    assert (found.failure, found.status) == (Failure.DNS, None)


def test_nobody_listens(sender: Target, place: RecordingTarget) -> None:
    """A refused connection is a failure of its own."""
    scheme = place.origin.partition(":")[0]

    found = outcome(sender, f"{scheme}://127.0.0.1:{free_port()}/")

    assert (found.failure, found.status) == (Failure.REFUSED, None)


def test_a_certificate_of_an_unknown_authority(http: HttpTarget) -> None:
    """A certificate that no trusted authority has signed ends the attempt before anything is sent."""
    if reason := tls_available():
        missing(reason)
    with RecordingTarget(tls=True) as place:
        found = outcome(http, place.url("/"))

        assert (found.failure, found.status) == (Failure.TLS, None)
        assert place.requests() == []


def test_a_certificate_for_another_name() -> None:
    """A trusted certificate serves only the names that stand in it."""
    if reason := tls_available():
        missing(reason)
    with RecordingTarget(tls=True) as place:
        sender = HttpTarget(Limits(20, 20, str(place.certificate)), OPEN)

        found = outcome(sender, f"https://127.0.0.2:{place.port}/"), outcome(sender, f"https://localhost:{place.port}/")

        sender.close()
        assert [each.failure for each in found] in ([Failure.TLS, None], [Failure.REFUSED, None])


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    """A certificate that is trusted and old ends the attempt before anything is sent."""
    if reason := tls_available():
        missing(reason)
    with RecordingTarget(tls=True) as place:
        place.stop()
        # Signed by the key that is there for the name that is there, for two days long ago.
        key = place.certificate.with_name("key.pem")
        request = ["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=localhost"]
        csr, extensions = tmp_path / "request.pem", tmp_path / "extensions"
        csr.write_bytes(subprocess.run(request, check=True, capture_output=True).stdout)
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="utf-8")
        sign = ["openssl", "x509", "-req", "-in", str(csr), "-signkey", str(key), "-days", "-1"]
        sign += ["-extfile", str(extensions), "-out", str(place.certificate)]
        subprocess.run(sign, check=True, capture_output=True)
        place.start()
        sender = HttpTarget(replace(PATIENT, ca_file=str(place.certificate)), OPEN)

        found = outcome(sender, place.url("/"))

        sender.close()
        assert (found.failure, found.status, place.requests()) == (Failure.TLS, None, [])


def test_no_tls_where_tls_was_expected(http: HttpTarget, target: RecordingTarget) -> None:
    """A server that speaks no TLS fails a sending over https."""
    assert outcome(http, f"https://127.0.0.1:{target.port}/").failure is Failure.TLS


def test_authorities_that_cannot_be_read(target: RecordingTarget, tmp_path: Path) -> None:
    """Without a readable file of authorities https fails and http does not."""
    sender = HttpTarget(Limits(20, 20, str(tmp_path / "absent.pem")), OPEN)

    found = outcome(sender, f"https://127.0.0.1:{target.port}/"), outcome(sender, target.url("/"))

    sender.close()
    assert [each.failure for each in found] == [Failure.TLS, None]


def test_silence(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """A receiver that does not answer in time is a failure of its own."""
    place.always("/", Held())

    found = outcome(make(HASTY), place.url("/"))

    assert (found.failure, found.status) == (Failure.TIMEOUT, None)


@pytest.mark.parametrize(
    "answer",
    [
        Dripping(200, [("X-Slow", "y" * 400)], b"said", pause=0.02),
        Dripping(200, body=b"." * 1000, pause=0.02),
    ],
    ids=["header", "body"],
)
def test_a_dripping_answer(answer: Answer, make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """The total limit is one of the clock: an answer that comes byte by byte does not stretch it."""
    place.always("/", answer)

    found = outcome(make(HASTY), place.url("/"))

    assert (found.failure, found.status, found.delivered) == (Failure.TIMEOUT, None, False)


def test_a_body_that_nobody_reads(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """The total limit covers the handshake and the sending, where somebody listens and reads nothing."""
    scheme = place.origin.partition(":")[0]

    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = outcome(make(HASTY), f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/", body=b"x" * 20_000_000)

    assert (found.failure, found.status) == (Failure.TIMEOUT, None)


def test_an_endless_answer(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """Of an answer only the beginning is read; then its status counts and the connection ends, before any limit."""
    sender = make(Limits(20, 3600))
    place.answers("/", [Endless(200), Endless(500)])

    found = [outcome(sender, place.url("/")), outcome(sender, place.url("/")), outcome(sender, place.url("/"))]

    assert [(each.status, each.failure) for each in found] == [(200, None), (500, Failure.HTTP), (200, None)]
    assert [len(each.answer) for each in found] == [64 * 1024, 64 * 1024, 0]


@pytest.mark.parametrize("answer", [Reset(), Raw()], ids=["reset", "closed"])
def test_a_connection_that_breaks(answer: Answer, sender: Target, place: RecordingTarget) -> None:
    """A connection that is reset or closed without an answer is a failure of its own."""
    place.always("/", answer)

    found = outcome(sender, place.url("/"))

    assert (found.failure, found.status) == (Failure.RESET, None)


@pytest.mark.parametrize(
    "body",
    [
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\non",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\non\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off(body: bytes, sender: Target, place: RecordingTarget) -> None:
    """An answer that ends before its end is no answer, wherever it is cut off, whatever its status is."""
    place.always("/", Raw(body=body))

    found = outcome(sender, place.url("/"))

    assert (found.failure, found.status, found.retry_after) == (Failure.RESET, None, None)


@dataclass(frozen=True, slots=True)
class Repeating(Answer):
    """The body once, then `again` until the client has had enough; nothing of it need be HTTP."""

    again: bytes = b""

    def give(self, exchange: Exchange) -> None:
        """Send on and on."""
        exchange.send(self.body)
        while not exchange.close_connection and not exchange.server.listener.stopping.is_set():
            exchange.send(self.again)
        exchange.close_connection = True


@pytest.mark.parametrize(
    "answer",
    [
        Repeating(again=b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 900 + b"\r\n\r\n"),
        Repeating(body=b"HTTP/1.1 200 OK\r\n", again=b"X: " + b"x" * 900 + b"\r\n"),
        Repeating(body=b"HTTP/1.1 200 OK\r\nX: ", again=b"x" * 900),
    ],
    ids=["interim", "headers", "line"],
)
def test_headers_without_end(answer: Answer, make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """Interim answers, headers and a header that do not end are no HTTP, long before any time is up."""
    place.always("/", answer)

    found = outcome(make(Limits(20, 3600)), place.url("/"))

    assert (found.failure, found.status) == (Failure.HTTP, None)


def test_headers_of_earlier_answers_do_not_count(sender: Target, place: RecordingTarget) -> None:
    """What a handle has received before does not make a later answer too long."""
    long = Answer(200, [(f"X-{number}", "x" * 8000) for number in range(10)])
    place.answers("/", [*[long] * 6, Reset(), Reset()])

    found = [outcome(sender, place.url("/")).failure for _ in range(7)]

    assert found == [None] * 6 + [Failure.RESET]


def test_interim_answers_are_passed_over(sender: Target, place: RecordingTarget) -> None:
    """What counts is the answer after them."""
    interim = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    place.always("/", Raw(body=interim * 3 + b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nsaid"))

    found = outcome(sender, place.url("/"))

    assert (found.status, found.answer, found.retry_after) == (503, b"said", None)


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (2047, 2047), (2048, 2048), (2049, 2048), (100_000, 2048)])
def test_an_answer_is_read_up_to_its_bound(
    size: int, kept: int, make: Callable[[Limits], Target], place: RecordingTarget
) -> None:
    """A longer answer is an answer all the same; only one that was too long costs its connection."""
    sender = make(replace(PATIENT, answer=2048))
    place.always("/", Answer(202, body=b"x" * size))

    found = [outcome(sender, place.url("/")), outcome(sender, place.url("/"))]

    assert [(each.status, each.failure, len(each.answer)) for each in found] == [(202, None, kept)] * 2
    assert len({request.client for request in place.requests()}) == (1 if size == kept else 2)


def test_an_answer_is_not_unpacked(sender: Target, place: RecordingTarget) -> None:
    """What a target compresses although nobody asked it to is kept as it came: no small answer becomes a large one."""
    packed = gzip.compress(b"x" * 1_000_000)
    place.always("/", Answer(200, [("Content-Encoding", "gzip")], packed))

    found = outcome(sender, place.url("/"))

    assert (found.status, found.answer) == (200, packed)
    assert place.requests()[0].header("Accept-Encoding") == "identity"


# When to come again.


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, [("Retry-After", "120")], 120),
        (429, [("retry-after", "7")], 7),
        (503, [("Retry-After", "Sat, 01 Jan 2000 00:01:30 GMT"), ("Date", "Sat, 01 Jan 2000 00:00:00 GMT")], 90),
        (503, [("Retry-After", "Sat, 01 Jan 2000 00:01:30 GMT")], 0),
        (503, [("Retry-After", "soon")], None),
        (503, [], None),
        (500, [("Retry-After", "120")], None),
        (404, [("Retry-After", "120")], None),
        (301, [("Retry-After", "120")], None),
        (200, [("Retry-After", "120")], None),
    ],
)
def test_a_busy_target_says_when_to_come_again(
    status: int, headers: Headers, seconds: float | None, sender: Target, place: RecordingTarget
) -> None:
    """`Retry-After` counts with 429 and 503, and nothing of it is kept for the next answer."""
    place.answers("/", [Answer(status, headers), Answer(503)])

    found = outcome(sender, place.url("/")), outcome(sender, place.url("/"))

    assert [each.retry_after for each in found] == [seconds, None]


# Connections.


def test_a_target_that_closes_without_saying_so(sender: Target, place: RecordingTarget) -> None:
    """A connection that the target closed after its answer fails nothing that is sent later."""

    class Closing(Answer):
        def give(self, exchange: Exchange) -> None:
            exchange.answer(200)
            exchange.close_connection = True

    place.always("/", Closing())

    assert [outcome(sender, place.url("/")).status for _ in range(10)] == [200] * 10
    assert len(place.requests()) == 10


@pytest.mark.parametrize("silence", [Raw(), Reset()], ids=["closed", "reset"])
def test_a_connection_that_dies_under_a_sending(silence: Answer, sender: Target, place: RecordingTarget) -> None:
    """A used connection that ends without a byte is no failure: the same attempt is sent again, on a new one.

    The target may get it twice, with the same delivery and attempt.
    """
    place.answers("/", [200, silence, 201])

    found = [outcome(sender, place.url("/"), attempt=attempt) for attempt in (1, 2)]

    assert [each.status for each in found] == [200, 201]
    assert [(request.attempt, request.body) for request in place.requests()] == [
        (1, b'{"a": 1}'),
        (2, b'{"a": 1}'),
        (2, b'{"a": 1}'),
    ]


def test_a_new_connection_that_dies_is_one_failure(sender: Target, place: RecordingTarget) -> None:
    """Nothing is sent a second time where no connection was there before."""
    place.always("/", Raw())

    assert outcome(sender, place.url("/")).failure is Failure.RESET
    assert len(place.requests()) == 1


def test_a_host_has_its_share_and_no_more(
    make: Callable[[Limits], Target], place: RecordingTarget, target: RecordingTarget
) -> None:
    """Beyond what may be in flight to one host sendings wait, those to other hosts do not, and none is forgotten."""
    held = Held(202)
    place.always("/", held)
    sender = make(replace(PATIENT, per_host=3))
    many, other = [sending(place.url("/")) for _ in range(10)], sending(target.url("/"))

    sender.start([*many, other])
    first = outcomes(sender, 1)
    until(lambda: not sender.wait(0.05) and len(place.requests()) >= 3, 30, "3 requests")
    in_flight = len(place.requests()), len(sender)
    held.release.set()
    rest = outcomes(sender, 10)

    assert list(first) == [other.key]
    assert in_flight == (3, 10)
    assert {key: each.status for key, each in rest.items()} == {each.key: 202 for each in many}


@pytest.mark.parametrize("mark", ["?", "#"])
def test_what_names_a_host_behind_its_own_takes_nothing_of_its_share(
    mark: str, make: Callable[[Limits], Target], place: RecordingTarget, target: RecordingTarget
) -> None:
    """The authority ends at a query or a fragment, too: an @ behind it names nobody."""
    held = Held(202)
    place.always("/", held)
    other = target.url("").partition("://")[2]
    many, victim = [sending(f"{place.url('')}{mark}@{other}") for _ in range(10)], sending(target.url("/"))

    sender = make(replace(PATIENT, per_host=3))
    sender.start([*many, victim])
    first = outcomes(sender, 1)
    held.release.set()

    assert list(first) == [victim.key]
    assert first[victim.key].delivered
    assert all(each.status == 202 for each in outcomes(sender, 10).values())


def test_the_time_of_a_sending_begins_with_its_turn(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """Whoever waits behind a silent sending is sent all the same, and has all of its time."""
    place.always("/", Held())
    sender = make(Limits(20, 0.5, per_host=1))

    sender.start([sending(place.url("/"), attempt=attempt) for attempt in (1, 2, 3)])
    found = outcomes(sender, 3)

    assert [each.failure for each in found.values()] == [Failure.TIMEOUT] * 3
    assert [request.attempt for request in place.requests()] == [1, 2, 3]


def test_closing_gives_back_what_waits_for_its_turn(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """What was not sent yet is named as well."""
    place.always("/", Held())
    sender = make(replace(PATIENT, per_host=1))
    given = [sending(place.url("/")) for _ in range(5)]
    sender.start(given)

    assert sorted(map(str, sender.close())) == sorted(str(each.key) for each in given)


def test_a_broken_url_does_not_stop_those_behind_it() -> None:
    """What waits behind sendings that can't be made has its turn."""
    sender = HttpTarget(replace(PATIENT, per_host=1), OPEN)
    given = [sending("http://127.0.0.1:99999/") for _ in range(5)]

    sender.start(given)
    found = outcomes(sender, 5)

    sender.close()
    assert found.keys() == {each.key for each in given}
    assert {each.failure for each in found.values()} == {Failure.FORBIDDEN}


def test_few_connections_are_kept(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """After many sendings at once only so many connections stay open."""
    held = Held(200)
    place.always("/", held)
    sender = make(replace(PATIENT, connections=4))
    sender.start([sending(place.url("/")) for _ in range(30)])
    until(lambda: not sender.wait(0.05) and len(place.requests()) == 30, 30, "30 requests")

    held.release.set()
    outcomes(sender, 30)

    until(lambda: (sender.wait(0), 0 < len(connections_to(place.port)) <= 4)[1], 30, "at most 4 connections")


def connections_to(port: int) -> list[Any]:
    """Return the open connections of this process to a port."""
    found = psutil.Process().net_connections()
    return [each for each in found if each.status == "ESTABLISHED" and each.raddr and each.raddr.port == port]


def test_more_are_in_flight_than_select_can_watch(target: RecordingTarget) -> None:
    """1,100 sendings to a silent host are all sent, and one to another host is answered beside them."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        missing(f"no more than {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    sender = HttpTarget(Limits(20, 20, per_host=1100, connections=1200), OPEN)
    good = sending(target.url("/"))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as silent:
        port = silent.getsockname()[1]

        sender.start([*(sending(f"http://127.0.0.1:{port}/") for _ in range(1100)), good])
        found = outcomes(sender, 1)
        until(lambda: not sender.wait(0.01) and len(connections_to(port)) > 1024, 20, "more than 1,024 connections")
        broken = sender.close()

    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [(key, each.status) for key, each in found.items()] == [(good.key, 200)]
    assert len(broken) == 1100


def test_nothing_is_left_open(make: Callable[[Limits], Target], place: RecordingTarget) -> None:
    """After 2,000 sendings that ended in every way no file is open that was not before, and handles were used again."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are counted where Linux shows them")
    place.always("/reset", Reset())
    place.always("/cut", Raw(body=b"HTTP/1.1 200 OK\r\nContent-Le"))
    place.always("/long", Answer(200, body=b"x" * 100_000))
    place.always("/busy", Answer(503, [("Retry-After", "1")]))
    scheme = place.origin.partition(":")[0]
    urls = [place.url(path) for path in ("/", "/", "/", "/reset", "/cut", "/long", "/busy")]
    urls += [f"{scheme}://127.0.0.1:{free_port()}/", "http://127.0.0.1:99999/", f"http://{'a' * 64}.invalid/"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    sender = make(replace(PATIENT, connections=20))

    for _ in range(40):
        sender.start([sending(url, body=b"x" * 3000) for url in urls * 5])
        outcomes(sender, 50)
    handles = sum(isinstance(each, pycurl.Curl) for each in gc.get_objects())
    sender.close()

    assert handles <= 60
    until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before, 30, "all to be closed")


# HTTP/2.


@pytest.fixture
def sink() -> Iterator[NginxSink]:
    """An nginx that offers HTTP/2 over TLS."""
    if reason := NginxSink.available():
        missing(reason)
    if not pycurl.version_info()[4] & pycurl.VERSION_HTTP2:
        missing("libcurl was built without HTTP/2 here")
    with NginxSink() as started:
        yield started


def test_http_2_where_it_is_offered(sink: NginxSink) -> None:
    """Over TLS the offer of HTTP/2 is taken, and many sendings share a connection; without TLS it is HTTP/1.1."""
    sender = HttpTarget(replace(PATIENT, ca_file=str(sink.certificate)), OPEN)
    first = outcome(sender, f"{sink.tls_url}/said")
    batch = [sending(f"{sink.tls_url}/said", body=b"x" * 3000) for _ in range(40)]

    sender.start(batch)
    found = outcomes(sender, 40)
    plain = outcome(sender, f"{sink.url}/said")

    sender.close()
    said = [each.answer.split() for each in [first, *found.values()]]
    assert {protocol for protocol, _connection, _number in said} == {b"HTTP/2.0"}
    assert len({connection for _protocol, connection, _number in said}) == 1
    assert plain.answer.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "body", [b"hello\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n"]
)
def test_an_answer_that_is_no_http(body: bytes, sender: Target, place: RecordingTarget) -> None:
    """Whoever answers something else than HTTP has not taken the delivery."""
    place.always("/", Raw(body=body))

    found = outcome(sender, place.url("/"))

    assert (found.failure, found.status) == (Failure.HTTP, None)


@pytest.mark.parametrize(
    "url", ["", "nothing", "http://", "http://[", "ftp://127.0.0.1/", "file:///etc/passwd", "http://a b/", "\ud800"]
)
def test_a_url_that_cannot_be_used_fails_alone(url: str, http: HttpTarget, target: RecordingTarget) -> None:
    """What old rows may hold as a URL waits with its reason, without an attempt; the rest of the batch is sent."""
    bad, good = sending(url), sending(target.url("/"))

    http.start([bad, good])
    found = outcomes(http, 2)

    assert found[bad.key].failure is Failure.FORBIDDEN
    assert found[bad.key].reason.startswith("target_url: ")
    assert found[good.key].delivered


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, sender: Target, place: RecordingTarget) -> None:
    """A redirect is a failure of its own, and nobody asks at the other place."""
    place.always("/", redirect(place.url("/elsewhere"), status))

    found = outcome(sender, place.url("/"))

    assert (found.failure, found.status, found.permanent) == (Failure.REDIRECT, status, False)
    assert [request.path for request in place.requests()] == ["/"]


# What is not taken from anywhere, and what is not sent.


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_proxies_of_the_environment_are_ignored(
    name: str, sender: Target, place: RecordingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery goes straight to its target, whatever proxy the environment names."""
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert outcome(sender, place.url("/")).delivered


def test_netrc_is_ignored(
    sender: Target, place: RecordingTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passwords of the user that the worker runs as are nobody's."""
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("machine 127.0.0.1 login me password secret\ndefault login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    assert outcome(sender, place.url("/")).delivered
    assert place.requests()[0].header("Authorization") is None


def test_cookies_are_not_kept(sender: Target, place: RecordingTarget) -> None:
    """What a target sets as a cookie is not sent to it again."""
    place.always("/", Answer(200, [("Set-Cookie", "session=1; Path=/")]))

    for _ in range(4):
        outcome(sender, place.url("/"))

    assert [request.header("Cookie") for request in place.requests()] == [None] * 4


def test_nothing_of_one_sending_gets_into_the_next(sender: Target, place: RecordingTarget) -> None:
    """A handle and a connection that are used again carry only what belongs to the new sending."""
    auth = {"type": "header", "header": {"type": "Bearer", "credentials": "secret"}}
    answer = Answer(503, [("Retry-After", "9"), ("Set-Cookie", "a=b")], b"said")
    place.always("/first", answer)
    place.always("/cut", Endless(200))
    first, cut = {"auth": auth, "replay": 1, "body": b"x" * 100_000, "content_type": "text/x"}, {"auth": auth}
    bare = []

    for path, changes in (("/first?secret", first), ("/cut", cut), ("/named", {"url": "user:secret@"})):
        url = place.url(path).replace("://", f"://{changes.pop('url', '')}")
        outcome(sender, url, **changes)
        bare.append(outcome(sender, place.url("/bare"), body=b""))

    requests = place.requests("/bare")
    assert [(each.status, each.answer, each.retry_after) for each in bare] == [(200, b"", None)] * 3
    assert [(request.body, request.query) for request in requests] == [(b"", "")] * 3
    expected = {
        ("Content-Type", "application/json"),
        ("Content-Length", "0"),
        ("Notifications-Delivery", "0f2a6d4e-1111-4222-8333-444455556666"),
        ("Notifications-Attempt", "1"),
    }
    always = {"Host", "User-Agent", "Accept", "Accept-Encoding"}
    assert [{each for each in request.headers if each[0] not in always} for request in requests] == [expected] * 3


def test_only_these_headers_are_sent(sender: Target, place: RecordingTarget) -> None:
    """No other header than these is sent; no target is asked whether a body may come."""
    outcome(sender, place.url("/"), body=b"x" * 2_000_000)

    request = place.requests()[0]
    names = {name.lower() for name, _value in request.headers}
    ours = {"notifications-delivery", "notifications-attempt"}
    assert names == {"host", "user-agent", "accept", "content-type", "content-length", "accept-encoding", *ours}
    assert request.header("User-Agent") == f"pacifica-notifications/{VERSION}"
