"""What is found out about one event on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .buckets import Bucket, Limits
from .masks import Block

if TYPE_CHECKING:
    from .loops import Loop
    from .signatures import Token


class Keys(dict[Any, None]):
    """The keys of several subscriptions that ask for the same, in their order."""

    __slots__ = ()


def keys_of(hit: Any) -> Iterable[Any]:
    """Give the keys of what stands in a table (a key, ``Keys``, a bucket), or of a block."""
    if isinstance(hit, Keys):
        return hit
    if isinstance(hit, Block):
        return hit.keys
    return [member.key for member in hit.members] if isinstance(hit, Bucket | Limits) else (hit,)


class Run:
    """One event on its way through the index."""

    __slots__ = ("event", "failures", "found", "loops", "masks", "numbers", "tokens")

    def __init__(self, event: Any) -> None:
        """Start with nothing found."""
        self.event = event
        #: Who failed, by their identity, and of what.
        self.failures: dict[int, tuple[Any, Exception]] = {}
        #: What was found in tables, by its identity: a key, or ``Keys``.
        self.found: dict[int, Any] = {}
        #: By shape of the conditions on the event: the token of the literals that this event has there.
        self.tokens: dict[Any, Token] = {}
        #: The loops that have something to ask of this event.
        self.loops: dict[Loop, None] = {}
        #: The subscriptions of a block that were found so far.
        self.masks: dict[Block, int] = {}
        #: The number that passes the most limits so far.
        self.numbers: dict[Limits, Any] = {}

    def fail(self, hit: Any, error: Exception) -> None:
        """Note that nothing can be said of what stands in a table, or of a block."""
        self.failures[id(hit)] = hit, error

    def failed(self) -> dict[Any, Exception]:
        """Give the keys that failed, with what each failed of."""
        failed: dict[Any, Exception] = {}
        for hit, error in self.failures.values():
            failed.update(dict.fromkeys(keys_of(hit), error))
        return failed

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
