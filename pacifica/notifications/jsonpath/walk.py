"""Walks the ways of a path: a hop, a fork, a hop, a fork, and so on, and a hop at the end.

Everything that takes time counts its steps; what begins a walk counts for the time that it takes to begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .values import MISSING
from .work import Work

#: Leads from a value to one other value, or to ``MISSING``.
Hop: TypeAlias = Callable[[Any, Work], Any]
#: Leads from a value to many, one after the other.
Fork: TypeAlias = Callable[[Any, Work], Iterable[Any]]
#: Tells whether something holds for a value.
Test: TypeAlias = Callable[[Any, Work], bool]


@dataclass(frozen=True, slots=True)
class Route:
    """The ways of a path: before each fork and after the last one stands a hop, or None where there is nothing to do.

    It is walked depth first. ``places`` are where its forks remember from where nothing was found.
    """

    hops: Sequence[Hop | None]
    forks: Sequence[Fork]
    places: tuple[int, ...] = ()

    def results(self, value: Any, work: Work) -> Iterator[Any]:
        """Give what the path leads to; does not recurse, however many forks there are."""
        work.left -= 2
        if self.hops[0] is not None:
            value = self.hops[0](value, work)
        if value is MISSING:
            return
        work.left -= 1
        if not self.forks:
            yield value
            return
        last = len(self.forks)
        open_forks = [iter(self.forks[0](value, work))]
        while open_forks:
            depth = len(open_forks)
            hop = self.hops[depth]
            for value in open_forks[-1]:
                if work.left < 0:
                    work.check()
                reached = value if hop is None else hop(value, work)
                if reached is MISSING:
                    continue
                if depth == last:
                    yield reached
                elif ways := self.forks[depth](reached, work):
                    open_forks.append(iter(ways))
                    break
            else:
                open_forks.pop()

    def finds(self) -> Test:
        """Give the test whether the path leads to anything, for short paths without the cost of the general walk."""
        if not self.forks:
            return _finds_by_hop(self.hops[0])
        if len(self.forks) == 1:
            return _finds_by_fork(self.hops[0], self.forks[0], self.hops[1])
        return self._finds

    def _finds(self, value: Any, work: Work) -> bool:
        for _ in self.results(value, work):
            return True
        return False


def _finds_by_hop(hop: Hop | None) -> Test:
    def finds(value: Any, work: Work) -> bool:
        work.left -= 1
        return hop is None or hop(value, work) is not MISSING

    return finds


def _finds_by_fork(before: Hop | None, fork: Fork, after: Hop | None) -> Test:
    def finds(value: Any, work: Work) -> bool:
        work.left -= 1
        if before is not None:
            value = before(value, work)
            if value is MISSING:
                return False
        work.left -= 1
        for reached in fork(value, work):
            if work.left < 0:
                work.check()
            if after is None or after(reached, work) is not MISSING:
                return True
        return False

    return finds


def in_turn(hops: Sequence[Hop]) -> Hop | None:
    """Make one hop of many."""
    if len(hops) < 2:
        return hops[0] if hops else None

    def hop(value: Any, work: Work) -> Any:
        for each in hops:
            work.left -= 1
            value = each(value, work)
            if value is MISSING:
                return MISSING
        return value

    return hop
