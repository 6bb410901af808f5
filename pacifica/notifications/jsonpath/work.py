"""Counts what one expression does on one event, and stops it when that is too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import OverBudget
from .values import children

#: Steps that an expression may take on however small an event. A step is a value visited or compared.
FLOOR = 2000
#: Steps for each value of a larger event. ``$..*`` takes two, and nothing may cost ten times as much time. Some steps
#: take a little longer than those of ``$..*``.
PER_VALUE = 16


def size_of(event: Any) -> int:
    """Count the values in an event, itself included."""
    count = 1
    level = [event]
    while level:
        level = [each for value in level for each in children(value)]
        count += len(level)
    return count


class Work:
    """One expression at one event: what it looks at, what it knows already, and how many steps it has left.

    ``size`` gives the number of values in the event, and is asked only when the steps that are always allowed are
    used up.
    """

    __slots__ = ("_memories", "_size", "left", "limit", "once", "root")

    def __init__(self, root: Any, size: Callable[[], int] | None = None) -> None:
        self.root = root
        #: Who does much counts it here and calls ``check`` when it is below 0.
        self.left = FLOOR
        self.limit = FLOOR
        #: By place in the expression: what does not depend on the current value and was found already.
        self.once: dict[int, Any] = {}
        self._memories: dict[int, dict[int, Any]] = {}
        self._size = size

    def memory(self, place: int) -> dict[int, Any]:
        """Give the values from where nothing was found at a place in the expression, by their ids.

        It holds the values themselves, so that no other value gets their ids.
        """
        memory = self._memories.get(place)
        if memory is None:
            memory = self._memories[place] = {}
        return memory

    @property
    def steps(self) -> int:
        """Count the steps that were taken."""
        return self.limit - self.left

    def spend(self, steps: int) -> None:
        """Count steps that are taken at once; raises ``OverBudget``."""
        self.left -= steps
        if self.left < 0:
            self.check()

    def check(self) -> None:
        """Look how large the event is, as no step is left; raises ``OverBudget`` if it is not large enough."""
        if self.limit == FLOOR:
            size = self._size() if self._size else size_of(self.root)
            granted = max(PER_VALUE * size, FLOOR + 1)
            self.left += granted - self.limit
            self.limit = granted
        if self.left < 0:
            raise OverBudget(f"took more than {self.limit} steps")
