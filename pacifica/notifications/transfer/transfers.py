"""The requests under way, from their start to their outcomes."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable
from dataclasses import replace
from functools import lru_cache

import certifi
import pycurl

from ..retry import Failure, Outcome
from .exchange import Exchange, Limits, Post
from .loop import Loop


class Transfers:
    """POSTs under way. Connections are reused; nothing is taken from the environment, and no redirect is followed.

    Not safe for use by more than one thread at a time. With ``loop`` whoever else uses that loop is waited for as well.
    """

    def __init__(self, limits: Limits, loop: Loop | None = None) -> None:
        """Connect to nobody yet."""
        self._limits = replace(limits, ca_file=limits.ca_file or certifi.where())
        self._loop = loop or Loop()
        self._own_loop = loop is None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, limits.connections)
        self._idle: list[Exchange] = []
        self._under_way: dict[pycurl.Curl, Exchange] = {}
        self._at: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[Post]] = defaultdict(deque)
        self._unusable: list[tuple[Hashable, Outcome]] = []

    def __len__(self) -> int:
        """Count the requests that have not ended, or whose outcome was not given yet."""
        return len(self._under_way) + len(self._unusable) + sum(map(len, self._waiting.values()))

    def start(self, posts: Iterable[Post]) -> None:
        """Begin requests; one that can't be made, as with a broken URL, is an outcome like any other."""
        for post in posts:
            host = _host(post.url)
            if self._at[host] < self._limits.per_host:
                self._begin(post, host)
            else:
                self._waiting[host].append(post)
        self._on_time()

    def wait(self, seconds: float) -> list[tuple[Hashable, Outcome]]:
        """Give what has ended, as soon as anything has, or nothing after ``seconds``.

        Nothing may be given early, as when the loop was woken or has news for somebody else.
        """
        if len(self) and self not in self._loop.news:
            self._loop.wait(seconds)
        return self._ended() if self in self._loop.news else []

    def close(self) -> list[Hashable]:
        """Break off what is under way and give its keys."""
        broken = [exchange.key for exchange in self._under_way.values()] + [key for key, _ in self._unusable]
        broken += [post.key for posts in self._waiting.values() for post in posts]
        for curl in self._under_way:
            self._multi.remove_handle(curl)
        for exchange in [*self._under_way.values(), *self._idle]:
            exchange.curl.close()
        self._under_way.clear()
        self._idle.clear()
        self._waiting.clear()
        self._unusable.clear()
        self._multi.close()
        self._loop.call_off(self._on_time)
        self._loop.news.discard(self)
        if self._own_loop:
            self._loop.close()
        return broken

    def _begin(self, post: Post, host: str) -> None:
        exchange = self._idle.pop() if self._idle else Exchange(self._limits)
        try:
            exchange.begin(post, host)
        except (pycurl.error, ValueError):
            # Nobody knows what of it the handle has taken.
            exchange.curl.close()
            self._unusable.append((post.key, Outcome(failure=Failure.HTTP)))
            self._loop.news.add(self)
            return
        self._at[host] += 1
        self._under_way[exchange.curl] = exchange
        self._multi.add_handle(exchange.curl)

    def _ended(self) -> list[tuple[Hashable, Outcome]]:
        """Take what is done out of the loop, its handles ready for the next request."""
        ended, self._unusable = self._unusable, []
        self._loop.news.discard(self)
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read()
            for curl, code in [(curl, None) for curl in succeeded] + [(curl, code) for curl, code, _text in failed]:
                exchange = self._under_way[curl]
                if code is not None and exchange.again(code):
                    self._multi.remove_handle(curl)
                    self._multi.add_handle(curl)
                    continue
                del self._under_way[curl]
                ended.append((exchange.key, exchange.outcome(code)))
                self._multi.remove_handle(curl)
                exchange.rest()
                self._idle.append(exchange)
                self._let_in(exchange.host)
        return ended

    def _let_in(self, host: str) -> None:
        """One request less is under way to the host: it is another one's turn."""
        self._at[host] -= 1
        while self._at[host] < self._limits.per_host and host in self._waiting:
            waiting = self._waiting[host]
            self._begin(waiting.popleft(), host)
            if not waiting:
                del self._waiting[host]
        if not self._at[host]:
            del self._at[host]

    def _on_socket(self, what: int, sock: int, _multi: object, _data: object) -> None:
        """Watch a socket as curl wants it: its words for read and write are those of the loop."""
        if what == pycurl.POLL_REMOVE:
            self._loop.forget(sock)
        else:
            self._loop.watch(sock, what, self._on_ready)

    def _on_timer(self, milliseconds: int) -> None:
        if milliseconds < 0:
            self._loop.call_off(self._on_time)
        else:
            self._loop.call_at(time.monotonic() + milliseconds / 1000, self._on_time)

    def _on_ready(self, sock: int, events: int) -> None:
        _, running = self._multi.socket_action(sock, events)
        if running < len(self._under_way):
            self._loop.news.add(self)

    def _on_time(self) -> None:
        self._on_ready(pycurl.SOCKET_TIMEOUT, 0)


@lru_cache(1024)
def _host(url: str) -> str:
    """Give host and port as the URL has them; what can't be used is found out by curl."""
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].lower()
