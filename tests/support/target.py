"""A target for deliveries: a real HTTP server that records what arrives and answers from a script."""

from __future__ import annotations

import itertools
import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .listener import Exchange, Headers, Listener, head
from .wait import until


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; `number` counts them from 1 in the order of arrival, over all paths.

    `client` is the port it came from, which tells connections apart.
    """

    number: int
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    client: int

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name, in any case of letters."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    @property
    def delivery(self) -> str | None:
        """The id of the delivery."""
        return self.header("Notifications-Delivery")

    @property
    def attempt(self) -> int | None:
        """The number of the attempt."""
        value = self.header("Notifications-Attempt")
        return None if value is None else int(value)

    def json(self) -> Any:
        """Return the body as a JSON value."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; subclasses misbehave."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""

    def give(self, exchange: Exchange) -> None:
        """Send the answer."""
        exchange.answer(self.status, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Held(Answer):
    """An answer that is given once `release` is set; never, when the target stops before."""

    release: threading.Event = field(default_factory=threading.Event)

    def give(self, exchange: Exchange) -> None:
        """Wait, then send the answer."""
        stopping = exchange.server.listener.stopping
        while not self.release.wait(0.05):
            if stopping.is_set():
                exchange.close_connection = True
                return
        exchange.answer(self.status, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Dripping(Answer):
    """An answer that comes one byte at a time, headers as well, with `pause` seconds between two."""

    pause: float = 0.1

    def give(self, exchange: Exchange) -> None:
        """Send it byte by byte until the client has had enough."""
        whole = head(self.status, [*self.headers, ("Content-Length", str(len(self.body)))]) + self.body
        for position in range(len(whole)):
            exchange.send(whole[position : position + 1])
            if exchange.close_connection or exchange.server.listener.stopping.wait(self.pause):
                break
        exchange.close_connection = True


@dataclass(frozen=True, slots=True)
class Endless(Answer):
    """An answer whose body does not end; `body` is sent again and again."""

    body: bytes = b"." * 65536

    def give(self, exchange: Exchange) -> None:
        """Send until the client has had enough."""
        exchange.send(head(self.status, [*self.headers, ("Connection", "close")]))
        while not exchange.close_connection and not exchange.server.listener.stopping.is_set():
            exchange.send(self.body)
        exchange.close_connection = True


@dataclass(frozen=True, slots=True)
class Raw(Answer):
    """The body alone, which need not be HTTP, then the connection ends; empty: closed without answer."""

    def give(self, exchange: Exchange) -> None:
        """Send the bytes and close."""
        exchange.send(self.body)
        exchange.close_connection = True


@dataclass(frozen=True, slots=True)
class Reset(Answer):
    """No answer: the connection is reset."""

    def give(self, exchange: Exchange) -> None:
        """Reset the connection."""
        exchange.reset()


def redirect(location: str, status: int = 307) -> Answer:
    """Return an answer that sends the client to another place."""
    return Answer(status, (("Location", location),))


class RecordingTarget(Listener):
    """A target on loopback: records every request, answers 200 unless told otherwise.

    An answer may be a status code or an `Answer`. With `keep_bodies=False` only method, path and the headers
    `Notifications-Delivery` and `Notifications-Attempt` of a request are kept, for very many of them.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        tls: bool = False,
        keep_bodies: bool = True,
        default: int | Answer = 200,
    ) -> None:
        super().__init__(host=host, port=port, tls=tls)
        self.keep_bodies = keep_bodies
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._requests: list[Request] = []
        self._default = _answer(default)
        self._always: dict[str, Answer] = {}
        self._scripts: defaultdict[str, deque[Answer]] = defaultdict(deque)

    def answers(self, path: str, script: Iterable[int | Answer]) -> None:
        """Answer the next requests for a path one after the other from the script, then as `always` says."""
        with self._lock:
            self._scripts[path] = deque(_answer(entry) for entry in script)

    def always(self, path: str, answer: int | Answer) -> None:
        """Answer every request for a path so that its script does not cover; takes effect at once."""
        with self._lock:
            self._always[path] = _answer(answer)

    def requests(self, path: str | None = None) -> list[Request]:
        """Return what has arrived, in order, for one path or for all."""
        with self._lock:
            return [request for request in self._requests if path is None or request.path == path]

    def wait_for(self, count: int, path: str | None = None, seconds: float = 30) -> list[Request]:
        """Wait for at least `count` requests and return all there are."""

        def arrived() -> list[Request] | None:
            seen = self.requests(path)
            return seen if len(seen) >= count else None

        what = f"{count} requests at {self.url(path or '/')}"
        try:
            return until(arrived, seconds, what) or []
        except AssertionError as error:
            raise AssertionError(f"{what}: {len(self.requests(path))} after {seconds} s") from error

    def forget(self) -> None:
        """Forget what has arrived; numbers go on."""
        with self._lock:
            self._requests.clear()

    def handle(self, exchange: Exchange) -> None:
        """Record the request, then answer it."""
        path, _, query = exchange.path.partition("?")
        headers: Headers = exchange.headers.items()
        body = exchange.content
        if not self.keep_bodies:
            headers = [header for header in headers if header[0].lower().startswith("notifications-")]
            body = b""
        with self._lock:
            number = next(self._numbers)
            client = exchange.client_address[1]
            self._requests.append(Request(number, exchange.command, path, query, tuple(headers), body, client))
            script = self._scripts.get(path)
            answer = script.popleft() if script else self._always.get(path, self._default)
        answer.give(exchange)


def _answer(given: int | Answer) -> Answer:
    return given if isinstance(given, Answer) else Answer(given)
