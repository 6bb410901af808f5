"""Stops an expression that takes too long on one event, without stopping the thread that matches."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import OutOfTime

Result = TypeVar("Result")


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
        self._raised = False
        self._watcher: threading.Thread | None = None

    def run(self, call: Callable[[], Result]) -> Result:
        """Give what ``call`` gives; raises ``OutOfTime`` if it took longer."""
        try:
            self._arm()
            try:
                return call()
            except OutOfTime:
                self._raised = False
                raise
            finally:
                self._disarm()
        except OutOfTime:
            # It may also arrive while _disarm waits for it.
            self._raised = False
            raise

    def _arm(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="matching-budget", daemon=True)
            self._watcher.start()
        with self._lock:
            self._watched = (threading.get_ident(), time.monotonic() + self._seconds)

    def _disarm(self) -> None:
        with self._lock:
            self._watched = None
        # Sent by the watcher but not yet seen here: it must not arrive in somebody else's code.
        while self._raised:
            time.sleep(0)

    def _watch(self) -> None:
        while True:
            time.sleep(self._seconds / 4)
            with self._lock:
                if self._watched is None or time.monotonic() < self._watched[1]:
                    continue
                thread, self._watched, self._raised = self._watched[0], None, True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))
