"""What shapes ask of the event itself before they walk to its items."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .collectors import Collector
from .loops import Loop
from .run import Run

#: So many members are looked for in an event; beyond, the members of the event are looked up.
_FEW = 4


class Token:
    """The literals that some subscriptions want an event to have: once it has them, their loops are worth running.

    An event that nobody wants finds no token, and then no loop runs.
    """

    __slots__ = ("_counts", "_few", "entry", "loops")

    def __init__(self, entry: tuple[Any, ...]) -> None:
        """Start without loops; ``entry`` is what leads to the token."""
        self.entry = entry
        self._counts: dict[Loop, int] = {}
        #: By the member that an event must have for a loop to find items.
        self.loops: dict[str | None, tuple[Loop, ...]] = {}
        #: The same, if they are so few that each is looked for in an event.
        self._few: tuple[tuple[str | None, tuple[Loop, ...]], ...] | None = ()

    def use(self, loop: Loop) -> bool:
        """Count one more entry that needs a loop; tell whether it is the first of all."""
        first = not self._counts
        count = self._counts.get(loop, 0)
        if not count:
            key = loop.first_key
            self.loops[key] = (*self.loops.get(key, ()), loop)
            self._count_again()
        self._counts[loop] = count + 1
        return first

    def disuse(self, loop: Loop) -> bool:
        """Count one entry less; tell whether it was the last of all."""
        count = self._counts[loop]
        if count > 1:
            self._counts[loop] = count - 1
            return False
        del self._counts[loop]
        key = loop.first_key
        left = tuple(other for other in self.loops[key] if other is not loop)
        if left:
            self.loops[key] = left
        else:
            del self.loops[key]
        self._count_again()
        return not self._counts

    def _count_again(self) -> None:
        self._few = tuple(self.loops.items()) if len(self.loops) <= _FEW else None

    def walks(self, event: Collection[str]) -> bool:
        """Tell whether a loop may find items in an event that has these members."""
        loops = self.loops
        return bool(loops) and (None in loops or not loops.keys().isdisjoint(event))

    def found(self, run: Run) -> None:
        """Note the loops that may find items in an event."""
        event, few = run.event, self._few
        of_object = type(event) is dict
        if few is None:
            keys = (None, *event) if of_object else (None,)
            few = tuple((key, self.loops.get(key, ())) for key in keys)
        for key, loops in few:
            if key is None or (of_object and key in event):
                for loop in loops:
                    run.loops[loop] = None


class Signature(Collector):
    """What shapes that differ in the rest ask of the event; its hits are tokens. Its only item is the event.

    An event has one entry at most, whatever leads there. That nobody wants it is mostly seen by the value of which
    there are few, like its type.
    """

    prefers_few = True

    __slots__ = ()

    def _found(self, names: dict[str, Any]) -> list[str]:
        return ["run.tokens[me] = hit", "hit.found(run)"]
