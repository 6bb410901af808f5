"""How often somebody may try a password."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from ..errors import TooOften

#: Whose tries are remembered at once; of more the oldest are forgotten.
_REMEMBERED = 10_000


class Throttle:
    """Counts tries in this process, each under several keys; a try counts until it succeeded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the clock, in seconds."""
        self._clock = clock
        self._guard = threading.Lock()
        self._tries: dict[str, deque[float]] = {}

    def take(self, keys: Mapping[str, int], seconds: float) -> None:
        """Count a try under keys, each with how many it may have within so many seconds.

        Raises ``TooOften``, and counts nothing, where one of them has as many; before it is known whether the try
        succeeds, so that many at once are counted too.
        """
        at = self._clock()
        with self._guard:
            for key, most in keys.items():
                tries = self._tries.get(key, deque())
                while tries and tries[0] <= at - seconds:
                    tries.popleft()
                if len(tries) >= most:
                    raise TooOften("too many logins have failed; wait, and try again", tries[0] + seconds - at)
            for key in keys:
                # Taken out and put in again: the oldest stand first.
                tries = self._tries.pop(key, deque())
                tries.append(at)
                self._tries[key] = tries
            while len(self._tries) > _REMEMBERED:
                del self._tries[next(iter(self._tries))]

    def forget(self, keys: Mapping[str, int]) -> None:
        """Take back the last try of each key, because it succeeded."""
        with self._guard:
            for key in keys:
                tries = self._tries.get(key)
                if tries:
                    tries.pop()
                if not tries:
                    self._tries.pop(key, None)
