"""A lock for writers of one process: whoever asked first is first."""

from __future__ import annotations

import threading
from collections import deque


class Turn:
    """A lock that threads hold in the order in which they asked for it; its holder may take it again.

    One of the standard library goes to whoever runs when it is free, which is whoever has just let it go.
    """

    def __init__(self) -> None:
        """Start free."""
        self._guard = threading.Lock()
        self._holder = 0
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def __enter__(self) -> None:
        """Wait for the turn."""
        me = threading.get_ident()
        if self._holder != me:
            called = threading.Lock()
            with self._guard:
                if self._holder:
                    called.acquire()
                    self._waiting.append((me, called))
                else:
                    self._holder = me
            # Free at once, or when the one before says so.
            called.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        """Call the next one, who holds it from now on."""
        self._depth -= 1
        if self._depth:
            return
        with self._guard:
            if self._waiting:
                self._holder, called = self._waiting.popleft()
                called.release()
            else:
                self._holder = 0
