"""The subscriptions of a shape that equal in all that is looked up, and differ in literals of other conditions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from ..errors import OverBudget
from .masks import Block, Decision
from .run import Keys, Run

#: Subscriptions of a block: its masks take up to half this number of bits for each of them.
_SIZE = 1024


class Member:
    """A subscription in a bucket."""

    __slots__ = ("chunk", "entry", "key", "literals")

    chunk: Chunk

    def __init__(self, entry: tuple[Any, ...], literals: tuple[Any, ...], key: Any) -> None:
        """Take the entry that leads to the bucket, the literals that are not in it, and the key."""
        self.entry, self.literals, self.key = entry, literals, key


class Chunk:
    """As many members as one block has; the block is made when an event first needs it."""

    __slots__ = ("block", "members", "version")

    def __init__(self) -> None:
        """Start empty."""
        self.members: dict[Member, None] = {}
        self.version = 0
        self.block = Block([], 0)

    def current(self) -> Block:
        """Give the block of the present members.

        A reader may be making it while the writer changes the members: the version that was read before the members
        tells the next reader that it is out of date.
        """
        block = self.block
        if block.version != self.version:
            version = self.version
            block = self.block = Block([(member.key, member.literals) for member in list(self.members)], version)
        return block


class Bucket:
    """Members, and the condition that decides between them."""

    __slots__ = ("chunks", "decide")

    def __init__(self, decide: Decision) -> None:
        """Start empty."""
        self.decide = decide
        self.chunks: tuple[Chunk, ...] = ()

    def add(self, member: Member) -> None:
        """Take a member in."""
        if not self.chunks or len(self.chunks[-1].members) >= _SIZE:
            self.chunks = (*self.chunks, Chunk())
        member.chunk = self.chunks[-1]
        member.chunk.members[member] = None
        member.chunk.version += 1

    def remove(self, member: Member) -> None:
        """Let a member go."""
        chunk = member.chunk
        del chunk.members[member]
        chunk.version += 1
        if not chunk.members:
            self.chunks = tuple(other for other in self.chunks if other is not chunk)

    def __bool__(self) -> bool:
        """Tell whether there are members."""
        return bool(self.chunks)

    @property
    def members(self) -> Iterator[Member]:
        """Give all members."""
        return chain.from_iterable(chunk.members for chunk in self.chunks)

    def match(self, item: Any, run: Run) -> None:
        """Note the members whose condition holds for an item."""
        masks = run.masks
        for chunk in self.chunks:
            block = chunk.current()
            before = masks.get(block, 0)
            if before == block.full:
                continue
            try:
                if mask := self.decide(item, run.event, block):
                    masks[block] = before | mask
            except OverBudget as error:
                run.fail(block.keys, error)


def keys_of(hit: Any) -> Iterable[Any]:
    """Give the keys of what stands in a table: a key, ``Keys``, or a bucket."""
    if isinstance(hit, Keys):
        return hit
    # A copy, because somebody may add to it meanwhile.
    return [member.key for member in list(hit.members)] if isinstance(hit, Bucket | Limits) else (hit,)


class Limits:
    """Members that differ in one limit for one number: ``@.size > 1000``.

    Of all items only the one that is furthest up (or down) counts: it passes what any of them passes. The limits are
    sorted when an event first needs them.
    """

    __slots__ = ("_sorted", "_version", "members", "operator")

    def __init__(self, operator: str) -> None:
        """Start empty."""
        self.operator = operator
        self.members: dict[Member, None] = {}
        self._version = 0
        self._sorted: tuple[int, list[Any], list[Any]] = (0, [], [])

    def add(self, member: Member) -> None:
        """Take a member in."""
        self.members[member] = None
        self._version += 1

    def remove(self, member: Member) -> None:
        """Let a member go."""
        del self.members[member]
        self._version += 1

    def __bool__(self) -> bool:
        """Tell whether there are members."""
        return bool(self.members)

    def passed(self, number: Any) -> Sequence[Any]:
        """Give the keys of those whose limit a number passes."""
        version, limits, keys = self._sorted
        if version != self._version:
            # As with a chunk: the version is read before the members.
            version = self._version
            members = sorted(self.members, key=lambda member: member.literals[0])
            limits, keys = [member.literals[0] for member in members], [member.key for member in members]
            self._sorted = version, limits, keys
        if self.operator == ">":
            return keys[: bisect_left(limits, number)]
        if self.operator == ">=":
            return keys[: bisect_right(limits, number)]
        if self.operator == "<":
            return keys[bisect_right(limits, number) :]
        return keys[bisect_left(limits, number) :]
