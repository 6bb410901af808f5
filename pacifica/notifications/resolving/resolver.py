"""Resolves names in threads of its own, so that whoever sends is never held up by one."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ..addresses import Address
from .names import LookUp, look_up

LOG = logging.getLogger(__name__)

#: Seconds for which an answer is used again. A busy target's name is asked once in this time and not for each of some
#: thousand deliveries; a change of its addresses is seen with the next attempt all the same, because none comes sooner.
FRESH = 1.0
#: Seconds within which a name has to resolve in order to be asked beside others' silence.
QUICK = 0.5
#: Names that are remembered.
_REMEMBERED = 5000


class _Known(NamedTuple):
    """What a name was found to have, when, and whether it was so quickly."""

    at: float
    addresses: tuple[Address, ...]
    quick: bool


class Resolver:
    """Answers by ``known`` and ``answers``, and calls ``tell``, from any thread, when there is one.

    The system can't be told to give up, so a name whose server is silent keeps a thread for many seconds. Names that
    did not resolve quickly when they were asked last, or never were, have half of the threads at most: whoever
    subscribes with a thousand of them keeps the others from nothing but each other.
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
        self._known: dict[str, _Known] = {}
        self._answers: list[tuple[str, tuple[Address, ...]]] = []
        self._closed = False

    def known(self, name: str) -> tuple[Address, ...] | None:
        """Give the addresses that a name was found to have just now; None if it has to be asked."""
        found = self._known.get(name)
        return found.addresses if found and time.monotonic() < found.at + FRESH else None

    def ask(self, name: str) -> None:
        """Ask about a name, unless it is being asked already."""
        with self._change:
            if name in self._asked:
                return
            self._asked.add(name)
            known = self._known.get(name)
            (self._proven if known and known.quick else self._unproven).append(name)
            if len(self._proven) + len(self._unproven) > self._idle and self._threads < self._most:
                self._more()
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

    def _more(self) -> None:
        """Begin another thread; where the system gives none at all, what waits for one does not resolve."""
        self._threads += 1
        try:
            # A daemon, because a question can't be broken off and must not keep the process from ending.
            threading.Thread(target=self._work, name="resolver", daemon=True).start()
        except RuntimeError:
            self._threads -= 1
            if not self._threads:
                waiting = [*self._proven, *self._unproven]
                self._proven.clear()
                self._unproven.clear()
                self._asked.difference_update(waiting)
                self._answers += [(name, ()) for name in waiting]
                self._tell()

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
            addresses: tuple[Address, ...] = ()
            since = time.monotonic()
            try:
                addresses = self._look_up(name)
            except Exception:
                # A thread that ended here would leave the name asked for ever.
                LOG.exception("resolver.failed name=%s", name)
            finally:
                self._answered(name, addresses, since, proven)
            self._tell()

    def _answered(self, name: str, addresses: tuple[Address, ...], since: float, proven: bool) -> None:
        now = time.monotonic()
        with self._change:
            self._unproven_busy -= not proven
            self._asked.discard(name)
            self._known.pop(name, None)
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = _Known(now, addresses, bool(addresses) and now - since < QUICK)
            self._answers.append((name, addresses))
            # Somebody may have waited because too many unproven ones were asked.
            self._change.notify()

    def _may_try(self) -> bool:
        return bool(self._unproven) and self._unproven_busy < max(1, self._most // 2)
