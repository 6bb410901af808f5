"""What is found out about one event on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from .masks import Block


class Keys(dict[Any, None]):
    """The keys of several subscriptions that ask for the same, in their order."""

    __slots__ = ()


class Walks(Protocol):
    """A loop over items."""

    def run(self, run: Run, /) -> None:
        """Walk to the items of the event."""


class Passes(Protocol):
    """Limits for a number."""

    def passed(self, number: Any, /) -> Iterable[Any]:
        """Give the keys of those whose limit it passes."""


class Run:
    """One event on its way through the index."""

    __slots__ = ("event", "failures", "found", "loops", "masks", "numbers", "tokens")

    def __init__(self, event: Any) -> None:
        """Start with nothing found."""
        self.event = event
        #: The keys that failed, with what each failed of.
        self.failures: dict[Any, Exception] = {}
        #: What was found in tables, by its identity: a key, or ``Keys``.
        self.found: dict[int, Any] = {}
        #: By shape of the conditions on the event: the token of the literals that this event has there.
        self.tokens: dict[Any, Any] = {}
        #: The loops that have something to ask of this event.
        self.loops: dict[Walks, None] = {}
        #: The subscriptions of a block that were found so far.
        self.masks: dict[Block, int] = {}
        #: The number that passes the most limits so far.
        self.numbers: dict[Passes, Any] = {}

    def fail(self, keys: Iterable[Any], error: Exception) -> None:
        """Note that nothing can be said of some keys."""
        self.failures.update(dict.fromkeys(keys, error))

    def keys(self) -> list[Any]:
        """Give all keys that were found; one that was entered several times may come several times."""
        keys: list[Any] = []
        for hit in self.found.values():
            if type(hit) is Keys:
                keys.extend(hit)
            else:
                keys.append(hit)
        if self.masks:
            for block, mask in self.masks.items():
                keys.extend(block.chosen(mask))
        if self.numbers:
            for limits, number in self.numbers.items():
                keys.extend(limits.passed(number))
        return keys
