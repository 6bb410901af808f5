"""One request and what comes of it: the handle, its options, its answer."""

from __future__ import annotations

import socket
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

import pycurl

from .. import globals as names
from ..addresses import canonical
from ..retry import BUSY, Failure, Outcome
from . import retry_after

_FAILURES: dict[int | None, Failure] = {
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
    pycurl.E_BAD_CONTENT_ENCODING: Failure.HTTP,
    100: Failure.HTTP,  # CURLE_TOO_LARGE: a header line without end
}
#: How curl says that a connection ended.
_ENDED = (pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR)
#: Header lines of every request: nobody is asked whether the body may come, and no answer is to be compressed.
_LINES = (b"Expect:", b"Accept-Encoding: identity")
#: Bytes of a body that a handle at rest may hold.
_LIGHT = 64 * 1024
#: Bytes of header lines past which an answer is none, all interim answers counted; curl itself stops at 300 KiB.
_LONGEST_HEAD = 256 * 1024
_HEAD_ENDS = (b"\r\n", b"\n")


class Pin(NamedTuple):
    """The addresses that may be connected to, as texts: those of objects take long to compare.

    ``host`` and ``port`` are what they were found for; '' where the URL has the address itself.

    curl is given them in place of what it would resolve, and asked before it connects, and before it uses a connection.
    """

    addresses: frozenset[str]
    host: str = ""
    port: int = 0

    def entry(self) -> str:
        """Say it in curl's words, CURLOPT_RESOLVE: with a plus it is forgotten after a minute."""
        found = ",".join(f"[{each}]" if ":" in each else each for each in self.addresses)
        return f"+{self.host}:{self.port}:{found}"


class Post(NamedTuple):
    """One request; ``key`` comes back with its outcome, ``headers`` are whole lines; without a pin it goes anywhere."""

    key: Hashable
    url: str
    body: bytes
    headers: Sequence[bytes] = ()
    pin: Pin | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What every request is under.

    ``connect`` and ``total`` are seconds for the connection and for the whole exchange, by the clock; ``ca_file`` has
    the authorities for TLS ('' = certifi's); ``answer`` are the bytes of an answer that are read at most. To one host
    and port at most ``per_host`` requests are under way, the others wait for their turn, and their time begins with it.
    Beyond ``connections`` altogether none is kept for later.
    """

    connect: float = 5.0
    total: float = 30.0
    ca_file: str = ""
    answer: int = 64 * 1024
    per_host: int = 50
    connections: int = 100


@dataclass(slots=True, eq=False)
class Exchange:
    """A handle with the request that it is used for, and what came of its answer so far; one after the other."""

    limits: Limits
    curl: pycurl.Curl = field(default_factory=pycurl.Curl)
    key: Hashable = None
    host: str = ""
    light: bool = True
    lines: list[bytes] = field(default_factory=list)
    answer: bytearray = field(default_factory=bytearray)
    cut: bool = False
    spent: float = 0.0
    pin: Pin | None = None
    strayed: bool = False

    def __post_init__(self) -> None:
        """Set all that never changes."""
        limits, curl = self.limits, self.curl
        curl.setopt(pycurl.WRITEFUNCTION, self.take)
        curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        # A name is resolved without a signal, because this is not the main thread.
        curl.setopt(pycurl.NOSIGNAL, 1)
        # A user called ".." must not lead to another place of the policy server.
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP09_ALLOWED, 0)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.USERAGENT, f"pacifica-notifications/{names.VERSION}")
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(limits.connect * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, int(limits.total * 1000))
        curl.setopt(pycurl.CAINFO, limits.ca_file)
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self.open)
        curl.setopt(pycurl.PREREQFUNCTION, self.may_use)

    def begin(self, post: Post, host: str) -> None:
        """Take a request; raises what ``pycurl`` does for one that can't be made."""
        self.key, self.host, self.cut, self.light = post.key, host, False, len(post.body) <= _LIGHT
        self.pin, self.strayed = post.pin, False
        # All that differs between two requests, each set anew every time: nothing of one gets into the next.
        self.curl.setopt(pycurl.URL, post.url)
        self.curl.setopt(pycurl.POSTFIELDS, post.body)
        self.curl.setopt(pycurl.HTTPHEADER, [*_LINES, *post.headers])
        self._give_addresses()

    def open(self, _purpose: int, wanted: Any) -> Any:
        """Open a socket for curl, to an address of the pin."""
        if not self._is_pinned(wanted.addr[0]):
            return pycurl.SOCKET_BAD
        return socket.socket(wanted.family, wanted.socktype, wanted.protocol)

    def may_use(self, address: str, *_: object) -> Any:
        """Let curl use a connection to an address of the pin: an older one may go where the name led before."""
        return pycurl.PREREQFUNC_OK if self._is_pinned(address) else pycurl.PREREQFUNC_ABORT

    def again(self, code: int) -> bool:
        """Tell whether the same is to be sent once more: a used connection led elsewhere, or ended without an answer.

        Then it will be sent on a new one, in the time that is left. In the second case later releases of curl do the
        same themselves.
        """
        used_up = code in _ENDED and not self.curl.getinfo(pycurl.NUM_CONNECTS)
        if self.spent or self.lines or not (self.strayed or used_up):
            return False
        self.strayed = False
        self._give_addresses()
        self.spent = max(0.001, self.curl.getinfo(pycurl.TOTAL_TIME))
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int((self.limits.total - self.spent) * 1000)))
        return True

    def rest(self) -> None:
        """Let go of what came, and of a body that is large."""
        if self.spent:
            self.spent = 0.0
            self.curl.setopt(pycurl.FRESH_CONNECT, 0)
            self.curl.setopt(pycurl.TIMEOUT_MS, int(self.limits.total * 1000))
        self.lines.clear()
        self.answer.clear()
        if not self.light:
            self.curl.setopt(pycurl.POSTFIELDS, b"")

    def take(self, chunk: bytes) -> int:
        """Keep a piece of the answer; past the bound, end the exchange."""
        room = self.limits.answer - len(self.answer)
        self.answer += chunk[:room]
        self.cut = len(chunk) > room
        return -1 if self.cut else len(chunk)

    def outcome(self, code: int | None) -> Outcome:
        """Say what came of it; an answer that is not whole is none, but where it was us who read no further."""
        seconds = self.spent + self.curl.getinfo(pycurl.TOTAL_TIME)
        if not self.cut and (code is not None or not self._has_head()):
            too_long = sum(map(len, self.lines)) > _LONGEST_HEAD
            failure = Failure.HTTP if too_long else _FAILURES.get(code, Failure.RESET)
            return Outcome(failure=failure, seconds=seconds)
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        pause = retry_after.seconds(self.lines, datetime.now(UTC)) if status in BUSY else None
        return Outcome.of_status(status, seconds, bytes(self.answer), pause)

    def _give_addresses(self) -> None:
        """Let curl have the addresses of a name, each time anew: other requests may have had others meanwhile."""
        if self.pin and self.pin.host:
            self.curl.setopt(pycurl.RESOLVE, [self.pin.entry()])

    def _is_pinned(self, address: str) -> bool:
        if self.pin is None or address in self.pin.addresses or _written(address) in self.pin.addresses:
            return True
        self.strayed = True
        return False

    def _has_head(self) -> bool:
        """Tell whether the headers came to their end: curl takes a connection that ends among them for an answer."""
        for line in reversed(self.lines):
            if line in _HEAD_ENDS:
                return True
            if line.startswith(b"HTTP/"):
                break
        return False


@lru_cache(maxsize=1000)
def _written(address: str) -> str:
    """Give an address as it stands in a pin."""
    return str(canonical(ip_address(address.partition("%")[0])))
