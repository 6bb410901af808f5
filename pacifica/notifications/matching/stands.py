"""Where a collector stands in its loop, so that it is handed the few items that may concern it.

The best place is behind a guard for a value by which its entries differ most. Where nothing has to be equal, a limit
will do, or a member that an object must have; a collector that asks for none of these is handed every item.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from .alternatives import Way
from .loops import Collects, Guard, Loop
from .recipes import Asked

#: So many collectors may stand behind one guard before another guard is preferred.
_CROWDED = 16
#: Entries that differ in so few values at every place are told apart better by their limits.
_ALIKE = 4


class Stands(Collects, Protocol):
    """A collector, as far as it matters here."""

    asked: Asked
    loop: Loop
    prefers_few: ClassVar[bool]


class Stand(Protocol):
    """A place in a loop."""

    #: Tells stands of one collector apart.
    name: tuple[str, Any]

    def enter(self, entry: tuple[Any, ...], *, first: bool) -> None:
        """See to it that items that may have an entry are handed on; ``first``: it is the only one."""

    def leave(self, entry: tuple[Any, ...], *, last: bool) -> None:
        """Take back what ``enter`` did for an entry; ``last``: there is no other."""

    def loosen(self, limit: Any) -> None:
        """Take notice of a literal that is not part of an entry."""


class ByValue:
    """Behind a guard for the value at one place of the entries."""

    def __init__(self, collector: Stands, place: int) -> None:
        """Choose the place."""
        self.name = ("value", place)
        self._collector, self._loop = collector, collector.loop
        self._place, self._way = place, collector.asked.equal[place]
        #: The loop's guard, unless it has no values: then the loop may have another one by now.
        self._guard: Guard | None = None
        #: How many entries beyond the first have a value.
        self._more: dict[Any, int] = {}

    def enter(self, entry: tuple[Any, ...], *, first: bool) -> None:
        """Want the value, unless another entry does."""
        value = entry[self._place]
        loop, guard = self._loop, self._guard
        if first:
            loop.crowds[self._way] = loop.crowds.get(self._way, 0) + 1
        if guard is None or not guard.values:
            guard = self._guard = loop.guard(self._way)
        if not guard.want(value, self._collector):
            self._more[value] = self._more.get(value, 0) + 1

    def leave(self, entry: tuple[Any, ...], *, last: bool) -> None:
        """Want the value no more, unless another entry does."""
        value = entry[self._place]
        if last:
            self._loop.crowds[self._way] -= 1
        more = self._more.get(value, 0)
        if more > 1:
            self._more[value] = more - 1
        elif more:
            del self._more[value]
        else:
            self._loop.unwant(self._way, value, self._collector)

    def loosen(self, limit: Any) -> None:
        """Limits do not matter here."""


class ByLimit:
    """Behind the loosest of the limits."""

    def __init__(self, collector: Stands, way: Way, operator: str) -> None:
        """Take the way to the number that is compared, and how."""
        self.name = ("limit", None)
        self._collector, self._loop, self._way, self._operator = collector, collector.loop, way, operator

    def enter(self, entry: tuple[Any, ...], *, first: bool) -> None:
        """Entries do not matter here; ``loosen`` comes for each literal."""

    def leave(self, entry: tuple[Any, ...], *, last: bool) -> None:
        """Want no more items after the last entry."""
        if last:
            self._loop.unlimit(self._way, self._operator, self._collector)

    def loosen(self, limit: Any) -> None:
        """Want items whose number passes the limit."""
        self._loop.loosen(self._way, self._operator, limit, self._collector)


class ByMember:
    """Behind a member that an object must have; None: nowhere, every item is handed on."""

    def __init__(self, collector: Stands, key: str | None) -> None:
        """Choose the member."""
        self.name = ("member", key)
        self._collector, self._loop, self._key = collector, collector.loop, key

    def enter(self, entry: tuple[Any, ...], *, first: bool) -> None:
        """Want items from the first entry on."""
        if first:
            self._loop.need(self._key, self._collector)

    def leave(self, entry: tuple[Any, ...], *, last: bool) -> None:
        """Want no more items after the last entry."""
        if last:
            self._loop.unneed(self._key, self._collector)

    def loosen(self, limit: Any) -> None:
        """Limits do not matter here."""


def best(collector: Stands, limit: tuple[Way, str] | None, entries: Iterable[tuple[Any, ...]]) -> Stand:
    """Choose where a collector stands, by the entries it has so far."""
    loop, ways = collector.loop, collector.asked.equal
    entries = list(entries)
    places = [place for place, way in enumerate(ways) if loop.crowd(way) <= _CROWDED]
    kinds = {place: len({entry[place] for entry in entries}) for place in places}
    if limit is not None and max(kinds.values(), default=0) <= _ALIKE:
        return ByLimit(collector, *limit)
    if places:
        choose = min if collector.prefers_few else max
        return ByValue(collector, choose(places, key=kinds.__getitem__))
    key = min(collector.asked.first_keys(), key=loop.crowd, default=None)
    place = min(range(len(ways)), key=lambda place: loop.crowd(ways[place]), default=None)
    # A member that few others ask for is in few items: better than a value that many ask for.
    if place is not None and (key is None or loop.crowd(key) > _CROWDED * loop.crowd(ways[place])):
        return ByValue(collector, place)
    return ByMember(collector, key)


def moved(before: Stand, after: Stand, entries: Iterable[tuple[Any, ...]], limits: Iterable[Any]) -> None:
    """Move a collector from one stand to another; a reader in between finds it at one of them, or both."""
    entries = list(entries)
    for number, entry in enumerate(entries):
        after.enter(entry, first=not number)
    for limit in limits:
        after.loosen(limit)
    for number, entry in enumerate(entries):
        before.leave(entry, last=not number)
