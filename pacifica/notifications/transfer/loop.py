"""Waits for sockets, for points in time and for a word from another thread, all at once."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Protocol

#: Called with a socket that is ready, and for what: `EVENT_READ` (1), `EVENT_WRITE` (2) or both.
Ready = Callable[[int, int], None]


class _Watch(Protocol):
    """Watches sockets."""

    def watch(self, sock: int, events: int, ready: Ready) -> None:
        """Watch for these events from now on, whatever was watched for before."""

    def forget(self, sock: int) -> None:
        """Watch no longer; nothing is done where nothing was watched."""

    def poll(self, seconds: float | None) -> Iterator[tuple[Ready, int, int]]:
        """Wait, None: for ever, and give what is ready with whom to tell and for what."""

    def close(self) -> None:
        """Watch nothing any more."""


class _AnySystem:
    """What Python has for the system."""

    def __init__(self) -> None:
        self._selector = DefaultSelector()

    def watch(self, sock: int, events: int, ready: Ready) -> None:
        try:
            self._selector.register(sock, events, ready)
        except KeyError:
            self._selector.modify(sock, events, ready)

    def forget(self, sock: int) -> None:
        with suppress(KeyError):
            self._selector.unregister(sock)

    def poll(self, seconds: float | None) -> Iterator[tuple[Ready, int, int]]:
        for key, events in self._selector.select(seconds):
            yield key.data, key.fd, events

    def close(self) -> None:
        self._selector.close()


class _Linux:
    """The same without a layer between, because each request passes here twice: a fifth of its time otherwise."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}

    def watch(self, sock: int, events: int, ready: Ready) -> None:
        # EPOLLIN is 1 like EVENT_READ, EPOLLOUT is 4.
        wanted = events & 1 | (events & 2) << 1
        try:
            self._epoll.register(sock, wanted)
        except FileExistsError:
            self._epoll.modify(sock, wanted)
        self._ready[sock] = ready

    def forget(self, sock: int) -> None:
        if self._ready.pop(sock, None):
            # Closed before it was forgotten: the system has forgotten it already.
            with suppress(OSError):
                self._epoll.unregister(sock)

    def poll(self, seconds: float | None) -> Iterator[tuple[Ready, int, int]]:
        for sock, events in self._epoll.poll(seconds):
            # What was called for one socket may have made another one forgotten.
            ready = self._ready.get(sock)
            if ready:
                # A broken connection is ready for everything.
                yield ready, sock, (1 if events & ~4 else 0) | (2 if events & ~1 else 0)

    def close(self) -> None:
        self._epoll.close()


class Loop:
    """One thread waits here for everything that it has under way, whoever started it.

    Whoever uses the loop adds itself to ``news`` while it has something to give, and takes itself out once that was
    taken: ``wait`` ends while anything stands there. Only ``wake`` may be called by another thread.
    """

    def __init__(self) -> None:
        """Open the selector, and the pair of sockets that a wake-up comes through."""
        self.news: set[object] = set()
        self._sockets: _Watch = _Linux() if hasattr(select, "epoll") else _AnySystem()
        self._timers: dict[Callable[[], None], float] = {}
        self._woken = False
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._sockets.watch(self._bell.fileno(), EVENT_READ, self._answer_bell)

    def watch(self, sock: int, events: int, ready: Ready) -> None:
        """Call ``ready`` whenever one of the events happens on the socket, instead of what was said for it before."""
        self._sockets.watch(sock, events, ready)

    def forget(self, sock: int) -> None:
        """Watch the socket no longer; to be called before it is closed."""
        self._sockets.forget(sock)

    def call_at(self, moment: float, due: Callable[[], None]) -> None:
        """Call ``due`` once at a moment of the monotonic clock, instead of one that was named for it before."""
        self._timers[due] = moment

    def call_off(self, due: Callable[[], None]) -> None:
        """Call ``due`` at no time."""
        self._timers.pop(due, None)

    def wait(self, seconds: float) -> bool:
        """Let things happen until there is news or a wake-up (True), or ``seconds`` are over (False).

        What is ready is dealt with once even where ``seconds`` is 0.
        """
        deadline = time.monotonic() + seconds
        self._turn(0 if self.news or self._woken else seconds)
        while not self.news and not self._woken:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(left)
        self._woken = False
        return True

    def wait_for(self, sock: int, events: int, seconds: float | None) -> bool:
        """Let things happen until one of the events happens on the socket (True), or ``seconds`` are over (False).

        News and wake-ups are left for the next ``wait``.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        happened: list[int] = []
        self._sockets.watch(sock, events, lambda _sock, events: happened.append(events))
        try:
            while not happened:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._turn(left)
        finally:
            self._sockets.forget(sock)
        return True

    def wake(self) -> None:
        """End the wait that is going on, or the next one; many calls end one."""
        if not self._woken:
            self._woken = True
            # Closed: nobody waits any more. Full: a word is on its way.
            with suppress(OSError):
                self._rope.send(b"\0")

    def close(self) -> None:
        """Watch nothing any more; may be called twice."""
        self._sockets.close()
        self._bell.close()
        self._rope.close()

    def _turn(self, seconds: float | None) -> None:
        """Wait once, and deal with everything that is ready or due."""
        if self._timers:
            left = max(0.0, min(self._timers.values()) - time.monotonic())
            seconds = left if seconds is None else min(seconds, left)
        for ready, sock, events in self._sockets.poll(seconds):
            ready(sock, events)
        if self._timers:
            now = time.monotonic()
            for due in [due for due, moment in self._timers.items() if moment <= now]:
                del self._timers[due]
                due()

    def _answer_bell(self, _sock: int, _events: int) -> None:
        with suppress(OSError):
            self._bell.recv(4096)
