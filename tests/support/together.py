"""Calls that run at the same time, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def together(calls: Iterable[Callable[[], T]], seconds: float = 60) -> list[T]:
    """Start all calls at once and return their results in order; the first exception among them is raised."""
    waiting = list(calls)
    start = threading.Barrier(len(waiting))

    def run(call: Callable[[], T]) -> T:
        start.wait(seconds)
        return call()

    with ThreadPoolExecutor(len(waiting), thread_name_prefix="together") as threads:
        return [future.result(seconds) for future in [threads.submit(run, call) for call in waiting]]
