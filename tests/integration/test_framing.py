"""Request smuggling: what two readers would end at different places is refused, and nothing behind it is looked at."""

from __future__ import annotations

import json
import re

import pytest

from tests.support import raw
from tests.support.factories import make_event
from tests.support.watched import Watched

from .conftest import Start

EVENT = json.dumps(make_event()).encode()
LENGTH = b"Content-Length: %d\r\n" % len(EVENT)
CODED = b"Transfer-Encoding: chunked\r\n"
#: What an attacker hides behind a request; its path would be in the answer.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
SIZE = b"%x" % len(EVENT)
#: The beginning of an answer, which may stand right behind the one before.
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
CHUNKS = SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: none of this comes as far as the database."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


def post(headers: bytes, body: bytes = EVENT) -> bytes:
    """Return a request with an event, and a hidden one behind it."""
    return (
        b"POST /receive HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + headers + b"\r\n" + body + HIDDEN
    )


REFUSED = {
    "length and chunks": post(LENGTH + CODED, CHUNKS),
    "chunks and length": post(CODED + LENGTH, b"0\r\n\r\n"),
    "length and identity": post(b"Transfer-Encoding: identity\r\n" + LENGTH),
    "length twice": post(LENGTH + LENGTH),
    "two lengths": post(b"Content-Length: 2\r\n" + LENGTH),
    "lengths in a list": post(b"Content-Length: 2, 2\r\n"),
    "length with a plus": post(b"Content-Length: +2\r\n"),
    "length with a minus": post(b"Content-Length: -2\r\n"),
    "length in hexadecimal": post(b"Content-Length: 0x2\r\n"),
    "length with an underscore": post(b"Content-Length: 1_0\r\n"),
    "length with a space": post(b"Content-Length: 1 0\r\n"),
    "length of nothing": post(b"Content-Length:\r\n"),
    "length behind a vertical tab": post(b"Content-Length: \x0b2\r\n"),
    "folded length": post(b"Content-Length:\r\n 2\r\n"),
    "folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
    "folded header": post(b"X-A: a\r\n\tb\r\n" + LENGTH),
    "folded beginning": b"POST /receive HTTP/1.1\r\n X: a\r\nHost: x\r\n" + LENGTH + b"\r\n" + EVENT + HIDDEN,
    "bare LF behind the first line": b"POST /receive HTTP/1.1\nHost: x\r\n" + LENGTH + b"\r\n" + EVENT + HIDDEN,
    "bare LF": post(b"X-A: a\n" + LENGTH),
    "bare LF hides a coding": post(b"X-A: a\n" + CODED + LENGTH),
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: x\r\n\n" + HIDDEN,
    "bare CR hides a coding": post(b"X-A: a\rTransfer-Encoding: chunked\r\n" + LENGTH),
    "NUL in a value": post(b"X-A: a\0b\r\n" + LENGTH),
    "NUL in a name": post(b"X\0A: a\r\n" + LENGTH),
    "no name": post(b": a\r\n" + LENGTH),
    "no colon": post(b"X-A a\r\n" + LENGTH),
    "space before the colon": post(b"Transfer-Encoding : chunked\r\n" + LENGTH),
    "chunked twice": post(CODED + CODED, CHUNKS),
    "chunked twice in a list": post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "chunked behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS),
    "chunked and more": post(b"Transfer-Encoding: chunked, identity\r\n", CHUNKS),
    "more and chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
    "nearly chunked": post(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "chunks in HTTP/1.0": post(CODED, CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "size with a sign": post(CODED, b"+" + CHUNKS),
    "size with 0x": post(CODED, b"0x" + CHUNKS),
    "size with an underscore": post(CODED, SIZE[:1] + b"_" + CHUNKS[1:]),
    "size with a space": post(CODED, b" " + CHUNKS),
    "size below nothing": post(CODED, b"-1\r\n"),
    "bare LF behind a size": post(CODED, CHUNKS.replace(b"\r\n", b"\n")),
    "bare LF in an extension": post(CODED, SIZE + b";a\n" + CHUNKS[len(SIZE) :]),
    "chunk that is longer": post(CODED, SIZE + b"\r\n" + EVENT + b"xx0\r\n\r\n"),
    "request in the trailer": post(CODED, CHUNKS[:-2] + b"GET /hidden HTTP/1.1\r\n\r\n"),
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + HIDDEN,
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "tabs": b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /\r\n" + HIDDEN,
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_what_is_not_clear_is_refused(service: Watched, sent: bytes) -> None:
    """The only answer is an error in the form of all errors, nothing is stored, and the connection ends with it."""
    before = service.stored()

    received = raw.exchange(service.port, sent)

    assert STATUS.findall(received) in ([b"400"], [b"501"]), received
    assert b"/hidden" not in received
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    error = json.loads(body)
    assert error["traceback"] == ""
    assert error["message"]
    assert error["status"].startswith(received.split()[1].decode())
    assert service.stored() == before
    assert service.complaint() == ""


TAKEN = {
    "length": (LENGTH, EVENT),
    "chunks": (CODED, CHUNKS),
    "coding in capitals": (b"Transfer-Encoding: CHUNKED\r\n", CHUNKS),
    "sizes with extensions": (CODED, CHUNKS.replace(SIZE + b"\r\n", SIZE + b';a=b; c="d"\r\n', 1)),
    "size in capitals and zeros": (CODED, CHUNKS.replace(SIZE, b"000" + SIZE.upper(), 1)),
    "trailer": (CODED, CHUNKS[:-2] + b"X-T: a\r\nContent-Length: 5\r\n\r\n"),
    "coding under another name": (b"Transfer_Encoding: chunked\r\n" + LENGTH, EVENT),
    "values beyond ASCII": (b"X-A: \xfc \xff\t.\r\n" + LENGTH, EVENT),
}


@pytest.mark.parametrize(("headers", "body"), TAKEN.values(), ids=TAKEN)
def test_what_is_clear_is_taken(service: Watched, headers: bytes, body: bytes) -> None:
    """An event whose end is clear is taken, and the request behind it is one of its own."""
    received = raw.exchange(service.port, post(headers, body))

    assert STATUS.findall(received) == [b"200", b"404"], received
    assert b"/hidden" in received


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
@pytest.mark.parametrize("path", [b"/", b"/receive", b"/eventmatch", b"/nothing"])
def test_a_body_that_nobody_reads_is_no_request(service: Watched, method: bytes, path: bytes) -> None:
    """What stands in the body of a request that has none to speak of is not taken for the next request."""
    head = method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n"
    chunks = raw.chunked([HIDDEN])
    for sent in (head + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, head + CODED + b"\r\n" + chunks):
        received = raw.exchange(service.port, sent)
        assert len(STATUS.findall(received)) == 1, received
        assert b"/hidden" not in received
