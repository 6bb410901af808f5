"""Targets on ``http`` and ``https``: an event is POSTed."""

from __future__ import annotations

import binascii
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import resolving
from ..addresses import Policy
from ..globals import ATTEMPT_HEADER, DELIVERY_HEADER, REPLAY_HEADER
from ..resolving import LookUp, Resolver
from ..retry import Failure, Outcome
from ..transfer import Limits, Loop, Pin, Post, Transfers
from .base import Sending
from .ways import Ways


class HttpTarget:
    """POSTs the body with the subscription's authentication and our own headers, where the address policy allows it.

    A name is resolved anew for each attempt, off this thread, and the request goes to what was judged and nowhere else.
    """

    def __init__(
        self, limits: Limits, policy: Policy, loop: Loop | None = None, look_up: LookUp = resolving.look_up
    ) -> None:
        """Take the limits and the policy that every attempt is under, and where to wait, if others wait there.

        ``look_up`` asks what a name resolves to.
        """
        self._patience = limits.connect
        self._loop = loop or Loop()
        self._own_loop = loop is None
        self._transfers = Transfers(limits, self._loop)
        self._resolver = Resolver(self._loop.wake, look_up)
        self._ways = Ways(policy, self._resolver)
        self._asking: dict[str, _Asking] = {}
        self._ended: list[tuple[Hashable, Outcome]] = []

    def __len__(self) -> int:
        """Count what is under way."""
        asking = sum(len(each.sendings) for each in self._asking.values())
        return len(self._transfers) + len(self._ended) + asking

    def start(self, sendings: Iterable[Sending]) -> None:
        """Begin to POST; authentication that can't be sent, as old rows may hold it, fails that sending alone."""
        posts: list[Post] = []
        for sending in sendings:
            way = self._ways.find(sending.url)
            if isinstance(way, str):
                self._asking.setdefault(way, _Asking(time.monotonic())).sendings.append(sending)
            else:
                self._add(posts, sending, way)
        self._begin(posts)

    def wait(self, seconds: float) -> list[tuple[Hashable, Outcome]]:
        """Give the outcomes of what has ended."""
        self._hear()
        if self._asking and not self._ended and not len(self._transfers):
            self._loop.wait(seconds)
            self._hear()
            seconds = 0
        ended, self._ended = self._ended, []
        self._loop.news.discard(self)
        return ended + self._transfers.wait(0 if ended else seconds)

    def close(self) -> list[Hashable]:
        """Break off what is under way."""
        self._resolver.close()
        self._loop.call_off(self._give_up)
        self._loop.news.discard(self)
        broken = [key for key, _outcome in self._ended]
        broken += [sending.key for asking in self._asking.values() for sending in asking.sendings]
        self._ended, self._asking = [], {}
        broken += self._transfers.close()
        if self._own_loop:
            self._loop.close()
        return broken

    def _hear(self) -> None:
        """Send on what waited for names that have an answer by now."""
        posts: list[Post] = []
        for name, addresses in self._resolver.answers():
            asking = self._asking.pop(name, None)
            for sending in asking.sendings if asking else ():
                way = self._ways.find(sending.url, addresses)
                if not isinstance(way, str):
                    self._add(posts, sending, way)
        if posts:
            self._begin(posts)

    def _add(self, posts: list[Post], sending: Sending, way: Pin | Outcome) -> None:
        """Add the request of a sending, unless that has come to its end already."""
        if isinstance(way, Pin):
            try:
                posts.append(Post(sending.key, sending.url, sending.body, _lines(sending), way))
                return
            except (LookupError, TypeError, ValueError):
                way = Outcome(failure=Failure.HTTP)
        self._end(sending, way)

    def _end(self, sending: Sending, outcome: Outcome) -> None:
        self._ended.append((sending.key, outcome))
        self._loop.news.add(self)

    def _begin(self, posts: Sequence[Post]) -> None:
        self._transfers.start(posts)
        if self._asking:
            self._loop.call_at(min(each.since for each in self._asking.values()) + self._patience, self._give_up)

    def _give_up(self) -> None:
        """End what has waited for its name for as long as a connection may take."""
        now = time.monotonic()
        for name, asking in list(self._asking.items()):
            if now >= asking.since + self._patience:
                del self._asking[name]
                for sending in asking.sendings:
                    self._end(sending, Outcome(failure=Failure.DNS, seconds=self._patience))
        self._begin(())


@dataclass(slots=True)
class _Asking:
    """What waits for the answer about a name, since when."""

    since: float
    sendings: list[Sending] = field(default_factory=list)


def _lines(sending: Sending) -> list[bytes]:
    """Give the header lines of a sending."""
    lines = [
        # Without a value curl leaves it out; without the line it would say that the body is a form.
        f"Content-Type: {sending.content_type}".rstrip().encode(),
        *map(_kept, sending.headers),
        f"{DELIVERY_HEADER}: {sending.delivery}".encode(),
        f"{ATTEMPT_HEADER}: {sending.attempt}".encode(),
    ]
    if sending.replay:
        lines.append(f"{REPLAY_HEADER}: {sending.replay}".encode())
    authorization = _authorization(sending.auth)
    if authorization:
        lines.append(f"Authorization: {authorization}".encode())
    return lines


def _kept(line: bytes) -> bytes:
    """Give a header line so that curl sends it if it has no value: written with a colon it would be left out."""
    name, colon, value = line.partition(b":")
    return line if value.strip() or not colon else name + b";"


def _authorization(auth: Mapping[str, Any]) -> str:
    """Give the value of ``Authorization``: RFC 7617 for basic, else the scheme and credentials as they were set."""
    kind = auth.get("type")
    if kind == "basic":
        pair = f"{auth['basic']['username']}:{auth['basic']['password']}"
        return "Basic " + binascii.b2a_base64(pair.encode(), newline=False).decode()
    if kind == "header":
        value = f"{auth['header']['type']} {auth['header']['credentials']}"
        if not value.isprintable():
            raise ValueError("a header can't hold control characters")
        return value
    return ""
