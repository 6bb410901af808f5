"""The subscriptions of a shape that equal in all that is looked up, and differ in literals of other conditions."""

from __future__ import annotations

from typing import Any

from .masks import Block, Decision
from .run import Run

#: Subscriptions of a block: its masks take up to half this number of bits for each of them.
_SIZE = 1024


class Member:
    """A subscription in a bucket."""

    __slots__ = ("chunk", "entry", "key", "literals")

    def __init__(self, entry: tuple[Any, ...], literals: tuple[Any, ...], key: Any) -> None:
        """Take the entry that leads to the bucket, the literals that are not in it, and the key."""
        self.entry, self.literals, self.key = entry, literals, key
        self.chunk: Chunk


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

    def match(self, item: Any, run: Run) -> None:
        """Note the members whose condition holds for an item."""
        masks = run.masks
        for chunk in self.chunks:
            block = chunk.current()
            before = masks.get(block, 0)
            if before != block.full and (mask := self.decide(item, run.event, block)):
                masks[block] = before | mask
