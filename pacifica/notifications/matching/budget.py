"""Stops an expression that takes too long on one event, without stopping the thread that matches."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from weakref import ReferenceType, ref

from ..errors import OutOfTime

Result = TypeVar("Result")

#: Seconds after which a call is told again to end, should a destructor have swallowed it the first time.
_AGAIN = 0.1


class Budget:
    """Seconds that one call of pure Python may take; beyond them ``OutOfTime`` is raised inside it.

    A thread looks at the clock, because the dialect's evaluator can't be asked to count its steps. One budget
    serves one matching thread at a time.
    """

    def __init__(self, seconds: float) -> None:
        """Prepare; the watching thread starts with the first call."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._watched: tuple[int, float] | None = None
        self._watcher: threading.Thread | None = None

    def run(self, call: Callable[[], Result]) -> Result:
        """Give what ``call`` gives; raises ``OutOfTime`` if it took longer."""
        try:
            self._arm()
            return call()
        finally:
            while self._watched is not None:
                try:
                    self._disarm()
                except OutOfTime:
                    # It came when the call had ended; nothing is sent any more once the loop ends.
                    continue

    def _arm(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=_watch, args=[ref(self)], name="matching-budget", daemon=True)
            self._watcher.start()
        thread = threading.get_ident()
        with self._lock:
            self._watched = thread, _used(thread) + self._seconds

    def _disarm(self) -> None:
        with self._lock:
            self._watched = None
        # Sent but not yet seen here: it must not arrive in somebody else's code.
        _send(threading.get_ident(), None)

    def look(self) -> float:
        """End the call that is under way if its time is up; give the seconds until the next look."""
        with self._lock:
            if self._watched is not None:
                thread, limit = self._watched
                used = _used(thread)
                if used >= limit:
                    self._watched = thread, used + _AGAIN
                    _send(thread, OutOfTime)
        return self._seconds / 4


def _watch(watched: ReferenceType[Budget]) -> None:
    """Look after a budget for as long as somebody has it."""
    while (budget := watched()) is not None:
        wait = budget.look()
        del budget
        time.sleep(wait)


def _used(thread: int) -> float:
    """Give the seconds that a living thread has computed; where the system does not tell, the clock."""
    if hasattr(time, "pthread_getcpuclockid"):
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    return time.monotonic()


def _send(thread: int, error: type[Exception] | None) -> None:
    """Raise an error in a thread as soon as it runs Python again; None takes back what it has not seen yet."""
    sent = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), sent)
