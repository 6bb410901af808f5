"""What a thread does while it waits for a database whose driver lets us wait; nothing, unless it says otherwise."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: What a descriptor is to be ready for.
READ, WRITE = 1, 2

#: Waits until a descriptor is ready for ``READ`` or ``WRITE``, at most so many seconds (None: for ever); False if it
#: is not by then.
Wait = Callable[[int, int, float | None], bool]

_own = threading.local()


@contextmanager
def meanwhile(wait: Wait) -> Iterator[None]:
    """Let this thread wait by ``wait`` within the block, which may do anything else meanwhile but use the database."""
    before, _own.wait = getattr(_own, "wait", _for_nothing_else), wait
    try:
        yield
    finally:
        _own.wait = before


def wait(descriptor: int, wanted: int, seconds: float | None) -> bool:
    """Wait in the way of this thread."""
    found: Wait = getattr(_own, "wait", _for_nothing_else)
    return found(descriptor, wanted, seconds)


def _for_nothing_else(descriptor: int, wanted: int, seconds: float | None) -> bool:
    if not hasattr(select, "poll"):
        reading, written = ([], [descriptor]) if wanted == WRITE else ([descriptor], [])
        return any(select.select(reading, written, [], seconds))
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT if wanted == WRITE else select.POLLIN)
    return bool(waiting.poll(None if seconds is None else seconds * 1000))
