"""Many HTTP POSTs at once from one thread, each answer given as it ends."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import certifi
import pycurl

from . import globals as names
from .retry import Failure, Outcome

#: Bytes of an answer that are read at most; the rest says nothing that matters.
LONGEST_ANSWER = 64 * 1024

_FAILURES = {
    pycurl.E_COULDNT_RESOLVE_HOST: Failure.DNS,
    pycurl.E_COULDNT_CONNECT: Failure.REFUSED,
    pycurl.E_OPERATION_TIMEDOUT: Failure.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: Failure.TLS,
    pycurl.E_SSL_CERTPROBLEM: Failure.TLS,
    pycurl.E_SSL_CIPHER: Failure.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Failure.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Failure.TLS,
    pycurl.E_SSL_ISSUER_ERROR: Failure.TLS,
    pycurl.E_SSL_INVALIDCERTSTATUS: Failure.TLS,
    pycurl.E_URL_MALFORMAT: Failure.HTTP,
    pycurl.E_UNSUPPORTED_PROTOCOL: Failure.HTTP,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Failure.HTTP,
}


@dataclass(frozen=True, slots=True)
class Post:
    """One request; ``key`` comes back with its outcome."""

    key: Hashable
    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for the connection and for the whole exchange by the clock; authorities for TLS ('' = certifi's)."""

    connect: float = 5.0
    total: float = 30.0
    ca_file: str = ""


@dataclass(slots=True)
class _Exchange:
    """A request under way, and what came of its answer so far."""

    post: Post
    started: float
    answer: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def take(self, chunk: bytes) -> int:
        """Keep a piece of the answer; past the bound, end the exchange."""
        self.answer += chunk[: LONGEST_ANSWER - len(self.answer)]
        self.cut = len(self.answer) >= LONGEST_ANSWER
        return -1 if self.cut else len(chunk)


class Transfers:
    """POSTs under way. Connections are reused; nothing is taken from the environment, and no redirect is followed.

    Not safe for use by more than one thread at a time.
    """

    def __init__(self, limits: Limits) -> None:
        """Open nothing yet."""
        self._limits = limits
        self._multi = pycurl.CurlMulti()
        self._idle: list[pycurl.Curl] = []
        self._under_way: dict[pycurl.Curl, _Exchange] = {}
        self._unusable: list[tuple[Hashable, Outcome]] = []

    def __len__(self) -> int:
        """Count the requests under way."""
        return len(self._under_way) + len(self._unusable)

    def start(self, posts: Iterable[Post]) -> None:
        """Begin requests; one that can't be made, as with a broken URL, is an outcome like any other."""
        for post in posts:
            handle = self._idle.pop() if self._idle else pycurl.Curl()
            exchange = _Exchange(post, time.monotonic())
            try:
                self._prepare(handle, exchange)
            except (pycurl.error, ValueError):
                handle.close()
                self._unusable.append((post.key, Outcome(failure=Failure.HTTP)))
                continue
            self._under_way[handle] = exchange
            self._multi.add_handle(handle)

    def wait(self, seconds: float) -> list[tuple[Hashable, Outcome]]:
        """Give what has ended, as soon as anything has, or nothing after ``seconds``."""
        deadline = time.monotonic() + seconds
        if self._unusable:
            unusable, self._unusable = self._unusable, []
            return unusable
        while self._under_way:
            self._multi.perform()
            ended = self._ended()
            left = deadline - time.monotonic()
            if ended or left <= 0:
                return ended
            if self._multi.select(min(left, 0.05)) < 0:
                # No socket to wait for yet, as while a name is being resolved.
                time.sleep(min(left, 0.002))
        return []

    def close(self) -> list[Hashable]:
        """Break off what is under way and give its keys."""
        broken = [exchange.post.key for exchange in self._under_way.values()] + [key for key, _ in self._unusable]
        for handle in [*self._under_way, *self._idle]:
            if handle in self._under_way:
                self._multi.remove_handle(handle)
            handle.close()
        self._under_way.clear()
        self._idle.clear()
        self._multi.close()
        return broken

    def _prepare(self, handle: pycurl.Curl, exchange: _Exchange) -> None:
        post = exchange.post
        # A name is resolved without a signal, because this is not the main thread.
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.URL, post.url)
        # A user called ".." must not lead to another place of the policy server.
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, post.body)
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}".encode() for name, value in post.headers] + [b"Expect:"])
        handle.setopt(pycurl.USERAGENT, f"pacifica-notifications/{names.VERSION}")
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._limits.connect * 1000))
        handle.setopt(pycurl.TIMEOUT_MS, int(self._limits.total * 1000))
        handle.setopt(pycurl.CAINFO, self._limits.ca_file or certifi.where())
        handle.setopt(pycurl.WRITEFUNCTION, exchange.take)

    def _ended(self) -> list[tuple[Hashable, Outcome]]:
        """Take the handles that are done out of the loop, ready for the next request."""
        ended: list[tuple[Hashable, Outcome]] = []
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read()
            for handle, code in [(handle, None) for handle in succeeded] + [(h, code) for h, code, _text in failed]:
                exchange = self._under_way.pop(handle)
                ended.append((exchange.post.key, _outcome(handle, exchange, code)))
                self._multi.remove_handle(handle)
                handle.reset()
                self._idle.append(handle)
        return ended


def _outcome(handle: pycurl.Curl, exchange: _Exchange, code: int | None) -> Outcome:
    seconds = time.monotonic() - exchange.started
    if code is None or exchange.cut:
        return Outcome.of_status(handle.getinfo(pycurl.RESPONSE_CODE), seconds, bytes(exchange.answer))
    return Outcome(failure=_FAILURES.get(code, Failure.RESET), seconds=seconds)
