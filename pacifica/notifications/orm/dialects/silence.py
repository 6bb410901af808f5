"""Keeps threads from queueing at a database that has fallen silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import peewee

#: Seconds for which nobody asks a database that was silent.
PAUSE = 1.0


class Silence:
    """Remembers that the database was waited for in vain.

    From then on one thread asks it at a time, after a pause each, and all others are refused at once, until one gets
    through: so they are there for requests that need no database, and none is held for longer than one wait.
    """

    def __init__(self) -> None:
        """Begin with a database that speaks."""
        self._one = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Let everybody ask."""
        self._ask_at = 0.0
        self._asking: int | None = None

    def noticed(self) -> None:
        """Say that the database was waited for in vain."""
        self._ask_at = time.monotonic() + PAUSE

    def refuse(self) -> None:
        """Raise ``peewee.OperationalError`` if the database is silent, but for the one that asks."""
        if self._ask_at and self._asking != threading.get_ident():
            raise _refusal()

    @contextmanager
    def respected(self) -> Iterator[None]:
        """Run a block that asks the database; raises ``peewee.OperationalError`` where another one asks already."""
        ask_at = self._ask_at
        if not ask_at:
            yield
            return
        if time.monotonic() < ask_at or not self._one.acquire(blocking=False):
            raise _refusal()
        self._asking = threading.get_ident()
        try:
            yield
        finally:
            # Unless it was noticed again meanwhile, there was an answer, be it a refusal.
            if self._ask_at == ask_at:
                self._ask_at = 0.0
            self._asking = None
            self._one.release()


def _refusal() -> peewee.OperationalError:
    return peewee.OperationalError("it was waited for in vain a moment ago")


#: Of the database of the process.
SILENCE = Silence()
