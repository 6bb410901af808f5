"""Waiting for a condition with a deadline, instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two looks at a condition.
INTERVAL = 0.02


class Hopeless(Exception):
    """Raised by a condition that can no longer become true: waiting ends at once."""


def until(condition: Callable[[], T], seconds: float = 30, what: str = "the condition") -> T:
    """Return the first truthy value of `condition`.

    An exception in it counts as "not yet", `Hopeless` as "never". After `seconds` an AssertionError names
    `what` and the last value or exception; the condition is looked at once more at the very end.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        last_look = time.monotonic() >= deadline
        failure: Exception | None = None
        value: T | None = None
        try:
            value = condition()
        except Hopeless as error:
            raise AssertionError(f"waited for {what}: {error}") from error
        except Exception as error:  # noqa: BLE001 - whatever a condition raises, it is not true yet
            failure = error
        if value:
            return value
        if last_look:
            seen = repr(failure) if failure else f"the value {value!r}"
            raise AssertionError(f"waited {seconds} s for {what}, last seen: {seen}") from failure
        pause.wait(INTERVAL)
