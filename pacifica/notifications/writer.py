"""Stores the events of all threads of a process: one thread takes what is waiting, and commits it at once."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from . import failpoints, orm
from .config import Receive
from .errors import Overloaded, Unavailable

LOG = logging.getLogger(__name__)

#: Rows of one transaction at most, unless one request alone brings more. Its bodies have at most half of
#: ``receive.max_body`` bytes together, unless it is one request alone: that is what MariaDB is sure to take in one
#: statement.
MOST = 100
#: Seconds between two lines about events that were turned away.
QUIET = 5.0
#: Seconds that ending waits for what is being stored.
GRACE = 5.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """Events whose request waits, and where the request waits for what became of them."""

    events: Sequence[orm.NewEvent]
    size: int
    outcome: queue.SimpleQueue[list[orm.Stored] | Exception] = field(default_factory=queue.SimpleQueue)
    given_up: bool = False


class Writer:
    """One thread that stores; it starts with the writer, and ends with the process or with ``stop``."""

    def __init__(self, settings: Receive) -> None:
        """Start the thread."""
        self.settings = settings
        self.process = os.getpid()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        # How many events wait in it; counted by one thread at a time, or several would pass the bound together.
        self._joining, self._events = threading.Lock(), 0
        self._next: _Waiting | None = None
        # When the transaction that is under way began.
        self._since: float | None = None
        self._refused, self._silent_until = 0, 0.0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def store(self, new: orm.NewEvent, size: int) -> orm.Stored:
        """Wait until an event with a body of ``size`` bytes is committed; raises as ``store_all`` does."""
        return self.store_all([new], size)[0]

    def store_all(self, events: Sequence[orm.NewEvent], size: int) -> list[orm.Stored]:
        """Wait until events of one request, with a body of ``size`` bytes, are committed; all of them or none.

        Where conflicts are refused, and there is one among several events, none is stored. Raises ``Overloaded`` at
        once where too much waits already; ``Unavailable`` when the database does not answer, or not in time: then they
        may be stored or not, and storing them again is safe. Whatever else is wrong with them is raised for them alone.
        """
        waiting = _Waiting(events, size)
        with self._joining:
            self._refuse_if_overloaded()
            self._events += len(events)
            self._queue.put(waiting)
        try:
            outcome = waiting.outcome.get(timeout=self.settings.timeout)
        except queue.Empty:
            waiting.given_up = True
            raise Unavailable(f"not stored within {self.settings.timeout:g} seconds (receive.timeout)") from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self) -> None:
        """Store what is waiting, and end the thread; takes some seconds at most."""
        self._queue.put(None)
        self._thread.join(GRACE)

    def _refuse_if_overloaded(self) -> None:
        waiting, now, since = self._events, time.monotonic(), self._since
        # Whoever came after the one that gives up now would wait as long, and so would all request threads.
        stuck = since is not None and now - since > self.settings.timeout
        if not stuck and waiting < self.settings.queue:
            return
        self._refused += 1
        if now >= self._silent_until:
            self._silent_until = now + QUIET
            LOG.warning("intake.overloaded waiting=%s refused=%s stuck=%s", waiting, self._refused, stuck)
            self._refused = 0
        raise Overloaded("too many events are waiting to be stored (receive.queue, receive.timeout)")

    def _run(self) -> None:
        while batch := self._take():
            self._since = time.monotonic()
            self._answer([each for each in batch if not each.given_up])
            self._since = None
        self._answer_unavailable(self._all_waiting(), Unavailable("the service is ending"))

    def _take(self) -> list[_Waiting]:
        """Wait for an event, and give it with those that came meanwhile; nothing when it is time to end."""
        first, self._next = self._next or self._taken(self._queue.get()), None
        if first is None:
            return []
        batch, size, rows = [first], first.size, len(first.events)
        while rows < MOST and not self._is_alone(first):
            try:
                each = self._taken(self._queue.get_nowait())
            except queue.Empty:
                break
            if each is None:
                # Found again when these are stored.
                self._queue.put(None)
                break
            size, rows = size + each.size, rows + len(each.events)
            if size > self.settings.max_body // 2 or rows > MOST or self._is_alone(each):
                self._next = each
                break
            batch.append(each)
        return batch

    def _taken(self, waiting: _Waiting | None) -> _Waiting | None:
        """Give what was taken from the queue, and count it no more."""
        if waiting is not None:
            with self._joining:
                self._events -= len(waiting.events)
        return waiting

    def _is_alone(self, waiting: _Waiting) -> bool:
        """Tell whether it needs a transaction of its own, because it may be taken back."""
        return len(waiting.events) > 1 and self.settings.on_conflict == "refuse"

    def _answer(self, batch: list[_Waiting]) -> None:
        """Store a batch and tell everybody."""
        try:
            outcomes: Sequence[list[orm.Stored] | Exception] = self._store(batch)
        except Unavailable as error:
            self._answer_unavailable(batch + self._all_waiting(), error)
            return
        except Exception as error:  # noqa: BLE001 - told to whom it concerns
            if len(batch) > 1:
                self._answer_alone(batch)
                return
            outcomes = [error]
        failpoints.hit("committed")
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.outcome.put(outcome)

    def _answer_alone(self, batch: list[_Waiting]) -> None:
        """Store a batch one by one, because one of its events can't be stored."""
        for position, waiting in enumerate(batch):
            try:
                waiting.outcome.put(self._store([waiting])[0])
            except Unavailable as error:
                self._answer_unavailable(batch[position:] + self._all_waiting(), error)
                return
            except Exception as error:  # noqa: BLE001 - told to whom it concerns
                waiting.outcome.put(error)

    def _answer_unavailable(self, batch: list[_Waiting], error: Unavailable) -> None:
        for waiting in batch:
            waiting.outcome.put(Unavailable(str(error)))

    def _all_waiting(self) -> list[_Waiting]:
        """Take everything that waits, because it would wait in vain."""
        found = [self._next] if self._next else []
        self._next = None
        with suppress(queue.Empty):
            while each := self._taken(self._queue.get_nowait()):
                found.append(each)
            self._queue.put(None)
        return found

    def _store(self, batch: list[_Waiting]) -> list[list[orm.Stored]]:
        if not batch:
            return []
        try:
            return self._commit(batch)
        except Unavailable:
            # A pooled connection may be dead since the database's last restart; a second one is new.
            return self._commit(batch)

    def _commit(self, batch: list[_Waiting]) -> list[list[orm.Stored]]:
        with orm.session():
            if self._is_alone(batch[0]):
                return [orm.EventLog.store_whole(batch[0].events)]
            events = [new for each in batch for new in each.events]
            stored = iter(orm.EventLog.store_all(events, self.settings.on_conflict == "refuse"))
        return [list(islice(stored, len(each.events))) for each in batch]


_guard = threading.Lock()
_current: Writer | None = None


def writer(settings: Receive) -> Writer:
    """Give this process's writer, which starts with its first event, after any fork."""
    found = _current
    if found is None or found.process != os.getpid() or found.settings != settings:
        with _guard:
            found = _changed(settings)
    return found


def _changed(settings: Receive) -> Writer:
    """Start a writer where there is none, or one of a parent process, or one with other settings."""
    global _current
    found = _current
    if found is None:
        atexit.register(stop)
    elif found.process == os.getpid():
        if found.settings == settings:
            return found
        found.stop()
    _current = Writer(settings)
    return _current


def stop() -> None:
    """Store what is waiting, and end this process's writer if it has one; another event starts it again."""
    global _current
    found, _current = _current, None
    if found is not None and found.process == os.getpid():
        found.stop()
