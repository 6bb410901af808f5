"""Resolves names in threads of its own, so that whoever sends is never held up by one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ..addresses import Address
from .names import LookUp, look_up

#: Seconds for which an answer is used again. A busy target's name is asked once in this time and not for each of some
#: thousand deliveries; a change of its addresses is seen with the next attempt all the same, because none comes sooner.
FRESH = 1.0
#: Names that are remembered.
_REMEMBERED = 5000


class Resolver:
    """Answers by ``known`` and ``answers``, and calls ``tell``, from any thread, when there is one.

    The system can't be told to give up, so a name whose server is silent keeps a thread for many seconds. Names that
    did not resolve when they were asked last, or never were, have half of the threads at most: whoever subscribes with
    a thousand of them keeps the others from nothing but each other.
    """

    def __init__(self, tell: Callable[[], None], look_up: LookUp = look_up, threads: int = 32) -> None:
        """Ask nothing yet; ``look_up`` asks about one name."""
        self._tell = tell
        self._look_up = look_up
        self._most = threads
        self._change = threading.Condition()
        self._threads = self._idle = 0
        self._unproven_busy = 0
        self._proven: deque[str] = deque()
        self._unproven: deque[str] = deque()
        self._asked: set[str] = set()
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._answers: list[tuple[str, tuple[Address, ...]]] = []
        self._closed = False

    def known(self, name: str) -> tuple[Address, ...] | None:
        """Give the addresses that a name was found to have just now; None if it has to be asked."""
        found = self._known.get(name)
        return found[1] if found and time.monotonic() < found[0] + FRESH else None

    def ask(self, name: str) -> None:
        """Ask about a name, unless it is being asked already."""
        with self._change:
            if name in self._asked:
                return
            self._asked.add(name)
            answer = self._known.get(name)
            (self._proven if answer and answer[1] else self._unproven).append(name)
            if len(self._proven) + len(self._unproven) > self._idle and self._threads < self._most:
                self._threads += 1
                # A daemon, because a question can't be broken off and must not keep the process from ending.
                threading.Thread(target=self._work, name="resolver", daemon=True).start()
            self._change.notify()

    def answers(self) -> list[tuple[str, tuple[Address, ...]]]:
        """Give the names that were asked and have an answer by now; without addresses it does not resolve."""
        if not self._answers:
            return []
        with self._change:
            answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """Ask no more; what is being asked is let go of."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _work(self) -> None:
        while True:
            with self._change:
                while not (self._closed or self._proven or self._may_try()):
                    self._idle += 1
                    self._change.wait()
                    self._idle -= 1
                if self._closed:
                    return
                proven = bool(self._proven)
                name = (self._proven if proven else self._unproven).popleft()
                self._unproven_busy += not proven
            addresses = self._look_up(name)
            with self._change:
                self._unproven_busy -= not proven
                self._asked.discard(name)
                if len(self._known) > _REMEMBERED:
                    self._known.clear()
                self._known[name] = time.monotonic(), addresses
                self._answers.append((name, addresses))
                # Somebody may have waited because too many unproven ones were asked.
                self._change.notify()
            self._tell()

    def _may_try(self) -> bool:
        return bool(self._unproven) and self._unproven_busy < max(1, self._most // 2)
